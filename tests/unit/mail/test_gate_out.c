/*
 * mail/gate_out: who can read decides for all of a message; To and Cc share an envelope, each Bcc
 * has its own; what must be encrypted and can't be is refused by name; what isn't a person's word
 * is left alone.
 */
#include "gate_world.h"

#define MESSAGE(to, cc, subject)                                                                   \
    "From: Alice <alice@example.org>\r\nTo: " to "\r\n" cc "Subject: " subject                     \
    "\r\nMessage-ID: <1@example.org>\r\n\r\nThe secret.\r\n"

static bytes_t lit(const char *text) { return bytes_str(text); }

#define WORLD()                                                                                    \
    world_t *w CLEANUP(world_free) = world_new();                                                  \
    run_t run CLEANUP(run_done) = {.fd = -1};                                                      \
    (void)run;                                                                                     \
    CLEANUP(buf_done) buf_t text, plain;                                                           \
    seen_t seen;                                                                                   \
    buf_init(&text, BIG);                                                                          \
    buf_init(&plain, BIG);                                                                         \
    (void)seen;                                                                                    \
    (void)state

static void test_gate_out__encrypts_when_all_can_read(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=all-or-plain sign=yes");
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org carol@example.org",
              lit(MESSAGE("bob@example.org", "Cc: carol@example.org\r\n", "Results")), &run);
    assert_int_equal(run.result.reply.smtp, 250);
    assert_int_equal(run.result.mails_n, 1);
    const char *out = run_text(&run, "carol@example.org", &text);
    assert_null(strstr(out, "secret"));
    assert_null(strstr(out, "Results")); /* RFC 9788: hidden outside */
    assert_non_null(strstr(out, "X-Coffer-Mailgate: gate.example.org out encrypted"));
    const char *const readers[] = {"alice@example.org", "bob@example.org", "carol@example.org"};
    for (size_t i = 0; i < 3; i++) {
        assert_ok(world_read(w, readers[i], buf_bytes(&text), &seen, NULL));
        assert_true(seen.opened);
        assert_int_equal(seen.status, MAIL_GOOD);
        assert_true(seen.is_signed);
        assert_string_equal(seen.subject, "Results");
        assert_string_equal(seen.cipher, "AES-256-CBC"); /* carol has said nothing of GCM */
    }
    assert_int_equal(w->signed_n, 1);
}

static void test_gate_out__takes_the_strongest_that_all_read(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=all-or-plain");
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org",
              lit(MESSAGE("bob@example.org", "", "x")), &run);
    (void)run_text(&run, "bob@example.org", &text);
    assert_ok(world_read(w, "bob@example.org", buf_bytes(&text), &seen, NULL));
    assert_string_equal(seen.cipher, "AES-256-GCM");
    assert_false(seen.is_signed);
}

/* The fault of 2014: Reply All encrypted to people who couldn't read it. */
static void test_gate_out__reply_all_with_an_outsider_is_plain_to_all(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=all-or-plain");
    const char *message = MESSAGE("bob@example.org, oscar@outside.example", "", "Re: x");
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org oscar@outside.example",
              lit(message), &run);
    assert_int_equal(run.result.mails_n, 1);
    assert_true(run.result.mails[0].same);
    assert_string_equal(run_text(&run, "bob@example.org", &text), message);
}

/* The mail server may hand over a part of the recipients: the header still counts. */
static void test_gate_out__counts_who_is_only_in_the_header(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=all-or-plain");
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org",
              lit(MESSAGE("bob@example.org, oscar@outside.example", "", "x")), &run);
    assert_int_equal(run.result.mails_n, 1);
    assert_true(run.result.mails[0].same);
}

static void test_gate_out__a_list_that_was_taken_apart_is_its_members(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=require");
    world_run(w, GATE_OUT, "alice@example.org",
              "team@example.org>bob@example.org team@example.org>carol@example.org",
              lit(MESSAGE("team@example.org", "", "x")), &run);
    assert_int_equal(run.result.reply.smtp, 250);
    assert_int_equal(run.result.mails_n, 1);
    (void)run_text(&run, "bob@example.org", &text);
    assert_ok(world_read(w, "carol@example.org", buf_bytes(&text), &seen, NULL));
}

static void test_gate_out__require_names_who_lacks_what(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=require");
    world_run(
        w, GATE_OUT, "alice@example.org", "bob@example.org oscar@outside.example dora@example.org",
        lit(MESSAGE("bob@example.org, oscar@outside.example, dora@example.org", "", "x")), &run);
    assert_int_equal(run.result.reply.smtp, 550);
    assert_string_equal(run.result.reply.enhanced, "5.7.1");
    assert_int_equal(run.result.mails_n, 0);
    assert_non_null(strstr(run.result.reply.text, "oscar@outside.example: "));
    assert_non_null(strstr(run.result.reply.text, "dora@example.org: "));
    assert_null(strstr(run.result.reply.text, "bob@"));
}

static void test_gate_out__bcc_is_invisible(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=require");
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org carol@example.org",
              lit(MESSAGE("bob@example.org", "Bcc: carol@example.org\r\n", "x")), &run);
    assert_int_equal(run.result.mails_n, 2);
    assert_int_equal(run_company(&run, "bob@example.org"), 1);
    const char *out = run_text(&run, "bob@example.org", &text);
    assert_null(strstr(out, "Bcc"));
    assert_null(strstr(out, "carol"));
    assert_ok(world_read(w, "bob@example.org", buf_bytes(&text), &seen, &plain));
    const char *inner;
    assert_ok(buf_cstr(&plain, &inner));
    assert_null(strstr(inner, "carol"));
    assert_err(ERR_NOT_FOUND, world_read(w, "carol@example.org", buf_bytes(&text), &seen, NULL));
    (void)run_text(&run, "carol@example.org", &text);
    assert_ok(world_read(w, "carol@example.org", buf_bytes(&text), &seen, NULL));
    assert_ok(world_read(w, "alice@example.org", buf_bytes(&text), &seen, NULL));
    assert_err(ERR_NOT_FOUND, world_read(w, "bob@example.org", buf_bytes(&text), &seen, NULL));
}

static void test_gate_out__counts_what_it_makes(void **state) {
    WORLD();
    CLEANUP(buf_done) buf_t big;
    gate_reply_t made;
    buf_init(&big, BIG);
    assert_ok(buf_add_str(&big, MESSAGE("bob@example.org", "", "x")));
    while (big.n < 700 * 1024) assert_ok(buf_add_str(&big, "All work and no play.\r\n"));
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=all-or-plain sign=yes");
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org carol@example.org",
              buf_bytes(&big), &run);
    assert_int_equal(run.result.mails_n, 2);
    assert_int_equal(w->room, run.result.mails[0].size); /* one at a time */
    gate_mail_drop(&run.result, 0);
    assert_int_equal(w->room, 0);
    gate_mail_make(&run.result, 1, &made);
    assert_int_equal(made.smtp, 250);
    assert_int_equal(w->room, run.result.mails[1].size);
    gate_mail_drop(&run.result, 1);
    assert_int_equal(w->room, 0);
    w->room_max = 100 * 1024;
    gate_mail_make(&run.result, 1, &made); /* that failed: no other is harmed */
    assert_int_equal(made.smtp, 452);
    assert_int_equal(run.result.reply.smtp, 250);
    assert_int_equal(run.result.mails_n, 2);
    for (w->room_max = 100 * 1024; w->room_max < 800 * 1024; w->room_max += 200 * 1024) {
        run_done(&run);
        world_run(w, GATE_OUT, "alice@example.org", "bob@example.org carol@example.org",
                  buf_bytes(&big), &run);
        assert_int_equal(run.result.reply.smtp, 452);
        assert_int_equal(run.result.mails_n, 0);
        assert_int_equal(w->room, 0);
    }
}

static void test_gate_out__refuses_for_good_what_never_has_room(void **state) {
    WORLD();
    CLEANUP(buf_done) buf_t big;
    buf_init(&big, BIG);
    assert_ok(buf_add_str(&big, MESSAGE("bob@example.org", "", "x")));
    while (big.n < 700 * 1024) assert_ok(buf_add_str(&big, "All work and no play.\r\n"));
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=all-or-plain");
    w->options.room = 1400 * 1024; /* the message, but not with what it becomes */
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org", buf_bytes(&big), &run);
    assert_int_equal(run.result.reply.smtp, 552);
    assert_string_equal(run.result.reply.enhanced, "5.3.4");
    run_done(&run);
    w->options.room = 2000 * 1024;
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org", buf_bytes(&big), &run);
    assert_int_equal(run.result.reply.smtp, 250);
    run_done(&run);
    assert_int_equal(w->room, 0);
}

static void test_gate_out__splits_only_by_choice(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=split");
    const char *message = MESSAGE("bob@example.org, oscar@outside.example", "", "x");
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org oscar@outside.example",
              lit(message), &run);
    assert_int_equal(run.result.mails_n, 2);
    assert_string_equal(run_text(&run, "oscar@outside.example", &text), message);
    (void)run_text(&run, "bob@example.org", &text);
    assert_ok(world_read(w, "bob@example.org", buf_bytes(&text), &seen, NULL));
    assert_true(seen.opened);
}

static void test_gate_out__a_recipients_rule_asks_for_more(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_TO, "oscar@outside.example", "encrypt=require");
    world_run(w, GATE_OUT, "alice@example.org", "oscar@outside.example",
              lit(MESSAGE("oscar@outside.example", "", "x")), &run);
    assert_int_equal(run.result.reply.smtp, 550);
    run_done(&run);
    run = (run_t){.fd = -1};
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=split");
    world_run(w, GATE_OUT, "alice@example.org", "oscar@outside.example bob@example.org",
              lit(MESSAGE("oscar@outside.example, bob@example.org", "", "x")), &run);
    assert_int_equal(run.result.reply.smtp, 550);
}

static void test_gate_out__tags_count_and_are_taken_out(void **state) {
    WORLD();
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org",
              lit(MESSAGE("bob@example.org", "", "[Encrypt] Results")), &run);
    assert_int_equal(run.result.mails_n, 1);
    (void)run_text(&run, "bob@example.org", &text);
    assert_ok(world_read(w, "bob@example.org", buf_bytes(&text), &seen, NULL));
    assert_true(seen.opened);
    assert_string_equal(seen.subject, "Results");
    run_done(&run);
    run = (run_t){.fd = -1};
    /* In an encoded word too. */
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org",
              lit(MESSAGE("bob@example.org", "X-Coffer-Sign: yes\r\n",
                          "=?utf-8?Q?[encrypt]_Gr=C3=BC=C3=9Fe?=")),
              &run);
    (void)run_text(&run, "bob@example.org", &text);
    assert_ok(world_read(w, "bob@example.org", buf_bytes(&text), &seen, &plain));
    assert_string_equal(seen.subject, "Gr\xc3\xbc\xc3\x9f"
                                      "e");
    assert_true(seen.is_signed);
    assert_null(strstr((const char *)text.p, "X-Coffer-Sign"));
}

static void test_gate_out__plain_is_not_the_senders_choice_where_required(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=require");
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org",
              lit(MESSAGE("bob@example.org", "X-Coffer-Encrypt: no\r\n", "[plain] x")), &run);
    (void)run_text(&run, "bob@example.org", &text);
    assert_ok(world_read(w, "bob@example.org", buf_bytes(&text), &seen, NULL));
    assert_true(seen.opened);
    w->policy[0].rule = "encrypt=all-or-plain";
    run_done(&run);
    run = (run_t){.fd = -1};
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org",
              lit(MESSAGE("bob@example.org", "", "[plain] x")), &run);
    assert_non_null(strstr(run_text(&run, "bob@example.org", &text), "Subject: x\r\n"));
    assert_non_null(strstr((const char *)text.p, "The secret."));
}

static void test_gate_out__signs_only_a_persons_own_word(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "sign=yes");
    static const char *const alone[] = {
        /* From isn't who sends */
        "From: bob@example.org\r\nTo: oscar@outside.example\r\n\r\nx\r\n",
        "From: alice@example.org\r\nFrom: bob@example.org\r\nTo: "
        "oscar@outside.example\r\n\r\nx\r\n",
        "From: alice@example.org, bob@example.org\r\nTo: oscar@outside.example\r\n\r\nx\r\n",
        "From: alice@example.org\r\nAuto-Submitted: auto-replied\r\n\r\nAway.\r\n",
        "From: alice@example.org\r\nList-Id: <l.example.org>\r\n\r\nx\r\n",
        "From: alice@example.org\r\nContent-Type: multipart/signed; boundary=x;"
        " protocol=\"application/pgp-signature\"\r\n\r\n--x\r\n\r\nx\r\n--x--\r\n",
        "From: alice@example.org\r\nContent-Type: application/pkcs7-mime;"
        " smime-type=enveloped-data\r\n\r\nMIAG\r\n",
        "From: alice@example.org\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n",
        "From: alice@example.org\r\nContent-Type: text/calendar; method=REPLY\r\n\r\nBEGIN\r\n",
        "From: alice@example.org\r\nContent-Type: multipart/report; boundary=x\r\n\r\n--x--\r\n",
    };
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        world_run(w, GATE_OUT, "alice@example.org", "oscar@outside.example", lit(alone[i]), &run);
        assert_int_equal(run.result.mails_n, 1);
        assert_true(run.result.mails[0].same);
        run_done(&run);
        run = (run_t){.fd = -1};
    }
    assert_int_equal(w->signed_n, 0);
    world_run(w, GATE_OUT, "alice@example.org", "oscar@outside.example",
              lit(MESSAGE("oscar@outside.example", "", "x")), &run);
    (void)run_text(&run, "oscar@outside.example", &text);
    assert_ok(world_read(w, "bob@example.org", buf_bytes(&text), &seen, NULL));
    assert_int_equal(seen.status, MAIL_GOOD);
    assert_int_equal(w->signed_n, 1);
}

#define PGP(first)                                                                                 \
    "-----BEGIN PGP MESSAGE-----\r\nComment: x\r\n\r\n" first "QMAwAAAAAAAAAB\r\n=abcd\r\n"        \
    "-----END PGP MESSAGE-----\r\n"
#define PGP_MIME(before, inside, behind)                                                           \
    "From: alice@example.org\r\nContent-Type: multipart/encrypted; boundary=x;"                    \
    " protocol=\"application/pgp-encrypted\"\r\n\r\n" before                                       \
    "--x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--x\r\n"              \
    "Content-Type: application/octet-stream; name=a.asc\r\n\r\n" inside "\r\n--x--\r\n" behind

/* How a message of alice's to somebody without a certificate ends where all must be closed. */
static unsigned required(world_t *w, const char *from, const char *message) {
    run_t run CLEANUP(run_done) = {.fd = -1};
    world_run(w, GATE_OUT, from, "oscar@outside.example", lit(message), &run);
    if (run.result.reply.smtp == 250) assert_true(run.result.mails[0].same);
    return run.result.reply.smtp;
}

static void test_gate_out__bounces_and_what_is_encrypted_pass(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=require sign=yes");
    static const char *const pass[] = {
        PGP_MIME("", PGP("hQ"), ""),
        PGP_MIME("This is an OpenPGP/MIME encrypted message (RFC 4880 and 3156)\r\n", PGP("wc"),
                 "\r\n"),
        "From: alice@example.org\r\n\r\n" PGP("hQ"),
    };
    assert_int_equal(required(w, "",
                              "From: mailer-daemon@example.org\r\nContent-Type: multipart/report;"
                              " boundary=x\r\n\r\n--x--\r\n"),
                     250);
    for (size_t i = 0; i < sizeof pass / sizeof *pass; i++)
        assert_int_equal(required(w, "alice@example.org", pass[i]), 250);
    /* S/MIME that another program closed, GCM and CBC. */
    static const cms_cipher_t ciphers[] = {CMS_AES256_CBC, CMS_AES256_GCM};
    for (size_t i = 0; i < 2; i++) {
        cert_list_t list CLEANUP(cert_list_done) = {0};
        mail_writer_t *writer CLEANUP(mail_writer_free) = NULL;
        const char *message;
        assert_ok(cert_list_add(&list, w->people[1].cert));
        const mail_write_options_t options = {.rnd = rnd_real(),
                                              .now = NOW,
                                              .max = BIG,
                                              .recipients = &list,
                                              .encryption = {.cipher = ciphers[i]}};
        buf_clear(&text);
        assert_ok(mail_writer_new(&options, &writer));
        assert_ok(mail_writer_feed(writer, lit(MESSAGE("oscar@outside.example", "", "x"))));
        assert_ok(mail_writer_finish(writer, append, &text));
        assert_ok(buf_cstr(&text, &message));
        assert_int_equal(required(w, "alice@example.org", message), 250);
    }
}

static void test_gate_out__the_look_of_encryption_is_none(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "encrypt=require");
#define FROM "From: alice@example.org\r\n"
    static const char *const looks[] = {
        FROM "Content-Type: application/pkcs7-mime\r\n\r\nThe secret.\r\n",
        FROM "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
             "Content-Transfer-Encoding: base64\r\n\r\nVGhlIHNlY3JldC4=\r\n",
        FROM "Content-Type: application/octet-stream; name=a.p7m\r\n\r\nThe secret.\r\n",
        FROM "Content-Type: multipart/encrypted; boundary=x\r\n\r\n--x\r\n\r\nsecret\r\n--x--\r\n",
        PGP_MIME("The secret.\r\n", PGP("hQ"), ""),
        PGP_MIME("", PGP("hQ"), "The secret.\r\n"),
        PGP_MIME("", "The secret.\r\n", ""),
        PGP_MIME("", PGP("hQ") "The secret.\r\n", ""),
        PGP_MIME("", PGP("ow"), ""), /* packed, not encrypted */
        FROM "\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nThe secret.\r\n",
        FROM "\r\n" PGP("hQ") "The secret.\r\n",
        FROM "\r\n" PGP("kA"), /* signed only */
        FROM "List-Id: <l.example.org>\r\n\r\nThe secret.\r\n",
    };
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
        assert_int_equal(required(w, "alice@example.org", looks[i]), 550);
}

static void test_gate_out__require_holds_however_the_sender_is_written(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "alice@example.org", "encrypt=require");
    static const char *const paths[] = {
        "",
        "alice+x@example.org",
        "\"alice\"@example.org",
        "\"al\\ice+x\"@example.org",
        "ALICE@example.org",
        "list-bounces@example.org",
        "bob@example.org",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_int_equal(required(w, paths[i], FROM "\r\nThe secret.\r\n"), 550);
        assert_int_equal(required(w, paths[i], FROM "List-Id: <l.example.org>\r\n\r\nx\r\n"), 550);
    }
    /* From written otherwise, or another's. */
    assert_int_equal(required(w, "alice+x@example.org", "From: bob@example.org\r\n\r\nx\r\n"), 550);
    assert_int_equal(required(w, "", "From: alice+x@example.org\r\n\r\nx\r\n"), 550);
    assert_int_equal(required(w, "", "From: bob@example.org, alice@example.org\r\n\r\nx\r\n"), 550);
    /* Others aren't touched by it. */
    assert_int_equal(required(w, "bob@example.org", "From: bob@example.org\r\n\r\nx\r\n"), 250);
    assert_int_equal(required(w, "", "From: x@outside.example\r\n\r\nx\r\n"), 250);
}

static void test_gate_out__says_4xx_while_the_keeper_or_a_source_is_away(void **state) {
    WORLD();
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=all-or-plain sign=yes");
    w->keeper = ERR_UNAVAILABLE;
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org",
              lit(MESSAGE("bob@example.org", "", "x")), &run);
    assert_int_equal(run.result.reply.smtp, 451);
    assert_int_equal(run.result.mails_n, 0);
    run_done(&run);
    run = (run_t){.fd = -1};
    w->keeper = ERR_INTERNAL;
    w->source_away = true; /* nobody knows whether oscar could read it: plain would be a guess */
    world_run(w, GATE_OUT, "alice@example.org", "oscar@outside.example",
              lit(MESSAGE("oscar@outside.example", "", "x")), &run);
    assert_int_equal(run.result.reply.smtp, 451);
}

static void test_gate_out__encrypts_to_the_organisation_too(void **state) {
    WORLD();
    assert_ok(pkey_generate(PKEY_P256, 0, &w->organisation_key));
    w->organisation = world_issue(w, "escrow@example.org", w->organisation_key, false);
    w->services.organisation = w->organisation;
    world_rule(w, GATE_SCOPE_FROM, "*", "encrypt=require");
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org",
              lit(MESSAGE("bob@example.org", "", "x")), &run);
    (void)run_text(&run, "bob@example.org", &text);
    w->people[4] = (person_t){.address = "escrow@example.org",
                              .cert = cert_share(w->organisation),
                              .key = pkey_share(w->organisation_key)};
    assert_ok(world_read(w, "escrow@example.org", buf_bytes(&text), &seen, NULL));
}

static void test_gate_out__ends_a_loop(void **state) {
    WORLD();
    CLEANUP(buf_done) buf_t message;
    buf_init(&message, BIG);
    for (int i = 0; i < 5; i++)
        assert_ok(buf_add_str(&message, "X-Coffer-Mailgate: gate.example.org out signed\r\n"));
    assert_ok(buf_add_str(&message, "From: alice@example.org\r\n\r\nx\r\n"));
    world_run(w, GATE_OUT, "alice@example.org", "bob@example.org", buf_bytes(&message), &run);
    assert_int_equal(run.result.reply.smtp, 554);
    assert_string_equal(run.result.reply.enhanced, "5.4.6");
    for (int hops = 100; hops <= 101; hops++) { /* mail that nothing of ours is written on */
        run_done(&run);
        buf_clear(&message);
        for (int i = 0; i < hops; i++)
            assert_ok(buf_add_str(&message, "Received: from a by b; today\r\n"));
        assert_ok(buf_add_str(&message, "From: alice@example.org\r\n\r\nx\r\n"));
        world_run(w, GATE_OUT, "alice@example.org", "bob@example.org", buf_bytes(&message), &run);
        assert_int_equal(run.result.reply.smtp, hops > 100 ? 554 : 250);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_out__encrypts_when_all_can_read),
        cmocka_unit_test(test_gate_out__takes_the_strongest_that_all_read),
        cmocka_unit_test(test_gate_out__reply_all_with_an_outsider_is_plain_to_all),
        cmocka_unit_test(test_gate_out__counts_who_is_only_in_the_header),
        cmocka_unit_test(test_gate_out__a_list_that_was_taken_apart_is_its_members),
        cmocka_unit_test(test_gate_out__require_names_who_lacks_what),
        cmocka_unit_test(test_gate_out__bcc_is_invisible),
        cmocka_unit_test(test_gate_out__counts_what_it_makes),
        cmocka_unit_test(test_gate_out__refuses_for_good_what_never_has_room),
        cmocka_unit_test(test_gate_out__splits_only_by_choice),
        cmocka_unit_test(test_gate_out__a_recipients_rule_asks_for_more),
        cmocka_unit_test(test_gate_out__tags_count_and_are_taken_out),
        cmocka_unit_test(test_gate_out__plain_is_not_the_senders_choice_where_required),
        cmocka_unit_test(test_gate_out__signs_only_a_persons_own_word),
        cmocka_unit_test(test_gate_out__bounces_and_what_is_encrypted_pass),
        cmocka_unit_test(test_gate_out__the_look_of_encryption_is_none),
        cmocka_unit_test(test_gate_out__require_holds_however_the_sender_is_written),
        cmocka_unit_test(test_gate_out__says_4xx_while_the_keeper_or_a_source_is_away),
        cmocka_unit_test(test_gate_out__encrypts_to_the_organisation_too),
        cmocka_unit_test(test_gate_out__ends_a_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
