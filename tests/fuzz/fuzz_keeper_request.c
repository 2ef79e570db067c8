/*
 * Bodies of all the keeper's intents, by the dispatch that answers them: first byte the intent,
 * second the role, then the body. The vault is a real one in a temporary directory.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "keeper/core.h"
#include "keeper/init.h"
#include "keeper/master.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static keeper_core_t core;
static char dir[] = "/tmp/coffer-fuzz-XXXXXX";
static atomic_size_t open_calls;

static void must(err_t *e) {
    if (e) abort();
}

static void remove_all(void) {
    static const char *const names[] = {
        "vault/vault.db",       "vault/vault.db-wal", "vault/vault.db-shm",   "vault/lock",
        "vault/master.key",     "tls/key.pem",        "tls/cert.pem",         "public/root.pem",
        "public/device-ca.pem", "public/mail-ca.pem", "public/audit-key.pem",
    };
    static const char *const dirs[] = {"vault", "tls", "public", "."};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, dirs[i]);
        (void)rmdir(path);
    }
    (void)rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    static cert_profiles_t profiles;
    static char vault_dir[64];
    keyring_t *keys = NULL;
    secret_t *master = NULL;
    must(crypto_init());
    if (!mkdtemp(dir)) abort();
    (void)atexit(remove_all);
    must(cert_profiles_builtin(&profiles));
    keeper_init_t init = {.dir = dir,
                          .organisation = "Fuzz",
                          .host = "localhost",
                          .profiles = &profiles,
                          .clk = clk_real(),
                          .rnd = rnd_real()};
    must(keeper_init(&init));
    (void)snprintf(vault_dir, sizeof vault_dir, "%s/vault", dir);
    must(master_provider("file")->load(vault_dir, &master));
    vault_options_t options = {vault_dir, master, clk_real(), rnd_real()};
    must(vault_open(&options, false, &core.vault));
    secret_free(master);
    must(keyring_load(core.vault, &keys));
    must(vault_start(core.vault));
    core.keys = keys;
    core.profiles = &profiles;
    core.clk = clk_real();
    core.rnd = rnd_real();
    core.allow_des3 = true;
    return 0;
}

static void on_answer(void *arg, err_t *e, bytes_t body) {
    (void)arg;
    (void)body;
    err_free(e);
    atomic_fetch_sub(&open_calls, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    atomic_fetch_add(&open_calls, 1);
    keeper_core_handle(&core, (role_t)(data[1] % (ROLE_COMMAND + 1)), data[0],
                       bytes_make(data + 2, size - 2), (keeper_finish_t){on_answer, NULL});
    while (atomic_load(&open_calls)) (void)usleep(50); /* its data must live until then */
    return 0;
}
