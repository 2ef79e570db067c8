/*
 * Keys that the gateway may use, which lie in the keeper: who may be signed for stands in the
 * store, and the keeper looks again in its own record; archived keys are ciphertext in the store.
 */
#include "base/text.h"
#include "crypto/digest.h"
#include "keeper/client_mail.h"
#include "program/common/mail_gateway_internal.h"
#include "store/escrow.h"
#include "store/mail_policy.h"

enum { ARENA = 32 * 1024 * 1024, KEYS = 256 /* of one person */, SHA256 = 32 };

/* One look at a person's row and keys. */
typedef struct {
    arena_t *arena;
    char email[LIMIT_EMAIL + 1];
    db_mail_gateway_t row;
    bool found;
    /* Keys: by the recipientInfo, or by the certificate. */
    const cms_recipient_t *recipient;
    const cert_t *wanted;
    db_escrow_t key;
    cert_t *cert; /* owned */
} look_t;

static void look_done(look_t *look) {
    arena_free(look->arena);
    cert_free(look->cert);
}
DEFINE_CLEANUP_VALUE(look_t, look_done)

static err_t *look_begin(bytes_t address, look_t *look) {
    if (address.n > LIMIT_EMAIL || bytes_has_nul(address))
        return err_new(ERR_INVALID, "an address is too long");
    bytes_put(look->email, address);
    look->email[address.n] = '\0';
    text_lower(look->email);
    return arena_new(ARENA, &look->arena);
}

static err_t *read_row(db_conn_t *conn, void *arg) {
    look_t *look = arg;
    return db_mail_gateway_get(conn, look->arena, look->email, &look->row, &look->found);
}

/* Until when the keeper may sign for the person; 0: not. */
static err_t *find_signer(const mail_gateway_t *g, look_t *look, int64_t *ret_until) {
    const bytes_t name = bytes_str(look->email);
    memo_stamp_t stamp = {0};
    int64_t until = 0;
    TRY(db_version(g->db, &stamp.version));
    if (!memo_get(g->signers, name, stamp, &until)) {
        TRY(db_read(g->db, read_row, look));
        if (look->found && look->row.signs) until = look->row.not_after;
        memo_put(g->signers, name, stamp, &until);
    }
    *ret_until = until;
    return NULL;
}

err_t *mail_gateway_sign(void *arg, bytes_t address, bytes_t sha256, buf_t *out, bool *ret_found) {
    const mail_gateway_t *g = arg;
    look_t look CLEANUP(look_done) = {0};
    uint8_t hash[SHA256];
    int64_t until = 0;
    TRY(look_begin(address, &look));
    TRY(find_signer(g, &look, &until));
    bool found = until > clk_unix(g->o.clk);
    if (found && sha256.n) {
        if (sha256.n != SHA256) return err_new(ERR_USAGE, "not a SHA-256");
        memcpy(hash, sha256.p, SHA256);
        TRY(keeper_mail_sign(g->keeper, look.email, hash, out));
    }
    *ret_found = found;
    return NULL;
}

/* ---- archived keys ---- */

static bool is_it(const look_t *look, const cert_t *cert) {
    return look->recipient ? cms_recipient_is(look->recipient, cert)
                           : cert_same(look->wanted, cert);
}

static err_t *try_key(db_conn_t *conn, look_t *look, int64_t seq) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    db_escrow_t row;
    bool found = false;
    TRY(db_escrow_by_seq(conn, look->arena, seq, &row, &found));
    if (!found || !row.certificates.n) return NULL;
    TRY(cert_parse_der(row.certificates, &cert));
    if (!is_it(look, cert)) return NULL;
    look->key = row;
    look->cert = STEAL(cert);
    return NULL;
}

static err_t *read_keys(db_conn_t *conn, void *arg) {
    look_t *look = arg;
    db_escrow_t *rows = NULL;
    size_t n = 0;
    TRY(read_row(conn, look));
    if (!look->found || !look->row.decrypts) return NULL;
    const db_escrow_filter_t filter = {
        .kind = ESCROW_KIND_SMIME, .owner = look->row.person_id, .device_id = "", .former = true};
    TRY(db_escrow_list(conn, look->arena, &filter, 0, KEYS, &rows, &n));
    for (size_t i = n; i > 0 && !look->cert; i--)
        if (!rows[i - 1].officers_only) TRY(try_key(conn, look, rows[i - 1].seq));
    return NULL;
}

err_t *mail_gateway_find_key(void *arg, bytes_t address, const cms_recipient_t *r,
                             cert_t **ret_cert, bool *ret_found) {
    const mail_gateway_t *g = arg;
    look_t look CLEANUP(look_done) = {.recipient = r};
    TRY(look_begin(address, &look));
    TRY(db_read(g->db, read_keys, &look));
    *ret_found = look.cert != NULL;
    if (look.cert) *ret_cert = STEAL(look.cert);
    return NULL;
}

static err_t *make_object(const db_escrow_t *row, escrow_object_t *object) {
    *object = (escrow_object_t){.has_spki = true, .version = (uint64_t)row->version};
    if (row->spki.n != ESCROW_HASH || strlen(row->owner) > LIMIT_ESCROW_OWNER)
        return err_new(ERR_VERIFY, "the row of key %s was changed", row->id);
    TRY(escrow_id_parse(bytes_str(row->id), object->id));
    memcpy(object->kind, ESCROW_KIND_SMIME, sizeof ESCROW_KIND_SMIME);
    memcpy(object->owner, row->owner, strlen(row->owner) + 1);
    memcpy(object->spki, row->spki.p, ESCROW_HASH);
    return NULL;
}

err_t *mail_gateway_unwrap(void *arg, bytes_t address, const cert_t *cert,
                           const cms_wrapped_t *wrapped, uint8_t *ret_key, size_t n) {
    const mail_gateway_t *g = arg;
    look_t look CLEANUP(look_done) = {.wanted = cert};
    TRY(look_begin(address, &look));
    TRY(db_read(g->db, read_keys, &look));
    if (!look.cert) return err_new(ERR_DENIED, "the key of %s is not there any more", look.email);
    keeper_mail_open_t open = {.email = look.email,
                               .blob = look.key.blob,
                               .wrap = look.key.wrap,
                               .wrapped = wrapped,
                               .message = ""};
    TRY(make_object(&look.key, &open.object));
    return keeper_mail_open(g->keeper, &open, ret_key, n);
}
