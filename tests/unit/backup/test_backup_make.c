/*
 * backup/backup_make.h, backup_check.h, backup_restore.h over a small instance, with a keeper that
 * is played here. What fails at any call must leave earlier backups whole.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit.h"
#include "backup/backup_check.h"
#include "backup/backup_make.h"
#include "backup/backup_restore.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "keeper/escrow_seal.h"
#include "store/db.h"

enum { VAULT_SIZE = 2 * BACKUP_CHUNK + 100, OFFICERS = 2 };

typedef struct {
    char dir[64], instance[80], store[80];
    pkey_t *audit_key;
    escrow_set_t set;
    escrow_sealer_t *sealers[OFFICERS];
    uint8_t *vault;
    backup_keys_t vault_keys;
    uint8_t generation[ESCROW_ID];
    int64_t now_ms;
    secret_t *secret; /* of the last backup: cofferBS */
} world_t;

static const uint8_t keys[4][ESCROW_KEY] = {{1}, {2}, {3}, {4}}; /* master, vault, files, index */

/* ---- the keeper ---- */

static err_t *play_begin(void *ctx, const uint8_t id[ESCROW_ID],
                         const uint8_t generation[ESCROW_ID], buf_t *ret_keys) {
    world_t *w = ctx;
    (void)id;
    memcpy(w->generation, generation, ESCROW_ID);
    TRY(buf_add(ret_keys, BYTES_ARRAY(keys[2])));
    return buf_add(ret_keys, BYTES_ARRAY(keys[3]));
}

static err_t *play_copy(void *ctx, const uint8_t id[ESCROW_ID], uint32_t *ret_left) {
    (void)ctx;
    (void)id;
    *ret_left = 0;
    return NULL;
}

static err_t *play_read(void *ctx, const uint8_t id[ESCROW_ID], uint32_t first, buf_t *out) {
    world_t *w = ctx;
    CLEANUP(buf_done) buf_t file;
    uint8_t hash[ESCROW_HASH], chunk[ESCROW_HASH];
    (void)id;
    buf_init(&file, BACKUP_CHUNK_FILE);
    bytes_t content =
        bytes_slice(bytes_make(w->vault, VAULT_SIZE), first * (size_t)BACKUP_CHUNK, BACKUP_CHUNK);
    if (!content.n) return NULL;
    TRY(digest_sha256(content, hash));
    TRY(backup_chunk_id(&w->vault_keys, hash, chunk));
    TRY(backup_chunk_seal(&w->vault_keys, chunk, chunk, BACKUP_STORED, content, rnd_real(), &file));
    TRY(buf_add(out, BYTES_ARRAY(chunk)));
    return wire_put_bytes(out, buf_bytes(&file));
}

static err_t *make_secret(world_t *w) {
    CLEANUP(buf_done) buf_t out;
    backup_secret_t secret = {BYTES_ARRAY(keys[0]), BYTES_ARRAY(keys[1]), BYTES_ARRAY(keys[2]),
                              BYTES_ARRAY(keys[3]), VAULT_SIZE,           {0}};
    buf_init_secret(&out, 1024);
    TRY(digest_sha256(bytes_make(w->vault, VAULT_SIZE), secret.vault_sha256));
    TRY(backup_secret_put(&secret, &out));
    secret_free(STEAL(w->secret));
    return secret_copy(buf_bytes(&out), &w->secret);
}

static err_t *play_finish(void *ctx, const backup_head_t *given, buf_t *ret_head) {
    world_t *w = ctx;
    CLEANUP(buf_done) buf_t blob, shares, set, audit_key, message;
    CLEANUP(secret_free) secret_t *dek = NULL;
    escrow_object_t object;
    backup_head_t head = *given;
    buf_init(&blob, 4096);
    buf_init(&shares, 4096);
    buf_init(&set, 4096);
    buf_init(&audit_key, 4096);
    buf_init(&message, LIMIT_BACKUP_HEAD);
    TRY(make_secret(w));
    backup_object(head.id, &object);
    TRY(escrow_dek_new(rnd_real(), &dek));
    TRY(escrow_blob_seal(&object, dek, rnd_real(), secret_bytes(w->secret), &blob));
    TRY(escrow_deal(&object, &w->set, w->sealers, rnd_real(), dek, &shares));
    TRY(escrow_set_put(&w->set, &set));
    TRY(pkey_public_der(w->audit_key, &audit_key));
    memcpy(head.generation, w->generation, ESCROW_ID);
    head.created = w->now_ms += 1000;
    head.vault_chunks = 3;
    head.set = buf_bytes(&set);
    head.blob = buf_bytes(&blob);
    head.shares = buf_bytes(&shares);
    head.audit_key = buf_bytes(&audit_key);
    TRY(backup_head_put(&head, &message));
    TRY(buf_add(ret_head, buf_bytes(&message)));
    return pkey_sign(w->audit_key, BACKUP_DOMAIN, buf_bytes(&message), ret_head);
}

/* ---- the world ---- */

static void write_at(const char *dir, const char *name, bytes_t data) {
    CLEANUP(mem_free) char *path = NULL;
    assert_ok(file_path(dir, name, &path));
    assert_ok(file_write(path, data, 0600));
}

static void make_dir(const char *dir, const char *name) {
    CLEANUP(mem_free) char *path = NULL;
    assert_ok(file_path(dir, name, &path));
    assert_ok(file_mkdir(path, 0700));
}

static err_t *fill(db_conn_t *conn, void *arg) {
    (void)arg;
    return db_script(conn, "CREATE TABLE t (x TEXT); INSERT INTO t VALUES ('a');");
}

static void make_instance(world_t *w) {
    static const char *const dirs[] = {"store", "push", "public", "run", "vault"};
    static uint8_t zeros[3 * BACKUP_CHUNK]; /* the same chunk three times */
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(db_close) db_t *db = NULL;
    assert_ok(file_mkdir(w->instance, 0700));
    for (size_t i = 0; i < 5; i++) make_dir(w->instance, dirs[i]);
    write_at(w->instance, "coffer.conf", BYTES_LIT("[instance]\n"));
    write_at(w->instance, "push/key.pem", BYTES_LIT("a key"));
    write_at(w->instance, "push/empty", BYTES_NONE);
    write_at(w->instance, "push/zeros", BYTES_ARRAY(zeros));
    write_at(w->instance, "public/root.pem", BYTES_LIT("a certificate"));
    write_at(w->instance, "run/not-this", BYTES_LIT("x"));
    write_at(w->instance, "vault/nor-this", BYTES_LIT("x"));
    assert_ok(file_path(w->instance, "store/store.db", &path));
    assert_ok(db_open(path, NULL, clk_real(), &db));
    assert_ok(db_write(db, fill, NULL));
}

static void make_officers(world_t *w) {
    uint8_t hash[ESCROW_HASH];
    w->set = (escrow_set_t){.epoch = 1, .threshold = 2, .n = OFFICERS};
    for (int i = 0; i < OFFICERS; i++) {
        CLEANUP(pkey_free) pkey_t *hpke = NULL, *sign = NULL;
        escrow_officer_t *officer = &w->set.officers[i];
        assert_ok(pkey_generate(PKEY_X25519, 0, &hpke));
        assert_ok(pkey_generate(PKEY_ED25519, 0, &sign));
        assert_ok(pkey_raw_public(hpke, officer->hpke));
        assert_ok(pkey_raw_public(sign, officer->sign));
        (void)snprintf(officer->id, sizeof officer->id, "officer%d", i);
        (void)snprintf(officer->person, sizeof officer->person, "person%d", i);
        officer->index = (uint8_t)(i + 1);
    }
    assert_ok(escrow_set_hash(&w->set, hash));
    for (size_t i = 0; i < OFFICERS; i++)
        assert_ok(escrow_sealer_new(hash, &w->set.officers[i], &w->sealers[i]));
}

static int setup(void **state) {
    world_t *w = calloc(1, sizeof *w);
    assert_non_null(w);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/coffer-backup-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->instance, sizeof w->instance, "%s/i", w->dir);
    (void)snprintf(w->store, sizeof w->store, "%s/b", w->dir);
    w->now_ms = 1000000;
    w->vault = calloc(1, VAULT_SIZE);
    assert_non_null(w->vault);
    assert_ok(rnd_fill(rnd_real(), w->vault, VAULT_SIZE));
    assert_ok(pkey_generate(PKEY_ED25519, 0, &w->audit_key));
    assert_ok(backup_keys_new(BYTES_ARRAY(keys[1]), &w->vault_keys));
    make_instance(w);
    make_officers(w);
    *state = w;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state) {
    world_t *w = *state;
    (void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < OFFICERS; i++) escrow_sealer_free(w->sealers[i]);
    pkey_free(w->audit_key);
    secret_free(w->secret);
    backup_keys_done(&w->vault_keys);
    free(w->vault);
    free(w);
    return 0;
}

static err_t *make(world_t *w, bool full, backup_made_t *made) {
    backup_make_t m = {.instance = w->instance,
                       .dir = w->store,
                       .label = "https://coffer.example.org",
                       .full = full,
                       .rnd = rnd_real(),
                       .source = {w, play_begin, play_copy, play_read, play_finish}};
    return backup_make(&m, made);
}

static void on_problem(void *ctx, const char *backup, const err_t *e) {
    (void)backup;
    (void)e;
    ++*(unsigned *)ctx;
}

static err_t *check(const world_t *w, backup_checked_t *checked) {
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    unsigned problems = 0;
    backup_report_t report = {&problems, on_problem};
    TRY(backup_repo_open(w->store, BACKUP_REPO_READ, &repo));
    return backup_check(repo, NULL, BYTES_NONE, &report, checked);
}

static err_t *restore(const world_t *w, const char *name, const char *to,
                      backup_restored_t *restored) {
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    CLEANUP(buf_done) buf_t file;
    backup_manifest_t manifest;
    buf_init(&file, LIMIT_BACKUP_MANIFEST);
    TRY(backup_repo_open(w->store, BACKUP_REPO_READ, &repo));
    TRY(backup_repo_read(repo, name, &file, &manifest));
    return backup_restore(repo, &manifest, w->secret, to, restored);
}

/* ---- tests ---- */

static void assert_same(const char *a, const char *b, const char *name) {
    CLEANUP(mem_free) char *path_a = NULL;
    CLEANUP(mem_free) char *path_b = NULL;
    CLEANUP(buf_done) buf_t x, y;
    buf_init(&x, 1 << 20);
    buf_init(&y, 1 << 20);
    assert_ok(file_path(a, name, &path_a));
    assert_ok(file_path(b, name, &path_b));
    assert_ok(file_read(path_a, &x));
    assert_ok(file_read(path_b, &y));
    assert_true(bytes_eq(buf_bytes(&x), buf_bytes(&y)));
}

static void test_backup_make__restored_as_it_was(void **state) {
    world_t *w = *state;
    char to[96];
    backup_made_t made;
    backup_restored_t restored;
    (void)snprintf(to, sizeof to, "%s/r", w->dir);
    assert_ok(make(w, false, &made));
    assert_int_equal(made.files, 6);
    assert_ok(restore(w, made.name, to, &restored));
    assert_int_equal(restored.files, 7); /* and the vault */
    assert_same(w->instance, to, "coffer.conf");
    assert_same(w->instance, to, "push/key.pem");
    assert_same(w->instance, to, "push/empty");
    assert_same(w->instance, to, "push/zeros");
    assert_same(w->instance, to, "public/root.pem");
    CLEANUP(mem_free) char *run = NULL;
    assert_ok(file_path(to, "run/not-this", &run));
    assert_false(file_exists(run));
    assert_err(ERR_EXISTS, restore(w, made.name, to, &restored));
    backup_checked_t checked;
    assert_ok(check(w, &checked));
    assert_int_equal(checked.problems, 0);
}

static void test_backup_make__writes_only_what_is_new(void **state) {
    world_t *w = *state;
    backup_made_t first, second, third;
    assert_ok(make(w, false, &first));
    assert_true(first.new_chunks < first.chunks); /* the zeros lie there once */
    assert_ok(make(w, false, &second));
    assert_int_equal(second.new_chunks, 0);
    assert_int_equal(second.chunks, first.chunks);
    w->vault[BACKUP_CHUNK] ^= 1;
    write_at(w->instance, "push/key.pem", BYTES_LIT("another key"));
    assert_ok(make(w, false, &third));
    assert_int_equal(third.new_chunks, 2);
    w->vault[BACKUP_CHUNK] ^= 1;
    backup_checked_t checked;
    assert_ok(check(w, &checked));
    assert_int_equal(checked.backups, 3);
}

/* A chunk that is gone or shorter is written again; what is damaged is told. */
static void test_backup_make__heals(void **state) {
    world_t *w = *state;
    backup_made_t made;
    backup_checked_t checked;
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    CLEANUP(buf_done) buf_t file;
    backup_manifest_t manifest;
    buf_init(&file, LIMIT_BACKUP_MANIFEST);
    assert_ok(make(w, false, &made));
    assert_ok(backup_repo_open(w->store, BACKUP_REPO_READ, &repo));
    assert_ok(backup_repo_read(repo, made.name, &file, &manifest));
    backup_entry_t entry = backup_entry_get(manifest.table, 0);
    assert_ok(backup_chunk_put(repo, entry.id, BYTES_LIT("cut")));
    assert_err(ERR_VERIFY, check(w, &checked));
    backup_repo_free(STEAL(repo));
    assert_ok(make(w, false, &made));
    assert_int_equal(made.new_chunks, 1);
    backup_restored_t restored;
    assert_ok(restore(w, made.name, NULL, &restored));
}

static void test_backup_make__io_errors_leave_earlier_ones(void **state) {
    world_t *w = *state;
    backup_made_t made;
    backup_checked_t checked;
    assert_ok(make(w, false, &made));
    bool done = false;
    for (unsigned long n = 1; !done; n += 1 + n / 8) {
        w->vault[0]++; /* new chunks each time, which nobody needs when it fails */
        fault_arm_io(n);
        err_t *e = make(w, true, &made);
        done = !fault_io_fired();
        fault_arm_io(0);
        if (done) assert_ok(e);
        err_free(e);
        assert_ok(check(w, &checked));
    }
    assert_true(checked.backups >= 2);
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    backup_pruned_t pruned;
    assert_ok(backup_repo_open(w->store, BACKUP_REPO_WRITE, &repo));
    assert_ok(backup_prune(repo, 2, &pruned));
    assert_true(pruned.chunks > 0); /* what the failed ones left */
    backup_repo_free(STEAL(repo));
    assert_ok(check(w, &checked));
    assert_int_equal(checked.backups, 2);
}

static void test_backup_make__without_memory(void **state) {
    world_t *w = *state;
    backup_made_t made;
    backup_checked_t checked;
    assert_ok(make(w, false, &made));
    for (unsigned long n = 1; n < 400; n += 7) {
        fault_arm_memory(n);
        err_t *e = make(w, false, &made);
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        if (!fired) assert_ok(e);
        err_free(e);
    }
    assert_ok(check(w, &checked));
}

static void test_backup_prune__interrupted(void **state) {
    world_t *w = *state;
    backup_made_t made;
    backup_checked_t checked;
    for (unsigned i = 0; i < 4; i++) {
        w->vault[0]++;
        assert_ok(make(w, false, &made));
    }
    bool done = false;
    for (unsigned long n = 1; !done; n++) {
        CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
        backup_pruned_t pruned;
        assert_ok(backup_repo_open(w->store, BACKUP_REPO_WRITE, &repo));
        fault_arm_io(n);
        err_t *e = backup_prune(repo, 1, &pruned);
        done = !fault_io_fired();
        fault_arm_io(0);
        if (done) assert_ok(e);
        err_free(e);
        backup_repo_free(STEAL(repo));
        assert_ok(check(w, &checked));
    }
    assert_int_equal(checked.backups, 1);
    backup_restored_t restored;
    assert_ok(restore(w, made.name, NULL, &restored));
}

static void test_backup_repo__one_writer(void **state) {
    world_t *w = *state;
    backup_made_t made;
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    CLEANUP(backup_repo_free) backup_repo_t *second = NULL;
    assert_err(ERR_NOT_FOUND, backup_repo_open(w->store, BACKUP_REPO_READ, &repo));
    assert_ok(make(w, false, &made));
    assert_ok(backup_repo_open(w->store, BACKUP_REPO_READ, &repo));
    assert_ok(backup_repo_open(w->store, BACKUP_REPO_READ, &second));
    assert_err(ERR_BUSY, make(w, false, &made));
}

static void test_backup_check__another_keeper(void **state) {
    world_t *w = *state;
    CLEANUP(backup_repo_free) backup_repo_t *repo = NULL;
    CLEANUP(buf_done) buf_t key;
    CLEANUP(pkey_free) pkey_t *other = NULL;
    backup_made_t made;
    backup_checked_t checked;
    unsigned problems = 0;
    backup_report_t report = {&problems, on_problem};
    buf_init(&key, 4096);
    assert_ok(make(w, false, &made));
    assert_ok(pkey_generate(PKEY_ED25519, 0, &other));
    assert_ok(pkey_public_der(other, &key));
    assert_ok(backup_repo_open(w->store, BACKUP_REPO_READ, &repo));
    assert_err(ERR_VERIFY, backup_check(repo, NULL, buf_bytes(&key), &report, &checked));
    assert_int_equal(problems, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_backup_make__restored_as_it_was),
        TEST(test_backup_make__writes_only_what_is_new),
        TEST(test_backup_make__heals),
        TEST(test_backup_make__io_errors_leave_earlier_ones),
        TEST(test_backup_make__without_memory),
        TEST(test_backup_prune__interrupted),
        TEST(test_backup_repo__one_writer),
        TEST(test_backup_check__another_keeper),
    };
    if (crypto_init()) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
