/*
 * A world for tests of the gate: a CA, people with and without keys, a policy in memory, a keeper
 * that can be away. Everything static: each test program includes it once.
 */
#ifndef COFFER_TESTS_GATE_WORLD_H
#define COFFER_TESTS_GATE_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../unit.h"

#include "base/mem.h"
#include "crypto/cms_seal.h"
#include "mail/gate.h"
#include "mail/reader.h"
#include "mail/writer.h"

enum { NOW = 1800000000, YEAR = 365 * 86400, PEOPLE = 6, BIG = 1 << 22 };

typedef struct {
    const char *address;
    cert_t *cert;
    pkey_t *key;
    bool signs, gcm;
    cert_t *old_cert; /* the one before, archived */
    pkey_t *old_key;
} person_t;

typedef struct {
    const char *address; /* "*": everybody */
    gate_scope_t scope;
    const char *rule;
} policy_t;

typedef struct {
    person_t people[PEOPLE]; /* alice, bob and carol of example.org; oscar outside has no key */
    policy_t policy[8];
    size_t policy_n;
    err_code_t keeper; /* what it answers; ERR_INTERNAL: it works */
    bool source_away;
    uint64_t room, room_max; /* of files: taken now; at most, 0: no limit */
    unsigned signed_n, unwrapped_n, harvested_n;
    cert_t *root, *organisation;
    pkey_t *root_key, *organisation_key;
    clk_fake_t clk;
    gate_options_t options;
    gate_services_t services;
    gate_t *gate;
} world_t;

static const char *const world_domains[] = {"example.org"};

static inline cert_t *world_issue(world_t *w, const char *mail, const pkey_t *key, bool ca) {
    static uint8_t serial[] = {1, 0};
    static const char *const ekus[] = {OID_EKU_EMAIL_PROTECTION};
    const name_entry_t subject[] = {{"CN", mail}};
    const san_entry_t sans[] = {{SAN_EMAIL, mail}};
    cert_t *cert = NULL;
    unsigned usage =
        pkey_kind(key) == PKEY_RSA ? KEY_USAGE_KEY_ENCIPHERMENT : KEY_USAGE_KEY_AGREEMENT;
    serial[1]++;
    const cert_spec_t spec = {.subject = subject,
                              .subject_n = 1,
                              .sans = sans,
                              .sans_n = ca ? 0 : 1,
                              .serial = BYTES_ARRAY(serial),
                              .not_before = NOW - YEAR,
                              .not_after = NOW + YEAR,
                              .is_ca = ca,
                              .key_usage =
                                  ca ? KEY_USAGE_CERT_SIGN : usage | KEY_USAGE_DIGITAL_SIGNATURE,
                              .ekus = ekus,
                              .ekus_n = ca ? 0 : 1,
                              .key = key};
    assert_ok(cert_issue(&spec, ca ? NULL : w->root, w->root_key, &cert));
    return cert;
}

static inline person_t *world_find(world_t *w, bytes_t address) {
    for (size_t i = 0; i < PEOPLE; i++)
        if (w->people[i].address && mime_address_eq(bytes_str(w->people[i].address), address))
            return &w->people[i];
    return NULL;
}

/* ---- services ---- */

static inline err_t *world_policy(void *arg, gate_scope_t scope, bytes_t address,
                                  gate_rule_t *rule) {
    const world_t *w = arg;
    for (size_t i = 0; i < w->policy_n; i++) {
        const policy_t *p = &w->policy[i];
        gate_rule_t over;
        if (p->scope != scope) continue;
        if (strcmp(p->address, "*") != 0 && !mime_address_eq(bytes_str(p->address), address))
            continue;
        TRY(gate_rule_read(bytes_str(p->rule), &over));
        gate_rule_apply(rule, &over);
    }
    return NULL;
}

static inline err_t *world_book(void *arg, bytes_t address, mail_candidates_t *list) {
    world_t *w = arg;
    const person_t *p = world_find(w, address);
    if (!p && w->source_away) return err_new(ERR_UNAVAILABLE, "the directory is away");
    if (!p || !p->cert) return NULL;
    const mail_candidate_t candidate = {
        .cert = p->cert, .capable = {.known = p->gcm, .aes256_cbc = true, .aes256_gcm = p->gcm}};
    return mail_candidates_add(list, &candidate);
}

static inline err_t *world_recipients(void *arg, const bytes_t *addresses, size_t n, int64_t at,
                                      mail_recipients_t *ret_list) {
    world_t *w = arg;
    cert_list_t roots CLEANUP(cert_list_done) = {0};
    TRY(cert_list_add(&roots, w->root));
    const mail_book_t book = {.find = {world_book}, .arg = w, .roots = &roots};
    return mail_recipients_find(&book, addresses, n, BYTES_NONE, at, ret_list);
}

static inline err_t *world_sign(void *arg, bytes_t address, bytes_t sha256, buf_t *out,
                                bool *ret_found) {
    world_t *w = arg;
    const person_t *p = world_find(w, address);
    if (w->keeper != ERR_INTERNAL) return err_new(w->keeper, "the keeper is away");
    if (!p || !p->signs) return NULL;
    *ret_found = true;
    if (!sha256.n) return NULL;
    cms_signer_t *signer CLEANUP(cms_signer_free) = NULL;
    const cms_sign_options_t options = {.detached = true, .signing_time = NOW};
    w->signed_n++;
    TRY(cms_signer_new(p->cert, p->key, NULL, &signer));
    return cms_sign_hash(signer, sha256, &options, out);
}

static inline err_t *world_find_key(void *arg, bytes_t address, const cms_recipient_t *r,
                                    cert_t **ret_cert, bool *ret_found) {
    world_t *w = arg;
    const person_t *p = world_find(w, address);
    if (!p || !p->cert) return NULL;
    const cert_t *cert = cms_recipient_is(r, p->cert) ? p->cert : p->old_cert;
    if (!cert || !cms_recipient_is(r, cert)) return NULL;
    *ret_cert = cert_share(cert);
    *ret_found = true;
    return NULL;
}

static inline err_t *world_unwrap(void *arg, bytes_t address, const cert_t *cert,
                                  const cms_wrapped_t *wrapped, uint8_t *ret_key, size_t n) {
    world_t *w = arg;
    const person_t *p = world_find(w, address);
    if (w->keeper != ERR_INTERNAL) return err_new(w->keeper, "the keeper is away");
    w->unwrapped_n++;
    return cms_unwrap(wrapped, cert_same(cert, p->cert) ? p->key : p->old_key, rnd_real(), ret_key,
                      n);
}

static inline err_t *world_trust(void *arg, bytes_t from, cert_list_t *ret_roots,
                                 cert_list_t *ret_others) {
    (void)from;
    (void)ret_others;
    return cert_list_add(ret_roots, ((world_t *)arg)->root);
}

static inline err_t *world_harvest(void *arg, const mail_verdict_t *verdict) {
    (void)verdict;
    ((world_t *)arg)->harvested_n++;
    return NULL;
}

static inline err_t *world_file(void *arg, int *ret_fd) {
    (void)arg;
    *ret_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return *ret_fd < 0 ? err_errno(errno, "temporary file") : NULL;
}

static inline err_t *world_take(void *arg, uint64_t bytes) {
    world_t *w = arg;
    if (w->room_max && w->room + bytes > w->room_max) return err_new(ERR_FULL, "no room");
    w->room += bytes;
    return NULL;
}

static inline void world_give(void *arg, uint64_t bytes) {
    world_t *w = arg;
    assert_true(bytes <= w->room);
    w->room -= bytes;
}

/* ---- the world ---- */

static inline void world_person(world_t *w, size_t i, const char *address, pkey_kind_t kind,
                                bool gcm) {
    static pkey_t *rsa; /* takes long to make */
    w->people[i] = (person_t){.address = address, .signs = true, .gcm = gcm};
    if (kind != PKEY_RSA) assert_ok(pkey_generate(kind, 0, &w->people[i].key));
    else if (!rsa) assert_ok(pkey_generate(kind, 2048, &rsa));
    if (kind == PKEY_RSA) w->people[i].key = pkey_share(rsa);
    w->people[i].cert = world_issue(w, address, w->people[i].key, false);
}

static inline world_t *world_new(void) {
    world_t *w = mem_zalloc(sizeof *w);
    assert_non_null(w);
    assert_ok(crypto_init());
    w->keeper = ERR_INTERNAL;
    clk_fake_init(&w->clk, (int64_t)NOW * 1000);
    assert_ok(pkey_generate(PKEY_P256, 0, &w->root_key));
    w->root = world_issue(w, "ca", w->root_key, true);
    world_person(w, 0, "alice@example.org", PKEY_P256, true);
    world_person(w, 1, "bob@example.org", PKEY_P256, true);
    world_person(w, 2, "carol@example.org", PKEY_RSA, false);
    w->people[3] = (person_t){.address = "dora@example.org"};
    w->options = (gate_options_t){.rnd = rnd_real(),
                                  .clk = &w->clk.clk,
                                  .authserv_id = "gate.example.org",
                                  .domains = world_domains,
                                  .domains_n = 1,
                                  .report_address = "report@example.org",
                                  .report_mailbox = "spam@example.org",
                                  .tag_encrypt = "[encrypt]",
                                  .tag_plain = "[plain]",
                                  .max = BIG};
    w->services = (gate_services_t){.policy = world_policy,
                                    .recipients = world_recipients,
                                    .allowed = {.gcm = true, .oaep = true},
                                    .sign = world_sign,
                                    .find_key = world_find_key,
                                    .unwrap = world_unwrap,
                                    .trust = world_trust,
                                    .harvest = world_harvest,
                                    .new_file = world_file,
                                    .take_room = world_take,
                                    .give_room = world_give,
                                    .arg = w};
    assert_ok(gate_new(&w->options, &w->services, &w->gate));
    return w;
}

static inline void world_free(world_t *w) {
    for (size_t i = 0; i < PEOPLE; i++) {
        cert_free(w->people[i].cert);
        pkey_free(w->people[i].key);
        cert_free(w->people[i].old_cert);
        pkey_free(w->people[i].old_key);
    }
    cert_free(w->root);
    pkey_free(w->root_key);
    cert_free(w->organisation);
    pkey_free(w->organisation_key);
    gate_free(w->gate);
    mem_free(w);
}
DEFINE_CLEANUP(world_t, world_free)

static inline void world_rule(world_t *w, gate_scope_t scope, const char *address,
                              const char *rule) {
    w->policy[w->policy_n++] = (policy_t){address, scope, rule};
}

/* ---- a run ---- */

typedef struct {
    gate_result_t result;
    int fd;
} run_t;

static inline void run_done(run_t *run) {
    gate_result_done(&run->result);
    if (run->fd >= 0) (void)close(run->fd);
}
DEFINE_CLEANUP_VALUE(run_t, run_done)

/* `rcpts`: addresses with blanks between. "group@x>a@x" is a@x that came from group@x. */
static inline void world_run(world_t *w, gate_direction_t direction, const char *from,
                             const char *rcpts, bytes_t message, run_t *run) {
    gate_rcpt_t list[16];
    size_t n = 0;
    bytes_t rest = bytes_str(rcpts), item;
    while (text_split(&rest, ' ', &item)) {
        size_t at = bytes_find(item, '>');
        list[n] = (gate_rcpt_t){item, BYTES_NONE};
        if (at < item.n) list[n] = (gate_rcpt_t){bytes_from(item, at + 1), bytes_make(item.p, at)};
        n++;
    }
    assert_ok(world_file(w, &run->fd));
    assert_int_equal(pwrite(run->fd, message.p, message.n, 0), (ssize_t)message.n);
    const gate_envelope_t env = {.direction = direction,
                                 .from = bytes_str(from),
                                 .rcpts = list,
                                 .rcpts_n = n,
                                 .fd = run->fd,
                                 .size = message.n};
    assert_ok(gate_run(w->gate, &env, &run->result));
}

/* What the mail that has this recipient says, NUL-ended; borrowed from out. */
static inline const char *run_text(run_t *run, const char *rcpt, buf_t *out) {
    const char *text = NULL;
    for (size_t i = 0; i < run->result.mails_n; i++) {
        const gate_mail_t *m = &run->result.mails[i];
        for (size_t k = 0; k < m->rcpts_n; k++) {
            if (!bytes_eq_str(m->rcpts[k].address, rcpt)) continue;
            gate_reply_t made;
            gate_mail_make(&run->result, i, &made);
            assert_int_equal(made.smtp, 250);
            buf_clear(out);
            assert_ok(buf_reserve(out, (size_t)m->size + 1));
            assert_int_equal(pread(m->fd, out->p, (size_t)m->size, 0), (ssize_t)m->size);
            out->n = (size_t)m->size;
            assert_ok(buf_cstr(out, &text));
            return text;
        }
    }
    return NULL;
}

/* How many mails, and how many recipients this one's has. */
static inline size_t run_company(const run_t *run, const char *rcpt) {
    for (size_t i = 0; i < run->result.mails_n; i++)
        for (size_t k = 0; k < run->result.mails[i].rcpts_n; k++)
            if (bytes_eq_str(run->result.mails[i].rcpts[k].address, rcpt))
                return run->result.mails[i].rcpts_n;
    return 0;
}

/* ---- reading as a person ---- */

typedef struct {
    bool opened;
    mail_status_t status;
    bool is_signed;
    char subject[100];
    char cipher[32];
} seen_t;

static inline err_t *as_find(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                             const pkey_t **ret_key, bool *ret_found) {
    const person_t *p = arg;
    if (!cms_recipient_is(recipient, p->cert)) return NULL;
    *ret_cert = p->cert;
    *ret_key = p->key;
    *ret_found = true;
    return NULL;
}

static inline err_t *append(void *arg, bytes_t data) { return buf_add(arg, data); }

/* Reads as a person would; the plain message into out (may be NULL). */
static inline err_t *world_read(world_t *w, const char *who, bytes_t message, seen_t *seen,
                                buf_t *out) {
    cert_list_t roots CLEANUP(cert_list_done) = {0};
    mail_reader_t *reader CLEANUP(mail_reader_free) = NULL;
    const mail_verdict_t *v;
    TRY(cert_list_add(&roots, w->root));
    const mail_reader_handler_t handler = {.find_key = as_find,
                                           .arg = world_find(w, bytes_str(who))};
    const mail_reader_options_t options = {.rnd = rnd_real(),
                                           .now = NOW,
                                           .roots = &roots,
                                           .keep = out ? MAIL_KEEP_CONTENT : MAIL_KEEP_NOTHING,
                                           .max = BIG};
    TRY(mail_reader_new(&handler, &options, &reader));
    TRY(mail_reader_feed(reader, message));
    TRY(mail_reader_finish(reader, &v));
    bytes_t subject = mail_verdict_subject(v);
    *seen = (seen_t){
        .opened = v->envelopes_n > 0, .status = mail_status(v), .is_signed = v->signatures_n > 0};
    (void)snprintf(seen->subject, sizeof seen->subject, "%.*s", (int)subject.n,
                   (const char *)subject.p);
    if (v->envelopes_n)
        (void)snprintf(seen->cipher, sizeof seen->cipher, "%s", v->envelopes[0].envelope.cipher);
    return out ? mail_reader_output(reader, append, out) : NULL;
}

#endif
