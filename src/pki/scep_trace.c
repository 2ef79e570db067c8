/*
 * The trace of SCEP requests: what came, what was wrong with it, what the device does next. Rows
 * are bounded (store/scep.h) and hold no secret: no challenge, no key, no envelope. Any worker
 * thread of coffer-web.
 */
#include "base/mem.h"
#include "base/text.h"
#include "pki/scep_internal.h"

const char *scep_message_name(scep_message_type_t type) {
    switch (type) {
    case SCEP_CERT_REP: return "CertRep";
    case SCEP_RENEWAL_REQ: return "RenewalReq";
    case SCEP_PKCS_REQ: return "PKCSReq";
    case SCEP_CERT_POLL: return "CertPoll";
    case SCEP_GET_CERT: return "GetCert";
    case SCEP_GET_CRL: return "GetCRL";
    }
    return "?";
}

const char *scep_fail_name(int info) {
    static const char *const names[] = {"badAlg", "badMessageCheck", "badRequest", "badTime",
                                        "badCertId"};
    return info >= 0 && info <= SCEP_FAIL_BAD_CERT_ID ? names[info] : "";
}

/* Cut at a character, control characters replaced. */
static err_t *clean(arena_t *arena, bytes_t text, const char **ret_text) {
    bytes_t copy;
    size_t n = text.n < LIMIT_SCEP_TRACE_TEXT ? text.n : LIMIT_SCEP_TRACE_TEXT;
    while (n && n < text.n && (text.p[n] & 0xc0) == 0x80) n--;
    TRY(arena_copy(arena, bytes_slice(text, 0, n), &copy));
    uint8_t *p = (uint8_t *)(uintptr_t)copy.p;
    bool valid = text_utf8_valid(copy);
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] == 0x7f || (!valid && (p[i] & 0x80))) p[i] = '?';
    *ret_text = (const char *)copy.p;
    return NULL;
}

static err_t *hex_of(arena_t *arena, bytes_t data, const char **ret_text) {
    CLEANUP(mem_free) char *hex = NULL;
    bytes_t copy;
    TRY(text_hex_new(data, &hex));
    TRY(arena_copy(arena, bytes_str(hex), &copy));
    *ret_text = (const char *)copy.p;
    return NULL;
}

static const char *or_empty(const char *text) { return text ? text : ""; }

static err_t *describe(const scep_exchange_t *x, db_scep_trace_t *row) {
    const scep_grant_t *g = &x->grant;
    CLEANUP(mem_free)
    char *algorithms = mem_printf("%s, %s", x->cipher ? x->cipher : "?",
                                  cms_digest_name(cms_signed_digest(x->request.message)));
    if (!algorithms) return err_nomem();
    TRY(clean(x->arena, bytes_str(algorithms), &row->algorithms));
    TRY(clean(x->arena, x->request.transaction_id, &row->transaction_id));
    TRY(clean(x->arena, bytes_str(cert_subject(x->signer)), &row->signer));
    TRY(clean(x->arena, bytes_str(x->csr ? csr_subject(x->csr) : ""), &row->subject));
    TRY(clean(x->arena, bytes_str(x->problem), &row->problem));
    TRY(hex_of(x->arena, BYTES_ARRAY(x->requester), &row->about));
    row->message = scep_message_name(x->request.type);
    row->profile = or_empty(g->profile);
    row->enrolment_id = or_empty(g->enrolment_id);
    row->udid = or_empty(g->udid);
    if (row->enrolment_id[0]) row->about = row->enrolment_id;
    row->outcome = x->outcome;
    row->fail_info = strcmp(x->outcome, "refused") == 0 ? scep_fail_name(x->fail) : "";
    row->next = or_empty(x->next);
    row->serial = x->issued ? cert_serial_hex(x->issued) : "";
    return NULL;
}

err_t *scep_trace_add(db_conn_t *conn, scep_exchange_t *x) {
    db_scep_trace_t row = {.unix_ms = clk_unix_ms(x->pki->o.clk), .peer = x->peer};
    TRY(describe(x, &row));
    TRY(db_scep_trace_add(conn, &row));
    x->traced = true;
    return NULL;
}

static err_t *save(db_conn_t *conn, void *arg) { return scep_trace_add(conn, arg); }

void scep_trace_save(scep_exchange_t *x) {
    if (!x->traced) err_ignore(db_write(x->pki->o.db, save, x));
}

typedef struct {
    pki_t *pki;
    const char *peer;
    const char *problem;
} malformed_t;

static err_t *save_malformed(db_conn_t *conn, void *arg) {
    const malformed_t *m = arg;
    CLEANUP(arena_free) arena_t *arena = NULL;
    db_scep_trace_t row = {.unix_ms = clk_unix_ms(m->pki->o.clk),
                           .about = m->peer,
                           .peer = m->peer,
                           .outcome = "malformed",
                           .next = NEXT_STOP};
    TRY(arena_new(64 * 1024, &arena));
    TRY(clean(arena, bytes_str(m->problem), &row.problem));
    return db_scep_trace_add(conn, &row);
}

void scep_trace_malformed(pki_t *pki, const char *peer, const err_t *why) {
    char text[LIMIT_SCEP_TRACE_TEXT];
    malformed_t m = {pki, peer, err_text(why, text, sizeof text)};
    err_ignore(db_write(pki->o.db, save_malformed, &m));
}
