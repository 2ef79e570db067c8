/*
 * coffer-unseal: restores synced files from a dump and a device's key, with no server. See
 * docs/formats/sync.md and coffer-unseal(1). Single-threaded; no network.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "ipc/sandbox.h"
#include "program/unseal/unseal.h"

static const char help[] =
    "coffer-unseal: restores synced files from a dump and a device's key, with no server.\n\n"
    "usage: coffer-unseal --key FILE [--passphrase-file FILE] DUMP DIRECTORY\n"
    "       coffer-unseal --key FILE [--passphrase-file FILE] --list DUMP\n"
    "       coffer-unseal --check DUMP\n\n"
    "  --key FILE              the device's key file; readable by its owner alone\n"
    "  --passphrase-file FILE  its passphrase, first line; readable by its owner alone\n"
    "  --list                  say what is in it, and write nothing\n"
    "  --check                 verify all that can be verified without a key\n"
    "  --version, --help\n\n"
    "DIRECTORY is made, or is empty. A file that doesn't verify is named and left out; the others\n"
    "are restored.\n\n"
    "examples:\n"
    "  coffer-unseal --check /backup/files\n"
    "  coffer-unseal --key laptop.key /backup/files ./restored\n\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 5 something did not verify.\n";

typedef struct {
    const char *key, *passphrase, *dump, *directory;
    bool list, check;
} arguments_t;

static err_t *take_word(const char *word, arguments_t *a) {
    if (!a->dump) a->dump = word;
    else if (!a->directory) a->directory = word;
    else return err_new(ERR_USAGE, "unexpected argument %s; see --help", word);
    return NULL;
}

static err_t *parse(int argc, char **argv, arguments_t *a) {
    for (int i = 1; i < argc; i++) {
        const char **value = strcmp(argv[i], "--key") == 0               ? &a->key
                             : strcmp(argv[i], "--passphrase-file") == 0 ? &a->passphrase
                                                                         : NULL;
        if (value && i + 1 == argc) return err_new(ERR_USAGE, "%s needs a value", argv[i]);
        if (value) *value = argv[++i];
        else if (strcmp(argv[i], "--list") == 0) a->list = true;
        else if (strcmp(argv[i], "--check") == 0) a->check = true;
        else if (argv[i][0] == '-' && argv[i][1])
            return err_new(ERR_USAGE, "unknown option %s; see --help", argv[i]);
        else TRY(take_word(argv[i], a));
    }
    if (!a->dump) return err_new(ERR_USAGE, "name the dump; see --help");
    if (a->check && (a->key || a->list || a->directory))
        return err_new(ERR_USAGE, "--check takes the dump alone");
    if (!a->check && !a->key) return err_new(ERR_USAGE, "--key is needed; see --help");
    if (!a->check && a->list == (a->directory != NULL))
        return err_new(ERR_USAGE, "name the directory to restore into, or give --list");
    return NULL;
}

static err_t *load_key(const arguments_t *a, sync_device_key_t *ret_key) {
    CLEANUP(buf_done) buf_t file, passphrase;
    bool sealed = false;
    buf_init_secret(&file, LIMIT_SYNC_KEY_FILE);
    buf_init_secret(&passphrase, LIMIT_PASSWORD_MAX);
    TRY_WRAP(file_read_private(a->key, &file), "%s", a->key);
    TRY(sync_device_key_sealed(buf_bytes(&file), &sealed));
    if (sealed && !a->passphrase)
        return err_new(ERR_USAGE, "%s has a passphrase: give --passphrase-file", a->key);
    if (a->passphrase) TRY_WRAP(file_read_secret(a->passphrase, &passphrase), "%s", a->passphrase);
    return sync_device_key_open(buf_bytes(&file), buf_bytes(&passphrase), ret_key);
}

static err_t *work(const arguments_t *a, unseal_t *u) {
    TRY(crypto_init());
    if (a->check) {
        TRY(unseal_open(u, a->dump));
        return unseal_check(u);
    }
    u->list = a->list;
    TRY(load_key(a, &u->device));
    TRY(unseal_open(u, a->dump));
    TRY(unseal_find_keys(u));
    return unseal_restore(u, a->directory);
}

static void tell(const arguments_t *a, const unseal_t *u) {
    unsigned long long files = u->files, bytes = u->bytes, folders = u->folders;
    unsigned long long root = u->seen.counter;
    if (a->check) (void)printf("root %llu, %llu versions, %llu bytes: ", root, files, bytes);
    else if (a->list) return;
    else
        (void)printf("root %llu: %llu files in %llu folders, %llu bytes: ", root, files, folders,
                     bytes);
    if (u->problems) (void)printf("%llu PROBLEMS\n", (unsigned long long)u->problems);
    else (void)printf("all verified\n");
}

static int status_of(const err_t *e) {
    switch (err_code(e)) {
    case ERR_USAGE: return 2;
    case ERR_NOT_FOUND: return 3;
    case ERR_VERIFY:
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_DENIED: return 5;
    case ERR_INTERNAL:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_EXISTS:
    case ERR_AUTH:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_FULL: break;
    }
    return 1;
}

static int fail(err_t *e) {
    char text[1024];
    int status = status_of(e);
    (void)fprintf(stderr, "coffer-unseal: %s\n", err_text(e, text, sizeof text));
    err_free(e);
    return status;
}

int main(int argc, char **argv) {
    CLEANUP(unseal_done) unseal_t u;
    arguments_t a = {0};
    err_t *e = unseal_init(&u);
    if (e) return fail(e);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return fputs(help, stdout) < 0;
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return printf("coffer-unseal %s\n", COFFER_VERSION) < 0;
    e = sandbox_close_memory();
    if (!e) e = parse(argc, argv, &a);
    if (!e) e = work(&a, &u);
    if (e) return fail(e);
    tell(&a, &u);
    if (fflush(stdout) != 0) return 1;
    return u.problems ? 5 : 0;
}
