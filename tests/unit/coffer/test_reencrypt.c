/*
 * program/coffer/reencrypt, mail/reseal: each system call fails once, each allocation fails once,
 * and still every message opens to the same content; names, flags and times stay.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "mail/writer.h"
#include "program/coffer/reencrypt.h"

enum { NOW = 1800000000, FILE_MAX = 1 << 20, FILES = 5 };

typedef struct {
    cert_t *cert;
    pkey_t *key;
} person_t;

static person_t old_key, new_key, stranger;
static char dir[] = "/tmp/coffer-reencrypt-XXXXXX";
static buf_t originals[FILES];
/* As a mail server names them; one can't be opened, one isn't encrypted. */
static const char *const names[FILES] = {"cur/1.host:2,S", "cur/2.host:2,RS", "new/3.host",
                                         "new/4.host", "box"};
static const char plain[] =
    "From: a@example.org\r\nTo: b@example.org\r\nReceived: from x\r\n\tby y\r\n"
    "Subject: s\r\nContent-Type: text/plain\r\n\r\nhello\r\n";

static void make_person(person_t *p, uint8_t serial) {
    const name_entry_t subject[] = {{"CN", "a"}};
    const san_entry_t sans[] = {{SAN_EMAIL, "a@example.org"}};
    const cert_spec_t spec = {.subject = subject,
                              .subject_n = 1,
                              .sans = sans,
                              .sans_n = 1,
                              .serial = bytes_make(&serial, 1),
                              .not_before = NOW - 9,
                              .not_after = NOW + 9,
                              .key_usage = KEY_USAGE_KEY_AGREEMENT};
    assert_ok(pkey_generate(PKEY_P256, 0, &p->key));
    assert_ok(cert_issue(&spec, NULL, p->key, &p->cert));
}

static err_t *collect(void *arg, bytes_t data) { return buf_add(arg, data); }

static void encrypt(const person_t *to, cms_cipher_t cipher, buf_t *out) {
    const cert_list_t recipients = {.certs = (cert_t **)(uintptr_t)&to->cert, .n = 1};
    const mail_write_options_t options = {.rnd = rnd_real(),
                                          .now = NOW,
                                          .max = 1 << 20,
                                          .recipients = &recipients,
                                          .encryption = {.cipher = cipher}};
    mail_writer_t *writer CLEANUP(mail_writer_free) = NULL;
    assert_ok(mail_writer_new(&options, &writer));
    assert_ok(mail_writer_feed(writer, bytes_str(plain)));
    assert_ok(mail_writer_finish(writer, collect, out));
}

static void add_to_box(buf_t *box, bytes_t message) {
    assert_ok(buf_add_str(box, "From x Thu Jan  1 00:00:00 1970\n"));
    for (size_t i = 0; i < message.n; i++)
        if (message.p[i] != '\r') assert_ok(buf_add_byte(box, message.p[i]));
    assert_ok(buf_add_byte(box, '\n'));
}

static int setup(void **state) {
    (void)state;
    assert_ok(crypto_init());
    make_person(&old_key, 1);
    make_person(&new_key, 2);
    make_person(&stranger, 3);
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < FILES; i++) buf_init(&originals[i], FILE_MAX);
    encrypt(&old_key, CMS_AES256_CBC, &originals[0]);
    encrypt(&old_key, CMS_AES256_GCM, &originals[1]);
    encrypt(&stranger, CMS_AES256_CBC, &originals[2]);
    assert_ok(buf_add_str(&originals[3], plain));
    for (size_t i = 0; i < 4; i++) add_to_box(&originals[4], buf_bytes(&originals[i]));
    return 0;
}

static char *path_of(const char *name) {
    char *path = NULL;
    assert_ok(file_path(dir, name, &path));
    return path;
}

static void remove_all(void) {
    static const char *const folders[] = {"cur", "new", "tmp", ""};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path CLEANUP(mem_free) = path_of(folders[i]);
        DIR *d = opendir(path);
        for (const struct dirent *e; d && (e = readdir(d));) {
            char *below CLEANUP(mem_free) = mem_printf("%s/%s", path, e->d_name);
            (void)unlink(below);
        }
        if (d) (void)closedir(d);
        (void)rmdir(path);
    }
}

static int teardown(void **state) {
    person_t *all[] = {&old_key, &new_key, &stranger};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        cert_free(all[i]->cert);
        pkey_free(all[i]->key);
    }
    for (size_t i = 0; i < FILES; i++) buf_done(&originals[i]);
    remove_all();
    return 0;
}

static void restore(void) {
    static const struct timespec times[] = {{1000000000, 5}, {1000000000, 5}};
    remove_all();
    (void)mkdir(dir, 0700);
    for (size_t i = 0; i < 3; i++) {
        char *path CLEANUP(mem_free) = path_of(i == 0 ? "cur" : i == 1 ? "new" : "tmp");
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (size_t i = 0; i < FILES; i++) {
        char *path CLEANUP(mem_free) = path_of(names[i]);
        assert_ok(file_write(path, buf_bytes(&originals[i]), 0640));
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    }
}

/* ---- running ---- */

typedef struct {
    const person_t *keys[2];
} ring_t;

static err_t *find_key(void *arg, const cms_recipient_t *recipient, const cert_t **ret_cert,
                       const pkey_t **ret_key, bool *ret_found) {
    const ring_t *ring = arg;
    for (size_t i = 0; i < 2; i++) {
        if (!ring->keys[i] || !cms_recipient_is(recipient, ring->keys[i]->cert)) continue;
        *ret_cert = ring->keys[i]->cert;
        *ret_key = ring->keys[i]->key;
        *ret_found = true;
    }
    return NULL;
}

typedef struct {
    unsigned kinds[3], left;
} count_t;

static err_t *count(void *arg, const char *path, uint64_t offset, reseal_kind_t kind,
                    const err_t *why) {
    count_t *c = arg;
    (void)path;
    (void)offset;
    if (why) c->left++;
    else c->kinds[kind]++;
    return NULL;
}

static err_t *run(count_t *counted, bool dry) {
    static ring_t both = {{&old_key, &new_key}}, newest = {{&new_key, NULL}};
    static const cert_list_t nobody = {0};
    cert_list_t to = {.certs = &new_key.cert, .n = 1};
    reencrypt_t job = {.reseal = {.find_key = find_key,
                                  .arg = &both,
                                  .recipients = &to,
                                  .rnd = rnd_real(),
                                  .max = 1 << 20},
                       .dry_run = dry,
                       .each = count,
                       .arg = counted};
    *counted = (count_t){0};
    job.proof = job.reseal;
    job.proof.arg = &newest;
    job.proof.recipients = &nobody;
    return reencrypt_tree(&job, dir);
}

/* ---- looking ---- */

static void read_file(size_t i, buf_t *out) {
    char *path CLEANUP(mem_free) = path_of(names[i]);
    assert_ok(file_read(path, out));
}

/* The content of a message, opened by any of the keys; false: can't be. */
static bool opens(bytes_t message, const ring_t *ring) {
    static const cert_list_t nobody = {0};
    const reseal_options_t options = {.find_key = find_key,
                                      .arg = (void *)(uintptr_t)ring,
                                      .recipients = &nobody,
                                      .rnd = rnd_real(),
                                      .max = 1 << 20};
    uint8_t digest[RESEAL_DIGEST];
    static uint8_t expected[RESEAL_DIGEST];
    static bool known;
    reseal_t *r CLEANUP(reseal_free) = NULL;
    reseal_kind_t kind = RESEAL_PLAIN;
    assert_ok(reseal_new(&options, &r));
    err_t *e = reseal_feed(r, message);
    if (!e) e = reseal_finish(r, &kind);
    bool good = !e && kind == RESEAL_OPENED;
    err_free(e);
    if (!good) return false;
    reseal_digest(r, digest);
    if (!known) memcpy(expected, digest, sizeof digest); /* all hold the same content */
    known = true;
    assert_memory_equal(digest, expected, sizeof digest);
    return true;
}

/* The n-th message of the mailbox file. */
static bytes_t in_box(bytes_t box, size_t n) {
    size_t at = 0;
    for (size_t seen = 0; at < box.n; at++) {
        if (!bytes_starts(bytes_from(box, at), BYTES_LIT("From x Thu"))) continue;
        if (seen++ == n) break;
    }
    bytes_t rest = bytes_from(box, at + bytes_find(bytes_from(box, at), '\n') + 1);
    size_t end = 0;
    while (end < rest.n && !bytes_starts(bytes_from(rest, end), BYTES_LIT("\n\nFrom x"))) end++;
    return bytes_slice(rest, 0, end);
}

/* Nothing is lost: those two open (to the same), the others are as they were, names stay. */
static void all_there(const ring_t *ring) {
    CLEANUP(buf_done) buf_t box;
    buf_init(&box, FILE_MAX);
    for (size_t i = 0; i < 4; i++) {
        CLEANUP(buf_done) buf_t now;
        buf_init(&now, FILE_MAX);
        read_file(i, &now);
        if (i < 2) assert_true(opens(buf_bytes(&now), ring));
        else assert_true(bytes_eq(buf_bytes(&now), buf_bytes(&originals[i])));
    }
    read_file(4, &box);
    for (size_t i = 0; i < 2; i++) assert_true(opens(in_box(buf_bytes(&box), i), ring));
    assert_non_null(memmem(box.p, box.n, "\n\nhello\n\n", 9));
}

static void test_reencrypt__changes_envelopes_alone(void **state) {
    static const ring_t newest = {{&new_key, NULL}}, oldest = {{&old_key, NULL}};
    count_t c;
    (void)state;
    restore();
    assert_ok(run(&c, true));
    assert_int_equal(c.kinds[RESEAL_OPENED], 4);
    all_there(&oldest); /* a dry run */
    assert_ok(run(&c, false));
    assert_int_equal(c.kinds[RESEAL_OPENED], 4);
    assert_int_equal(c.kinds[RESEAL_PLAIN], 2);
    assert_int_equal(c.left, 2);
    all_there(&newest);
    for (size_t i = 0; i < FILES; i++) {
        char *path CLEANUP(mem_free) = path_of(names[i]);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(st.st_mtim.tv_sec, 1000000000);
    }
    CLEANUP(buf_done) buf_t one;
    buf_init(&one, FILE_MAX);
    read_file(1, &one); /* the header is as it was, and GCM stays GCM */
    assert_true(
        bytes_starts(buf_bytes(&one), BYTES_LIT("From: a@example.org\r\nTo: b@example.org\r\n"
                                                "Received: from x\r\n\tby y\r\n")));
    assert_non_null(memmem(one.p, one.n, "authEnveloped-data", 18));
    assert_ok(run(&c, false)); /* again: nothing to do */
    assert_int_equal(c.kinds[RESEAL_CURRENT], 4);
    assert_int_equal(c.kinds[RESEAL_OPENED], 0);
}

static void test_reencrypt__loses_nothing_when_a_call_fails(void **state) {
    static const ring_t both = {{&old_key, &new_key}}, newest = {{&new_key, NULL}};
    count_t c;
    bool fired = true;
    unsigned failed = 0;
    (void)state;
    for (unsigned long i = 1; fired; i++) {
        restore();
        fault_arm_io(i);
        err_t *e = run(&c, false);
        fired = fault_io_fired();
        fault_arm_io(0);
        if (e) failed++;
        err_free(e);
        all_there(&both);
        assert_ok(run(&c, false)); /* goes on from there */
        all_there(&newest);
    }
    assert_true(failed > 10);
}

static void test_reencrypt__loses_nothing_without_memory(void **state) {
    static const ring_t both = {{&old_key, &new_key}};
    count_t c;
    bool fired = true;
    (void)state;
    for (unsigned long i = 1; fired; i += 37) {
        restore();
        fault_arm_memory(i);
        err_t *e = run(&c, false);
        fired = fault_memory_fired();
        fault_arm_memory(0);
        err_free(e);
        all_there(&both);
    }
}

static void test_reencrypt__clears_away_what_a_killed_run_left(void **state) {
    static const ring_t newest = {{&new_key, NULL}};
    count_t c;
    (void)state;
    restore();
    char *left CLEANUP(mem_free) = path_of("cur/.coffer-reencrypt.123");
    char *lock CLEANUP(mem_free) = path_of("box.lock");
    assert_ok(file_write(left, BYTES_LIT("half a mess"), 0600));
    assert_ok(file_write(lock, BYTES_LIT("coffer 999999999\n"), 0600)); /* of nobody alive */
    assert_ok(run(&c, false));
    assert_false(file_exists(left));
    all_there(&newest);
    restore();
    assert_ok(file_write(lock, BYTES_LIT("dovecot"), 0600)); /* somebody's: not touched */
    assert_ok(run(&c, false));
    assert_int_equal(c.left, 2);
    assert_true(file_exists(lock));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reencrypt__changes_envelopes_alone),
        cmocka_unit_test(test_reencrypt__loses_nothing_when_a_call_fails),
        cmocka_unit_test(test_reencrypt__loses_nothing_without_memory),
        cmocka_unit_test(test_reencrypt__clears_away_what_a_killed_run_left),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
