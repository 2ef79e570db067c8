/*
 * Signing revocation lists (RFC 5280 section 5) and OCSP statuses (RFC 6960). Neither ever signs
 * bytes that somebody sent: entries and statuses are read into values, and what is signed is
 * encoded here from those (decision 0015). Worker threads.
 */
#include "keeper/intent_revocation.h"

#include "base/limits.h"
#include "base/mem.h"
#include "ipc/frame.h"
#include "keeper/revocation.h"

enum {
    SKEW_S = 60 * 60,     /* the asking host's clock against ours */
    HEAD_MAX = 80 * 1024, /* bytes before a list's entries */
    TAIL_MAX = 8 * 1024,  /* bytes behind them */
    SIGNATURE_MAX = 2048, /* bytes */
};

static err_t *need(const keeper_core_t *core) {
    if (core->revocation) return NULL;
    return err_new(ERR_DENIED, "this keeper has no URL of revocation and signs none");
}

/* Signed now, for a time that is not too long. */
static err_t *check_times(const keeper_core_t *core, int64_t from, int64_t to, int64_t longest) {
    int64_t now = clk_unix(core->clk);
    if (from < now - SKEW_S || from > now + SKEW_S)
        return err_new(ERR_DENIED, "thisUpdate is not now: is a clock wrong?");
    if (to <= from || to - from > longest)
        return err_new(ERR_DENIED, "nextUpdate is not after thisUpdate or too far off");
    return NULL;
}

/* ---- lists ---- */

typedef struct {
    char *issuer, *profile, *url, *delta_url;
    crl_spec_t spec;
    uint64_t entries_bytes;
} begin_t;

static void begin_done(begin_t *b) {
    mem_free(b->issuer);
    mem_free(b->profile);
    mem_free(b->url);
    mem_free(b->delta_url);
}
DEFINE_CLEANUP_VALUE(begin_t, begin_done)

static err_t *read_begin(const keeper_core_t *core, bytes_t body, begin_t *b) {
    wire_reader_t r = wire_reader(body);
    TRY(intent_get_name(&r, CERT_PROFILE_TEXT, "CA", &b->issuer));
    TRY_WRAP(wire_get_str(&r, CERT_PROFILE_TEXT, &b->profile), "certificate profile");
    TRY(wire_get_u64(&r, &b->spec.number));
    TRY(wire_get_bool(&r, &b->spec.delta));
    TRY(wire_get_u64(&r, &b->spec.base_number));
    TRY(wire_get_i64(&r, &b->spec.this_update));
    TRY(wire_get_i64(&r, &b->spec.next_update));
    TRY(wire_get_u64(&r, &b->entries_bytes));
    TRY(wire_done(&r));
    if (b->spec.number == 0) return err_new(ERR_INVALID, "a list's number begins with 1");
    if (b->entries_bytes > LIMIT_CRL_BYTES) return err_new(ERR_LIMIT, "the list is too long");
    TRY(check_times(core, b->spec.this_update, b->spec.next_update, LIMIT_KEEPER_CRL_LIFETIME_S));
    const revocation_t *revocation = core->revocation;
    TRY(revocation_crl_url(revocation, b->issuer, b->profile, false, &b->url));
    TRY(revocation_crl_url(revocation, b->issuer, b->profile, true, &b->delta_url));
    /* A list of all profiles is complete and says nothing of where it is from. */
    b->spec.url = b->profile[0] ? b->url : NULL;
    b->spec.delta_url = b->delta_url;
    return NULL;
}

err_t *intent_crl_begin(const keeper_core_t *core, const intent_call_t *call,
                        intent_answer_t *answer) {
    TRY(need(core));
    CLEANUP(begin_done) begin_t b = {0};
    TRY(read_begin(core, call->body, &b));
    intent_about(answer, "issuer=%s profile=%s number=%llu%s", b.issuer, b.profile,
                 (unsigned long long)b.spec.number, b.spec.delta ? " delta" : "");
    const cert_t *ca;
    const pkey_t *key;
    TRY(revocation_ca(core->keys, b.issuer, &ca, &key));
    CLEANUP(crl_builder_free) crl_builder_t *builder = NULL;
    CLEANUP(buf_done) buf_t head, tail;
    buf_init(&head, HEAD_MAX);
    buf_init(&tail, TAIL_MAX);
    TRY(crl_put_head(&b.spec, ca, (size_t)b.entries_bytes, &head));
    TRY(crl_put_tail(&b.spec, ca, &tail));
    TRY(crl_builder_new(&b.spec, ca, key, (size_t)b.entries_bytes, &builder));
    uint64_t id = 0;
    TRY(revocation_build_put(core->revocation, STEAL(builder), answer->op->object,
                             clk_unix(core->clk), &id));
    TRY(wire_put_u64(&answer->body, id));
    TRY(wire_put_bytes(&answer->body, buf_bytes(&head)));
    return wire_put_bytes(&answer->body, buf_bytes(&tail));
}

static err_t *add_entries(crl_builder_t *builder, bytes_t entries) {
    while (entries.n) {
        crl_entry_t entry;
        TRY(crl_entry_take(&entries, &entry));
        TRY(crl_builder_add(builder, &entry));
    }
    return NULL;
}

err_t *intent_crl_add(const keeper_core_t *core, const intent_call_t *call,
                      intent_answer_t *answer) {
    TRY(need(core));
    wire_reader_t r = wire_reader(call->body);
    uint64_t id = 0;
    bytes_t entries;
    CLEANUP(mem_free) char *about = NULL;
    crl_builder_t *builder = NULL;
    TRY(wire_get_u64(&r, &id));
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &entries));
    TRY(wire_done(&r));
    intent_about(answer, "build=%llu", (unsigned long long)id);
    TRY(revocation_build_take(core->revocation, id, &builder, &about));
    err_t *e = add_entries(builder, entries);
    if (e) crl_builder_free(STEAL(builder)); /* the digest is spoilt: begin again */
    revocation_build_return(core->revocation, id, builder, STEAL(about));
    return e;
}

err_t *intent_crl_sign(const keeper_core_t *core, const intent_call_t *call,
                       intent_answer_t *answer) {
    TRY(need(core));
    wire_reader_t r = wire_reader(call->body);
    uint64_t id = 0;
    CLEANUP(mem_free) char *about = NULL;
    CLEANUP(crl_builder_free) crl_builder_t *builder = NULL;
    CLEANUP(buf_done) buf_t signature;
    buf_init(&signature, SIGNATURE_MAX);
    TRY(wire_get_u64(&r, &id));
    TRY(wire_done(&r));
    TRY(revocation_build_take(core->revocation, id, &builder, &about));
    revocation_build_return(core->revocation, id, NULL, NULL);
    intent_about(answer, "%s", about);
    TRY(crl_builder_sign(builder, &signature));
    return wire_put_bytes(&answer->body, buf_bytes(&signature));
}

/* ---- statuses ---- */

typedef struct {
    char *issuer;
    ocsp_single_t *list; /* of count, borrowing from the message */
    size_t count;
    bool joint; /* all in one response */
    bytes_t nonce;
} statuses_t;

static void statuses_done(statuses_t *s) {
    mem_free(s->issuer);
    mem_free(s->list);
}
DEFINE_CLEANUP_VALUE(statuses_t, statuses_done)

static err_t *read_single(wire_reader_t *r, ocsp_single_t *single) {
    uint8_t hash = 0, status = 0, reason = 0;
    TRY(wire_get_bytes(r, CERT_SERIAL_SIZE, &single->serial));
    TRY(wire_get_u8(r, &hash));
    TRY(wire_get_u8(r, &status));
    TRY(wire_get_u8(r, &reason));
    TRY(wire_get_i64(r, &single->revoked_at));
    if (single->serial.n == 0 || hash > OCSP_SHA256 || status > OCSP_REVOKED ||
        !crl_reason_name((crl_reason_t)reason))
        return err_new(ERR_INVALID, "no such certificate status");
    single->hash = (ocsp_hash_t)hash;
    single->status = (ocsp_status_t)status;
    single->reason = (crl_reason_t)reason;
    return NULL;
}

static err_t *read_statuses(const keeper_core_t *core, bytes_t body, statuses_t *s) {
    wire_reader_t r = wire_reader(body);
    int64_t this_update = 0, next_update = 0;
    uint16_t count = 0;
    TRY(intent_get_name(&r, CERT_PROFILE_TEXT, "CA", &s->issuer));
    TRY(wire_get_i64(&r, &this_update));
    TRY(wire_get_i64(&r, &next_update));
    TRY(wire_get_bool(&r, &s->joint));
    TRY(wire_get_bytes(&r, LIMIT_OCSP_NONCE, &s->nonce));
    TRY(wire_get_u16(&r, &count));
    TRY(check_times(core, this_update, next_update, LIMIT_KEEPER_OCSP_LIFETIME_S));
    if (count == 0 || count > (s->joint ? LIMIT_OCSP_CERTIDS : LIMIT_KEEPER_OCSP_BATCH))
        return err_new(ERR_LIMIT, "%u certificate statuses at once", count);
    /* A nonce is for the one who asks now; of a thousand responses nobody asked for them all. */
    if (s->nonce.n && !s->joint) return err_new(ERR_INVALID, "a nonce is for one response");
    s->list = mem_array(count, sizeof *s->list);
    if (!s->list) return err_nomem();
    for (; s->count < count; s->count++) {
        TRY(read_single(&r, &s->list[s->count]));
        s->list[s->count].this_update = this_update;
        s->list[s->count].next_update = next_update;
    }
    return wire_done(&r);
}

static err_t *sign_all(const statuses_t *s, const responder_t *responder, buf_t *out) {
    CLEANUP(buf_done) buf_t signature;
    buf_init(&signature, SIGNATURE_MAX);
    ocsp_data_t data = {
        .issuer = &responder->issuer,
        .responder = responder->key_hash,
        .list = s->list,
        .n = s->joint ? s->count : 1,
        .produced_at = s->list[0].this_update,
        .nonce = s->nonce,
    };
    size_t responses = s->joint ? 1 : s->count;
    TRY(wire_put_u16(out, (uint16_t)responses));
    for (size_t i = 0; i < responses; i++) {
        data.list = &s->list[i];
        buf_clear(&signature);
        TRY(ocsp_sign(&data, responder->key, &signature));
        TRY(wire_put_bytes(out, buf_bytes(&signature)));
    }
    return NULL;
}

err_t *intent_ocsp_sign(const keeper_core_t *core, const intent_call_t *call,
                        intent_answer_t *answer) {
    TRY(need(core));
    CLEANUP(statuses_done) statuses_t s = {0};
    CLEANUP(responder_done) responder_t responder = {0};
    TRY(read_statuses(core, call->body, &s));
    intent_about(answer, "issuer=%s statuses=%zu%s", s.issuer, s.count, s.nonce.n ? " nonce" : "");
    TRY(revocation_responder(core->revocation, core->keys, s.issuer, core->clk, core->rnd,
                             &answer->op->issued, &responder));
    TRY(wire_put_bytes(&answer->body, cert_der(responder.cert)));
    return sign_all(&s, &responder, &answer->body);
}
