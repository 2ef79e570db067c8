/*
 * coffer restore request, approve, open: an instance out of a backup, by files that go between the
 * one who restores and the officers, for there is no server any more. Records and checks are those
 * of coffer recover; the object is the backup's keys.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backup/backup_check.h"
#include "backup/backup_restore.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "escrow/request_key.h"
#include "keeper/escrow_seal.h"
#include "program/coffer/officer_local.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"

enum {
    DAY_S = 86400,
    DAYS_MAX = LIMIT_ESCROW_REQUEST_S / DAY_S,
    DAYS = 7,
    REQUEST_FILE_MAX = 3 * LIMIT_ESCROW_RECORD,
};

static err_t *copy_text(const char *text, size_t max, const char *what, char *out) {
    if (strlen(text) > max) return err_new(ERR_USAGE, "--%s has more than %zu bytes", what, max);
    memcpy(out, text, strlen(text) + 1);
    return NULL;
}

static err_t *need(const args_t *args, const char *name, size_t max, char *out) {
    const char *value = args_value(args, name);
    if (!value || !value[0]) return err_new(ERR_USAGE, "coffer restore request needs --%s", name);
    return copy_text(value, max, name, out);
}

/* ---- request ---- */

static err_t *fill_request(cli_t *cli, const args_t *args, const backup_head_t *head,
                           escrow_request_t *request) {
    escrow_set_t set;
    long days = 0;
    const char *ticket = args_value(args, "ticket");
    *request = (escrow_request_t){.created = clk_unix(cli->clk)};
    TRY(need(args, "for", LIMIT_NAME, request->recipient));
    TRY(need(args, "reason", LIMIT_ESCROW_REASON, request->reason));
    TRY(need(args, "by", LIMIT_ESCROW_OWNER, request->requester));
    if (ticket) TRY(copy_text(ticket, LIMIT_ESCROW_TICKET, "ticket", request->ticket));
    TRY(args_number(args, "days", 1, DAYS_MAX, DAYS, &days));
    TRY(backup_check_head(head, &set));
    TRY(rnd_fill(cli->rnd, request->id, ESCROW_ID));
    backup_object(head->id, &request->object);
    TRY(digest_sha256(head->blob, request->blob_hash));
    TRY(escrow_set_hash(&set, request->set_hash));
    request->epoch = set.epoch;
    request->threshold = set.threshold;
    request->expires = request->created + days * DAY_S;
    return NULL;
}

/* The file for the officers, and the one that stays. */
static err_t *write_request(cli_t *cli, const backup_head_t *head, escrow_request_t *request,
                            const char *name) {
    CLEANUP(secret_free) secret_t *private = NULL;
    CLEANUP(buf_done) buf_t record, file, key;
    CLEANUP(mem_free) char *request_path = mem_printf("%s.request", name);
    CLEANUP(mem_free) char *key_path = mem_printf("%s.key", name);
    buf_init(&record, LIMIT_ESCROW_RECORD);
    buf_init(&file, REQUEST_FILE_MAX);
    buf_init_secret(&key, REQUEST_KEY_FILE_MAX);
    if (!request_path || !key_path) return err_nomem();
    if (file_exists(key_path)) return err_new(ERR_EXISTS, "%s exists already", key_path);
    if (file_exists(request_path)) return err_new(ERR_EXISTS, "%s exists already", request_path);
    TRY(request_key_new(cli->rnd, &private, request->recipient_key));
    TRY(escrow_request_put(request, &record));
    TRY(request_key_put(private, buf_bytes(&record), &key));
    backup_request_t wrapped = {buf_bytes(&record), head->set, head->shares, head->created, ""};
    memcpy(wrapped.label, head->label, sizeof wrapped.label);
    TRY(backup_request_put(&wrapped, &file));
    TRY(file_write(key_path, buf_bytes(&key), 0600));
    return file_write(request_path, buf_bytes(&file), 0644);
}

static err_t *show_request(cli_t *cli, const escrow_request_t *request, const char *backup,
                           const char *name) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = mem_printf("%s.request", name);
    CLEANUP(mem_free) char *key = mem_printf("%s.key", name);
    char code[REQUEST_KEY_CODE], id[ESCROW_ID_TEXT];
    if (!path || !key) return err_nomem();
    TRY(request_key_code(cli->rnd, request, code));
    escrow_id_text(request->id, id);
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "id", id));
    TRY(jso_set_str(json, "backup", backup));
    TRY(jso_set_str(json, "request", path));
    TRY(jso_set_str(json, "key", key));
    TRY(jso_set_str(json, "code", code));
    TRY(jso_set_int(json, "needed", request->threshold));
    TRY(jso_set_time(json, "expires", request->expires));
    return output_done(cli, json,
                       "Send %s to the officers, and read them the code %s by voice.\n"
                       "%u of them answer with: coffer restore approve %s --key ...\n"
                       "Keep %s here: it opens their answers.",
                       path, code, request->threshold, path, key);
}

static err_t *run_request(cli_t *cli, const args_t *args) {
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    CLEANUP(backup_names_done) backup_names_t names = {0};
    CLEANUP(buf_done) buf_t file;
    CLEANUP(mem_free) char *name = NULL;
    backup_manifest_t manifest;
    escrow_request_t request;
    buf_init(&file, LIMIT_BACKUP_MANIFEST);
    TRY(backup_repo_open(args->operands[0], BACKUP_REPO_READ, &repo));
    TRY(backup_repo_list(repo, &names));
    if (names.n == 0) return err_new(ERR_NOT_FOUND, "there are no backups there");
    const char *backup = args->operands_n > 1 ? args->operands[1] : names.names[names.n - 1];
    TRY(backup_repo_read(repo, backup, &file, &manifest));
    TRY(fill_request(cli, args, &manifest.head, &request));
    const char *out = args_value(args, "out");
    name = out ? mem_strdup(out) : mem_printf("restore-%s", backup);
    if (!name) return err_nomem();
    TRY(write_request(cli, &manifest.head, &request, name));
    return show_request(cli, &request, backup, name);
}

static const option_t request_options[] = {
    {"by", "WHO", "who asks: an officer can't approve what he asked for"},
    {"for", "WHOM", "who gets the instance"},
    {"reason", "TEXT", "why"},
    {"ticket", "TEXT", "where it is written down"},
    {"days", "N", "how long officers may answer: 7, at most 30"},
    {"out", "NAME", "writes NAME.request and NAME.key; default: restore-BACKUP"},
    {NULL, NULL, NULL},
};

const command_t CMD_RESTORE_REQUEST = {
    .group = "restore",
    .name = "request",
    .operands = "DIR [BACKUP]",
    .summary = "Ask the officers to open a backup, the newest one unless told",
    .notes =
        "Makes a one-time key on this machine, where the instance is to be restored. The .request\n"
        "file holds nothing secret; the .key file must stay here.",
    .examples = "  coffer restore request /srv/backup/coffer --by dora@example.org \\\n"
                "    --for dora@example.org --reason \"the server burnt down\"",
    .min = 1,
    .max = 2,
    .options = request_options,
    .run = run_request,
};

/* ---- approve ---- */

typedef struct {
    officer_key_t key;
    buf_t file;
    backup_request_t wrapped;
    escrow_request_t request;
    escrow_set_t set;
    const escrow_officer_t *own;
} approving_t;

static void approving_done(approving_t *a) {
    officer_key_done(&a->key);
    buf_done(&a->file);
}
DEFINE_CLEANUP_VALUE(approving_t, approving_done)

/* The share opens under the very set it was sealed to: a made-up set leads nowhere. */
static err_t *read_request(const char *path, approving_t *a) {
    uint8_t hash[ESCROW_HASH];
    TRY(file_read(path, &a->file));
    TRY_WRAP(backup_request_parse(buf_bytes(&a->file), &a->wrapped), "%s", path);
    TRY_WRAP(escrow_request_parse(a->wrapped.request, &a->request), "%s", path);
    TRY_WRAP(escrow_set_parse(a->wrapped.set, &a->set), "%s", path);
    TRY(escrow_set_hash(&a->set, hash));
    if (memcmp(hash, a->request.set_hash, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "the request is for another set of officers");
    if (strcmp(a->request.object.kind, ESCROW_KIND_BACKUP) != 0)
        return err_new(ERR_DENIED, "the request is for a %s, not for a backup: see coffer recover",
                       a->request.object.kind);
    TRY(officer_in_set(&a->set, &a->key, &a->own));
    return NULL;
}

static err_t *check(cli_t *cli, const approving_t *a) {
    if (strcmp(a->request.requester, a->own->person) == 0)
        return err_new(ERR_DENIED, "you asked for it and can't approve it too");
    if (clk_unix(cli->clk) >= a->request.expires)
        return err_new(ERR_DENIED, "the request has expired");
    return NULL;
}

static void show(cli_t *cli, const approving_t *a) {
    char id[ESCROW_ID_TEXT], until[TEXT_TIME_SIZE], made[TEXT_TIME_SIZE];
    escrow_id_text(a->request.object.id, id);
    (void)fprintf(cli->err, "Somebody is to see a whole instance, with all its keys:\n");
    output_note(cli, "backup", id);
    output_note(cli, "of", a->wrapped.label[0] ? a->wrapped.label : "-");
    output_note(cli, "made", text_time(a->wrapped.created / 1000, made));
    output_note(cli, "asked by", a->request.requester);
    output_note(cli, "for whom", a->request.recipient);
    output_note(cli, "why", a->request.reason);
    output_note(cli, "ticket", a->request.ticket[0] ? a->request.ticket : "-");
    output_note(cli, "until", text_time(a->request.expires, until));
}

static err_t *make_approval(cli_t *cli, const approving_t *a, buf_t *out) {
    CLEANUP(escrow_opener_free) escrow_opener_t *opener = NULL;
    CLEANUP(secret_free) secret_t *y = NULL;
    escrow_share_t share;
    escrow_approval_t approval;
    uint8_t hash[ESCROW_HASH];
    TRY(backup_share_find(a->wrapped.shares, a->own->id, &share));
    TRY(escrow_object_hash(&a->request.object, hash));
    TRY(escrow_opener_new(a->request.set_hash, a->own->id, a->key.hpke, &opener));
    TRY_WRAP(escrow_shares_open(opener, hash, &share, 1, &y), "your share");
    TRY(escrow_approve(&a->request, a->own, a->key.sign, secret_bytes(y), clk_unix(cli->clk),
                       &approval));
    return escrow_approval_put(&approval, out);
}

static err_t *run_approve(cli_t *cli, const args_t *args) {
    static const char *const words[] = {"approve", NULL};
    CLEANUP(approving_done) approving_t a = {0};
    CLEANUP(buf_done) buf_t record;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    const char *out = args_value(args, "out");
    buf_init(&record, LIMIT_ESCROW_RECORD);
    buf_init(&a.file, REQUEST_FILE_MAX);
    TRY(officer_unlock(cli, args, &a.key));
    TRY(read_request(args->operands[0], &a));
    TRY(check(cli, &a));
    if (!args_flag(args, "yes")) show(cli, &a);
    TRY(officer_check_code(cli, args, &a.request));
    if (!args_flag(args, "yes"))
        TRY(prompt_confirm(cli, "The code is right. Type approve to go on: ", "--yes", words));
    TRY(make_approval(cli, &a, &record));
    path = out ? mem_strdup(out) : mem_printf("%s.%s.approval", args->operands[0], a.own->id);
    if (!path) return err_nomem();
    TRY(file_write(path, buf_bytes(&record), 0644));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "approval", path));
    TRY(jso_set_str(json, "officer", a.own->id));
    TRY(jso_set_int(json, "needed", a.request.threshold));
    return output_done(cli, json, "Approved. Send %s back; it takes %u officers.", path,
                       a.request.threshold);
}

static const option_t approve_options[] = {
    OFFICER_KEY_OPTIONS,
    {"code", "CODE", "the code you were told by who asked; default: ask"},
    {"out", "FILE", "where the approval goes; default: REQUEST.OFFICER.approval"},
    {"yes", NULL, "do not ask; takes --code"},
    {NULL, NULL, NULL},
};

const command_t CMD_RESTORE_APPROVE = {
    .group = "restore",
    .name = "approve",
    .operands = "REQUEST",
    .summary = "Agree to opening a backup, on your own machine",
    .notes =
        "Opens your share of the backup's key, seals it to the one-time key of the request and\n"
        "signs. Neither server nor network is needed. The approval is of use to nobody else.",
    .examples = "  coffer restore approve restore.request --key anna.officer --code "
                "k7mq-3nfh-tw9r-cd5x-hj2p",
    .min = 1,
    .max = 1,
    .options = approve_options,
    .run = run_approve,
};

/* ---- open ---- */

static err_t *find_backup(const backup_repo_t *repo, const request_key_t *key, buf_t *file,
                          backup_manifest_t *ret_manifest) {
    CLEANUP(backup_names_done) backup_names_t names = {0};
    uint8_t hash[ESCROW_HASH];
    err_t *unread = NULL;
    TRY(backup_repo_list(repo, &names));
    for (size_t i = names.n; i-- > 0;) {
        err_t *e = backup_repo_read(repo, names.names[i], file, ret_manifest);
        if (e) {
            err_free(unread);
            unread = e;
            continue;
        }
        if (memcmp(ret_manifest->head.id, key->request.object.id, ESCROW_ID) != 0) continue;
        err_free(unread);
        TRY(digest_sha256(ret_manifest->head.blob, hash));
        if (memcmp(hash, key->request.blob_hash, ESCROW_HASH) != 0)
            return err_new(ERR_VERIFY, "the backup is not the one that was asked for");
        return NULL;
    }
    if (unread) return err_wrap(unread, "the backup that was asked for is not there, or this one");
    return err_new(ERR_NOT_FOUND, "the backup that was asked for is not there");
}

static err_t *read_approvals(const args_t *args, escrow_approval_t *approvals, size_t *ret_n) {
    size_t cursor = 0, n = 0;
    for (const char *path; (path = args_each(args, "approval", &cursor));) {
        CLEANUP(buf_done) buf_t record;
        buf_init(&record, LIMIT_ESCROW_RECORD);
        if (n == LIMIT_ESCROW_OFFICERS) return err_new(ERR_USAGE, "too many approvals");
        TRY(file_read(path, &record));
        TRY_WRAP(escrow_approval_parse(buf_bytes(&record), &approvals[n++]), "%s", path);
    }
    *ret_n = n;
    return NULL;
}

static err_t *combine(const args_t *args, const request_key_t *key, const backup_head_t *head,
                      secret_t **ret_secret) {
    escrow_approval_t approvals[LIMIT_ESCROW_OFFICERS];
    escrow_set_t set;
    size_t n = 0;
    TRY(escrow_set_parse(head->set, &set));
    TRY(read_approvals(args, approvals, &n));
    return escrow_recover(&key->request, &set, approvals, n, key->key, head->blob, ret_secret);
}

static err_t *show_restored(cli_t *cli, const backup_restored_t *restored, const char *to) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *dir = NULL;
    TRY(jso_object(&json));
    TRY(jso_set_int(json, "files", (int64_t)restored->files));
    TRY(jso_set_int(json, "bytes", (int64_t)restored->bytes));
    TRY(jso_set_str(json, "dir", to));
    if (!to)
        return output_done(cli, json, "The backup opens: %llu files, %llu bytes",
                           (unsigned long long)restored->files,
                           (unsigned long long)restored->bytes);
    TRY(cli_quote(to, &dir));
    return output_done(cli, json,
                       "Restored %llu files (%llu bytes) into %s\n\nNext:\n"
                       "  1. the old host must not run any more\n"
                       "  2. look through %s/coffer.conf: addresses, paths\n"
                       "  3. check the keeper's log: coffer-keeper --dir %s --verify-log\n"
                       "  4. start it:               cofferd --dir %s\n"
                       "  5. make a backup again:    coffer --dir %s backup make TO",
                       (unsigned long long)restored->files, (unsigned long long)restored->bytes, to,
                       to, dir, dir, dir);
}

static err_t *check_where(const args_t *args, const char **ret_to) {
    const char *to = args_value(args, "to");
    bool check_only = args_flag(args, "check");
    if (!to == !check_only)
        return err_new(ERR_USAGE, "either --to NEWDIR or --check says what is to be done");
    if (to && file_exists(to)) return err_new(ERR_EXISTS, "%s exists already", to);
    *ret_to = to;
    return NULL;
}

static err_t *run_open(cli_t *cli, const args_t *args) {
    CLEANUP(request_key_done) request_key_t key = {0};
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    CLEANUP(secret_free) secret_t *secret = NULL;
    CLEANUP(buf_done) buf_t file, key_file;
    backup_manifest_t manifest;
    backup_restored_t restored;
    const char *to = NULL;
    buf_init(&file, LIMIT_BACKUP_MANIFEST);
    buf_init_secret(&key_file, REQUEST_KEY_FILE_MAX);
    TRY(check_where(args, &to));
    TRY(file_read_private(args->operands[0], &key_file));
    TRY_WRAP(request_key_parse(buf_bytes(&key_file), &key), "%s", args->operands[0]);
    TRY(backup_repo_open(args->operands[1], BACKUP_REPO_READ, &repo));
    TRY(find_backup(repo, &key, &file, &manifest));
    TRY(combine(args, &key, &manifest.head, &secret));
    TRY(backup_restore(repo, &manifest, secret, to, &restored));
    if (to && !args_flag(args, "keep")) (void)unlink(args->operands[0]);
    return show_restored(cli, &restored, to);
}

static const option_t open_options[] = {
    {"approval", "FILE", "an officer's answer; repeatable"},
    {"to", "NEWDIR", "writes the instance there; must not exist"},
    {"check", NULL, "only decrypt and check everything"},
    {"keep", NULL, "leave the request's key where it is"},
    {NULL, NULL, NULL},
};

const command_t CMD_RESTORE_OPEN = {
    .group = "restore",
    .name = "open",
    .operands = "KEY DIR",
    .summary = "Open a backup with the officers' approvals and write the instance",
    .notes =
        "KEY is what coffer restore request made, DIR where the backups lie. Signatures, shares\n"
        "and every file's hash are checked; what is damaged is named (exit status 5). The new\n"
        "directory appears whole or not at all.",
    .examples = "  coffer restore open restore.key /srv/backup/coffer --to /var/lib/coffer \\\n"
                "    --approval anna.approval --approval ben.approval\n"
                "  coffer restore open restore.key /srv/backup/coffer --check \\\n"
                "    --approval anna.approval --approval ben.approval",
    .min = 2,
    .max = 2,
    .options = open_options,
    .run = run_open,
};
