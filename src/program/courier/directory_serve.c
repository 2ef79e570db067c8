/*
 * The courier's side of the directory: see directory_serve.h. RPC worker threads.
 */
#include "program/courier/directory_serve.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "directory/remote.h"
#include "format/json.h"

enum { ARENA = 256 * 1024, OFFSETS = 1024 };

/* All people as they were read once, to be fetched piece by piece. */
typedef struct {
    uint64_t id;
    buf_t entries;
    size_t *ends; /* of each entry in the buffer */
    size_t n, room;
} snapshot_t;

struct dirserve {
    ldappeople_t *people;
    const log_t *log;
    char *ca;
    buf_t password;
    pthread_mutex_t lock; /* guards what follows */
    snapshot_t *snapshot; /* or NULL */
    uint64_t last;
};

/* ---- lifecycle ---- */

static err_t *configure(dirserve_t *serve, const settings_t *s) {
    const settings_ldap_t *l = &s->ldap;
    CLEANUP(mem_free) char *path = NULL;
    if (l->ca[0]) TRY(settings_path(s, l->ca, &serve->ca));
    if (l->ca[0] && !file_exists(serve->ca))
        return err_new(ERR_NOT_FOUND, "coffer.conf: [ldap] ca: there is no %s", serve->ca);
    if (l->bind_password_file[0]) {
        TRY(settings_path(s, l->bind_password_file, &path));
        TRY_WRAP(file_read_secret(path, &serve->password),
                 "coffer.conf: [ldap] bind_password_file");
    }
    const ldappeople_options_t options = {.conn = {.urls = l->urls,
                                                   .starttls = l->starttls,
                                                   .insecure = l->insecure,
                                                   .ca_file = serve->ca ? serve->ca : "",
                                                   .timeout_ms = l->timeout_s * 1000,
                                                   .page_size = l->page_size},
                                          .rnd = rnd_real(),
                                          .bind_dn = l->bind_dn,
                                          .bind_password = buf_bytes(&serve->password),
                                          .user_base = l->user_base,
                                          .group_base = l->group_base,
                                          .user_filter = l->user_filter,
                                          .group_filter = l->group_filter,
                                          .id_attribute = l->id_attribute,
                                          .id_is_guid = l->active_directory,
                                          .mail_attribute = l->mail_attribute,
                                          .name_attribute = l->name_attribute,
                                          .login_attribute = l->login_attribute,
                                          .login_names = l->login_names,
                                          .memberof = l->memberof,
                                          .nested = l->nested_groups,
                                          .admin_groups = l->admin_groups,
                                          .member_groups = l->member_groups,
                                          .certificate_attributes = l->certificate_attributes};
    return ldappeople_new(&options, &serve->people);
}

err_t *dirserve_new(const settings_t *settings, const log_t *log, dirserve_t **ret_serve) {
    TRY(ldapconn_init());
    CLEANUP(dirserve_free) dirserve_t *serve = mem_zalloc(sizeof *serve);
    if (!serve) return err_nomem();
    serve->log = log;
    buf_init_secret(&serve->password, LIMIT_PASSWORD_MAX);
    (void)pthread_mutex_init(&serve->lock, NULL);
    TRY(configure(serve, settings));
    *ret_serve = STEAL(serve);
    return NULL;
}

static void snapshot_free(snapshot_t *snapshot) {
    if (!snapshot) return;
    buf_done(&snapshot->entries);
    mem_free(snapshot->ends);
    mem_free(snapshot);
}
DEFINE_CLEANUP(snapshot_t, snapshot_free)

void dirserve_free(dirserve_t *serve) {
    if (!serve) return;
    ldappeople_free(serve->people);
    snapshot_free(serve->snapshot);
    buf_done(&serve->password);
    mem_free(serve->ca);
    (void)pthread_mutex_destroy(&serve->lock);
    mem_free(serve);
}

void dirserve_stop(dirserve_t *serve) {
    if (serve && serve->people) ldappeople_stop(serve->people);
}

const char *dirserve_ca(const dirserve_t *serve) { return serve->ca; }
ldappeople_t *dirserve_people(dirserve_t *serve) { return serve->people; }

/* ---- log-in ---- */

static err_t *log_in(dirserve_t *serve, wire_reader_t *r, buf_t *out) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    bytes_t name, password;
    directory_entry_t entry;
    bool good = false;
    TRY(arena_new(ARENA, &arena));
    TRY(wire_get_bytes(r, LIMIT_EMAIL, &name));
    TRY(wire_get_bytes(r, LIMIT_PASSWORD_MAX, &password));
    TRY(wire_done(r));
    TRY(ldappeople_log_in(serve->people, arena, name, password, &good, &entry));
    TRY(wire_put_bool(out, good));
    return good ? directory_entry_write(&entry, out) : NULL;
}

/* ---- everybody ---- */

static err_t *take_entry(void *ctx, const directory_entry_t *entry) {
    snapshot_t *s = ctx;
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : OFFSETS;
        size_t *ends = mem_resize(s->ends, room * sizeof *ends);
        if (!ends) return err_nomem();
        s->ends = ends;
        s->room = room;
    }
    TRY(directory_entry_write(entry, &s->entries));
    s->ends[s->n++] = s->entries.n;
    return NULL;
}

static err_t *make_snapshot(dirserve_t *serve, snapshot_t **ret_snapshot) {
    CLEANUP(snapshot_free) snapshot_t *s = mem_zalloc(sizeof *s);
    ldappeople_report_t report;
    if (!s) return err_nomem();
    buf_init(&s->entries, LIMIT_LDAP_PEOPLE_BYTES);
    TRY(ldappeople_list(serve->people, take_entry, s, &report));
    if (report.skipped)
        log_line(serve->log, LOG_WARNING, "directory: %zu entries passed over, first %s",
                 report.skipped, report.why);
    *ret_snapshot = STEAL(s);
    return NULL;
}

static err_t *put_piece(const snapshot_t *s, uint32_t first, buf_t *out, size_t *ret_next) {
    size_t from = first ? s->ends[first - 1] : 0, next = first;
    while (next < s->n && s->ends[next] - from <= COURIER_PIECE) next++;
    TRY(wire_put_u64(out, s->id));
    TRY(wire_put_u32(out, (uint32_t)s->n));
    TRY(wire_put_u32(out, first));
    TRY(wire_put_u32(out, (uint32_t)next - first));
    size_t end = next ? s->ends[next - 1] : 0;
    TRY(buf_add(out, bytes_slice(buf_bytes(&s->entries), from, end - from)));
    *ret_next = next;
    return NULL;
}

/* With the lock held. */
static err_t *answer_piece(dirserve_t *serve, uint64_t id, uint32_t first, buf_t *out) {
    snapshot_t *s = serve->snapshot;
    size_t next = 0;
    if (!s || s->id != id || (first && first >= s->n))
        return err_new(ERR_NOT_FOUND, "that list of people is gone: ask for a new one");
    TRY(put_piece(s, first, out, &next));
    if (next < s->n) return NULL;
    serve->snapshot = NULL; /* nobody wants it any more */
    snapshot_free(s);
    return NULL;
}

static err_t *people(dirserve_t *serve, wire_reader_t *r, buf_t *out) {
    uint64_t id = 0;
    uint32_t first = 0;
    CLEANUP(snapshot_free) snapshot_t *fresh = NULL;
    TRY(wire_get_u64(r, &id));
    TRY(wire_get_u32(r, &first));
    TRY(wire_done(r));
    if (id == 0) TRY(make_snapshot(serve, &fresh));
    (void)pthread_mutex_lock(&serve->lock);
    if (fresh) {
        snapshot_t *old = serve->snapshot;
        id = fresh->id = ++serve->last;
        serve->snapshot = fresh;
        fresh = old;
    }
    err_t *e = answer_piece(serve, id, first, out);
    (void)pthread_mutex_unlock(&serve->lock);
    return e;
}

/* ---- what admins ask ---- */

static err_t *test(dirserve_t *serve, wire_reader_t *r, buf_t *out) {
    CLEANUP(jso_free) json_t *json = NULL;
    ldappeople_report_t report;
    TRY(wire_done(r));
    TRY(ldappeople_list(serve->people, NULL, NULL, &report));
    TRY(jso_object(&json));
    TRY(jso_set_str(json, "server", report.server));
    TRY(jso_set_bool(json, "tls", report.tls));
    TRY(jso_set_int(json, "people", (int64_t)report.people));
    TRY(jso_set_int(json, "members", (int64_t)report.members));
    TRY(jso_set_int(json, "admins", (int64_t)report.admins));
    TRY(jso_set_int(json, "disabled", (int64_t)report.disabled));
    TRY(jso_set_int(json, "passed_over", (int64_t)report.skipped));
    TRY(jso_set_str(json, "first_passed_over", report.skipped ? report.why : NULL));
    return jso_write(json, false, out);
}

static err_t *add_group(void *ctx, bytes_t dn) { return jso_add_string(ctx, dn); }

static err_t *find(dirserve_t *serve, wire_reader_t *r, buf_t *out) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *groups = NULL;
    bytes_t name;
    bool found = false;
    directory_entry_t entry;
    TRY(arena_new(ARENA, &arena));
    TRY(wire_get_bytes(r, LIMIT_EMAIL, &name));
    TRY(wire_done(r));
    TRY(jso_array(&groups));
    err_t *e = ldappeople_find(serve->people, arena, name, add_group, groups, &found, &entry);
    if (!e && !found) e = err_new(ERR_NOT_FOUND, "the directory has nobody of that name");
    if (!e) e = jso_object(&json);
    if (e) {
        jso_free(groups);
        return e;
    }
    TRY(jso_set(json, "groups", groups));
    TRY(jso_set_str(json, "email", entry.email));
    TRY(jso_set_str(json, "name", entry.name));
    TRY(jso_set_str(json, "login", entry.login));
    TRY(jso_set_str(json, "role", directory_role_name(entry.role)));
    TRY(jso_set_bool(json, "disabled", entry.disabled));
    TRY(jso_set_str(json, "entry", entry.dn));
    TRY(jso_set_str(json, "external_id", entry.external_id));
    return jso_write(json, false, out);
}

static err_t *certificates(dirserve_t *serve, wire_reader_t *r, buf_t *out) {
    CLEANUP(cert_list_done) cert_list_t list = {0};
    bytes_t mail;
    uint32_t n = 0;
    TRY(wire_get_bytes(r, LIMIT_EMAIL, &mail));
    TRY(wire_done(r));
    TRY(ldappeople_certificates(serve->people, mail, &list));
    size_t bytes = 0; /* those that fit one answer */
    while (n < list.n && bytes + cert_der(list.certs[n]).n + 4 < COURIER_PIECE)
        bytes += cert_der(list.certs[n++]).n + 4;
    TRY(wire_put_u32(out, n));
    for (uint32_t i = 0; i < n; i++) TRY(wire_put_bytes(out, cert_der(list.certs[i])));
    return NULL;
}

/* ---- dispatch ---- */

static err_t *answer(dirserve_t *serve, const rpc_request_t *request, buf_t *out) {
    wire_reader_t r = wire_reader(request->body);
    if (!serve)
        return err_new(ERR_NOT_FOUND, "coffer.conf has no [ldap] url: there is no directory");
    switch (request->intent) {
    case COURIER_LOG_IN: return log_in(serve, &r, out);
    case COURIER_PEOPLE: return people(serve, &r, out);
    case COURIER_FIND: return find(serve, &r, out);
    case COURIER_TEST: return test(serve, &r, out);
    case COURIER_CERTIFICATES: return certificates(serve, &r, out);
    default: return err_new(ERR_INVALID, "there is no such question");
    }
}

void dirserve_handle(dirserve_t *serve, const rpc_request_t *request, rpc_reply_t *reply) {
    CLEANUP(buf_done) buf_t out;
    buf_init(&out, COURIER_PIECE + 64 * 1024);
    err_t *e = request->role == ROLE_WEB ? answer(serve, request, &out)
                                         : err_new(ERR_DENIED, "only coffer-web may ask");
    rpc_reply_finish(reply, e, buf_bytes(&out));
}
