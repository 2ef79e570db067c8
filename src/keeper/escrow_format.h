/*
 * The frozen records of escrow, as bytes (docs/formats/escrow.md): every record begins with eight
 * letters that name it and a version byte; numbers are big-endian, texts and runs have a length of
 * four bytes before them; nothing may follow. An unknown version is ERR_VERIFY, everything else
 * malformed ERR_INVALID or ERR_LIMIT. Pure encode and decode, for the keeper, the server and the
 * officers' machines alike; the cryptography over them is escrow_seal.h. Structs own nothing: a
 * bytes_t in one borrows from what it was parsed from.
 */
#ifndef COFFER_KEEPER_ESCROW_FORMAT_H
#define COFFER_KEEPER_ESCROW_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "ipc/wire.h"

enum {
    ESCROW_VERSION = 1,
    ESCROW_HEAD = 9,       /* bytes before a record's fields */
    ESCROW_ID = 16,        /* bytes of an object's, request's id: 32 hex digits as text */
    ESCROW_ID_TEXT = 33,   /* with the NUL */
    ESCROW_HASH = 32,      /* SHA-256 */
    ESCROW_KEY = 32,       /* raw X25519 and Ed25519 keys, DEKs, a share's y */
    ESCROW_SIGNATURE = 64, /* Ed25519 */
    ESCROW_CHECK = 16,     /* of a share: crypto/shamir.h */
    ESCROW_NONCE_TAG = 28, /* AES-256-GCM: 12 before, 16 behind */
    ESCROW_ENC = 32,       /* HPKE's encapsulated key */
    ESCROW_SHARE_SEALED = ESCROW_KEY + ESCROW_NONCE_TAG,
    ESCROW_BLOB_OVERHEAD = ESCROW_HEAD + ESCROW_HASH + ESCROW_NONCE_TAG,
    ESCROW_WRAP_SIZE = ESCROW_HEAD + 4 + ESCROW_KEY + ESCROW_NONCE_TAG,
    ESCROW_APPROVAL_SEALED = ESCROW_KEY + 48, /* HPKE single-shot: enc, ciphertext, tag */
};

/* ---- ids ---- */

/* 32 hex digits to 16 bytes; ERR_INVALID. */
err_t *escrow_id_parse(bytes_t text, uint8_t ret_id[ESCROW_ID]) WARN_UNUSED;
void escrow_id_text(const uint8_t id[ESCROW_ID], char ret_text[ESCROW_ID_TEXT]);

/* ---- what is kept: an object ---- */

/* Kinds whose use Coffer knows; others are for people alone ("file", ...). */
#define ESCROW_KIND_SMIME     "smime-key"
#define ESCROW_KIND_UNLOCK    "unlock-token"
#define ESCROW_KIND_BOOTSTRAP "bootstrap-token"
#define ESCROW_KIND_BYPASS    "bypass-code"
#define ESCROW_KIND_FILEVAULT "filevault-key"
#define ESCROW_KIND_LUKS      "luks-key"
#define ESCROW_KIND_BITLOCKER "bitlocker-key"
#define ESCROW_KIND_PIN       "pin"
#define ESCROW_KIND_FILE      "file"

typedef struct {
    uint8_t id[ESCROW_ID];
    char kind[LIMIT_ESCROW_KIND + 1];   /* lower-case letters, digits and '-'; not empty */
    char owner[LIMIT_ESCROW_OWNER + 1]; /* person id, or "" */
    char device[LIMIT_DEVICE_ID + 1];   /* or "" */
    bool has_spki;
    uint8_t spki[ESCROW_HASH]; /* SHA-256 of the SubjectPublicKeyInfo: of key pairs alone */
    uint64_t version;          /* from 1; a replaced secret is the next version */
} escrow_object_t;

/* The fields without a head, inside other records. */
err_t *escrow_object_put(const escrow_object_t *object, buf_t *out) WARN_UNUSED;
err_t *escrow_object_get(wire_reader_t *r, escrow_object_t *ret_object) WARN_UNUSED;
/* SHA-256 of the record "cofferOB": what every ciphertext of the object is bound to. */
err_t *escrow_object_hash(const escrow_object_t *object, uint8_t ret_hash[ESCROW_HASH]) WARN_UNUSED;

/* ---- archive blob and wrap ---- */

/* "cofferBL": the secret under the object's DEK. */
typedef struct {
    bytes_t commit; /* ESCROW_HASH bytes derived from the DEK: no second DEK opens the blob */
    bytes_t sealed; /* nonce || ciphertext || tag */
} escrow_blob_t;

err_t *escrow_blob_put(const escrow_blob_t *blob, buf_t *out) WARN_UNUSED;
err_t *escrow_blob_parse(bytes_t record, escrow_blob_t *ret_blob) WARN_UNUSED;

/* "cofferWR": the DEK under a storage key of the vault. */
typedef struct {
    uint32_t storage_key; /* its number, from 1 */
    bytes_t sealed;       /* ESCROW_KEY + ESCROW_NONCE_TAG bytes */
} escrow_wrap_t;

err_t *escrow_wrap_put(const escrow_wrap_t *wrap, buf_t *out) WARN_UNUSED;
err_t *escrow_wrap_parse(bytes_t record, escrow_wrap_t *ret_wrap) WARN_UNUSED;

/* ---- officers ---- */

/* "cofferOP": what an officer hands in; signed by its own key (proof of possession). */
typedef struct {
    char label[LIMIT_ESCROW_LABEL + 1]; /* e.g. a mail address; informative */
    uint8_t hpke[ESCROW_KEY];           /* X25519: opens shares */
    uint8_t sign[ESCROW_KEY];           /* Ed25519: signs approvals */
    int64_t created;                    /* seconds since 1970 UTC */
    uint8_t signature[ESCROW_SIGNATURE];
} escrow_officer_file_t;

err_t *escrow_officer_file_put(const escrow_officer_file_t *file, buf_t *out) WARN_UNUSED;
/* Does not verify: escrow_officer_file_verify in escrow_seal.h does. */
err_t *escrow_officer_file_parse(bytes_t record, escrow_officer_file_t *ret_file) WARN_UNUSED;
/* The bytes its signature is over. */
err_t *escrow_officer_file_message(const escrow_officer_file_t *file, buf_t *out) WARN_UNUSED;
/* SHA-256 of "cofferOF", both keys: what people compare. Hex in groups is for the reader. */
err_t *escrow_officer_fingerprint(const uint8_t hpke[ESCROW_KEY], const uint8_t sign[ESCROW_KEY],
                                  uint8_t ret_fingerprint[ESCROW_HASH]) WARN_UNUSED;

typedef struct {
    char id[LIMIT_ESCROW_OFFICER + 1];   /* officer id */
    char person[LIMIT_ESCROW_OWNER + 1]; /* person id */
    uint8_t index;                       /* x of the shares, 1..255, unique in the set */
    uint8_t hpke[ESCROW_KEY];
    uint8_t sign[ESCROW_KEY];
} escrow_officer_t;

/* "cofferST": canonical; officers in ascending order of index, every id, person and key once. */
typedef struct {
    uint64_t epoch;                /* from 1 */
    uint8_t previous[ESCROW_HASH]; /* hash of the set before; zeros in the first */
    uint8_t threshold; /* M: 2..n and at most SHAMIR_THRESHOLD_MAX; one person alone is none */
    size_t n;
    escrow_officer_t officers[LIMIT_ESCROW_OFFICERS];
} escrow_set_t;

/* ERR_INVALID for a set that breaks a rule above. */
err_t *escrow_set_put(const escrow_set_t *set, buf_t *out) WARN_UNUSED;
err_t *escrow_set_parse(bytes_t record, escrow_set_t *ret_set) WARN_UNUSED;
/* SHA-256 of the record. */
err_t *escrow_set_hash(const escrow_set_t *set, uint8_t ret_hash[ESCROW_HASH]) WARN_UNUSED;
/* NULL if there is none; borrowed. */
const escrow_officer_t *escrow_set_officer(const escrow_set_t *set, const char *id);
const escrow_officer_t *escrow_set_index(const escrow_set_t *set, uint8_t index);

/* ---- shares ---- */

/*
 * "cofferSH": one share of an object's DEK, or one part of it (after a re-dealing the officer's
 * share is the XOR of the parts of all dealers), sealed to one officer. `check` tells whoever opens
 * it that y is what was dealt. `enc` may be the same in many shares of one officer.
 */
typedef struct {
    uint64_t epoch;
    char officer[LIMIT_ESCROW_OFFICER + 1];
    uint8_t index;       /* the officer's in this epoch's set */
    uint8_t threshold;   /* of this epoch's set */
    uint64_t from_epoch; /* 0: dealt by the keeper; else the epoch whose officers dealt it */
    uint8_t dealer;      /* 0: the keeper; else the dealing officer's index in from_epoch */
    uint8_t dealers_n;   /* how many parts there are: 0 or from_epoch's threshold */
    uint8_t dealers[LIMIT_ESCROW_OFFICERS]; /* their indices, ascending */
    uint8_t check[ESCROW_CHECK];
    uint8_t enc[ESCROW_ENC];
    uint8_t sealed[ESCROW_SHARE_SEALED]; /* nonce || ciphertext || tag of y */
} escrow_share_t;

err_t *escrow_share_put(const escrow_share_t *share, buf_t *out) WARN_UNUSED;
err_t *escrow_share_parse(bytes_t record, escrow_share_t *ret_share) WARN_UNUSED;

/* ---- recovery ---- */

/* "cofferRQ" */
typedef struct {
    uint8_t id[ESCROW_ID];
    escrow_object_t object;
    uint8_t blob_hash[ESCROW_HASH]; /* SHA-256 of the blob record */
    uint64_t epoch;
    uint8_t set_hash[ESCROW_HASH];
    uint8_t threshold;
    char requester[LIMIT_ESCROW_OWNER + 1]; /* person id */
    char recipient[LIMIT_NAME + 1];         /* for whom */
    char reason[LIMIT_ESCROW_REASON + 1];
    char ticket[LIMIT_ESCROW_TICKET + 1]; /* or "" */
    uint8_t recipient_key[ESCROW_KEY];    /* X25519, one-time */
    int64_t created, expires;             /* seconds since 1970 UTC */
} escrow_request_t;

err_t *escrow_request_put(const escrow_request_t *request, buf_t *out) WARN_UNUSED;
err_t *escrow_request_parse(bytes_t record, escrow_request_t *ret_request) WARN_UNUSED;
/* SHA-256 of the record. */
err_t *escrow_request_hash(const escrow_request_t *request,
                           uint8_t ret_hash[ESCROW_HASH]) WARN_UNUSED;

/* "cofferAP": an officer's share for one request. */
typedef struct {
    uint8_t request_hash[ESCROW_HASH];
    char officer[LIMIT_ESCROW_OFFICER + 1];
    uint8_t index;
    uint8_t check[ESCROW_CHECK];            /* of the share, see escrow_share_check */
    uint8_t sealed[ESCROW_APPROVAL_SEALED]; /* y, HPKE to the request's recipient key */
    int64_t approved;                       /* seconds since 1970 UTC */
    uint8_t signature[ESCROW_SIGNATURE];
} escrow_approval_t;

err_t *escrow_approval_put(const escrow_approval_t *approval, buf_t *out) WARN_UNUSED;
err_t *escrow_approval_parse(bytes_t record, escrow_approval_t *ret_approval) WARN_UNUSED;
/* The bytes its signature is over. */
err_t *escrow_approval_message(const escrow_approval_t *approval, buf_t *out) WARN_UNUSED;

/* ---- re-dealing ---- */

/* "cofferRD": what one officer of the old set deals to all of the new, for a batch of objects. */
typedef struct {
    uint64_t from_epoch, to_epoch;
    uint8_t from_set[ESCROW_HASH], to_set[ESCROW_HASH];
    char officer[LIMIT_ESCROW_OFFICER + 1]; /* the dealer */
    uint8_t dealer;                         /* his index in from_epoch */
    uint8_t dealers_n;                      /* from_epoch's threshold */
    uint8_t dealers[LIMIT_ESCROW_OFFICERS]; /* who deal together, ascending; holds `dealer` */
    uint8_t threshold;                      /* of to_epoch */
    uint8_t officers_n;                     /* of to_epoch */
    uint8_t indices[LIMIT_ESCROW_OFFICERS]; /* theirs, ascending */
    uint8_t encs[LIMIT_ESCROW_OFFICERS][ESCROW_ENC]; /* in that order */
    size_t count;                                    /* objects: 1..LIMIT_ESCROW_REDEAL_BATCH */
    bytes_t items;   /* count times: see escrow_redeal_item_t; borrowed */
    bytes_t message; /* what the signature is over; borrowed; not for put */
    uint8_t signature[ESCROW_SIGNATURE];
} escrow_redeal_t;

/* One object in it: of fixed size, id 16, version 8, object hash 32, then check and sealed of each
 * new officer. */
typedef struct {
    uint8_t id[ESCROW_ID];
    uint64_t version;
    uint8_t object_hash[ESCROW_HASH];
    bytes_t parts; /* officers_n times ESCROW_CHECK + ESCROW_SHARE_SEALED */
} escrow_redeal_item_t;

/* Everything before the signature; the caller signs it and appends 64 bytes. */
err_t *escrow_redeal_put(const escrow_redeal_t *redeal, buf_t *out) WARN_UNUSED;
err_t *escrow_redeal_parse(bytes_t record, escrow_redeal_t *ret_redeal) WARN_UNUSED;
err_t *escrow_redeal_item_put(const escrow_redeal_item_t *item, buf_t *out) WARN_UNUSED;
/* The index-th, below count. */
err_t *escrow_redeal_item(const escrow_redeal_t *redeal, size_t index,
                          escrow_redeal_item_t *ret_item) WARN_UNUSED;
/* The part of the new set's k-th officer as a share record for the store. ERR_VERIFY if to_set is
 * not the set this was dealt to. */
err_t *escrow_redeal_share(const escrow_redeal_t *redeal, const escrow_redeal_item_t *item,
                           const escrow_set_t *to_set, size_t k,
                           escrow_share_t *ret_share) WARN_UNUSED;

/* ---- signatures of officers on other things: the next set, a delivery ---- */

/* "cofferSG" */
typedef struct {
    char officer[LIMIT_ESCROW_OFFICER + 1];
    uint8_t signature[ESCROW_SIGNATURE];
} escrow_signature_t;

err_t *escrow_signature_put(const escrow_signature_t *signature, buf_t *out) WARN_UNUSED;
err_t *escrow_signature_parse(bytes_t record, escrow_signature_t *ret_signature) WARN_UNUSED;

/*
 * "cofferDL", version 2: what officers sign to let a person's keys go to a new device. The
 * mailboxes are what an officer can check: the keeper holds them against the certificates that it
 * issued to this person.
 */
typedef struct {
    char person[LIMIT_ESCROW_OWNER + 1];
    char mailboxes[LIMIT_ESCROW_MAILBOXES + 1]; /* not empty; a space between two */
    uint8_t certificate[ESCROW_HASH];           /* SHA-256 of the device's certificate */
    uint64_t epoch;
    int64_t expires; /* seconds since 1970 UTC */
} escrow_delivery_t;

enum {
    ESCROW_DELIVERY_VERSION = 2,
    ESCROW_DELIVERY_CONSENTS = 1, /* officers who must agree to a first device */
};

err_t *escrow_delivery_put(const escrow_delivery_t *delivery, buf_t *out) WARN_UNUSED;
err_t *escrow_delivery_parse(bytes_t record, escrow_delivery_t *ret_delivery) WARN_UNUSED;
/* Whether the mailbox is one of those, in whatever case. */
bool escrow_delivery_names(const escrow_delivery_t *delivery, bytes_t mailbox);

#endif
