/*
 * coffer-mailbox init and run: making a mailbox, and the agent that serves it.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "box/managed.h"
#include "ipc/signals.h"
#include "program/coffer/mail_keys.h"
#include "program/coffer/prompt.h"
#include "program/mailbox/cli.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

enum { PEM_MAX = 1024 * 1024, MEMORY_MAX = 2000 * 1000 * 1000 };

/* ---- init ---- */

static err_t *set_text(json_t *out, const args_t *args, const char *option, const char *name,
                       const char *fallback) {
    const char *value = args_value(args, option);
    return jso_set_str(out, name, value ? value : fallback);
}

static err_t *set_pem(json_t *out, const args_t *args, const char *option, const char *name) {
    CLEANUP(buf_done) buf_t pem;
    const char *path = args_value(args, option);
    buf_init(&pem, PEM_MAX);
    if (!path) return NULL;
    TRY(file_read(path, &pem));
    return jso_set_string(out, name, buf_bytes(&pem));
}

static err_t *need(const args_t *args, const char *option, const char **ret_value) {
    const char *value = args_value(args, option);
    if (!value || !value[0])
        return err_new(ERR_USAGE, "--%s is needed; see coffer-mailbox init --help", option);
    *ret_value = value;
    return NULL;
}

/* "host" or "host:port". */
static err_t *set_imap(json_t *out, const args_t *args) {
    const char *where = NULL, *tls = args_value(args, "tls");
    TRY(need(args, "imap", &where));
    if (!tls) tls = "tls";
    if (strcmp(tls, "tls") != 0 && strcmp(tls, "starttls") != 0 && strcmp(tls, "none") != 0)
        return err_new(ERR_USAGE, "--tls is tls, starttls or none");
    const char *colon = strrchr(where, ':');
    bytes_t host = colon ? bytes_make(where, (size_t)(colon - where)) : bytes_str(where);
    TRY(jso_set_string(out, "imap_host", host));
    TRY(jso_set_str(out, "imap_port", colon ? colon + 1 : strcmp(tls, "tls") == 0 ? "993" : "143"));
    return jso_set_str(out, "imap_tls", tls);
}

static err_t *set_address(json_t *out, const args_t *args) {
    const char *address = NULL;
    TRY(need(args, "address", &address));
    CLEANUP(mem_free) char *lower = mem_strdup(address);
    if (!lower) return err_nomem();
    text_lower(lower);
    TRY(jso_set_str(out, "address", lower));
    return set_text(out, args, "user", "user", address);
}

/* --managed. Without it, and without a word in it, there is no lease. */
static err_t *read_managed(const args_t *args, box_managed_t *managed) {
    CLEANUP(buf_done) buf_t xml;
    const char *path = args_value(args, "managed");
    buf_init_secret(&xml, PEM_MAX);
    if (!path) return NULL;
    TRY(file_read_private(path, &xml)); /* it has the token */
    TRY_WRAP(box_managed_parse(buf_bytes(&xml), managed), "%s", path);
    return NULL;
}

/* What is said on the command line comes first, but not against "no leases". */
static err_t *set_server(json_t *out, const args_t *args, const box_managed_t *managed) {
    const char *server = args_value(args, "server");
    long hours = 0, usual = args_value(args, "managed") ? (long)managed->hours : 48;
    bool lease = args_value(args, "managed") ? managed->lease : server != NULL;
    TRY(args_number(args, "lease-hours", 0, 168, usual, &hours));
    if (args_value(args, "managed") && !lease && args_value(args, "lease-hours") && hours)
        return err_new(ERR_USAGE, "device management allows no leases here: --lease-hours is 0");
    TRY(jso_set_str(out, "server", server ? server : managed->server));
    TRY(set_pem(out, args, "server-ca", "server_ca"));
    return jso_set_int(out, "lease_hours", lease ? hours : 0);
}

static err_t *make_account(const args_t *args, const box_managed_t *managed, json_t **ret_json) {
    CLEANUP(jso_free) json_t *out = NULL;
    TRY(jso_object(&out));
    TRY(set_address(out, args));
    TRY(set_imap(out, args));
    TRY(set_pem(out, args, "ca", "imap_ca"));
    TRY(set_text(out, args, "smtp", "smtp_url", ""));
    TRY(set_text(out, args, "junk", "junk", "Junk"));
    TRY(set_text(out, args, "sent", "sent", "Sent"));
    TRY(set_server(out, args, managed));
    TRY(set_text(out, args, "tpm", "tcti", ""));
    *ret_json = STEAL(out);
    return NULL;
}

static err_t *read_file_option(const args_t *args, const char *option, buf_t *out) {
    const char *path = args_value(args, option);
    return path ? prompt_secret_file(path, out) : NULL;
}

static err_t *read_secrets(cli_t *cli, const args_t *args, const box_managed_t *managed,
                           secrets_t *secrets) {
    TRY(args_exclude(args, "password-file", "token-file"));
    TRY(read_file_option(args, "password-file", &secrets->password));
    TRY(read_file_option(args, "token-file", &secrets->token));
    TRY(read_file_option(args, "device-token-file", &secrets->device_token));
    if (!secrets->device_token.n) TRY(buf_add(&secrets->device_token, buf_bytes(&managed->token)));
    if (!secrets->password.n && !secrets->token.n)
        TRY(prompt_password(cli, "Password of", args_value(args, "address"), &secrets->password));
    return secret_random(cli->rnd, 32, &secrets->push_key);
}

static err_t *make_anchor(cli_t *cli, const args_t *args, const account_t *account,
                          uint32_t *ret_place, anchor_t **ret_anchor) {
    CLEANUP(mem_free) char *path = NULL;
    bool file = args_flag(args, "without-tpm");
    if (!file && (args_value(args, "tpm") || file_exists("/dev/tpmrm0")))
        return anchor_tpm_create(args_value(args, "tpm"), cli->rnd, ret_place, ret_anchor);
    if (!file)
        return err_new(ERR_USAGE,
                       "this machine has no TPM. --without-tpm keeps the device's key in "
                       "a file: whoever copies the disk can guess passcodes elsewhere");
    TRY(account_path(account, "device.key", &path));
    return anchor_file_create(path, cli->rnd, ret_anchor);
}

static err_t *read_passcode(cli_t *cli, const args_t *args, const char *option, buf_t *out) {
    const char *path = args_value(args, option);
    return path ? prompt_secret_file(path, out) : prompt_new_password(cli, "the mailbox", out);
}

static err_t *make_bag(cli_t *cli, const args_t *args, const account_t *account,
                       keybag_t **ret_bag) {
    CLEANUP(buf_done) buf_t passcode;
    CLEANUP(mem_free) char *path = NULL;
    keybag_env_t env = {.clk = cli->clk, .rnd = cli->rnd};
    anchor_t *anchor = NULL;
    uint32_t place = 0;
    buf_init_secret(&passcode, LIMIT_PASSWORD_MAX);
    TRY(account_path(account, "keybag", &path));
    TRY(read_passcode(cli, args, "passcode-file", &passcode));
    TRY(keybag_check_passcode(buf_bytes(&passcode)));
    TRY(keybag_boot(env.boot));
    TRY(make_anchor(cli, args, account, &place, &anchor));
    return keybag_create(&env, path, anchor, place, buf_bytes(&passcode), &PASSWORD_COST, ret_bag);
}

static err_t *import_keys(const mail_keys_t *keys, box_db_t *db) {
    for (size_t i = 0; i < keys->n; i++) {
        CLEANUP(secret_free) secret_t *der = NULL;
        TRY(pkey_private_der(keys->keys[i], &der));
        TRY(box_db_add_key(db, cert_der(keys->certs[i]), secret_bytes(der)));
    }
    return NULL;
}

static err_t *make_database(cli_t *cli, const mail_keys_t *keys, const account_t *account,
                            const keybag_t *bag) {
    CLEANUP(box_key_done) box_key_t key = {0};
    CLEANUP(box_db_close) box_db_t *db = NULL;
    CLEANUP(mem_free) char *key_path = NULL, *db_path = NULL, *inbox = NULL;
    TRY(account_path(account, "box.key", &key_path));
    TRY(account_path(account, "mail.db", &db_path));
    TRY(account_path(account, "inbox", &inbox));
    TRY(file_mkdir(inbox, 0700));
    TRY(box_key_create(bag, cli->rnd, key_path, &key));
    TRY(box_db_open(db_path, key.database, &db));
    return import_keys(keys, db);
}

/* account.json comes last: without it there is no mailbox. */
static err_t *write_account(const account_t *account) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, (size_t)3 * PEM_MAX);
    TRY(account_path(account, "account.json", &path));
    TRY(jso_write(account->json, true, &text));
    return file_write(path, buf_bytes(&text), 0600);
}

/* What an init that was killed has left: without account.json it is no mailbox. With a TPM its
 * place there is given back. */
static err_t *clear_unfinished(cli_t *cli, const args_t *args, const account_t *account) {
    CLEANUP(keybag_free) keybag_t *bag = NULL;
    const char *tpm = args_value(args, "tpm");
    account_t unfinished = {.dir = account->dir, .tcti = tpm ? tpm : ""};
    TRY_WRAP(account_open_bag(&unfinished, cli->clk, cli->rnd, &bag),
             "an unfinished mailbox is in %s, and its keys can't be destroyed", account->dir);
    return keybag_destroy(bag);
}

/* Nothing that is in use is touched; what is left of a destroyed mailbox goes. */
static err_t *clear_place(cli_t *cli, const args_t *args, const account_t *account) {
    CLEANUP(mem_free) char *bag = NULL, *finished = NULL;
    TRY(account_path(account, "keybag", &bag));
    TRY(account_path(account, "account.json", &finished));
    if (agent_runs(account->dir))
        return err_new(ERR_EXISTS, "an agent serves %s: end it first, or wipe", account->dir);
    if (file_exists(bag) && file_exists(finished))
        return err_new(ERR_EXISTS, "there is a mailbox in %s", account->dir);
    TRY(account_check_place(account));
    if (file_exists(bag)) TRY(clear_unfinished(cli, args, account));
    account_remove(account);
    return NULL;
}

static err_t *fill_place(cli_t *cli, const mail_keys_t *keys, const account_t *account,
                         const keybag_t *bag, const secrets_t *secrets) {
    TRY(make_database(cli, keys, account, bag));
    TRY(secrets_save(account, bag, secrets));
    return write_account(account);
}

err_t *cmd_init(cli_t *cli, const args_t *args) {
    CLEANUP(account_done) account_t account;
    CLEANUP(secrets_done) secrets_t secrets;
    CLEANUP(box_managed_done) box_managed_t managed;
    mail_keys_t keys CLEANUP(mail_keys_done) = {0};
    CLEANUP(keybag_free) keybag_t *bag = NULL;
    const char *dir = NULL;
    keybag_state_t state;
    box_managed_init(&managed);
    account_init(&account);
    secrets_init(&secrets);
    TRY(mailbox_dir(cli, &dir));
    account.dir = mem_strdup(dir);
    if (!account.dir) return err_nomem();
    TRY(read_managed(args, &managed));
    TRY(make_account(args, &managed, &account.json));
    TRY(mail_keys_read(args, &keys)); /* with what a person may get wrong first */
    TRY(read_secrets(cli, args, &managed, &secrets));
    TRY(file_mkdir(dir, 0700));
    TRY(clear_place(cli, args, &account));
    err_t *e = make_bag(cli, args, &account, &bag);
    if (!e) e = fill_place(cli, &keys, &account, bag, &secrets);
    if (e) {
        if (bag) err_ignore(keybag_destroy(bag));
        account_remove(&account);
        return e;
    }
    TRY(keybag_state(bag, &state));
    return cli_say(cli, "The mailbox is made in %s; its device key is in %s.\n", dir,
                   state.kind == KEYBAG_TPM ? "the TPM" : "a file (weaker than a TPM)");
}

/* ---- run ---- */

/* A server's answer may make a parser ask for any amount of memory. */
static err_t *limit_memory(void) {
#ifndef SANITIZED /* sanitizers map all there is */
    const struct rlimit limit = {MEMORY_MAX, MEMORY_MAX};
    if (setrlimit(RLIMIT_AS, &limit) != 0) return err_errno(errno, "setrlimit");
#endif
    return NULL;
}

static err_t *listen_at(const account_t *account, int *ret_fd) {
    struct sockaddr_un address;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(fd_close) int at = -1;
    TRY(account_path(account, "agent.sock", &path));
    TRY(agent_address(account->dir, &at, &address));
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return err_errno(errno, "socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return err_new(ERR_EXISTS, "an agent serves %s already", account->dir);
    (void)unlink(path); /* a former one's */
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0)
        return err_errno(errno, "cannot listen at %s", path);
    *ret_fd = fd;
    fd = -1;
    return NULL;
}

static err_t *prepare(agent_t *agent) {
    TRY(signals_watch(&agent->signals));
    TRY(limit_memory());
    TRY(account_open_bag(agent->account, agent->clk, agent->rnd, &agent->bag));
    TRY(tls_context_client(buf_bytes(&agent->account->ca), &agent->tls));
    TRY(tls_context_client(buf_bytes(&agent->account->server_ca), &agent->server_tls));
    return listen_at(agent->account, &agent->listener);
}

err_t *cmd_run(cli_t *cli, const args_t *args) {
    CLEANUP(account_done) account_t account;
    const char *dir = NULL;
    log_t log;
    (void)args;
    account_init(&account);
    log_init(&log, "coffer-mailbox", cli->clk);
    TRY(mailbox_dir(cli, &dir));
    TRY(account_load(dir, &account));
    agent_t agent = {.account = &account,
                     .log = &log,
                     .clk = cli->clk,
                     .rnd = cli->rnd,
                     .listener = -1,
                     .signals = -1,
                     .asker = -1};
    secrets_init(&agent.last);
    err_t *e = prepare(&agent);
    if (!e) log_line(&log, LOG_INFO, "ready address=%s", account.address);
    if (!e) e = agent_run(&agent);
    agent_disconnect(&agent);
    agent_close(&agent);
    keybag_free(agent.bag);
    box_stream_free(agent.stream);
    tls_context_free(agent.tls);
    tls_context_free(agent.server_tls);
    fd_close(agent.listener);
    fd_close(agent.signals);
    return e;
}
