/*
 * The net and what is hostile in it: see sim_net.h.
 */
#include "sim_net.h"

#include "base/mem.h"
#include "ipc/wire.h"
#include "sim_person.h"
#include "sync/package.h"

enum { ANSWER = SYNC_REMOTE_ANSWER };

const char *sim_twist_name(sim_twist_t twist) {
    static const char *const names[SIM_TWISTS] = {
        "none",         "flip-chain",    "flip-root",   "flip-package", "flip-data",
        "cut-chain",    "cut-root",      "cut-package", "cut-data",     "mix-data",
        "swap-data",    "swap-package",  "swap-change", "order-chain",  "order-roots",
        "replay-roots", "insert-device", "insert-key",  "swap-key",     "old-key",
        "hide-package", "hide-data",     "hide-chain",  "fake-commit",  "garbage",
    };
    return names[twist];
}

void sim_net_init(sim_net_t *net, sim_rnd_t *rnd, sim_service_t *service, sim_disk_t *disk) {
    *net = (sim_net_t){.rnd = rnd, .service = service, .disk = disk};
    buf_init(&net->inserted, 1 << 20);
    buf_init(&net->again, 8 << 20);
    for (unsigned i = 0; i < SIM_LATE; i++) buf_init(&net->late[i], 16 << 20);
}

void sim_net_done(sim_net_t *net) {
    buf_done(&net->inserted);
    buf_done(&net->again);
    for (unsigned i = 0; i < SIM_LATE; i++) buf_done(&net->late[i]);
}

/* ---- the line ---- */

static err_t *unreachable(void) { return err_new(ERR_UNAVAILABLE, "the simulated net is away"); }

static bool chance(sim_net_t *net, unsigned percent) {
    return percent && sim_rnd_percent(net->rnd, percent);
}

/* Before each request; `sent` is what goes over the line. */
static err_t *ask(sim_net_t *net, bytes_t sent) {
    static const char *const canaries[] = {SIM_CANARY, SIM_CANARY_NAME};
    for (size_t i = 0; sent.n && i < 2; i++)
        if (memmem(sent.p, sent.n, canaries[i], strlen(canaries[i]))) net->leaked = true;
    net->calls++;
    if (net->meanwhile_in && --net->meanwhile_in == 0) net->meanwhile(net->meanwhile_ctx);
    net->refusal = SYNC_REFUSED_NOT;
    if (net->cut || sim_disk_crashed(net->disk)) return unreachable();
    if (chance(net, net->loss)) return unreachable();
    err_t *e = sim_service_login(net->service, net->device);
    if (e) net->refusal = SYNC_REFUSED_REVOKED;
    return e;
}

/* After each request that was carried out: the answer may get lost. */
static err_t *answer(sim_net_t *net) {
    return chance(net, net->loss) ? err_new(ERR_TIMEOUT, "no answer came") : NULL;
}

/* The same, with what the service told. */
static err_t *answer_with(sim_net_t *net, buf_t *told, size_t from) {
    if (net->edit) net->edit(net->edit_ctx, told, from);
    return answer(net);
}

/* ---- twisting ---- */

static bool twists(sim_net_t *net, sim_twist_t twist) {
    if (net->twist != twist) return false;
    net->twisted++;
    return true;
}

static void flip(sim_net_t *net, buf_t *bytes, size_t from) {
    if (bytes->n <= from) return;
    size_t at = from + sim_rnd_below(net->rnd, (uint32_t)(bytes->n - from));
    bytes->p[at] ^= (uint8_t)(1u << sim_rnd_below(net->rnd, 8));
}

/* Some of the end goes, and something stays. */
static void cut_off(sim_net_t *net, buf_t *bytes, size_t from) {
    if (bytes->n > from + 1)
        bytes->n = from + 1 + sim_rnd_below(net->rnd, (uint32_t)(bytes->n - from - 1));
}

static void noise(sim_net_t *net, buf_t *bytes, size_t from) {
    for (size_t i = from; i < bytes->n; i++) bytes->p[i] = (uint8_t)(sim_rnd_next(net->rnd) >> 20);
}

/* Turns the order of runs around from `from` on; how many there were. */
static err_t *turn(buf_t *runs, size_t from) {
    CLEANUP(buf_done) buf_t turned;
    buf_init(&turned, ANSWER);
    wire_reader_t r = wire_reader(bytes_from(buf_bytes(runs), from));
    while (r.rest.n) {
        CLEANUP(buf_done) buf_t rest;
        bytes_t run;
        buf_init(&rest, ANSWER);
        TRY(wire_get_bytes(&r, ANSWER, &run));
        TRY(wire_put_bytes(&rest, run));
        TRY(buf_add(&rest, buf_bytes(&turned)));
        buf_clear(&turned);
        TRY(buf_add(&turned, buf_bytes(&rest)));
    }
    runs->n = from;
    return buf_add(runs, buf_bytes(&turned));
}

/* What was twisted must be another answer, else it was no attack. */
static void count_same(sim_net_t *net, unsigned twisted, const buf_t *before, const buf_t *after) {
    if (bytes_eq(buf_bytes(before), buf_bytes(after))) net->twisted = twisted;
}

/* ---- chain and deliveries ---- */

static err_t *news(void *ctx, const sync_news_t *known, unsigned wait_s, sync_news_t *ret_news) {
    sim_net_t *net = ctx;
    (void)known;
    (void)wait_s;
    TRY(ask(net, BYTES_NONE));
    *ret_news = (sync_news_t){.root = net->service->roots.n, .entries = net->service->entries.n};
    if (net->twist == SIM_TWIST_INSERT_DEVICE) ret_news->entries++;
    return answer(net);
}

static sync_refusal_t refusal(void *ctx) { return ((sim_net_t *)ctx)->refusal; }

static err_t *twist_chain(sim_net_t *net, buf_t *runs, size_t from) {
    CLEANUP(buf_done) buf_t before;
    unsigned twisted = net->twisted;
    buf_init(&before, ANSWER);
    TRY(buf_add(&before, buf_bytes(runs)));
    /* Beyond the length of the first run, so that what is changed was signed. */
    if (twists(net, SIM_TWIST_FLIP_CHAIN)) flip(net, runs, from + 4);
    if (twists(net, SIM_TWIST_CUT_CHAIN)) cut_off(net, runs, from);
    if (twists(net, SIM_TWIST_ORDER_CHAIN)) TRY(turn(runs, from));
    if (twists(net, SIM_TWIST_HIDE_CHAIN)) runs->n = from;
    if (twists(net, SIM_TWIST_INSERT_DEVICE)) TRY(wire_put_bytes(runs, buf_bytes(&net->inserted)));
    if (twists(net, SIM_TWIST_GARBAGE)) noise(net, runs, from);
    count_same(net, twisted, &before, runs);
    return NULL;
}

static err_t *chain(void *ctx, uint64_t from, buf_t *ret_runs) {
    sim_net_t *net = ctx;
    size_t start = ret_runs->n;
    TRY(ask(net, BYTES_NONE));
    TRY(sim_service_chain(net->service, from, ret_runs));
    TRY(twist_chain(net, ret_runs, start));
    return answer_with(net, ret_runs, start);
}

static err_t *chain_post(void *ctx, bytes_t entry, bool *ret_lost) {
    sim_net_t *net = ctx;
    TRY(ask(net, entry));
    err_t *e = sim_service_chain_post(net->service, entry);
    bool lost = e && err_code(e) == ERR_EXISTS;
    if (e && !lost) return e;
    err_free(e);
    TRY(answer(net));
    *ret_lost = lost;
    return NULL;
}

/* All but the newest. */
static err_t *drop_last(buf_t *runs) {
    wire_reader_t r = wire_reader(buf_bytes(runs));
    size_t last = 0;
    while (r.rest.n) {
        bytes_t run;
        last = runs->n - r.rest.n;
        TRY(wire_get_bytes(&r, ANSWER, &run));
    }
    runs->n = last;
    return NULL;
}

static err_t *deliveries(void *ctx, buf_t *ret_runs) {
    sim_net_t *net = ctx;
    TRY(ask(net, BYTES_NONE));
    if (net->twist == SIM_TWIST_INSERT_KEY) {
        net->twisted++;
        TRY(wire_put_bytes(ret_runs, buf_bytes(&net->inserted)));
    }
    const sim_table_t *all = &net->service->deliveries;
    if (net->twist == SIM_TWIST_SWAP_KEY && all->n) {
        net->twisted++;
        for (size_t i = 0; i < all->n; i++)
            if (memcmp(all->p[i].id, net->device, SYNC_HASH) != 0)
                TRY(wire_put_bytes(ret_runs, buf_bytes(&all->p[i].bytes)));
        return answer_with(net, ret_runs, 0);
    }
    TRY(sim_service_deliveries(net->service, net->device, ret_runs));
    if (twists(net, SIM_TWIST_OLD_KEY)) TRY(drop_last(ret_runs));
    return answer_with(net, ret_runs, 0);
}

static err_t *deliver(void *ctx, bytes_t runs) {
    sim_net_t *net = ctx;
    wire_reader_t r = wire_reader(runs);
    TRY(ask(net, runs));
    while (r.rest.n) {
        bytes_t run;
        TRY(wire_get_bytes(&r, LIMIT_SYNC_DELIVERY, &run));
        TRY(sim_service_deliver(net->service, run));
    }
    return answer(net);
}

/* ---- data ---- */

/* What is on its way arrives, in another order, or does not. */
static void arrive(sim_net_t *net) {
    while (net->late_n) {
        unsigned at = sim_rnd_below(net->rnd, net->late_n);
        buf_t bytes = net->late[at];
        net->late[at] = net->late[--net->late_n];
        net->late[net->late_n] = bytes;
        if (chance(net, net->loss / 2)) net->lost_late = true;
        else if (sim_service_has_data(net->service, bytes.p)) continue;
        else
            err_ignore(sim_service_data_put(net->service, bytes.p,
                                            bytes_from(buf_bytes(&bytes), SYNC_HASH)));
    }
}

static err_t *late_failure(sim_net_t *net) {
    arrive(net);
    if (!net->lost_late) return NULL;
    net->lost_late = false;
    return unreachable();
}

static err_t *data_put(void *ctx, const uint8_t root[SYNC_HASH], buf_t *data) {
    sim_net_t *net = ctx;
    TRY(ask(net, buf_bytes(data)));
    if (net->late_n == SIM_LATE) arrive(net);
    if (sim_rnd_percent(net->rnd, 50)) {
        buf_t *late = &net->late[net->late_n];
        buf_clear(late);
        TRY(buf_add(late, bytes_make(root, SYNC_HASH)));
        TRY(buf_add(late, buf_bytes(data)));
        net->late_n++;
        return NULL;
    }
    TRY(sim_service_data_put(net->service, root, buf_bytes(data)));
    return answer(net);
}

static err_t *upload_held(void *ctx, const uint8_t upload[SYNC_NODE], uint32_t *ret_parts) {
    sim_net_t *net = ctx;
    TRY(ask(net, BYTES_NONE));
    *ret_parts = sim_service_upload_held(net->service, upload);
    return answer(net);
}

static err_t *upload_put(void *ctx, const uint8_t upload[SYNC_NODE], uint64_t package_size,
                         uint32_t part, buf_t *data) {
    sim_net_t *net = ctx;
    TRY(ask(net, buf_bytes(data)));
    TRY(sim_service_upload_put(net->service, upload, package_size, part, buf_bytes(data)));
    return answer(net);
}

static err_t *upload_end(void *ctx, const uint8_t upload[SYNC_NODE], uint64_t package_size,
                         const uint8_t root[SYNC_HASH]) {
    sim_net_t *net = ctx;
    TRY(ask(net, BYTES_NONE));
    TRY(sim_service_upload_end(net->service, upload, package_size, root));
    return answer(net);
}

/* Another data package than this one, of the same size if there is one. */
static const sim_record_t *other_data(const sim_net_t *net, const uint8_t root[SYNC_HASH]) {
    const sim_table_t *data = &net->service->data;
    const sim_record_t *own = sim_table_find(data, root), *other = NULL;
    for (size_t i = 0; own && i < data->n; i++) {
        const sim_record_t *at = &data->p[i];
        if (at != own && (!other || at->size == own->size)) other = at;
    }
    return other;
}

static err_t *twist_data(sim_net_t *net, const uint8_t root[SYNC_HASH], buf_t *data) {
    if (twists(net, SIM_TWIST_FLIP_DATA)) flip(net, data, 0);
    if (twists(net, SIM_TWIST_CUT_DATA)) data->n -= 1 + sim_rnd_below(net->rnd, (uint32_t)data->n);
    if (twists(net, SIM_TWIST_GARBAGE)) noise(net, data, 0);
    if (twists(net, SIM_TWIST_MIX_DATA)) {
        size_t half = (data->n - SYNC_HEADER) / 2;
        for (size_t i = 0; i < half; i++) {
            uint8_t kept = data->p[SYNC_HEADER + i];
            data->p[SYNC_HEADER + i] = data->p[SYNC_HEADER + half + i];
            data->p[SYNC_HEADER + half + i] = kept;
        }
    }
    const sim_record_t *other = other_data(net, root);
    if (other && twists(net, SIM_TWIST_SWAP_DATA)) {
        data->n = 0;
        TRY(buf_add(data, buf_bytes(&other->bytes)));
    }
    return NULL;
}

static err_t *data_get(void *ctx, const uint8_t root[SYNC_HASH], uint64_t package_size,
                       uint32_t part, buf_t *ret_data) {
    sim_net_t *net = ctx;
    uint64_t offset = 0, size = 0;
    TRY(ask(net, BYTES_NONE));
    if (!sync_part(package_size, part, &offset, &size)) return err_new(ERR_USAGE, "no such part");
    if (twists(net, SIM_TWIST_HIDE_DATA)) return err_new(ERR_NOT_FOUND, "there is no such data");
    buf_clear(ret_data);
    TRY(sim_service_data(net->service, root, offset, (size_t)size, ret_data));
    TRY(twist_data(net, root, ret_data));
    return answer_with(net, ret_data, 0);
}

/* ---- packages ---- */

static err_t *packages_put(void *ctx, bytes_t runs) {
    sim_net_t *net = ctx;
    wire_reader_t r = wire_reader(runs);
    TRY(ask(net, runs));
    TRY(late_failure(net));
    while (r.rest.n) {
        bytes_t run;
        TRY(wire_get_bytes(&r, SYNC_PACKAGE_MAX, &run));
        TRY(sim_service_package_put(net->service, run));
        if (chance(net, net->loss / 2)) return unreachable(); /* some of them came */
    }
    return answer(net);
}

static err_t *twist_package(sim_net_t *net, const uint8_t id[SYNC_HASH], buf_t *package) {
    const sim_table_t *all = &net->service->packages;
    if (twists(net, SIM_TWIST_HIDE_PACKAGE)) package->n = 0;
    if (twists(net, SIM_TWIST_FLIP_PACKAGE)) flip(net, package, 0);
    if (twists(net, SIM_TWIST_CUT_PACKAGE)) cut_off(net, package, 0);
    if (twists(net, SIM_TWIST_GARBAGE)) noise(net, package, 0);
    if (all->n > 1 && twists(net, SIM_TWIST_SWAP_PACKAGE)) {
        size_t at = sim_rnd_below(net->rnd, (uint32_t)all->n);
        if (memcmp(all->p[at].id, id, SYNC_HASH) == 0) at = (at + 1) % all->n;
        package->n = 0;
        TRY(buf_add(package, buf_bytes(&all->p[at].bytes)));
    }
    return NULL;
}

static err_t *packages_get(void *ctx, bytes_t ids, buf_t *ret_runs) {
    sim_net_t *net = ctx;
    TRY(ask(net, ids));
    for (size_t i = 0; i + SYNC_HASH <= ids.n; i += SYNC_HASH) {
        CLEANUP(buf_done) buf_t package;
        buf_init(&package, ANSWER);
        if (i && sim_rnd_percent(net->rnd, 10)) break; /* cut short, as it may be */
        err_t *e = sim_service_package(net->service, ids.p + i, &package);
        if (e && err_code(e) != ERR_NOT_FOUND) return e;
        if (!e) TRY(twist_package(net, ids.p + i, &package));
        err_free(e);
        TRY(wire_put_bytes(ret_runs, buf_bytes(&package)));
    }
    return answer_with(net, ret_runs, 0);
}

/* ---- roots ---- */

static err_t *put_root(sim_net_t *net, uint64_t counter, buf_t *runs) {
    CLEANUP(buf_done) buf_t record, change;
    buf_init(&record, ANSWER);
    buf_init(&change, ANSWER);
    TRY(sim_service_root_at(net->service, counter, &record, &change));
    if (counter > 1 && twists(net, SIM_TWIST_SWAP_CHANGE)) {
        CLEANUP(buf_done) buf_t other;
        buf_init(&other, ANSWER);
        buf_clear(&change);
        TRY(sim_service_root_at(net->service, counter - 1, &other, &change));
    }
    if (twists(net, SIM_TWIST_FLIP_ROOT)) flip(net, &record, 0);
    if (twists(net, SIM_TWIST_CUT_ROOT)) cut_off(net, &record, 0);
    if (twists(net, SIM_TWIST_GARBAGE)) noise(net, &record, 0);
    TRY(wire_put_bytes(runs, buf_bytes(&record)));
    return wire_put_bytes(runs, buf_bytes(&change));
}

static err_t *root(void *ctx, bool *ret_found, buf_t *ret_runs) {
    sim_net_t *net = ctx;
    uint64_t newest = net->service->roots.n;
    TRY(ask(net, BYTES_NONE));
    if (newest) TRY(put_root(net, newest, ret_runs));
    TRY(answer_with(net, ret_runs, 0));
    *ret_found = newest > 0;
    return NULL;
}

static err_t *roots(void *ctx, uint64_t after, buf_t *ret_runs) {
    sim_net_t *net = ctx;
    uint64_t newest = net->service->roots.n, most = 1 + sim_rnd_below(net->rnd, 8);
    size_t start = ret_runs->n;
    TRY(ask(net, BYTES_NONE));
    uint64_t from = after;
    if (after && newest > after && twists(net, SIM_TWIST_REPLAY_ROOTS)) {
        from = after - 1;
        newest = after;
    }
    bool turned = newest > after + 1 && net->twist == SIM_TWIST_ORDER_ROOTS;
    for (uint64_t i = from + 1; i <= newest && (turned || i <= from + most); i++)
        TRY(put_root(net, i, ret_runs));
    if (turned && twists(net, SIM_TWIST_ORDER_ROOTS)) TRY(turn(ret_runs, start));
    return answer_with(net, ret_runs, start);
}

/* One that came long ago comes once more. */
static void come_again(sim_net_t *net) {
    wire_reader_t r = wire_reader(buf_bytes(&net->again));
    bytes_t record, change;
    err_t *e = wire_get_bytes(&r, ANSWER, &record);
    if (!e) e = wire_get_bytes(&r, ANSWER, &change);
    if (!e) e = sim_service_root_post(net->service, record, change);
    err_free(e);
}

static err_t *root_post(void *ctx, bytes_t record, bytes_t change, bool *ret_lost) {
    sim_net_t *net = ctx;
    TRY(ask(net, record));
    TRY(ask(net, change));
    TRY(late_failure(net));
    if (chance(net, net->twice) && net->again.n) come_again(net);
    if (twists(net, SIM_TWIST_FAKE_COMMIT)) {
        *ret_lost = false;
        return NULL;
    }
    err_t *e = sim_service_root_post(net->service, record, change);
    bool lost = e && err_code(e) == ERR_EXISTS;
    if (e && !lost) return e;
    err_free(e);
    buf_clear(&net->again);
    TRY(wire_put_bytes(&net->again, record));
    TRY(wire_put_bytes(&net->again, change));
    if (chance(net, net->twice)) come_again(net);
    TRY(answer(net));
    *ret_lost = lost;
    return NULL;
}

sync_remote_t sim_net_remote(sim_net_t *net) {
    return (sync_remote_t){
        .ctx = net,
        .news = news,
        .refusal = refusal,
        .chain = chain,
        .chain_post = chain_post,
        .deliveries = deliveries,
        .deliver = deliver,
        .upload_held = upload_held,
        .upload_put = upload_put,
        .upload_end = upload_end,
        .data_put = data_put,
        .data_get = data_get,
        .packages_put = packages_put,
        .packages_get = packages_get,
        .root = root,
        .roots = roots,
        .root_post = root_post,
    };
}
