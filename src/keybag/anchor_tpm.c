/*
 * An anchor in a TPM 2 (TCG TPM 2.0 Library, part 3; tpm2-tss's ESAPI): four indices of NV memory:
 * the device's key (locked against writing), a counter that only goes up, and two secrets that the
 * TPM gives to the passcode's auth alone, counting wrong ones in its own dictionary-attack logic.
 * What crosses the bus is encrypted by a salted session. On the device, one thread.
 */
#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include "base/mem.h"
#include "keybag/anchor.h"

enum {
    NV_FIRST = 0x01A00000, /* in the owner's range */
    NV_GROUPS = 4096,
    UID = 0,
    COUNTER = 1,
    SLOT = 2, /* and 3 */
    PLACE_TRIES = 16,
};

enum {
    READ_WRITE = TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE,
    COUNTS = READ_WRITE | TPMA_NV_NO_DA | (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT),
    FIXED = READ_WRITE | TPMA_NV_NO_DA | TPMA_NV_WRITEDEFINE,
};

typedef struct {
    anchor_t anchor;
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
    ESYS_TR session; /* HMAC, salted */
    uint32_t place;
} in_tpm_t;

/* ---- errors ---- */

/* The code without its layer and without the number of the parameter, handle or session. */
static uint32_t plain_code(TSS2_RC rc) {
    uint32_t code = rc & 0xFFFF;
    return code & TPM2_RC_FMT1 ? code & (uint32_t)(TPM2_RC_FMT1 | 0x3F) : code;
}

static err_t *tpm_error(TSS2_RC rc, const char *what) {
    uint32_t code = plain_code(rc);
    if ((rc & TSS2_RC_LAYER_MASK) == 0 || (rc & TSS2_RC_LAYER_MASK) == TSS2_RESMGR_TPM_RC_LAYER) {
        if (code == TPM2_RC_AUTH_FAIL || code == TPM2_RC_BAD_AUTH)
            return err_new(ERR_AUTH, "the TPM was given another secret");
        if (code == TPM2_RC_LOCKOUT)
            return err_new(ERR_BUSY, "the TPM takes no guesses for now (lockout)");
        if (code == TPM2_RC_HANDLE || code == TPM2_RC_NV_UNINITIALIZED)
            return err_new(ERR_NOT_FOUND, "the TPM has nothing there: %s", what);
        if (code == TPM2_RC_NV_DEFINED)
            return err_new(ERR_EXISTS, "the TPM has something there: %s", what);
        if (code == TPM2_RC_NV_SPACE) return err_new(ERR_FULL, "the TPM has no room: %s", what);
    }
    return err_new(ERR_IO, "TPM: %s: error 0x%x", what, (unsigned)rc);
}

static err_t *check(TSS2_RC rc, const char *what) {
    return rc == TSS2_RC_SUCCESS ? NULL : tpm_error(rc, what);
}

/* ---- sessions ---- */

/* A key of the null hierarchy, made anew at each start: who listens can't undo the salt. */
static err_t *make_salt_key(ESYS_CONTEXT *esys, ESYS_TR *ret_key) {
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_DATA outside = {0};
    static const TPML_PCR_SELECTION pcr = {0};
    static const TPM2B_PUBLIC ecc = {
        .publicArea = {.type = TPM2_ALG_ECC,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED |
                                           TPMA_OBJECT_DECRYPT | TPMA_OBJECT_NODA |
                                           TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                           TPMA_OBJECT_SENSITIVEDATAORIGIN,
                       .parameters.eccDetail = {.symmetric = {.algorithm = TPM2_ALG_AES,
                                                              .keyBits.aes = 128,
                                                              .mode.aes = TPM2_ALG_CFB},
                                                .scheme.scheme = TPM2_ALG_NULL,
                                                .curveID = TPM2_ECC_NIST_P256,
                                                .kdf.scheme = TPM2_ALG_NULL}}};
    return check(Esys_CreatePrimary(esys, ESYS_TR_RH_NULL, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                    ESYS_TR_NONE, &sensitive, &ecc, &outside, &pcr, ret_key, NULL,
                                    NULL, NULL, NULL),
                 "making a session's key");
}

static err_t *start_session(in_tpm_t *a) {
    static const TPMT_SYM_DEF aes = {
        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};
    ESYS_TR key = ESYS_TR_NONE;
    TRY(make_salt_key(a->esys, &key));
    err_t *e = check(Esys_StartAuthSession(a->esys, key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                           ESYS_TR_NONE, NULL, TPM2_SE_HMAC, &aes, TPM2_ALG_SHA256,
                                           &a->session),
                     "starting a session");
    (void)Esys_FlushContext(a->esys, key);
    return e;
}

/* Which direction is encrypted; what a command does not have must not be asked for. */
static err_t *session_for(in_tpm_t *a, TPMA_SESSION encrypted) {
    return check(Esys_TRSess_SetAttributes(
                     a->esys, a->session, TPMA_SESSION_CONTINUESESSION | encrypted,
                     TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT),
                 "a session's attributes");
}

static err_t *find(in_tpm_t *a, unsigned which, ESYS_TR *ret_nv) {
    return check(Esys_TR_FromTPMPublic(a->esys, a->place + which, ESYS_TR_NONE, ESYS_TR_NONE,
                                       ESYS_TR_NONE, ret_nv),
                 "looking for an NV index");
}

/* ---- NV memory ---- */

static err_t *define(in_tpm_t *a, unsigned which, uint32_t attributes, uint16_t size, bytes_t auth,
                     ESYS_TR *ret_nv) {
    TPM2B_AUTH secret = {.size = (uint16_t)auth.n};
    TPM2B_NV_PUBLIC area = {.nvPublic = {.nvIndex = a->place + which,
                                         .nameAlg = TPM2_ALG_SHA256,
                                         .attributes = attributes,
                                         .dataSize = size}};
    if (auth.n > sizeof secret.buffer) return err_new(ERR_USAGE, "too long a secret for the TPM");
    bytes_put(secret.buffer, auth);
    TRY(session_for(a, TPMA_SESSION_DECRYPT));
    err_t *e = check(Esys_NV_DefineSpace(a->esys, ESYS_TR_RH_OWNER, a->session, ESYS_TR_NONE,
                                         ESYS_TR_NONE, &secret, &area, ret_nv),
                     "defining an NV index");
    mem_wipe(&secret, sizeof secret);
    return e;
}

static err_t *set_auth(in_tpm_t *a, ESYS_TR nv, bytes_t auth) {
    TPM2B_AUTH secret = {.size = (uint16_t)auth.n};
    if (auth.n > sizeof secret.buffer) return err_new(ERR_USAGE, "too long a secret for the TPM");
    bytes_put(secret.buffer, auth);
    err_t *e = check(Esys_TR_SetAuth(a->esys, nv, &secret), "an index's secret");
    mem_wipe(&secret, sizeof secret);
    return e;
}

static err_t *write_nv(in_tpm_t *a, ESYS_TR nv, bytes_t data) {
    TPM2B_MAX_NV_BUFFER buffer = {.size = (uint16_t)data.n};
    if (data.n > sizeof buffer.buffer) return err_new(ERR_USAGE, "too much for the TPM");
    bytes_put(buffer.buffer, data);
    TRY(session_for(a, TPMA_SESSION_DECRYPT));
    err_t *e =
        check(Esys_NV_Write(a->esys, nv, nv, a->session, ESYS_TR_NONE, ESYS_TR_NONE, &buffer, 0),
              "writing an NV index");
    mem_wipe(&buffer, sizeof buffer);
    return e;
}

static err_t *read_nv(in_tpm_t *a, ESYS_TR nv, uint16_t size, secret_t **ret_data) {
    TPM2B_MAX_NV_BUFFER *data = NULL;
    TRY(session_for(a, TPMA_SESSION_ENCRYPT));
    TRY(check(Esys_NV_Read(a->esys, nv, nv, a->session, ESYS_TR_NONE, ESYS_TR_NONE, size, 0, &data),
              "reading an NV index"));
    err_t *e = data->size == size ? secret_copy(bytes_make(data->buffer, size), ret_data)
                                  : err_new(ERR_VERIFY, "the TPM has something else there");
    mem_wipe(data->buffer, data->size);
    Esys_Free(data);
    return e;
}

static err_t *undefine(in_tpm_t *a, unsigned which) {
    ESYS_TR nv = ESYS_TR_NONE;
    err_t *e = find(a, which, &nv);
    if (e && err_code(e) == ERR_NOT_FOUND) {
        err_free(e);
        return NULL;
    }
    if (e) return e;
    return check(Esys_NV_UndefineSpace(a->esys, ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD,
                                       ESYS_TR_NONE, ESYS_TR_NONE),
                 "removing an NV index");
}

static void forget(in_tpm_t *a, ESYS_TR *nv) {
    if (*nv != ESYS_TR_NONE) (void)Esys_TR_Close(a->esys, nv);
}

/* ---- the anchor ---- */

static err_t *ready(anchor_t *anchor) {
    in_tpm_t *a = (in_tpm_t *)anchor;
    TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more = 0;
    TRY(check(Esys_GetCapability(a->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                 TPM2_CAP_TPM_PROPERTIES, TPM2_PT_PERMANENT, 1, &more, &data),
              "asking for its state"));
    const TPML_TAGGED_TPM_PROPERTY *list = &data->data.tpmProperties;
    bool locked = list->count && list->tpmProperty[0].property == TPM2_PT_PERMANENT &&
                  (list->tpmProperty[0].value & TPMA_PERMANENT_INLOCKOUT);
    Esys_Free(data);
    return locked ? err_new(ERR_BUSY, "the TPM takes no guesses for now (lockout)") : NULL;
}

static err_t *uid(anchor_t *anchor, secret_t **ret_uid) {
    in_tpm_t *a = (in_tpm_t *)anchor;
    ESYS_TR nv = ESYS_TR_NONE;
    err_t *e = find(a, UID, &nv);
    if (!e) e = read_nv(a, nv, KEYBAG_KEY, ret_uid);
    forget(a, &nv);
    return e;
}

static err_t *count(anchor_t *anchor, uint64_t *ret_count) {
    in_tpm_t *a = (in_tpm_t *)anchor;
    CLEANUP(secret_free) secret_t *raw = NULL;
    ESYS_TR nv = ESYS_TR_NONE;
    uint64_t value = 0;
    err_t *e = find(a, COUNTER, &nv);
    if (!e) e = read_nv(a, nv, 8, &raw);
    forget(a, &nv);
    if (e) return e;
    for (size_t i = 0; i < 8; i++) value = value << 8 | secret_bytes(raw).p[i];
    *ret_count = value;
    return NULL;
}

static err_t *increment(in_tpm_t *a, ESYS_TR nv) {
    return check(Esys_NV_Increment(a->esys, nv, nv, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE),
                 "raising the counter");
}

static err_t *raise_count(anchor_t *anchor, uint64_t *ret_count) {
    in_tpm_t *a = (in_tpm_t *)anchor;
    ESYS_TR nv = ESYS_TR_NONE;
    err_t *e = find(a, COUNTER, &nv);
    if (!e) e = increment(a, nv);
    forget(a, &nv);
    return e ? e : count(anchor, ret_count);
}

static err_t *drop(anchor_t *anchor, unsigned slot) {
    return slot > 1 ? err_new(ERR_USAGE, "no such slot")
                    : undefine((in_tpm_t *)anchor, SLOT + slot);
}

static err_t *put(anchor_t *anchor, unsigned slot, bytes_t auth, bytes_t secret) {
    in_tpm_t *a = (in_tpm_t *)anchor;
    ESYS_TR nv = ESYS_TR_NONE;
    TRY(drop(anchor, slot));
    TRY(define(a, SLOT + slot, READ_WRITE, KEYBAG_KEY, auth, &nv));
    err_t *e = set_auth(a, nv, auth);
    if (!e) e = write_nv(a, nv, secret);
    forget(a, &nv);
    return e;
}

static err_t *get(anchor_t *anchor, unsigned slot, bytes_t auth, secret_t **ret_secret) {
    in_tpm_t *a = (in_tpm_t *)anchor;
    ESYS_TR nv = ESYS_TR_NONE;
    if (slot > 1) return err_new(ERR_USAGE, "no such slot");
    err_t *e = find(a, SLOT + slot, &nv);
    if (!e) e = set_auth(a, nv, auth);
    if (!e) e = read_nv(a, nv, KEYBAG_KEY, ret_secret);
    forget(a, &nv);
    return e;
}

/* The slots first: without them nothing opens. */
static err_t *destroy(anchor_t *anchor) {
    static const unsigned order[] = {SLOT, SLOT + 1, UID, COUNTER};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        TRY(undefine((in_tpm_t *)anchor, order[i]));
    return NULL;
}

static void free_it(anchor_t *anchor) {
    in_tpm_t *a = (in_tpm_t *)anchor;
    if (a->esys && a->session != ESYS_TR_NONE) (void)Esys_FlushContext(a->esys, a->session);
    if (a->esys) Esys_Finalize(&a->esys);
    if (a->tcti) Tss2_TctiLdr_Finalize(&a->tcti);
    mem_free(a);
}

static const anchor_ops_t ops = {KEYBAG_TPM, ready, uid,  count,   raise_count,
                                 put,        get,   drop, destroy, free_it};

static err_t *connect_tpm(const char *tcti, in_tpm_t **ret_anchor) {
    in_tpm_t *a = mem_zalloc(sizeof *a);
    if (!a) return err_nomem();
    a->anchor.ops = &ops;
    a->session = ESYS_TR_NONE;
    CLEANUP(anchor_free) anchor_t *anchor = &a->anchor;
    if (Tss2_TctiLdr_Initialize(tcti, &a->tcti) != TSS2_RC_SUCCESS)
        return err_new(ERR_UNAVAILABLE, "cannot reach a TPM at %s",
                       tcti ? tcti : "the system's default");
    TRY(check(Esys_Initialize(&a->esys, a->tcti, NULL), "opening"));
    TRY(start_session(a));
    *ret_anchor = (in_tpm_t *)STEAL(anchor);
    return NULL;
}

/* ---- making one ---- */

static err_t *make_uid(in_tpm_t *a, const rnd_t *rnd) {
    CLEANUP(secret_free) secret_t *key = NULL;
    ESYS_TR nv = ESYS_TR_NONE;
    TRY(secret_random(rnd, KEYBAG_KEY, &key));
    TRY(define(a, UID, FIXED, KEYBAG_KEY, BYTES_NONE, &nv));
    err_t *e = write_nv(a, nv, secret_bytes(key));
    if (!e)
        e = check(Esys_NV_WriteLock(a->esys, nv, nv, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE),
                  "locking the device's key");
    forget(a, &nv);
    return e;
}

static err_t *make_counter(in_tpm_t *a) {
    ESYS_TR nv = ESYS_TR_NONE;
    TRY(define(a, COUNTER, COUNTS, 8, BYTES_NONE, &nv));
    err_t *e = increment(a, nv); /* it has no value before */
    forget(a, &nv);
    return e;
}

/* A group of four that nobody has. */
static err_t *make_somewhere(in_tpm_t *a, const rnd_t *rnd) {
    for (unsigned i = 0; i < PLACE_TRIES; i++) {
        uint32_t at = 0;
        TRY(rnd_fill(rnd, &at, sizeof at));
        a->place = NV_FIRST + at % NV_GROUPS * 4;
        err_t *e = make_uid(a, rnd);
        if (!e) return make_counter(a);
        if (err_code(e) != ERR_EXISTS) return e;
        err_free(e);
    }
    return err_new(ERR_FULL, "the TPM's NV memory is full of others'");
}

err_t *anchor_tpm_create(const char *tcti, const rnd_t *rnd, uint32_t *ret_place,
                         anchor_t **ret_anchor) {
    in_tpm_t *a = NULL;
    TRY(connect_tpm(tcti, &a));
    CLEANUP(anchor_free) anchor_t *anchor = &a->anchor;
    err_t *e = make_somewhere(a, rnd);
    if (e) {
        if (a->place && err_code(e) != ERR_EXISTS && err_code(e) != ERR_FULL)
            err_ignore(destroy(anchor));
        return e;
    }
    *ret_place = a->place;
    *ret_anchor = STEAL(anchor);
    return NULL;
}

err_t *anchor_tpm_open(const char *tcti, uint32_t place, anchor_t **ret_anchor) {
    in_tpm_t *a = NULL;
    if (place < NV_FIRST || place >= NV_FIRST + NV_GROUPS * 4 || place % 4)
        return err_new(ERR_INVALID, "no place of ours in a TPM");
    TRY(connect_tpm(tcti, &a));
    a->place = place;
    *ret_anchor = &a->anchor;
    return NULL;
}
