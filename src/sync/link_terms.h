/*
 * What a link is to outsiders and to the service (docs/formats/sync-shares.md): its URL, whose
 * fragment has the secret; the terms, record cofferYT, that its maker leaves with the service (the
 * hash of the token, when it ends, how often it opens, what it may fetch); and its label, which
 * tells the region's own devices what it is of, and nobody else. Pure.
 */
#ifndef COFFER_SYNC_LINK_TERMS_H
#define COFFER_SYNC_LINK_TERMS_H

#include "sync/chain.h"
#include "sync/link.h"

/* ---- the URL: https://HOST[:PORT]/share/ID#SECRET[.p] ---- */

typedef struct {
    char origin[LIMIT_SYNC_ORIGIN + 1]; /* "https://files.example.org:8443" */
    uint8_t id[SYNC_NODE];
    bool password;    /* one is needed besides */
    secret_t *secret; /* SYNC_KEY bytes; owned */
} sync_link_url_t;

void sync_link_url_done(sync_link_url_t *url); /* takes a zeroed one */
/* Appends it. `origin` without a slash at its end. ERR_INVALID if that is no https origin. */
err_t *sync_link_url_put(const char *origin, const sync_link_t *link, const secret_t *secret,
                         bool password, buf_t *out) WARN_UNUSED;
/* ERR_INVALID for what is no link; the message never repeats what was given. */
err_t *sync_link_url_parse(bytes_t text, sync_link_url_t *ret_url) WARN_UNUSED;

/* ---- terms ---- */

typedef struct {
    uint8_t id[SYNC_NODE];
    uint8_t token_hash[SYNC_HASH];
    int64_t expires; /* seconds since 1970 UTC */
    uint32_t count;  /* openings; 0: any number */
    bool password;   /* wrong tokens are guesses then, and are counted */
    bytes_t label;   /* sync_link_label_seal; borrowed */
    bytes_t roots;   /* of data packages, SYNC_HASH bytes each, ascending; borrowed */
    bytes_t list;    /* record cofferYL of the same id; borrowed */
} sync_link_terms_t;

err_t *sync_link_terms_put(const sync_link_terms_t *terms, buf_t *out) WARN_UNUSED;
/* ERR_INVALID, ERR_LIMIT; ERR_VERIFY for a version or suite that is not known here. */
err_t *sync_link_terms_parse(bytes_t record, sync_link_terms_t *ret_terms) WARN_UNUSED;

/* ---- labels: on devices of the region ---- */

/* `text` (a path, up to LIMIT_SYNC_LINK_LABEL bytes) under the region's key of `epoch`. */
err_t *sync_link_label_seal(const uint8_t region[SYNC_HASH], const secret_t *key, uint64_t epoch,
                            const uint8_t id[SYNC_NODE], bytes_t text, const rnd_t *rnd,
                            buf_t *out) WARN_UNUSED;
/* The epoch that it is sealed in, to find the key. */
err_t *sync_link_label_epoch(bytes_t label, uint64_t *ret_epoch) WARN_UNUSED;
/* ERR_VERIFY if it is of another link or region, or was changed. */
err_t *sync_link_label_open(const uint8_t region[SYNC_HASH], const secret_t *key,
                            const uint8_t id[SYNC_NODE], bytes_t label, buf_t *out) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(sync_link_url_t, sync_link_url_done)

#endif
