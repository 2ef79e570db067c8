/*
 * A mailbox's files: see mailbox.h. In coffer-mailbox.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "ipc/wire.h"
#include "program/mailbox/mailbox.h"

enum { PEM_MAX = 1024 * 1024, TEXT_MAX = 1024, SEALED_MORE = 1024, PUSH_KEY = 32 };

void account_init(account_t *account) {
    *account = (account_t){0};
    buf_init(&account->ca, PEM_MAX);
    buf_init(&account->server_ca, PEM_MAX);
}

void account_done(account_t *account) {
    jso_free(account->json);
    mem_free(account->dir);
    buf_done(&account->ca);
    buf_done(&account->server_ca);
}

err_t *account_path(const account_t *account, const char *name, char **ret_path) {
    return file_path(account->dir, name, ret_path);
}

static err_t *text(const account_t *account, const char *name, bool required,
                   const char **ret_text) {
    bytes_t value = BYTES_LIT("");
    TRY(jso_get_string(account->json, name, TEXT_MAX, required, &value));
    *ret_text = (const char *)value.p;
    return NULL;
}

static err_t *read_tls(const account_t *account, box_tls_t *ret_tls) {
    const char *how = "";
    TRY(text(account, "imap_tls", true, &how));
    if (strcmp(how, "tls") == 0) *ret_tls = BOX_TLS;
    else if (strcmp(how, "starttls") == 0) *ret_tls = BOX_STARTTLS;
    else if (strcmp(how, "none") == 0) *ret_tls = BOX_PLAIN;
    else return err_new(ERR_INVALID, "imap_tls is tls, starttls or none");
    return NULL;
}

static err_t *read_pem(const account_t *account, const char *name, buf_t *out) {
    bytes_t pem = BYTES_NONE;
    TRY(jso_get_string(account->json, name, PEM_MAX, false, &pem));
    return buf_add(out, pem);
}

static err_t *read_texts(account_t *a) {
    TRY(text(a, "imap_host", true, &a->imap_host));
    TRY(text(a, "imap_port", true, &a->imap_port));
    TRY(text(a, "user", true, &a->user));
    TRY(text(a, "address", true, &a->address));
    TRY(text(a, "smtp_url", false, &a->smtp_url));
    TRY(text(a, "junk", false, &a->junk));
    TRY(text(a, "sent", false, &a->sent));
    TRY(text(a, "server", false, &a->server));
    TRY(text(a, "tcti", false, &a->tcti));
    TRY(jso_get_int(a->json, "lease_hours", 0, 168, false, &a->lease_hours));
    TRY(read_pem(a, "imap_ca", &a->ca));
    TRY(read_pem(a, "server_ca", &a->server_ca));
    return read_tls(a, &a->imap_tls);
}

err_t *account_load(const char *dir, account_t *account) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t data;
    buf_init(&data, (size_t)3 * PEM_MAX);
    TRY(file_path(dir, "account.json", &path));
    err_t *e = file_read(path, &data);
    if (e && err_code(e) == ERR_NOT_FOUND)
        return err_wrap(e, "there is no mailbox in %s; coffer-mailbox init makes one", dir);
    if (e) return e;
    account->dir = mem_strdup(dir);
    if (!account->dir) return err_nomem();
    TRY_WRAP(jso_parse_max(buf_bytes(&data), data.n, &account->json), "%s", path);
    TRY_WRAP(read_texts(account), "%s", path);
    return NULL;
}

/* ---- the end ---- */

/* Names that others may give their files, too; and names that only a mailbox has. */
static const char *const common[] = {"cursor", "mail.db", "secrets", "inbox"};
static const char *const files[] = {"cursor",      "mail.db",     "secrets",
                                    "mail.db-shm", "mail.db-wal", "agent.sock"};
static const char *const own[] = {"box.key", "device.key", "keybag.tries", "keybag",
                                  "account.json"};

static void remove_file(const account_t *account, const char *name) {
    CLEANUP(mem_free) char *path = NULL, *unfinished = NULL;
    err_t *e = account_path(account, name, &path);
    if (!e) (void)unlink(path);
    err_free(e);
    /* What a write that was killed has left behind: see file_write. */
    unfinished = path ? mem_printf("%s.new", path) : NULL;
    if (unfinished) (void)unlink(unfinished);
}

/* What tells whose the directory is comes last. */
void account_remove(const account_t *account) {
    CLEANUP(mem_free) char *inbox = NULL;
    err_t *e = account_path(account, "inbox", &inbox);
    if (!e) box_inbox_remove(inbox);
    err_free(e);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) remove_file(account, files[i]);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) remove_file(account, own[i]);
}

static err_t *any_of(const account_t *account, const char *const *names, size_t n,
                     const char **ret_name) {
    *ret_name = NULL;
    for (size_t i = 0; i < n && !*ret_name; i++) {
        CLEANUP(mem_free) char *path = NULL;
        struct stat st;
        TRY(account_path(account, names[i], &path));
        if (lstat(path, &st) == 0) *ret_name = names[i];
    }
    return NULL;
}

err_t *account_check_place(const account_t *account) {
    const char *ours = NULL, *theirs = NULL;
    TRY(any_of(account, own, sizeof own / sizeof own[0], &ours));
    TRY(any_of(account, common, sizeof common / sizeof common[0], &theirs));
    if (ours || !theirs) return NULL;
    return err_new(ERR_EXISTS,
                   "%s/%s is there, and is no mailbox's: name another directory with --dir",
                   account->dir, theirs);
}

/* ---- what lies in class C ---- */

void secrets_init(secrets_t *secrets) {
    *secrets = (secrets_t){0};
    buf_init_secret(&secrets->password, LIMIT_PASSWORD_MAX);
    buf_init_secret(&secrets->token, MAILBOX_SECRETS_MAX / 2);
    buf_init_secret(&secrets->device_token, TEXT_MAX);
}

void secrets_done(secrets_t *secrets) {
    buf_done(&secrets->password);
    buf_done(&secrets->token);
    buf_done(&secrets->device_token);
    secret_free(secrets->push_key);
    secrets->push_key = NULL;
}

static err_t *load_sealed(const account_t *account, const keybag_t *bag, const char *name,
                          const char *context, buf_t *out) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, MAILBOX_SECRETS_MAX + SEALED_MORE);
    TRY(account_path(account, name, &path));
    TRY(file_read(path, &sealed));
    TRY_WRAP(keybag_unseal(bag, KEYBAG_C, context, buf_bytes(&sealed), out), "%s", path);
    return NULL;
}

static err_t *save_sealed(const account_t *account, const keybag_t *bag, const char *name,
                          const char *context, bytes_t plain) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t sealed;
    buf_init(&sealed, MAILBOX_SECRETS_MAX + SEALED_MORE);
    TRY(account_path(account, name, &path));
    TRY(keybag_seal(bag, KEYBAG_C, context, plain, &sealed));
    return file_write(path, buf_bytes(&sealed), 0600);
}

static err_t *get_into(wire_reader_t *r, buf_t *out) {
    bytes_t value;
    TRY(wire_get_bytes(r, out->max, &value));
    return buf_add(out, value);
}

err_t *secrets_load(const account_t *account, const keybag_t *bag, secrets_t *secrets) {
    CLEANUP(buf_done) buf_t plain;
    bytes_t push;
    buf_init_secret(&plain, MAILBOX_SECRETS_MAX);
    TRY(load_sealed(account, bag, "secrets", "mailbox/secrets", &plain));
    wire_reader_t r = wire_reader(buf_bytes(&plain));
    TRY(get_into(&r, &secrets->password));
    TRY(get_into(&r, &secrets->token));
    TRY(get_into(&r, &secrets->device_token));
    TRY(wire_get_raw(&r, PUSH_KEY, &push));
    TRY(wire_done(&r));
    return secret_copy(push, &secrets->push_key);
}

err_t *secrets_save(const account_t *account, const keybag_t *bag, const secrets_t *secrets) {
    CLEANUP(buf_done) buf_t plain;
    buf_init_secret(&plain, MAILBOX_SECRETS_MAX);
    TRY(wire_put_bytes(&plain, buf_bytes(&secrets->password)));
    TRY(wire_put_bytes(&plain, buf_bytes(&secrets->token)));
    TRY(wire_put_bytes(&plain, buf_bytes(&secrets->device_token)));
    TRY(buf_add(&plain, secret_bytes(secrets->push_key)));
    return save_sealed(account, bag, "secrets", "mailbox/secrets", buf_bytes(&plain));
}

/* None yet is no error; it only costs mail that is fetched twice. */
err_t *cursor_load(const account_t *account, const keybag_t *bag, box_cursor_t *ret_cursor) {
    CLEANUP(buf_done) buf_t plain;
    box_cursor_t cursor = {0};
    buf_init(&plain, 8);
    err_t *e = load_sealed(account, bag, "cursor", "mailbox/cursor", &plain);
    if (e && err_code(e) != ERR_NOT_FOUND) return e;
    if (!e) {
        wire_reader_t r = wire_reader(buf_bytes(&plain));
        TRY(wire_get_u32(&r, &cursor.uidvalidity));
        TRY(wire_get_u32(&r, &cursor.next_uid));
    }
    err_free(e);
    *ret_cursor = cursor;
    return NULL;
}

err_t *cursor_save(const account_t *account, const keybag_t *bag, const box_cursor_t *cursor) {
    CLEANUP(buf_done) buf_t plain;
    buf_init(&plain, 8);
    TRY(wire_put_u32(&plain, cursor->uidvalidity));
    TRY(wire_put_u32(&plain, cursor->next_uid));
    return save_sealed(account, bag, "cursor", "mailbox/cursor", buf_bytes(&plain));
}

err_t *account_open_bag(const account_t *account, const clk_t *clk, const rnd_t *rnd,
                        keybag_t **ret_bag) {
    CLEANUP(mem_free) char *path = NULL, *device = NULL;
    keybag_env_t env = {.clk = clk, .rnd = rnd};
    keybag_kind_t kind = KEYBAG_DISK;
    uint32_t place = 0;
    anchor_t *anchor = NULL;
    TRY(account_path(account, "keybag", &path));
    TRY(account_path(account, "device.key", &device));
    TRY(keybag_boot(env.boot));
    TRY(keybag_peek(path, &kind, &place));
    if (kind == KEYBAG_TPM)
        TRY(anchor_tpm_open(account->tcti[0] ? account->tcti : NULL, place, &anchor));
    else TRY(anchor_file_open(device, &anchor));
    return keybag_open(&env, path, anchor, ret_bag);
}
