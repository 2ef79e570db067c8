# bash completion for coffer, made by: coffer completion
_coffer() {
    local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD - 1]}"
    local path="" word skip="" words=""
    local -i i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ -n $skip ]]; then skip=""; continue; fi
        case "$word" in
            --dir|--server|--token-file|--ca|--org|--url|--admin|--listen|--http-listen|--mtls-listen|--mtls-url|--device-ca-key|--scep-mode|--set|--name|--role|--password-file|--password-file|--password-file|--person|--key|--passphrase-file|--fingerprint|--reason|--state|--message|--phone|--pin-file|--wait|--pin-file|--wait|--wait|--wait|--wait|--param|--params-file|--wait|--for|--reason|--ticket|--expires|--out|--end|--output|--app|--hours|--wait|--person|--device|--profile|--reason|--rules|--within|--format|--out|--reason|--device-ca-key|--scep-mode|--profile|--subject|--names|--lifetime|--last|--out|--label|--passphrase-file|--threshold|--key|--passphrase-file|--key|--passphrase-file|--batches|--dealers|--key|--passphrase-file|--key|--passphrase-file|--sample|--for|--reason|--ticket|--revision|--expires|--out|--key|--passphrase-file|--code|--reason|--out|--password-file|--kind|--person|--device|--revision|--revision|--kind|--owner|--device|--label|--replace|--revision|--sample|--html|--person|--device|--key-file|--passphrase-file|--key-file|--passphrase-file|--output|--password-file|--role|--expires|--role|--person|--expires|--output|--key|--passphrase-file|--protect-headers|--digest|--to|--cipher|--key|--passphrase-file|--protect-headers|--digest|--key|--passphrase-file|--root|--chain|--crl|--verdict|--key|--passphrase-file|--root|--chain|--crl|--verdict|--out|--key|--passphrase-file|--root|--chain|--crl|--verdict|--key|--passphrase-file|--root|--to|--key|--passphrase-file|--cipher|--message|--sender|--at|--key|--passphrase-file|--forget|--domain|--why|--home|--passphrase-file|--name|--home|--passphrase-file|--name|--home|--passphrase-file|--role|--digits|--home|--passphrase-file|--limit-up|--limit-down|--only|--poll|--brake|--home|--passphrase-file|--limit-up|--limit-down|--poll|--brake|--home|--passphrase-file|--home|--passphrase-file|--home|--passphrase-file|--limit-up|--limit-down|--home|--passphrase-file|--limit-up|--limit-down|--home|--passphrase-file|--home|--passphrase-file|--home|--passphrase-file|--last|--home|--passphrase-file|--limit-up|--limit-down|--version|--at|--to|--home|--passphrase-file|--up|--down|--home|--passphrase-file|--home|--passphrase-file|--home|--passphrase-file|--home|--passphrase-file|--against|--against-ca|--export|--key|--home|--passphrase-file|--home|--passphrase-file|--home|--passphrase-file|--digits|--of|--group|--home|--passphrase-file|--group|--home|--passphrase-file|--home|--passphrase-file|--of|--home|--passphrase-file|--expires|--count|--password-file|--device|--region|--home|--passphrase-file|--device|--region|--home|--passphrase-file|--device|--region|--home|--passphrase-file|--to|--password-file|--reason|--out|--digits|--home|--passphrase-file|--key|--name|--home|--passphrase-file|--hook|--imap|--ews|--password-file|--graph|--subscription|--login|--person|--output|--label|--key|--keep|--by|--for|--reason|--ticket|--days|--out|--key|--passphrase-file|--code|--out|--approval|--to|--limit|--output|--key|--pin|--after) skip=1 ;;
            -*) ;;
            *) path+=" $word" ;;
        esac
    done
    if [[ -n $skip || $previous == --*file || $previous == --dir ]]; then
        COMPREPLY=($(compgen -f -- "$current"))
        return
    fi
    case "$path" in
        "") words="help version init status user directory key device profile cert ca scep watch officer recover escrow disk keeper login token mail sync mailbox backup restore audit jobs completion --dir --server --token-file --ca --json --help --version" ;;
        " user") words="add list disable enable password" ;;
        " directory") words="test sync show certificates" ;;
        " key") words="new import deliver deliveries pending approve deny" ;;
        " device") words="list show lock erase lost clear-passcode restart info command push release queue result cancel secrets activation-lock bypass-code filevault leases token mail-app" ;;
        " profile") words="add list show remove assign unassign" ;;
        " cert") words="list show revoke lists lint report pending approve deny" ;;
        " ca") words="show rollover" ;;
        " scep") words="challenge trace" ;;
        " watch") words="list add remove check release runs" ;;
        " officer") words="keygen fingerprint add list remove activate sign withdraw redeal finish drill" ;;
        " recover") words="request list show approve deny open" ;;
        " escrow") words="list show history put verify drill report" ;;
        " disk") words="protect status rotate" ;;
        " keeper") words="storage-key rotate-storage-key" ;;
        " token") words="add list remove" ;;
        " mail") words="sign encrypt decrypt verify show extract reencrypt recipients harvest certificates trust group policy" ;;
        " sync") words="init join approve run mount status ls get put mkdir rm history restore limit devices revoke rotate who audit make-share open-share share unshare follow digits link links unlink fetch store regions usage quota hold wipe recovery-key recovery recover" ;;
        " mailbox") words="list add remove releases hook" ;;
        " backup") words="make list verify prune" ;;
        " restore") words="request approve open" ;;
        " audit") words="list export verify keeper-log" ;;
        " init"*) words="--org --url --admin --listen --http-listen --mtls-listen --mtls-url --no-require-sandbox --device-ca-key --scep-mode --set --dir --server --token-file --ca --json --help --version" ;;
        " status"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " user add"*) words="--name --role --password-file --ask-password --dir --server --token-file --ca --json --help --version" ;;
        " user list"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " user disable"*) words="--left --dir --server --token-file --ca --json --help --version" ;;
        " user enable"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " user password"*) words="--password-file --ask-password --dir --server --token-file --ca --json --help --version" ;;
        " directory test"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " directory sync"*) words="--force --dir --server --token-file --ca --json --help --version" ;;
        " directory show"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " directory certificates"*) words="--pem --dir --server --token-file --ca --json --help --version" ;;
        " key new"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " key import"*) words="--password-file --dir --server --token-file --ca --json --help --version" ;;
        " key deliver"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " key deliveries"*) words="--person --unfinished --dir --server --token-file --ca --json --help --version" ;;
        " key pending"*) words="--all --dir --server --token-file --ca --json --help --version" ;;
        " key approve"*) words="--key --passphrase-file --fingerprint --yes --dir --server --token-file --ca --json --help --version" ;;
        " key deny"*) words="--reason --dir --server --token-file --ca --json --help --version" ;;
        " device list"*) words="--state --dir --server --token-file --ca --json --help --version" ;;
        " device show"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " device lock"*) words="--message --phone --pin-file --yes --wait --dir --server --token-file --ca --json --help --version" ;;
        " device erase"*) words="--pin-file --yes --wait --dir --server --token-file --ca --json --help --version" ;;
        " device lost"*) words="--yes --dir --server --token-file --ca --json --help --version" ;;
        " device clear-passcode"*) words="--wait --dir --server --token-file --ca --json --help --version" ;;
        " device restart"*) words="--wait --dir --server --token-file --ca --json --help --version" ;;
        " device info"*) words="--wait --dir --server --token-file --ca --json --help --version" ;;
        " device command"*) words="--param --params-file --dry-run --yes --wait --dir --server --token-file --ca --json --help --version" ;;
        " device push"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " device release"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " device queue"*) words="--all --dir --server --token-file --ca --json --help --version" ;;
        " device result"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " device cancel"*) words="--force --dir --server --token-file --ca --json --help --version" ;;
        " device secrets"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " device activation-lock"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " device bypass-code"*) words="--for --reason --ticket --expires --out --second --dir --server --token-file --ca --json --help --version" ;;
        " device filevault"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " device leases"*) words="--end --reset --dir --server --token-file --ca --json --help --version" ;;
        " device token"*) words="--output --dir --server --token-file --ca --json --help --version" ;;
        " device mail-app"*) words="--app --lease --no-lease --hours --wait --dir --server --token-file --ca --json --help --version" ;;
        " profile add"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " profile list"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " profile show"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " profile remove"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " profile assign"*) words="--all --dir --server --token-file --ca --json --help --version" ;;
        " profile unassign"*) words="--all --dir --server --token-file --ca --json --help --version" ;;
        " cert list"*) words="--person --device --profile --revoked --dir --server --token-file --ca --json --help --version" ;;
        " cert show"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " cert revoke"*) words="--reason --dir --server --token-file --ca --json --help --version" ;;
        " cert lists"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " cert lint"*) words="--rules --list --dir --server --token-file --ca --json --help --version" ;;
        " cert report"*) words="--within --format --out --dir --server --token-file --ca --json --help --version" ;;
        " cert pending"*) words="--all --dir --server --token-file --ca --json --help --version" ;;
        " cert approve"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " cert deny"*) words="--reason --dir --server --token-file --ca --json --help --version" ;;
        " ca show"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " ca rollover"*) words="--dry-run --activate --device-ca-key --scep-mode --yes --dir --server --token-file --ca --json --help --version" ;;
        " scep challenge"*) words="--profile --subject --names --lifetime --dir --server --token-file --ca --json --help --version" ;;
        " scep trace"*) words="--last --dir --server --token-file --ca --json --help --version" ;;
        " watch list"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " watch add"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " watch remove"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " watch check"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " watch release"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " watch runs"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " officer keygen"*) words="--out --label --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " officer fingerprint"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " officer add"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " officer list"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " officer remove"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " officer activate"*) words="--threshold --dir --server --token-file --ca --json --help --version" ;;
        " officer sign"*) words="--key --passphrase-file --yes --dir --server --token-file --ca --json --help --version" ;;
        " officer withdraw"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " officer redeal"*) words="--key --passphrase-file --yes --batches --dealers --dir --server --token-file --ca --json --help --version" ;;
        " officer finish"*) words="--key --passphrase-file --yes --dir --server --token-file --ca --json --help --version" ;;
        " officer drill"*) words="--key --passphrase-file --sample --yes --dir --server --token-file --ca --json --help --version" ;;
        " recover request"*) words="--for --reason --ticket --revision --expires --out --dir --server --token-file --ca --json --help --version" ;;
        " recover list"*) words="--all --dir --server --token-file --ca --json --help --version" ;;
        " recover show"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " recover approve"*) words="--key --passphrase-file --code --yes --dir --server --token-file --ca --json --help --version" ;;
        " recover deny"*) words="--reason --dir --server --token-file --ca --json --help --version" ;;
        " recover open"*) words="--out --password-file --keep --dir --server --token-file --ca --json --help --version" ;;
        " escrow list"*) words="--kind --person --device --former --dir --server --token-file --ca --json --help --version" ;;
        " escrow show"*) words="--revision --dir --server --token-file --ca --json --help --version" ;;
        " escrow history"*) words="--revision --dir --server --token-file --ca --json --help --version" ;;
        " escrow put"*) words="--kind --owner --device --label --replace --officers-only --dir --server --token-file --ca --json --help --version" ;;
        " escrow verify"*) words="--revision --dir --server --token-file --ca --json --help --version" ;;
        " escrow drill"*) words="--sample --dir --server --token-file --ca --json --help --version" ;;
        " escrow report"*) words="--html --dir --server --token-file --ca --json --help --version" ;;
        " disk protect"*) words="--person --device --key-file --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " disk status"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " disk rotate"*) words="--key-file --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " keeper storage-key"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " keeper rotate-storage-key"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " login"*) words="--output --password-file --role --expires --dir --server --token-file --ca --json --help --version" ;;
        " token add"*) words="--role --person --expires --output --dir --server --token-file --ca --json --help --version" ;;
        " token list"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " token remove"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " mail sign"*) words="--key --passphrase-file --opaque --protect-headers --no-legacy-display --digest --dir --server --token-file --ca --json --help --version" ;;
        " mail encrypt"*) words="--to --cipher --oaep --key --passphrase-file --opaque --protect-headers --no-legacy-display --digest --dir --server --token-file --ca --json --help --version" ;;
        " mail decrypt"*) words="--key --passphrase-file --root --chain --crl --verdict --dir --server --token-file --ca --json --help --version" ;;
        " mail verify"*) words="--key --passphrase-file --root --chain --crl --verdict --out --dir --server --token-file --ca --json --help --version" ;;
        " mail show"*) words="--key --passphrase-file --root --chain --crl --verdict --dir --server --token-file --ca --json --help --version" ;;
        " mail extract"*) words="--key --passphrase-file --root --dir --server --token-file --ca --json --help --version" ;;
        " mail reencrypt"*) words="--to --key --passphrase-file --cipher --oaep --dry-run --dir --server --token-file --ca --json --help --version" ;;
        " mail recipients"*) words="--message --sender --at --dir --server --token-file --ca --json --help --version" ;;
        " mail harvest"*) words="--key --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " mail certificates"*) words="--forget --dir --server --token-file --ca --json --help --version" ;;
        " mail trust"*) words="--domain --why --dir --server --token-file --ca --json --help --version" ;;
        " mail group"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " mail policy"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " sync init"*) words="--home --passphrase-file --name --passphrase --dir --server --token-file --ca --json --help --version" ;;
        " sync join"*) words="--home --passphrase-file --name --passphrase --dir --server --token-file --ca --json --help --version" ;;
        " sync approve"*) words="--home --passphrase-file --role --digits --dir --server --token-file --ca --json --help --version" ;;
        " sync run"*) words="--home --passphrase-file --limit-up --limit-down --once --only --poll --brake --release-brake --pardon --dir --server --token-file --ca --json --help --version" ;;
        " sync mount"*) words="--home --passphrase-file --limit-up --limit-down --poll --brake --release-brake --pardon --dir --server --token-file --ca --json --help --version" ;;
        " sync status"*) words="--home --passphrase-file --files --dir --server --token-file --ca --json --help --version" ;;
        " sync ls"*) words="--home --passphrase-file --all --dir --server --token-file --ca --json --help --version" ;;
        " sync get"*) words="--home --passphrase-file --limit-up --limit-down --replace --dir --server --token-file --ca --json --help --version" ;;
        " sync put"*) words="--home --passphrase-file --limit-up --limit-down --parents --dir --server --token-file --ca --json --help --version" ;;
        " sync mkdir"*) words="--home --passphrase-file --parents --dir --server --token-file --ca --json --help --version" ;;
        " sync rm"*) words="--home --passphrase-file --recursive --dir --server --token-file --ca --json --help --version" ;;
        " sync history"*) words="--home --passphrase-file --last --dir --server --token-file --ca --json --help --version" ;;
        " sync restore"*) words="--home --passphrase-file --limit-up --limit-down --version --at --to --replace --dir --server --token-file --ca --json --help --version" ;;
        " sync limit"*) words="--home --passphrase-file --up --down --dir --server --token-file --ca --json --help --version" ;;
        " sync devices"*) words="--home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync revoke"*) words="--home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync rotate"*) words="--home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync who"*) words="--home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync audit"*) words="--against --against-ca --export --key --pardon --home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync make-share"*) words="--home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync open-share"*) words="--home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync share"*) words="--write --manage --digits --of --group --on-trust --home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync unshare"*) words="--group --home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync follow"*) words="--on-trust --release-brake --home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync digits"*) words="--of --home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync link"*) words="--expires --count --password-file --device --region --home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync links"*) words="--device --region --home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync unlink"*) words="--device --region --home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync fetch"*) words="--to --list --password-file --replace --dir --server --token-file --ca --json --help --version" ;;
        " sync store"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " sync regions"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " sync usage"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " sync quota"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " sync hold"*) words="--reason --dir --server --token-file --ca --json --help --version" ;;
        " sync wipe"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " sync recovery-key"*) words="--out --dir --server --token-file --ca --json --help --version" ;;
        " sync recovery"*) words="--digits --home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " sync recover"*) words="--key --yes --name --passphrase --home --passphrase-file --dir --server --token-file --ca --json --help --version" ;;
        " mailbox list"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " mailbox add"*) words="--hook --imap --ews --all-folders --password-file --graph --subscription --login --person --dir --server --token-file --ca --json --help --version" ;;
        " mailbox remove"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " mailbox releases"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " mailbox hook"*) words="--output --dir --server --token-file --ca --json --help --version" ;;
        " backup make"*) words="--full --label --dir --server --token-file --ca --json --help --version" ;;
        " backup list"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " backup verify"*) words="--key --dir --server --token-file --ca --json --help --version" ;;
        " backup prune"*) words="--keep --dir --server --token-file --ca --json --help --version" ;;
        " restore request"*) words="--by --for --reason --ticket --days --out --dir --server --token-file --ca --json --help --version" ;;
        " restore approve"*) words="--key --passphrase-file --code --out --yes --dir --server --token-file --ca --json --help --version" ;;
        " restore open"*) words="--approval --to --check --keep --dir --server --token-file --ca --json --help --version" ;;
        " audit list"*) words="--limit --wide --dir --server --token-file --ca --json --help --version" ;;
        " audit export"*) words="--output --dir --server --token-file --ca --json --help --version" ;;
        " audit verify"*) words="--key --pin --allow-unsigned --dir --server --token-file --ca --json --help --version" ;;
        " audit keeper-log"*) words="--after --dir --server --token-file --ca --json --help --version" ;;
        " jobs"*) words="--dir --server --token-file --ca --json --help --version" ;;
        " completion"*) words="--dir --server --token-file --ca --json --help --version" ;;
    esac
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$current"))
    else
        local -a plain=()
        for word in $words; do [[ $word == -* ]] || plain+=("$word"); done
        if ((${#plain[@]})); then
            COMPREPLY=($(compgen -W "${plain[*]}" -- "$current"))
        else
            COMPREPLY=($(compgen -f -- "$current"))
        fi
    fi
}
complete -o filenames -F _coffer coffer
