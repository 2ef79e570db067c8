/*
 * Who asks: devices by a signature with their log-in key and a token that says so for an hour,
 * people by what the web program found out. Nothing is kept of nonces and tokens: each bears a MAC
 * under a key of this process. Worker threads.
 */
#include "audit/note.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "sync/service/service_internal.h"

#define PREFIX       "cfs_"
#define LOGIN_DOMAIN "coffer/v1/sync/login"

enum {
    NONCE_S = 120,
    TOKEN_S = 3600,
    MAC = DIGEST_SHA256_SIZE,
    NONCE_MAC = 16,
    TOKEN = 2 * SYNC_HASH + 8 + MAC, /* region, device, end, MAC */
};

static err_t *mac_of(const sync_service_t *service, const char *what, bytes_t text,
                     uint8_t out[MAC]) {
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, 512);
    TRY(wire_put_str(&message, what));
    TRY(buf_add(&message, text));
    return digest_hmac_sha256(BYTES_ARRAY(service->key), buf_bytes(&message), out);
}

/* ---- nonces ---- */

/* End u64, eight random bytes, MAC over these and whom it is for. */
static err_t *nonce_mac(const sync_service_t *service, const uint8_t region[SYNC_HASH],
                        const uint8_t device[SYNC_HASH], const uint8_t *start, uint8_t out[MAC]) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, 128);
    TRY(record_put_raw(&text, region, SYNC_HASH));
    TRY(record_put_raw(&text, device, SYNC_HASH));
    TRY(record_put_raw(&text, start, SYNC_NONCE - NONCE_MAC));
    return mac_of(service, "nonce", buf_bytes(&text), out);
}

err_t *sync_login_begin(sync_service_t *service, const uint8_t region[SYNC_HASH],
                        const uint8_t device[SYNC_HASH], uint8_t ret_nonce[SYNC_NONCE]) {
    CLEANUP(buf_done) buf_t start;
    uint8_t mac[MAC], random[8];
    buf_init(&start, SYNC_NONCE);
    TRY(rnd_fill(service->o.rnd, random, sizeof random));
    TRY(wire_put_i64(&start, clk_unix(service->o.clk) + NONCE_S));
    TRY(record_put_raw(&start, random, sizeof random));
    TRY(nonce_mac(service, region, device, start.p, mac));
    bytes_put(ret_nonce, buf_bytes(&start));
    memcpy(ret_nonce + start.n, mac, NONCE_MAC);
    return NULL;
}

static err_t *nonce_check(sync_call_t *call, const uint8_t region[SYNC_HASH],
                          const uint8_t device[SYNC_HASH], const uint8_t nonce[SYNC_NONCE]) {
    uint8_t mac[MAC];
    int64_t end = 0;
    wire_reader_t r = wire_reader(bytes_make(nonce, SYNC_NONCE));
    TRY(nonce_mac(call->service, region, device, nonce, mac));
    TRY(wire_get_i64(&r, &end));
    bool ours = bytes_eq_ct(bytes_make(mac, NONCE_MAC),
                            bytes_make(nonce + SYNC_NONCE - NONCE_MAC, NONCE_MAC));
    if (!ours || end < clk_unix(call->service->o.clk))
        return sync_no(call, SYNC_WORD_SESSION, "the nonce has ended: ask for another one");
    return NULL;
}

/* ---- the device ---- */

static err_t *check_wipe(sync_call_t *call, db_conn_t *conn, const uint8_t *device) {
    db_sync_wipe_t wipe;
    bool found = false;
    TRY(db_sync_wipe_find(conn, call->arena, call->region.seq, bytes_make(device, SYNC_HASH), &wipe,
                          &found));
    if (!found) return NULL;
    call->wipe = wipe.id;
    memcpy(call->device, device, SYNC_HASH);
    return sync_no(call, SYNC_WORD_WIPE, "this device is to destroy its keys and files");
}

/* The device's row, and whether it and its person may be here at all. */
static err_t *find_device(sync_call_t *call, db_conn_t *conn, const uint8_t region[SYNC_HASH],
                          const uint8_t device[SYNC_HASH], db_sync_device_t *ret_row) {
    bool found = false;
    TRY(call_region(call, conn, region));
    TRY(db_sync_device_find(conn, call->arena, call->region.seq, bytes_make(device, SYNC_HASH),
                            ret_row, &found));
    if (!found) return sync_no(call, SYNC_WORD_ABSENT, "the region's chain has no such device");
    return NULL;
}

static err_t *check_device(sync_call_t *call, db_conn_t *conn, const db_sync_device_t *row) {
    bool found = false;
    TRY(check_wipe(call, conn, row->device.p));
    if (row->state != SYNC_DEVICE_ACTIVE)
        return sync_no(call, SYNC_WORD_REVOKED, "the device is not active in the chain");
    TRY(db_people_by_id(conn, call->arena, row->person_id, &call->person, &found));
    if (!found || call->person.disabled)
        return sync_no(call, SYNC_WORD_DISABLED, "the device's person is disabled");
    TRY(call_policy(call, conn, &call->person, row->device.p, &call->policy));
    if (!call->policy.may_sync)
        return sync_no(call, SYNC_WORD_DISABLED, "this person may not sync on this device");
    call->is_device = true;
    call->roles = (uint8_t)row->roles;
    memcpy(call->device, row->device.p, SYNC_HASH);
    return NULL;
}

static err_t *name_actor(sync_call_t *call) {
    CLEANUP(mem_free) char *text = NULL;
    const char *hex = NULL;
    bytes_t copy;
    TRY(call_hex(call, BYTES_ARRAY(call->device), &hex));
    text = mem_printf("sync-device:%s", hex);
    if (!text) return err_nomem();
    TRY(arena_copy(call->arena, bytes_str(text), &copy));
    call->actor = (const char *)copy.p;
    return NULL;
}

typedef struct {
    sync_call_t *call;
    const uint8_t *region, *device;
    const uint8_t *nonce;
    bytes_t signature;
} login_t;

static err_t *check_proof(const login_t *l, const db_sync_device_t *row) {
    CLEANUP(buf_done) buf_t message;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    buf_init(&message, 1024);
    TRY(pkey_from_raw_public(PKEY_ED25519, row->login, &key));
    TRY(wire_put_str(&message, l->call->service->host));
    TRY(record_put_raw(&message, l->region, SYNC_HASH));
    TRY(record_put_raw(&message, l->device, SYNC_HASH));
    TRY(record_put_raw(&message, l->nonce, SYNC_NONCE));
    err_t *e = pkey_verify(key, LOGIN_DOMAIN, buf_bytes(&message), l->signature);
    if (!e || err_code(e) != ERR_VERIFY) return e;
    err_free(e);
    return sync_no(l->call, SYNC_WORD_SIGNATURE, "the log-in is not signed by this device");
}

/* A device that is unknown, and one that signs wrongly, get one answer. */
static err_t *login_fn(db_conn_t *conn, void *arg) {
    login_t *l = arg;
    db_sync_device_t row;
    err_t *e = find_device(l->call, conn, l->region, l->device, &row);
    if (e && l->call->word == SYNC_WORD_ABSENT) {
        err_free(e);
        return sync_no(l->call, SYNC_WORD_SIGNATURE, "the log-in is not signed by this device");
    }
    if (e) return e;
    TRY(check_proof(l, &row));
    return check_device(l->call, conn, &row);
}

static err_t *seen_fn(db_conn_t *conn, void *arg) {
    sync_call_t *call = arg;
    const char *object = NULL;
    TRY(db_sync_device_seen(conn, call->region.seq, BYTES_ARRAY(call->device),
                            clk_unix_ms(call->service->o.clk)));
    TRY(call_object(call, &object));
    return audit_note(call->service->o.audit, conn, call->actor, "sync.login", object, "person",
                      call->person.email, NULL);
}

static err_t *make_token(const sync_call_t *call, int64_t end, buf_t *out) {
    CLEANUP(buf_done) buf_t token;
    uint8_t mac[MAC];
    buf_init(&token, TOKEN);
    TRY(buf_add(&token, call->region.region));
    TRY(record_put_raw(&token, call->device, SYNC_HASH));
    TRY(wire_put_i64(&token, end));
    TRY(mac_of(call->service, "token", buf_bytes(&token), mac));
    TRY(record_put_raw(&token, mac, MAC));
    TRY(buf_add_str(out, PREFIX));
    return text_base64url(buf_bytes(&token), out);
}

err_t *sync_login_end(sync_call_t *call, const uint8_t region[SYNC_HASH],
                      const uint8_t device[SYNC_HASH], const uint8_t nonce[SYNC_NONCE],
                      bytes_t signature, buf_t *ret_token, int64_t *ret_expires) {
    login_t l = {call, region, device, nonce, signature};
    TRY(nonce_check(call, region, device, nonce));
    TRY(db_read(call->service->o.db, login_fn, &l));
    TRY(name_actor(call));
    TRY(db_write(call->service->o.db, seen_fn, call));
    int64_t end = clk_unix(call->service->o.clk) + TOKEN_S;
    TRY(make_token(call, end, ret_token));
    *ret_expires = end;
    return NULL;
}

/* ---- tokens ---- */

bool sync_token_is(bytes_t token) { return bytes_starts(token, BYTES_LIT(PREFIX)); }

static bool token_open(const sync_service_t *service, bytes_t text, const uint8_t region[SYNC_HASH],
                       uint8_t ret_device[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t token;
    uint8_t mac[MAC];
    int64_t end = 0;
    buf_init(&token, 2 * (size_t)TOKEN); /* decoding reserves more than it gives */
    err_t *e = text_unbase64(bytes_from(text, sizeof PREFIX - 1), &token);
    if (!e && token.n != TOKEN) return false;
    if (!e) e = mac_of(service, "token", bytes_make(token.p, TOKEN - MAC), mac);
    bool good = !e && bytes_eq_ct(BYTES_ARRAY(mac), bytes_make(token.p + TOKEN - MAC, MAC));
    err_free(e);
    if (!good || memcmp(token.p, region, SYNC_HASH) != 0) return false;
    wire_reader_t r = wire_reader(bytes_make(token.p + 2 * SYNC_HASH, 8));
    e = wire_get_i64(&r, &end);
    err_free(e);
    memcpy(ret_device, token.p + SYNC_HASH, SYNC_HASH);
    return end > clk_unix(service->o.clk);
}

err_t *sync_token_check(const sync_service_t *service, const uint8_t region[SYNC_HASH],
                        bytes_t token) {
    uint8_t device[SYNC_HASH];
    if (sync_token_is(token) && token_open(service, token, region, device)) return NULL;
    return err_new(ERR_AUTH, "no token, or one that has ended");
}

static err_t *device_fn(db_conn_t *conn, void *arg) {
    login_t *l = arg;
    db_sync_device_t row;
    TRY(find_device(l->call, conn, l->region, l->device, &row));
    return check_device(l->call, conn, &row);
}

err_t *sync_call_device(sync_call_t *call, const uint8_t region[SYNC_HASH], bytes_t token) {
    uint8_t device[SYNC_HASH];
    login_t l = {.call = call, .region = region, .device = device};
    if (!sync_token_is(token) || !token_open(call->service, token, region, device))
        return sync_no(call, SYNC_WORD_SESSION, "log in as a device of this region");
    TRY(db_read(call->service->o.db, device_fn, &l));
    return name_actor(call);
}

/* ---- people ---- */

typedef struct {
    sync_call_t *call;
    const uint8_t *region;
} person_t;

static err_t *person_fn(db_conn_t *conn, void *arg) {
    person_t *p = arg;
    sync_call_t *call = p->call;
    db_sync_join_t *joins = NULL;
    size_t n = 0;
    bool has = false;
    TRY(call_region(call, conn, p->region));
    if (!call->person.id[0]) return NULL;
    TRY(db_sync_device_of_person(conn, call->region.seq, call->person.id, &has));
    if (!has)
        TRY(db_sync_join_list(conn, call->arena, call->region.seq, call->person.id,
                              clk_unix_ms(call->service->o.clk), 1, &joins, &n));
    call->related = has || n > 0;
    return call_policy(call, conn, &call->person, NULL, &call->policy);
}

err_t *sync_call_person(sync_call_t *call, const uint8_t region[SYNC_HASH]) {
    person_t p = {call, region};
    return db_read(call->service->o.db, person_fn, &p);
}
