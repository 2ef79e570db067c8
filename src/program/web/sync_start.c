/*
 * Opening and closing what synced files need: see web_sync.h. On the main thread.
 */
#include "base/file.h"
#include "base/mem.h"
#include "keeper/client_blob.h"
#include "program/web/web_sync.h"
#include "store/sync_clock.h"

/* ---- the sandbox ---- */

static err_t *add_path(web_sync_paths_t *paths, const char *dir, const char *path,
                       unsigned access) {
    if (paths->n == WEB_SYNC_PATHS) return err_new(ERR_LIMIT, "too many stores");
    char *whole = path[0] == '/' ? mem_strdup(path) : mem_printf("%s/%s", dir, path);
    if (!whole) return err_nomem();
    paths->owned[paths->n] = whole;
    paths->list[paths->n++] = (sandbox_path_t){whole, access};
    return NULL;
}

static err_t *add_directory(web_sync_paths_t *paths, const char *dir, const char *path) {
    TRY(add_path(paths, dir, path, SANDBOX_READ | SANDBOX_WRITE));
    err_t *e = file_mkdir(paths->owned[paths->n - 1], 0700);
    if (!e) return NULL;
    /* A disk that is away: opening the store says so. */
    paths->list[paths->n - 1].access |= SANDBOX_OPTIONAL;
    err_free(e);
    return NULL;
}

static err_t *add_network(web_sync_paths_t *paths) {
    static const sandbox_path_t needs[] = {
        {"/etc", SANDBOX_READ}, /* resolver, hosts, the system's CA certificates */
        {"/usr/share/ca-certificates", SANDBOX_READ | SANDBOX_OPTIONAL},
        {"/usr/lib", SANDBOX_READ | SANDBOX_EXEC}, /* name service modules */
        {"/run/systemd/resolve", SANDBOX_READ | SANDBOX_OPTIONAL},
    };
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
        TRY(add_path(paths, "", needs[i].path, needs[i].access));
    return NULL;
}

static err_t *add_store(conf_t *conf, const char *section, const char *dir, web_sync_paths_t *paths,
                        bool *network) {
    const char *path = NULL, *credentials = NULL, *ca = NULL;
    TRY(conf_get_string(conf, section, "path", NULL, &path));
    TRY(conf_get_string(conf, section, "credentials_file", NULL, &credentials));
    TRY(conf_get_string(conf, section, "ca", NULL, &ca));
    if (path) TRY(add_directory(paths, dir, path));
    if (credentials) TRY(add_path(paths, dir, credentials, SANDBOX_READ | SANDBOX_OPTIONAL));
    if (ca) TRY(add_path(paths, dir, ca, SANDBOX_READ | SANDBOX_OPTIONAL));
    *network = *network || credentials;
    return NULL;
}

static err_t *find_paths(const settings_t *s, web_sync_paths_t *paths) {
    const char *section = NULL, *name = NULL;
    bool enabled = false, network = false;
    TRY(conf_get_bool(s->conf, "sync", "enabled", false, &enabled));
    if (!enabled) return NULL;
    for (size_t cursor = 0; conf_next_named(s->conf, "sync_store", &cursor, &section, &name);)
        TRY(add_store(s->conf, section, s->dir, paths, &network));
    if (!paths->n) TRY(add_directory(paths, s->dir, "blobs"));
    if (network) {
        TRY(add_directory(paths, s->dir, "blob-spool"));
        TRY(add_network(paths));
    }
    return NULL;
}

void web_sync_paths_done(web_sync_paths_t *paths) {
    for (size_t i = 0; i < paths->n; i++) mem_free(paths->owned[i]);
    paths->n = 0;
}

err_t *web_sync_paths(const settings_t *settings, web_sync_paths_t *ret_paths) {
    ret_paths->n = 0;
    err_t *e = find_paths(settings, ret_paths);
    if (e) web_sync_paths_done(ret_paths);
    return e;
}

/* ---- the service ---- */

/* "https://host[:port][/...]": host and port, 443 if it is not said. */
static err_t *host_of(const char *url, char **ret_host) {
    const char *at = strstr(url, "://");
    at = at ? at + 3 : url;
    size_t n = strcspn(at, "/");
    bool v6 = at[0] == '[';
    const char *colon = v6 ? strstr(at, "]:") : memchr(at, ':', n);
    *ret_host = mem_printf("%.*s%s", (int)n, at, colon ? "" : ":443");
    return *ret_host ? NULL : err_nomem();
}

static err_t *clock_fn(db_conn_t *conn, void *arg) { return db_sync_clock_get(conn, arg); }

static err_t *make_service(web_t *web, web_sync_t *sync) {
    const settings_t *s = &web->settings;
    int64_t last_ms = 0;
    TRY(db_read(web->db, clock_fn, &last_ms));
    TRY(clk_steady_new(clk_real(), last_ms, &sync->ages));
    TRY(host_of(s->url, &sync->host));
    int n = (int)strcspn(sync->host, ":");
    sync->origin =
        mem_printf("%.*s/sync", sync->host[0] == '[' ? (int)strlen(sync->host) : n, sync->host);
    if (!sync->origin) return err_nomem();
    TRY(keeper_blob_keys(web->keeper, sync->keys.keys, &sync->keys.current));
    TRY(blob_conf_open(s->conf, s->dir, web->db, clk_steady_clk(sync->ages), clk_real(), rnd_real(),
                       &sync->keys, &sync->blobs));
    TRY(sync_events_new(&sync->events));
    return sync_service_new(
        &(sync_options_t){.db = web->db,
                          .blobs = sync->blobs.blobs,
                          .audit = &web->audit,
                          .clk = clk_real(),
                          .ages = clk_steady_clk(sync->ages),
                          .rnd = rnd_real(),
                          .host = sync->host,
                          .recovery = sync->conf.has_recovery ? sync->conf.recovery : NULL,
                          .policy = sync_conf_policy,
                          .policy_ctx = &sync->conf,
                          .changed = sync_events_changed,
                          .changed_ctx = sync->events,
                          .keep_ms = sync->conf.keep_s * 1000,
                          .grace_ms = sync->conf.grace_s * 1000},
        &sync->service);
}

static void sync_free(web_sync_t *sync) {
    if (!sync) return;
    sync_service_free(sync->service);
    sync_events_free(sync->events);
    blob_conf_done(&sync->blobs);
    blob_keys_done(&sync->keys);
    clk_steady_free(sync->ages);
    sync_conf_done(&sync->conf);
    mem_free(sync->host);
    mem_free(sync->origin);
    mem_free(sync);
}
DEFINE_CLEANUP(web_sync_t, sync_free)

err_t *web_sync_start(web_t *web) {
    CLEANUP(sync_free) web_sync_t *sync = mem_zalloc(sizeof *sync);
    if (!sync) return err_nomem();
    TRY(sync_conf_load(&web->settings, &sync->conf));
    if (!sync->conf.enabled) return NULL;
    err_t *e = make_service(web, sync);
    if (e && (err_code(e) == ERR_INVALID || err_code(e) == ERR_NOMEM)) return e;
    if (e) {
        log_error(&web->log, LOG_ERROR, e, "syncing is off");
        return NULL;
    }
    web->sync = STEAL(sync);
    log_line(&web->log, LOG_INFO, "syncing: %zu stores", web->sync->blobs.stores_n);
    return NULL;
}

err_t *web_sync_begin(web_t *web) {
    if (!web->sync) return NULL;
    TRY(sync_events_start(web, &web->sync->clock));
    return sync_work_start(web, &web->sync->work);
}

void web_sync_quiet(web_t *web) {
    if (web->sync) sync_events_tick(web->sync->events, INT64_MAX, true);
}

void web_sync_stop(web_t *web) {
    if (!web->sync) return;
    background_stop(STEAL(web->sync->work));
    background_stop(STEAL(web->sync->clock));
}

void web_sync_free(web_t *web) { sync_free(STEAL(web->sync)); }
