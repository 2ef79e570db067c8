/*
 * Short authentication strings: see sas.h. Pure; any thread.
 */
#include "sync/sas.h"

#include "crypto/digest.h"

enum { INPUT_MAX = 512, VALUES = 1000 * 1000 * 1000 };

err_t *sync_sas_commit(const uint8_t card_id[SYNC_HASH], const uint8_t nonce[SYNC_SAS_NONCE],
                       uint8_t ret_commit[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t input;
    buf_init(&input, INPUT_MAX);
    TRY(buf_add(&input, BYTES_LIT("coffer/v1/sync/sas-commit\0")));
    TRY(record_put_raw(&input, card_id, SYNC_HASH));
    TRY(record_put_raw(&input, nonce, SYNC_SAS_NONCE));
    return digest_sha256(buf_bytes(&input), ret_commit);
}

err_t *sync_sas_check(const uint8_t commit[SYNC_HASH], const uint8_t card_id[SYNC_HASH],
                      const uint8_t nonce[SYNC_SAS_NONCE]) {
    uint8_t wanted[SYNC_HASH];
    TRY(sync_sas_commit(card_id, nonce, wanted));
    if (!bytes_eq_ct(BYTES_ARRAY(wanted), bytes_make(commit, SYNC_HASH)))
        return err_new(ERR_VERIFY, "the new device changed its mind: somebody is in between");
    return NULL;
}

err_t *sync_sas_text(const sync_chain_head_t *head, const sync_sas_t *sas,
                     char ret_text[SYNC_SAS_TEXT]) {
    CLEANUP(buf_done) buf_t input;
    uint8_t hash[SYNC_HASH];
    uint64_t value = 0;
    buf_init(&input, INPUT_MAX);
    TRY(buf_add(&input, BYTES_LIT("coffer/v1/sync/sas\0")));
    TRY(wire_put_u16(&input, head->suite));
    TRY(record_put_raw(&input, head->region, SYNC_HASH));
    TRY(wire_put_u64(&input, head->position));
    TRY(record_put_raw(&input, head->head, SYNC_HASH));
    TRY(record_put_raw(&input, sas->card_id, SYNC_HASH));
    TRY(record_put_raw(&input, sas->nonce, SYNC_SAS_NONCE));
    TRY(record_put_raw(&input, sas->approver, SYNC_HASH));
    TRY(record_put_raw(&input, sas->approver_nonce, SYNC_SAS_NONCE));
    TRY(digest_sha256(buf_bytes(&input), hash));
    for (size_t i = 0; i < 8; i++) value = value << 8 | hash[i];
    value %= VALUES;
    for (size_t i = SYNC_SAS_TEXT - 1; i-- > 0;) {
        if (i == 3 || i == 7) {
            ret_text[i] = '-';
            continue;
        }
        ret_text[i] = (char)('0' + value % 10);
        value /= 10;
    }
    ret_text[SYNC_SAS_TEXT - 1] = '\0';
    return NULL;
}
