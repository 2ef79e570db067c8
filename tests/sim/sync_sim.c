/*
 * The simulator of sync: runs seeds, one line each.
 *
 *   sync_sim [-v] [-q] [-a] [FIRST [COUNT]]      from seed FIRST (1), COUNT of them (1)
 *
 * -q prints failures and a summary alone, -v tells what people do and what clients say, -a fails if
 * there is an attack that no client has named. Each run repeats by its seed. Exit status 1 if one
 * failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "sim_world.h"

typedef struct {
    bool quiet, told, all_named;
    uint64_t first, count;
} options_t;

static bool parse_number(const char *text, uint64_t *ret_number) {
    int64_t number = 0;
    err_t *e = text_i64(bytes_str(text), &number);
    bool good = !e && number >= 0;
    err_free(e);
    if (good) *ret_number = (uint64_t)number;
    return good;
}

static bool parse(int argc, char **argv, options_t *ret_options) {
    options_t options = {.first = 1, .count = 1};
    uint64_t *next = &options.first;
    for (int i = 1; i < argc; i++) {
        bool flag = argv[i][0] == '-';
        if (strcmp(argv[i], "-q") == 0) options.quiet = true;
        if (strcmp(argv[i], "-v") == 0) options.told = true;
        if (strcmp(argv[i], "-a") == 0) options.all_named = true;
        if (flag && (!argv[i][1] || !strchr("aqv", argv[i][1]))) return false;
        if (flag) continue;
        if (!next || !parse_number(argv[i], next)) return false;
        next = next == &options.first ? &options.count : NULL;
    }
    *ret_options = options;
    return true;
}

/* Memory, if there is such a place: nothing here needs a disk. */
static bool make_folder(char *ret_path, size_t size) {
    const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    (void)snprintf(ret_path, size, "%s/coffer-sim-XXXXXX", place ? place : "/tmp");
    return mkdtemp(ret_path) != NULL;
}

static bool run_one(const options_t *options, uint64_t seed, const char *folder,
                    sim_named_t *named) {
    char line[512], text[1024];
    sim_plan_t plan = sim_plan(seed);
    plan.told = options->told;
    plan.folder = folder;
    err_t *e = sim_run(&plan, named, line, sizeof line);
    if (!e && !options->quiet) (void)printf("ok   %s\n", line);
    if (e)
        (void)printf("FAIL %s\n     %s\n     again: sync_sim -v %llu\n", line,
                     err_text(e, text, sizeof text), (unsigned long long)seed);
    (void)fflush(stdout);
    bool good = e == NULL;
    err_free(e);
    return good;
}

int main(int argc, char **argv) {
    options_t options;
    char folder[256];
    uint64_t failed = 0;
    sim_named_t named = {0};
    err_t *e = crypto_init();
    if (e || !parse(argc, argv, &options) || !make_folder(folder, sizeof folder)) {
        err_free(e);
        (void)fprintf(stderr, "usage: sync_sim [-v] [-q] [-a] [FIRST [COUNT]]\n");
        return 2;
    }
    for (uint64_t i = 0; i < options.count; i++)
        if (!run_one(&options, options.first + i, folder, &named)) failed++;
    (void)rmdir(folder);
    const char *missing = options.all_named ? sim_never_named(&named) : NULL;
    if (missing) {
        (void)printf("FAIL the attack %s was never named\n", missing);
        failed++;
    }
    (void)printf("%llu seeds, %llu failed\n", (unsigned long long)options.count,
                 (unsigned long long)failed);
    return failed ? 1 : 0;
}
