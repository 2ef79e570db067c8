# bash completion for coffer-mailbox, made by: coffer-mailbox completion
_coffer_mailbox() {
    local current="${COMP_WORDS[COMP_CWORD]}" word command="" words
    local previous="${COMP_WORDS[COMP_CWORD - 1]}"
    for word in "${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        case "$word" in
            init|run|unlock|lock|passcode|status|sync|folders|list|search|read|tui|report-spam|send|reply|draft|who|wipe|completion) command="$word" && break ;;
        esac
    done
    case "$command" in
        "") words="init run unlock lock passcode status sync folders list search read tui report-spam send reply draft who wipe completion --dir --json --help --version" ;;
        init) words=" --address --imap --tls --ca --user --password-file --token-file --smtp --junk --sent --passcode-file --tpm --without-tpm --key --passphrase-file --server --server-ca --device-token-file --managed --lease-hours --dir --json --help --version" ;;
        run) words=" --dir --json --help --version" ;;
        unlock) words=" --passcode-file --dir --json --help --version" ;;
        lock) words=" --now --dir --json --help --version" ;;
        passcode) words=" --passcode-file --new-passcode-file --dir --json --help --version" ;;
        status) words=" --dir --json --help --version" ;;
        sync) words=" --dir --json --help --version" ;;
        folders) words=" --dir --json --help --version" ;;
        list) words=" --limit --before --dir --json --help --version" ;;
        search) words=" --limit --dir --json --help --version" ;;
        read) words=" --raw --dir --json --help --version" ;;
        tui) words=" --dir --json --help --version" ;;
        report-spam) words=" --dir --json --help --version" ;;
        send) words=" --sign --encrypt --certificate --dir --json --help --version" ;;
        reply) words=" --all --reply-to --quote --sign --plain --certificate --dir --json --help --version" ;;
        draft) words=" --forget --dir --json --help --version" ;;
        who) words=" --certificate --dir --json --help --version" ;;
        wipe) words=" --yes --dir --json --help --version" ;;
        completion) words=" --dir --json --help --version" ;;
    esac
    if [[ $previous != --*file && $previous != --key && ($current == -* || -z $command) ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _coffer_mailbox coffer-mailbox
