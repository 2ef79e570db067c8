/*
 * See vault_mail.h. Writing: the vault's writer thread. Reading: any, under vault->read_lock.
 */
#include "keeper/vault_mail.h"

#include "base/mem.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "ipc/wire.h"
#include "keeper/vault_internal.h"

enum { HOUR_MS = 3600 * 1000, KEY_MAX = 4096, ROW_MAX = 128 * 1024, KEPT = 256 };

/* A key that was in use lately, decoded: OpenSSL takes ten times as long to decode it as to sign.
 * Found by what is sealed, so that a row that was changed is another. */
typedef struct {
    uint8_t id[DIGEST_SHA256_SIZE];
    pkey_t *key;
    cert_t *cert;
} kept_t;

struct vault_mail_sql {
    sql_stmt_t *put, *count, *opened; /* the writer's */
    sql_stmt_t *find;                 /* the reader's */
    kept_t kept[KEPT];                /* under vault->read_lock */
};

err_t *vault_mail_prepare(vault_t *vault) {
    vault_mail_sql_t *s = mem_zalloc(sizeof *s);
    if (!s) return err_nomem();
    vault->mail = s;
    TRY(sql_prepare(vault->writer,
                    "INSERT INTO mail_person (email, person, sign, decrypt, certificate, sealed,"
                    " since_ms, opened) VALUES (?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT (email) DO"
                    " UPDATE SET person = excluded.person, sign = excluded.sign, decrypt ="
                    " excluded.decrypt, certificate = excluded.certificate, sealed ="
                    " excluded.sealed",
                    &s->put));
    TRY(sql_prepare(vault->writer, "SELECT since_ms, opened FROM mail_person WHERE email = ?",
                    &s->opened));
    TRY(sql_prepare(vault->writer,
                    "UPDATE mail_person SET since_ms = ?, opened = ? WHERE email = ?", &s->count));
    return sql_prepare(vault->reader,
                       "SELECT person, sign, decrypt, certificate, sealed FROM mail_person"
                       " WHERE email = ?",
                       &s->find);
}

static void forget(kept_t *kept) {
    pkey_free(kept->key);
    cert_free(kept->cert);
    *kept = (kept_t){0};
}

void vault_mail_release(vault_t *vault) {
    for (size_t i = 0; vault->mail && i < KEPT; i++) forget(&vault->mail->kept[i]);
    mem_free(vault->mail);
    vault->mail = NULL;
}

void vault_mail_done(vault_mail_t *mail) {
    pkey_free(mail->key);
    cert_free(mail->cert);
    *mail = (vault_mail_t){0};
}

static err_t *make_aad(const char *email, bytes_t person, bool sign, bool decrypt,
                       bytes_t certificate, buf_t *aad) {
    TRY(wire_put_str(aad, "coffer/v1/vault/mail-person"));
    TRY(wire_put_str(aad, email));
    TRY(wire_put_bytes(aad, person));
    TRY(wire_put_bool(aad, sign));
    TRY(wire_put_bool(aad, decrypt));
    return wire_put_bytes(aad, certificate);
}

/* ---- put ---- */

typedef struct {
    char email[LIMIT_EMAIL + 1];
    char person[LIMIT_KEEPER_OWNER + 1];
    bool sign, decrypt;
    cert_t *cert;
    buf_t sealed;
} row_t;

static void row_free(void *rows) {
    row_t *row = rows;
    if (!row) return;
    cert_free(row->cert);
    buf_done(&row->sealed);
    mem_free(row);
}

static bytes_t der_of(const cert_t *cert) { return cert ? cert_der(cert) : BYTES_NONE; }

static err_t *write_row(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    (void)now_ms;
    (void)ret_refused;
    const row_t *row = rows;
    sql_stmt_t *stmt = vault->mail->put;
    sql_bind_str(stmt, 1, row->email);
    sql_bind_str(stmt, 2, row->person);
    sql_bind_i64(stmt, 3, row->sign);
    sql_bind_i64(stmt, 4, row->decrypt);
    sql_bind_bytes(stmt, 5, der_of(row->cert));
    sql_bind_bytes(stmt, 6, buf_bytes(&row->sealed));
    return sql_run(stmt);
}

static err_t *seal(const vault_t *vault, const vault_mail_t *mail, buf_t *sealed) {
    CLEANUP(buf_done) buf_t aad;
    CLEANUP(secret_free) secret_t *der = NULL;
    buf_init(&aad, ROW_MAX);
    TRY(make_aad(mail->email, bytes_str(mail->person), mail->sign, mail->decrypt,
                 der_of(mail->cert), &aad));
    if (mail->key) TRY(pkey_private_der(mail->key, &der));
    return aead_seal(vault->wrap_key, vault->rnd, buf_bytes(&aad),
                     der ? secret_bytes(der) : BYTES_NONE, sealed);
}

err_t *vault_mail_put(vault_t *vault, vault_op_t *op, const vault_mail_t *mail) {
    row_t *row = mem_zalloc(sizeof *row);
    if (!row) return err_nomem();
    memcpy(row->email, mail->email, sizeof row->email);
    memcpy(row->person, mail->person, sizeof row->person);
    row->sign = mail->sign;
    row->decrypt = mail->decrypt;
    if (mail->cert) row->cert = cert_share(mail->cert);
    buf_init(&row->sealed, KEY_MAX);
    err_t *e = seal(vault, mail, &row->sealed);
    if (e) {
        row_free(row);
        return e;
    }
    op->rows = (vault_rows_t){.rows = row, .write = write_row, .free = row_free};
    return NULL;
}

/* ---- counting ---- */

static err_t *write_count(vault_t *vault, void *rows, int64_t now_ms, err_t **ret_refused) {
    const char *email = rows;
    int64_t since = 0, n = 0;
    bool found = false;
    sql_stmt_t *stmt = vault->mail->opened;
    sql_bind_str(stmt, 1, email);
    err_t *e = sql_step(stmt, &found);
    if (!e && found) since = sql_i64(stmt, 0), n = sql_i64(stmt, 1);
    sql_end(stmt);
    if (e) return e;
    if (now_ms - since >= HOUR_MS || now_ms < since) since = now_ms, n = 0;
    if (n >= LIMIT_KEEPER_MAIL_OPENS) {
        *ret_refused = err_new(ERR_BUSY, "ALARM: %lld messages to %s were opened within an hour",
                               (long long)n, email);
        return NULL;
    }
    stmt = vault->mail->count;
    sql_bind_i64(stmt, 1, since);
    sql_bind_i64(stmt, 2, n + 1);
    sql_bind_str(stmt, 3, email);
    return sql_run(stmt);
}

err_t *vault_mail_count(vault_op_t *op, const char *email) {
    char *copy = mem_strdup(email);
    if (!copy) return err_nomem();
    op->rows = (vault_rows_t){.rows = copy, .write = write_count, .free = mem_free};
    return NULL;
}

/* ---- reading ---- */

/* Opened, decoded, and kept for the next time. */
static err_t *decode(vault_t *vault, bytes_t certificate, bytes_t sealed, bytes_t der,
                     vault_mail_t *mail) {
    uint8_t id[DIGEST_SHA256_SIZE];
    TRY(digest_sha256(sealed, id));
    kept_t *kept = &vault->mail->kept[id[0] % KEPT];
    if (!kept->key || memcmp(kept->id, id, sizeof id) != 0) {
        kept_t fresh = {0};
        err_t *e = pkey_parse_private_der(der, &fresh.key);
        if (!e) e = cert_parse_der(certificate, &fresh.cert);
        if (e) {
            forget(&fresh);
            return e;
        }
        memcpy(fresh.id, id, sizeof id);
        forget(kept);
        *kept = fresh;
    }
    mail->key = pkey_share(kept->key);
    mail->cert = cert_share(kept->cert);
    return NULL;
}

static err_t *read_row(vault_t *vault, sql_stmt_t *row, vault_mail_t *mail) {
    CLEANUP(buf_done) buf_t aad, der;
    bytes_t person = sql_bytes(row, 0), certificate = sql_bytes(row, 3);
    buf_init(&aad, ROW_MAX);
    buf_init_secret(&der, KEY_MAX);
    mail->sign = sql_i64(row, 1) != 0;
    mail->decrypt = sql_i64(row, 2) != 0;
    TRY(make_aad(mail->email, person, mail->sign, mail->decrypt, certificate, &aad));
    TRY_WRAP(aead_open(vault->wrap_key, buf_bytes(&aad), sql_bytes(row, 4), &der),
             "the vault's record of %s was changed", mail->email);
    if (person.n > LIMIT_KEEPER_OWNER) return err_new(ERR_VERIFY, "a person's name is too long");
    bytes_put(mail->person, person);
    if (!der.n) return NULL;
    return decode(vault, certificate, sql_bytes(row, 4), buf_bytes(&der), mail);
}

static err_t *find(vault_t *vault, bool *ret_found, vault_mail_t *mail) {
    CLEANUP(sql_end) sql_stmt_t *stmt = vault->mail->find;
    sql_bind_str(stmt, 1, mail->email);
    TRY(sql_step(stmt, ret_found));
    return *ret_found ? read_row(vault, stmt, mail) : NULL;
}

err_t *vault_mail_find(vault_t *vault, const char *email, bool *ret_found, vault_mail_t *ret_mail) {
    CLEANUP(vault_mail_done) vault_mail_t mail = {0};
    bool found = false;
    if (strlen(email) > LIMIT_EMAIL) return err_new(ERR_LIMIT, "a mailbox is too long");
    memcpy(mail.email, email, strlen(email) + 1);
    (void)pthread_mutex_lock(&vault->read_lock);
    err_t *e = find(vault, &found, &mail);
    (void)pthread_mutex_unlock(&vault->read_lock);
    if (e) return e;
    *ret_found = found;
    *ret_mail = mail;
    mail = (vault_mail_t){0};
    return NULL;
}
