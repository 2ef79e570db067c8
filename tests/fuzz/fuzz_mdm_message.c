/*
 * What devices send before anybody knows who they are: check-ins, results, profiles.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "device/mdm_message.h"
#include "device/profile_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void checkin(bytes_t body) {
    CLEANUP(mdm_checkin_done) mdm_checkin_t m = {0};
    err_t *e CLEANUP(err_free) = mdm_checkin_parse(body, &m);
    if (e) return;
    if (strlen(m.key) > LIMIT_DEVICE_ID || m.token.n > LIMIT_TOKEN) abort();
    if (m.type == MDM_TOKEN_UPDATE && (!m.key[0] || m.token.n == 0 || !m.push_magic[0])) abort();
}

static void result(bytes_t body) {
    CLEANUP(mdm_result_done) mdm_result_t r = {0};
    CLEANUP(buf_done) buf_t chain;
    buf_init(&chain, LIMIT_JSON_BYTES);
    err_t *e CLEANUP(err_free) = mdm_result_parse(body, &r);
    if (e) return;
    if (!r.key[0] || (r.status != MDM_IDLE && !r.command_uuid[0])) abort();
    e = mdm_error_chain(&r, &chain);
}

static void profile(bytes_t body) {
    CLEANUP(arena_free) arena_t *arena = NULL;
    const char *identifier = NULL, *name = NULL;
    err_t *e CLEANUP(err_free) = arena_new(65536, &arena);
    if (!e) e = profile_check(body, arena, &identifier, &name);
    if (!e && (!identifier[0] || !name[0])) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    checkin(bytes_make(data, size));
    result(bytes_make(data, size));
    profile(bytes_make(data, size));
    return 0;
}
