/*
 * The generations of the device CA (decision 0018). A generation is a CA key and certificate of
 * its own, with a name that its lists and addresses bear, and for SCEP either that same RSA key
 * (CA mode) or two RSA keys of a registration authority (RA mode, RFC 8894 section 2.1.2). At any
 * time exactly one is current; before it are the former ones, after it at most one that is next.
 *
 * In the vault generation n has the keys NAME, NAME-ra-sign, NAME-ra-encrypt, and one wrapped row
 * says how many there are and which is current.
 */
#ifndef COFFER_KEEPER_DEVICE_CA_H
#define COFFER_KEEPER_DEVICE_CA_H

#include "crypto/cms.h"
#include "keeper/intents.h"
#include "keeper/own_cert.h"
#include "keeper/vault.h"

enum { DEVICE_CA_NAME = 32 }; /* bytes with the NUL */

typedef struct {
    unsigned generation; /* from 1 */
    keeper_ca_state_t state;
    char name[DEVICE_CA_NAME]; /* "device-ca", "device-ca-2": in records, lists' names, URLs */
    cert_t *cert;
    pkey_t *key;
    bool ra;
    cert_t *recipient; /* whom SCEP's envelopes are for: cert itself, or the RA's */
    pkey_t *recipient_key;
    cms_signer_t *scep_signer; /* the CA or the RA, no other certificates */
} device_ca_t;

void device_ca_done(device_ca_t *ca);

/* ---- which there are ---- */

typedef struct {
    unsigned count;   /* 1..LIMIT_DEVICE_CAS */
    unsigned current; /* 1..count; count is current or one more */
} device_ca_state_t;

/* "device-ca" is the first, "device-ca-2" the second: names in existing certificates stay. */
void device_ca_name(unsigned generation, char ret_name[DEVICE_CA_NAME]);
/* A vault that never had a rollover says nothing of it: one, and it is current. ERR_VERIFY. */
err_t *device_ca_state_get(vault_t *vault, device_ca_state_t *ret_state) WARN_UNUSED;
err_t *device_ca_state_set(vault_t *vault, const device_ca_state_t *state) WARN_UNUSED;
err_t *device_ca_load(vault_t *vault, unsigned generation, const device_ca_state_t *state,
                      device_ca_t *ret_ca) WARN_UNUSED;

/* ---- making one ---- */

typedef struct {
    pkey_kind_t kind; /* PKEY_RSA, PKEY_P256, PKEY_P384 */
    unsigned bits;    /* RSA */
    bool ra;
} device_ca_spec_t;

/*
 * Key "rsa2048", "rsa3072", "rsa4096", "p256" or "p384" (NULL: rsa2048), mode "ca" or "ra" (NULL:
 * what the key can do). ERR_USAGE; an elliptic curve can't decrypt and so needs "ra".
 */
err_t *device_ca_spec_parse(const char *key, const char *mode,
                            device_ca_spec_t *ret_spec) WARN_UNUSED;
/*
 * Makes keys and certificates of a generation and puts them into the vault. Appends the new
 * certificates, the CA's first.
 */
err_t *device_ca_make(vault_t *vault, const own_issuer_t *root, unsigned generation,
                      const device_ca_spec_t *spec, cert_list_t *ret_certs) WARN_UNUSED;

#endif
