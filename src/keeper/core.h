/*
 * The keeper without its sockets: takes a request's role, intent and body, and sees to it that it
 * is answered exactly once. What may be asked by whom stands in one table (core.c).
 * handle runs on many worker threads at once; answers come from them or from the vault's writer.
 */
#ifndef COFFER_KEEPER_CORE_H
#define COFFER_KEEPER_CORE_H

#include "base/clk.h"
#include "base/rnd.h"
#include "ipc/role.h"
#include "keeper/backups.h"
#include "keeper/cert_profile.h"
#include "keeper/csr_cache.h"
#include "keeper/keyring.h"
#include "keeper/revocation.h"
#include "keeper/vault.h"

typedef struct {
    vault_t *vault; /* borrowed, as all of these; its writer runs */
    const keyring_t *keys;
    const cert_profiles_t *profiles;
    csr_cache_t *csrs;        /* may be NULL */
    revocation_t *revocation; /* may be NULL: no URLs in certificates, no lists, no OCSP */
    backups_t *backups;       /* may be NULL: no backups */
    const clk_t *clk;
    const rnd_t *rnd;
    unsigned takes_all; /* secrets taken from devices in 24 hours, a kind; 0: the limit */
    bool allow_des3;    /* open SCEP envelopes of old clients */
    bool allow_des;     /* and of very old ones; cms_enable_des was called */
    bool seccomp;       /* for KEEPER_STATUS */
    bool landlock;
} keeper_core_t;

/* Where an answer goes: called exactly once, with an error (the callee's) or a body (borrowed). */
typedef struct {
    void (*fn)(void *arg, err_t *e, bytes_t body);
    void *arg;
} keeper_finish_t;

/* Answers now or after the commit. body is borrowed during the call. */
void keeper_core_handle(const keeper_core_t *core, role_t role, uint16_t intent, bytes_t body,
                        keeper_finish_t finish);

#endif
