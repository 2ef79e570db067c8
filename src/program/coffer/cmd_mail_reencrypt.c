/*
 * coffer mail reencrypt: old mail to the current key.
 */
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "program/coffer/mail_io.h"
#include "program/coffer/mail_keys.h"
#include "program/coffer/output.h"
#include "program/coffer/reencrypt.h"
#include "program/coffer/table.h"

enum { BAR_WIDTH = 30, STATUS_LEFT = 6, LINE_MAX_BYTES = 8192 };

typedef struct {
    cli_t *cli;
    mail_keys_t keys;
    mail_keys_t newest; /* the one that belongs to the first --to */
    cert_list_t to;
    json_t *json;
    json_t *left; /* its array */
    uint64_t total, seen;
    int64_t renewed, current, plain, unreadable;
    bool bar;
} work_t;

static void work_done(work_t *w) {
    mail_keys_done(&w->keys);
    mail_keys_done(&w->newest);
    cert_list_done(&w->to);
    jso_free(w->json);
}
DEFINE_CLEANUP_VALUE(work_t, work_done)

static void show_bar(const work_t *w) {
    char bar[BAR_WIDTH + 1];
    uint64_t total = w->total > w->seen ? w->total : w->seen;
    size_t full = total ? (size_t)(w->seen * BAR_WIDTH / total) : BAR_WIDTH;
    for (size_t i = 0; i < BAR_WIDTH; i++) bar[i] = i < full ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    (void)fprintf(w->cli->err, "\r[%s] %llu of %llu ", bar, (unsigned long long)w->seen,
                  (unsigned long long)total);
    (void)fflush(w->cli->err);
}

/* A line for what stays unreadable: path, place, reason. */
static err_t *say_left(work_t *w, const char *path, uint64_t offset, const err_t *why) {
    char reason[512];
    CLEANUP(buf_done) buf_t line, clean;
    json_t *one;
    buf_init(&line, LINE_MAX_BYTES);
    buf_init(&clean, (size_t)LINE_MAX_BYTES * 4);
    (void)err_text(why, reason, sizeof reason);
    TRY(table_escape(bytes_str(path), &clean));
    if (w->cli->json) {
        TRY(jso_add_object(w->left, &one));
        TRY(jso_set_string(one, "path", buf_bytes(&clean)));
        TRY(jso_set_int(one, "offset", (int64_t)offset));
        return jso_set_str(one, "reason", reason);
    }
    if (w->bar) (void)fputc('\n', w->cli->err);
    TRY(buf_add(&line, buf_bytes(&clean)));
    TRY(buf_printf(&line, "\t%llu\t%s\n", (unsigned long long)offset, reason));
    return cli_print(w->cli, &line);
}

static err_t *on_message(void *arg, const char *path, uint64_t offset, reseal_kind_t kind,
                         const err_t *why) {
    work_t *w = arg;
    w->seen++;
    if (w->bar) show_bar(w);
    if (why) {
        w->unreadable++;
        return say_left(w, path, offset, why);
    }
    switch (kind) {
    case RESEAL_PLAIN: w->plain++; break;
    case RESEAL_CURRENT: w->current++; break;
    case RESEAL_OPENED: w->renewed++; break;
    }
    return NULL;
}

/* The first --to is the person's own: only with its key can a new copy be proven. */
static err_t *find_newest(work_t *w) {
    for (size_t i = 0; i < w->keys.n; i++) {
        if (!cert_same(w->keys.certs[i], w->to.certs[0])) continue;
        w->newest.certs[0] = cert_share(w->keys.certs[i]);
        w->newest.keys[0] = pkey_share(w->keys.keys[i]);
        w->newest.n = 1;
        return NULL;
    }
    return err_new(ERR_USAGE, "the key of the first --to must be among --key: each new copy is "
                              "opened with it before it takes the old one's place");
}

static err_t *read_options(const args_t *args, reencrypt_t *job) {
    const char *cipher = args_value(args, "cipher");
    job->dry_run = args_flag(args, "dry-run");
    job->reseal.encryption.oaep = args_flag(args, "oaep");
    if (!cipher) return NULL;
    job->reseal.any_cipher = true;
    if (strcmp(cipher, "aes256-cbc") == 0) job->reseal.encryption.cipher = CMS_AES256_CBC;
    else if (strcmp(cipher, "aes256-gcm") == 0) job->reseal.encryption.cipher = CMS_AES256_GCM;
    else return err_new(ERR_USAGE, "--cipher is aes256-cbc or aes256-gcm");
    return NULL;
}

static err_t *sum_up(cli_t *cli, const work_t *w) {
    if (w->bar) (void)fputc('\n', cli->err);
    cli->status = w->unreadable ? STATUS_LEFT : CLI_DONE;
    if (!cli->json)
        return cli_say(cli,
                       "%lld re-encrypted, %lld were current, %lld not encrypted, %lld left "
                       "as they are.\n",
                       (long long)w->renewed, (long long)w->current, (long long)w->plain,
                       (long long)w->unreadable);
    TRY(jso_set_int(w->json, "reencrypted", w->renewed));
    TRY(jso_set_int(w->json, "current", w->current));
    TRY(jso_set_int(w->json, "plain", w->plain));
    return output_json(cli, w->json);
}

static err_t *run_all(work_t *w, const args_t *args, const reencrypt_t *job) {
    for (size_t i = 0; i < args->operands_n; i++) {
        uint64_t count = 0;
        TRY(reencrypt_count(args->operands[i], &count));
        w->total += count;
    }
    for (size_t i = 0; i < args->operands_n; i++) {
        const char *path = args->operands[i];
        struct stat st;
        if (stat(path, &st) != 0) return err_new(ERR_NOT_FOUND, "there is no %s", path);
        TRY(S_ISDIR(st.st_mode) ? reencrypt_tree(job, path) : reencrypt_file(job, path));
    }
    return NULL;
}

static err_t *run_reencrypt(cli_t *cli, const args_t *args) {
    work_t w CLEANUP(work_done) = {.cli = cli, .bar = cli->terminal && !cli->json};
    TRY(mail_keys_read(args, &w.keys));
    TRY(mail_certs_read(args, "to", &w.to));
    if (!w.to.n) return err_new(ERR_USAGE, "give --to CERTIFICATE of the new key");
    TRY(find_newest(&w));
    TRY(jso_object(&w.json));
    TRY(jso_set_array(w.json, "left", &w.left));
    static const cert_list_t nobody = {0};
    reencrypt_t job = {.reseal = {.find_key = mail_keys_find,
                                  .arg = &w.keys,
                                  .recipients = &w.to,
                                  .rnd = cli->rnd,
                                  .max = MAIL_IO_MAX},
                       .each = on_message,
                       .arg = &w};
    TRY(read_options(args, &job));
    job.proof = job.reseal;
    job.proof.arg = &w.newest;
    job.proof.recipients = &nobody;
    err_t *e = run_all(&w, args, &job);
    if (!e) return sum_up(cli, &w);
    if (w.bar) (void)fputc('\n', cli->err);
    return err_wrap(e, "stopped after %lld messages; every one is there, run again to go on",
                    (long long)w.seen);
}

static const option_t options[] = {
    {"to", "FILE", "the new certificate (PEM or DER), one's own first; repeatable"},
    {"key", "FILE", "every key ever, the new one too: PKCS#12 or PEM; repeatable"},
    {"passphrase-file", "FILE", "the key files' passphrase, - standard input"},
    {"cipher", "NAME", "aes256-cbc or aes256-gcm; default: as each message was"},
    {"oaep", NULL, "RSAES-OAEP for RSA keys; old clients can't read it"},
    {"dry-run", NULL, "only say what would be done"},
    {NULL, NULL, NULL},
};

const command_t CMD_MAIL_REENCRYPT = {
    .group = "mail",
    .name = "reencrypt",
    .operands = "PATH...",
    .summary = "Put old mail into new envelopes, for the current key",
    .notes =
        "PATH is a Maildir, a folder of mailbox files and *.eml, or one such file. Only the "
        "envelope is made\nanew: header, signatures and content stay byte for byte, and so do "
        "names, flags and times. Each\nnew copy is written beside, synced, opened with the new key "
        "and compared before it takes the old\none's place, so a kill, a full disk or a crash "
        "costs nothing: run it again, it goes on. What can't\nbe opened is named and left alone "
        "(exit status 6), and so is what has an envelope inside:\nbelow a signature, or among "
        "parts. No server is needed.",
    .examples = "  coffer mail reencrypt --key old.p12 --key new.p12 --passphrase-file p --to "
                "new.pem ~/Maildir\n"
                "  coffer mail reencrypt --key all.pem --to new.pem --dry-run archive.mbox",
    .min = 1,
    .max = ARGS_OPERANDS_MAX,
    .options = options,
    .run = run_reencrypt,
};
