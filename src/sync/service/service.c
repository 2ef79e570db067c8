/*
 * The service's lifecycle, what all calls share, and the chains in memory: see service.h and
 * service_internal.h. In coffer-web, worker threads.
 */
#include "base/mem.h"
#include "base/text.h"
#include "sync/service/service_internal.h"

/* ---- lifecycle ---- */

err_t *sync_service_new(const sync_options_t *options, sync_service_t **ret_service) {
    CLEANUP(sync_service_free) sync_service_t *service = mem_zalloc(sizeof *service);
    if (!service) return err_nomem();
    (void)pthread_mutex_init(&service->lock, NULL);
    service->o = *options;
    if (!service->o.ages) service->o.ages = options->clk;
    service->host = mem_strdup(options->host);
    if (!service->host) return err_nomem();
    TRY(rnd_fill(options->rnd, service->key, sizeof service->key));
    *ret_service = STEAL(service);
    return NULL;
}

static void held_free(held_chain_t *held) {
    sync_chain_free(held->chain);
    (void)pthread_mutex_destroy(&held->lock);
    mem_free(held);
}

void sync_service_free(sync_service_t *service) {
    if (!service) return;
    for (size_t i = 0; i < CHAIN_ROWS; i++)
        for (held_chain_t *held = service->rows[i], *next = NULL; held; held = next) {
            next = held->next;
            held_free(held);
        }
    (void)pthread_mutex_destroy(&service->lock);
    mem_wipe(service->key, sizeof service->key);
    mem_free(service->host);
    mem_free(service);
}

/* ---- what calls share ---- */

err_t *call_region(sync_call_t *call, db_conn_t *conn, const uint8_t region[SYNC_HASH]) {
    bool found = false;
    TRY(db_sync_region_find(conn, call->arena, bytes_make(region, SYNC_HASH), &call->region,
                            &found));
    return found ? NULL : sync_no(call, SYNC_WORD_ABSENT, "there is no such region");
}

err_t *call_same_chain(sync_call_t *call, db_conn_t *conn) {
    db_sync_region_t now;
    bool found = false;
    TRY(db_sync_region_find(conn, call->arena, call->region.region, &now, &found));
    if (!found) return sync_no(call, SYNC_WORD_ABSENT, "there is no such region");
    bool same = now.entries == call->region.entries;
    call->region = now;
    return same ? NULL : err_new(ERR_BUSY, "the device chain went on");
}

bool call_again(err_t **e, unsigned *tries) {
    if (!*e || err_code(*e) != ERR_BUSY || ++*tries >= SERVICE_TRIES) return false;
    err_free(*e);
    *e = NULL;
    return true;
}

void call_changed(const sync_call_t *call, int64_t root, int64_t entries, int64_t joins) {
    const sync_options_t *o = &call->service->o;
    if (o->changed) o->changed(o->changed_ctx, call->region.region.p, root, entries, joins);
}

err_t *call_card_person(sync_call_t *call, db_conn_t *conn, const sync_card_t *card,
                        db_person_t *ret_person) {
    bool found = false;
    if (strchr(card->person, '@'))
        TRY(db_people_by_email(conn, call->arena, card->person, ret_person, &found));
    else TRY(db_people_by_id(conn, call->arena, card->person, ret_person, &found));
    if (!found) return sync_no(call, SYNC_WORD_PERSON, "nobody here is %.128s", card->person);
    if (ret_person->disabled)
        return sync_no(call, SYNC_WORD_DISABLED, "%.128s is disabled", card->person);
    return NULL;
}

err_t *call_policy(sync_call_t *call, db_conn_t *conn, const db_person_t *person,
                   const uint8_t *device, sync_policy_t *ret_policy) {
    const sync_options_t *o = &call->service->o;
    return o->policy(o->policy_ctx, conn, call->arena, person, device, ret_policy);
}

err_t *call_hex(sync_call_t *call, bytes_t data, const char **ret_hex) {
    CLEANUP(mem_free) char *hex = NULL;
    bytes_t copy;
    TRY(text_hex_new(data, &hex));
    TRY(arena_copy(call->arena, bytes_str(hex), &copy));
    *ret_hex = (const char *)copy.p;
    return NULL;
}

err_t *call_object(sync_call_t *call, const char **ret_object) {
    CLEANUP(mem_free) char *text = NULL;
    const char *hex = NULL;
    bytes_t copy;
    TRY(call_hex(call, call->region.region, &hex));
    text = mem_printf("region:%s", hex);
    if (!text) return err_nomem();
    TRY(arena_copy(call->arena, bytes_str(text), &copy));
    *ret_object = (const char *)copy.p;
    return NULL;
}

/* ---- chains in memory ---- */

static held_chain_t **row_of(sync_service_t *service, const uint8_t region[SYNC_HASH]) {
    size_t row = ((size_t)region[0] << 8 | region[1]) % CHAIN_ROWS;
    return &service->rows[row];
}

static held_chain_t *find_held(sync_service_t *service, const uint8_t region[SYNC_HASH]) {
    for (held_chain_t *held = *row_of(service, region); held; held = held->next)
        if (memcmp(held->region, region, SYNC_HASH) == 0) return held;
    return NULL;
}

static void unlink_held(sync_service_t *service, held_chain_t *gone) {
    for (held_chain_t **at = row_of(service, gone->region); *at; at = &(*at)->next) {
        if (*at != gone) continue;
        *at = gone->next;
        service->held--;
        held_free(gone);
        return;
    }
}

/* The one that nobody uses and that was used longest ago makes room. */
static void make_room(sync_service_t *service) {
    held_chain_t *oldest = NULL;
    if (service->held < LIMIT_SYNC_CHAINS) return;
    for (size_t i = 0; i < CHAIN_ROWS; i++)
        for (held_chain_t *held = service->rows[i]; held; held = held->next)
            if (!held->refs && (!oldest || held->used < oldest->used)) oldest = held;
    if (oldest) unlink_held(service, oldest);
}

static err_t *add_held(sync_service_t *service, const uint8_t region[SYNC_HASH],
                       held_chain_t **ret_held) {
    make_room(service);
    held_chain_t *held = mem_zalloc(sizeof *held);
    if (!held) return err_nomem();
    err_t *e = sync_chain_new(&held->chain);
    if (e) {
        mem_free(held);
        return e;
    }
    (void)pthread_mutex_init(&held->lock, NULL);
    memcpy(held->region, region, SYNC_HASH);
    held_chain_t **row = row_of(service, region);
    held->next = *row;
    *row = held;
    service->held++;
    *ret_held = held;
    return NULL;
}

static err_t *take_held(sync_service_t *service, const uint8_t region[SYNC_HASH],
                        held_chain_t **ret_held) {
    err_t *e = NULL;
    (void)pthread_mutex_lock(&service->lock);
    held_chain_t *held = find_held(service, region);
    if (!held) e = add_held(service, region, &held);
    if (!e) {
        held->refs++;
        held->used = ++service->clock;
    }
    (void)pthread_mutex_unlock(&service->lock);
    if (e) return e;
    (void)pthread_mutex_lock(&held->lock);
    *ret_held = held;
    return NULL;
}

void chain_close(sync_service_t *service, held_chain_t *held, bool drop) {
    if (!held) return;
    if (drop) { /* what it holds is more than the database: begin again */
        sync_chain_t *fresh = NULL;
        err_t *e = sync_chain_new(&fresh);
        err_free(e);
        sync_chain_free(held->chain);
        held->chain = fresh; /* NULL without memory: chain_open makes it */
    }
    (void)pthread_mutex_unlock(&held->lock);
    (void)pthread_mutex_lock(&service->lock);
    held->refs--;
    (void)pthread_mutex_unlock(&service->lock);
}

typedef struct {
    sync_call_t *call;
    held_chain_t *held;
} load_t;

static err_t *load_fn(db_conn_t *conn, void *arg) {
    load_t *load = arg;
    int64_t want = load->call->region.entries;
    for (int64_t have = (int64_t)sync_chain_count(load->held->chain); have < want;) {
        CLEANUP(arena_free) arena_t *arena = NULL;
        db_sync_entry_t *rows = NULL;
        size_t n = 0;
        TRY(arena_new(SERVICE_ARENA, &arena));
        TRY(db_sync_entry_list(conn, arena, load->call->region.seq, have, 256, &rows, &n));
        if (n == 0) return err_new(ERR_INTERNAL, "entry %lld of a chain is lost", (long long)have);
        for (size_t i = 0; i < n && have < want; i++, have++)
            TRY_WRAP(err_recode(sync_chain_append(load->held->chain, rows[i].record), ERR_INTERNAL),
                     "a chain in the store");
    }
    return NULL;
}

err_t *chain_open(sync_call_t *call, held_chain_t **ret_chain) {
    sync_service_t *service = call->service;
    CLEANUP(chain_lock_done) chain_lock_t lock = {service, NULL, false};
    TRY(take_held(service, call->region.region.p, &lock.held));
    if (!lock.held->chain) TRY(sync_chain_new(&lock.held->chain));
    if ((int64_t)sync_chain_count(lock.held->chain) < call->region.entries) {
        load_t load = {call, lock.held};
        TRY(db_read(service->o.db, load_fn, &load));
    }
    *ret_chain = STEAL(lock.held);
    return NULL;
}
