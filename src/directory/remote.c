/*
 * Questions to coffer-courier about the directory: see remote.h. Runs in coffer-web, any worker
 * thread.
 */
#include "directory/remote.h"

#include <pthread.h>

#include "base/limits.h"
#include "base/mem.h"

/* Connecting, TLS, bind, search, roles, bind as the person: each may take a timeout. */
enum { STEPS = 8, MARGIN_MS = 5000 };

struct directory_remote {
    rpc_client_t *rpc;
    int timeout_ms;
    directory_source_t source;
    pthread_mutex_t lock; /* guards calls */
    unsigned calls;
};

/* ---- one question ---- */

static err_t *enter(directory_remote_t *remote) {
    (void)pthread_mutex_lock(&remote->lock);
    bool full = remote->calls == LIMIT_LDAP_CALLS;
    if (!full) remote->calls++;
    (void)pthread_mutex_unlock(&remote->lock);
    if (!full) return NULL;
    return err_new(ERR_BUSY, "the directory is slow and others wait for it: try again later");
}

static void leave(directory_remote_t *remote) {
    (void)pthread_mutex_lock(&remote->lock);
    remote->calls--;
    (void)pthread_mutex_unlock(&remote->lock);
}

static err_t *call(directory_remote_t *remote, uint16_t intent, const buf_t *body, int timeout_ms,
                   buf_t *reply) {
    TRY(enter(remote));
    err_t *e = rpc_call(remote->rpc, intent, buf_bytes(body), timeout_ms, reply);
    leave(remote);
    return e;
}

static err_t *log_in(void *ctx, arena_t *arena, bytes_t name, bytes_t password, bool *ret_good,
                     directory_entry_t *ret_entry) {
    directory_remote_t *remote = ctx;
    CLEANUP(buf_done) buf_t body;
    CLEANUP(buf_done) buf_t reply;
    bool good = false;
    buf_init_secret(&body, LIMIT_EMAIL + LIMIT_PASSWORD_MAX + 16);
    buf_init(&reply, LIMIT_FRAME_BYTES);
    TRY(wire_put_bytes(&body, name));
    TRY(wire_put_bytes(&body, password));
    TRY(call(remote, COURIER_LOG_IN, &body, remote->timeout_ms, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_bool(&r, &good));
    if (good) TRY(directory_entry_read(&r, arena, ret_entry));
    TRY(wire_done(&r));
    *ret_good = good;
    return NULL;
}

/* ---- everybody, piece by piece ---- */

typedef struct {
    uint64_t list;
    uint32_t total, next;
    directory_entry_t *entries;
} pieces_t;

static err_t *read_piece(bytes_t reply, arena_t *arena, pieces_t *p) {
    uint64_t list = 0;
    uint32_t total = 0, first = 0, n = 0;
    wire_reader_t r = wire_reader(reply);
    TRY(wire_get_u64(&r, &list));
    TRY(wire_get_u32(&r, &total));
    TRY(wire_get_u32(&r, &first));
    TRY(wire_get_u32(&r, &n));
    if (p->next == 0) {
        if (total > LIMIT_LDAP_PEOPLE) return err_new(ERR_LIMIT, "too many people");
        p->list = list;
        p->total = total;
        TRY(arena_alloc(arena, ((size_t)total + 1) * sizeof *p->entries, &p->entries));
    }
    bool fits = list == p->list && total == p->total && first == p->next && n <= total - first &&
                (n || total == first);
    if (!fits) return err_new(ERR_INVALID, "the list of people does not fit together");
    for (uint32_t i = 0; i < n; i++) TRY(directory_entry_read(&r, arena, &p->entries[first + i]));
    TRY(wire_done(&r));
    p->next = first + n;
    return NULL;
}

static err_t *people(void *ctx, arena_t *arena, directory_entry_t **ret_entries,
                     size_t *ret_count) {
    directory_remote_t *remote = ctx;
    pieces_t p = {0};
    do {
        CLEANUP(buf_done) buf_t body;
        CLEANUP(buf_done) buf_t reply;
        buf_init(&body, 64);
        buf_init(&reply, LIMIT_FRAME_BYTES);
        TRY(wire_put_u64(&body, p.list));
        TRY(wire_put_u32(&body, p.next));
        TRY(call(remote, COURIER_PEOPLE, &body, LIMIT_LDAP_SYNC_S * 1000 + MARGIN_MS, &reply));
        TRY(read_piece(buf_bytes(&reply), arena, &p));
    } while (p.next < p.total);
    *ret_entries = p.entries;
    *ret_count = p.total;
    return NULL;
}

/* ---- what admins ask ---- */

err_t *directory_remote_test(directory_remote_t *remote, buf_t *out) {
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, 1);
    return call(remote, COURIER_TEST, &body, LIMIT_LDAP_SYNC_S * 1000 + MARGIN_MS, out);
}

static err_t *ask_by_name(directory_remote_t *remote, uint16_t intent, bytes_t name, buf_t *out) {
    CLEANUP(buf_done) buf_t body;
    buf_init(&body, LIMIT_EMAIL + 16);
    if (name.n == 0 || name.n > LIMIT_EMAIL || bytes_has_nul(name))
        return err_new(ERR_INVALID, "a name has 1 to %d bytes", LIMIT_EMAIL);
    TRY(wire_put_bytes(&body, name));
    return call(remote, intent, &body, remote->timeout_ms, out);
}

err_t *directory_remote_find(directory_remote_t *remote, bytes_t name, buf_t *out) {
    return ask_by_name(remote, COURIER_FIND, name, out);
}

err_t *directory_find_certificates(directory_remote_t *remote, bytes_t mail, cert_list_t *list) {
    CLEANUP(buf_done) buf_t reply;
    uint32_t n = 0;
    buf_init(&reply, LIMIT_FRAME_BYTES);
    TRY(ask_by_name(remote, COURIER_CERTIFICATES, mail, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_u32(&r, &n));
    if (n > LIMIT_LDAP_CERTIFICATES) return err_new(ERR_LIMIT, "too many certificates");
    for (uint32_t i = 0; i < n; i++) {
        CLEANUP(cert_free) cert_t *cert = NULL;
        bytes_t der;
        TRY(wire_get_bytes(&r, LIMIT_CERTIFICATE_BYTES, &der));
        TRY(cert_parse_der(der, &cert));
        TRY(cert_list_add(list, cert));
    }
    return wire_done(&r);
}

/* ---- lifecycle ---- */

err_t *directory_remote_new(rpc_client_t *rpc, int64_t timeout_s, directory_remote_t **ret_remote) {
    directory_remote_t *remote = mem_zalloc(sizeof *remote);
    if (!remote) return err_nomem();
    remote->rpc = rpc;
    remote->timeout_ms = (int)timeout_s * 1000 * STEPS + MARGIN_MS;
    remote->source = (directory_source_t){remote, log_in, people};
    (void)pthread_mutex_init(&remote->lock, NULL);
    *ret_remote = remote;
    return NULL;
}

void directory_remote_free(directory_remote_t *remote) {
    if (!remote) return;
    (void)pthread_mutex_destroy(&remote->lock);
    mem_free(remote);
}

const directory_source_t *directory_remote_source(directory_remote_t *remote) {
    return &remote->source;
}
