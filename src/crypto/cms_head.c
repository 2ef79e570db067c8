/*
 * The BER walk before OpenSSL: see cms_head.h. X.690 section 8.1, RFC 5652 section 3. Runs
 * wherever foreign CMS arrives (keeper, web, mailgate); any thread, pure.
 */
#include "crypto/cms_head.h"

#include "base/limits.h"
#include "crypto/ber_internal.h"

enum {
    BER_TAG_INTEGER = 0x02,
    BER_TAG_OID = 0x06,
    BER_TAG_SEQUENCE = 0x30,
    BER_TAG_SET = 0x31,
    BER_TAG_EXPLICIT_0 = 0xa0,
    BER_CONSTRUCTED = 0x20,
    BER_HIGH_TAG = 0x1f,
    BER_INDEFINITE = 0x80,
};

typedef struct {
    uint8_t tag;
    bool indefinite;
    size_t head;   /* bytes of identifier and length */
    size_t length; /* bytes of content; 0 if indefinite */
} ber_head_t;

static err_t *ber_read_head(bytes_t b, ber_head_t *ret_head) {
    if (b.n < 2) return err_new(ERR_INVALID, "BER element is cut off");
    ber_head_t h = {.tag = b.p[0], .head = 2};
    if ((h.tag & BER_HIGH_TAG) == BER_HIGH_TAG)
        return err_new(ERR_INVALID, "BER element with a high tag number");
    uint8_t first = b.p[1];
    if (first < BER_INDEFINITE) {
        h.length = first;
    } else if (first == BER_INDEFINITE) {
        if (!(h.tag & BER_CONSTRUCTED))
            return err_new(ERR_INVALID, "BER primitive with indefinite length");
        h.indefinite = true;
    } else {
        size_t octets = first & 0x7fU;
        if (octets > 4) return err_new(ERR_INVALID, "BER length of %zu octets", octets);
        if (b.n - 2 < octets) return err_new(ERR_INVALID, "BER length is cut off");
        for (size_t i = 0; i < octets; i++) h.length = h.length << 8 | b.p[2 + i];
        h.head += octets;
    }
    *ret_head = h;
    return NULL;
}

/* An element not yet closed. `bound`: where its content must end at the latest. */
typedef struct {
    size_t bound;
    bool indefinite;
} ber_open_t;

static err_t *ber_push(ber_open_t *open, size_t *depth, size_t bound, bool indefinite) {
    if (*depth == LIMIT_CMS_DEPTH)
        return err_new(ERR_LIMIT, "BER nested deeper than %d", LIMIT_CMS_DEPTH);
    open[(*depth)++] = (ber_open_t){bound, indefinite};
    return NULL;
}

/* Walks the first element of b to its end; *ret_total is its whole length. */
static err_t *ber_walk(bytes_t b, size_t *ret_total) {
    ber_open_t open[LIMIT_CMS_DEPTH];
    size_t depth = 0, at = 0, elements = 0;
    do {
        size_t bound = depth ? open[depth - 1].bound : b.n;
        ber_head_t h;
        TRY(ber_read_head(bytes_make(b.p + at, bound - at), &h));
        if (++elements > LIMIT_CMS_ELEMENTS)
            return err_new(ERR_LIMIT, "more than %d BER elements", LIMIT_CMS_ELEMENTS);
        at += h.head;
        if (h.tag == 0) {
            if (h.length || depth == 0 || !open[depth - 1].indefinite)
                return err_new(ERR_INVALID, "BER end-of-contents where none belongs");
            depth--;
        } else if (h.indefinite) {
            TRY(ber_push(open, &depth, bound, true));
        } else {
            if (h.length > bound - at) return err_new(ERR_INVALID, "BER length past its parent");
            if (h.tag & BER_CONSTRUCTED) TRY(ber_push(open, &depth, at + h.length, false));
            else at += h.length;
        }
        while (depth && !open[depth - 1].indefinite && open[depth - 1].bound == at) depth--;
    } while (depth);
    *ret_total = at;
    return NULL;
}

err_t *ber_next(bytes_t *rest, uint8_t *ret_tag, bytes_t *ret_content) {
    ber_head_t h;
    TRY(ber_read_head(*rest, &h));
    size_t total;
    TRY(ber_walk(*rest, &total));
    size_t tail = h.indefinite ? 2 : 0;
    *ret_tag = h.tag;
    *ret_content = bytes_make(rest->p + h.head, total - h.head - tail);
    *rest = bytes_make(rest->p + total, rest->n - total);
    return NULL;
}

err_t *ber_expect(bytes_t *rest, uint8_t tag, bytes_t *ret_content) {
    uint8_t found;
    TRY(ber_next(rest, &found, ret_content));
    if (found != tag) return err_new(ERR_INVALID, "BER tag %02x instead of %02x", found, tag);
    return NULL;
}

/* The content types that anything in Coffer reads, as DER content octets. */
static const struct {
    cms_type_t type;
    bytes_t oid;
} known_types[] = {
    {CMS_SIGNED_DATA, {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", 9}},
    {CMS_ENVELOPED_DATA, {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", 9}},
    {CMS_AUTHENVELOPED_DATA, {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17", 11}},
};

/* ContentInfo ::= SEQUENCE { contentType OID, content [0] EXPLICIT ANY } */
static err_t *cms_head_content(bytes_t message, cms_type_t *ret_type, bytes_t *ret_content) {
    bytes_t info, oid, content;
    TRY(ber_expect(&message, BER_TAG_SEQUENCE, &info));
    if (message.n) return err_new(ERR_INVALID, "bytes behind the CMS message");
    TRY(ber_expect(&info, BER_TAG_OID, &oid));
    TRY(ber_expect(&info, BER_TAG_EXPLICIT_0, &content));
    if (info.n) return err_new(ERR_INVALID, "CMS ContentInfo has more than two members");
    for (size_t i = 0; i < sizeof known_types / sizeof known_types[0]; i++) {
        if (!bytes_eq(oid, known_types[i].oid)) continue;
        *ret_type = known_types[i].type;
        return ber_expect(&content, BER_TAG_SEQUENCE, ret_content);
    }
    return err_new(ERR_INVALID, "CMS content type is not one that is read here");
}

static err_t *count_members(bytes_t set, size_t max, const char *what) {
    uint8_t tag;
    bytes_t member;
    for (size_t n = 0; set.n; n++) {
        if (n == max) return err_new(ERR_LIMIT, "CMS message with more than %zu %s", max, what);
        TRY(ber_next(&set, &tag, &member));
    }
    return NULL;
}

/*
 * SignedData ::= SEQUENCE { version, digestAlgorithms SET, encapContentInfo SEQUENCE,
 * certificates [0] OPTIONAL, crls [1] OPTIONAL, signerInfos SET }
 */
static err_t *check_signed(bytes_t data) {
    bytes_t member;
    uint8_t tag;
    TRY(ber_expect(&data, BER_TAG_INTEGER, &member));
    TRY(ber_expect(&data, BER_TAG_SET, &member));
    TRY(count_members(member, LIMIT_CMS_DIGESTS, "digest algorithms"));
    TRY(ber_expect(&data, BER_TAG_SEQUENCE, &member));
    do {
        TRY(ber_next(&data, &tag, &member));
        if (tag == BER_TAG_EXPLICIT_0)
            TRY(count_members(member, LIMIT_CMS_CERTIFICATES, "certificates"));
    } while (tag != BER_TAG_SET);
    return data.n ? err_new(ERR_INVALID, "SignedData goes on behind its signers") : NULL;
}

/* Both kinds begin: SEQUENCE { version, originatorInfo [0] OPTIONAL, recipientInfos SET, ... } */
static err_t *check_enveloped(bytes_t data) {
    bytes_t member, certificates;
    uint8_t tag;
    TRY(ber_expect(&data, BER_TAG_INTEGER, &member));
    TRY(ber_next(&data, &tag, &member));
    if (tag == BER_TAG_EXPLICIT_0) {
        while (member.n) {
            TRY(ber_next(&member, &tag, &certificates));
            TRY(count_members(certificates, LIMIT_CMS_CERTIFICATES, "certificates"));
        }
        TRY(ber_next(&data, &tag, &member));
    }
    if (tag != BER_TAG_SET) return err_new(ERR_INVALID, "EnvelopedData without recipients");
    return count_members(member, LIMIT_CMS_RECIPIENTS, "recipients");
}

err_t *cms_head_check(bytes_t message, cms_type_t *ret_type) {
    if (message.n > LIMIT_CMS_BYTES)
        return err_new(ERR_LIMIT, "CMS message of %zu bytes", message.n);
    bytes_t content;
    cms_type_t type;
    TRY_WRAP(cms_head_content(message, &type, &content), "CMS message");
    TRY(type == CMS_SIGNED_DATA ? check_signed(content) : check_enveloped(content));
    *ret_type = type;
    return NULL;
}

/*
 * EnvelopedData ::= SEQUENCE { version, [0] originatorInfo OPTIONAL, recipientInfos SET,
 * encryptedContentInfo SEQUENCE { contentType OID, algorithm SEQUENCE { OID, ... }, ... } ... }
 */
err_t *cms_head_cipher_oid(bytes_t message, bytes_t *ret_oid) {
    cms_type_t type;
    bytes_t enveloped, member, algorithm;
    uint8_t tag;
    TRY(cms_head_content(message, &type, &enveloped));
    if (type == CMS_SIGNED_DATA) return err_new(ERR_INVALID, "CMS message is not enveloped");
    do TRY(ber_next(&enveloped, &tag, &member));
    while (tag != BER_TAG_SET);
    TRY(ber_expect(&enveloped, BER_TAG_SEQUENCE, &member));
    bytes_t oid;
    TRY(ber_expect(&member, BER_TAG_OID, &oid));
    TRY(ber_expect(&member, BER_TAG_SEQUENCE, &algorithm));
    return ber_expect(&algorithm, BER_TAG_OID, ret_oid);
}

/*
 * KeyTransRecipientInfo ::= SEQUENCE { version, IssuerAndSerialNumber ::= SEQUENCE { issuer,
 * serialNumber }, ... } (RFC 5652 sections 6.2.1 and 10.2.4)
 */
static bool recipient_names(bytes_t info, const cert_t *cert) {
    bytes_t member, id = BYTES_NONE, serial = BYTES_NONE;
    uint8_t tag;
    err_t *e = ber_expect(&info, BER_TAG_INTEGER, &member);
    if (!e) e = ber_expect(&info, BER_TAG_SEQUENCE, &id);
    bytes_t issuer = id;
    if (!e) e = ber_next(&id, &tag, &member);
    if (!e) issuer.n -= id.n;
    if (!e) e = ber_expect(&id, BER_TAG_INTEGER, &serial);
    bool fine = !e;
    err_free(e);
    while (fine && serial.n > 1 && serial.p[0] == 0) serial = bytes_from(serial, 1);
    return fine && bytes_eq(issuer, cert_issuer_der(cert)) && bytes_eq(serial, cert_serial(cert));
}

bool cms_head_names(bytes_t message, const cert_t *cert) {
    cms_type_t type;
    bytes_t enveloped, member = BYTES_NONE, info;
    uint8_t tag = 0;
    bool named = false;
    err_t *e = cms_head_content(message, &type, &enveloped);
    if (!e && type == CMS_SIGNED_DATA) return false;
    while (!e && tag != BER_TAG_SET) e = ber_next(&enveloped, &tag, &member);
    while (!e && member.n && !named) {
        e = ber_next(&member, &tag, &info);
        if (!e && tag == BER_TAG_SEQUENCE) named = recipient_names(info, cert);
    }
    err_free(e);
    return named;
}
