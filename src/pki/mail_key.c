/*
 * See mail_key.h. The keeper is asked first and outside any transaction; what it made is then kept
 * with the certificate's row and the audit entry in one.
 */
#include "pki/mail_key.h"

#include <stdio.h>

#include "audit/note.h"
#include "base/limits.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "pki/pki_internal.h"
#include "store/escrow.h"
#include "store/mail_deliveries.h"

enum { PERSON_KEYS = 256 }; /* of one person, looked through for the newest */

typedef struct {
    pki_t *pki;
    const mail_key_spec_t *spec;
    const keeper_archived_t *archived;
    const cert_t *cert;
    bool ours; /* certified by the mail CA, so a row among our certificates */
    char id[ESCROW_ID_TEXT];
} keep_t;

/* ---- keeping ---- */

static err_t *keep_shares(db_conn_t *conn, int64_t seq, bytes_t shares) {
    wire_reader_t r = wire_reader(shares);
    while (r.rest.n) {
        escrow_share_t share;
        bytes_t record;
        TRY(wire_get_bytes(&r, LIMIT_ESCROW_RECORD, &record));
        TRY(escrow_share_parse(record, &share));
        TRY(db_escrow_shares_put(conn, &(db_escrow_share_t){.object_seq = seq,
                                                            .epoch = (int64_t)share.epoch,
                                                            .officer = share.index,
                                                            .dealer = share.dealer,
                                                            .record = record}));
    }
    return NULL;
}

static err_t *keep_certificate(db_conn_t *conn, const keep_t *x, int64_t now) {
    if (!x->ours) return NULL;
    return db_certificates_add(conn, &(db_certificate_t){
                                         .fingerprint = bytes_make(cert_sha256(x->cert), PKI_HASH),
                                         .issuer = "mail-ca",
                                         .serial = cert_serial_hex(x->cert),
                                         .profile = x->spec->profile,
                                         .subject = cert_subject(x->cert),
                                         .enrolment_id = "",
                                         .person_id = x->spec->person_id,
                                         .spki_sha256 = BYTES_ARRAY(x->archived->object.spki),
                                         .not_before = cert_not_before(x->cert),
                                         .not_after = cert_not_after(x->cert),
                                         .der = cert_der(x->cert),
                                         .created_ms = now,
                                     });
}

static err_t *keep(db_conn_t *conn, void *arg) {
    const keep_t *x = arg;
    const keeper_archived_t *a = x->archived;
    int64_t now = clk_unix_ms(x->pki->o.clk), seq = 0;
    TRY(db_escrow_add(conn,
                      &(db_escrow_t){.id = x->id,
                                     .kind = a->object.kind,
                                     .owner = a->object.owner,
                                     .device_id = "",
                                     .version = (int64_t)a->object.version,
                                     .label = x->spec->email,
                                     .epoch = (int64_t)a->epoch,
                                     .spki = BYTES_ARRAY(a->object.spki),
                                     .created_by = x->spec->actor,
                                     .created_ms = now,
                                     .certificates = buf_bytes(&a->certificate),
                                     .blob = buf_bytes(&a->blob),
                                     .wrap = buf_bytes(&a->wrap)},
                      &seq));
    TRY(keep_shares(conn, seq, buf_bytes(&a->shares)));
    TRY(keep_certificate(conn, x, now));
    TRY(db_mail_deliveries_want(conn, x->spec->person_id, seq, now));
    return audit_note(x->pki->o.audit, conn, x->spec->actor, x->ours ? "key.make" : "key.import",
                      x->id, "owner", x->spec->person_id, "mailbox", x->spec->email, "serial",
                      cert_serial_hex(x->cert), NULL);
}

static err_t *new_object(const pki_t *pki, const mail_key_spec_t *spec, escrow_object_t *object) {
    *object = (escrow_object_t){.kind = ESCROW_KIND_SMIME, .version = 1};
    if (strlen(spec->person_id) > LIMIT_ESCROW_OWNER)
        return err_new(ERR_LIMIT, "the person's id is too long");
    memcpy(object->owner, spec->person_id, strlen(spec->person_id) + 1);
    return rnd_fill(pki->o.rnd, object->id, sizeof object->id);
}

static err_t *finish(pki_t *pki, const mail_key_spec_t *spec, const keeper_archived_t *archived,
                     bool ours, char ret_id[ESCROW_ID_TEXT]) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    keep_t x = {.pki = pki, .spec = spec, .archived = archived, .ours = ours};
    TRY(cert_parse_der(buf_bytes(&archived->certificate), &cert));
    x.cert = cert;
    escrow_id_text(archived->object.id, x.id);
    TRY(db_write(pki->o.db, keep, &x));
    memcpy(ret_id, x.id, sizeof x.id);
    return NULL;
}

err_t *mail_key_make(pki_t *pki, const mail_key_spec_t *spec, char ret_id[ESCROW_ID_TEXT]) {
    keeper_archived_t archived;
    escrow_object_t object;
    keeper_smime_t smime = {spec->profile, spec->email, spec->name};
    TRY(new_object(pki, spec, &object));
    keeper_archived_init(&archived);
    err_t *e = keeper_escrow_make_smime(
        pki->o.keeper, &object, spec->approved ? KEEPER_WRAP_APPROVED : KEEPER_WRAP_AUTOMATIC,
        &smime, &archived);
    if (!e) e = finish(pki, spec, &archived, true, ret_id);
    keeper_archived_done(&archived);
    return e;
}

err_t *mail_key_import(pki_t *pki, const mail_key_spec_t *spec, bytes_t p12, bytes_t password,
                       char ret_id[ESCROW_ID_TEXT]) {
    keeper_archived_t archived;
    escrow_object_t object;
    TRY(new_object(pki, spec, &object));
    keeper_archived_init(&archived);
    err_t *e = keeper_escrow_import(pki->o.keeper, &object,
                                    spec->approved ? KEEPER_WRAP_APPROVED : KEEPER_WRAP_AUTOMATIC,
                                    p12, password, &archived);
    if (!e) e = finish(pki, spec, &archived, false, ret_id);
    keeper_archived_done(&archived);
    return e;
}

/* ---- loading ---- */

typedef struct {
    arena_t *arena;
    const char *person_id;
    mail_keys_t keys;
    size_t current; /* of the list, if there is one */
    bool has_current;
} load_t;

static err_t *fill(const db_escrow_t *row, keeper_delivered_t *key) {
    *key = (keeper_delivered_t){.object = {.has_spki = true, .version = (uint64_t)row->version},
                                .blob = row->blob,
                                .wrap = row->wrap,
                                .certificate = row->certificates};
    if (row->spki.n != ESCROW_HASH || strlen(row->owner) > LIMIT_ESCROW_OWNER)
        return err_new(ERR_VERIFY, "the row of key %s was changed", row->id);
    TRY(escrow_id_parse(bytes_str(row->id), key->object.id));
    memcpy(key->object.kind, ESCROW_KIND_SMIME, sizeof ESCROW_KIND_SMIME);
    memcpy(key->object.owner, row->owner, strlen(row->owner) + 1);
    memcpy(key->object.spki, row->spki.p, ESCROW_HASH);
    return NULL;
}

/* Whether it is certified by us: one that was brought along is for old mail. */
static err_t *note_current(db_conn_t *conn, load_t *x, size_t i) {
    uint8_t hash[DIGEST_SHA256_SIZE];
    db_certificate_t row;
    bool found = false;
    if (x->has_current) return NULL;
    TRY(digest_sha256(x->keys.list[i].certificate, hash));
    TRY(db_certificates_by_fingerprint(conn, x->arena, BYTES_ARRAY(hash), &row, &found));
    if (!found || row.revoked_ms) return NULL;
    x->current = i;
    x->has_current = true;
    return NULL;
}

/* The current one first; the others in their order. */
static void put_current_first(load_t *x) {
    keeper_delivered_t current;
    if (!x->has_current || x->current == 0) return;
    current = x->keys.list[x->current];
    memmove(&x->keys.list[1], x->keys.list, x->current * sizeof *x->keys.list);
    x->keys.list[0] = current;
}

static err_t *load(db_conn_t *conn, void *arg) {
    load_t *x = arg;
    db_escrow_filter_t filter = {.kind = ESCROW_KIND_SMIME, .owner = x->person_id, .device_id = ""};
    db_escrow_t *rows = NULL;
    size_t count = 0;
    TRY(db_escrow_list(conn, x->arena, &filter, 0, PERSON_KEYS, &rows, &count));
    if (count)
        TRY(arena_alloc(x->arena, LIMIT_ESCROW_PAYLOADS * sizeof *x->keys.list, &x->keys.list));
    for (size_t i = count; i > 0 && x->keys.n < LIMIT_ESCROW_PAYLOADS; i--) {
        db_escrow_t row;
        bool found = false;
        if (rows[i - 1].officers_only) continue;
        TRY(db_escrow_by_seq(conn, x->arena, rows[i - 1].seq, &row, &found));
        if (!found) continue;
        if (row.seq > x->keys.newest) x->keys.newest = row.seq;
        TRY(fill(&row, &x->keys.list[x->keys.n]));
        TRY(note_current(conn, x, x->keys.n++));
    }
    put_current_first(x);
    return NULL;
}

err_t *mail_keys_load(pki_t *pki, arena_t *arena, const char *person_id, mail_keys_t *ret_keys) {
    load_t x = {.arena = arena, .person_id = person_id};
    TRY(db_read(pki->o.db, load, &x));
    *ret_keys = x.keys;
    return NULL;
}
