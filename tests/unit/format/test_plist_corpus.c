/*
 * The property list corpus: every file in plists/ is accepted, every one in plists/bad/ refused;
 * and libplist, where it is installed, reads the same tree as we do, and reads what we write.
 *
 * libplist is loaded, not linked: its functions have names that ours have too. Known and wanted
 * differences, for which it is not asked: it accepts most of plists/bad (duplicate keys, unknown
 * elements, entities), and its 2.2.0 crashes on bad/depth_huge.
 */
#include "../unit.h"

#include <dirent.h>
#include <dlfcn.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "format/plist.h"

typedef struct {
    void *library; /* NULL if it is not installed */
    void (*from_xml)(const char *xml, uint32_t length, void **ret_tree);
    void (*to_xml)(void *tree, char **ret_xml, uint32_t *ret_length);
    void (*free_tree)(void *tree);
    void (*free_xml)(void *xml);
} oracle_t;

static void load(oracle_t *o) {
    *o = (oracle_t){.library = dlopen("libplist-2.0.so.3", RTLD_NOW | RTLD_LOCAL)};
    if (!o->library) return;
    *(void **)&o->from_xml = dlsym(o->library, "plist_from_xml");
    *(void **)&o->to_xml = dlsym(o->library, "plist_to_xml");
    *(void **)&o->free_tree = dlsym(o->library, "plist_free");
    *(void **)&o->free_xml = dlsym(o->library, "plist_to_xml_free");
    assert_true(o->from_xml && o->to_xml && o->free_tree && o->free_xml);
}

typedef void each_t(const char *name, bytes_t content, void *context);

static size_t each_file(const char *directory, each_t *each, void *context) {
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
        each(entry->d_name, buf_bytes(&content), context);
        count++;
    }
    (void)closedir(dir);
    return count;
}

/* Reads and writes: the canonical form. */
static void canonical(const char *name, bytes_t xml, buf_t *out) {
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    buf_init(out, LIMIT_PLIST_BYTES);
    err_t *e = plist_parse(xml, &doc);
    if (e) print_error("%s\n", name);
    assert_ok(e);
    assert_ok(plist_write(plist_root(doc), out));
}

static void accept(const char *name, bytes_t content, void *context) {
    buf_t first CLEANUP(buf_done), second CLEANUP(buf_done);
    (void)context;
    canonical(name, content, &first);
    canonical(name, buf_bytes(&first), &second);
    assert_true(bytes_eq(buf_bytes(&first), buf_bytes(&second)));
}

static void refuse(const char *name, bytes_t content, void *context) {
    plist_doc_t *doc CLEANUP(plist_free) = NULL;
    (void)context;
    err_t *e CLEANUP(err_free) = plist_parse(content, &doc);
    if (!e) fail_msg("%s is accepted", name);
    if (err_code(e) != ERR_INVALID && err_code(e) != ERR_LIMIT)
        fail_msg("%s: %s", name, err_message(e));
    assert_null(doc);
}

/* What libplist makes of `xml`, in our canonical form. */
static void by_oracle(const oracle_t *o, const char *name, bytes_t xml, buf_t *out) {
    void *tree = NULL;
    char *theirs = NULL;
    uint32_t length = 0;
    o->from_xml((const char *)xml.p, (uint32_t)xml.n, &tree);
    if (!tree) fail_msg("libplist refuses %s", name);
    o->to_xml(tree, &theirs, &length);
    assert_non_null(theirs);
    canonical(name, bytes_make(theirs, length), out);
    o->free_xml(theirs);
    o->free_tree(tree);
}

static void compare(const char *name, bytes_t content, void *context) {
    const oracle_t *o = context;
    buf_t ours CLEANUP(buf_done), theirs CLEANUP(buf_done), back CLEANUP(buf_done);
    canonical(name, content, &ours);
    by_oracle(o, name, content, &theirs);
    by_oracle(o, name, buf_bytes(&ours), &back);
    if (!bytes_eq(buf_bytes(&ours), buf_bytes(&theirs)))
        fail_msg("%s differs\n%.*s\n%.*s", name, (int)ours.n, (const char *)ours.p, (int)theirs.n,
                 (const char *)theirs.p);
    if (!bytes_eq(buf_bytes(&ours), buf_bytes(&back)))
        fail_msg("%s differs when libplist reads what we wrote", name);
}

static void test_plist_corpus__accepts_the_good(void **state) {
    (void)state;
    assert_true(each_file(PLISTS_DIR, accept, NULL) >= 25);
}

static void test_plist_corpus__refuses_the_bad(void **state) {
    (void)state;
    assert_true(each_file(PLISTS_DIR "/bad", refuse, NULL) >= 30);
}

static void test_plist_corpus__agrees_with_libplist(void **state) {
    oracle_t oracle;
    (void)state;
    load(&oracle);
    if (!oracle.library) skip();
    (void)each_file(PLISTS_DIR, compare, &oracle);
    (void)dlclose(oracle.library);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plist_corpus__accepts_the_good),
        cmocka_unit_test(test_plist_corpus__refuses_the_bad),
        cmocka_unit_test(test_plist_corpus__agrees_with_libplist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
