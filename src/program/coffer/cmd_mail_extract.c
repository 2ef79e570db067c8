/*
 * coffer mail extract: the parts of a message as files, under names that can't hurt and never mix.
 * Files appear once the message was read to its end and its signatures were checked.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "format/tnef.h"
#include "mail/reader.h"
#include "mail/safe_name.h"
#include "program/coffer/mail_io.h"
#include "program/coffer/mail_keys.h"
#include "program/coffer/output.h"

enum { PARTS_MAX = 10000, TEMP_NAME = 48 };

typedef struct {
    char temp[TEMP_NAME]; /* in the directory; empty once renamed */
    size_t part;          /* in the verdict */
} file_t;

typedef struct {
    cli_t *cli;
    mail_keys_t keys;
    cert_list_t roots;
    mail_reader_t *reader;
    int dir, fd;
    file_t *files;
    size_t n, room;
} extract_t;

static void extract_done(extract_t *x) {
    mail_reader_free(x->reader);
    for (size_t i = 0; i < x->n; i++)
        if (x->files[i].temp[0]) (void)unlinkat(x->dir, x->files[i].temp, 0);
    mem_free(x->files);
    mail_keys_done(&x->keys);
    cert_list_done(&x->roots);
    fd_close(x->fd);
    fd_close(x->dir);
}
DEFINE_CLEANUP_VALUE(extract_t, extract_done)

static err_t *find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                   const pkey_t **ret_key, bool *ret_found) {
    return mail_keys_find(&((extract_t *)arg)->keys, recipient, ret_cert, ret_key, ret_found);
}

static err_t *on_begin(void *arg, const mail_part_t *part) {
    extract_t *x = arg;
    uint8_t random[12];
    CLEANUP(buf_done) buf_t hex;
    const char *text;
    (void)part;
    buf_init(&hex, 64);
    if (x->n == x->room) {
        size_t room = x->room ? x->room * 2 : 16;
        file_t *files = mem_resize(x->files, room * sizeof *files);
        if (!files) return err_nomem();
        x->files = files;
        x->room = room;
    }
    TRY(rnd_fill(x->cli->rnd, random, sizeof random));
    TRY(text_hex(BYTES_ARRAY(random), &hex));
    TRY(buf_cstr(&hex, &text));
    file_t *f = &x->files[x->n];
    *f = (file_t){0};
    (void)snprintf(f->temp, sizeof f->temp, ".coffer-%s", text);
    x->fd = openat(x->dir, f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (x->fd < 0) return err_errno(errno, "cannot make a file in the directory");
    x->n++;
    return NULL;
}

static err_t *on_data(void *arg, const mail_part_t *part, bytes_t data) {
    (void)part;
    return file_write_fd(((extract_t *)arg)->fd, data);
}

/* Parts end in the order in which they began: leaves don't nest. */
static err_t *on_end(void *arg, const mail_part_t *part) {
    extract_t *x = arg;
    (void)part;
    fd_close(x->fd);
    x->fd = -1;
    return NULL;
}

static err_t *feed(void *arg, bytes_t data) { return mail_reader_feed(arg, data); }

/* The file under its own name. The same content at the same place is there already: fine. */
static err_t *publish(extract_t *x, file_t *f, const mail_part_t *part, json_t *list) {
    CLEANUP(buf_done) buf_t name, hex;
    const char *text, *digest;
    json_t *one;
    buf_init(&name, SAFE_NAME_MAX * 4);
    buf_init(&hex, 80);
    TRY(safe_name(part, &name));
    TRY(buf_cstr(&name, &text));
    if (renameat2(x->dir, f->temp, x->dir, text, RENAME_NOREPLACE) != 0) {
        if (errno != EEXIST) return err_errno(errno, "cannot name %s", text);
        (void)unlinkat(x->dir, f->temp, 0);
    }
    f->temp[0] = '\0';
    TRY(text_hex(BYTES_ARRAY(part->sha256), &hex));
    TRY(buf_cstr(&hex, &digest));
    TRY(jso_add_object(list, &one));
    TRY(jso_set_str(one, "file", text));
    TRY(jso_set_str(one, "path", part->path));
    TRY(jso_set_int(one, "size", (int64_t)part->size));
    TRY(jso_set_str(one, "sha256", digest));
    return NULL;
}

/* ---- winmail.dat: what is packed in it, beside it ---- */

typedef struct {
    extract_t *x;
    const mail_part_t *outer;
    json_t *list;
    mail_part_t part; /* the attachment in the making */
    digest_t *digest;
    size_t n;
} packed_t;

static err_t *packed_begin(void *arg) {
    packed_t *p = arg;
    digest_free(STEAL(p->digest));
    p->part = (mail_part_t){.type = BYTES_LIT("application/octet-stream")};
    int n = snprintf(p->part.path, sizeof p->part.path, "%s/tnef.%zu", p->outer->path, ++p->n);
    if (n < 0 || (size_t)n >= sizeof p->part.path) return err_new(ERR_LIMIT, "part path too long");
    TRY(digest_new(&p->digest));
    return on_begin(p->x, NULL);
}

static err_t *packed_data(void *arg, bytes_t data) {
    packed_t *p = arg;
    p->part.size += data.n;
    TRY(digest_update(p->digest, data));
    return on_data(p->x, NULL, data);
}

static err_t *packed_end(void *arg, bytes_t name) {
    packed_t *p = arg;
    p->part.name = name;
    TRY(on_end(p->x, NULL));
    TRY(digest_final(p->digest, p->part.sha256));
    return publish(p->x, &p->x->files[p->x->n - 1], &p->part, p->list);
}

static err_t *feed_file(int fd, tnef_reader_t *reader) {
    uint8_t chunk[64 * 1024];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(errno, "winmail.dat");
        if (n == 0) return tnef_finish(reader);
        TRY(tnef_feed(reader, bytes_make(chunk, (size_t)n)));
    }
}

/* From the file that it was written to. What can't be unpacked stays packed. */
static err_t *unpack(extract_t *x, const char *temp, const mail_part_t *part, json_t *list) {
    packed_t p = {.x = x, .outer = part, .list = list};
    const tnef_handler_t handler = {packed_begin, packed_data, packed_end, &p};
    CLEANUP(tnef_reader_free) tnef_reader_t *reader = NULL;
    CLEANUP(fd_close) int fd = openat(x->dir, temp, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return err_errno(errno, "winmail.dat");
    TRY(tnef_reader_new(&handler, &reader));
    err_t *e = feed_file(fd, reader);
    digest_free(p.digest);
    if (e && (err_code(e) == ERR_INVALID || err_code(e) == ERR_LIMIT)) {
        (void)fprintf(x->cli->err, "coffer: what is packed in %s can't be read to its end\n",
                      part->path);
        err_free(e);
        e = NULL;
    }
    return e;
}

static err_t *publish_all(extract_t *x, const mail_verdict_t *v, json_t *object) {
    json_t *list;
    size_t file = 0;
    TRY(jso_set_str(object, "status", mail_status_name(mail_status(v))));
    TRY(jso_set_array(object, "files", &list));
    const size_t files = x->n; /* those of parts; unpacking adds */
    for (size_t i = 0; i < v->parts_n && file < files; i++)
        if (v->parts[i].extracted) {
            char temp[TEMP_NAME];
            memcpy(temp, x->files[file].temp, sizeof temp);
            if (mail_part_is_tnef(&v->parts[i])) TRY(unpack(x, temp, &v->parts[i], list));
            TRY(publish(x, &x->files[file++], &v->parts[i], list));
        }
    if (fsync(x->dir) != 0) return err_errno(errno, "the directory");
    return NULL;
}

static err_t *run_extract(cli_t *cli, const args_t *args) {
    extract_t x CLEANUP(extract_done) = {.cli = cli, .dir = -1, .fd = -1};
    const char *dir = args_value(args, "dir");
    const mail_verdict_t *verdict;
    CLEANUP(jso_free) json_t *object = NULL;
    if (!dir) return err_new(ERR_USAGE, "give --dir DIR to put the files in");
    TRY(mail_keys_read(args, &x.keys));
    TRY(mail_certs_read(args, "root", &x.roots));
    TRY(file_mkdir(dir, 0700));
    x.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (x.dir < 0) return err_errno(errno, "cannot open %s", dir);
    const mail_reader_handler_t handler = {.find_key = x.keys.n ? find : NULL,
                                           .part_begin = on_begin,
                                           .part_data = on_data,
                                           .part_end = on_end,
                                           .arg = &x};
    const mail_reader_options_t options = {
        .rnd = cli->rnd, .now = clk_unix(cli->clk), .roots = &x.roots};
    TRY(mail_reader_new(&handler, &options, &x.reader));
    TRY(mail_input(args, feed, x.reader));
    TRY(mail_reader_finish(x.reader, &verdict));
    if (mail_status(verdict) == MAIL_BROKEN)
        return err_new(ERR_VERIFY, "a signature does not hold: nothing was extracted");
    TRY(jso_object(&object));
    TRY(publish_all(&x, verdict, object));
    static const column_t columns[] = {
        {"path", "PART"}, {"size", "SIZE"}, {"file", "FILE"}, {NULL, NULL}};
    return output_list(cli, object, "files", columns, "the message has no parts");
}

static const option_t options[] = {
    {"key", "FILE", "a key to decrypt with, old ones too: PKCS#12 or PEM; repeatable"},
    {"passphrase-file", "FILE", "the key files' passphrase, - standard input"},
    {"root", "FILE", "certificates trusted for signing mail (PEM); repeatable"},
    {NULL, NULL, NULL},
};

const command_t CMD_MAIL_EXTRACT = {
    .group = "mail",
    .name = "extract",
    .operands = "[FILE]",
    .summary = "Write a message's parts to files",
    .notes = "DIR is where the files go, made if it is missing. Every part becomes a file named "
             "after its content's digest, its place in the message "
             "and its\nname made harmless: attachments of one name never mix. Nothing is written "
             "if a signature\ndoes not hold. What Outlook packed into winmail.dat is unpacked "
             "beside it. No server is\nneeded.",
    .examples = "  coffer mail extract --dir parts --key bob.p12 --passphrase-file p secret.eml",
    .max = 1,
    .options = options,
    .run = run_extract,
};
