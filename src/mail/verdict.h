/*
 * What is known about a message once it was read to its end: its parts, what was encrypted and how,
 * who signed what, and everything that a careful reader would want to be warned of. Plain data;
 * owns what it points to.
 */
#ifndef COFFER_MAIL_VERDICT_H
#define COFFER_MAIL_VERDICT_H

#include "base/arena.h"
#include "crypto/cms_open.h"
#include "crypto/cms_signers.h"
#include "format/json.h"
#include "format/mime_address.h"
#include "mail/recipients.h"

/* What is wrong or odd, each with a stable name (mail_problem_name). */
typedef enum {
    MAIL_SEVERAL_FROM, /* From twice, several addresses, or one that can be read in two ways */
    MAIL_NO_FROM,
    MAIL_NO_INTEGRITY,      /* encrypted by CBC without a signature inside: may have been altered */
    MAIL_WEAK_CIPHER,       /* 3DES */
    MAIL_NESTED_ENVELOPE,   /* an encrypted part among others: not opened (EFAIL) */
    MAIL_PARTIAL_SIGNATURE, /* a signature covers only some parts */
    MAIL_ECONTENT_DIFFERS,  /* multipart/signed whose signature carries other content */
    MAIL_NO_SIGNER,         /* SignedData that nobody signed */
    MAIL_SEVERAL_SIGNERS,
    MAIL_CMS_BROKEN,  /* a CMS part that can't be read */
    MAIL_BARE_LF,     /* line ends that change in transit and break signatures */
    MAIL_8BIT_SIGNED, /* signed content that isn't 7-bit: may break in transit */
    MAIL_LONG_LINES,
    MAIL_NUL,
    MAIL_BAD_ENCODING,      /* a transfer encoding that is unknown or wasn't clean */
    MAIL_MIME_ODD,          /* duplicate fields, no boundary, not closed, no header field */
    MAIL_HEADER_DIFFERS,    /* a field outside isn't what the sender put there (RFC 9788) */
    MAIL_DATE_DIFFERS,      /* Date is far from the signing time: an old message sent anew? */
    MAIL_FROM_DIFFERS,      /* From inside and From outside are two */
    MAIL_SIGNED_CIPHERTEXT, /* a signature around an envelope: says nothing of what is inside */
    MAIL_PROBLEMS,
} mail_problem_t;
const char *mail_problem_name(mail_problem_t problem);

/* Is the signer whom the message says it is from? */
typedef enum {
    MAIL_MATCH_NONE,   /* no address of the certificate is the From address */
    MAIL_MATCH_FROM,   /* it is the one From address */
    MAIL_MATCH_SENDER, /* not From, but the one Sender address (RFC 8551 section 3): shown apart */
} mail_match_t;

typedef enum {
    MAIL_TRUST_GOOD,
    MAIL_TRUST_UNKNOWN, /* no chain to a trusted root */
    MAIL_TRUST_EXPIRED, /* the chain holds, but not at the time of signing */
    MAIL_TRUST_REVOKED,
    MAIL_TRUST_USAGE, /* not a certificate for signing mail */
} mail_trust_t;

typedef struct {
    mail_match_t match;
    mail_trust_t trust;
    mail_revocation_t revocation; /* at the signing time */
    char reason[200];             /* of the trust, for people; empty if good */
} mail_signer_judgement_t;

typedef struct {
    char path[128]; /* of what is signed */
    bool root;      /* covers the whole message (inside its envelopes) */
    bool clear;     /* multipart/signed; else opaque */
    bool econtent_differs;
    cms_signers_t signers;
    mail_signer_judgement_t judged[16];
} mail_signature_t;

typedef struct {
    char path[128];
    cms_envelope_t envelope;
} mail_envelope_t;

typedef struct {
    char path[128]; /* "1.2"; behind a "/" inside what was decrypted or signed */
    bytes_t type, name;
    bytes_t disposition; /* "inline", "attachment" or none */
    bool leaf;
    bool extracted;      /* a leaf of the innermost message: part_begin was called for it */
    bool legacy_display; /* begins with fields shown again (RFC 9788): not to be shown */
    bool encrypted;      /* lies inside an envelope */
    int signature;       /* the innermost that covers it; -1: none */
    uint64_t size;       /* of a leaf, decoded */
    uint8_t sha256[32];
    unsigned odd; /* of mime_odd_t */
} mail_part_t;
/* Outlook's winmail.dat, by type or name: format/tnef.h reads it. */
bool mail_part_is_tnef(const mail_part_t *part);

/* Header protection: RFC 9788. */
typedef enum {
    MAIL_PROTECTION_NONE,
    MAIL_PROTECTION_CLEAR,  /* the payload has its fields, all readable outside too */
    MAIL_PROTECTION_CIPHER, /* it has, and some may be hidden outside */
} mail_protection_t;

/* A field of the header, inside and outside the payload. Texts are decoded. */
typedef struct {
    bytes_t name;
    bytes_t value;  /* inside */
    bytes_t outer;  /* outside */
    bool protected; /* stands inside */
    bool has_outer;
    bool hidden;  /* inside only, or outside with another value, as the sender meant it */
    bool differs; /* outside isn't what the sender put there */
} mail_header_t;

enum { MAIL_LAYERS = 6, MAIL_SIGNATURES = 16 };

typedef struct {
    arena_t *arena;
    mime_addresses_t from, sender;
    bytes_t subject; /* of the outer header */
    bool has_date;
    int64_t date; /* of the outer header; seconds since 1970 UTC */
    mail_protection_t protection;
    mail_header_t *headers; /* the arena's; none without protection */
    size_t headers_n;
    mail_envelope_t envelopes[MAIL_LAYERS];
    size_t envelopes_n;
    mail_signature_t *signatures; /* the arena's, MAIL_SIGNATURES of them; NULL: nothing signed */
    size_t signatures_n;
    mail_part_t *parts;
    size_t parts_n, parts_room;
    bool problems[MAIL_PROBLEMS];
} mail_verdict_t;

/* In one word. */
typedef enum {
    MAIL_PLAIN,     /* neither signed nor encrypted */
    MAIL_GOOD,      /* signed as a whole, by whom it says it is from, trusted; or only encrypted */
    MAIL_UNTRUSTED, /* the signature holds, but signer or match isn't trusted */
    MAIL_PARTLY,    /* signed, but not as a whole; or only as ciphertext */
    MAIL_BROKEN,    /* a signature doesn't hold */
} mail_status_t;
const char *mail_status_name(mail_status_t status);
mail_status_t mail_status(const mail_verdict_t *verdict);
/* An envelope lies inside the signature: it speaks of ciphertext, not of what that becomes. */
bool mail_signs_ciphertext(const mail_verdict_t *verdict, const mail_signature_t *signature);
/* Nobody can have altered what was decrypted: each envelope is GCM's, or a good signature by whom
 * the message is from lies inside it, around its whole content, with no further envelope (EFAIL).
 */
bool mail_is_whole(const mail_verdict_t *verdict);

/* The protected value if there is one, else the outer. Borrowed. */
bytes_t mail_verdict_subject(const mail_verdict_t *verdict);

void mail_verdict_done(mail_verdict_t *verdict);
/* The whole verdict; the caller owns the object. docs/formats/verdict.md says what stands where. */
err_t *mail_verdict_json(const mail_verdict_t *verdict, json_t **ret_json) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(mail_verdict_t, mail_verdict_done)

#endif
