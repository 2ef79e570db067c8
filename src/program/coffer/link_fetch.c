/*
 * Opening links: see link_fetch.h. Main thread; blocking.
 */
#include "program/coffer/link_fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "http/client.h"
#include "program/coffer/remote.h"
#include "sync/data.h"

enum {
    TRIES = 4,
    PAUSE_MS = 300,
    CONNECT_MS = 10 * 1000,
    TOTAL_MS = 10 * 60 * 1000,
    ANSWER_MAX = 9 * 1024 * 1024, /* a part, or a list */
    TICKET_MAX = 256,
    TEMP_NAME = 48,
};

struct link_fetch {
    const sync_link_url_t *url;
    http_client_t *client;
    char *base;          /* "https://host/api/v1/sync/links/ID" */
    char *authorization; /* the header line with the ticket; wiped */
    buf_t plain;         /* the list; has keys */
    sync_link_file_t *files;
    size_t n;
};

static void wipe_text(char **text) {
    if (*text) mem_wipe(*text, strlen(*text));
    mem_free(*text);
    *text = NULL;
}

void link_fetch_free(link_fetch_t *fetch) {
    if (!fetch) return;
    http_client_free(fetch->client);
    mem_free(fetch->base);
    wipe_text(&fetch->authorization);
    if (fetch->files) mem_wipe(fetch->files, fetch->n * sizeof *fetch->files);
    mem_free(fetch->files);
    buf_done(&fetch->plain);
    mem_free(fetch);
}

err_t *link_fetch_new(const sync_link_url_t *url, const char *ca_file, link_fetch_t **ret_fetch) {
    CLEANUP(link_fetch_free) link_fetch_t *fetch = mem_zalloc(sizeof *fetch);
    CLEANUP(mem_free) char *id = NULL;
    if (!fetch) return err_nomem();
    buf_init_secret(&fetch->plain, LIMIT_SYNC_LINK_BYTES);
    fetch->url = url;
    if (ca_file && !file_exists(ca_file))
        return err_new(ERR_NOT_FOUND, "the root certificate %s does not exist", ca_file);
    TRY(text_hex_new(BYTES_ARRAY(url->id), &id));
    fetch->base = mem_printf("%s/api/v1/sync/links/%s", url->origin, id);
    if (!fetch->base) return err_nomem();
    TRY(http_client_init());
    http_client_config_t config = {.ca_file = ca_file,
                                   .connect_ms = CONNECT_MS,
                                   .total_ms = TOTAL_MS,
                                   .response_max = ANSWER_MAX};
    TRY(http_client_new(&config, &fetch->client));
    *ret_fetch = STEAL(fetch);
    return NULL;
}

/* ---- opening ---- */

static err_t *read_list(link_fetch_t *fetch) {
    sync_link_reader_t reader;
    bool found = true;
    TRY(sync_link_list_open(buf_bytes(&fetch->plain), &reader));
    size_t n = reader.left;
    fetch->files = mem_array(n, sizeof *fetch->files);
    if (!fetch->files) return err_nomem();
    for (fetch->n = 0; fetch->n < n; fetch->n++)
        TRY(sync_link_list_next(&reader, &found, &fetch->files[fetch->n]));
    sync_link_file_t none;
    return sync_link_list_next(&reader, &found, &none); /* that it is the end */
}

/* run(ticket) run(cofferYL) */
static err_t *read_opened(link_fetch_t *fetch, const sync_link_t *link, bytes_t body) {
    wire_reader_t r = wire_reader(body);
    bytes_t ticket, record;
    TRY(wire_get_bytes(&r, TICKET_MAX, &ticket));
    TRY(wire_get_bytes(&r, ANSWER_MAX, &record));
    TRY(wire_done(&r));
    if (!text_printable(ticket)) return err_new(ERR_INVALID, "the server's ticket is none");
    fetch->authorization =
        mem_printf("Authorization: Bearer %.*s", (int)ticket.n, (const char *)ticket.p);
    if (!fetch->authorization) return err_nomem();
    TRY(sync_link_open(link, record, &fetch->plain));
    return read_list(fetch);
}

static err_t *ask_open(link_fetch_t *fetch, const sync_link_t *link, http_response_t *response) {
    CLEANUP(buf_done) buf_t body;
    CLEANUP(mem_free) char *url = mem_printf("%s/open", fetch->base);
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    buf_init_secret(&body, 256);
    if (!url) return err_nomem();
    TRY(buf_add_str(&body, "{\"token\":\""));
    TRY(text_hex(BYTES_ARRAY(link->token), &body));
    TRY(buf_add_str(&body, "\"}"));
    TRY_WRAP(http_client_do(fetch->client, "POST", url, headers, buf_bytes(&body), response),
             "cannot reach %s", fetch->url->origin);
    if (response->status == 200) return NULL;
    return remote_error(response->status, buf_bytes(&response->body));
}

err_t *link_fetch_open(link_fetch_t *fetch, bytes_t password) {
    CLEANUP(sync_link_done) sync_link_t link = {0};
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    TRY(sync_link_derive(fetch->url->secret, password, &PASSWORD_COST, &link));
    if (memcmp(link.id, fetch->url->id, SYNC_NODE) != 0)
        return err_new(ERR_INVALID, "the link was changed or cut: copy all of it");
    TRY(ask_open(fetch, &link, &response));
    return read_opened(fetch, &link, buf_bytes(&response.body));
}

size_t link_fetch_files(const link_fetch_t *fetch, const sync_link_file_t **ret_files) {
    *ret_files = fetch->files;
    return fetch->n;
}

/* ---- data ---- */

static err_t *get_once(link_fetch_t *fetch, const char *url, const char *range, uint64_t size,
                       http_response_t *response) {
    const char *const headers[] = {fetch->authorization, range, NULL};
    TRY(http_client_do(fetch->client, "GET", url, headers, BYTES_NONE, response));
    if (response->status != 200 && response->status != 206)
        return remote_error(response->status, buf_bytes(&response->body));
    if (response->body.n != size)
        return err_new(ERR_VERIFY, "the server sent %zu bytes instead of %" PRIu64,
                       response->body.n, size);
    return NULL;
}

static void pause_ms(int64_t ms) {
    struct timespec wait = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&wait, NULL);
}

/* One part of a data package. What a broken connection may have cost is asked for again. */
static err_t *get_part(link_fetch_t *fetch, const sync_link_file_t *file, uint32_t part,
                       http_response_t *response) {
    CLEANUP(mem_free) char *root = NULL;
    CLEANUP(mem_free) char *url = NULL;
    uint64_t offset = 0, size = 0;
    char range[96];
    if (!sync_part(file->package_size, part, &offset, &size)) return sync_refuse();
    TRY(text_hex_new(BYTES_ARRAY(file->root), &root));
    url = mem_printf("%s/data/%s", fetch->base, root);
    if (!url) return err_nomem();
    (void)snprintf(range, sizeof range, "Range: bytes=%" PRIu64 "-%" PRIu64, offset,
                   offset + size - 1);
    for (int tries = 1;; tries++) {
        err_t *e = get_once(fetch, url, range, size, response);
        bool again = e && (err_code(e) == ERR_UNAVAILABLE || err_code(e) == ERR_TIMEOUT ||
                           err_code(e) == ERR_BUSY);
        if (!again || tries == TRIES) return e;
        err_free(e);
        pause_ms((int64_t)PAUSE_MS * tries);
    }
}

typedef struct {
    const sync_link_file_t *file;
    sync_reader_t *reader; /* once the header is there */
    sync_scan_t *scan;
    uint32_t index; /* next chunk */
    buf_t plain;    /* one chunk */
    int fd;
} content_t;

static void content_done(content_t *c) {
    sync_reader_free(c->reader);
    sync_scan_free(c->scan);
    buf_done(&c->plain);
    fd_close(c->fd);
}
DEFINE_CLEANUP_VALUE(content_t, content_done)

static err_t *begin_content(content_t *c, bytes_t header) {
    CLEANUP(secret_free) secret_t *key = NULL;
    TRY(secret_copy(BYTES_ARRAY(c->file->file_key), &key));
    return sync_reader_new(header, key, c->file->package_size, c->file->size, &c->reader);
}

/* Opens the chunks of a part and writes what they hold. */
static err_t *take_part(content_t *c, bytes_t part) {
    TRY(sync_scan_add(c->scan, part));
    if (!c->reader) {
        TRY(begin_content(c, bytes_slice(part, 0, SYNC_HEADER)));
        part = bytes_from(part, SYNC_HEADER);
    }
    while (part.n) {
        size_t size = sync_reader_chunk_size(c->reader, c->index);
        if (size == 0 || size > part.n) return sync_refuse();
        buf_clear(&c->plain);
        TRY(sync_reader_chunk(c->reader, c->index++, bytes_slice(part, 0, size), &c->plain));
        TRY(file_write_fd(c->fd, buf_bytes(&c->plain)));
        part = bytes_from(part, size);
    }
    return NULL;
}

static err_t *fetch_content(link_fetch_t *fetch, content_t *c) {
    uint8_t root[SYNC_HASH];
    const sync_link_file_t *file = c->file;
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    uint32_t parts = sync_parts(file->package_size);
    if (parts == 0) return sync_refuse();
    TRY(sync_scan_new(file->package_size, &c->scan));
    for (uint32_t i = 0; i < parts; i++) {
        TRY(get_part(fetch, file, i, &response));
        TRY(take_part(c, buf_bytes(&response.body)));
    }
    TRY(sync_scan_end(c->scan, root));
    if (memcmp(root, file->root, SYNC_HASH) != 0) return sync_refuse();
    struct timespec times[2] = {{.tv_sec = (time_t)file->mtime}, {.tv_sec = (time_t)file->mtime}};
    if (futimens(c->fd, times) != 0 || fault_io() || fsync(c->fd) != 0)
        return err_errno(errno, "cannot complete the file");
    return NULL;
}

/* ---- files ---- */

/* Opens the folder that a path lies in, making what is missing; never through a symbolic link. */
static err_t *open_parent(int dir, bytes_t path, int *ret_fd, char ret_name[256]) {
    CLEANUP(fd_close) int at = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) return err_errno(errno, "cannot open the directory");
    bytes_t rest = path, name;
    while (text_split(&rest, '/', &name)) {
        char text[256];
        if (name.n == 0 || name.n >= sizeof text) return sync_refuse();
        bytes_put(text, name);
        text[name.n] = '\0';
        if (rest.n == 0) {
            memcpy(ret_name, text, name.n + 1);
            *ret_fd = at;
            at = -1;
            return NULL;
        }
        if (mkdirat(at, text, 0777) != 0 && errno != EEXIST)
            return err_errno(errno, "cannot make the folder %s", text);
        int next = openat(at, text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0) return err_errno(errno, "cannot open the folder %s", text);
        fd_close(at);
        at = next;
    }
    return sync_refuse();
}

static err_t *place(int parent, const char *temp, const char *name, bool replace) {
    unsigned flags = replace ? 0 : RENAME_NOREPLACE;
    if (renameat2(parent, temp, parent, name, flags) == 0) return NULL;
    if (errno == EEXIST)
        return err_new(ERR_EXISTS, "%s is there already; --replace overwrites it", name);
    return err_errno(errno, "cannot put %s into its place", name);
}

err_t *link_fetch_file(link_fetch_t *fetch, const sync_link_file_t *file, int dir, const rnd_t *rnd,
                       bool replace) {
    char name[256], temp[TEMP_NAME];
    CLEANUP(fd_close) int parent = -1;
    CLEANUP(content_done) content_t c = {.file = file, .fd = -1};
    uint64_t number = 0;
    struct stat st;
    buf_init_secret(&c.plain, SYNC_CHUNK + 16);
    TRY(open_parent(dir, file->path, &parent, name));
    if (!replace && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return err_new(ERR_EXISTS, "%s is there already; --replace overwrites it", name);
    TRY(rnd_fill(rnd, &number, sizeof number));
    (void)snprintf(temp, sizeof temp, ".coffer-%016" PRIx64, number);
    c.fd = openat(parent, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (c.fd < 0) return err_errno(errno, "cannot make a file");
    err_t *e = fetch_content(fetch, &c);
    if (!e) e = place(parent, temp, name, replace);
    if (e) (void)unlinkat(parent, temp, 0);
    return e;
}
