/*
 * Configuration profiles: kept, assigned, taken away. Any worker thread of coffer-web. What
 * concerns every device is queued a page of devices at a time, so that no transaction grows with
 * their number; the assignment itself comes first, and repeating it is harmless.
 */
#include "store/profiles.h"

#include "audit/note.h"
#include "device/device_internal.h"
#include "device/profile_check.h"

enum { PAGE = 100 }; /* devices in one transaction */

typedef struct {
    devices_t *devices;
    arena_t *arena;
    const char *identifier;
    const char *device; /* as given; "*": all */
    const char *actor;
    bool install; /* else remove */
    db_profile_t profile;
    db_device_t one; /* unless all */
    bool all;
    const char *after; /* the page begins behind this id */
    bool more;
    int64_t count;
} spread_t;

/* ---- keeping ---- */

static err_t *put(db_conn_t *conn, void *arg) {
    spread_t *x = arg;
    TRY(db_profiles_put(conn, &x->profile));
    return audit_note(x->devices->o.audit, conn, x->actor, "profile.put", x->identifier, "name",
                      x->profile.name, NULL);
}

err_t *devices_profile_put(devices_t *devices, arena_t *arena, bytes_t content, const char *actor,
                           const char **ret_identifier) {
    const char *identifier = NULL, *name = NULL;
    TRY(profile_check(content, arena, &identifier, &name));
    int64_t now = devices_now(devices);
    spread_t x = {.devices = devices, .identifier = identifier, .actor = actor};
    x.profile = (db_profile_t){.identifier = identifier,
                               .name = name,
                               .content = content,
                               .created_ms = now,
                               .updated_ms = now};
    TRY(db_write(devices->o.db, put, &x));
    *ret_identifier = identifier;
    return NULL;
}

static err_t *drop(db_conn_t *conn, void *arg) {
    spread_t *x = arg;
    bool found = false;
    TRY(db_profiles_remove(conn, x->identifier, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "no profile is called %.100s", x->identifier);
    return audit_note(x->devices->o.audit, conn, x->actor, "profile.remove", x->identifier, NULL);
}

err_t *devices_profile_remove(devices_t *devices, const char *identifier, const char *actor) {
    spread_t x = {.devices = devices, .identifier = identifier, .actor = actor};
    return db_write(devices->o.db, drop, &x);
}

/* ---- assigning ---- */

static err_t *find_target(db_conn_t *conn, spread_t *x, const char **ret_target) {
    bool found = false;
    TRY(db_profiles_get(conn, x->arena, x->identifier, &x->profile, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "no profile is called %.100s", x->identifier);
    x->all = strcmp(x->device, "*") == 0;
    if (!x->all) TRY(device_find(conn, x->arena, x->device, &x->one));
    *ret_target = x->all ? "*" : x->one.id;
    return NULL;
}

static err_t *change(db_conn_t *conn, void *arg) {
    spread_t *x = arg;
    const char *target = NULL;
    bool found = false;
    TRY(find_target(conn, x, &target));
    if (x->install) {
        TRY(db_profiles_assign(conn, x->identifier, target, devices_now(x->devices)));
    } else {
        TRY(db_profiles_unassign(conn, x->identifier, target, &found));
        if (!found)
            return err_new(ERR_NOT_FOUND, "profile %.100s is not assigned to %.100s", x->identifier,
                           x->device);
    }
    return audit_note(x->devices->o.audit, conn, x->actor,
                      x->install ? "profile.assign" : "profile.unassign", x->identifier, "device",
                      x->all ? "*" : x->one.enrolment_key, NULL);
}

/* Whether it still gets the profile by another assignment: then it keeps it. */
static err_t *still_assigned(db_conn_t *conn, const spread_t *x, const char *device_id,
                             bool *ret_assigned) {
    db_profile_t *rows = NULL;
    size_t n = 0;
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new((size_t)LIMIT_PROFILE_BYTES * 64, &arena));
    TRY(db_profiles_of_device(conn, arena, device_id, &rows, &n));
    *ret_assigned = false;
    for (size_t i = 0; i < n; i++) *ret_assigned |= strcmp(rows[i].identifier, x->identifier) == 0;
    return NULL;
}

static err_t *tell(db_conn_t *conn, spread_t *x, const char *device_id) {
    bool queued = false, keeps = false;
    if (x->install) {
        TRY(device_enqueue_install(x->devices, conn, device_id, x->profile.content, x->actor,
                                   &queued));
    } else {
        TRY(still_assigned(conn, x, device_id, &keeps));
        if (!keeps)
            TRY(device_enqueue_remove(x->devices, conn, device_id, x->identifier, x->actor,
                                      &queued));
    }
    if (!queued) return NULL;
    x->count++;
    return device_push_job(x->devices, conn, device_id, 0);
}

static err_t *tell_page(db_conn_t *conn, void *arg) {
    spread_t *x = arg;
    db_device_t *rows = NULL;
    size_t n = 0;
    x->more = false;
    if (!x->all) return strcmp(x->one.state, "enrolled") == 0 ? tell(conn, x, x->one.id) : NULL;
    TRY(db_devices_list(conn, x->arena, "enrolled", x->after, PAGE, &rows, &n));
    for (size_t i = 0; i < n; i++) TRY(tell(conn, x, rows[i].id));
    x->more = n == PAGE;
    if (n) x->after = rows[n - 1].id;
    return NULL;
}

static err_t *spread(spread_t *x, int64_t *ret_count) {
    db_t *db = x->devices->o.db;
    CLEANUP(arena_free) arena_t *rows = NULL;
    TRY(arena_new(DEVICE_ARENA, &x->arena));
    rows = x->arena;
    TRY(db_write(db, change, x));
    x->after = "";
    do {
        CLEANUP(arena_free) arena_t *page = NULL;
        TRY(arena_new(DEVICE_ARENA, &page));
        x->arena = page;
        TRY(db_write(db, tell_page, x));
        TRY(device_str(rows, bytes_str(x->after), &x->after)); /* the page's rows go now */
    } while (x->more);
    *ret_count = x->count;
    return NULL;
}

err_t *devices_profile_assign(devices_t *devices, const char *identifier, const char *device,
                              const char *actor, int64_t *ret_count) {
    spread_t x = {.devices = devices,
                  .identifier = identifier,
                  .device = device,
                  .actor = actor,
                  .install = true};
    return spread(&x, ret_count);
}

err_t *devices_profile_unassign(devices_t *devices, const char *identifier, const char *device,
                                const char *actor, int64_t *ret_count) {
    spread_t x = {.devices = devices, .identifier = identifier, .device = device, .actor = actor};
    return spread(&x, ret_count);
}
