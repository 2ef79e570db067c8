/*
 * The state machine of a device chain: see chain.h. Pure; any process, one thread.
 */
#include "sync/chain.h"

#include "base/mem.h"
#include "crypto/digest.h"

typedef struct {
    uint8_t hash[SYNC_HASH];
    uint64_t epoch;
} place_t;

typedef struct {
    uint8_t commit[SYNC_HASH];
    uint8_t history[SYNC_WRAP]; /* zeros in the first */
} epoch_t;

struct sync_chain {
    uint16_t suite;
    size_t n, places_room;
    place_t *places;
    size_t devices_n, devices_room;
    sync_device_t *devices;
    size_t epochs_n, epochs_room;
    epoch_t *epochs; /* epochs[i] is epoch i + 1 */
};

static const uint8_t zeros[SYNC_HASH];

err_t *sync_chain_new(sync_chain_t **ret_chain) {
    sync_chain_t *chain = mem_zalloc(sizeof *chain);
    if (!chain) return err_nomem();
    *ret_chain = chain;
    return NULL;
}

void sync_chain_free(sync_chain_t *chain) {
    if (!chain) return;
    for (size_t i = 0; i < chain->devices_n; i++) {
        pkey_free(chain->devices[i].content);
        pkey_free(chain->devices[i].seal);
    }
    mem_free(chain->devices);
    mem_free(chain->places);
    mem_free(chain->epochs);
    mem_free(chain);
}

size_t sync_chain_count(const sync_chain_t *chain) { return chain->n; }

err_t *sync_chain_head(const sync_chain_t *chain, sync_chain_head_t *ret_head) {
    if (chain->n == 0) return err_new(ERR_NOT_FOUND, "the chain is empty");
    ret_head->suite = chain->suite;
    ret_head->position = chain->n - 1;
    ret_head->epoch = chain->epochs_n;
    memcpy(ret_head->region, chain->places[0].hash, SYNC_HASH);
    memcpy(ret_head->head, chain->places[chain->n - 1].hash, SYNC_HASH);
    memcpy(ret_head->commit, chain->epochs[chain->epochs_n - 1].commit, SYNC_HASH);
    return NULL;
}

size_t sync_chain_devices(const sync_chain_t *chain, const sync_device_t **ret_devices) {
    *ret_devices = chain->devices;
    return chain->devices_n;
}

static sync_device_t *find(const sync_chain_t *chain, const uint8_t id[SYNC_HASH]) {
    for (size_t i = 0; i < chain->devices_n; i++)
        if (memcmp(chain->devices[i].id, id, SYNC_HASH) == 0) return &chain->devices[i];
    return NULL;
}

const sync_device_t *sync_chain_device(const sync_chain_t *chain, const uint8_t id[SYNC_HASH]) {
    return find(chain, id);
}

uint8_t sync_chain_roles_at(const sync_device_t *device, uint64_t position) {
    bool active = device->active <= position && position < device->ended;
    return active ? device->roles : 0;
}

err_t *sync_chain_check_place(const sync_chain_t *chain, uint64_t position,
                              const uint8_t hash[SYNC_HASH]) {
    if (position >= chain->n)
        return err_new(ERR_NOT_FOUND, "the chain has no entry %llu yet",
                       (unsigned long long)position);
    if (memcmp(chain->places[position].hash, hash, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "entry %llu of another chain: the chain was forked",
                       (unsigned long long)position);
    return NULL;
}

err_t *sync_chain_check_author(const sync_chain_t *chain, const uint8_t device[SYNC_HASH],
                               uint64_t position, const uint8_t hash[SYNC_HASH], uint8_t roles,
                               const sync_device_t **ret_device) {
    TRY(sync_chain_check_place(chain, position, hash));
    const sync_device_t *found = find(chain, device);
    if (!found || !(sync_chain_roles_at(found, position) & roles))
        return err_new(ERR_DENIED, "the device had no right to this at entry %llu",
                       (unsigned long long)position);
    *ret_device = found;
    return NULL;
}

err_t *sync_chain_epoch_at(const sync_chain_t *chain, uint64_t position, uint64_t *ret_epoch) {
    if (position >= chain->n) return err_new(ERR_NOT_FOUND, "the chain is not that long yet");
    *ret_epoch = chain->places[position].epoch;
    return NULL;
}

err_t *sync_chain_epoch(const sync_chain_t *chain, uint64_t epoch, const uint8_t **ret_commit,
                        bytes_t *ret_history) {
    if (epoch == 0 || epoch > chain->epochs_n)
        return err_new(ERR_NOT_FOUND, "the chain has no epoch %llu", (unsigned long long)epoch);
    const epoch_t *found = &chain->epochs[epoch - 1];
    *ret_commit = found->commit;
    *ret_history = epoch == 1 ? BYTES_NONE : BYTES_ARRAY(found->history);
    return NULL;
}

/* ---- the next entry ---- */

/* What an entry does, worked out before anything is changed. */
typedef struct {
    sync_chain_entry_t entry;
    uint8_t hash[SYNC_HASH];
    bool first, new_epoch;
    sync_device_t device; /* of the card, if there is one */
    size_t author;        /* index; of no use in the first */
    size_t subject;       /* index; approve and revoke */
} step_t;

static void step_done(step_t *step) {
    pkey_free(step->device.content);
    pkey_free(step->device.seal);
}
DEFINE_CLEANUP_VALUE(step_t, step_done)

/* Position, hash, region and suite go on from the last entry. */
static err_t *check_follows(const sync_chain_t *chain, const sync_chain_entry_t *entry) {
    const uint8_t *region = chain->n ? chain->places[0].hash : zeros;
    const uint8_t *previous = chain->n ? chain->places[chain->n - 1].hash : zeros;
    TRY(sync_suite_check(entry->suite, chain->suite));
    if (chain->n >= LIMIT_SYNC_CHAIN) return err_new(ERR_LIMIT, "the chain is full");
    if (entry->position != chain->n)
        return err_new(ERR_VERIFY, "entry %llu where entry %zu belongs",
                       (unsigned long long)entry->position, chain->n);
    if (memcmp(entry->region, region, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "an entry of another region");
    if (memcmp(entry->previous, previous, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the entry does not follow the one before");
    return NULL;
}

static err_t *check_epoch(const sync_chain_t *chain, const step_t *step) {
    const sync_chain_entry_t *entry = &step->entry;
    uint64_t wanted = chain->epochs_n + (step->new_epoch ? 1 : 0);
    size_t history = step->new_epoch && !step->first ? SYNC_WRAP : 0;
    if (entry->epoch != wanted)
        return err_new(ERR_VERIFY, "epoch %llu where epoch %llu belongs",
                       (unsigned long long)entry->epoch, (unsigned long long)wanted);
    if (entry->history.n != history)
        return err_new(ERR_VERIFY, "a sealed former key of %zu bytes, not %zu", entry->history.n,
                       history);
    if (!step->new_epoch &&
        memcmp(entry->commit, chain->epochs[chain->epochs_n - 1].commit, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the entry changes the key of an epoch");
    return NULL;
}

/* Parses and verifies the card; its id must be the subject and new to the chain. */
static err_t *take_card(const sync_chain_t *chain, step_t *step) {
    sync_device_t *device = &step->device;
    TRY(sync_card_parse(step->entry.card, &device->card));
    TRY(sync_suite_check(device->card.suite, chain->suite));
    TRY(sync_card_verify(&device->card));
    TRY(sync_card_id(&device->card, device->id));
    if (memcmp(device->id, step->entry.subject, SYNC_HASH) != 0)
        return err_new(ERR_VERIFY, "the entry is about another device than the card");
    if (find(chain, device->id)) return err_new(ERR_VERIFY, "the chain had this device before");
    if (chain->devices_n >= LIMIT_SYNC_DEVICES)
        return err_new(ERR_LIMIT, "the chain has %d devices already", LIMIT_SYNC_DEVICES);
    TRY(pkey_from_raw_public(PKEY_ED25519, BYTES_ARRAY(device->card.content), &device->content));
    TRY(pkey_from_raw_public(PKEY_X25519, BYTES_ARRAY(device->card.seal), &device->seal));
    device->added = chain->n;
    device->active = SYNC_NEVER;
    device->ended = SYNC_NEVER;
    device->state = SYNC_DEVICE_ADDED;
    return NULL;
}

/* Card and roles are there exactly where the kind has them. */
static err_t *check_shape(const step_t *step) {
    const sync_chain_entry_t *entry = &step->entry;
    bool subject = memcmp(entry->subject, zeros, SYNC_HASH) != 0;
    bool card = entry->card.n != 0;
    uint8_t all = entry->kind == SYNC_CHAIN_RECOVER || step->first ? SYNC_ALL : 0;
    bool right = false;
    switch (entry->kind) {
    case SYNC_CHAIN_ADD:
    case SYNC_CHAIN_RECOVER: right = card && subject && entry->roles == all; break;
    case SYNC_CHAIN_APPROVE:
        right = !card && subject &&
                (entry->roles == SYNC_RECOVER || (entry->roles & ~SYNC_ALL) == 0) && entry->roles;
        break;
    case SYNC_CHAIN_REVOKE: right = !card && subject && entry->roles == 0; break;
    case SYNC_CHAIN_ROTATE: right = card == subject && entry->roles == 0; break;
    }
    if (!right)
        return err_new(ERR_VERIFY, "an entry \"%s\" with the wrong fields",
                       sync_chain_kind_name(entry->kind));
    return NULL;
}

static bool active(const sync_device_t *device, uint8_t roles) {
    return device->state == SYNC_DEVICE_ACTIVE && (device->roles & roles) != 0;
}

static err_t *may_not(const sync_chain_entry_t *entry) {
    return err_new(ERR_DENIED, "the author may not \"%s\"", sync_chain_kind_name(entry->kind));
}

static err_t *check_subject(const sync_chain_t *chain, step_t *step) {
    const sync_device_t *subject = find(chain, step->entry.subject);
    if (!subject) return err_new(ERR_VERIFY, "the entry is about a device the chain never had");
    step->subject = (size_t)(subject - chain->devices);
    return NULL;
}

static err_t *check_approve(const sync_chain_t *chain, step_t *step, const sync_device_t *author) {
    if (!active(author, SYNC_MANAGE)) return may_not(&step->entry);
    TRY(check_subject(chain, step));
    if (chain->devices[step->subject].state != SYNC_DEVICE_ADDED)
        return err_new(ERR_VERIFY, "only a device that was added can be approved, once");
    return NULL;
}

/* Nobody revokes himself: he would know the key that is to shut him out. */
static err_t *check_revoke(const sync_chain_t *chain, step_t *step, const sync_device_t *author) {
    TRY(check_subject(chain, step));
    const sync_device_t *subject = &chain->devices[step->subject];
    if (!active(author, SYNC_MANAGE) || subject == author) return may_not(&step->entry);
    if (subject->state == SYNC_DEVICE_ENDED)
        return err_new(ERR_VERIFY, "the device was revoked before");
    return NULL;
}

static err_t *check_kind(const sync_chain_t *chain, step_t *step) {
    const sync_device_t *author = &chain->devices[step->author];
    switch (step->entry.kind) {
    case SYNC_CHAIN_ADD:
        if (!active(author, SYNC_MANAGE)) return may_not(&step->entry);
        return take_card(chain, step);
    case SYNC_CHAIN_APPROVE: return check_approve(chain, step, author);
    case SYNC_CHAIN_REVOKE: return check_revoke(chain, step, author);
    case SYNC_CHAIN_ROTATE:
        if (!active(author, SYNC_MANAGE)) return may_not(&step->entry);
        return step->entry.card.n ? take_card(chain, step) : NULL;
    case SYNC_CHAIN_RECOVER:
        if (!active(author, SYNC_RECOVER)) return may_not(&step->entry);
        return take_card(chain, step);
    }
    return err_new(ERR_INTERNAL, "a chain entry of no kind");
}

/* The first entry is its own device's; every other one's author is active. */
static err_t *find_author(const sync_chain_t *chain, step_t *step, const pkey_t **ret_key) {
    const sync_chain_entry_t *entry = &step->entry;
    if (step->first) {
        if (entry->kind != SYNC_CHAIN_ADD || memcmp(entry->author, entry->subject, SYNC_HASH) != 0)
            return err_new(ERR_VERIFY, "a chain begins with a device that adds itself");
        TRY(take_card(chain, step));
        *ret_key = step->device.content;
        return NULL;
    }
    const sync_device_t *author = find(chain, entry->author);
    if (!author || author->state != SYNC_DEVICE_ACTIVE)
        return err_new(ERR_DENIED, "the author is no active device of this chain");
    step->author = (size_t)(author - chain->devices);
    *ret_key = author->content;
    return NULL;
}

static err_t *check(const sync_chain_t *chain, bytes_t record, step_t *step) {
    const pkey_t *key = NULL;
    TRY(sync_chain_entry_parse(record, &step->entry));
    const sync_chain_entry_t *entry = &step->entry;
    step->first = chain->n == 0;
    step->new_epoch = step->first || entry->kind == SYNC_CHAIN_REVOKE ||
                      entry->kind == SYNC_CHAIN_ROTATE || entry->kind == SYNC_CHAIN_RECOVER;
    TRY(check_follows(chain, entry));
    TRY(check_shape(step));
    TRY(check_epoch(chain, step));
    TRY(find_author(chain, step, &key));
    TRY(pkey_verify(key, "coffer/v1/sync/chain", entry->message, BYTES_ARRAY(entry->signature)));
    if (!step->first) TRY(check_kind(chain, step));
    return digest_sha256(record, step->hash);
}

/* Room for one more item; grows by half. `array` is the address of the pointer to the items. */
static err_t *reserve(void *array, size_t size, size_t n, size_t *room) {
    void *items = NULL;
    if (n < *room) return NULL;
    size_t more = *room + *room / 2 + 8;
    memcpy(&items, array, sizeof items);
    items = mem_resize(items, more * size);
    if (!items) return err_nomem();
    memcpy(array, &items, sizeof items);
    *room = more;
    return NULL;
}

static void end(sync_device_t *device, uint64_t position) {
    if (device->state == SYNC_DEVICE_ENDED) return;
    device->state = SYNC_DEVICE_ENDED;
    device->ended = position;
}

static void begin(sync_device_t *device, uint8_t roles, uint64_t position) {
    device->state = SYNC_DEVICE_ACTIVE;
    device->roles = roles;
    device->active = position;
}

/* Cannot fail. */
static void apply(sync_chain_t *chain, step_t *step) {
    const sync_chain_entry_t *entry = &step->entry;
    uint64_t position = chain->n;
    sync_device_t *added = NULL;
    if (step->device.content) {
        added = &chain->devices[chain->devices_n++];
        *added = step->device;
        step->device.content = NULL;
        step->device.seal = NULL;
    }
    switch (entry->kind) {
    case SYNC_CHAIN_ADD:
        if (step->first) begin(added, entry->roles, position);
        break;
    case SYNC_CHAIN_APPROVE: begin(&chain->devices[step->subject], entry->roles, position); break;
    case SYNC_CHAIN_REVOKE: end(&chain->devices[step->subject], position); break;
    case SYNC_CHAIN_ROTATE:
        if (!added) break;
        begin(added, chain->devices[step->author].roles, position);
        end(&chain->devices[step->author], position);
        break;
    case SYNC_CHAIN_RECOVER:
        for (size_t i = 0; i + 1 < chain->devices_n; i++)
            if (!active(&chain->devices[i], SYNC_RECOVER)) end(&chain->devices[i], position);
        begin(added, entry->roles, position);
        break;
    }
    if (step->new_epoch) {
        epoch_t *epoch = &chain->epochs[chain->epochs_n++];
        *epoch = (epoch_t){0};
        memcpy(epoch->commit, entry->commit, SYNC_HASH);
        if (entry->history.n) memcpy(epoch->history, entry->history.p, SYNC_WRAP);
    }
    place_t *place = &chain->places[chain->n++];
    memcpy(place->hash, step->hash, SYNC_HASH);
    place->epoch = chain->epochs_n;
    chain->suite = entry->suite;
}

err_t *sync_chain_append(sync_chain_t *chain, bytes_t record) {
    CLEANUP(step_done) step_t step = {0};
    TRY_WRAP(check(chain, record, &step), "entry %zu of the device chain", chain->n);
    TRY(reserve(&chain->places, sizeof *chain->places, chain->n, &chain->places_room));
    TRY(reserve(&chain->devices, sizeof *chain->devices, chain->devices_n, &chain->devices_room));
    TRY(reserve(&chain->epochs, sizeof *chain->epochs, chain->epochs_n, &chain->epochs_room));
    apply(chain, &step);
    return NULL;
}
