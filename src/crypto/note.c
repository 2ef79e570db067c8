/*
 * Signed notes over OpenSSL: see note.h (C2SP signed-note). Any process, any thread.
 */
#include "crypto/note.h"

#include <openssl/err.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/openssl_internal.h"

enum { KEY_ID = 4, SIGNATURE = 64, ED25519_TYPE = 1, BLOB = KEY_ID + SIGNATURE };

#define DASH "\xe2\x80\x94 " /* em dash and space: how a signature line begins */

static bool name_valid(bytes_t name) {
    if (name.n == 0 || name.n > LIMIT_NOTE_NAME || !text_printable(name)) return false;
    return bytes_find(name, ' ') == name.n && bytes_find(name, '+') == name.n;
}

/* UTF-8 without control characters other than newlines. */
static bool text_valid(bytes_t text) {
    if (text.n == 0 || text.n > LIMIT_NOTE_BYTES || !text_utf8_valid(text)) return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < ' ' && text.p[i] != '\n') return false;
    return text.p[text.n - 1] == '\n';
}

static err_t *key_id(const pkey_t *key, bytes_t name, uint8_t ret_public[32],
                     uint8_t ret_id[KEY_ID]) {
    uint8_t hash[DIGEST_SHA256_SIZE];
    CLEANUP(buf_done) buf_t input;
    buf_init(&input, LIMIT_NOTE_NAME + 64);
    if (pkey_kind(key) != PKEY_ED25519)
        return err_new(ERR_USAGE, "notes are signed with Ed25519 keys");
    TRY(pkey_raw_public(key, ret_public));
    TRY(buf_add(&input, name));
    TRY(buf_add_byte(&input, '\n'));
    TRY(buf_add_byte(&input, ED25519_TYPE));
    TRY(buf_add(&input, bytes_make(ret_public, 32)));
    TRY(digest_sha256(buf_bytes(&input), hash));
    memcpy(ret_id, hash, KEY_ID);
    return NULL;
}

static err_t *sign(const pkey_t *key, bytes_t text, uint8_t out[SIGNATURE]) {
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = SIGNATURE;
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey_evp(key)) != 1 ||
        EVP_DigestSign(ctx, out, &n, text.p, text.n) != 1 || n != SIGNATURE)
        return err_openssl(ERR_INTERNAL, "signing a note");
    return NULL;
}

static err_t *verify(const pkey_t *key, bytes_t text, const uint8_t *signature) {
    CLEANUP(EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey_evp(key)) != 1)
        return err_openssl(ERR_INTERNAL, "preparing to verify a note");
    bool holds = EVP_DigestVerify(ctx, signature, SIGNATURE, text.p, text.n) == 1;
    ERR_clear_error();
    return holds ? NULL : err_new(ERR_VERIFY, "the note's signature does not hold");
}

err_t *note_sign(const pkey_t *key, const char *name, bytes_t text, buf_t *out) {
    uint8_t public[32], blob[BLOB];
    if (!name_valid(bytes_str(name)) || !text_valid(text) || !pkey_has_private(key))
        return err_new(ERR_USAGE, "a note or a key's name that can't be");
    TRY(key_id(key, bytes_str(name), public, blob));
    TRY(sign(key, text, blob + KEY_ID));
    TRY(buf_add(out, text));
    TRY(buf_printf(out, "\n" DASH "%s ", name));
    TRY(text_base64(BYTES_ARRAY(blob), out));
    return buf_add_byte(out, '\n');
}

/* The text ends at the last empty line. */
static err_t *split(bytes_t note, bytes_t *ret_text, bytes_t *ret_lines) {
    if (note.n > LIMIT_NOTE_BYTES) return err_new(ERR_LIMIT, "a note is too long");
    if (!text_valid(note)) return err_new(ERR_INVALID, "not a signed note");
    for (size_t i = note.n - 1; i > 0; i--) {
        if (note.p[i] != '\n' || note.p[i - 1] != '\n') continue;
        *ret_text = bytes_slice(note, 0, i);
        *ret_lines = bytes_from(note, i + 1);
        if (ret_lines->n == 0) break;
        return NULL;
    }
    return err_new(ERR_INVALID, "a note without signatures");
}

/* Our decoder is lenient; a note has one form. */
static err_t *check_base64(bytes_t text, bytes_t data) {
    CLEANUP(buf_done) buf_t again;
    buf_init(&again, LIMIT_NOTE_BYTES);
    TRY(text_base64(data, &again));
    if (!bytes_eq(buf_bytes(&again), text))
        return err_new(ERR_INVALID, "a signature line of another form");
    return NULL;
}

/* One signature line: its name and blob. */
static err_t *parse_line(bytes_t line, bytes_t *ret_name, buf_t *blob) {
    if (!bytes_starts(line, BYTES_LIT(DASH)))
        return err_new(ERR_INVALID, "a signature line of another form");
    bytes_t rest = bytes_from(line, sizeof DASH - 1);
    size_t space = bytes_find(rest, ' ');
    *ret_name = bytes_slice(rest, 0, space);
    if (space == rest.n || !name_valid(*ret_name))
        return err_new(ERR_INVALID, "a signature line of another form");
    buf_clear(blob);
    TRY(text_unbase64(bytes_from(rest, space + 1), blob));
    if (blob->n <= KEY_ID) return err_new(ERR_INVALID, "a signature line of another form");
    return check_base64(bytes_from(rest, space + 1), buf_bytes(blob));
}

err_t *note_open(bytes_t note, const pkey_t *key, const char *name, bytes_t *ret_text) {
    uint8_t public[32], id[KEY_ID];
    bytes_t text, lines, line;
    bool found = false;
    CLEANUP(buf_done) buf_t blob;
    buf_init(&blob, LIMIT_NOTE_BYTES);
    TRY(key_id(key, bytes_str(name), public, id));
    TRY(split(note, &text, &lines));
    for (size_t n = 0; text_split(&lines, '\n', &line) && (line.n || lines.n); n++) {
        bytes_t who;
        if (n == LIMIT_NOTE_SIGNATURES) return err_new(ERR_LIMIT, "a note of too many signatures");
        TRY(parse_line(line, &who, &blob));
        if (!bytes_eq_str(who, name) || memcmp(blob.p, id, KEY_ID) != 0) continue;
        if (blob.n != BLOB) return err_new(ERR_VERIFY, "a note's signature of the wrong size");
        TRY(verify(key, text, blob.p + KEY_ID));
        found = true;
    }
    if (!found) return err_new(ERR_VERIFY, "the note is not signed by %s", name);
    *ret_text = text;
    return NULL;
}

err_t *note_verifier_text(const pkey_t *key, const char *name, buf_t *out) {
    uint8_t typed[33], id[KEY_ID];
    if (!name_valid(bytes_str(name))) return err_new(ERR_USAGE, "a key's name that can't be");
    typed[0] = ED25519_TYPE;
    TRY(key_id(key, bytes_str(name), typed + 1, id));
    TRY(buf_printf(out, "%s+%02x%02x%02x%02x+", name, id[0], id[1], id[2], id[3]));
    return text_base64(BYTES_ARRAY(typed), out);
}

err_t *note_verifier_parse(bytes_t text, bytes_t *ret_name, pkey_t **ret_key) {
    CLEANUP(buf_done) buf_t typed, again;
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(mem_free) char *name = NULL;
    size_t first = bytes_find(text, '+');
    bytes_t rest = bytes_from(text, first + 1);
    buf_init(&typed, LIMIT_NOTE_BYTES);
    buf_init(&again, LIMIT_NOTE_BYTES);
    if (text.n > LIMIT_NOTE_BYTES || !name_valid(bytes_slice(text, 0, first)) ||
        bytes_find(rest, '+') != 2 * (size_t)KEY_ID)
        return err_new(ERR_INVALID, "not the key of a log: name+hash+base64");
    err_t *e = text_unbase64(bytes_from(rest, 2 * (size_t)KEY_ID + 1), &typed);
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (e || typed.n != 33 || typed.p[0] != ED25519_TYPE) {
        err_free(e);
        return err_new(ERR_INVALID, "not the key of a log: Ed25519 is wanted");
    }
    TRY(pkey_from_raw_public(PKEY_ED25519, bytes_from(buf_bytes(&typed), 1), &key));
    name = mem_strndup((const char *)text.p, first);
    if (!name) return err_nomem();
    TRY(note_verifier_text(key, name, &again));
    if (!bytes_eq(buf_bytes(&again), text))
        return err_new(ERR_INVALID, "a log's key whose hash is another one");
    *ret_name = bytes_slice(text, 0, first);
    *ret_key = STEAL(key);
    return NULL;
}
