/*
 * A device's directory: see sync_home.h. Main thread.
 */
#include "program/coffer/sync_home.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/prompt.h"
#include "sync/client/rate.h"

enum { HOME_MODE = 0700, FILE_MODE = 0600, CONFIG_MAX = 64 * 1024, VALUE_MAX = 4096 };

void sync_home_done(sync_home_t *home) {
    mem_free(home->path);
    mem_free(home->server);
    mem_free(home->ca_file);
    mem_free(home->resolve);
    mem_free(home->folder);
    mem_free(home->folder_id);
    mem_free(home->own_path);
    *home = (sync_home_t){0};
}

err_t *sync_home_path(cli_t *cli, char **ret_path) {
    const char *given = args_value(cli->args, "home"), *user = getenv("HOME");
    if (!given) given = getenv("COFFER_SYNC_HOME");
    char *path = NULL;
    if (given && *given) path = mem_strdup(given);
    else if (user && *user) path = mem_printf("%s/.local/share/coffer-sync", user);
    else return err_new(ERR_USAGE, "where does this device keep its keys? Give --home DIR");
    if (!path) return err_nomem();
    *ret_path = path;
    return NULL;
}

err_t *sync_home_file(const char *home, const char *name, char **ret_path) {
    return file_path(home, name, ret_path);
}

/* The directories above it too. */
static err_t *make_all(const char *path) {
    CLEANUP(mem_free) char *copy = mem_strdup(path);
    if (!copy) return err_nomem();
    for (char *slash = copy + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        TRY(file_mkdir(copy, HOME_MODE));
        *slash = '/';
    }
    return file_mkdir(path, HOME_MODE);
}

err_t *sync_home_make(const char *path) {
    CLEANUP(mem_free) char *config = NULL;
    TRY(make_all(path));
    TRY(sync_home_file(path, "sync.json", &config));
    if (file_exists(config))
        return err_new(ERR_EXISTS, "%s is the home of a device already: give another --home", path);
    return NULL;
}

/* The inode of a directory that is gone is used again soon: its birth tells a copy that got it. */
err_t *sync_home_folder_id(const char *folder, char **ret_id) {
    struct statx st = {0};
    if (statx(AT_FDCWD, folder, 0, STATX_INO | STATX_BTIME, &st) != 0)
        return err_errno(errno, "%s", folder);
    if (!(st.stx_mask & STATX_BTIME)) st.stx_btime = (struct statx_timestamp){0};
    *ret_id = mem_printf("%u:%u:%llu:%lld.%u", st.stx_dev_major, st.stx_dev_minor,
                         (unsigned long long)st.stx_ino, (long long)st.stx_btime.tv_sec,
                         st.stx_btime.tv_nsec);
    return *ret_id ? NULL : err_nomem();
}

static err_t *set_hex(json_t *json, const char *name, bytes_t value) {
    CLEANUP(mem_free) char *hex = NULL;
    TRY(text_hex_new(value, &hex));
    return jso_set_str(json, name, hex);
}

err_t *sync_home_write(const sync_home_t *home) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t text;
    CLEANUP(mem_free) char *path = NULL;
    buf_init(&text, CONFIG_MAX);
    TRY(jso_object(&json));
    TRY(jso_set_int(json, "version", 1));
    TRY(jso_set_str(json, "server", home->server));
    TRY(jso_set_str(json, "ca", home->ca_file));
    TRY(jso_set_str(json, "resolve", home->resolve));
    TRY(jso_set_str(json, "folder", home->folder));
    if (home->folder_id) TRY(jso_set_str(json, "folder_id", home->folder_id));
    TRY(set_hex(json, "region", BYTES_ARRAY(home->region)));
    if (home->has_own) TRY(set_hex(json, "own", BYTES_ARRAY(home->own)));
    if (home->own_path) TRY(jso_set_str(json, "own_home", home->own_path));
    TRY(set_hex(json, "marker", BYTES_ARRAY(home->marker)));
    if (home->up_max) TRY(jso_set_int(json, "limit_up", (int64_t)home->up_max));
    if (home->down_max) TRY(jso_set_int(json, "limit_down", (int64_t)home->down_max));
    TRY(jso_write(json, true, &text));
    TRY(sync_home_file(home->path, "sync.json", &path));
    return file_write(path, buf_bytes(&text), FILE_MODE);
}

static err_t *get_text(const json_t *json, const char *name, bool required, char **ret_text) {
    bytes_t text = BYTES_NONE;
    TRY(jso_get_string(json, name, VALUE_MAX, required, &text));
    if (!text.p) return NULL;
    *ret_text = mem_strndup((const char *)text.p, text.n);
    return *ret_text ? NULL : err_nomem();
}

err_t *sync_get_hex(const json_t *json, const char *name, uint8_t *out, size_t n) {
    CLEANUP(buf_done) buf_t raw;
    bytes_t hex = BYTES_NONE;
    buf_init(&raw, n);
    TRY(jso_get_string(json, name, 2 * n, true, &hex));
    TRY(text_unhex(hex, &raw));
    if (raw.n != n) return err_new(ERR_INVALID, "%s has another length", name);
    bytes_put(out, buf_bytes(&raw));
    return NULL;
}

static err_t *get_rate(const json_t *json, const char *name, uint64_t *ret_rate) {
    int64_t rate = 0;
    TRY(jso_get_int(json, name, 0, SYNC_RATE_MAX, false, &rate));
    *ret_rate = (uint64_t)rate;
    return NULL;
}

static err_t *parse(bytes_t text, sync_home_t *home) {
    CLEANUP(jso_free) json_t *json = NULL;
    int64_t version = 0;
    TRY(jso_parse_object(text, &json));
    TRY(jso_get_int(json, "version", 1, 1, true, &version));
    TRY(get_text(json, "server", true, &home->server));
    TRY(get_text(json, "ca", false, &home->ca_file));
    TRY(get_text(json, "resolve", false, &home->resolve));
    TRY(get_text(json, "folder", false, &home->folder));
    TRY(get_text(json, "folder_id", false, &home->folder_id));
    TRY(sync_get_hex(json, "region", home->region, SYNC_HASH));
    TRY(get_rate(json, "limit_up", &home->up_max));
    TRY(get_rate(json, "limit_down", &home->down_max));
    home->has_own = json_object_get(json, "own") != NULL;
    if (home->has_own) TRY(sync_get_hex(json, "own", home->own, SYNC_HASH));
    TRY(get_text(json, "own_home", false, &home->own_path));
    return sync_get_hex(json, "marker", home->marker, SYNC_NODE);
}

err_t *sync_home_read(cli_t *cli, sync_home_t *ret_home) {
    CLEANUP(sync_home_done) sync_home_t home = {0};
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, CONFIG_MAX);
    TRY(sync_home_path(cli, &home.path));
    TRY(sync_home_file(home.path, "sync.json", &path));
    if (!file_exists(path))
        return err_new(ERR_NOT_FOUND,
                       "%s is no device's home yet: see coffer sync init and coffer sync join",
                       home.path);
    TRY(file_read(path, &text));
    TRY_WRAP(parse(buf_bytes(&text), &home), "%s", path);
    *ret_home = home;
    home = (sync_home_t){0};
    return NULL;
}

err_t *sync_home_keys(cli_t *cli, const char *home, sync_device_key_t *ret_key) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t record, passphrase;
    const char *file = args_value(cli->args, "passphrase-file");
    bool sealed = false;
    buf_init_secret(&record, LIMIT_SYNC_KEY_FILE);
    buf_init_secret(&passphrase, VALUE_MAX);
    TRY(crypto_init());
    TRY(sync_home_file(home, "device.key", &path));
    TRY(file_read_private(path, &record));
    TRY(sync_device_key_sealed(buf_bytes(&record), &sealed));
    if (sealed && file) TRY(prompt_secret_file(file, &passphrase));
    else if (sealed) TRY(prompt_password(cli, "Passphrase of", "this device's keys", &passphrase));
    TRY_WRAP(sync_device_key_open(buf_bytes(&record), sealed ? buf_bytes(&passphrase) : BYTES_NONE,
                                  ret_key),
             "%s", path);
    return NULL;
}

/* ---- all of it ---- */

void sync_open_done(sync_open_t *open) {
    sync_engine_free(open->engine);
    sync_folder_disk_free(open->disk);
    sync_http_free(open->http);
    db_local_close(open->state);
    if (open->locked) fd_close(open->lock);
    sync_device_key_done(&open->key);
    sync_home_done(&open->home);
    *open = (sync_open_t){0};
}

static err_t *rate_option(const cli_t *cli, const char *name, uint64_t *rate) {
    const char *text = args_value(cli->args, name);
    return text ? sync_rate_parse(bytes_str(text), rate) : NULL;
}

static err_t *open_parts(cli_t *cli, sync_open_t *open) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *wipe = NULL;
    TRY(sync_home_read(cli, &open->home));
    TRY(sync_home_file(open->home.path, SYNC_HOME_WIPE, &wipe));
    if (file_exists(wipe))
        return err_new(ERR_DENIED, "this device is being wiped: coffer sync run goes on with it");
    TRY(sync_home_keys(cli, open->home.path, &open->key));
    TRY(sync_home_file(open->home.path, "state.db", &path));
    TRY(db_local_open(path, cli->clk, &open->state));
    sync_http_config_t http = {.server = open->home.server,
                               .ca_file = open->home.ca_file,
                               .resolve = open->home.resolve,
                               .device = &open->key,
                               .state = open->state,
                               .clk = cli->clk,
                               .up_max = open->home.up_max,
                               .down_max = open->home.down_max};
    TRY(rate_option(cli, "limit-up", &http.up_max));
    TRY(rate_option(cli, "limit-down", &http.down_max));
    memcpy(http.region, open->home.region, SYNC_HASH);
    TRY(sync_http_new(&http, &open->http));
    open->config = (sync_engine_config_t){.remote = sync_http_remote(open->http),
                                          .state = open->state,
                                          .clk = cli->clk,
                                          .rnd = cli->rnd,
                                          .device = &open->key};
    memcpy(open->config.region, open->home.region, SYNC_HASH);
    return NULL;
}

/* The caller's struct stays where it is: its parts point to each other. */
err_t *sync_open(cli_t *cli, sync_open_t *ret_open) {
    err_t *e = open_parts(cli, ret_open);
    if (e) sync_open_done(ret_open);
    return e;
}

/*
 * Who syncs a folder holds the lock. Others only look then, and leave the tree in the state to him;
 * if two sync at once all the same, the engine notices (persist.c).
 */
static err_t *lock_home(sync_open_t *open) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(sync_home_file(open->home.path, "lock", &path));
    open->lock = openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (open->lock < 0) return err_errno(errno, "%s", path);
    open->locked = true;
    bool got = flock(open->lock, (open->config.disk ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0;
    if (open->config.disk) return NULL;
    open->config.aside = !got;
    if (got) (void)flock(open->lock, LOCK_UN);
    return NULL;
}

err_t *sync_open_engine(sync_open_t *open) {
    TRY(lock_home(open));
    return sync_engine_new(&open->config, &open->engine);
}

err_t *sync_open_region(cli_t *cli, sync_open_t *open) {
    sync_report_t report;
    TRY(sync_open(cli, open));
    TRY(sync_open_engine(open));
    return sync_engine_fetch(open->engine, &report);
}

void sync_nap(void) {
    const struct timespec nap = {.tv_nsec = 200 * 1000 * 1000};
    (void)nanosleep(&nap, NULL);
}
