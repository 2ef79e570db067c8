/*
 * The class-B inbox: see inbox.h. In coffer-mailbox.
 */
#include "box/inbox.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "ipc/wire.h"

enum { NAME_RANDOM = 16, ITEM_MAX = LIMIT_BOX_MESSAGE + 4096 };

#define CONTEXT "mailbox/inbox"
#define SUFFIX  ".mail"
#define ASIDE   ".bad"  /* behind it: it does not open */
#define KEPT    ".kept" /* and its mail was fetched again */

static bool is_item(const char *name) {
    size_t n = strlen(name), s = sizeof SUFFIX - 1;
    return n == (size_t)2 * NAME_RANDOM + s && strcmp(name + n - s, SUFFIX) == 0;
}

/* An item, or what became of one: put aside, or a write that was killed (see file_write). */
static bool is_ours(const char *name) {
    size_t n = strlen(name), item = (size_t)2 * NAME_RANDOM + sizeof SUFFIX - 1;
    if (n < item || strspn(name, "0123456789abcdef") != (size_t)2 * NAME_RANDOM) return false;
    if (strncmp(name + 2 * NAME_RANDOM, SUFFIX, sizeof SUFFIX - 1) != 0) return false;
    return n == item || strcmp(name + item, ASIDE) == 0 || strcmp(name + item, KEPT) == 0 ||
           strcmp(name + item, ".new") == 0;
}

static void close_dir(DIR **dir) {
    if (*dir) (void)closedir(*dir);
}

err_t *box_inbox_usage(const char *dir, box_usage_t *ret_usage) {
    __attribute__((cleanup(close_dir))) DIR *d = opendir(dir);
    box_usage_t usage = {0};
    if (!d) return err_errno(errno, "cannot read %s", dir);
    for (struct dirent *entry; (entry = readdir(d));) {
        struct stat st;
        if (!is_item(entry->d_name) || fstatat(dirfd(d), entry->d_name, &st, 0) != 0) continue;
        usage.count++;
        usage.bytes += (uint64_t)st.st_size;
    }
    *ret_usage = usage;
    return NULL;
}

err_t *box_inbox_room(const box_usage_t *usage, size_t n, uint64_t left) {
    if (usage->count >= LIMIT_BOX_INBOX)
        return err_new(ERR_FULL, "%d mails wait for the device to be unlocked", LIMIT_BOX_INBOX);
    if (usage->bytes > LIMIT_BOX_INBOX_BYTES || n > LIMIT_BOX_INBOX_BYTES - usage->bytes)
        return err_new(ERR_FULL, "%d MB of mail wait for the device to be unlocked",
                       LIMIT_BOX_INBOX_BYTES / 1000 / 1000);
    if (left < LIMIT_BOX_DISK_LEFT || n > left - LIMIT_BOX_DISK_LEFT)
        return err_new(ERR_FULL, "the disk is nearly full: mail waits at the server");
    return NULL;
}

static err_t *check_room(const char *dir, const box_usage_t *usage, size_t n) {
    struct statvfs disk;
    if (statvfs(dir, &disk) != 0) return err_errno(errno, "%s", dir);
    return box_inbox_room(usage, n, (uint64_t)disk.f_bavail * disk.f_frsize);
}

static err_t *encode(const box_item_t *item, buf_t *out) {
    TRY(wire_put_str(out, item->folder));
    TRY(wire_put_u32(out, item->uidvalidity));
    TRY(wire_put_u32(out, item->uid));
    TRY(wire_put_u32(out, item->flags));
    return wire_put_bytes(out, item->message);
}

err_t *box_inbox_add(const keybag_t *bag, const rnd_t *rnd, const char *dir, const box_item_t *item,
                     box_usage_t *usage) {
    CLEANUP(buf_done) buf_t plain, sealed;
    CLEANUP(mem_free) char *hex = NULL, *path = NULL;
    uint8_t name[NAME_RANDOM];
    buf_init_secret(&plain, ITEM_MAX);
    buf_init(&sealed, ITEM_MAX + 256);
    TRY(check_room(dir, usage, item->message.n));
    TRY(encode(item, &plain));
    TRY(keybag_seal(bag, KEYBAG_B, CONTEXT, buf_bytes(&plain), &sealed));
    TRY(rnd_fill(rnd, name, sizeof name));
    TRY(text_hex_new(BYTES_ARRAY(name), &hex));
    path = mem_printf("%s/%s%s", dir, hex, SUFFIX);
    if (!path) return err_nomem();
    TRY(file_write(path, buf_bytes(&sealed), 0600));
    usage->count++;
    usage->bytes += sealed.n;
    return NULL;
}

static err_t *decode(bytes_t plain, char **ret_folder, box_item_t *ret_item) {
    CLEANUP(mem_free) char *folder = NULL;
    box_item_t item = {0};
    uint32_t flags = 0;
    wire_reader_t r = wire_reader(plain);
    TRY(wire_get_str(&r, LIMIT_BOX_FOLDER, &folder));
    TRY(wire_get_u32(&r, &item.uidvalidity));
    TRY(wire_get_u32(&r, &item.uid));
    TRY(wire_get_u32(&r, &flags));
    TRY(wire_get_bytes(&r, LIMIT_BOX_MESSAGE, &item.message));
    TRY(wire_done(&r));
    item.flags = flags;
    item.folder = *ret_folder = STEAL(folder);
    *ret_item = item;
    return NULL;
}

/* Whoever can write here can seal anything to class B: it must not keep the device from opening. */
static err_t *open_item(const keybag_t *bag, bytes_t sealed, buf_t *plain, char **ret_folder,
                        box_item_t *ret_item) {
    TRY(keybag_unseal(bag, KEYBAG_B, CONTEXT, sealed, plain));
    err_t *e = decode(buf_bytes(plain), ret_folder, ret_item);
    return e && (err_code(e) == ERR_INVALID || err_code(e) == ERR_LIMIT) ? err_recode(e, ERR_VERIFY)
                                                                         : e;
}

/* Kept for who wants to look, but never looked at again. */
static err_t *put_aside(const char *path) {
    CLEANUP(mem_free) char *aside = mem_printf("%s" ASIDE, path);
    if (!aside) return err_nomem();
    return rename(path, aside) == 0 ? NULL : err_errno(errno, "cannot rename %s", path);
}

static err_t *merge_one(const keybag_t *bag, const char *path,
                        err_t *(*take)(void *arg, const box_item_t *item), void *arg,
                        bool *ret_bad) {
    CLEANUP(buf_done) buf_t sealed, plain;
    CLEANUP(mem_free) char *folder = NULL;
    box_item_t item;
    buf_init(&sealed, ITEM_MAX + 256);
    buf_init_secret(&plain, ITEM_MAX);
    err_t *e = file_read(path, &sealed);
    if (!e) e = open_item(bag, buf_bytes(&sealed), &plain, &folder, &item);
    if (e && (err_code(e) == ERR_VERIFY || err_code(e) == ERR_LIMIT)) {
        *ret_bad = true;
        err_free(e);
        return put_aside(path);
    }
    if (e) return e;
    buf_done(&sealed); /* it may be large */
    TRY(take(arg, &item));
    return unlink(path) == 0 ? NULL : err_errno(errno, "cannot remove %s", path);
}

err_t *box_inbox_merge(const keybag_t *bag, const char *dir,
                       err_t *(*take)(void *arg, const box_item_t *item), void *arg,
                       size_t *ret_merged, size_t *ret_bad) {
    __attribute__((cleanup(close_dir))) DIR *d = opendir(dir);
    size_t merged = 0, bad = 0;
    if (!d) return err_errno(errno, "cannot read %s", dir);
    for (struct dirent *entry; (entry = readdir(d));) {
        CLEANUP(mem_free) char *path = NULL;
        bool is_bad = false;
        if (!is_item(entry->d_name)) continue;
        TRY(file_path(dir, entry->d_name, &path));
        TRY(merge_one(bag, path, take, arg, &is_bad));
        if (is_bad) bad++;
        else merged++;
    }
    *ret_merged = merged;
    *ret_bad = bad;
    return NULL;
}

static bool is_aside(const char *name) {
    size_t n = strlen(name), s = sizeof ASIDE - 1;
    return is_ours(name) && n > s && strcmp(name + n - s, ASIDE) == 0;
}

err_t *box_inbox_aside(const char *dir, size_t *ret_n) {
    __attribute__((cleanup(close_dir))) DIR *d = opendir(dir);
    size_t n = 0;
    if (!d) return err_errno(errno, "cannot read %s", dir);
    for (struct dirent *entry; (entry = readdir(d));)
        if (is_aside(entry->d_name)) n++;
    *ret_n = n;
    return NULL;
}

err_t *box_inbox_settle(const char *dir) {
    __attribute__((cleanup(close_dir))) DIR *d = opendir(dir);
    if (!d) return err_errno(errno, "cannot read %s", dir);
    for (struct dirent *entry; (entry = readdir(d));) {
        if (!is_aside(entry->d_name)) continue;
        int n = (int)(strlen(entry->d_name) - (sizeof ASIDE - 1));
        CLEANUP(mem_free) char *kept = mem_printf("%.*s" KEPT, n, entry->d_name);
        if (!kept) return err_nomem();
        if (renameat(dirfd(d), entry->d_name, dirfd(d), kept) != 0)
            return err_errno(errno, "cannot rename %s", entry->d_name);
    }
    return NULL;
}

void box_inbox_remove(const char *dir) {
    __attribute__((cleanup(close_dir))) DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *entry; (entry = readdir(d));)
        if (is_ours(entry->d_name)) (void)unlinkat(dirfd(d), entry->d_name, 0);
    (void)rmdir(dir);
}
