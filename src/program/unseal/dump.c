/*
 * A dump: its chain, roots and the keys that a device finds in it. Single-threaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/unseal/unseal.h"

static void file_close(FILE *file) {
    if (file) (void)fclose(file);
}
DEFINE_CLEANUP(FILE, file_close)

err_t *unseal_init(unseal_t *u) {
    *u = (unseal_t){.fd = -1};
    buf_init(&u->path, (size_t)LIMIT_SYNC_DEPTH * (LIMIT_SYNC_FILE_NAME + 1) * 2);
    buf_init(&u->sealed, SYNC_SEALED_CHUNK);
    buf_init(&u->plain, SYNC_SEALED_CHUNK);
    for (size_t i = 0; i < UNSEAL_PACKS; i++)
        buf_init(&u->packs[i].plain,
                 (size_t)LIMIT_SYNC_PACK + LIMIT_SYNC_PACKED * SYNC_PACKED_SIZE + SYNC_PACK_HEAD);
    return sync_chain_new(&u->chain);
}

void unseal_done(unseal_t *u) {
    fd_close(u->fd);
    sync_chain_free(u->chain);
    sync_device_key_done(&u->device);
    for (uint64_t i = 0; i < u->keys_n; i++) secret_free(u->keys[i]);
    mem_free(u->keys);
    for (size_t i = 0; i < UNSEAL_PACKS; i++) buf_done(&u->packs[i].plain);
    buf_done(&u->path);
    buf_done(&u->sealed);
    buf_done(&u->plain);
}

void unseal_name(const char *folder, const uint8_t id[SYNC_HASH], char ret_name[UNSEAL_NAME_MAX]) {
    size_t n = (size_t)snprintf(ret_name, UNSEAL_NAME_MAX, "%s/%02x/", folder, id[0]);
    for (size_t i = 0; i < SYNC_HASH; i++, n += 2)
        (void)snprintf(ret_name + n, UNSEAL_NAME_MAX - n, "%02x", id[i]);
}

/* A foreign name may hold what turns a terminal over. */
static void put_path(bytes_t path) {
    bool plain = text_printable(path);
    for (size_t i = 0; i < path.n; i++) {
        if (plain || (path.p[i] >= ' ' && path.p[i] < 0x7f)) (void)fputc(path.p[i], stderr);
        else (void)fprintf(stderr, "\\x%02x", path.p[i]);
    }
}

void unseal_problem(unseal_t *u, err_t *e) {
    char text[1024];
    if (!e) return;
    (void)fputs("coffer-unseal: ", stderr);
    put_path(buf_bytes(&u->path));
    (void)fprintf(stderr, "%s%s\n", u->path.n ? ": " : "", err_text(e, text, sizeof text));
    u->problems++;
    err_free(e);
}

/* One length and its bytes; *ret_more false at the end of the file. */
static err_t *read_run(FILE *file, const char *name, size_t max, buf_t *record, bool *ret_more) {
    uint8_t length[4];
    size_t got = fread(length, 1, sizeof length, file);
    if (ferror(file)) return err_errno(errno, "reading %s", name);
    *ret_more = got != 0;
    if (got == 0) return NULL;
    if (got != sizeof length) return err_new(ERR_VERIFY, "%s is cut off", name);
    size_t n =
        (size_t)length[0] << 24 | (size_t)length[1] << 16 | (size_t)length[2] << 8 | length[3];
    if (n > max) return err_new(ERR_LIMIT, "%s has a record of %zu bytes", name, n);
    buf_clear(record);
    TRY(buf_reserve(record, n));
    if (fread(record->p, 1, n, file) != n) return err_new(ERR_VERIFY, "%s is cut off", name);
    record->n = n;
    return NULL;
}

err_t *unseal_runs(unseal_t *u, const char *name, size_t max, unseal_run_t take) {
    CLEANUP(file_close) FILE *file = NULL;
    CLEANUP(buf_done) buf_t record;
    bool more = true;
    buf_init(&record, max);
    int fd = openat(u->fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "the dump's file \"%s\"", name);
    file = fdopen(fd, "rb");
    if (!file) {
        fd_close(fd);
        return err_errno(errno, "reading %s", name);
    }
    for (;;) {
        TRY(read_run(file, name, max, &record, &more));
        if (!more) return NULL;
        TRY_WRAP(take(u, buf_bytes(&record)), "%s", name);
    }
}

static err_t *take_entry(unseal_t *u, bytes_t record) {
    return sync_chain_append(u->chain, record);
}

static err_t *take_root(unseal_t *u, bytes_t record) {
    sync_root_t root;
    TRY(sync_root_parse(record, &root));
    TRY(sync_root_follow(&root, u->chain, &u->seen));
    memcpy(u->folder, root.folder, SYNC_HASH);
    return NULL;
}

err_t *unseal_open(unseal_t *u, const char *dump) {
    u->fd = open(dump, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (u->fd < 0) return err_errno(errno, "cannot open the dump %s", dump);
    TRY(unseal_runs(u, "chain", LIMIT_SYNC_ENTRY, take_entry));
    TRY(unseal_runs(u, "roots", SYNC_ROOT_MAX, take_root));
    if (u->seen.counter == 0) return err_new(ERR_VERIFY, "the dump has no root");
    return NULL;
}

/* ---- keys ---- */

/* Keeps the key of this epoch and walks to the older ones. */
static err_t *keep_keys(unseal_t *u, const secret_t *key, uint64_t epoch) {
    u->keys = mem_array((size_t)epoch, sizeof(void *));
    if (!u->keys) return err_nomem();
    u->keys_n = epoch;
    TRY(secret_copy(secret_bytes(key), &u->keys[epoch - 1]));
    for (uint64_t e = epoch; e > 1; e--)
        TRY(sync_epoch_walk(u->chain, u->keys[e - 1], e, e - 1, &u->keys[e - 2]));
    return NULL;
}

/* Of the deliveries to this device the last one for the newest epoch counts. */
static err_t *take_delivery(unseal_t *u, bytes_t record) {
    sync_delivery_t d;
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(sync_delivery_parse(record, &d));
    if (memcmp(d.recipient, u->device.id, SYNC_HASH) != 0 || d.epoch <= u->keys_n) return NULL;
    err_t *e = sync_delivery_open(u->chain, &d, &u->device, &key);
    if (e) { /* somebody else's forgery must not stand in the way of the right one */
        unseal_problem(u, err_wrap(e, "a key for this device"));
        return NULL;
    }
    for (uint64_t i = 0; i < u->keys_n; i++) secret_free(u->keys[i]);
    mem_free(u->keys);
    u->keys = NULL;
    u->keys_n = 0;
    return keep_keys(u, key, d.epoch);
}

err_t *unseal_find_keys(unseal_t *u) {
    TRY(unseal_runs(u, "deliveries", LIMIT_SYNC_DELIVERY, take_delivery));
    if (u->keys_n == 0)
        return err_new(ERR_DENIED, "the dump has no key for this device (%s)", u->device.card.name);
    return NULL;
}
