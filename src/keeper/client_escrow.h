/*
 * Asking the keeper for escrow: officers' set, archive, dealing, use, drill. See client.h for what
 * is common and escrow_format.h for the records. What comes back lies in the store as it is: all of
 * it is ciphertext. The keeper's vault records every object's version with its owner and the hash
 * of its blob, and opens nothing that does not match (ERR_VERIFY).
 */
#ifndef COFFER_KEEPER_CLIENT_ESCROW_H
#define COFFER_KEEPER_CLIENT_ESCROW_H

#include "keeper/client.h"
#include "keeper/escrow_format.h"

/* ---- the officers' set ---- */

/*
 * Makes `set` (record cofferST) the set that is dealt to. The first needs no signatures; every
 * later one those of the current set's threshold (records cofferSG over its hash). ERR_DENIED: too
 * few; ERR_VERIFY: one does not hold, or it does not follow the current set. Repeating the current
 * one is done.
 */
err_t *keeper_officers_activate(keeper_t *keeper, bytes_t set, const bytes_t *signatures,
                                size_t signatures_n) WARN_UNUSED;
/* Appends the current set's record, nothing if there is none yet. Idempotent. */
err_t *keeper_officers_set(keeper_t *keeper, buf_t *ret_set) WARN_UNUSED;

/* ---- archiving ---- */

/* What archiving gives. */
typedef struct {
    escrow_object_t object; /* with the SPKI's hash of a key pair */
    buf_t blob;             /* record cofferBL */
    buf_t wrap;             /* record cofferWR; empty: nothing but officers opens it */
    uint64_t epoch;    /* of the set that the shares are for; 0: undealt, there is no set yet */
    buf_t shares;      /* records cofferSH, each with its length (4 bytes) before it */
    buf_t certificate; /* DER, of a key pair; else empty */
} keeper_archived_t;

void keeper_archived_init(keeper_archived_t *archived);
void keeper_archived_done(keeper_archived_t *archived);
/* Reads an answer to its end; for client_*.c. */
err_t *keeper_archived_get(wire_reader_t *r, keeper_archived_t *ret_archived) WARN_UNUSED;

/* How an object may be used without officers. */
typedef enum {
    KEEPER_WRAP_NEVER = 0,     /* by officers alone; refused while there is no set to deal to */
    KEEPER_WRAP_AUTOMATIC = 1, /* typed intents of its kind may use it */
    KEEPER_WRAP_APPROVED = 2,  /* the same, but a delivery to a device needs officers' signatures */
} keeper_wrap_t;

/*
 * Archives a given secret (1..LIMIT_ESCROW_SECRET bytes). object->version must be higher than any
 * recorded for its id (ERR_EXISTS), kind and device the same as before (ERR_DENIED); has_spki must
 * be false. Kinds whose name ends in "signing-key", and a file that is a private signing key as
 * such, are refused (ERR_DENIED); keys go by the two below.
 */
err_t *keeper_escrow_archive(keeper_t *keeper, const escrow_object_t *object, keeper_wrap_t wrap,
                             bytes_t secret, keeper_archived_t *ret_archived) WARN_UNUSED;

typedef struct {
    const char *profile; /* certificate profile of the mail CA: names key kind and size too */
    const char *email;   /* rfc822Name; the mailbox */
    const char *name;    /* commonName of the subject, or "" */
} keeper_smime_t;

/*
 * Makes an S/MIME encryption key pair, has the mail CA certify it, archives it: all in one.
 * object: kind smime-key, version 1, a new id.
 */
err_t *keeper_escrow_make_smime(keeper_t *keeper, const escrow_object_t *object, keeper_wrap_t wrap,
                                const keeper_smime_t *smime,
                                keeper_archived_t *ret_archived) WARN_UNUSED;

/*
 * Archives the encryption key of a PKCS#12 file that a user brought; its certificate comes back.
 * ERR_DENIED if the certificate says that the key signs; ERR_VERIFY for a wrong password (at most
 * LIMIT_ESCROW_IMPORT_TRIES an hour and owner, then ERR_BUSY).
 */
err_t *keeper_escrow_import(keeper_t *keeper, const escrow_object_t *object, keeper_wrap_t wrap,
                            bytes_t p12, bytes_t password,
                            keeper_archived_t *ret_archived) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(keeper_archived_t, keeper_archived_done)

/* ---- batches over stored objects ---- */

/* A stored object as the keeper must see it again. */
typedef struct {
    escrow_object_t object;
    bytes_t wrap;                   /* record cofferWR */
    uint8_t blob_hash[ESCROW_HASH]; /* SHA-256 of the blob record */
} keeper_stored_t;

/*
 * Deals objects (at most LIMIT_ESCROW_BATCH) anew to the current set, out of their wraps: undealt
 * ones, and those of an earlier set. take(arg, index, epoch, shares, e): shares as in
 * keeper_archived_t, or why this one was refused (e, borrowed). Idempotent.
 */
typedef err_t *(*keeper_take_shares_t)(void *arg, size_t index, uint64_t epoch, bytes_t shares,
                                       const err_t *e);
err_t *keeper_escrow_deal(keeper_t *keeper, const keeper_stored_t *list, size_t n,
                          keeper_take_shares_t take, void *arg) WARN_UNUSED;

/* Makes a new storage key; objects are wrapped with it from now on. */
err_t *keeper_storage_key_new(keeper_t *keeper, uint32_t *ret_number) WARN_UNUSED;
/* The number of the current one. Idempotent. */
err_t *keeper_storage_key(keeper_t *keeper, uint32_t *ret_number) WARN_UNUSED;
/* New wraps (by the current storage key) for a batch. Idempotent. */
typedef err_t *(*keeper_take_wrap_t)(void *arg, size_t index, bytes_t wrap, const err_t *e);
err_t *keeper_escrow_rewrap(keeper_t *keeper, const keeper_stored_t *list, size_t n,
                            keeper_take_wrap_t take, void *arg) WARN_UNUSED;

/*
 * Proves that an object still opens: wrap, blob, and for a key that it is the certified one. Says
 * nothing of it. ERR_VERIFY with the step that failed. Idempotent.
 */
err_t *keeper_escrow_drill(keeper_t *keeper, const escrow_object_t *object, bytes_t blob,
                           bytes_t wrap) WARN_UNUSED;

/* ---- use ---- */

/*
 * The secret of a device, to be put into the command `command_uuid` that is on its way to this
 * device (object.device); kinds unlock-token, bootstrap-token, bypass-code, pin and the keys of
 * disks whose rotation needs the old one. Capped as keeper_fill_secret is. ret_secret must be a
 * secret buffer.
 */
err_t *keeper_escrow_fill(keeper_t *keeper, const escrow_object_t *object, bytes_t blob,
                          bytes_t wrap, const char *command_uuid, buf_t *ret_secret) WARN_UNUSED;

/* ---- delivery: a person's keys to a device ---- */

/* A key to deliver, as the store has it. */
typedef struct {
    escrow_object_t object; /* kind smime-key */
    bytes_t blob, wrap;
    bytes_t certificate; /* DER, of this key */
} keeper_delivered_t;

typedef struct {
    const char *person;        /* the owner of all the objects */
    bytes_t fingerprint;       /* SHA-256 of the device's certificate, which the keeper recorded */
    cms_cipher_t cipher;       /* of the envelope */
    bool old_p12;              /* 3DES and SHA-1 inside: for old systems alone */
    bytes_t payloads;          /* the PayloadContent array as a property list, with holes */
    int64_t expires;           /* of the officers' consent; 0: there is none */
    const char *mailboxes;     /* that they agreed to (escrow_delivery_t); NULL: there is none */
    const bytes_t *signatures; /* records cofferSG over the record cofferDL */
    size_t signatures_n;
    const keeper_delivered_t *keys; /* at most LIMIT_ESCROW_PAYLOADS */
    size_t keys_n;
} keeper_delivery_t;

/*
 * Fills the holes and encrypts the payloads to the device: {{p12:ID}} becomes the base64 of a
 * PKCS#12 of the object's key, {{password:ID}} its password; each key's file exactly once. Nothing
 * of it comes back in clear. ERR_DENIED: another person's object, a certificate that has expired,
 * or one whose holder got another person's keys before. ERR_AUTH (KEEPER_WRAP_APPROVED, at a
 * device key's first time): an officer must agree first. ERR_BUSY at LIMIT_ESCROW_DELIVERIES a
 * person and LIMIT_ESCROW_DELIVERIES_ALL in all, a day. What payloads may look like:
 * escrow_payloads.h.
 */
err_t *keeper_escrow_deliver(keeper_t *keeper, const keeper_delivery_t *delivery,
                             buf_t *ret_envelope) WARN_UNUSED;

#endif
