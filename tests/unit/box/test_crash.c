/* A power cut at every step of merging the class-B inbox into the database: kill -9 in a child,
 * then what the disk has. Nothing is lost and nothing doubled. */
#include "box_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "box/inbox.h"
#include "box/key.h"
#include "box/sync.h"

enum { MAILS = 3 };

typedef struct {
    const world_t *w;
    box_db_t *db;
    int left; /* steps until the power is cut; 0: never */
} merge_t;

static void step(merge_t *m) {
    if (m->left && --m->left == 0) (void)kill(getpid(), SIGKILL);
}

/* As the agent does it. */
static err_t *take(void *arg, const box_item_t *item) {
    merge_t *m = arg;
    box_folder_t folder;
    const imap_message_t message = {.uid = item->uid, .message = item->message};
    step(m);
    TRY(box_db_begin(m->db));
    step(m);
    TRY(box_db_folder(m->db, item->folder, item->uidvalidity, &folder));
    TRY(box_sync_keep(m->db, m->w->env.rnd, folder.id, &message, NULL));
    step(m);
    TRY(box_db_commit(m->db));
    step(m);
    return NULL;
}

static err_t *merge(merge_t *m, const secret_t *key) {
    char dir[128], path[128];
    size_t merged = 0, bad = 0;
    TRY(box_db_open(in_dir(m->w, "mail.db", path), key, &m->db));
    step(m);
    TRY(box_inbox_merge(m->w->bag, in_dir(m->w, "inbox", dir), take, m, &merged, &bad));
    step(m);
    return bad ? err_new(ERR_VERIFY, "an item does not open") : NULL;
}

static bool dies(const world_t *w, const secret_t *key, int n) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        merge_t m = {.w = w, .left = n};
        err_t *e = merge(&m, key);
        _exit(e ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static err_t *count_row(void *arg, const box_row_t *row) {
    unsigned *seen = arg;
    assert_true(row->uid >= 1 && row->uid <= MAILS);
    seen[row->uid - 1]++;
    return NULL;
}

static void fill(const world_t *w) {
    char dir[128];
    box_usage_t usage = {0};
    assert_ok(file_mkdir(in_dir(w, "inbox", dir), 0700));
    for (uint32_t uid = 1; uid <= MAILS; uid++) {
        const box_item_t item = {.folder = "INBOX",
                                 .uidvalidity = 7,
                                 .uid = uid,
                                 .message = BYTES_LIT("Subject: canary\r\n\r\ntext\r\n")};
        assert_ok(box_inbox_add(w->bag, w->env.rnd, dir, &item, &usage));
    }
}

static void test_crash__merge_killed_at_each_step_loses_and_doubles_nothing(void **state) {
    (void)state;
    int n = 1;
    for (bool more = true; more; n++) {
        world_t w;
        CLEANUP(secret_free) secret_t *key = NULL;
        unsigned seen[MAILS] = {0};
        box_usage_t usage;
        char dir[128];
        world_init(&w);
        assert_ok(secret_random(w.env.rnd, BOX_DB_KEY, &key));
        fill(&w);
        more = dies(&w, key, n);
        merge_t again = {.w = &w};
        assert_ok(merge(&again, key));
        assert_ok(box_db_list(again.db, "INBOX", 0, 100, count_row, seen));
        for (unsigned i = 0; i < MAILS; i++) assert_int_equal(seen[i], 1);
        assert_ok(box_inbox_usage(in_dir(&w, "inbox", dir), &usage));
        assert_int_equal(usage.count, 0);
        box_db_close(again.db);
        world_done(&w);
    }
    assert_int_equal(n, MAILS * 4 + 4); /* each step was one */
}

/* A new key-encryption key is made at each unlock: the database opens with the file before or
 * after. */
static void test_crash__renewed_key_is_whole_wherever_a_write_fails(void **state) {
    (void)state;
    unsigned long n = 1;
    for (bool fired = true; fired; n++) {
        world_t w;
        char path[128];
        CLEANUP(box_key_done) box_key_t key = {0}, opened = {0};
        world_init(&w);
        assert_ok(box_key_create(w.bag, w.env.rnd, in_dir(&w, "box.key", path), &key));
        fault_arm_io(n);
        err_t *e = box_key_renew(w.bag, w.env.rnd, path, 0, &key);
        fired = fault_io_fired();
        fault_arm_io(0);
        assert_true(fired || !e);
        err_free(e);
        assert_ok(box_key_open(w.bag, path, &opened));
        assert_true(bytes_eq(secret_bytes(opened.database), secret_bytes(key.database)));
        assert_true(opened.epoch == key.epoch || opened.epoch == key.epoch + 1);
        world_done(&w);
    }
    assert_true(n > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash__merge_killed_at_each_step_loses_and_doubles_nothing),
        cmocka_unit_test(test_crash__renewed_key_is_whole_wherever_a_write_fails),
    };
    return cmocka_run_group_tests_name("box crash", tests, NULL, NULL);
}
