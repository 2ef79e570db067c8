/*
 * The class-B inbox: see inbox.h. In coffer-mailbox.
 */
#include "box/inbox.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "ipc/wire.h"

enum { NAME_RANDOM = 16, ITEM_MAX = LIMIT_BOX_MESSAGE + 4096 };

#define CONTEXT "mailbox/inbox"
#define SUFFIX  ".mail"

static bool is_item(const char *name) {
    size_t n = strlen(name), s = sizeof SUFFIX - 1;
    return n == (size_t)2 * NAME_RANDOM + s && strcmp(name + n - s, SUFFIX) == 0;
}

static void close_dir(DIR **dir) {
    if (*dir) (void)closedir(*dir);
}

err_t *box_inbox_count(const char *dir, size_t *ret_count) {
    __attribute__((cleanup(close_dir))) DIR *d = opendir(dir);
    size_t count = 0;
    if (!d) return err_errno(errno, "cannot read %s", dir);
    for (struct dirent *entry; (entry = readdir(d));) count += is_item(entry->d_name);
    *ret_count = count;
    return NULL;
}

static err_t *encode(const box_item_t *item, buf_t *out) {
    TRY(wire_put_str(out, item->folder));
    TRY(wire_put_u32(out, item->uidvalidity));
    TRY(wire_put_u32(out, item->uid));
    TRY(wire_put_u32(out, item->flags));
    return wire_put_bytes(out, item->message);
}

err_t *box_inbox_add(const keybag_t *bag, const rnd_t *rnd, const char *dir,
                     const box_item_t *item) {
    CLEANUP(buf_done) buf_t plain, sealed;
    CLEANUP(mem_free) char *hex = NULL, *path = NULL;
    uint8_t name[NAME_RANDOM];
    size_t count = 0;
    buf_init_secret(&plain, ITEM_MAX);
    buf_init(&sealed, ITEM_MAX + 256);
    TRY(box_inbox_count(dir, &count));
    if (count >= LIMIT_BOX_INBOX)
        return err_new(ERR_FULL, "%d mails wait for the device to be unlocked", LIMIT_BOX_INBOX);
    TRY(encode(item, &plain));
    TRY(keybag_seal(bag, KEYBAG_B, CONTEXT, buf_bytes(&plain), &sealed));
    TRY(rnd_fill(rnd, name, sizeof name));
    TRY(text_hex_new(BYTES_ARRAY(name), &hex));
    path = mem_printf("%s/%s%s", dir, hex, SUFFIX);
    return path ? file_write(path, buf_bytes(&sealed), 0600) : err_nomem();
}

static err_t *decode_and_take(bytes_t plain, err_t *(*take)(void *arg, const box_item_t *item),
                              void *arg) {
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
    item.folder = folder;
    item.flags = flags;
    return take(arg, &item);
}

static err_t *merge_one(const keybag_t *bag, const char *path,
                        err_t *(*take)(void *arg, const box_item_t *item), void *arg,
                        bool *ret_bad) {
    CLEANUP(buf_done) buf_t sealed, plain;
    buf_init(&sealed, ITEM_MAX + 256);
    buf_init_secret(&plain, ITEM_MAX);
    TRY(file_read(path, &sealed));
    err_t *e = keybag_unseal(bag, KEYBAG_B, CONTEXT, buf_bytes(&sealed), &plain);
    if (e && err_code(e) == ERR_VERIFY) {
        *ret_bad = true;
        err_free(e);
        return NULL;
    }
    if (e) return e;
    TRY(decode_and_take(buf_bytes(&plain), take, arg));
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
