/*
 * Telling the keeper what the mail gateway may do for people: see api_mail_policy.h. The keeper is
 * asked first and outside any transaction; what it made is kept then. Worker threads.
 */
#include "audit/note.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "keeper/client_mail.h"
#include "program/web/api_mail_policy.h"
#include "store/certs.h"
#include "store/mail_policy.h"

enum { DUE_S = LIMIT_KEEPER_MAIL_RENEW_S, PAGE = 100, PAGE_ARENA = 1024 * 1024 };

typedef struct {
    web_t *web;
    arena_t *arena;
    const char *actor;
    const db_person_t *person;
    bool sign, decrypt, made;
    db_mail_gateway_t before;
    bool found;
    cert_t *cert;
    uint8_t spki[DIGEST_SHA256_SIZE];
} grant_t;

static err_t *read_before(db_conn_t *conn, void *arg) {
    grant_t *g = arg;
    return db_mail_gateway_get(conn, g->arena, g->person->email, &g->before, &g->found);
}

static bool is_told(const grant_t *g) {
    const db_mail_gateway_t *b = &g->before;
    if (!g->found) return !g->sign && !g->decrypt;
    bool due = g->sign && b->not_after - clk_unix(clk_real()) < DUE_S;
    return b->signs == g->sign && b->decrypts == g->decrypt && !due &&
           strcmp(b->person_id, g->person->id) == 0;
}

static err_t *keep_certificate(db_conn_t *conn, const grant_t *g, int64_t now) {
    if (!g->made) return NULL;
    return db_certificates_add(
        conn, &(db_certificate_t){
                  .fingerprint = bytes_make(cert_sha256(g->cert), CERT_SHA256_SIZE),
                  .issuer = "mail-ca",
                  .serial = cert_serial_hex(g->cert),
                  .profile = KEEPER_MAIL_PROFILE,
                  .subject = cert_subject(g->cert),
                  .enrolment_id = "",
                  .person_id = g->person->id,
                  .spki_sha256 = BYTES_ARRAY(g->spki),
                  .not_before = cert_not_before(g->cert),
                  .not_after = cert_not_after(g->cert),
                  .der = cert_der(g->cert),
                  .created_ms = now,
              });
}

static err_t *keep(db_conn_t *conn, void *arg) {
    const grant_t *g = arg;
    int64_t now = clk_unix_ms(clk_real());
    bytes_t fingerprint = g->cert ? bytes_make(cert_sha256(g->cert), CERT_SHA256_SIZE) : BYTES_NONE;
    TRY(keep_certificate(conn, g, now));
    TRY(db_mail_gateway_put(conn,
                            &(db_mail_gateway_t){.email = g->person->email,
                                                 .person_id = g->person->id,
                                                 .signs = g->sign,
                                                 .decrypts = g->decrypt,
                                                 .fingerprint = fingerprint,
                                                 .not_after = g->cert ? cert_not_after(g->cert) : 0,
                                                 .changed_ms = now}));
    return audit_note(&g->web->audit, conn, g->actor, "mail.allow", g->person->email, "sign",
                      g->sign ? "yes" : "no", "decrypt", g->decrypt ? "yes" : "no", "serial",
                      g->cert ? cert_serial_hex(g->cert) : NULL, NULL);
}

static err_t *tell(grant_t *g) {
    CLEANUP(buf_done) buf_t der;
    const keeper_mail_allow_t allow = {.email = g->person->email,
                                       .person = g->person->id,
                                       .name = g->person->name,
                                       .sign = g->sign,
                                       .decrypt = g->decrypt};
    buf_init(&der, LIMIT_CERTIFICATE_BYTES);
    TRY(keeper_mail_allow(g->web->keeper, &allow, &der, &g->made));
    if (!der.n) return NULL;
    TRY(cert_parse_der(buf_bytes(&der), &g->cert));
    return pkey_spki_sha256(cert_key(g->cert), g->spki);
}

err_t *mail_policy_grant(web_t *web, const db_person_t *person, const char *actor,
                         bool *ret_changed) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    grant_t g = {.web = web, .person = person, .actor = actor};
    gate_rule_t rule = gate_rule_default();
    TRY(arena_new(LIMIT_CERTIFICATE_BYTES, &arena));
    g.arena = arena;
    TRY(mail_policy_find(&web->mail_policy, web->db, GATE_SCOPE_FROM, bytes_str(person->email),
                         &rule));
    g.sign = !person->disabled && gate_is(&rule, GATE_SIGN);
    g.decrypt = !person->disabled && gate_is(&rule, GATE_DECRYPT);
    TRY(db_read(web->db, read_before, &g));
    if (is_told(&g)) return NULL;
    err_t *e = tell(&g);
    if (!e) e = db_write(web->db, keep, &g);
    cert_free(g.cert);
    if (!e) *ret_changed = true;
    return e;
}

/* ---- everybody, page by page ---- */

typedef struct {
    arena_t *arena;
    const char *after;
    size_t limit;
    db_person_t *rows;
    size_t n;
} page_t;

static err_t *read_people(db_conn_t *conn, void *arg) {
    page_t *p = arg;
    return db_people_list(conn, p->arena, p->after, p->limit, &p->rows, &p->n);
}

err_t *api_mail_policy_apply(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    page_t page = {.arena = request->arena};
    CLEANUP(jso_free) json_t *out = NULL;
    int64_t changed_n = 0;
    TRY(api_page(request, &page.after, &page.limit));
    TRY(db_read(web->db, read_people, &page));
    for (size_t i = 0; i < page.n; i++) {
        bool changed = false;
        TRY(mail_policy_grant(web, &page.rows[i], web_caller(request)->actor, &changed));
        changed_n += changed;
    }
    TRY(jso_object(&out));
    TRY(jso_set_int(out, "people", (int64_t)page.n));
    TRY(jso_set_int(out, "changed", changed_n));
    if (page.n == page.limit) TRY(jso_set_str(out, "next", page.rows[page.n - 1].email));
    return api_send(reply, 200, out);
}

/* The next page; *ret_more: there may be others. What fails for one is told, and the others go on.
 */
static err_t *apply_page(web_t *web, char after[LIMIT_EMAIL + 1], bool *ret_more) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    TRY(arena_new(PAGE_ARENA, &arena));
    page_t page = {.arena = arena, .after = after, .limit = PAGE};
    TRY(db_read(web->db, read_people, &page));
    for (size_t i = 0; i < page.n; i++) {
        bool changed = false;
        log_error(&web->log, LOG_WARNING, mail_policy_grant(web, &page.rows[i], "system", &changed),
                  "mail policy for the keeper");
    }
    *ret_more = page.n == PAGE && strlen(page.rows[page.n - 1].email) <= LIMIT_EMAIL;
    if (*ret_more)
        memcpy(after, page.rows[page.n - 1].email, strlen(page.rows[page.n - 1].email) + 1);
    return NULL;
}

err_t *mail_policy_apply_all(web_t *web, const _Atomic bool *stopping) {
    char after[LIMIT_EMAIL + 1] = "";
    bool more = true;
    while (more && !*stopping) TRY(apply_page(web, after, &more));
    return NULL;
}
