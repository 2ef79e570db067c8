/*
 * A keeper in a temporary directory, without sockets: its vault, keys, core, and an rpc_call that
 * goes straight to the core, so that the tests ask by the real client functions.
 */
#ifndef COFFER_TESTS_KEEPER_FIXTURE_H
#define COFFER_TESTS_KEEPER_FIXTURE_H

#include "../unit.h"
#include "keeper/client.h"
#include "keeper/core.h"
#include "keeper/init.h"
#include "keeper/master.h"

typedef struct {
    char dir[64];
    char vault_dir[80];
    clk_fake_t clk;
    cert_profiles_t profiles;
    vault_t *vault;
    keyring_t *keys;
    csr_cache_t *csrs;
    revocation_t *revocation;
    keeper_core_t core;
    role_t role; /* of the asking side */
    keeper_t *keeper;
    pkey_t *device_key;  /* RSA-2048 */
    cert_t *device_self; /* self-signed, as SCEP clients use for their first request */
} keeper_fixture_t;

/* Makes an instance and starts it. */
void keeper_fixture_make(keeper_fixture_t *f);
/* Stops it and removes everything. */
void keeper_fixture_done(keeper_fixture_t *f);
/* Stops and starts, as a restart of the process would. */
void keeper_fixture_restart(keeper_fixture_t *f);
void keeper_fixture_start(keeper_fixture_t *f);
void keeper_fixture_stop(keeper_fixture_t *f);

/* Appends a CSR for CN and the fixture's device key; `san` may be NULL. */
void keeper_fixture_csr(const keeper_fixture_t *f, const char *cn, const san_entry_t *san,
                        buf_t *ret_csr);
/* Has it certified by SCEP for the fixture's device; the certificate alone is appended. */
err_t *keeper_fixture_issue(keeper_fixture_t *f, const keeper_request_t *request,
                            buf_t *ret_certificate) WARN_UNUSED;
/* Asks for an intent with these body bytes. */
err_t *keeper_fixture_ask(keeper_fixture_t *f, uint16_t intent, bytes_t body,
                          buf_t *reply) WARN_UNUSED;
/* Runs SQL on the vault's database behind the keeper's back. */
void keeper_fixture_sql(const keeper_fixture_t *f, const char *sql);

#endif
