/*
 * coffer backup make, list, verify, prune: backups of the instance in a directory. make talks to
 * the running instance, which seals its part in the key process; the others need neither instance
 * nor keys.
 */
#include <stdio.h>
#include <string.h>

#include "backup/backup_check.h"
#include "backup/backup_make.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"
#include "program/common/settings.h"

enum { ANSWER_MAX = 512 * 1024, KEY_FILE_MAX = 64 * 1024, KEEP_MAX = LIMIT_BACKUP_KEPT };

/* ---- the keeper's part, through the API ---- */

static err_t *backup_url(const uint8_t *id, const char *what, char **ret_path) {
    char text[ESCROW_ID_TEXT];
    escrow_id_text(id, text);
    char *path = mem_printf("/backups/%s/%s", text, what);
    if (!path) return err_nomem();
    *ret_path = path;
    return NULL;
}

static err_t *post_bytes(cli_t *cli, const char *path, const json_t *body, size_t max, buf_t *out) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, LIMIT_HTTP_BODY_FORM);
    TRY(jso_write(body, false, &text));
    return remote_bytes(cli, "POST", path, "application/json", buf_bytes(&text), max, out);
}

static err_t *source_begin(void *ctx, const uint8_t id[ESCROW_ID],
                           const uint8_t generation[ESCROW_ID], buf_t *ret_keys) {
    CLEANUP(jso_free) json_t *body = NULL;
    char text[ESCROW_ID_TEXT];
    TRY(jso_object(&body));
    escrow_id_text(id, text);
    TRY(jso_set_str(body, "id", text));
    escrow_id_text(generation, text);
    TRY(jso_set_str(body, "generation", text));
    TRY(post_bytes(ctx, "/backups", body, 2 * ESCROW_KEY, ret_keys));
    return ret_keys->n == 2 * ESCROW_KEY ? NULL : err_new(ERR_INVALID, "the answer is no keys");
}

static err_t *source_copy(void *ctx, const uint8_t id[ESCROW_ID], uint32_t *ret_left) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *answer = NULL;
    int64_t left = 0;
    TRY(backup_url(id, "copy", &path));
    TRY(remote_call(ctx, "POST", path, NULL, &answer));
    if (!answer) return err_new(ERR_INVALID, "the server's answer is empty");
    TRY(jso_get_int(answer, "left", 0, UINT32_MAX, true, &left));
    *ret_left = (uint32_t)left;
    return NULL;
}

static err_t *source_read(void *ctx, const uint8_t id[ESCROW_ID], uint32_t first,
                          buf_t *ret_chunks) {
    CLEANUP(mem_free) char *path = NULL;
    char what[32];
    (void)snprintf(what, sizeof what, "chunks/%u", first);
    TRY(backup_url(id, what, &path));
    return remote_bytes(ctx, "GET", path, NULL, BYTES_NONE, ANSWER_MAX, ret_chunks);
}

static err_t *source_finish(void *ctx, const backup_head_t *head, buf_t *ret_head) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *body = NULL;
    TRY(backup_url(head->id, "finish", &path));
    TRY(jso_object(&body));
    TRY(jso_set_str(body, "label", head->label));
    TRY(jso_set_int(body, "file_chunks", head->file_chunks));
    TRY(jso_set_base64(body, "table_hash", BYTES_ARRAY(head->table_hash)));
    TRY(jso_set_int(body, "index_size", (int64_t)head->index_size));
    TRY(jso_set_base64(body, "index_hash", BYTES_ARRAY(head->index_hash)));
    return post_bytes(ctx, path, body, LIMIT_BACKUP_HEAD, ret_head);
}

/* ---- make ---- */

static err_t *show_made(cli_t *cli, const backup_made_t *made, const char *dir) {
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "name", made->name));
    TRY(jso_set_str(json, "dir", dir));
    TRY(jso_set_int(json, "files", (int64_t)made->files));
    TRY(jso_set_int(json, "bytes", (int64_t)made->bytes));
    TRY(jso_set_int(json, "chunks", (int64_t)made->chunks));
    TRY(jso_set_int(json, "new_chunks", (int64_t)made->new_chunks));
    TRY(jso_set_int(json, "written", (int64_t)made->written));
    TRY(jso_set_int(json, "skipped", (int64_t)made->skipped));
    return output_done(cli, json,
                       "Backup %s in %s: %llu chunks, %llu of them new, %llu bytes written%s",
                       made->name, dir, (unsigned long long)made->chunks,
                       (unsigned long long)made->new_chunks, (unsigned long long)made->written,
                       made->skipped ? "; links and sockets were left out" : "");
}

static err_t *run_make(cli_t *cli, const args_t *args) {
    CLEANUP(settings_done) settings_t settings = {0};
    const char *label = args_value(args, "label");
    backup_made_t made;
    if (!cli_dir(cli) || args_value(args, "server"))
        return err_new(ERR_USAGE, "coffer backup make runs on the instance's host, with --dir");
    TRY(settings_load(cli_dir(cli), &settings));
    backup_make_t make = {
        .instance = cli_dir(cli),
        .dir = args->operands[0],
        .label = label ? label : settings.url,
        .full = args_flag(args, "full"),
        .rnd = cli->rnd,
        .source = {cli, source_begin, source_copy, source_read, source_finish},
    };
    if (strlen(make.label) > LIMIT_BACKUP_LABEL)
        return err_new(ERR_USAGE, "a label has at most %d bytes", LIMIT_BACKUP_LABEL);
    TRY(backup_make(&make, &made));
    return show_made(cli, &made, args->operands[0]);
}

static const option_t make_options[] = {
    {"full", NULL, "write everything, share nothing with earlier backups"},
    {"label", "TEXT", "what it is of, for people; default: the instance's URL"},
    {NULL, NULL, NULL},
};

const command_t CMD_BACKUP_MAKE = {
    .group = "backup",
    .name = "make",
    .operands = "TO",
    .summary = "Back the running instance up into the directory TO, encrypted to the officers",
    .notes =
        "Everything to run it elsewhere: database, vault and its master key, coffer.conf, tls,\n"
        "push, public and other files of DIR. M officers together can open it (coffer restore),\n"
        "nobody else; without an active officers' set it is refused. Later backups into the\n"
        "same TO write what changed. Run it on the instance's host as the instance's owner.",
    .examples = "  coffer --dir /var/lib/coffer backup make /srv/backup/coffer\n"
                "  coffer backup make /mnt/usb/coffer --full",
    .min = 1,
    .max = 1,
    .options = make_options,
    .run = run_make,
};

/* ---- list ---- */

static err_t *describe(const backup_repo_t *repo, const char *name, json_t *item) {
    CLEANUP(buf_done) buf_t file;
    backup_manifest_t manifest;
    escrow_set_t set;
    uint64_t bytes = 0;
    char id[ESCROW_ID_TEXT];
    buf_init(&file, LIMIT_BACKUP_MANIFEST);
    TRY(backup_repo_read(repo, name, &file, &manifest));
    TRY(backup_check_head(&manifest.head, &set));
    size_t chunks = manifest.table.n / BACKUP_ENTRY;
    for (size_t i = 0; i < chunks; i++) bytes += backup_entry_get(manifest.table, i).size;
    escrow_id_text(manifest.head.id, id);
    TRY(jso_set_str(item, "id", id));
    TRY(jso_set_time(item, "created", manifest.head.created / 1000));
    TRY(jso_set_str(item, "label", manifest.head.label));
    TRY(jso_set_int(item, "officers_set", (int64_t)set.epoch));
    TRY(jso_set_int(item, "officers_needed", set.threshold));
    TRY(jso_set_int(item, "chunks", (int64_t)chunks));
    return jso_set_int(item, "bytes", (int64_t)bytes);
}

static err_t *run_list(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"name", "BACKUP"},
        {"created", "MADE"},
        {"label", "OF"},
        {"officers_set", "SET"},
        {"officers_needed", "OFFICERS"},
        {"bytes", "BYTES"},
        {"error", "ERROR"},
        {NULL, NULL},
    };
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    CLEANUP(backup_names_done) backup_names_t names = {0};
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *list = NULL, *item = NULL;
    TRY(backup_repo_open(args->operands[0], BACKUP_REPO_READ, &repo));
    TRY(backup_repo_list(repo, &names));
    TRY(jso_object(&json));
    TRY(jso_set_array(json, "backups", &list));
    for (size_t i = 0; i < names.n; i++) {
        char why[512];
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "name", names.names[i]));
        err_t *e = describe(repo, names.names[i], item);
        if (e && err_code(e) == ERR_NOMEM) return e;
        if (e) TRY(jso_set_str(item, "error", err_text(e, why, sizeof why)));
        err_free(e);
    }
    return output_list(cli, json, "backups", columns, "No backups there.");
}

const command_t CMD_BACKUP_LIST = {
    .group = "backup",
    .name = "list",
    .operands = "DIR",
    .summary = "List the backups in a directory",
    .notes = "BYTES is what a backup needs by itself; backups share most of it.",
    .examples = "  coffer backup list /srv/backup/coffer",
    .min = 1,
    .max = 1,
    .run = run_list,
};

/* ---- verify ---- */

static err_t *read_key(const char *path, buf_t *der) {
    static const bytes_t head = BYTES_LIT("-----BEGIN PUBLIC KEY-----");
    static const bytes_t tail = BYTES_LIT("-----END PUBLIC KEY-----");
    CLEANUP(buf_done) buf_t file;
    buf_init(&file, KEY_FILE_MAX);
    TRY(file_read(path, &file));
    bytes_t text = text_trim(buf_bytes(&file));
    if (!bytes_starts(text, head)) return buf_add(der, buf_bytes(&file));
    if (text.n < head.n + tail.n || !bytes_eq(bytes_from(text, text.n - tail.n), tail))
        return err_new(ERR_INVALID, "%s is no public key in PEM", path);
    TRY_WRAP(text_unbase64(bytes_slice(text, head.n, text.n - head.n - tail.n), der), "%s", path);
    return NULL;
}

static void on_problem(void *ctx, const char *backup, const err_t *e) {
    const cli_t *cli = ctx;
    char why[1024];
    (void)fprintf(cli->err, "coffer: %s: %s\n", backup, err_text(e, why, sizeof why));
}

static err_t *run_verify(cli_t *cli, const args_t *args) {
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    CLEANUP(buf_done) buf_t key;
    CLEANUP(jso_free) json_t *json = NULL;
    const char *key_file = args_value(args, "key");
    const char *name = args->operands_n > 1 ? args->operands[1] : NULL;
    backup_report_t report = {cli, on_problem};
    backup_checked_t checked = {0};
    buf_init(&key, KEY_FILE_MAX);
    if (key_file) TRY(read_key(key_file, &key));
    TRY(backup_repo_open(args->operands[0], BACKUP_REPO_READ, &repo));
    TRY(backup_check(repo, name, buf_bytes(&key), &report, &checked));
    if (checked.backups == 0) return err_new(ERR_NOT_FOUND, "there are no backups there");
    TRY(jso_object(&json));
    TRY(jso_set_int(json, "backups", (int64_t)checked.backups));
    TRY(jso_set_int(json, "chunks", (int64_t)checked.chunks));
    TRY(jso_set_int(json, "bytes", (int64_t)checked.bytes));
    return output_done(cli, json, "%llu backups with %llu chunks (%llu bytes) are whole%s",
                       (unsigned long long)checked.backups, (unsigned long long)checked.chunks,
                       (unsigned long long)checked.bytes,
                       key_file ? "" : "; with --key it is checked who signed them, too");
}

static const option_t verify_options[] = {
    {"key", "FILE", "who must have signed: public/audit-key.pem of the instance"},
    {NULL, NULL, NULL},
};

const command_t CMD_BACKUP_VERIFY = {
    .group = "backup",
    .name = "verify",
    .operands = "DIR [BACKUP]",
    .summary = "Check backups without any key: structure, hashes, signature, every chunk",
    .notes =
        "Says every problem it finds (exit status 5). That the content opens, too, is told by\n"
        "coffer restore open --check with the officers' approvals.",
    .examples = "  coffer backup verify /srv/backup/coffer --key audit-key.pem",
    .min = 1,
    .max = 2,
    .options = verify_options,
    .run = run_verify,
};

/* ---- prune ---- */

static err_t *run_prune(cli_t *cli, const args_t *args) {
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    backup_pruned_t pruned;
    long keep = 0;
    TRY(args_number(args, "keep", 1, KEEP_MAX, 0, &keep));
    if (keep == 0) return err_new(ERR_USAGE, "--keep N says how many backups stay");
    TRY(backup_repo_open(args->operands[0], BACKUP_REPO_WRITE, &repo));
    TRY(backup_prune(repo, (size_t)keep, &pruned));
    TRY(jso_object(&json));
    TRY(jso_set_int(json, "kept", (int64_t)pruned.kept));
    TRY(jso_set_int(json, "removed", (int64_t)pruned.removed));
    TRY(jso_set_int(json, "chunks_removed", (int64_t)pruned.chunks));
    TRY(jso_set_int(json, "bytes_removed", (int64_t)pruned.bytes));
    return output_done(cli, json, "%llu backups kept, %llu removed with %llu chunks (%llu bytes)",
                       (unsigned long long)pruned.kept, (unsigned long long)pruned.removed,
                       (unsigned long long)pruned.chunks, (unsigned long long)pruned.bytes);
}

static const option_t prune_options[] = {
    {"keep", "N", "how many of the newest backups stay, at least 1"},
    {NULL, NULL, NULL},
};

const command_t CMD_BACKUP_PRUNE = {
    .group = "backup",
    .name = "prune",
    .operands = "DIR",
    .summary = "Remove old backups and what only they needed",
    .notes =
        "Removes nothing while a backup that stays cannot be read. Interrupted, it can be run\n"
        "again.",
    .examples = "  coffer backup prune /srv/backup/coffer --keep 14",
    .min = 1,
    .max = 1,
    .options = prune_options,
    .run = run_prune,
};
