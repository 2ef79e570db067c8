/*
 * Where synced files' ciphertext lies, from coffer.conf: see blob_conf.h. At start, one thread.
 */
#include "program/common/blob_conf.h"

#include "base/file.h"
#include "base/mem.h"
#include "store/blob/disk.h"
#include "store/blob/s3.h"

enum {
    MIB = 1024 * 1024,
    DAY_S = 86400,
    SCRUB_RATE = 20,
    SCRUB_RATE_MAX = 100000,
    CONDEMNED_S = 3600,
    RETRY_S = 300,
    ARENA = 64 * 1024,
};

static err_t *path_in(const char *dir, const char *path, char **ret_path) {
    char *whole = path[0] == '/' ? mem_strdup(path) : mem_printf("%s/%s", dir, path);
    if (!whole) return err_nomem();
    *ret_path = whole;
    return NULL;
}

/* ---- one store ---- */

typedef struct {
    const char *store;
    bool used;
} used_t;

static err_t *used_fn(db_conn_t *conn, void *arg) {
    used_t *used = arg;
    CLEANUP(arena_free) arena_t *arena = NULL;
    const char *swept_to = NULL;
    TRY(arena_new(ARENA, &arena));
    return db_blob_place_find(conn, arena, used->store, &swept_to, &used->used);
}

static err_t *open_disk(conf_t *conf, const char *section, const char *name, const char *dir,
                        db_t *db, blob_store_t **ret_store) {
    CLEANUP(mem_free) char *whole = NULL;
    const char *path = NULL;
    used_t used = {.store = name};
    TRY(conf_need_string(conf, section, "path", &path));
    TRY(path_in(dir, path, &whole));
    TRY(db_read(db, used_fn, &used));
    return blob_disk_open(name, whole, used.used, ret_store);
}

static err_t *read_credentials(conf_t *conf, const char *section, const char *dir, buf_t *out) {
    CLEANUP(mem_free) char *whole = NULL;
    const char *path = NULL;
    TRY(conf_need_string(conf, section, "credentials_file", &path));
    TRY(path_in(dir, path, &whole));
    return file_read_private(whole, out);
}

static err_t *open_s3(conf_t *conf, const char *section, const char *name, const char *dir,
                      const rnd_t *rnd, blob_store_t **ret_store) {
    static const char *const styles[] = {"path", "host", NULL};
    CLEANUP(buf_done) buf_t credentials;
    CLEANUP(mem_free) char *ca = NULL;
    const char *ca_path = NULL;
    size_t style = 0;
    int64_t timeout_s = 0;
    /* A signature must bear the time of day, whatever `clk` says the time is. */
    blob_s3_config_t s3 = {.name = name, .clk = clk_real(), .rnd = rnd};
    buf_init_secret(&credentials, LIMIT_S3_CREDENTIALS);
    TRY(conf_need_string(conf, section, "endpoint", &s3.endpoint));
    TRY(conf_need_string(conf, section, "bucket", &s3.bucket));
    TRY(conf_get_string(conf, section, "prefix", "", &s3.prefix));
    TRY(conf_get_string(conf, section, "region", "us-east-1", &s3.region));
    TRY(conf_get_choice(conf, section, "style", styles, 0, &style));
    TRY(conf_get_string(conf, section, "ca", NULL, &ca_path));
    TRY(conf_get_string(conf, section, "proxy", NULL, &s3.proxy));
    TRY(conf_get_duration(conf, section, "timeout", 1, 3600, 60, &timeout_s));
    TRY(read_credentials(conf, section, dir, &credentials));
    if (ca_path) TRY(path_in(dir, ca_path, &ca));
    s3.host_style = style == 1;
    s3.ca_file = ca;
    s3.total_ms = timeout_s * 1000;
    s3.credentials = buf_bytes(&credentials);
    return blob_s3_open(&s3, ret_store);
}

/* ---- all ---- */

static err_t *open_stores(conf_t *conf, const char *dir, db_t *db, const rnd_t *rnd,
                          blob_conf_t *out) {
    static const char *const kinds[] = {"disk", "s3", NULL};
    const char *section = NULL, *name = NULL;
    for (size_t cursor = 0; conf_next_named(conf, "sync_store", &cursor, &section, &name);) {
        size_t kind = 0;
        if (out->stores_n == LIMIT_BLOB_STORES)
            return err_new(ERR_LIMIT, "more than %d stores", LIMIT_BLOB_STORES);
        TRY(conf_get_choice(conf, section, "kind", kinds, 0, &kind));
        blob_store_t **place = &out->stores[out->stores_n];
        TRY_WRAP(kind == 0 ? open_disk(conf, section, name, dir, db, place)
                           : open_s3(conf, section, name, dir, rnd, place),
                 "coffer.conf: [%s]", section);
        out->stores_n++;
    }
    if (out->stores_n) return NULL;
    CLEANUP(mem_free) char *own = NULL;
    used_t used = {.store = "main"};
    TRY(path_in(dir, "blobs", &own));
    TRY(db_read(db, used_fn, &used));
    TRY(blob_disk_open("main", own, used.used, &out->stores[0]));
    out->stores_n = 1;
    return NULL;
}

/* What comes in is written where the first directory can have it by a rename. */
static err_t *spool_of(const blob_conf_t *out, const char *dir, char **ret_path) {
    for (size_t i = 0; i < out->stores_n; i++)
        if (strcmp(blob_store_kind(out->stores[i]), "disk") == 0)
            return path_in("", blob_disk_tmp(out->stores[i]), ret_path);
    TRY(path_in(dir, "blob-spool", ret_path));
    return file_mkdir(*ret_path, 0700);
}

err_t *blob_conf_open(conf_t *conf, const char *dir, db_t *db, const clk_t *ages, const clk_t *day,
                      const rnd_t *rnd, const blob_keys_t *keys, blob_conf_t *ret_blobs) {
    CLEANUP(blob_conf_done) blob_conf_t out = {.stores_n = 0};
    CLEANUP(mem_free) char *spool = NULL;
    const char *all = "sync_storage";
    int64_t quorum = 0, grace_s = 0, orphan_s = 0, rate = 0;
    TRY(open_stores(conf, dir, db, rnd, &out));
    int64_t stores = (int64_t)out.stores_n;
    TRY(conf_get_int(conf, all, "quorum", 1, stores, stores / 2 + 1, &quorum));
    TRY(conf_get_duration(conf, all, "grace", 3600, 3650LL * DAY_S, 7 * DAY_S, &grace_s));
    TRY(conf_get_duration(conf, all, "orphan_grace", 3600, 3650LL * DAY_S, 30 * DAY_S, &orphan_s));
    TRY(conf_get_duration(conf, all, "scrub_interval", 0, 3650LL * DAY_S, 30 * DAY_S,
                          &out.scrub_every_s));
    TRY(conf_get_int(conf, all, "scrub_rate", 1, SCRUB_RATE_MAX, SCRUB_RATE, &rate));
    out.scrub_rate = rate * MIB;
    TRY(spool_of(&out, dir, &spool));
    blobs_config_t config = {.db = db,
                             .clk = ages,
                             .day = day,
                             .rnd = rnd,
                             .keys = keys,
                             .stores = out.stores,
                             .stores_n = out.stores_n,
                             .quorum = (size_t)quorum,
                             .spool = spool,
                             .grace_ms = grace_s * 1000,
                             .condemned_ms = (int64_t)CONDEMNED_S * 1000,
                             .orphan_ms = orphan_s * 1000,
                             .retry_ms = (int64_t)RETRY_S * 1000};
    TRY(blobs_new(&config, &out.blobs));
    *ret_blobs = out;
    out = (blob_conf_t){.stores_n = 0};
    return NULL;
}

void blob_conf_done(blob_conf_t *blobs) {
    blobs_free(blobs->blobs);
    for (size_t i = 0; i < blobs->stores_n; i++) blob_store_free(blobs->stores[i]);
    *blobs = (blob_conf_t){.stores_n = 0};
}
