/*
 * Mail keys put into the payloads of a profile (XML property list). Whoever made the payloads is
 * not trusted with the keys, though the device will be: a file or password in another place than a
 * PKCS#12 payload (a calendar's password, a link) would have the device send it to somebody. So a
 * hole is filled only where nothing else can be meant. Keeper; pure, any thread.
 */
#ifndef COFFER_KEEPER_ESCROW_PAYLOADS_H
#define COFFER_KEEPER_ESCROW_PAYLOADS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "keeper/escrow_format.h"

/* A key to put in, once. */
typedef struct {
    char id[ESCROW_ID_TEXT];
    bytes_t file;     /* base64 of the PKCS#12 */
    bytes_t password; /* of digits and letters */
    bool used;        /* set here */
} escrow_payload_t;

/*
 * Appends the payloads to out, with every key in the one dict that has its holes:
 *
 *     <dict> <key>PayloadType</key> <string>com.apple.security.pkcs12</string>
 *            <key>PayloadContent</key> <data>{{p12:ID}}</data>
 *            <key>Password</key> <string>{{password:ID}}</string> ... </dict>
 *
 * in any order, with other keys of strings and integers. ERR_INVALID if "{{" is anywhere else, if a
 * key has no such dict or two, or if the text has another head than ours, comments, CDATA sections
 * or processing instructions, which could make a dict mean something else.
 */
err_t *escrow_payloads_fill(bytes_t payloads, escrow_payload_t *keys, size_t n,
                            buf_t *out) WARN_UNUSED;

#endif
