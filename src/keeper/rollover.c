/*
 * See rollover.h. Main thread; entries of the log by the vault's writer.
 */
#include "keeper/rollover.h"

#include <pthread.h>
#include <stdio.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "keeper/keyring.h"

enum { PEM_MAX = 256 * 1024 };

/* ---- the log ---- */

typedef struct {
    vault_op_t op; /* first: the writer gives it back */
    pthread_mutex_t lock;
    pthread_cond_t there;
    bool done;
    err_t *e;
} entry_t;

static void on_recorded(vault_op_t *op, err_t *e) {
    entry_t *entry = (entry_t *)(void *)op;
    (void)pthread_mutex_lock(&entry->lock);
    entry->e = e;
    entry->done = true;
    (void)pthread_cond_signal(&entry->there);
    (void)pthread_mutex_unlock(&entry->lock);
}

static err_t *submit(vault_t *vault, entry_t *entry) {
    TRY(vault_submit(vault, &entry->op));
    (void)pthread_mutex_lock(&entry->lock);
    while (!entry->done) (void)pthread_cond_wait(&entry->there, &entry->lock);
    (void)pthread_mutex_unlock(&entry->lock);
    return entry->e;
}

/* One entry of the log, and in the record of certificates the new one (may be NULL). */
static err_t *record(vault_t *vault, const char *intent, const char *name, const cert_t *cert,
                     const char *issuer, const char *profile) {
    entry_t entry = {.lock = PTHREAD_MUTEX_INITIALIZER, .there = PTHREAD_COND_INITIALIZER};
    entry.op =
        (vault_op_t){.role = "command", .intent = intent, .waits = true, .done = on_recorded};
    (void)snprintf(entry.op.object, sizeof entry.op.object, "%s%s%s%s%s", name,
                   cert ? " serial=" : "", cert ? cert_serial_hex(cert) : "",
                   cert ? " subject=" : "", cert ? cert_subject(cert) : "");
    (void)snprintf(entry.op.outcome, sizeof entry.op.outcome, "ok");
    err_t *e = NULL;
    if (cert) {
        entry.op.issued.issuer = issuer;
        entry.op.issued.profile = mem_strdup(profile);
        entry.op.issued.owner = mem_strdup("keeper");
        entry.op.issued.cert = cert_share(cert);
        if (!entry.op.issued.profile || !entry.op.issued.owner) e = err_nomem();
    }
    if (!e) e = submit(vault, &entry);
    vault_op_done(&entry.op);
    return e;
}

static err_t *record_all(vault_t *vault, const char *name, const cert_list_t *certs) {
    for (size_t i = 0; i < certs->n; i++)
        TRY(record(vault, "ca-rollover", name, certs->certs[i], i ? name : KEY_ROOT,
                   i ? "scep-ra" : "device-ca"));
    return NULL;
}

/* ---- what everybody may see ---- */

/* public/device-ca.pem: the current one first, then those that are to be trusted besides. */
static err_t *publish(const rollover_t *r, const keyring_t *keys) {
    CLEANUP(buf_done) buf_t pem;
    CLEANUP(mem_free) char *path = NULL;
    buf_init(&pem, PEM_MAX);
    TRY(cert_pem(keys->device_ca->cert, &pem));
    for (size_t i = keys->device_cas_n; i > 0; i--) {
        const device_ca_t *ca = &keys->device_cas[i - 1];
        if (ca != keys->device_ca && cert_not_after(ca->cert) >= clk_unix(r->clk))
            TRY(cert_pem(ca->cert, &pem));
    }
    TRY(file_path(r->dir, "public/device-ca.pem", &path));
    return file_write(path, buf_bytes(&pem), 0644);
}

/* What was written must load before it is told to anybody. */
static err_t *check_and_publish(const rollover_t *r) {
    CLEANUP(keyring_free) keyring_t *keys = NULL;
    TRY(keyring_load(r->vault, &keys));
    return publish(r, keys);
}

/* ---- the steps ---- */

static err_t *make_next(const rollover_t *r, const device_ca_state_t *state,
                        const device_ca_spec_t *spec, cert_list_t *certs) {
    CLEANUP(pkey_free) pkey_t *key = NULL;
    CLEANUP(cert_free) cert_t *root = NULL;
    TRY(keyring_load_key(r->vault, KEY_ROOT, &key, &root));
    const char *organisation = cert_subject_get(root, "O");
    own_issuer_t by = {organisation ? organisation : "", root, key, r->clk, r->rnd};
    device_ca_state_t next = {state->count + 1, state->current};
    TRY(device_ca_make(r->vault, &by, next.count, spec, certs));
    return device_ca_state_set(r->vault, &next);
}

err_t *rollover_prepare(const rollover_t *r, const device_ca_spec_t *spec,
                        char ret_name[DEVICE_CA_NAME]) {
    CLEANUP(cert_list_done) cert_list_t certs = {0};
    device_ca_state_t state;
    char name[DEVICE_CA_NAME];
    TRY(device_ca_state_get(r->vault, &state));
    device_ca_name(state.count, name);
    if (state.count > state.current)
        return err_new(ERR_EXISTS, "%s is the next device CA already: activate it first", name);
    if (state.count == LIMIT_DEVICE_CAS)
        return err_new(ERR_LIMIT, "%d device CAs are as many as an instance can have",
                       LIMIT_DEVICE_CAS);
    device_ca_name(state.count + 1, name);
    TRY(vault_keys_begin(r->vault));
    TRY(vault_keys_end(r->vault, make_next(r, &state, spec, &certs)));
    TRY(check_and_publish(r));
    TRY(vault_start(r->vault));
    err_t *e = record_all(r->vault, name, &certs);
    vault_stop(r->vault);
    if (!e) memcpy(ret_name, name, sizeof name);
    return e;
}

err_t *rollover_activate(const rollover_t *r, char ret_name[DEVICE_CA_NAME]) {
    device_ca_state_t state;
    char name[DEVICE_CA_NAME];
    TRY(device_ca_state_get(r->vault, &state));
    if (state.count == state.current)
        return err_new(ERR_NOT_FOUND,
                       "there is no next device CA: make one first (coffer ca rollover)");
    state.current = state.count;
    device_ca_name(state.current, name);
    TRY(device_ca_state_set(r->vault, &state));
    TRY(check_and_publish(r));
    TRY(vault_start(r->vault));
    err_t *e = record(r->vault, "ca-activate", name, NULL, NULL, NULL);
    vault_stop(r->vault);
    if (!e) memcpy(ret_name, name, sizeof name);
    return e;
}
