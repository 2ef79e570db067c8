/*
 * judge_chain: reads entries of a device chain, each behind its length, from standard input and
 * says of each whether it holds; one that does not is passed over. For tests/functional/
 * test_sync_chain.py, which judges the same ones by an implementation of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "sync/chain.h"

enum { INPUT_MAX = 64 << 20 };

static void must(err_t *e) {
    char text[1024];
    if (!e) return;
    (void)fprintf(stderr, "judge_chain: %s\n", err_trace(e, text, sizeof text));
    exit(1);
}

int main(void) {
    sync_chain_t *chain = NULL;
    buf_t input;
    bytes_t record;
    char text[1024];
    must(crypto_init());
    must(sync_chain_new(&chain));
    buf_init(&input, INPUT_MAX);
    must(file_read_fd(STDIN_FILENO, &input));
    wire_reader_t r = wire_reader(buf_bytes(&input));
    while (r.rest.n) {
        must(wire_get_bytes(&r, INPUT_MAX, &record));
        err_t *e = sync_chain_append(chain, record);
        (void)printf("%s\n", e ? err_text(e, text, sizeof text) : "holds");
        err_free(e);
    }
    sync_chain_free(chain);
    buf_done(&input);
    return 0;
}
