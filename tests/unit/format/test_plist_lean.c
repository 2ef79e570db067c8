/*
 * The lean reader of property lists beside expat: plain ones it reads, and to the same tree; all
 * else it leaves to expat.
 */
#include "../unit.h"

#include <dirent.h>
#include <string.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "format/plist_tree.h"

static void assert_same(const plist_t *a, const plist_t *b) {
    buf_t first CLEANUP(buf_done), second CLEANUP(buf_done);
    buf_init(&first, LIMIT_PLIST_BYTES);
    buf_init(&second, LIMIT_PLIST_BYTES);
    assert_ok(plist_write(a, &first));
    assert_ok(plist_write(b, &second));
    assert_true(bytes_eq(buf_bytes(&first), buf_bytes(&second)));
}

static void assert_lines(const plist_t *a, const plist_t *b) {
    assert_int_equal(plist_line(a), plist_line(b));
    for (size_t i = 0; i < plist_count(a); i++) assert_lines(plist_at(a, i), plist_at(b, i));
}

/* Whether the lean reader takes it; if so, expat must, too, and alike. */
static bool lean(bytes_t xml) {
    plist_doc_t *doc CLEANUP(plist_free) = NULL, *other CLEANUP(plist_free) = NULL;
    bool done = false;
    assert_ok(plist_doc_new(&doc));
    assert_ok(plist_parse_lean(xml, doc, &done));
    if (!done) return false;
    assert_ok(plist_parse_expat(xml, &other));
    assert_same(plist_root(doc), plist_root(other));
    assert_lines(plist_root(doc), plist_root(other));
    return true;
}

#define HEAD                                                                                       \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                                                 \
    "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "                                      \
    "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
#define WRAP(body) "<plist version=\"1.0\">" body "</plist>"

static void test_plist_lean__reads_the_plain_form(void **state) {
    (void)state;
    static const char *const plain[] = {
        HEAD WRAP("\n<dict>\n\t<key>Status</key>\n\t<string>Idle</string>\n</dict>\n") "\n",
        WRAP("<dict><key>a</key><true/><key>b</key><false/><key>c</key><integer>-5</integer>"
             "<key>d</key><real>0.5</real><key>e</key><date>2026-11-22T04:19:00Z</date>"
             "<key>f</key><data>\n\tAAEC\n\t</data><key>g</key><array><dict/><array/></array>"
             "<key>h</key><string/><key>i</key><string>\xc3\xa4 > \x7f</string></dict>"),
        "  \n" WRAP("<array>\n\n<string>two\nlines</string></array>") " \n\t",
    };
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (!lean(bytes_str(plain[i]))) fail_msg("not taken: %s", plain[i]);
}

static void test_plist_lean__leaves_all_else_to_expat(void **state) {
    (void)state;
    static const char *const other[] = {
        /* good ones */
        WRAP("<string>a&amp;b</string>"),
        WRAP("<string><![CDATA[a]]></string>"),
        WRAP("<!-- a --><string>b</string>"),
        WRAP("<string >b</string >"),
        WRAP("<string>a\r\nb</string>"),
        WRAP("<string>a]b</string>"),
        "<plist><string>b</string></plist>",
        "\xef\xbb\xbf" WRAP("<string>b</string>"),
        "<?xml version='1.0'?>" WRAP("<string>b</string>"),
        /* bad ones */
        WRAP("<string>a]]>b</string>"),
        WRAP("<string>\x01</string>"),
        WRAP("<string>\xed\xa0\x80</string>"),
        WRAP("<string>\xef\xbf\xbf</string>"),
        WRAP("<string>a</strong>"),
        WRAP("<dict><key>a</key></dict>"),
        WRAP("<dict><key>a</key><true/><key>a</key><true/></dict>"),
        WRAP("<dict><string>a</string></dict>"),
        WRAP("<integer>x</integer>"),
        WRAP("<data>####</data>"),
        WRAP("<true/><true/>"),
        WRAP("text<true/>"),
        WRAP("<true/>") "more",
        WRAP("<true/>") "</plist>",
        WRAP(""),
        "<plist version=\"1.0\"><true/>",
        "<plist version=\"1.0\"><dict>",
        "<plist version=\"1.0\"",
        "<dict></dict>",
        "</plist>",
        "<",
    };
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        if (lean(bytes_str(other[i]))) fail_msg("taken: %s", other[i]);
}

/* Every beginning of a plain one, and each of its bytes changed. */
static void test_plist_lean__is_not_misled(void **state) {
    (void)state;
    static const char text[] = WRAP("<dict><key>a</key><array><data>AA==</data></array></dict>\n");
    char copy[sizeof text];
    for (size_t n = 0; n < sizeof text - 1; n++) assert_false(lean(bytes_make(text, n)));
    assert_true(lean(bytes_make(text, sizeof text - 1)));
    static const char marks[] = "<>/&] \n\ra=\x80\"";
    for (size_t at = 0; at < sizeof text - 1; at++) {
        for (size_t i = 0; i < sizeof marks; i++) {
            memcpy(copy, text, sizeof text);
            copy[at] = marks[i];
            (void)lean(bytes_make(copy, sizeof text - 1));
        }
    }
}

static size_t lean_files(const char *directory, size_t *ret_all) {
    DIR *dir = opendir(directory);
    size_t count = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        const char *dot = strrchr(entry->d_name, '.');
        char *path CLEANUP(mem_free) = NULL;
        buf_t content CLEANUP(buf_done);
        buf_init(&content, LIMIT_PLIST_BYTES);
        if (!dot || strcmp(dot, ".plist") != 0) continue;
        assert_ok(file_path(directory, entry->d_name, &path));
        assert_ok(file_read(path, &content));
        (*ret_all)++;
        if (content.n && lean(buf_bytes(&content))) count++;
    }
    (void)closedir(dir);
    return count;
}

static void test_plist_lean__reads_most_real_ones(void **state) {
    (void)state;
    size_t good = 0, bad = 0;
    size_t taken = lean_files(PLISTS_DIR, &good);
    assert_in_range(taken, good / 2, good - 1); /* some are odd on purpose */
    assert_int_equal(lean_files(PLISTS_DIR "/bad", &bad), 0);
    assert_true(bad > 10);
}

static void test_plist_lean__every_allocation_may_fail(void **state) {
    (void)state;
    static const char text[] = WRAP("<dict><key>a</key><data>AAEC</data></dict>");
    bool fired = true;
    for (unsigned long n = 1; fired; n++) {
        plist_doc_t *doc = NULL;
        fault_arm_memory(n);
        err_t *e = plist_parse(bytes_str(text), &doc);
        fired = fault_memory_fired();
        fault_arm_memory(0);
        assert_int_equal(e != NULL, fired);
        err_free(e);
        plist_free(doc);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plist_lean__reads_the_plain_form),
        cmocka_unit_test(test_plist_lean__leaves_all_else_to_expat),
        cmocka_unit_test(test_plist_lean__is_not_misled),
        cmocka_unit_test(test_plist_lean__reads_most_real_ones),
        cmocka_unit_test(test_plist_lean__every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
