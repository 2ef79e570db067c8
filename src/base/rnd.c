/*
 * Kernel randomness: see rnd.h.
 */
#include "base/rnd.h"

#include <errno.h>
#include <sys/random.h>

#include "base/fault.h"

static err_t *real_fill(const rnd_t *rnd, void *p, size_t n) {
    (void)rnd;
    size_t done = 0;
    if (fault_io()) return err_new(ERR_IO, "injected fault: getrandom");
    while (done < n) {
        ssize_t got = getrandom((char *)p + done, n - done, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_errno(errno, "getrandom");
        done += (size_t)got;
    }
    return NULL;
}

const rnd_t *rnd_real(void) {
    static const rnd_t real = {real_fill};
    return &real;
}

err_t *rnd_uuid(const rnd_t *rnd, char out[TEXT_UUID_SIZE]) {
    uint8_t random[16];
    TRY(rnd_fill(rnd, random, sizeof random));
    (void)text_uuid(random, out);
    return NULL;
}
