/* The mailbox's database: closed without its key, idempotent, searched by words. */
#include "box_fixture.h"

#include "box/db.h"
#include "box/row.h"

typedef struct {
    size_t n;
    int64_t ids[64];
    char subject[64];
} seen_t;

static err_t *see(void *arg, const box_row_t *row) {
    seen_t *s = arg;
    if (s->n < 64) s->ids[s->n] = row->id;
    s->n++;
    (void)snprintf(s->subject, sizeof s->subject, "%.*s", (int)row->subject.n,
                   (const char *)row->subject.p);
    return NULL;
}

static secret_t *key_of(uint8_t seed) {
    uint8_t raw[32];
    secret_t *key = NULL;
    memset(raw, seed, sizeof raw);
    assert_ok(crypto_init());
    assert_ok(secret_copy(BYTES_ARRAY(raw), &key));
    return key;
}

static void add(box_db_t *db, int64_t folder, uint32_t uid, const char *subject, const char *text,
                bool fresh) {
    bool is_new = !fresh;
    const box_row_t row = {.uid = uid,
                           .subject = bytes_str(subject),
                           .sender = BYTES_LIT("Zoë <zoe@example.org>"),
                           .size = 3};
    assert_ok(box_db_add(db, folder, &row, bytes_str(text), BYTES_LIT("raw"), &is_new));
    assert_int_equal(is_new, fresh);
}

static size_t found(box_db_t *db, const char *words) {
    seen_t s = {0};
    assert_ok(box_db_search(db, bytes_str(words), 100, see, &s));
    return s.n;
}

static size_t listed(box_db_t *db, const char *folder) {
    seen_t s = {0};
    assert_ok(box_db_list(db, folder, 0, 100, see, &s));
    return s.n;
}

static void test_db__does_not_open_with_another_key(void **state) {
    (void)state;
    world_t w;
    char path[128];
    box_folder_t folder;
    box_db_t *db = NULL;
    CLEANUP(buf_done) buf_t disk;
    CLEANUP(secret_free) secret_t *key = key_of(1), *other = key_of(2);
    world_init(&w);
    buf_init(&disk, 1024 * 1024);
    assert_ok(box_db_open(in_dir(&w, "mail.db", path), key, &db));
    assert_ok(box_db_folder(db, "INBOX", 1, &folder));
    add(db, folder.id, 1, "canary", "canary", true);
    box_db_close(db);
    assert_err(ERR_VERIFY, box_db_open(path, other, &db));
    assert_ok(file_read(path, &disk));
    for (size_t i = 0; i + 6 < disk.n; i++) assert_memory_not_equal(disk.p + i, "canary", 6);
    assert_memory_not_equal(disk.p, "SQLite", 6);
    assert_ok(box_db_open(path, key, &db));
    assert_int_equal(listed(db, "INBOX"), 1);
    box_db_close(db);
    world_done(&w);
}

static void test_db__keeps_a_message_once_and_a_new_uidvalidity_empties(void **state) {
    (void)state;
    world_t w;
    char path[128];
    box_folder_t folder;
    box_db_t *db = NULL;
    CLEANUP(secret_free) secret_t *key = key_of(1);
    world_init(&w);
    assert_ok(box_db_open(in_dir(&w, "mail.db", path), key, &db));
    assert_ok(box_db_folder(db, "INBOX", 5, &folder));
    add(db, folder.id, 3, "three", "", true);
    add(db, folder.id, 3, "three", "", false);
    add(db, folder.id, 9, "nine", "", true);
    assert_ok(box_db_set_modseq(db, folder.id, 77));
    assert_ok(box_db_folder(db, "INBOX", 5, &folder));
    assert_int_equal(folder.last_uid, 9);
    assert_int_equal(folder.modseq, 77);
    assert_ok(box_db_folder(db, "INBOX", 0, &folder)); /* whichever it has */
    assert_int_equal(folder.last_uid, 9);
    assert_ok(box_db_folder(db, "INBOX", 6, &folder));
    assert_int_equal(folder.last_uid, 0);
    assert_int_equal(folder.modseq, 0);
    assert_int_equal(listed(db, "INBOX"), 0);
    assert_int_equal(found(db, "three"), 0);
    box_db_close(db);
    world_done(&w);
}

static void test_db__finds_words_whatever_is_typed(void **state) {
    (void)state;
    world_t w;
    char path[128];
    box_folder_t folder;
    box_db_t *db = NULL;
    CLEANUP(secret_free) secret_t *key = key_of(1);
    world_init(&w);
    assert_ok(box_db_open(in_dir(&w, "mail.db", path), key, &db));
    assert_ok(box_db_folder(db, "INBOX", 1, &folder));
    add(db, folder.id, 1, "Invoice of November", "please pay", true);
    add(db, folder.id, 2, "Invoice of March", "paid already", true);
    assert_int_equal(found(db, "invoice"), 2);
    assert_int_equal(found(db, "INV nov"), 1);
    assert_int_equal(found(db, "zoe"), 2); /* without the dots */
    assert_int_equal(found(db, "nov march"), 0);
    static const char *const odd[] = {"\"",         "*",        "a OR b",
                                      "NEAR(a b)",  "-invoice", "subject:x",
                                      "'; DROP --", "(invoice", "\"invoice"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        seen_t s = {0};
        assert_ok(box_db_search(db, bytes_str(odd[i]), 10, see, &s));
    }
    seen_t s = {0};
    assert_err(ERR_USAGE, box_db_search(db, bytes_str("  "), 10, see, &s));
    assert_err(ERR_USAGE, box_db_search(db, bytes_str("\xff"), 10, see, &s));
    box_db_close(db);
    world_done(&w);
}

static void test_db__removes_what_the_server_has_no_more(void **state) {
    (void)state;
    world_t w;
    char path[128];
    box_folder_t folder;
    box_db_t *db = NULL;
    static const uint32_t left[] = {2, 4, 100};
    CLEANUP(secret_free) secret_t *key = key_of(1);
    world_init(&w);
    assert_ok(box_db_open(in_dir(&w, "mail.db", path), key, &db));
    assert_ok(box_db_folder(db, "INBOX", 1, &folder));
    for (uint32_t uid = 1; uid <= 5; uid++) add(db, folder.id, uid, "word", "", true);
    assert_ok(box_db_keep_only(db, folder.id, left, 3));
    assert_int_equal(listed(db, "INBOX"), 2);
    assert_int_equal(found(db, "word"), 2);
    assert_ok(box_db_remove(db, folder.id, 2));
    assert_ok(box_db_remove(db, folder.id, 2));
    assert_int_equal(listed(db, NULL), 1);
    assert_ok(box_db_keep_only(db, folder.id, NULL, 0));
    assert_int_equal(listed(db, NULL), 0);
    box_db_close(db);
    world_done(&w);
}

static void test_db__row_of_any_message(void **state) {
    (void)state;
    static const struct {
        const char *message, *subject;
        bool closed;
    } cases[] = {
        {"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nx", "Grüße", false},
        {"Subject: two\n lines\n\nx", "two lines", false},
        {"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nSubject: "
         "...\r\n\r\nMII",
         "...", true},
        {"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\nMII", "", false},
        {"", "", false},
        {"no header at all", "", false},
        {"Subject: a\x01\x02 b\r\n", "a   b", false},
    };
    assert_ok(crypto_init());
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP(arena_free) arena_t *arena = NULL;
        CLEANUP(buf_done) buf_t text;
        box_row_t row = {0};
        buf_init(&text, 4096);
        assert_ok(arena_new(1024 * 1024, &arena));
        assert_ok(box_row_read(arena, rnd_real(), bytes_str(cases[i].message), &row, &text));
        assert_true(bytes_eq_str(row.subject, cases[i].subject));
        assert_int_equal(row.closed, cases[i].closed);
    }
}

typedef struct {
    size_t n;
    char first;
} peers_t;

static err_t *count_peer(void *arg, bytes_t certificate) {
    peers_t *p = arg;
    if (!p->n++) p->first = (char)certificate.p[0];
    return NULL;
}

static void test_db__keeps_the_latest_certificates_of_an_address(void **state) {
    (void)state;
    world_t w;
    char path[128];
    box_db_t *db = NULL;
    CLEANUP(secret_free) secret_t *key = key_of(1);
    peers_t seen = {0}, none = {0};
    world_init(&w);
    assert_ok(box_db_open(in_dir(&w, "mail.db", path), key, &db));
    for (int i = 0; i < BOX_PEERS + 3; i++) {
        char c = (char)('a' + i);
        assert_ok(box_db_add_peer(db, BYTES_LIT("Ben@Example.org"), bytes_make(&c, 1), c));
    }
    assert_ok(box_db_add_peer(db, BYTES_LIT("ben@example.org"), BYTES_LIT("k"), 'k'));
    assert_ok(box_db_peers(db, BYTES_LIT("BEN@example.org"), count_peer, &seen));
    assert_int_equal(seen.n, BOX_PEERS);
    assert_int_equal(seen.first, 'a' + BOX_PEERS + 2);
    assert_ok(box_db_peers(db, BYTES_LIT("anna@example.org"), count_peer, &none));
    assert_int_equal(none.n, 0);
    box_db_close(db);
    world_done(&w);
}

static int64_t only_id(box_db_t *db) {
    seen_t s = {0};
    assert_ok(box_db_list(db, NULL, 0, 10, see, &s));
    assert_int_equal(s.n, 1);
    return s.ids[0];
}

static void assert_draft(box_db_t *db, int64_t id, const char *wanted) {
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, 64);
    assert_ok(box_db_draft(db, id, &text));
    assert_true(bytes_eq_str(buf_bytes(&text), wanted));
}

static void test_db__keeps_a_draft_with_its_message(void **state) {
    (void)state;
    world_t w;
    char path[128];
    box_folder_t folder;
    box_db_t *db = NULL;
    CLEANUP(secret_free) secret_t *key = key_of(1);
    world_init(&w);
    assert_ok(box_db_open(in_dir(&w, "mail.db", path), key, &db));
    assert_ok(box_db_folder(db, "INBOX", 1, &folder));
    add(db, folder.id, 1, "one", "", true);
    int64_t id = only_id(db);
    assert_draft(db, id, "");
    assert_ok(box_db_set_draft(db, id, BYTES_LIT("Dear")));
    assert_ok(box_db_set_draft(db, id, BYTES_LIT("Dear Ben")));
    assert_draft(db, id, "Dear Ben");
    assert_ok(box_db_set_draft(db, id + 1, BYTES_LIT("to nobody")));
    assert_draft(db, id + 1, "");
    assert_ok(box_db_set_draft(db, id, BYTES_NONE));
    assert_draft(db, id, "");
    assert_ok(box_db_set_draft(db, id, BYTES_LIT("Dear Ben")));
    assert_ok(box_db_remove(db, folder.id, 1));
    assert_draft(db, id, ""); /* or another message gets it */
    add(db, folder.id, 2, "two", "", true);
    id = only_id(db);
    assert_ok(box_db_set_draft(db, id, BYTES_LIT("Dear Ben")));
    assert_ok(box_db_folder(db, "INBOX", 2, &folder));
    assert_draft(db, id, "");
    box_db_close(db);
    world_done(&w);
}

/* One that is written and read in parts. */
static void test_db__gives_a_large_message_back_as_it_came(void **state) {
    (void)state;
    world_t w;
    char path[128];
    box_folder_t folder;
    box_db_t *db = NULL;
    seen_t s = {0};
    const box_row_t row = {.uid = 1, .size = 3};
    CLEANUP(buf_done) buf_t message, back;
    CLEANUP(secret_free) secret_t *key = key_of(1);
    world_init(&w);
    buf_init(&message, 8 * 1024 * 1024);
    buf_init(&back, 8 * 1024 * 1024);
    for (unsigned i = 0; message.n < 5 * 1000 * 1000; i++)
        assert_ok(buf_printf(&message, "line %u\r\n", i));
    assert_ok(box_db_open(in_dir(&w, "mail.db", path), key, &db));
    assert_ok(box_db_folder(db, "INBOX", 1, &folder));
    assert_ok(box_db_begin(db));
    assert_ok(box_db_add(db, folder.id, &row, BYTES_NONE, buf_bytes(&message), NULL));
    assert_ok(box_db_commit(db));
    box_db_close(db);
    assert_ok(box_db_open(path, key, &db));
    assert_ok(box_db_message(db, only_id(db), see, &s, &back));
    assert_true(bytes_eq(buf_bytes(&message), buf_bytes(&back)));
    box_db_close(db);
    world_done(&w);
}

static void test_db__that_is_shut_is_used_by_nobody(void **state) {
    (void)state;
    world_t w;
    char path[128];
    box_folder_t folder;
    box_db_t *db = NULL;
    seen_t s = {0};
    CLEANUP(secret_free) secret_t *key = key_of(1);
    world_init(&w);
    assert_ok(box_db_open(in_dir(&w, "mail.db", path), key, &db));
    assert_ok(box_db_folder(db, "INBOX", 1, &folder));
    add(db, folder.id, 1, "kept", "", true);
    assert_ok(box_db_begin(db));
    add(db, folder.id, 2, "lost", "", true);
    box_db_shut(db); /* in the middle of a transaction, as a lock may come */
    box_db_shut(db);
    assert_err(ERR_BUSY, box_db_list(db, NULL, 0, 10, see, &s));
    assert_err(ERR_BUSY, box_db_commit(db));
    box_db_rollback(db);
    box_db_close(db);
    assert_ok(box_db_open(path, key, &db));
    (void)only_id(db);
    box_db_close(db);
    world_done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_db__does_not_open_with_another_key),
        cmocka_unit_test(test_db__keeps_a_message_once_and_a_new_uidvalidity_empties),
        cmocka_unit_test(test_db__finds_words_whatever_is_typed),
        cmocka_unit_test(test_db__removes_what_the_server_has_no_more),
        cmocka_unit_test(test_db__row_of_any_message),
        cmocka_unit_test(test_db__keeps_the_latest_certificates_of_an_address),
        cmocka_unit_test(test_db__keeps_a_draft_with_its_message),
        cmocka_unit_test(test_db__gives_a_large_message_back_as_it_came),
        cmocka_unit_test(test_db__that_is_shut_is_used_by_nobody),
    };
    return cmocka_run_group_tests_name("box db", tests, NULL, NULL);
}
