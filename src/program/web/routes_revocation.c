/*
 * /ocsp (RFC 6960 appendix A, RFC 5019 sections 5 and 6) and /ca/crl (RFC 5280 section 4.2.1.13):
 * for everyone, by plain HTTP too, since what is sent is signed.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/web/web.h"

enum { DATE_SIZE = 40, TAG_SIZE = 40, MAX_AGE = 64 };

/* IMF-fixdate, RFC 9110 section 5.6.7 */
static void http_date(int64_t seconds, char out[DATE_SIZE]) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm = {0};
    time_t at = (time_t)seconds;
    (void)gmtime_r(&at, &tm);
    (void)snprintf(out, DATE_SIZE, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                   tm.tm_mday, months[tm.tm_mon], (tm.tm_year + 1900) % 10000, tm.tm_hour,
                   tm.tm_min, tm.tm_sec);
}

/* What a cache may do with an object good from `from` to `to`, RFC 5019 section 6.2. */
static err_t *add_caching(http_reply_t *reply, int64_t from, int64_t to, int64_t now,
                          const char *tag, const char *more) {
    char date[DATE_SIZE], control[MAX_AGE * 2];
    int64_t left = to > now ? to - now : 0;
    http_date(from, date);
    TRY(http_reply_header(reply, "Last-Modified", date));
    http_date(to, date);
    TRY(http_reply_header(reply, "Expires", date));
    (void)snprintf(control, sizeof control, "max-age=%" PRId64 ", public, no-transform%s", left,
                   more);
    TRY(http_reply_header(reply, "Cache-Control", control));
    return http_reply_header(reply, "ETag", tag);
}

/* Whether the client has just this one; lists of tags are rare and only cost a reply. */
static bool has_it(const http_request_t *request, const char *tag) {
    bytes_t value;
    return http_request_header(request, "If-None-Match", &value) && bytes_eq_str(value, tag);
}

/* ---- OCSP ---- */

static err_t *answer(web_t *web, const http_request_t *request, bytes_t der, bool get,
                     http_reply_t *reply) {
    CLEANUP(ocsp_answer_done) ocsp_answer_t out;
    char tag[TAG_SIZE];
    ocsp_answer_init(&out);
    TRY(ocsp_answer(web->revoker, der, &out));
    if (!get || !out.cacheable)
        return http_reply_body(reply, 200, "application/ocsp-response", &out.der);
    uint64_t number = 0;
    memcpy(&number, out.tag, sizeof number);
    (void)snprintf(tag, sizeof tag, "\"%016" PRIx64 "\"", number);
    TRY(has_it(request, tag) ? http_reply_empty(reply, 304)
                             : http_reply_body(reply, 200, "application/ocsp-response", &out.der));
    return add_caching(reply, out.this_update, out.next_update, clk_unix(clk_real()), tag,
                       ", must-revalidate");
}

err_t *route_ocsp_post(void *ctx, http_request_t *request, http_reply_t *reply) {
    return answer(ctx, request, request->body, false, reply);
}

/* The request in base64 is the rest of the path; what isn't base64 is a malformed request. */
err_t *route_ocsp_get(void *ctx, http_request_t *request, http_reply_t *reply) {
    CLEANUP(buf_done) buf_t der;
    buf_init(&der, LIMIT_OCSP_REQUEST);
    err_t *e = text_unbase64(http_request_param(request, "request"), &der);
    if (e && err_code(e) == ERR_NOMEM) return e;
    if (e) buf_clear(&der);
    err_free(e);
    return answer(ctx, request, buf_bytes(&der), true, reply);
}

/* ---- lists ---- */

typedef struct {
    const char *issuer, *profile;
    bool delta;
} list_name_t;

/* "NAME.crl" or "NAME.delta.crl" */
static err_t *cut_ending(arena_t *arena, bytes_t text, const char **ret_name, bool *ret_delta) {
    static const char *const endings[] = {".delta.crl", ".crl"};
    for (size_t i = 0; i < 2; i++) {
        bytes_t end = bytes_str(endings[i]), copy;
        if (text.n <= end.n || !bytes_eq(bytes_from(text, text.n - end.n), end)) continue;
        TRY(arena_copy(arena, bytes_slice(text, 0, text.n - end.n), &copy));
        *ret_name = (const char *)copy.p;
        *ret_delta = i == 0;
        return NULL;
    }
    return err_new(ERR_NOT_FOUND, "revocation lists end with .crl");
}

static err_t *send_list(web_t *web, http_request_t *request, const list_name_t *name,
                        http_reply_t *reply) {
    db_crl_t row;
    CLEANUP(mem_free) char *path = NULL;
    char tag[TAG_SIZE];
    struct stat st;
    TRY(crl_find(web->revoker, request->arena, name->issuer, name->profile, name->delta, &row,
                 &path));
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_new(ERR_UNAVAILABLE, "the revocation list is being made");
    (void)snprintf(tag, sizeof tag, "\"%" PRId64 "-%" PRId64 "\"", row.number, (int64_t)st.st_size);
    if (has_it(request, tag)) {
        TRY(http_reply_empty(reply, 304));
    } else {
        int file = fd;
        fd = -1;
        TRY(http_reply_file(reply, 200, "application/pkix-crl", file, 0, (uint64_t)st.st_size));
    }
    /* Not until nextUpdate: a newer one comes much sooner. */
    int64_t now = clk_unix(clk_real());
    const settings_t *s = &web->settings;
    int64_t next = row.this_update + (name->delta ? s->delta_every_s : s->crl_every_s);
    return add_caching(reply, row.this_update, next > now ? next : now + 60, now, tag, "");
}

err_t *route_crl(void *ctx, http_request_t *request, http_reply_t *reply) {
    list_name_t name = {.profile = ""};
    TRY(cut_ending(request->arena, http_request_param(request, "list"), &name.issuer, &name.delta));
    return send_list(ctx, request, &name, reply);
}

err_t *route_crl_profile(void *ctx, http_request_t *request, http_reply_t *reply) {
    list_name_t name = {0};
    bytes_t issuer;
    TRY(arena_copy(request->arena, http_request_param(request, "issuer"), &issuer));
    name.issuer = (const char *)issuer.p;
    TRY(cut_ending(request->arena, http_request_param(request, "list"), &name.profile,
                   &name.delta));
    return send_list(ctx, request, &name, reply);
}
