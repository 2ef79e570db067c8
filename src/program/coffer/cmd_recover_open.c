/*
 * coffer recover open: at the recipient. Fetches blob and approvals, which the server hands out to
 * one machine until that says that it has the secret on its disk; combines the shares here, and
 * writes the secret, or for a key pair a PKCS#12 file. Who gave a wrong share is named, here and to
 * the server, and the request waits for another officer.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/p12.h"
#include "escrow/request_key.h"
#include "keeper/escrow_seal.h"
#include "program/coffer/officer_local.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/recover_opening.h"
#include "program/coffer/remote.h"

enum { APPROVALS_MAX = LIMIT_ESCROW_OFFICERS, CERTIFICATES_MAX = 256 * 1024 };

typedef struct {
    request_key_t request;
    const char *id, *out;
    char *path; /* of the request's key */
    char id_text[ESCROW_ID_TEXT];
    buf_t password; /* of the PKCS#12 file */
    buf_t blob, set, certificates;
    escrow_set_t officers;
    escrow_approval_t approvals[APPROVALS_MAX];
    size_t approvals_n;
    char wrong[APPROVALS_MAX][LIMIT_ESCROW_OFFICER + 1]; /* officers whose approvals don't hold */
    size_t wrong_n;
    recover_opening_t opening;
    secret_t *secret;
    bool is_pair;
    const char *rotation; /* borrowed from answer */
    json_t *answer;
} opening_t;

static void opening_init(opening_t *o) {
    *o = (opening_t){0};
    buf_init_secret(&o->password, P12_PASSWORD_MAX);
    buf_init(&o->blob, LIMIT_ESCROW_RECORD);
    buf_init(&o->set, LIMIT_ESCROW_RECORD);
    buf_init(&o->certificates, CERTIFICATES_MAX);
}

static void opening_done(opening_t *o) {
    request_key_done(&o->request);
    mem_free(o->path);
    recover_opening_done(&o->opening);
    buf_done(&o->password);
    buf_done(&o->blob);
    buf_done(&o->set);
    buf_done(&o->certificates);
    secret_free(o->secret);
    jso_free(o->answer);
}

DEFINE_CLEANUP_VALUE(opening_t, opening_done)

/* ---- before anything is fetched: it is handed out once ---- */

/* The request's file; an id stands for the name that coffer recover request gave it here. */
static err_t *find_file(const char *given, opening_t *o) {
    uint8_t id[ESCROW_ID];
    err_t *e = escrow_id_parse(bytes_str(given), id);
    bool is_id = !e && !file_exists(given);
    err_free(e);
    o->path = is_id ? mem_printf("recovery-%s.key", given) : mem_strdup(given);
    return o->path ? NULL : err_nomem();
}

static err_t *read_request(const args_t *args, opening_t *o) {
    CLEANUP(buf_done) buf_t file;
    buf_init_secret(&file, REQUEST_KEY_FILE_MAX);
    TRY(find_file(args->operands[0], o));
    TRY_WRAP(file_read_private(o->path, &file), "the request's key, made where it was asked for");
    TRY_WRAP(request_key_parse(buf_bytes(&file), &o->request), "%s", o->path);
    escrow_id_text(o->request.request.id, o->id_text);
    o->id = o->id_text;
    o->is_pair = o->request.request.object.has_spki;
    return NULL;
}

static err_t *get_password(cli_t *cli, const args_t *args, opening_t *o) {
    const char *file = args_value(args, "password-file");
    if (!o->is_pair) return NULL;
    if (file) TRY(prompt_secret_file(file, &o->password));
    else TRY(prompt_new_password(cli, "the PKCS#12 file", &o->password));
    if (o->password.n < LIMIT_PASSWORD_MIN)
        return err_new(ERR_INVALID, "the password has fewer than %d characters",
                       LIMIT_PASSWORD_MIN);
    return NULL;
}

/* What a run that died before it wrote left behind. */
static bool is_own_rest(const opening_t *o) {
    struct stat st;
    return o->opening.resumed && lstat(o->out, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_size == 0 && st.st_uid == geteuid();
}

/* Makes the file, so that a full disk or a wrong directory is known before. */
static err_t *check_out(const args_t *args, opening_t *o) {
    o->out = args_value(args, "out");
    if (!o->out) return err_new(ERR_USAGE, "--out FILE says where the secret goes");
    if (file_exists(o->out) && !is_own_rest(o))
        return err_new(ERR_EXISTS, "%s exists already", o->out);
    return file_write(o->out, BYTES_NONE, 0600);
}

/* ---- fetching and combining ---- */

static err_t *read_approvals(opening_t *o) {
    json_t *list = NULL;
    TRY(jso_get_array(o->answer, "approval_records", APPROVALS_MAX, true, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        CLEANUP(buf_done) buf_t record;
        bytes_t text;
        buf_init(&record, LIMIT_ESCROW_RECORD);
        TRY(jso_at_string(list, i, LIMIT_ESCROW_RECORD * 2, &text));
        TRY(text_unbase64(text, &record));
        TRY(escrow_approval_parse(buf_bytes(&record), &o->approvals[o->approvals_n++]));
    }
    return NULL;
}

static err_t *opening_body(const opening_t *o, json_t **ret_body) {
    CLEANUP(jso_free) json_t *body = NULL;
    TRY(jso_object(&body));
    TRY(jso_set_base64(body, "opening", BYTES_ARRAY(o->opening.bytes)));
    *ret_body = STEAL(body);
    return NULL;
}

static err_t *fetch(cli_t *cli, opening_t *o) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(jso_free) json_t *body = NULL;
    bytes_t rotation = BYTES_LIT("");
    TRY(opening_body(o, &body));
    TRY(remote_path(&path, "/recoveries/%/open", o->id));
    TRY(remote_call(cli, "POST", path, body, &o->answer));
    TRY(officer_get_record(o->answer, "blob", &o->blob));
    TRY(officer_get_record(o->answer, "set_record", &o->set));
    TRY(jso_get_base64(o->answer, "certificates", false, &o->certificates));
    TRY(jso_get_string(o->answer, "rotation", 1024, false, &rotation));
    o->rotation = (const char *)rotation.p;
    TRY(escrow_set_parse(buf_bytes(&o->set), &o->officers));
    return read_approvals(o);
}

/* Sets aside approvals that do not hold, naming their officers: others may be enough. */
static err_t *drop_bad(cli_t *cli, opening_t *o) {
    size_t good = 0;
    for (size_t i = 0; i < o->approvals_n; i++) {
        CLEANUP(secret_free) secret_t *y = NULL;
        char why[512];
        err_t *e = escrow_approval_verify(&o->request.request, &o->officers, &o->approvals[i]);
        if (!e) e = escrow_approval_open(&o->request.request, &o->approvals[i], o->request.key, &y);
        if (!e) {
            o->approvals[good++] = o->approvals[i];
            continue;
        }
        if (err_code(e) == ERR_NOMEM) return e;
        (void)fprintf(cli->err, "coffer: set aside: %s\n", err_text(e, why, sizeof why));
        err_free(e);
        memcpy(o->wrong[o->wrong_n++], o->approvals[i].officer, sizeof o->wrong[0]);
    }
    o->approvals_n = good;
    if (good < o->request.request.threshold)
        return err_new(ERR_VERIFY, "%zu approvals hold, it takes %u", good,
                       o->request.request.threshold);
    return NULL;
}

static err_t *recover(opening_t *o, const escrow_approval_t *approvals, size_t n) {
    return escrow_recover(&o->request.request, &o->officers, approvals, n, o->request.key,
                          buf_bytes(&o->blob), &o->secret);
}

/* More than are needed, and they don't give the secret: without one of them they may. */
static bool recover_without_one(cli_t *cli, opening_t *o) {
    for (size_t i = 0; i < o->approvals_n && o->approvals_n > o->request.request.threshold; i++) {
        escrow_approval_t others[APPROVALS_MAX];
        size_t n = 0;
        for (size_t k = 0; k < o->approvals_n; k++)
            if (k != i) others[n++] = o->approvals[k];
        err_t *e = recover(o, others, n);
        if (!e)
            (void)fprintf(cli->err, "coffer: set aside: the share of officer %s is wrong\n",
                          o->approvals[i].officer);
        else err_free(e);
        if (!e) return true;
    }
    return false;
}

static err_t *combine(cli_t *cli, opening_t *o) {
    TRY(drop_bad(cli, o));
    err_t *e = recover(o, o->approvals, o->approvals_n);
    if (e && err_code(e) == ERR_VERIFY && recover_without_one(cli, o)) {
        err_free(e);
        return NULL;
    }
    if (e && err_code(e) == ERR_VERIFY && o->officers.epoch > 1)
        (void)fprintf(
            cli->err,
            "coffer: somebody may have dealt wrongly to officers' set %llu. Nobody should "
            "say coffer officer finish; while the old shares are kept, others of the set "
            "before can deal anew: coffer officer redeal --dealers\n",
            (unsigned long long)o->officers.epoch);
    return e;
}

/* ---- writing ---- */

static err_t *write_pair(opening_t *o) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    CLEANUP(buf_done) buf_t out;
    uint8_t spki[ESCROW_HASH];
    buf_init_secret(&out, P12_BYTES_MAX);
    TRY_WRAP(pkey_parse_private_der(secret_bytes(o->secret), &key), "the recovered key");
    TRY(pkey_spki_sha256(key, spki));
    if (memcmp(spki, o->request.request.object.spki, ESCROW_HASH) != 0)
        return err_new(ERR_VERIFY, "the recovered key is not the one that was archived");
    TRY_WRAP(cert_parse_der(buf_bytes(&o->certificates), &cert), "the key's certificate");
    p12_spec_t spec = {.key = key, .cert = cert, .name = "recovered", .cipher = P12_AES256};
    TRY(p12_write(&spec, buf_bytes(&o->password), &out));
    return file_write(o->out, buf_bytes(&out), 0600);
}

static err_t *write_out(opening_t *o) {
    if (o->is_pair) return write_pair(o);
    return file_write(o->out, secret_bytes(o->secret), 0600);
}

/* The key is of no use any more: its request was opened. */
static err_t *drop_key(const char *path) {
    static const uint8_t zeros[REQUEST_KEY_FILE_MAX] = {0};
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    struct stat st;
    if (fstat(fd, &st) != 0) return err_errno(errno, "cannot look at %s", path);
    size_t n = (size_t)st.st_size < sizeof zeros ? (size_t)st.st_size : sizeof zeros;
    TRY_WRAP(file_write_fd(fd, bytes_make(zeros, n)), "cannot overwrite %s", path);
    if (fsync(fd) != 0 || unlink(path) != 0) return err_errno(errno, "cannot remove %s", path);
    return NULL;
}

/* So that another officer can approve in the place of one whose share is wrong. */
static err_t *tell_wrong(cli_t *cli, const opening_t *o) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(mem_free) char *path = NULL;
    json_t *officers = NULL;
    TRY(opening_body(o, &body));
    TRY(jso_set_array(body, "officers", &officers));
    for (size_t i = 0; i < o->wrong_n; i++) TRY(jso_add_string(officers, bytes_str(o->wrong[i])));
    TRY(remote_path(&path, "/recoveries/%/wrong", o->id));
    TRY(remote_call(cli, "POST", path, body, NULL));
    (void)fprintf(cli->err,
                  "coffer: request %s waits again: let another officer approve it, under the same "
                  "code, and open it once more here\n",
                  o->id);
    return NULL;
}

/* The server keeps its answer until it hears that it is on the disk here. */
static err_t *tell_received(cli_t *cli, const opening_t *o) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(mem_free) char *path = NULL;
    TRY(opening_body(o, &body));
    TRY(remote_path(&path, "/recoveries/%/received", o->id));
    return remote_call(cli, "POST", path, body, NULL);
}

static void warn(cli_t *cli, const char *what, err_t *e) {
    char why[512];
    if (e) (void)fprintf(cli->err, "coffer: %s: %s\n", what, err_text(e, why, sizeof why));
    err_free(e);
}

static err_t *open_it(cli_t *cli, opening_t *o) {
    TRY(fetch(cli, o));
    err_t *e = combine(cli, o);
    if (e && err_code(e) == ERR_VERIFY)
        warn(cli, "the server could not be told of it", tell_wrong(cli, o));
    if (e) return err_wrap(e, "request %s", o->id);
    TRY(write_out(o));
    warn(cli, "the server could not be told that it arrived", tell_received(cli, o));
    return NULL;
}

static err_t *run_open(cli_t *cli, const args_t *args) {
    CLEANUP(opening_done) opening_t o;
    CLEANUP(jso_free) json_t *json = NULL;
    opening_init(&o);
    TRY(read_request(args, &o));
    TRY(get_password(cli, args, &o));
    TRY(recover_opening_begin(o.path, cli->rnd, &o.opening));
    TRY(check_out(args, &o));
    err_t *e = open_it(cli, &o);
    if (e) {
        (void)unlink(o.out);
        return e;
    }
    if (!args_flag(args, "keep")) TRY(drop_key(o.path));
    if (!args_flag(args, "keep")) TRY(recover_opening_drop(&o.opening));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "request", o.id));
    TRY(jso_set_str(json, "file", o.out));
    TRY(jso_set_str(json, "kind", o.request.request.object.kind));
    TRY(jso_set_str(json, "rotation", o.rotation));
    return output_done(cli, json, "Recovered into %s%s.\nWhat has been seen should be replaced: %s",
                       o.out, o.is_pair ? " (PKCS#12)" : "", o.rotation);
}

static const option_t open_options[] = {
    {"out", "FILE", "where the secret goes (0600); must not exist"},
    {"password-file", "FILE", "password of the PKCS#12 file of a key pair; - is standard input"},
    {"keep", NULL, "leave the request's key where it is"},
    {NULL, NULL, NULL},
};

const command_t CMD_RECOVER_OPEN = {
    .group = "recover",
    .name = "open",
    .operands = "FILE.key|REQUEST",
    .summary = "Open an approved recovery request, where it was made",
    .notes = "FILE.key is what coffer recover request made; a request's id stands for\n"
             "recovery-ID.key in this directory. Signatures, shares and the blob are\n"
             "checked here; an officer whose share is wrong is named, and the request waits for\n"
             "another. A key pair comes as PKCS#12 (AES-256), everything else as it was archived.\n"
             "It is opened by one machine: FILE.key.opening lets this one go on after a crash,\n"
             "until the secret is on its disk.",
    .examples = "  coffer recover open recovery-90b1....key --out ben.p12\n"
                "  coffer recover open recovery-90b1....key --out disk.key",
    .min = 1,
    .max = 1,
    .options = open_options,
    .run = run_open,
};
