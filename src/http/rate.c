/*
 * Token buckets by peer address: see rate.h. Worker threads.
 */
#include "http/rate.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

enum { WAYS = 4, ROWS = LIMIT_HTTP_RATE_ADDRESSES / WAYS, KEY_SIZE = 8, WHOLE = 1000 };

typedef struct {
    uint8_t key[KEY_SIZE];
    bool used;
    int64_t tokens; /* thousandths of a request */
    int64_t at_ms;  /* when they were counted */
} bucket_t;

struct http_rate {
    const clk_t *clk;
    int64_t per_s, full;
    uint64_t seed[2];
    pthread_mutex_t lock; /* guards buckets */
    bucket_t (*rows)[WAYS];
};

err_t *http_rate_new(const clk_t *clk, const rnd_t *rnd, unsigned per_s, unsigned burst,
                     http_rate_t **ret_rate) {
    CLEANUP(http_rate_free) http_rate_t *rate = mem_zalloc(sizeof *rate);
    if (!rate) return err_nomem();
    (void)pthread_mutex_init(&rate->lock, NULL);
    rate->clk = clk;
    rate->per_s = per_s;
    rate->full = (int64_t)(burst ? burst : 1) * WHOLE;
    TRY(rnd_fill(rnd, rate->seed, sizeof rate->seed));
    rate->rows = mem_array(ROWS, sizeof *rate->rows);
    if (!rate->rows) return err_nomem();
    *ret_rate = STEAL(rate);
    return NULL;
}

void http_rate_free(http_rate_t *rate) {
    if (!rate) return;
    (void)pthread_mutex_destroy(&rate->lock);
    mem_free(rate->rows);
    mem_free(rate);
}

/* Four bytes of IPv4, or the first eight of IPv6; what is no address shares one bucket. */
static void key_of(const char *peer, uint8_t key[KEY_SIZE]) {
    struct in_addr four;
    struct in6_addr six;
    memset(key, 0, KEY_SIZE);
    if (inet_pton(AF_INET, peer, &four) == 1) memcpy(key, &four, sizeof four);
    else if (inet_pton(AF_INET6, peer, &six) == 1) memcpy(key, &six, KEY_SIZE);
}

/* Keyed mixing by multiplication; a stranger does not know the seed. */
static size_t row_of(const http_rate_t *rate, const uint8_t key[KEY_SIZE]) {
    uint64_t x;
    memcpy(&x, key, sizeof x);
    for (size_t i = 0; i < 2; i++) {
        x = (x ^ rate->seed[i]) * 0x9e3779b97f4a7c15U;
        x ^= x >> 29;
    }
    return (size_t)(x % ROWS);
}

static bucket_t *find(http_rate_t *rate, const uint8_t key[KEY_SIZE], int64_t now) {
    bucket_t *row = rate->rows[row_of(rate, key)], *oldest = row;
    for (size_t i = 0; i < WAYS; i++) {
        if (row[i].used && memcmp(row[i].key, key, KEY_SIZE) == 0) return &row[i];
        if (!row[i].used || (oldest->used && row[i].at_ms < oldest->at_ms)) oldest = &row[i];
    }
    *oldest = (bucket_t){.used = true, .tokens = rate->full, .at_ms = now};
    memcpy(oldest->key, key, KEY_SIZE);
    return oldest;
}

static bool take(http_rate_t *rate, const uint8_t key[KEY_SIZE]) {
    int64_t now = clk_mono_ms(rate->clk);
    bucket_t *bucket = find(rate, key, now);
    int64_t passed = now - bucket->at_ms;
    /* Beyond this many milliseconds it is full in any case, and the product can't overflow. */
    if (passed > rate->full) bucket->tokens = rate->full;
    else bucket->tokens += passed * rate->per_s; /* per_s thousandths a millisecond */
    if (bucket->tokens > rate->full) bucket->tokens = rate->full;
    bucket->at_ms = now;
    if (bucket->tokens < WHOLE) return false;
    bucket->tokens -= WHOLE;
    return true;
}

static bool take_locked(http_rate_t *rate, const uint8_t key[KEY_SIZE]) {
    (void)pthread_mutex_lock(&rate->lock);
    bool taken = take(rate, key);
    (void)pthread_mutex_unlock(&rate->lock);
    return taken;
}

err_t *http_rate_take(http_rate_t *rate, const char *peer) {
    uint8_t key[KEY_SIZE];
    if (rate->per_s == 0) return NULL;
    key_of(peer, key);
    if (take_locked(rate, key)) return NULL;
    return err_new(ERR_BUSY, "too many requests from your address: try again in a moment");
}

err_t *http_rate_take_name(http_rate_t *rate, const char *name) {
    uint64_t hash = 14695981039346656037U; /* FNV-1a: names are ours, nobody aims with them */
    uint8_t key[KEY_SIZE];
    if (rate->per_s == 0) return NULL;
    for (const char *p = name; *p; p++) hash = (hash ^ (uint8_t)*p) * 1099511628211U;
    memcpy(key, &hash, sizeof key);
    if (take_locked(rate, key)) return NULL;
    return err_new(ERR_BUSY, "too many requests: try again in a moment");
}
