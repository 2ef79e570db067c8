/*
 * Looking at one watched source: reads a file, or a TLS server's certificates. Blocking, bounded in
 * time and bytes; any certificate is read, none is trusted. On any thread.
 */
#ifndef COFFER_PROGRAM_PROBE_H
#define COFFER_PROGRAM_PROBE_H

#include "base/clk.h"
#include "crypto/cert_facts.h"
#include "pki/watch_target.h"

/* Of file: and tls: targets. At most LIMIT_WATCH_CERTIFICATES of them into `facts`. ERR_TIMEOUT
 * past LIMIT_WATCH_PROBE_MS. */
err_t *probe_target(const watch_target_t *target, const clk_t *clk, cert_facts_t *facts,
                    size_t *ret_count) WARN_UNUSED;

#endif
