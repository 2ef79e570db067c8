/*
 * People's S/MIME encryption keys: made, certified by the mail CA and archived by the keeper in one
 * go, kept in the store as ciphertext with their certificates. Each is an escrow object of its own,
 * so that a person's former keys stay; the newest that the mail CA certified and nobody revoked is
 * the current one. A new key makes all the person's devices due to get it
 * (store/mail_deliveries.h). Any worker thread of coffer-web.
 */
#ifndef COFFER_PKI_MAIL_KEY_H
#define COFFER_PKI_MAIL_KEY_H

#include "keeper/client_escrow.h"
#include "pki/pki.h"

typedef struct {
    const char *person_id, *email, *name;
    const char *profile; /* certificate profile of the mail CA; not looked at by import */
    bool approved;       /* a first device needs an officer's consent */
    const char *actor;
} mail_key_spec_t;

/* ret_id: of the escrow object. */
err_t *mail_key_make(pki_t *pki, const mail_key_spec_t *spec,
                     char ret_id[ESCROW_ID_TEXT]) WARN_UNUSED;
/* One that the person brings; see keeper_escrow_import. */
err_t *mail_key_import(pki_t *pki, const mail_key_spec_t *spec, bytes_t p12, bytes_t password,
                       char ret_id[ESCROW_ID_TEXT]) WARN_UNUSED;

/* A person's keys, the current first, then the newest, at most LIMIT_ESCROW_PAYLOADS; in the arena.
 */
typedef struct {
    keeper_delivered_t *list;
    size_t n;
    int64_t newest; /* number of the newest one's row; 0: there is none */
} mail_keys_t;
err_t *mail_keys_load(pki_t *pki, arena_t *arena, const char *person_id,
                      mail_keys_t *ret_keys) WARN_UNUSED;

#endif
