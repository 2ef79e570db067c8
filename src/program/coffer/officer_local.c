/*
 * The officer's side: see officer_local.h. On the officer's machine; main thread.
 */
#include "program/coffer/officer_local.h"

#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "escrow/request_key.h"
#include "keeper/escrow_seal.h"
#include "program/coffer/prompt.h"
#include "program/coffer/remote.h"
#include "program/coffer/table.h"

enum { SIGNATURES_MAX = LIMIT_ESCROW_OFFICERS, CODE_MAX = 256 };

static err_t *key_path(const args_t *args, const char **ret_path) {
    const char *path = args_value(args, "key");
    if (!path) return err_new(ERR_USAGE, "--key FILE says which officer you are");
    *ret_path = path;
    return NULL;
}

err_t *officer_unlock(cli_t *cli, const args_t *args, officer_key_t *ret_key) {
    CLEANUP(buf_done) buf_t record, passphrase;
    const char *path = NULL, *file = args_value(args, "passphrase-file");
    buf_init_secret(&record, OFFICER_KEY_FILE_MAX);
    buf_init_secret(&passphrase, LIMIT_PASSWORD_MAX);
    TRY(key_path(args, &path));
    TRY_WRAP(file_read_private(path, &record), "the officer's file");
    if (file) TRY(prompt_secret_file(file, &passphrase));
    else if (!cli->interactive)
        return err_new(ERR_DENIED, "nobody is there to ask for the passphrase: use "
                                   "--passphrase-file FILE (0600), or - for standard input");
    else TRY(prompt_password(cli, "Passphrase of", path, &passphrase));
    return officer_key_open(buf_bytes(&record), buf_bytes(&passphrase), ret_key);
}

err_t *officer_get_record(const json_t *object, const char *name, buf_t *out) {
    return jso_get_base64(object, name, true, out);
}

err_t *officer_record_body(bytes_t record, json_t **ret_body) {
    CLEANUP(jso_free) json_t *body = NULL;
    TRY(jso_object(&body));
    TRY(jso_set_base64(body, "record", record));
    *ret_body = STEAL(body);
    return NULL;
}

err_t *officer_in_set(const escrow_set_t *set, const officer_key_t *key,
                      const escrow_officer_t **ret_officer) {
    for (size_t i = 0; i < set->n; i++) {
        const escrow_officer_t *o = &set->officers[i];
        if (memcmp(o->hpke, key->file.hpke, ESCROW_KEY) != 0 ||
            memcmp(o->sign, key->file.sign, ESCROW_KEY) != 0)
            continue;
        *ret_officer = o;
        return NULL;
    }
    return err_new(ERR_DENIED, "your key is not in officers' set %llu",
                   (unsigned long long)set->epoch);
}

void officer_show_set(cli_t *cli, const escrow_set_t *set) {
    (void)fprintf(cli->err, "Officers' set %llu: any %u of these %zu can recover together:\n",
                  (unsigned long long)set->epoch, set->threshold, set->n);
    for (size_t i = 0; i < set->n; i++) {
        uint8_t fingerprint[ESCROW_HASH];
        char text[OFFICER_KEY_FINGERPRINT];
        err_t *e =
            escrow_officer_fingerprint(set->officers[i].hpke, set->officers[i].sign, fingerprint);
        (void)fprintf(cli->err, "  %s  %s\n", set->officers[i].id,
                      e ? "?" : officer_key_fingerprint_text(fingerprint, text));
        err_free(e);
    }
}

/* ---- what was seen before ---- */

static err_t *remember(const char *pin, bytes_t record) { return file_write(pin, record, 0600); }

static err_t *trust_first(cli_t *cli, const args_t *args, const char *pin, bytes_t record,
                          const escrow_set_t *set) {
    static const char *const yes[] = {"yes", NULL};
    officer_show_set(cli, set);
    if (!args_flag(args, "yes"))
        TRY(prompt_confirm(cli,
                           "This is the first set this key file sees. Compare the fingerprints "
                           "with the other officers.\nType yes to trust it: ",
                           "--yes", yes));
    return remember(pin, record);
}

static err_t *parse_signatures(const json_t *answer, escrow_signature_t *signatures,
                               size_t *ret_count) {
    json_t *list = NULL;
    TRY(jso_get_array(answer, "signatures", SIGNATURES_MAX, true, &list));
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        CLEANUP(buf_done) buf_t record;
        buf_init(&record, LIMIT_ESCROW_RECORD);
        TRY(officer_get_record(json_array_get(list, i), "record", &record));
        TRY(escrow_signature_parse(buf_bytes(&record), &signatures[i]));
    }
    *ret_count = n;
    return NULL;
}

/* One set later, by the signatures of the one before. */
static err_t *step(cli_t *cli, escrow_set_t *at, buf_t *at_record) {
    CLEANUP(jso_free) json_t *answer = NULL;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t record;
    escrow_signature_t signatures[SIGNATURES_MAX];
    escrow_set_t next;
    char epoch[24];
    size_t n = 0;
    buf_init(&record, LIMIT_ESCROW_RECORD);
    (void)snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)at->epoch + 1);
    TRY(remote_path(&path, "/officers/sets/%", epoch));
    TRY(remote_call(cli, "GET", path, NULL, &answer));
    TRY(officer_get_record(answer, "record", &record));
    TRY(escrow_set_parse(buf_bytes(&record), &next));
    TRY(parse_signatures(answer, signatures, &n));
    TRY_WRAP(escrow_set_verify_next(at, &next, signatures, n), "officers' set %s", epoch);
    buf_clear(at_record);
    TRY(buf_add(at_record, buf_bytes(&record)));
    *at = next;
    return NULL;
}

static bool same_set(const escrow_set_t *a, const escrow_set_t *b) {
    uint8_t x[ESCROW_HASH] = {0}, y[ESCROW_HASH] = {0};
    err_t *e = escrow_set_hash(a, x);
    if (!e) e = escrow_set_hash(b, y);
    bool same = !e && memcmp(x, y, ESCROW_HASH) == 0;
    err_free(e);
    return same;
}

/* The one before a set that is trusted is trusted too: its hash stands in it. */
static bool is_before(const escrow_set_t *set, const escrow_set_t *pinned) {
    uint8_t hash[ESCROW_HASH];
    err_t *e = escrow_set_hash(set, hash);
    bool before =
        !e && pinned->epoch == set->epoch + 1 && memcmp(hash, pinned->previous, ESCROW_HASH) == 0;
    err_free(e);
    return before;
}

err_t *officer_trust_set(cli_t *cli, const args_t *args, bytes_t record, escrow_set_t *ret_set) {
    CLEANUP(mem_free) char *pin = NULL;
    CLEANUP(buf_done) buf_t seen;
    escrow_set_t set, at;
    const char *path = NULL;
    buf_init(&seen, LIMIT_ESCROW_RECORD);
    TRY(key_path(args, &path));
    TRY(escrow_set_parse(record, &set));
    pin = mem_printf("%s.set", path);
    if (!pin) return err_nomem();
    if (!file_exists(pin)) {
        TRY(trust_first(cli, args, pin, record, &set));
        *ret_set = set;
        return NULL;
    }
    TRY(file_read(pin, &seen));
    TRY_WRAP(escrow_set_parse(buf_bytes(&seen), &at), "%s", pin);
    if (!is_before(&set, &at)) {
        uint64_t was = at.epoch;
        while (at.epoch < set.epoch) TRY(step(cli, &at, &seen));
        if (!same_set(&at, &set))
            return err_new(ERR_VERIFY,
                           "officers' set %llu is not the one this key file has seen (%s): the "
                           "server shows other officers",
                           (unsigned long long)set.epoch, pin);
        if (at.epoch > was) TRY(remember(pin, buf_bytes(&seen)));
    }
    *ret_set = set;
    return NULL;
}

err_t *officer_check_code(cli_t *cli, const args_t *args, const escrow_request_t *request) {
    CLEANUP(buf_done) buf_t typed;
    const char *code = args_value(args, "code");
    buf_init(&typed, CODE_MAX);
    if (!code && (args_flag(args, "yes") || !cli->interactive))
        return err_new(ERR_USAGE, "--code CODE: what the one who asks read to you, by voice");
    if (!code) TRY(prompt_line(cli, "The code that you were told by who asked: ", &typed));
    return request_key_code_check(request, code ? bytes_str(code) : buf_bytes(&typed));
}
