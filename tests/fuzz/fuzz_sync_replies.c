/*
 * What the service answers to a client, changed on the way: the real engine on a simulated disk
 * fetches a small region. Nothing crashes, and what then lies on the disk is what was written there
 * by somebody, byte by byte. Input: changes of the answers in their turn, offset u16, xor u8 (0:
 * the answer ends at the offset).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../sim/sim_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    bytes_t left;
} edits_t;

static void edit(void *ctx, buf_t *answer, size_t from) {
    edits_t *edits = ctx;
    if (edits->left.n < 3 || answer->n == from) return;
    size_t at = from + (size_t)(edits->left.p[0] << 8 | edits->left.p[1]) % (answer->n - from);
    if (edits->left.p[2]) answer->p[at] ^= edits->left.p[2];
    else answer->n = at;
    edits->left = bytes_from(edits->left, 3);
}

static sim_world_t *make_world(void) {
    static char folder[] = "/tmp/coffer-fuzz-XXXXXX", shm[] = "/dev/shm/coffer-fuzz-XXXXXX";
    sim_plan_t plan = {.seed = 7, .clients = 2};
    sim_world_t *world = NULL;
    plan.folder = mkdtemp(access("/dev/shm", W_OK) == 0 ? shm : folder);
    if (!plan.folder || crypto_init() || sim_edited_new(&plan, &world)) abort();
    return world;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static sim_world_t *world;
    edits_t edits = {bytes_make(data, size)};
    char text[512];
    if (!world) world = make_world();
    err_t *e = sim_edited_run(world, edit, &edits);
    if (e) {
        (void)fprintf(stderr, "%s\n", err_text(e, text, sizeof text));
        abort();
    }
    return 0;
}
