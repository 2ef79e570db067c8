/*
 * A keybag, unlocked, and an empty directory for what a test of the mailbox needs.
 */
#ifndef COFFER_TESTS_UNIT_BOX_FIXTURE_H
#define COFFER_TESTS_UNIT_BOX_FIXTURE_H

#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "keybag/keybag.h"

typedef struct {
    char dir[64];
    keybag_env_t env;
    keybag_t *bag;
} world_t;

static inline const char *in_dir(const world_t *w, const char *name, char out[128]) {
    (void)snprintf(out, 128, "%s/%s", w->dir, name);
    return out;
}

static inline void world_init(world_t *w) {
    char path[128];
    anchor_t *anchor = NULL;
    *w = (world_t){.dir = "/tmp/coffer-box-XXXXXX", .env = {.clk = clk_real(), .rnd = rnd_real()}};
    assert_ok(crypto_init());
    assert_non_null(mkdtemp(w->dir));
    assert_ok(anchor_file_create(in_dir(w, "device.key", path), w->env.rnd, &anchor));
    assert_ok(keybag_create(&w->env, in_dir(w, "keybag", path), anchor, 0,
                            BYTES_LIT("correct horse"), &PASSWORD_COST_TEST, &w->bag));
}

static inline void world_done(world_t *w) {
    char command[128];
    keybag_free(w->bag);
    (void)snprintf(command, sizeof command, "rm -rf %s", w->dir);
    assert_int_equal(system(command), 0);
}

#endif
