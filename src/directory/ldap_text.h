/*
 * Text of LDAP: values inside filters (RFC 4515) and names (RFC 4514), names made comparable,
 * Active Directory's object GUIDs, and ldap URLs. Pure; any thread.
 */
#ifndef COFFER_DIRECTORY_LDAP_TEXT_H
#define COFFER_DIRECTORY_LDAP_TEXT_H

#include "base/buf.h"
#include "base/text.h"

/* Appends a value as it must stand in a filter (RFC 4515 section 3). Any bytes, also binary. */
err_t *ldaptext_filter_value(bytes_t value, buf_t *out) WARN_UNUSED;
/* Appends every byte as \XX: for binary values. */
err_t *ldaptext_filter_binary(bytes_t value, buf_t *out) WARN_UNUSED;
/* Appends a value as it must stand in a distinguished name (RFC 4514 section 2.4). */
err_t *ldaptext_dn_value(bytes_t value, buf_t *out) WARN_UNUSED;

/*
 * Appends a distinguished name in one form for all its spellings: types and ASCII letters in lower
 * case, white space squeezed, one way of escaping, the parts of a multi-valued RDN in order. For
 * comparing names by caseIgnoreMatch, which all naming attributes in practice have. ERR_INVALID
 * for what is none (RFC 4514 section 3); ERR_LIMIT past LIMIT_LDAP_DN or LIMIT_LDAP_RDNS.
 */
err_t *ldaptext_dn_fold(bytes_t dn, buf_t *out) WARN_UNUSED;
/* Whether the name is `base` or beneath it; everything is beneath an empty base. */
err_t *ldaptext_dn_under(bytes_t dn, bytes_t base, bool *ret_under) WARN_UNUSED;

/* An objectGUID's 16 bytes as Windows writes it, the first three fields little-endian; lower case
 * ([MS-DTYP] 2.3.4.3). ERR_INVALID for another length. */
err_t *ldaptext_guid(bytes_t guid, char ret_text[TEXT_UUID_SIZE]) WARN_UNUSED;
/* The bytes of such a text. */
err_t *ldaptext_unguid(bytes_t text, uint8_t ret_guid[16]) WARN_UNUSED;

typedef struct {
    bool tls; /* ldaps */
    char host[256];
    uint16_t port;
} ldaptext_url_t;
/* "ldap://host", "ldaps://host:636", "ldap://[::1]:389"; nothing behind it. */
err_t *ldaptext_url(bytes_t url, ldaptext_url_t *ret_url) WARN_UNUSED;
/* localhost, 127.0.0.0/8 or ::1, by its text. */
bool ldaptext_is_loopback(const ldaptext_url_t *url);
/* Whether the parentheses of a filter match, outside of escapes, and it is one whole. */
bool ldaptext_filter_whole(bytes_t filter);

#endif
