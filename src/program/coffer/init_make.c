/*
 * A new instance: see init_make.h. Main thread, and the store's writer; no server runs yet.
 */
#include "program/coffer/init_make.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "directory/directory.h"
#include "program/coffer/run_keeper.h"
#include "program/common/head.h"
#include "program/common/settings.h"
#include "store/migrate.h"

enum { NODE_BYTES = 128, WALK_FDS = 16, TOKEN_BYTES = 128 };

/* ---- the keys: the keeper's own program makes them ---- */

static err_t *make_keys(const init_make_t *init, const char *dir) {
    const char *words[RUN_KEEPER_WORDS] = {
        "--dir", dir, "--init", "--org", init->organisation, "--host", init->host};
    size_t n = 7;
    run_keeper_t how = RUN_KEEPER_DONE;
    if (init->device_ca_key) words[n++] = "--device-ca-key", words[n++] = init->device_ca_key;
    if (init->scep_mode) words[n++] = "--scep-mode", words[n++] = init->scep_mode;
    TRY(run_keeper(words, n, &how));
    switch (how) {
    case RUN_KEEPER_DONE: return NULL;
    case RUN_KEEPER_USAGE:
        return err_new(ERR_USAGE, "coffer-keeper refused the organisation's name, the host or the "
                                  "kind of key");
    case RUN_KEEPER_BUSY:
    case RUN_KEEPER_ORDER:
    case RUN_KEEPER_FAILED: break;
    }
    return err_new(ERR_INTERNAL, "coffer-keeper could not make the keys");
}

/* ---- people and tokens ---- */

static err_t *write_token(directory_t *directory, const char *dir) {
    CLEANUP(buf_done) buf_t token;
    CLEANUP(mem_free) char *path = NULL;
    buf_init_secret(&token, TOKEN_BYTES);
    TRY(directory_add_token(directory, &DIRECTORY_SYSTEM, BYTES_LIT("local"), BYTES_LIT("admin"),
                            BYTES_NONE, 0, &token));
    TRY(buf_add_byte(&token, '\n'));
    TRY(file_path(dir, "api-token", &path));
    return file_write(path, buf_bytes(&token), 0600);
}

/* Audited in coffer-web's chain, whose head the keeper signs when the instance first runs. */
static err_t *fill_store(const init_make_t *init, const settings_t *settings, buf_t *ret_password) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(db_close) db_t *db = NULL;
    CLEANUP(directory_free) directory_t *directory = NULL;
    char node[NODE_BYTES];
    audit_t audit;
    TRY(file_path(settings->dir, "store/store.db", &path));
    TRY(db_open(path, NULL, init->clk, &db));
    TRY(migrate_run(db, NULL));
    TRY(head_name_node("web", node, sizeof node, &audit));
    directory_options_t options = {db, &audit, init->clk, init->rnd, settings->cheap_passwords};
    TRY(directory_new(&options, &directory));
    TRY(directory_add_person(directory, &DIRECTORY_SYSTEM, bytes_str(init->admin),
                             BYTES_LIT("Administrator"), BYTES_LIT("admin"), BYTES_NONE,
                             ret_password));
    return write_token(directory, settings->dir);
}

/* ---- the directory ---- */

/* *made is set once `dir` is this process's own, also if what follows fails. */
static err_t *make_directories(const char *dir, bool *made) {
    static const char *const names[] = {"store", "run", "log", "push", "tls", "public"};
    if (mkdir(dir, 0700) != 0) {
        if (errno == EEXIST)
            return err_new(ERR_EXISTS,
                           "%s exists: another init runs, or one was interrupted; then remove it",
                           dir);
        return err_errno(errno, "cannot make %s", dir);
    }
    *made = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CLEANUP(mem_free) char *path = NULL;
        TRY(file_path(dir, names[i], &path));
        TRY(file_mkdir(path, 0700));
        if (strcmp(names[i], "public") == 0 && chmod(path, 0755) != 0)
            return err_errno(errno, "cannot set the mode of %s", path);
    }
    return NULL;
}

/* What was written must read back as it was meant: coffer.conf has its own rules for values. */
static err_t *write_conf(const init_make_t *init, const char *dir, settings_t *ret_settings) {
    CLEANUP(buf_done) buf_t text;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(settings_done) settings_t settings = {0};
    buf_init(&text, LIMIT_CONFIG_BYTES);
    TRY(init_conf_write(init->values, &text));
    TRY(file_path(dir, "coffer.conf", &path));
    TRY(file_write(path, buf_bytes(&text), 0600));
    err_t *e = settings_load(dir, &settings);
    if (e) return err_recode(e, ERR_USAGE);
    for (size_t i = 0; i < init->values->n; i++) {
        const init_set_t *set = &init->values->sets[i];
        const char *back = NULL;
        TRY(conf_get_string(settings.conf, set->key->section, set->key->key, "", &back));
        if (strcmp(back, set->value) != 0)
            return err_new(ERR_USAGE, "coffer.conf cannot hold this value of [%s] %s: %s",
                           set->key->section, set->key->key, set->value);
    }
    *ret_settings = settings;
    settings = (settings_t){0};
    return NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static err_t *sync_path(const char *path) {
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_errno(errno, "cannot open %s", path);
    if (fsync(fd) != 0) return err_errno(errno, "cannot sync %s", path);
    return NULL;
}

/* *made is cleared once `from` is gone: another init may make its own. */
static err_t *commit(const char *from, const char *to, bool *made) {
    CLEANUP(mem_free) char *parent = mem_strdup(to);
    if (!parent) return err_nomem();
    TRY(sync_path(from));
    /* Unlike rename, this does not replace an empty directory that appeared meanwhile. */
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
        return err_errno(errno, "cannot rename %s to %s", from, to);
    *made = false;
    char *slash = strrchr(parent, '/');
    if (slash) slash[slash == parent] = '\0';
    return sync_path(slash ? parent : ".");
}

static err_t *build(const init_make_t *init, const char *dir, bool *made, buf_t *ret_password) {
    CLEANUP(settings_done) settings_t settings = {0};
    TRY(make_directories(dir, made));
    TRY(write_conf(init, dir, &settings));
    TRY_WRAP(make_keys(init, dir), "making the keys");
    return fill_store(init, &settings, ret_password);
}

/* "D/" and "D//" name D as well. */
static err_t *plain_path(const char *dir, char **ret_path) {
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/') n--;
    char *copy = mem_strndup(dir, n);
    if (!copy) return err_nomem();
    *ret_path = copy;
    return NULL;
}

err_t *init_make(const init_make_t *init, buf_t *ret_password) {
    CLEANUP(mem_free) char *to = NULL;
    CLEANUP(mem_free) char *from = NULL;
    struct stat st;
    TRY(plain_path(init->dir, &to));
    from = mem_printf("%s.new", to);
    if (!from) return err_nomem();
    if (lstat(to, &st) == 0) return err_new(ERR_EXISTS, "%s exists already", to);
    bool made = false;
    err_t *e = build(init, from, &made, ret_password);
    if (!e) e = commit(from, to, &made);
    if (e && made) (void)nftw(from, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS);
    return e;
}
