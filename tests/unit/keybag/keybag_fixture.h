/*
 * A keybag in a temporary directory with a fake clock.
 */
#ifndef COFFER_TESTS_UNIT_KEYBAG_FIXTURE_H
#define COFFER_TESTS_UNIT_KEYBAG_FIXTURE_H

#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "keybag/keybag.h"

#define RIGHT BYTES_LIT("correct horse")
#define WRONG BYTES_LIT("correct house")
#define OTHER BYTES_LIT("battery staple")

typedef struct {
    char dir[64], bag[96], device[96];
    clk_fake_t clk;
    keybag_env_t env;
} world_t;

static inline void world_init(world_t *w) {
    *w = (world_t){.dir = "/tmp/coffer-keybag-XXXXXX"};
    assert_ok(crypto_init());
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->bag, sizeof w->bag, "%s/keybag", w->dir);
    (void)snprintf(w->device, sizeof w->device, "%s/device.key", w->dir);
    clk_fake_init(&w->clk, 1000 * 1000);
    w->env = (keybag_env_t){.clk = &w->clk.clk, .rnd = rnd_real(), .boot = {1}};
}

static inline void world_done(const world_t *w) {
    static const char *const names[] = {"keybag",     "keybag.tries", "device.key",
                                        "keybag.new", "old-bag",      "old-device"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", w->dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(w->dir);
}

static inline keybag_t *world_create(const world_t *w) {
    anchor_t *anchor = NULL;
    keybag_t *bag = NULL;
    assert_ok(anchor_file_create(w->device, w->env.rnd, &anchor));
    assert_ok(keybag_create(&w->env, w->bag, anchor, 0, RIGHT, &PASSWORD_COST_TEST, &bag));
    return bag;
}

static inline keybag_t *world_open(const world_t *w) {
    anchor_t *anchor = NULL;
    keybag_t *bag = NULL;
    assert_ok(anchor_file_open(w->device, &anchor));
    assert_ok(keybag_open(&w->env, w->bag, anchor, &bag));
    return bag;
}

static inline void copy_file(const char *from, const char *to) {
    CLEANUP(buf_done) buf_t data;
    buf_init(&data, 4096);
    assert_ok(file_read(from, &data));
    assert_ok(file_write(to, buf_bytes(&data), 0600));
}

#endif
