/*
 * Devices of the push stand-in: see apns_lines.h. Main thread, non-blocking.
 */
#include "program/sim/apns_lines.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

enum { BUCKETS = 4096, LINE_BYTES = 1024, TOKENS_MAX = 1000 * 1000 };

typedef struct token token_t;
struct token {
    token_t *next; /* in its bucket */
    char hex[APNS_TOKEN_HEX + 1];
    char magic[LIMIT_PUSH_MAGIC + 1]; /* of the push kept; "" if none */
    int64_t expiry;
    apns_line_t *line; /* its device, if it is there */
};

struct apns_line {
    apns_line_t *before, *after;
    int fd;
    token_t *token;
    size_t n;
    char in[LINE_BYTES];
};

struct apns_lines {
    token_t *buckets[BUCKETS];
    size_t tokens;
    apns_line_t *lines;
};

err_t *apns_lines_new(apns_lines_t **ret_lines) {
    apns_lines_t *lines = mem_zalloc(sizeof *lines);
    if (!lines) return err_nomem();
    *ret_lines = lines;
    return NULL;
}

void apns_lines_free(apns_lines_t *lines) {
    if (!lines) return;
    while (lines->lines) apns_line_drop(lines, lines->lines);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (token_t *t = lines->buckets[i]; t;) {
            token_t *next = t->next;
            mem_free(t);
            t = next;
        }
    }
    mem_free(lines);
}

/* FNV-1a; tokens are random. */
static size_t bucket_of(const char *hex) {
    uint32_t hash = 2166136261U;
    for (; *hex; hex++) hash = (hash ^ (uint8_t)*hex) * 16777619U;
    return hash % BUCKETS;
}

static err_t *token_get(apns_lines_t *lines, const char *hex, token_t **ret_token) {
    token_t **bucket = &lines->buckets[bucket_of(hex)];
    for (token_t *t = *bucket; t; t = t->next) {
        if (strcmp(t->hex, hex) != 0) continue;
        *ret_token = t;
        return NULL;
    }
    if (lines->tokens >= TOKENS_MAX) return err_new(ERR_LIMIT, "too many push tokens");
    token_t *t = mem_zalloc(sizeof *t);
    if (!t) return err_nomem();
    (void)snprintf(t->hex, sizeof t->hex, "%s", hex);
    t->next = *bucket;
    *bucket = t;
    lines->tokens++;
    *ret_token = t;
    return NULL;
}

err_t *apns_line_add(apns_lines_t *lines, int fd, apns_line_t **ret_line) {
    apns_line_t *line = mem_zalloc(sizeof *line);
    if (!line) {
        fd_close(fd);
        return err_nomem();
    }
    line->fd = fd;
    line->after = lines->lines;
    if (line->after) line->after->before = line;
    lines->lines = line;
    *ret_line = line;
    return NULL;
}

int apns_line_fd(const apns_line_t *line) { return line->fd; }

void apns_line_drop(apns_lines_t *lines, apns_line_t *line) {
    if (line->before) line->before->after = line->after;
    else lines->lines = line->after;
    if (line->after) line->after->before = line->before;
    if (line->token) line->token->line = NULL;
    fd_close(line->fd);
    mem_free(line);
}

/* A line is short and the socket's buffer is not: what does not fit at once is a dead device. */
static bool send_text(const apns_line_t *line, const char *text, size_t n) {
    return send(line->fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
}

static bool send_push(token_t *token) {
    char text[LIMIT_PUSH_MAGIC + 16];
    int n = snprintf(text, sizeof text, "PUSH %s\n", token->magic);
    if (n < 0 || !send_text(token->line, text, (size_t)n)) return false;
    token->magic[0] = '\0';
    return true;
}

/* "TOKEN hex": the newest line of a token gets its pushes. */
static bool take_line(apns_lines_t *lines, apns_line_t *line, bytes_t text, int64_t now) {
    char hex[APNS_TOKEN_HEX + 1];
    token_t *token = NULL;
    if (!bytes_starts(text, BYTES_LIT("TOKEN ")) || line->token) return false;
    text = bytes_from(text, 6);
    if (text.n == 0 || text.n > APNS_TOKEN_HEX || bytes_has_nul(text)) return false;
    bytes_put(hex, text);
    hex[text.n] = '\0';
    text_lower(hex);
    err_t *e = token_get(lines, hex, &token);
    if (e) {
        err_free(e);
        return false;
    }
    if (token->line) token->line->token = NULL;
    token->line = line;
    line->token = token;
    if (!send_text(line, "OK\n", 3)) return false;
    if (token->magic[0] && token->expiry > now) return send_push(token);
    token->magic[0] = '\0';
    return true;
}

bool apns_line_read(apns_lines_t *lines, apns_line_t *line, int64_t now) {
    ssize_t got = recv(line->fd, line->in + line->n, sizeof line->in - line->n, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    line->n += (size_t)got;
    for (;;) {
        bytes_t held = bytes_make(line->in, line->n);
        size_t end = bytes_find(held, '\n');
        if (end == held.n) return line->n < sizeof line->in;
        if (!take_line(lines, line, bytes_slice(held, 0, end), now)) return false;
        line->n -= end + 1;
        memmove(line->in, line->in + end + 1, line->n);
    }
}

err_t *apns_lines_push(apns_lines_t *lines, const char *token, const char *magic, int64_t expiry,
                       int64_t now, bool *ret_delivered) {
    token_t *t = NULL;
    *ret_delivered = false;
    TRY(token_get(lines, token, &t));
    (void)snprintf(t->magic, sizeof t->magic, "%s", magic);
    t->expiry = expiry;
    if (t->line) {
        *ret_delivered = send_push(t);
        /* a dead line is shut, so that the loop drops it; the push is kept */
        if (!*ret_delivered) (void)shutdown(t->line->fd, SHUT_RDWR);
    }
    if (!*ret_delivered && expiry <= now) t->magic[0] = '\0';
    return NULL;
}
