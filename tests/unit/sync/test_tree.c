/*
 * Lists of folders, packs, and the keys of names.
 */
#include "../unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "crypto/secret.h"
#include "sync/folder.h"
#include "sync/name.h"
#include "sync/pack.h"

static sync_entry_t entry_of(sync_entry_kind_t kind, const char *name) {
    sync_entry_t e = {.kind = kind, .name = bytes_str(name)};
    memset(e.node, 5, SYNC_NODE);
    if (kind == SYNC_ENTRY_LINK) e.target = BYTES_LIT("../elsewhere");
    if (kind == SYNC_ENTRY_FILE) e.size = 77;
    if (kind != SYNC_ENTRY_PAGE) e.mode = 0755;
    return e;
}

static void test_folder__is_read_as_it_was_written(void **state) {
    (void)state;
    buf_t out;
    sync_folder_writer_t w;
    sync_folder_reader_t r;
    sync_entry_t e;
    bool found = false;
    buf_init(&out, LIMIT_SYNC_FOLDER);
    sync_entry_t packed = entry_of(SYNC_ENTRY_FILE, "b");
    packed.packed = true;
    packed.index = 4095;
    packed.mtime = -5;
    packed.mtime_ns = 999999999;
    packed.fold = BYTES_LIT("b");
    sync_entry_t entries[] = {entry_of(SYNC_ENTRY_FOLDER, "a"), packed,
                              entry_of(SYNC_ENTRY_LINK, "b "), entry_of(SYNC_ENTRY_PAGE, "\xff")};
    assert_ok(sync_folder_begin(&out, &w));
    for (size_t i = 0; i < 4; i++) assert_ok(sync_folder_add(&w, &entries[i]));
    assert_ok(sync_folder_end(&w));
    assert_ok(sync_folder_open(buf_bytes(&out), &r));
    for (size_t i = 0; i < 4; i++) {
        assert_ok(sync_folder_next(&r, &found, &e));
        assert_true(found);
        assert_int_equal(e.kind, entries[i].kind);
        assert_true(bytes_eq(e.name, entries[i].name));
        assert_true(bytes_eq(e.target, entries[i].target));
        assert_int_equal(e.index, entries[i].index);
        assert_int_equal(e.mtime, entries[i].mtime);
    }
    assert_ok(sync_folder_next(&r, &found, &e));
    assert_false(found);
    /* A count that is not the list's. */
    out.p[RECORD_HEAD + 3] = 3;
    assert_ok(sync_folder_open(buf_bytes(&out), &r));
    for (size_t i = 0; i < 3; i++) assert_ok(sync_folder_next(&r, &found, &e));
    assert_err(ERR_INVALID, sync_folder_next(&r, &found, &e));
    buf_done(&out);
}

static void test_folder__refuses_names_that_escape_or_repeat(void **state) {
    (void)state;
    static const char *const bad[] = {"", ".", "..", "a/b", "/", "../x"};
    char longest[LIMIT_SYNC_FILE_NAME + 2];
    buf_t out;
    sync_folder_writer_t w;
    buf_init(&out, LIMIT_SYNC_FOLDER);
    assert_ok(sync_folder_begin(&out, &w));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sync_entry_t e = entry_of(SYNC_ENTRY_FILE, bad[i]);
        assert_err(ERR_INVALID, sync_folder_add(&w, &e));
    }
    sync_entry_t nul = entry_of(SYNC_ENTRY_FILE, "");
    nul.name = BYTES_LIT("a\0b");
    assert_err(ERR_INVALID, sync_folder_add(&w, &nul));
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    sync_entry_t e = entry_of(SYNC_ENTRY_FILE, longest);
    assert_err(ERR_INVALID, sync_folder_add(&w, &e));
    e = entry_of(SYNC_ENTRY_FILE, "m");
    assert_ok(sync_folder_add(&w, &e));
    assert_err(ERR_INVALID, sync_folder_add(&w, &e));
    e = entry_of(SYNC_ENTRY_FILE, "l");
    assert_err(ERR_INVALID, sync_folder_add(&w, &e));
    assert_int_equal(w.count, 1);
    buf_done(&out);
}

static void test_folder__fields_fit_the_kind(void **state) {
    (void)state;
    buf_t out;
    sync_folder_writer_t w;
    buf_init(&out, LIMIT_SYNC_FOLDER);
    assert_ok(sync_folder_begin(&out, &w));
    sync_entry_t bad[8];
    for (size_t i = 0; i < 8; i++) bad[i] = entry_of(SYNC_ENTRY_FOLDER, "x");
    bad[0].size = 1;
    bad[1].packed = true;
    bad[2].target = BYTES_LIT("y");
    bad[3].mode = 010000;
    bad[4].mtime_ns = 1000000000;
    bad[5] = entry_of(SYNC_ENTRY_LINK, "x");
    bad[5].target = BYTES_NONE;
    bad[6] = entry_of(SYNC_ENTRY_PAGE, "x");
    bad[6].mtime = 1;
    bad[7] = entry_of(SYNC_ENTRY_FILE, "x");
    bad[7].index = 1;
    for (size_t i = 0; i < 8; i++) assert_err(ERR_INVALID, sync_folder_add(&w, &bad[i]));
    buf_done(&out);
}

static void test_folder__has_a_limit(void **state) {
    (void)state;
    buf_t out;
    sync_folder_writer_t w;
    char name[16];
    buf_init(&out, LIMIT_SYNC_FOLDER + 4096);
    assert_ok(sync_folder_begin(&out, &w));
    for (unsigned i = 0; i < LIMIT_SYNC_ENTRIES; i++) {
        (void)snprintf(name, sizeof name, "%08u", i);
        sync_entry_t e = entry_of(SYNC_ENTRY_FILE, name);
        assert_ok(sync_folder_add(&w, &e));
    }
    sync_entry_t e = entry_of(SYNC_ENTRY_FILE, "z");
    assert_err(ERR_LIMIT, sync_folder_add(&w, &e));
    buf_done(&out);
}

static void test_pack__finds_its_files(void **state) {
    (void)state;
    sync_packed_t files[3] = {{.size = 5}, {.size = 0}, {.size = 9}}, file;
    sync_pack_t pack;
    uint64_t offset = 0;
    buf_t out;
    buf_init(&out, LIMIT_SYNC_PACK);
    memset(files[2].version, 9, SYNC_NODE);
    assert_ok(sync_pack_put(files, 3, &out));
    size_t list = out.n;
    assert_int_equal(list, SYNC_PACK_HEAD + 3 * SYNC_PACKED_SIZE);
    assert_ok(buf_add(&out, BYTES_LIT("hellobrown fox")));
    assert_ok(sync_pack_open(buf_bytes(&out), &pack));
    assert_int_equal(sync_pack_size(&pack), out.n);
    assert_ok(sync_pack_file(&pack, 2, &file, &offset));
    assert_int_equal(offset, list + 5);
    assert_int_equal(file.size, 9);
    assert_int_equal(file.version[0], 9);
    assert_err(ERR_NOT_FOUND, sync_pack_file(&pack, 3, &file, &offset));
    assert_err(ERR_INVALID, sync_pack_open(bytes_make(out.p, list - 1), &pack));
    assert_err(ERR_LIMIT, sync_pack_put(files, 0, &out));
    files[0].size = LIMIT_SYNC_PACK;
    assert_err(ERR_LIMIT, sync_pack_put(files, 3, &out));
    memset(out.p + list - 4, 0xff, 4);
    assert_err(ERR_LIMIT, sync_pack_open(buf_bytes(&out), &pack));
    buf_done(&out);
}

static void check_fold(const char *name, const char *wanted) {
    buf_t out;
    buf_init(&out, LIMIT_SYNC_FOLD);
    assert_ok(sync_name_fold(bytes_str(name), &out));
    if (!bytes_eq_str(buf_bytes(&out), wanted))
        fail_msg("%s gives %.*s", name, (int)out.n, (const char *)out.p);
    buf_done(&out);
}

static void test_name__folds_case_and_composition(void **state) {
    (void)state;
    check_fold("README.TXT", "readme.txt");
    check_fold("Stra\xc3\x9f"
               "e",
               "strasse");
    check_fold("STRASSE", "strasse");
    check_fold("e\xcc\x81", "\xc3\xa9");    /* e and an accent become one letter */
    check_fold("\xc3\x89", "\xc3\xa9");     /* as does its capital */
    check_fold("\xe2\x84\xab", "\xc3\xa5"); /* the sign for angstrom */
    check_fold("\xff\xfe", "");             /* no UTF-8: compared by its bytes alone */
    check_fold("", "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder__is_read_as_it_was_written),
        cmocka_unit_test(test_folder__refuses_names_that_escape_or_repeat),
        cmocka_unit_test(test_folder__fields_fit_the_kind),
        cmocka_unit_test(test_folder__has_a_limit),
        cmocka_unit_test(test_pack__finds_its_files),
        cmocka_unit_test(test_name__folds_case_and_composition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
