/*
 * Writing chain entries: see chain_write.h. On devices; one thread.
 */
#include "sync/chain_write.h"

/* What an entry changes; the rest follows from the chain's head. */
typedef struct {
    sync_chain_kind_t kind;
    const uint8_t *subject; /* SYNC_HASH bytes or NULL */
    uint8_t roles;
    const sync_card_t *card; /* or NULL */
    bool new_epoch;
    const secret_t *key; /* of the epoch that ends; NULL in the first entry */
} change_t;

typedef struct {
    sync_chain_entry_t entry;
    buf_t card, history;
    secret_t *key; /* of a new epoch */
} draft_t;

static void draft_done(draft_t *draft) {
    buf_done(&draft->card);
    buf_done(&draft->history);
    secret_free(draft->key);
}
DEFINE_CLEANUP_VALUE(draft_t, draft_done)

static err_t *fill_head(const sync_chain_t *chain, sync_chain_entry_t *entry) {
    sync_chain_head_t head;
    if (sync_chain_count(chain) == 0) return NULL;
    TRY(sync_chain_head(chain, &head));
    memcpy(entry->region, head.region, SYNC_HASH);
    memcpy(entry->previous, head.head, SYNC_HASH);
    memcpy(entry->commit, head.commit, SYNC_HASH);
    entry->position = head.position + 1;
    entry->epoch = head.epoch;
    return NULL;
}

static err_t *fill_card(const sync_card_t *card, draft_t *draft) {
    TRY(sync_card_put(card, &draft->card));
    draft->entry.card = buf_bytes(&draft->card);
    return sync_card_id(card, draft->entry.subject);
}

static err_t *fill_epoch(const change_t *change, const rnd_t *rnd, draft_t *draft) {
    sync_chain_entry_t *entry = &draft->entry;
    TRY(secret_random(rnd, SYNC_KEY, &draft->key));
    entry->epoch++;
    TRY(sync_epoch_commit(draft->key, entry->epoch, entry->commit));
    if (!change->key) return NULL;
    TRY(sync_epoch_history_seal(entry->region, draft->key, entry->epoch, change->key, rnd,
                                &draft->history));
    entry->history = buf_bytes(&draft->history);
    return NULL;
}

static err_t *sign(const sync_chain_writer_t *writer, const sync_chain_entry_t *entry,
                   buf_t *record) {
    TRY(sync_chain_entry_put(entry, record));
    TRY(buf_reserve(record, SYNC_SIGNATURE));
    return pkey_sign(writer->author->content, "coffer/v1/sync/chain", buf_bytes(record), record);
}

static err_t *write(const sync_chain_writer_t *writer, sync_chain_t *chain, const change_t *change,
                    buf_t *out, secret_t **ret_key) {
    CLEANUP(draft_done) draft_t draft = {0};
    CLEANUP(buf_done) buf_t record;
    sync_chain_entry_t *entry = &draft.entry;
    buf_init(&draft.card, LIMIT_SYNC_ENTRY);
    buf_init(&draft.history, SYNC_WRAP);
    buf_init(&record, LIMIT_SYNC_ENTRY);
    *entry = (sync_chain_entry_t){.suite = SYNC_SUITE_1, .kind = change->kind};
    entry->time = writer->now;
    entry->roles = change->roles;
    memcpy(entry->author, writer->author->id, SYNC_HASH);
    if (change->subject) memcpy(entry->subject, change->subject, SYNC_HASH);
    TRY(fill_head(chain, entry));
    if (change->card) TRY(fill_card(change->card, &draft));
    if (change->new_epoch) TRY(fill_epoch(change, writer->rnd, &draft));
    TRY(sign(writer, entry, &record));
    TRY(buf_reserve(out, record.n)); /* before the chain moves on */
    TRY(sync_chain_append(chain, buf_bytes(&record)));
    if (ret_key) *ret_key = STEAL(draft.key);
    return buf_add(out, buf_bytes(&record));
}

err_t *sync_chain_begin(const sync_chain_writer_t *writer, sync_chain_t *chain, buf_t *out,
                        secret_t **ret_key) {
    if (sync_chain_count(chain)) return err_new(ERR_USAGE, "the chain has begun");
    change_t change = {.kind = SYNC_CHAIN_ADD, .roles = SYNC_ALL, .new_epoch = true};
    change.card = &writer->author->card;
    return write(writer, chain, &change, out, ret_key);
}

err_t *sync_chain_add(const sync_chain_writer_t *writer, sync_chain_t *chain,
                      const sync_card_t *card, buf_t *out) {
    change_t change = {.kind = SYNC_CHAIN_ADD, .card = card};
    return write(writer, chain, &change, out, NULL);
}

err_t *sync_chain_approve(const sync_chain_writer_t *writer, sync_chain_t *chain,
                          const uint8_t device[SYNC_HASH], uint8_t roles, buf_t *out) {
    change_t change = {.kind = SYNC_CHAIN_APPROVE, .subject = device, .roles = roles};
    return write(writer, chain, &change, out, NULL);
}

err_t *sync_chain_revoke(const sync_chain_writer_t *writer, sync_chain_t *chain,
                         const uint8_t device[SYNC_HASH], const secret_t *key, buf_t *out,
                         secret_t **ret_key) {
    change_t change = {.kind = SYNC_CHAIN_REVOKE, .subject = device, .new_epoch = true};
    change.key = key;
    return write(writer, chain, &change, out, ret_key);
}

err_t *sync_chain_rotate(const sync_chain_writer_t *writer, sync_chain_t *chain,
                         const sync_card_t *card, const secret_t *key, buf_t *out,
                         secret_t **ret_key) {
    change_t change = {.kind = SYNC_CHAIN_ROTATE, .card = card, .new_epoch = true, .key = key};
    return write(writer, chain, &change, out, ret_key);
}

err_t *sync_chain_recover(const sync_chain_writer_t *writer, sync_chain_t *chain,
                          const sync_card_t *card, const secret_t *key, buf_t *out,
                          secret_t **ret_key) {
    change_t change = {.kind = SYNC_CHAIN_RECOVER, .card = card, .new_epoch = true, .key = key};
    change.roles = SYNC_ALL;
    return write(writer, chain, &change, out, ret_key);
}
