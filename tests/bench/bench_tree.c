/*
 * bench_tree [FILES]: how long the engine takes to list and compare a region of FILES files
 * (default 1,000,000; a hundred in each folder). The lists are read as they come out of their
 * packages, and go into the tree of a device whose folder and last agreement stand there already;
 * one file in a thousand is another at the service, one in a thousand another in the folder. Then
 * the plan is made. Not in it: fetching, opening and checking packages, reading the folder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/text.h"
#include "sync/engine/plan.h"
#include "sync/folder.h"

enum { EACH = 100, CHANGED = 1000 };

typedef struct {
    uint32_t files;
    buf_t lists; /* one after the other */
    size_t *ends;
    uint32_t lists_n;
    sync_tree_t *tree;
} region_t;

static void must(err_t *e) {
    char text[1024];
    if (!e) return;
    (void)fprintf(stderr, "bench_tree: %s\n", err_trace(e, text, sizeof text));
    exit(1);
}

static double seconds(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void node_id(uint64_t number, uint8_t id[SYNC_NODE]) {
    /* Spread like random ones, the same again for the same number. */
    for (size_t i = 0; i < SYNC_NODE; i++) {
        number = number * 6364136223846793005ULL + 1442695040888963407ULL;
        id[i] = (uint8_t)(number >> 56);
    }
}

static void fill_entry(uint32_t file, char name[32], sync_entry_t *e) {
    (void)snprintf(name, 32, "photo %08u.jpeg", file);
    *e = (sync_entry_t){.kind = SYNC_ENTRY_FILE,
                        .name = bytes_str(name),
                        .fold = bytes_str(name),
                        .mode = 0644,
                        .mtime = 1700000000,
                        .size = 10200,
                        .packed = true};
    node_id((uint64_t)file + 1, e->node);
    node_id(file * 7ULL, e->version);
}

static void make_lists(region_t *region) {
    sync_folder_writer_t w;
    sync_entry_t e;
    char name[32];
    uint32_t n = (region->files + EACH - 1) / EACH;
    buf_init(&region->lists, (size_t)1 << 30);
    region->ends = mem_array(n, sizeof *region->ends);
    if (!region->ends) must(err_nomem());
    for (uint32_t file = 0; region->lists_n < n; region->lists_n++) {
        must(sync_folder_begin(&region->lists, &w));
        for (uint32_t last = file + EACH; file < last && file < region->files; file++) {
            fill_entry(file, name, &e);
            if (file % CHANGED == 1) e.size++; /* somebody has another version there */
            must(sync_folder_add(&w, &e));
        }
        must(sync_folder_end(&w));
        region->ends[region->lists_n] = region->lists.n;
    }
}

static void fact_of(const sync_entry_t *e, uint32_t parent, sync_fact_t *fact) {
    *fact = (sync_fact_t){.kind = e->kind,
                          .packed = e->packed,
                          .parent = parent,
                          .mode = e->mode,
                          .mtime = e->mtime,
                          .size = e->size,
                          .name = e->name,
                          .fold = e->fold};
    memcpy(fact->version, e->version, SYNC_NODE);
    memcpy(fact->package, e->package, SYNC_HASH);
}

static uint32_t folder_node(region_t *region, uint32_t list) {
    uint8_t id[SYNC_NODE];
    uint32_t node = 0;
    node_id((uint64_t)list + ((uint64_t)1 << 40), id);
    must(sync_tree_get(region->tree, id, &node));
    return node;
}

/* What both agreed on, and a folder where one file in a thousand has changed since. */
static void agree(region_t *region) {
    const sync_fact_t *kept = NULL;
    sync_fact_t fact;
    sync_entry_t e;
    char name[32];
    must(sync_tree_new(&region->tree));
    for (uint32_t i = 0; i < region->lists_n; i++) {
        (void)snprintf(name, sizeof name, "folder %u", i);
        uint32_t folder = folder_node(region, i), node = 0;
        fact = (sync_fact_t){.kind = SYNC_ENTRY_FOLDER, .mode = 0755, .name = bytes_str(name)};
        must(sync_tree_fact(region->tree, &fact, &kept));
        for (int side = SYNC_BASE; side <= SYNC_LOCAL; side++)
            sync_tree_set(region->tree, folder, (sync_side_t)side, kept);
        for (uint32_t file = i * EACH; file < (i + 1) * EACH && file < region->files; file++) {
            fill_entry(file, name, &e);
            must(sync_tree_get(region->tree, e.node, &node));
            fact_of(&e, folder, &fact);
            must(sync_tree_fact(region->tree, &fact, &kept));
            sync_tree_set(region->tree, node, SYNC_BASE, kept);
            if (file % CHANGED == 2) {
                fact.size++;
                memset(fact.version, 0, SYNC_NODE);
                must(sync_tree_fact(region->tree, &fact, &kept));
                sync_tree_node(region->tree, node)->content = true;
            }
            sync_tree_set(region->tree, node, SYNC_LOCAL, kept);
        }
    }
}

static bool same(const sync_fact_t *a, const sync_fact_t *b) {
    return sync_same_place(a, b) && a->size == b->size && a->mtime == b->mtime &&
           a->mtime_ns == b->mtime_ns && a->mode == b->mode && bytes_eq(a->fold, b->fold) &&
           memcmp(a->version, b->version, SYNC_NODE) == 0 &&
           memcmp(a->package, b->package, SYNC_HASH) == 0;
}

/* As fetch_tree() does with what it has opened. */
static void list(region_t *region) {
    sync_folder_reader_t reader;
    sync_entry_t e;
    sync_fact_t fact;
    for (uint32_t i = 0; i < region->lists_n; i++) {
        size_t from = i ? region->ends[i - 1] : 0;
        uint32_t folder = folder_node(region, i), node = 0;
        must(sync_folder_open(bytes_slice(buf_bytes(&region->lists), from, region->ends[i] - from),
                              &reader));
        for (bool found = false;;) {
            must(sync_folder_next(&reader, &found, &e));
            if (!found) break;
            must(sync_tree_get(region->tree, e.node, &node));
            fact_of(&e, folder, &fact);
            const sync_fact_t *kept = sync_tree_node(region->tree, node)->side[SYNC_BASE];
            if (!kept || !same(kept, &fact)) must(sync_tree_fact(region->tree, &fact, &kept));
            sync_tree_set(region->tree, node, SYNC_REMOTE, kept);
        }
    }
}

int main(int argc, char **argv) {
    region_t region = {0};
    uint64_t files = 1000000;
    sync_plan_t plan = {0};
    sync_plan_config_t config = {.rnd = rnd_real(), .device = "bench", .now = 1700000000};
    if (argc > 1) must(text_u64(bytes_str(argv[1]), 10000000, &files));
    region.files = (uint32_t)files;
    make_lists(&region);
    agree(&region);
    double from = seconds();
    list(&region);
    double middle = seconds();
    must(sync_plan(region.tree, &config, &plan));
    double to = seconds();
    uint64_t each = files / CHANGED;
    if (plan.files != files || plan.uploads + 1 < each || plan.uploads > each + 1 ||
        plan.conflicts || plan.removed_here || plan.removed_there)
        must(err_new(ERR_INTERNAL, "not the plan that was expected: %llu uploads",
                     (unsigned long long)plan.uploads));
    (void)printf("%-50s %8.2f s\n", "tree of files: lists read into the tree", middle - from);
    (void)printf("%-50s %8.2f s\n", "tree of files: the plan made", to - middle);
    (void)printf("%llu files listed and diffed %24.2f s\n", (unsigned long long)files, to - from);
    sync_tree_free(region.tree);
    buf_done(&region.lists);
    mem_free(region.ends);
    return 0;
}
