/*
 * Suites: see suite.h. Pure; any process, any thread.
 */
#include "sync/suite.h"

err_t *sync_suite_check(uint16_t suite, uint16_t minimum) {
    if (suite != SYNC_SUITE_1)
        return err_new(ERR_VERIFY, "suite %u is not known here", (unsigned)suite);
    if (suite < minimum)
        return err_new(ERR_VERIFY, "suite %u is weaker than %u, which was agreed on",
                       (unsigned)suite, (unsigned)minimum);
    return NULL;
}

err_t *sync_put_head(buf_t *out, const char letters[2], uint16_t suite) {
    TRY(sync_suite_check(suite, 0));
    TRY(record_put_head(out, letters, SYNC_VERSION));
    return wire_put_u16(out, suite);
}

err_t *sync_get_head(wire_reader_t *r, const char letters[2], uint16_t *ret_suite) {
    uint16_t suite = 0;
    TRY(record_get_head(r, letters, SYNC_VERSION));
    TRY(wire_get_u16(r, &suite));
    TRY(sync_suite_check(suite, 0));
    *ret_suite = suite;
    return NULL;
}

err_t *sync_refuse(void) { return err_new(ERR_VERIFY, "the sealed data does not open"); }

err_t *sync_blur(err_t *e) {
    if (!e) return NULL;
    err_code_t code = err_code(e);
    if (code != ERR_VERIFY && code != ERR_INVALID && code != ERR_LIMIT) return e;
    err_free(e);
    return sync_refuse();
}
