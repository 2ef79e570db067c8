/*
 * Blobs from the command line, for functional tests: over DIR/blobs.conf and DIR/store.db, with a
 * fixed blob key. Prints one line an answer; exit status 1 and the error's text if it fails.
 *
 *   blob-driver DIR [--later SECONDS] put FILE ... | get ID FILE | status ID | stores | repair |
 *               scrub | collect | sweep | own ID NAME | disown NAME
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/common/blob_conf.h"
#include "store/migrate.h"

typedef struct {
    clk_t clk;
    int64_t later_ms;
} late_t;

static int64_t late_unix_ms(const clk_t *clk) {
    return clk_unix_ms(clk_real()) + ((const late_t *)clk)->later_ms;
}
static int64_t late_mono_ms(const clk_t *clk) {
    return clk_mono_ms(clk_real()) + ((const late_t *)clk)->later_ms;
}

typedef struct {
    db_t *db;
    blob_conf_t conf;
    char **args;
    int n;
} driver_t;

static err_t *put_one(driver_t *d, const char *path) {
    CLEANUP(buf_done) buf_t content;
    char hex[BLOB_ID_HEX];
    blob_id_t id;
    buf_init(&content, LIMIT_BLOB);
    TRY(file_read(path, &content));
    TRY(blob_id_of(buf_bytes(&content), &id));
    TRY(blobs_put(d->conf.blobs, &id, buf_bytes(&content)));
    (void)printf("%s\n", blob_id_hex(&id, hex));
    return NULL;
}

static err_t *do_put(driver_t *d) {
    for (int i = 0; i < d->n; i++) TRY(put_one(d, d->args[i]));
    return NULL;
}

static err_t *sink(void *arg, bytes_t piece) { return file_write_fd(*(int *)arg, piece); }

static err_t *do_get(driver_t *d) {
    blob_id_t id;
    TRY(blob_id_parse(bytes_str(d->args[0]), &id));
    CLEANUP(fd_close) int fd = open(d->args[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return err_new(ERR_IO, "cannot open %s", d->args[1]);
    return blobs_get(d->conf.blobs, &id, 0, UINT64_MAX, sink, &fd);
}

static err_t *do_status(driver_t *d) {
    blob_id_t id;
    blob_status_t status;
    bool found = false;
    TRY(blob_id_parse(bytes_str(d->args[0]), &id));
    TRY(blobs_status(d->conf.blobs, &id, &status, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "no such blob");
    (void)printf("%zu of %zu replicas, verified %lld\n", status.good, status.wanted,
                 (long long)status.verified_ms);
    return NULL;
}

static err_t *do_stores(driver_t *d) {
    blobs_status_t status;
    TRY(blobs_status_all(d->conf.blobs, &status));
    for (size_t i = 0; i < status.stores_n; i++)
        (void)printf("%s %s good=%lld missing=%lld damaged=%lld\n", status.stores[i].name,
                     status.stores[i].kind, (long long)status.stores[i].good,
                     (long long)status.stores[i].missing, (long long)status.stores[i].damaged);
    return NULL;
}

static void print_work(const blobs_work_t *work) {
    (void)printf("checked=%lld bad=%lld repaired=%lld lost=%lld removed=%lld\n",
                 (long long)work->checked, (long long)work->bad, (long long)work->repaired,
                 (long long)work->lost, (long long)work->removed);
}

static err_t *do_repair(driver_t *d) {
    blobs_work_t work = {.checked = 0};
    TRY(blobs_repair(d->conf.blobs, 1000, &work));
    print_work(&work);
    return NULL;
}

static err_t *do_scrub(driver_t *d) {
    blobs_work_t work = {.checked = 0};
    TRY(blobs_scrub_begin(d->conf.blobs));
    for (bool done = false; !done;)
        TRY(blobs_scrub_step(d->conf.blobs, (uint64_t)d->conf.scrub_rate, &work, &done));
    print_work(&work);
    return NULL;
}

static err_t *do_collect(driver_t *d) {
    blobs_work_t work = {.checked = 0};
    TRY(blobs_collect(d->conf.blobs, 1000, &work));
    print_work(&work);
    return NULL;
}

static err_t *do_sweep(driver_t *d) {
    blobs_work_t work = {.checked = 0};
    for (bool done = false; !done;) TRY(blobs_sweep(d->conf.blobs, &work, &done));
    print_work(&work);
    return NULL;
}

static err_t *own_fn(db_conn_t *conn, void *arg) {
    const driver_t *d = arg;
    blob_id_t id;
    TRY(blob_id_parse(bytes_str(d->args[0]), &id));
    return db_blob_own(conn, blob_id_bytes(&id), d->args[1]);
}
static err_t *do_own(driver_t *d) { return db_write(d->db, own_fn, d); }

static err_t *disown_fn(db_conn_t *conn, void *arg) {
    const driver_t *d = arg;
    return db_blob_disown(conn, d->args[0], clk_unix_ms(db_clk(conn)));
}
static err_t *do_disown(driver_t *d) { return db_write(d->db, disown_fn, d); }

static const struct {
    const char *name;
    int least;
    err_t *(*run)(driver_t *d);
} commands[] = {
    {"put", 1, do_put},       {"get", 2, do_get},         {"status", 1, do_status},
    {"stores", 0, do_stores}, {"repair", 0, do_repair},   {"scrub", 0, do_scrub},
    {"sweep", 0, do_sweep},   {"collect", 0, do_collect}, {"own", 2, do_own},
    {"disown", 1, do_disown},
};

static err_t *run(driver_t *d, const char *command) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, command) == 0 && d->n >= commands[i].least)
            return commands[i].run(d);
    return err_new(ERR_USAGE, "no such command, or too few arguments");
}

static err_t *open_and_run(driver_t *d, const char *dir, const char *command, const late_t *late) {
    static const uint8_t key[AEAD_KEY_SIZE] = {1, 2, 3};
    CLEANUP(blob_keys_done) blob_keys_t keys = {.current = 1};
    CLEANUP(mem_free) char *database = NULL;
    CLEANUP(mem_free) char *file = NULL;
    CLEANUP(conf_free) conf_t *conf = NULL;
    CLEANUP(db_close) db_t *db = NULL;
    unsigned applied = 0;
    TRY(crypto_init());
    TRY(secret_copy(BYTES_ARRAY(key), &keys.keys[1]));
    TRY(file_path(dir, "store.db", &database));
    TRY(file_path(dir, "blobs.conf", &file));
    TRY(conf_load_file(file, &conf));
    TRY(db_open(database, NULL, &late->clk, &db));
    TRY(migrate_run(db, &applied));
    TRY(blob_conf_open(conf, dir, db, &late->clk, &late->clk, rnd_real(), &keys, &d->conf));
    d->db = db;
    err_t *e = conf_check_used(conf);
    if (!e) e = run(d, command);
    blob_conf_done(&d->conf);
    return e;
}

int main(int argc, char **argv) {
    late_t late = {.clk = {late_unix_ms, late_mono_ms}};
    int at = 2;
    if (argc > 4 && strcmp(argv[at], "--later") == 0) {
        late.later_ms = strtoll(argv[at + 1], NULL, 10) * 1000;
        at += 2;
    }
    if (argc <= at) return 2;
    driver_t d = {.args = argv + at + 1, .n = argc - at - 1};
    err_t *e = open_and_run(&d, argv[1], argv[at], &late);
    if (!e) return 0;
    char text[2048];
    (void)fprintf(stderr, "%s: %s\n", err_code_name(err_code(e)), err_text(e, text, sizeof text));
    err_free(e);
    return 1;
}
