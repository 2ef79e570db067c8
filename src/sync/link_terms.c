/*
 * URLs, terms and labels of links: see link_terms.h. Pure; any process, any thread.
 */
#include "sync/link_terms.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"

#define URL_PATH "/share/"
#define LABEL    "coffer/v1/sync/link-label"

enum {
    ID_HEX = 2 * SYNC_NODE,
    SECRET_TEXT = 43, /* 32 bytes in base64url */
    LABEL_SEALED = 8 + LIMIT_SYNC_LINK_LABEL + AEAD_OVERHEAD,
    INFO_MAX = 128,
    LIST_HEAD = RECORD_HEAD + 2,
    LIST_MAX = LIMIT_SYNC_LINK_BYTES + 1024,
};

/* ---- the URL ---- */

void sync_link_url_done(sync_link_url_t *url) {
    secret_free(url->secret);
    *url = (sync_link_url_t){0};
}

static err_t *no_link(void) {
    return err_new(ERR_INVALID, "a link looks like https://HOST/share/ID#SECRET: copy all of it");
}

/* "https://" and a host, with nothing that could end it early. */
static bool is_origin(bytes_t origin) {
    bytes_t host = bytes_from(origin, 8);
    if (!bytes_starts(origin, BYTES_LIT("https://")) || host.n == 0) return false;
    if (origin.n > LIMIT_SYNC_ORIGIN) return false;
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = host.p[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
        if (!fine) return false;
    }
    return true;
}

err_t *sync_link_url_put(const char *origin, const sync_link_t *link, const secret_t *secret,
                         bool password, buf_t *out) {
    if (!is_origin(bytes_str(origin)))
        return err_new(ERR_INVALID, "%s is not the address of a server", origin);
    TRY(buf_add_str(out, origin));
    TRY(buf_add_str(out, URL_PATH));
    TRY(text_hex(BYTES_ARRAY(link->id), out));
    TRY(buf_add_byte(out, '#'));
    TRY(text_base64url(secret_bytes(secret), out));
    return password ? buf_add_str(out, ".p") : NULL;
}

/* Hex of one form: lower case, so that there is one URL of a link. */
static err_t *parse_id(bytes_t hex, uint8_t ret_id[SYNC_NODE]) {
    CLEANUP(buf_done) buf_t id;
    buf_init(&id, ID_HEX);
    for (size_t i = 0; i < hex.n; i++)
        if (hex.p[i] >= 'A' && hex.p[i] <= 'F') return no_link();
    err_t *e = hex.n == ID_HEX ? text_unhex(hex, &id) : no_link();
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (id.n != SYNC_NODE) return no_link();
    memcpy(ret_id, id.p, SYNC_NODE);
    return NULL;
}

/* Of the letters of base64url alone: the decoder takes white space and the other alphabet too. */
static err_t *parse_secret(bytes_t text, secret_t **ret_secret) {
    CLEANUP(buf_done) buf_t raw;
    CLEANUP(buf_done) buf_t again;
    buf_init_secret(&raw, SECRET_TEXT); /* the decoder wants some room */
    buf_init_secret(&again, 2 * SECRET_TEXT);
    if (text.n != SECRET_TEXT) return no_link();
    err_t *e = text_unbase64(text, &raw);
    if (!e && raw.n == SYNC_KEY) e = text_base64url(buf_bytes(&raw), &again);
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (!bytes_eq(buf_bytes(&again), text)) return no_link();
    return secret_copy(buf_bytes(&raw), ret_secret);
}

err_t *sync_link_url_parse(bytes_t text, sync_link_url_t *ret_url) {
    CLEANUP(sync_link_url_done) sync_link_url_t url = {0};
    const bytes_t path = BYTES_LIT(URL_PATH), lock = BYTES_LIT(".p");
    text = text_trim(text);
    size_t slash = 8 + bytes_find(bytes_from(text, 8), '/');
    bytes_t origin = bytes_slice(text, 0, slash), rest = bytes_from(text, slash);
    if (!is_origin(origin) || !bytes_starts(rest, path)) return no_link();
    rest = bytes_from(rest, path.n);
    bytes_t id = bytes_slice(rest, 0, bytes_find(rest, '#'));
    bytes_t secret = bytes_from(rest, id.n + 1);
    url.password =
        secret.n == SECRET_TEXT + lock.n && bytes_eq(bytes_from(secret, SECRET_TEXT), lock);
    if (url.password) secret = bytes_slice(secret, 0, SECRET_TEXT);
    TRY(parse_id(id, url.id));
    TRY(parse_secret(secret, &url.secret));
    bytes_put(url.origin, origin);
    *ret_url = url;
    url = (sync_link_url_t){0};
    return NULL;
}

/* ---- terms ---- */

static err_t *check_roots(bytes_t roots) {
    size_t n = roots.n / SYNC_HASH;
    if (roots.n % SYNC_HASH || n == 0 || n > LIMIT_SYNC_LINK_FILES)
        return err_new(ERR_LIMIT, "a link has the data of 1 to %d files", LIMIT_SYNC_LINK_FILES);
    for (size_t i = 1; i < n; i++)
        if (memcmp(roots.p + (i - 1) * SYNC_HASH, roots.p + i * SYNC_HASH, SYNC_HASH) >= 0)
            return err_new(ERR_INVALID, "a link's data packages are not ascending");
    return NULL;
}

/* The service can't open it, but it can see that it is one, and of this link. */
static err_t *check_list(bytes_t list, const uint8_t id[SYNC_NODE]) {
    uint16_t suite = 0;
    uint8_t own[SYNC_NODE];
    bytes_t sealed;
    wire_reader_t r = wire_reader(list);
    TRY(sync_get_head(&r, "YL", &suite));
    TRY(record_get_raw(&r, SYNC_NODE, own));
    TRY(wire_get_bytes(&r, LIMIT_SYNC_LINK_BYTES + AEAD_OVERHEAD, &sealed));
    TRY(wire_done(&r));
    if (memcmp(own, id, SYNC_NODE) != 0)
        return err_new(ERR_INVALID, "the list of files is another link's");
    return NULL;
}

static err_t *check_terms(const sync_link_terms_t *terms) {
    if (terms->expires <= 0) return err_new(ERR_INVALID, "a link without an end");
    TRY(check_roots(terms->roots));
    return check_list(terms->list, terms->id);
}

err_t *sync_link_terms_put(const sync_link_terms_t *terms, buf_t *out) {
    TRY(check_terms(terms));
    TRY(record_put_head(out, "YT", SYNC_VERSION));
    TRY(record_put_raw(out, terms->id, SYNC_NODE));
    TRY(record_put_raw(out, terms->token_hash, SYNC_HASH));
    TRY(wire_put_i64(out, terms->expires));
    TRY(wire_put_u32(out, terms->count));
    TRY(wire_put_bool(out, terms->password));
    TRY(wire_put_bytes(out, terms->label));
    TRY(wire_put_bytes(out, terms->roots));
    return wire_put_bytes(out, terms->list);
}

err_t *sync_link_terms_parse(bytes_t record, sync_link_terms_t *ret_terms) {
    sync_link_terms_t terms = {0};
    wire_reader_t r = wire_reader(record);
    TRY(record_get_head(&r, "YT", SYNC_VERSION));
    TRY(record_get_raw(&r, SYNC_NODE, terms.id));
    TRY(record_get_raw(&r, SYNC_HASH, terms.token_hash));
    TRY(wire_get_i64(&r, &terms.expires));
    TRY(wire_get_u32(&r, &terms.count));
    TRY(wire_get_bool(&r, &terms.password));
    TRY(wire_get_bytes(&r, LABEL_SEALED, &terms.label));
    TRY(wire_get_bytes(&r, (size_t)LIMIT_SYNC_LINK_FILES * SYNC_HASH, &terms.roots));
    TRY(wire_get_bytes(&r, LIST_MAX, &terms.list));
    TRY(wire_done(&r));
    TRY(check_terms(&terms));
    *ret_terms = terms;
    return NULL;
}

/* ---- labels ---- */

/* The label's own key, and what it is bound to: the same bytes. */
static err_t *label_key(const uint8_t region[SYNC_HASH], const secret_t *key, uint64_t epoch,
                        const uint8_t id[SYNC_NODE], buf_t *info, secret_t **ret_key) {
    CLEANUP(secret_free) secret_t *derived = NULL;
    TRY(buf_add(info, bytes_make(LABEL, sizeof LABEL)));
    TRY(wire_put_u16(info, SYNC_SUITE_1));
    TRY(record_put_raw(info, region, SYNC_HASH));
    TRY(wire_put_u64(info, epoch));
    TRY(record_put_raw(info, id, SYNC_NODE));
    TRY(secret_new(SYNC_KEY, &derived));
    TRY(kdf_hkdf_expand(secret_bytes(key), buf_bytes(info), SYNC_KEY, secret_data(derived)));
    *ret_key = STEAL(derived);
    return NULL;
}

err_t *sync_link_label_seal(const uint8_t region[SYNC_HASH], const secret_t *key, uint64_t epoch,
                            const uint8_t id[SYNC_NODE], bytes_t text, const rnd_t *rnd,
                            buf_t *out) {
    CLEANUP(buf_done) buf_t info;
    CLEANUP(secret_free) secret_t *derived = NULL;
    buf_init(&info, INFO_MAX);
    if (text.n > LIMIT_SYNC_LINK_LABEL) text = bytes_slice(text, 0, LIMIT_SYNC_LINK_LABEL);
    TRY(label_key(region, key, epoch, id, &info, &derived));
    TRY(wire_put_u64(out, epoch));
    return aead_seal(derived, rnd, buf_bytes(&info), text, out);
}

err_t *sync_link_label_epoch(bytes_t label, uint64_t *ret_epoch) {
    wire_reader_t r = wire_reader(label);
    uint64_t epoch = 0;
    TRY(wire_get_u64(&r, &epoch));
    if (epoch == 0) return sync_refuse();
    *ret_epoch = epoch;
    return NULL;
}

err_t *sync_link_label_open(const uint8_t region[SYNC_HASH], const secret_t *key,
                            const uint8_t id[SYNC_NODE], bytes_t label, buf_t *out) {
    CLEANUP(buf_done) buf_t info;
    CLEANUP(secret_free) secret_t *derived = NULL;
    uint64_t epoch = 0;
    buf_init(&info, INFO_MAX);
    TRY(sync_link_label_epoch(label, &epoch));
    TRY(label_key(region, key, epoch, id, &info, &derived));
    return aead_open(derived, buf_bytes(&info), bytes_from(label, 8), out);
}
