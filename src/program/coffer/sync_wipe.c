/*
 * Remote wipe on this device: see sync_wipe.h. Main thread.
 */
#include "program/coffer/sync_wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/sync_say.h"
#include "sync/engine/look.h"

enum { FILE_MODE = 0600, NOTE_MAX = 4096, RULES_MAX = 256 * 1024, ZEROS = 64 * 1024 };

#define RULES "wipe-rules" /* .coffer-ignore as it was */
#define ALSO  "wipe-also"  /* synced files that rules may keep out of the rest's way */

/* What is to be done next; in the note by name. */
typedef enum { PHASE_KEYS, PHASE_FILES, PHASE_RECEIPT, PHASE_END, PHASES } phase_t;
static const char *const phase_names[PHASES] = {"keys", "files", "receipt", "end"};

typedef struct {
    cli_t *cli;
    char *path;              /* of the home */
    sync_home_t home;        /* not in PHASE_END */
    sync_device_key_t key;   /* nor this */
    sync_folder_disk_t *own; /* the folder; NULL: there never was one */
    phase_t phase;
    uint8_t wipe[SYNC_HTTP_WIPE];
    int64_t time;
    uint64_t files;
    buf_t rules, also;
    bool refused; /* the service did not take the receipt */
} wiping_t;

static void wiping_done(wiping_t *w) {
    sync_folder_disk_free(w->own);
    sync_device_key_done(&w->key);
    sync_home_done(&w->home);
    mem_free(w->path);
    buf_done(&w->rules);
    buf_done(&w->also);
}
DEFINE_CLEANUP_VALUE(wiping_t, wiping_done)

static void wiping_init(wiping_t *w, cli_t *cli) {
    *w = (wiping_t){.cli = cli};
    buf_init(&w->rules, RULES_MAX);
    buf_init(&w->also, LIMIT_SYNC_WIPE);
}

/* ---- the note ---- */

static err_t *write_note(const wiping_t *w) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *hex = NULL;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, NOTE_MAX);
    TRY(text_hex_new(BYTES_ARRAY(w->wipe), &hex));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "phase", phase_names[w->phase]));
    TRY(jso_set_str(json, "wipe", hex));
    TRY(jso_set_int(json, "time", w->time));
    TRY(jso_set_int(json, "files", (int64_t)w->files));
    TRY(jso_write(json, true, &text));
    TRY(sync_home_file(w->path, SYNC_HOME_WIPE, &path));
    return file_write(path, buf_bytes(&text), FILE_MODE);
}

static err_t *go_to(wiping_t *w, phase_t phase) {
    w->phase = phase;
    return write_note(w);
}

static err_t *parse_note(bytes_t text, wiping_t *w) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(buf_done) buf_t id;
    bytes_t hex, phase;
    int64_t files = 0;
    int i = 0;
    buf_init(&id, SYNC_HTTP_WIPE);
    TRY(jso_parse_object(text, &json));
    TRY(jso_get_string(json, "wipe", 2 * (size_t)SYNC_HTTP_WIPE, true, &hex));
    TRY(jso_get_string(json, "phase", 32, true, &phase));
    TRY(jso_get_int(json, "time", 0, INT64_MAX, true, &w->time));
    TRY(jso_get_int(json, "files", 0, INT64_MAX, true, &files));
    TRY(text_unhex(hex, &id));
    while (i < PHASES && !bytes_eq_str(phase, phase_names[i])) i++;
    if (i == PHASES || id.n != SYNC_HTTP_WIPE) return err_new(ERR_INVALID, "no note of a wipe");
    bytes_put(w->wipe, buf_bytes(&id));
    w->phase = (phase_t)i;
    w->files = (uint64_t)files;
    return NULL;
}

/* ---- destroying ---- */

static err_t *overwrite(int fd, const char *path) {
    static const uint8_t zeros[ZEROS];
    struct stat state;
    if (fstat(fd, &state) != 0) return err_errno(errno, "%s", path);
    for (off_t left = state.st_size; left > 0;) {
        size_t n = left < ZEROS ? (size_t)left : (size_t)ZEROS;
        TRY(file_write_fd(fd, bytes_make(zeros, n)));
        left -= (off_t)n;
    }
    return fsync(fd) == 0 ? NULL : err_errno(errno, "%s", path);
}

/* Zeros over it first: what little a file system that writes elsewhere leaves of that worth. */
static err_t *destroy(const wiping_t *w, const char *name) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(sync_home_file(w->path, name, &path));
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return NULL;
    if (fd < 0) return err_errno(errno, "%s", path);
    TRY(overwrite(fd, path));
    return unlink(path) == 0 || errno == ENOENT ? NULL : err_errno(errno, "%s", path);
}

static err_t *home_lasting(const wiping_t *w) {
    CLEANUP(fd_close) int fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) return err_errno(errno, "%s", w->path);
    return NULL;
}

static err_t *destroy_all(const wiping_t *w, const char *const *names) {
    for (; *names; names++) TRY(destroy(w, *names));
    return home_lasting(w);
}

/* ---- phases ---- */

static err_t *keep(const wiping_t *w, const char *name, bytes_t content) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(sync_home_file(w->path, name, &path));
    return file_write(path, content, FILE_MODE);
}

/* What says which files stay must outlive the file that says so. */
static err_t *keep_rules(wiping_t *w) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *kept = NULL;
    TRY(sync_home_file(w->path, RULES, &kept));
    if (file_exists(kept)) return NULL;
    TRY(file_path(w->home.folder, ".coffer-ignore", &path));
    if (file_exists(path)) TRY(file_read(path, &w->rules));
    return keep(w, RULES, buf_bytes(&w->rules));
}

/* The region's keys lie in the local state. */
static err_t *drop_keys(wiping_t *w) {
    static const char *const names[] = {"state.db", "state.db-wal", "state.db-shm",
                                        "state.db-journal", NULL};
    TRY(destroy_all(w, names));
    if (w->own) {
        uint64_t also = 0;
        TRY(keep_rules(w));
        bytes_t rules = buf_bytes(&w->rules);
        TRY(sync_wipe_count(sync_folder_disk(w->own), rules, &w->files));
        TRY(sync_wipe_named(sync_folder_disk(w->own), rules, buf_bytes(&w->also), false, &also));
        w->files += also;
    }
    return go_to(w, PHASE_FILES);
}

static err_t *drop_files(wiping_t *w) {
    if (w->own) {
        uint64_t also = 0;
        bytes_t rules = buf_bytes(&w->rules);
        TRY(sync_wipe_named(sync_folder_disk(w->own), rules, buf_bytes(&w->also), true, &also));
        TRY(sync_wipe_files(sync_folder_disk(w->own), rules));
    }
    w->time = clk_unix(w->cli->clk);
    return go_to(w, PHASE_RECEIPT);
}

/* One that the service will never take does not keep the keys alive. */
static err_t *send_receipt(wiping_t *w) {
    CLEANUP(sync_http_free) sync_http_t *http = NULL;
    sync_http_config_t config = {.server = w->home.server,
                                 .ca_file = w->home.ca_file,
                                 .resolve = w->home.resolve,
                                 .device = &w->key,
                                 .clk = w->cli->clk};
    memcpy(config.region, w->home.region, SYNC_HASH);
    if (w->own) TRY(sync_wipe_own(sync_folder_disk(w->own)));
    TRY(sync_http_new(&config, &http));
    err_t *e = sync_http_receipt(http, w->wipe, w->time, w->files);
    w->refused = e && (err_code(e) == ERR_NOT_FOUND || err_code(e) == ERR_VERIFY);
    if (w->refused) err_free(e);
    else if (e)
        return err_wrap(e, "the files are gone; the receipt is sent at the next coffer sync run");
    return go_to(w, PHASE_END);
}

static err_t *end(const wiping_t *w) {
    static const char *const names[] = {"device.key", "ca.pem", "sync.json", RULES, ALSO, NULL};
    static const char *const note[] = {SYNC_HOME_WIPE, "lock", NULL};
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *cache = NULL;
    TRY(sync_home_file(w->path, "cache", &cache));
    (void)rmdir(cache); /* a drive's; empty, or it is not there */
    TRY(destroy_all(w, names));
    TRY(destroy_all(w, note));
    TRY(jso_object(&json));
    TRY(jso_set_bool(json, "wiped", true));
    TRY(jso_set_int(json, "files", (int64_t)w->files));
    TRY(jso_set_bool(json, "receipt", !w->refused));
    return output_done(
        w->cli, json, "An administrator had this device wiped: %llu files and its keys are gone%s",
        (unsigned long long)w->files, w->refused ? "; the service did not take the receipt" : "");
}

/* The folder must be the one it was; once it is empty it may have lost its marker. */
static err_t *open_folder(wiping_t *w) {
    if (!w->home.folder) return NULL;
    TRY(sync_folder_disk_new(w->home.folder, w->home.marker, w->cli->clk, &w->own));
    const sync_disk_t *disk = sync_folder_disk(w->own);
    err_t *e = disk->present(disk->ctx, false);
    if (!e) return NULL;
    if (w->phase == PHASE_RECEIPT && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        sync_folder_disk_free(STEAL(w->own));
        return NULL;
    }
    return err_wrap(e,
                    "this device is to be wiped, and its folder is not there: mount it, or if "
                    "it is gone for good destroy %s",
                    w->path);
}

static err_t *go_on(wiping_t *w) {
    if (w->phase != PHASE_END) {
        /* The region's keys go even if the folder can't be had now. */
        err_t *e = open_folder(w);
        if (e && w->phase == PHASE_KEYS) {
            static const char *const names[] = {"state.db", "state.db-wal", "state.db-shm", NULL};
            err_ignore(destroy_all(w, names));
        }
        TRY(e);
    }
    if (w->phase == PHASE_KEYS) TRY(drop_keys(w));
    if (w->phase == PHASE_FILES) TRY(drop_files(w));
    if (w->phase == PHASE_RECEIPT) TRY(send_receipt(w));
    return end(w);
}

static err_t *read_if_there(const wiping_t *w, const char *name, buf_t *out) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(sync_home_file(w->path, name, &path));
    return file_exists(path) ? file_read(path, out) : NULL;
}

err_t *sync_wipe_resume(cli_t *cli, bool *ret_wiped) {
    CLEANUP(wiping_done) wiping_t w;
    CLEANUP(buf_done) buf_t note;
    wiping_init(&w, cli);
    buf_init(&note, NOTE_MAX);
    TRY(sync_home_path(cli, &w.path));
    TRY(read_if_there(&w, SYNC_HOME_WIPE, &note));
    if (note.n == 0) return NULL;
    TRY_WRAP(parse_note(buf_bytes(&note), &w), "%s/" SYNC_HOME_WIPE, w.path);
    if (w.phase != PHASE_END) {
        TRY(sync_home_read(cli, &w.home));
        TRY(sync_home_keys(cli, w.path, &w.key));
        TRY(read_if_there(&w, RULES, &w.rules));
        TRY(read_if_there(&w, ALSO, &w.also));
    }
    TRY(go_on(&w));
    *ret_wiped = true;
    return NULL;
}

/* ---- beginning ---- */

static err_t *add_also(void *arg, const sync_look_t *look) {
    wiping_t *w = arg;
    if (look->kind == SYNC_ENTRY_FOLDER) return NULL;
    return buf_add(&w->also, bytes_make(look->path, strlen(look->path) + 1));
}

/* Which files are synced is known as long as the state is there. Without it the rules decide. */
static err_t *begin(wiping_t *w, const sync_open_t *open) {
    err_t *e = open->engine ? sync_look(open->engine, "", true, add_also, w) : NULL;
    if (e) buf_clear(&w->also);
    err_free(e);
    TRY(keep(w, ALSO, buf_bytes(&w->also)));
    return write_note(w);
}

/* Only home and keys stay. */
static void close_rest(sync_open_t *open, wiping_t *w) {
    w->home = open->home;
    w->key = open->key;
    open->home = (sync_home_t){0};
    open->key = (sync_device_key_t){0};
    sync_open_done(open);
}

err_t *sync_wipe_if_told(cli_t *cli, sync_open_t *open, err_t *e) {
    CLEANUP(wiping_done) wiping_t w;
    bool told = false;
    wiping_init(&w, cli);
    if (!e || !open->http || err_code(e) == ERR_UNAVAILABLE || err_code(e) == ERR_TIMEOUT) return e;
    err_t *asked = sync_http_wipe(open->http, &told, w.wipe);
    if (asked || !told) {
        err_free(asked);
        return e;
    }
    err_free(e);
    w.path = mem_strdup(open->home.path);
    if (!w.path) return err_nomem();
    TRY(begin(&w, open));
    close_rest(open, &w);
    return go_on(&w);
}

err_t *sync_wipe_or(cli_t *cli, sync_open_t *open, const sync_report_t *report, err_t *e) {
    bool others = open->home.folder && open->config.aside;
    if (!e) return NULL;
    if (strcmp(report->alarm, SYNC_ALARM_WIPE) != 0 || others) return sync_advise(e, report);
    char word[sizeof report->alarm];
    memcpy(word, report->alarm, sizeof word);
    e = sync_wipe_if_told(cli, open, e);
    return e ? e : err_new(ERR_DENIED, "%s: this device was wiped", word);
}
