/*
 * The words of refusals: see word.h. Pure; any thread that has the chain to itself.
 */
#include "sync/service/word.h"

typedef struct {
    const char *name;
    unsigned status;
    err_code_t code;
} word_t;

static const word_t words[] = {
    [SYNC_WORD_NONE] = {"", 500, ERR_INTERNAL},
    [SYNC_WORD_SESSION] = {"session", 401, ERR_AUTH},
    [SYNC_WORD_REVOKED] = {"revoked", 403, ERR_DENIED},
    [SYNC_WORD_DISABLED] = {"disabled", 403, ERR_DENIED},
    [SYNC_WORD_WIPE] = {"wipe", 403, ERR_DENIED},
    [SYNC_WORD_PERSON] = {"person", 403, ERR_DENIED},
    [SYNC_WORD_POLICY] = {"policy", 403, ERR_DENIED},
    [SYNC_WORD_ABSENT] = {"none", 404, ERR_NOT_FOUND},
    [SYNC_WORD_NEWER] = {"newer", 409, ERR_EXISTS},
    [SYNC_WORD_LIMIT] = {"limit", 413, ERR_LIMIT},
    [SYNC_WORD_MALFORMED] = {"malformed", 422, ERR_INVALID},
    [SYNC_WORD_REGION] = {"region", 422, ERR_VERIFY},
    [SYNC_WORD_SUITE] = {"suite", 422, ERR_VERIFY},
    [SYNC_WORD_AUTHOR] = {"author", 422, ERR_DENIED},
    [SYNC_WORD_POSITION] = {"position", 422, ERR_VERIFY},
    [SYNC_WORD_FORK] = {"fork", 422, ERR_VERIFY},
    [SYNC_WORD_ROLE] = {"role", 422, ERR_DENIED},
    [SYNC_WORD_EPOCH] = {"epoch", 422, ERR_DENIED},
    [SYNC_WORD_SIGNATURE] = {"signature", 422, ERR_VERIFY},
    [SYNC_WORD_DATA] = {"data", 422, ERR_VERIFY},
    [SYNC_WORD_HEADER] = {"header", 422, ERR_VERIFY},
    [SYNC_WORD_MISSING] = {"missing", 422, ERR_NOT_FOUND},
    [SYNC_WORD_CHANGE] = {"change", 422, ERR_VERIFY},
    [SYNC_WORD_SIZE] = {"size", 422, ERR_INVALID},
    [SYNC_WORD_RANGE] = {"range", 422, ERR_INVALID},
    [SYNC_WORD_BUSY] = {"busy", 429, ERR_BUSY},
    [SYNC_WORD_QUOTA] = {"quota", 507, ERR_FULL},
    [SYNC_WORD_FULL] = {"full", 507, ERR_FULL},
};

const char *sync_word_name(sync_word_t word) { return words[word].name; }
unsigned sync_word_status(sync_word_t word) { return words[word].status; }
err_code_t sync_word_code(sync_word_t word) { return words[word].code; }

static bool fails(err_t *e) {
    err_free(e);
    return e != NULL;
}

/* The first of these codes that the check failed with; NONE if it did not fail. */
static sync_word_t word_of(err_t *e, sync_word_t not_found, sync_word_t denied,
                           sync_word_t otherwise) {
    if (!e) return SYNC_WORD_NONE;
    err_code_t code = err_code(e);
    err_free(e);
    return code == ERR_NOT_FOUND ? not_found : code == ERR_DENIED ? denied : otherwise;
}

sync_word_t sync_word_place(const sync_chain_t *chain, const uint8_t device[SYNC_HASH],
                            uint64_t position, const uint8_t head[SYNC_HASH], uint8_t roles) {
    const sync_device_t *found = NULL;
    return word_of(sync_chain_check_author(chain, device, position, head, roles, &found),
                   SYNC_WORD_POSITION, SYNC_WORD_ROLE, SYNC_WORD_FORK);
}

static bool may_write_now(const sync_chain_t *chain, const uint8_t id[SYNC_HASH],
                          uint64_t position) {
    const sync_device_t *device = sync_chain_device(chain, id);
    return device && (sync_chain_roles_at(device, position) & SYNC_WRITE);
}

sync_word_t sync_word_package(const sync_package_t *package, const sync_chain_t *chain,
                              const sync_header_t *header, const uint8_t root[SYNC_HASH]) {
    sync_chain_head_t head;
    if (fails(sync_chain_head(chain, &head))) return SYNC_WORD_REGION;
    if (memcmp(package->region, head.region, SYNC_HASH) != 0) return SYNC_WORD_REGION;
    if (fails(sync_suite_check(package->suite, head.suite))) return SYNC_WORD_SUITE;
    sync_word_t word =
        sync_word_place(chain, package->device, package->position, package->head, SYNC_WRITE);
    if (word) return word;
    if (!may_write_now(chain, package->device, head.position)) return SYNC_WORD_ROLE;
    if (package->epoch != head.epoch) return SYNC_WORD_EPOCH;
    if (fails(sync_package_check(package, chain))) {
        uint64_t epoch = 0;
        bool other =
            fails(sync_chain_epoch_at(chain, package->position, &epoch)) || epoch != package->epoch;
        return other ? SYNC_WORD_EPOCH : SYNC_WORD_SIGNATURE;
    }
    if (fails(sync_package_match(package, header))) return SYNC_WORD_HEADER;
    return memcmp(package->root, root, SYNC_HASH) != 0 ? SYNC_WORD_DATA : SYNC_WORD_SIGNATURE;
}

sync_word_t sync_word_root(const sync_root_t *root, const sync_chain_t *chain,
                           const sync_root_seen_t *seen) {
    sync_chain_head_t head;
    if (fails(sync_chain_head(chain, &head))) return SYNC_WORD_REGION;
    if (memcmp(root->region, head.region, SYNC_HASH) != 0) return SYNC_WORD_REGION;
    if (fails(sync_suite_check(root->suite, head.suite))) return SYNC_WORD_SUITE;
    sync_word_t word = sync_word_place(chain, root->device, root->position, root->head, SYNC_WRITE);
    if (word) return word;
    if (!may_write_now(chain, root->device, head.position)) return SYNC_WORD_ROLE;
    if (fails(sync_root_check(root, chain))) return SYNC_WORD_SIGNATURE;
    if (seen->counter && root->position < seen->position) return SYNC_WORD_POSITION;
    return SYNC_WORD_FORK;
}

sync_word_t sync_word_parse(bytes_t record, err_code_t code) {
    bytes_t suite = bytes_slice(record, RECORD_HEAD, 2);
    bool known = suite.n == 2 && suite.p[0] == 0 && suite.p[1] == SYNC_SUITE_1;
    if (code == ERR_LIMIT) return SYNC_WORD_LIMIT;
    if (code != ERR_VERIFY) return SYNC_WORD_MALFORMED;
    return known ? SYNC_WORD_SIGNATURE : SYNC_WORD_SUITE;
}

sync_word_t sync_word_entry(const sync_chain_entry_t *entry, const sync_chain_t *chain,
                            err_code_t code) {
    sync_chain_head_t head;
    if (code == ERR_LIMIT) return SYNC_WORD_LIMIT;
    if (code == ERR_INVALID) return SYNC_WORD_MALFORMED;
    if (code == ERR_DENIED) return SYNC_WORD_ROLE;
    if (fails(sync_chain_head(chain, &head))) return SYNC_WORD_SIGNATURE;
    if (memcmp(entry->region, head.region, SYNC_HASH) != 0) return SYNC_WORD_REGION;
    if (fails(sync_suite_check(entry->suite, head.suite))) return SYNC_WORD_SUITE;
    if (entry->position > head.position + 1) return SYNC_WORD_POSITION;
    if (memcmp(entry->previous, head.head, SYNC_HASH) != 0) return SYNC_WORD_FORK;
    return SYNC_WORD_SIGNATURE;
}
