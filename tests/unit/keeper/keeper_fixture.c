/*
 * See keeper_fixture.h.
 */
#include "keeper_fixture.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "ipc/client.h"

static void remove_tree(const char *dir) {
    static const char *const names[] = {
        "vault/vault.db",       "vault/vault.db-wal", "vault/vault.db-shm",   "vault/lock",
        "vault/master.key",     "tls/key.pem",        "tls/cert.pem",         "public/root.pem",
        "public/device-ca.pem", "public/mail-ca.pem", "public/audit-key.pem", "coffer.conf",
    };
    char path[160];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    static const char *const dirs[] = {"vault", "tls", "public"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, dirs[i]);
        (void)rmdir(path);
    }
    (void)rmdir(dir);
}

void keeper_fixture_start(keeper_fixture_t *f) {
    secret_t *master = NULL;
    assert_ok(master_provider("file")->load(f->vault_dir, &master));
    vault_options_t options = {f->vault_dir, master, &f->clk.clk, rnd_real()};
    assert_ok(vault_open(&options, false, &f->vault));
    secret_free(master);
    assert_ok(keyring_load(f->vault, &f->keys));
    assert_ok(csr_cache_new(&f->csrs));
    assert_ok(revocation_new("http://coffer.example.org", &f->revocation));
    assert_ok(vault_start(f->vault));
    f->core = (keeper_core_t){
        .vault = f->vault,
        .keys = f->keys,
        .profiles = &f->profiles,
        .csrs = f->csrs,
        .revocation = f->revocation,
        .clk = &f->clk.clk,
        .rnd = rnd_real(),
        .allow_des3 = true,
        .seccomp = true,
    };
}

void keeper_fixture_stop(keeper_fixture_t *f) {
    vault_free(f->vault);
    f->vault = NULL;
    csr_cache_free(f->csrs);
    f->csrs = NULL;
    revocation_free(f->revocation);
    f->revocation = NULL;
    keyring_free(f->keys);
    f->keys = NULL;
}

void keeper_fixture_restart(keeper_fixture_t *f) {
    keeper_fixture_stop(f);
    keeper_fixture_start(f);
}

static void make_device(keeper_fixture_t *f) {
    assert_ok(pkey_generate(PKEY_RSA, 2048, &f->device_key));
    name_entry_t subject = {"CN", "first request"};
    uint8_t serial[CERT_SERIAL_SIZE];
    assert_ok(cert_serial_random(rnd_real(), serial));
    int64_t now = clk_unix(&f->clk.clk);
    cert_spec_t spec = {
        .subject = &subject,
        .subject_n = 1,
        .serial = BYTES_ARRAY(serial),
        .not_before = now - 60,
        .not_after = now + 86400,
        .key_usage = KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_KEY_ENCIPHERMENT,
        .key = f->device_key,
    };
    assert_ok(cert_issue(&spec, NULL, f->device_key, &f->device_self));
}

void keeper_fixture_make(keeper_fixture_t *f) {
    *f = (keeper_fixture_t){.role = ROLE_WEB};
    assert_ok(crypto_init());
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/coffer-keeper-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->vault_dir, sizeof f->vault_dir, "%s/vault", f->dir);
    clk_fake_init(&f->clk, clk_unix_ms(clk_real()));
    assert_ok(cert_profiles_builtin(&f->profiles));
    keeper_init_t init = {
        .dir = f->dir,
        .organisation = "Example",
        .host = "localhost",
        .profiles = &f->profiles,
        .clk = &f->clk.clk,
        .rnd = rnd_real(),
    };
    assert_ok(keeper_init(&init));
    keeper_fixture_start(f);
    assert_ok(keeper_new((rpc_client_t *)(void *)f, &f->keeper));
    make_device(f);
}

void keeper_fixture_done(keeper_fixture_t *f) {
    keeper_fixture_stop(f);
    keeper_free(f->keeper);
    cert_profiles_done(&f->profiles);
    pkey_free(f->device_key);
    cert_free(f->device_self);
    remove_tree(f->dir);
}

void keeper_fixture_csr(const keeper_fixture_t *f, const char *cn, const san_entry_t *san,
                        buf_t *ret_csr) {
    name_entry_t subject[] = {{"O", "Example"}, {"CN", cn}};
    csr_spec_t spec = {
        .subject = subject,
        .subject_n = 2,
        .sans = san,
        .sans_n = san ? 1 : 0,
        .challenge = BYTES_LIT("once"),
    };
    assert_ok(csr_build(&spec, f->device_key, ret_csr));
}

err_t *keeper_fixture_issue(keeper_fixture_t *f, const keeper_request_t *request,
                            buf_t *ret_certificate) {
    static const uint8_t nonce[16] = {1};
    CLEANUP(buf_done) buf_t certrep;
    buf_init(&certrep, LIMIT_FRAME_BYTES);
    keeper_scep_reply_t reply = {.transaction_id = BYTES_LIT("transaction"),
                                 .sender_nonce = BYTES_ARRAY(nonce),
                                 .signer = cert_der(f->device_self)};
    return keeper_scep_issue(f->keeper, request, &reply, ret_certificate, &certrep);
}

/* ---- asking ---- */

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t there;
    bool done;
    err_t *e;
    buf_t *reply;
} waiter_t;

static void on_answer(void *arg, err_t *e, bytes_t body) {
    waiter_t *waiter = arg;
    (void)pthread_mutex_lock(&waiter->lock);
    assert_false(waiter->done);
    waiter->e = e ? e : buf_add(waiter->reply, body);
    waiter->done = true;
    (void)pthread_cond_signal(&waiter->there);
    (void)pthread_mutex_unlock(&waiter->lock);
}

err_t *keeper_fixture_ask(keeper_fixture_t *f, uint16_t intent, bytes_t body, buf_t *reply) {
    waiter_t waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, NULL, reply};
    keeper_core_handle(&f->core, f->role, intent, body, (keeper_finish_t){on_answer, &waiter});
    (void)pthread_mutex_lock(&waiter.lock);
    while (!waiter.done) (void)pthread_cond_wait(&waiter.there, &waiter.lock);
    (void)pthread_mutex_unlock(&waiter.lock);
    return waiter.e;
}

/* Stands in for the one in src/ipc. */
err_t *rpc_call(rpc_client_t *client, uint16_t intent, bytes_t body, int timeout_ms, buf_t *reply) {
    (void)timeout_ms;
    return keeper_fixture_ask((keeper_fixture_t *)(void *)client, intent, body, reply);
}

void keeper_fixture_sql(const keeper_fixture_t *f, const char *sql) {
    char path[160];
    (void)snprintf(path, sizeof path, "%s/vault.db", f->vault_dir);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        print_error("%s\n", message);
        fail();
    }
    (void)sqlite3_close(db);
}
