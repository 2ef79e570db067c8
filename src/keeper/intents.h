/*
 * The keeper's whole vocabulary. Whatever is not in this list is refused; every use (but
 * KEEPER_STATUS, which touches no key) is recorded in the keeper's own log. An intent says what is
 * wanted of a key, never "sign these bytes". Bodies are written and read with ipc/wire.h; each
 * side's code is next to the other's: client.c (asks) and intent_*.c (answers).
 */
#ifndef COFFER_KEEPER_INTENTS_H
#define COFFER_KEEPER_INTENTS_H

typedef enum {
    KEEPER_STATUS = 1,      /* anyone: version, counters, sandbox state */
    KEEPER_PUBLIC = 2,      /* anyone: a certificate or public key of ours */
    KEEPER_SCEP_OPEN = 3,   /* web: the CSR inside a SCEP envelope, and only a CSR */
    KEEPER_SCEP_ISSUE = 4,  /* web: certify a CSR under a profile, answer with a signed CertRep */
    KEEPER_SCEP_REPEAT = 5, /* web: CertRep SUCCESS again for a certificate we issued */
    KEEPER_SCEP_REFUSE = 6, /* web: signed CertRep FAILURE or PENDING */
    /* 7 certified a CSR without SCEP; nothing asked for it. The number is never used again. */
    KEEPER_SIGN_PROFILE = 8,     /* web: sign a configuration profile */
    KEEPER_SEAL_PROFILE = 9,     /* web: encrypt profile payloads to a device we certified */
    KEEPER_SEAL_SECRET = 10,     /* web: seal a device's secret for the store */
    KEEPER_FILL_SECRET = 11,     /* web: the secret, into this command for this device; capped */
    KEEPER_SIGN_AUDIT_HEAD = 12, /* web, courier, mailgate: sign the head of an audit chain */
    KEEPER_LOG = 13,             /* web: read the keeper's own log */
    KEEPER_SCEP_OPEN_ID = 20,    /* web: the certificate's name inside a SCEP envelope, only that */
    KEEPER_SCEP_CRL = 21,        /* web: CertRep SUCCESS with a revocation list of ours */
    KEEPER_NEXT_CA = 22,         /* web: the next device CA, signed by the current one */
    KEEPER_DEVICE_CAS = 23,      /* anyone: the certificates of all generations of the device CA */
    KEEPER_CRL_BEGIN = 30,       /* web: begin a revocation list */
    KEEPER_CRL_ADD = 31,         /* web: entries for it */
    KEEPER_CRL_SIGN = 32,        /* web: its signature, over what was made of the entries here */
    KEEPER_OCSP_SIGN = 33,       /* web: sign certificate statuses with a CA's OCSP responder */

    KEEPER_OFFICERS_ACTIVATE = 40, /* web: the first officers' set, or the next one, signed */
    KEEPER_OFFICERS_SET = 41,      /* web: the current set */
    KEEPER_ESCROW_ARCHIVE = 42,    /* web: archive a given secret */
    KEEPER_ESCROW_SMIME = 43,      /* web: make, certify and archive an S/MIME encryption key */
    KEEPER_ESCROW_IMPORT = 44,     /* web: archive the encryption key of a PKCS#12 file */
    KEEPER_ESCROW_DEAL = 45,       /* web: deal archived objects to the current set */
    KEEPER_ESCROW_REWRAP = 46,     /* web: wrap their data keys by the current storage key */
    KEEPER_ESCROW_DRILL = 47,      /* web: prove that one opens, without saying what it is */
    KEEPER_ESCROW_FILL = 48,       /* web: one into this command for its device; capped */
    KEEPER_STORAGE_KEY = 49,       /* web: the number of the current storage key */
    KEEPER_STORAGE_KEY_NEW = 50,   /* web: make the next one */
    KEEPER_LEASE_PUT = 60,         /* web: put or renew a lease */
    KEEPER_LEASE_RELEASE = 61,     /* web: its key, sealed to its device's push key; capped */
    KEEPER_LEASE_REVOKE = 62,      /* web: forget a device's leases */
    KEEPER_LEASE_LIST = 63,        /* web: which leases a device has; no keys */
    KEEPER_LEASE_RESET = 64,       /* web: forget a device's leases and its push key */
    KEEPER_RECEIVER_MAKE = 70,     /* web: a key that a Mac encrypts its recovery key to */
    KEEPER_SECRET_TAKE = 71,       /* web: archive what a device sent, opened here alone */
    KEEPER_SECRET_PROVE = 72,      /* web: prove to its holder that a disk key is archived */
    KEEPER_ESCROW_DELIVER = 51,    /* web: a person's mail keys, encrypted to his device */

    KEEPER_BACKUP_BEGIN = 90,  /* web: hold the vault's state, give the keys of the other files */
    KEEPER_BACKUP_COPY = 91,   /* web: copy some of it, inside the vault */
    KEEPER_BACKUP_READ = 92,   /* web: chunks of the copy, sealed */
    KEEPER_BACKUP_FINISH = 93, /* web: seal the keys to the officers, sign the backup's head */

    KEEPER_MAIL_ALLOW = 100, /* web: what the mail gateway may do for a person */
    KEEPER_MAIL_SIGN = 101,  /* mailgate: a signature over a message's hash, for a person */
    KEEPER_MAIL_OPEN = 102,  /* mailgate: one message's content key, by an archived key; capped */

    KEEPER_MAILBOX_SEAL = 103, /* web: seal the password of a mailbox that is watched */
    KEEPER_MAILBOX_OPEN = 104, /* courier: that password, for the server and login it is for */

    KEEPER_BLOB_KEYS = 110,       /* web: the keys that synced blobs lie under, and nothing else */
    KEEPER_SYNC_CHECKPOINT = 111, /* web: sign a checkpoint of the log of device chains */
} keeper_intent_t;

/* Who may ask is decided by the channel a request came in on, not by what it says. */
typedef enum {
    KEEPER_ROLE_WEB = 1,
    KEEPER_ROLE_COURIER = 2,
    KEEPER_ROLE_MAILGATE = 3,
} keeper_role_t;

/* KEEPER_PUBLIC: what. */
typedef enum {
    KEEPER_PUBLIC_ROOT = 1,           /* certificate DER */
    KEEPER_PUBLIC_DEVICE_CA = 2,      /* certificate DER; the current one */
    KEEPER_PUBLIC_PROFILE_SIGNER = 3, /* certificate DER */
    KEEPER_PUBLIC_AUDIT_KEY = 4,      /* SubjectPublicKeyInfo DER */
    KEEPER_PUBLIC_MAIL_CA = 5,        /* certificate DER */
    KEEPER_PUBLIC_LEASE_KEY = 6,      /* SubjectPublicKeyInfo DER, X25519 */
    KEEPER_PUBLIC_SYNC_LOG = 7,       /* SubjectPublicKeyInfo DER, Ed25519 */
} keeper_public_t;

/* A generation of the device CA; what is on the wire of KEEPER_DEVICE_CAS. */
typedef enum {
    KEEPER_CA_FORMER = 1,  /* certifies no more, but signs lists, statuses and late SCEP replies */
    KEEPER_CA_CURRENT = 2, /* certifies */
    KEEPER_CA_NEXT = 3,    /* certifies nothing yet; devices get to know it */
} keeper_ca_state_t;

#endif
