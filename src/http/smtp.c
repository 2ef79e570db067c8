/*
 * Mail over libcurl: see smtp.h. Runs on the thread that asks.
 */
#include "http/smtp.h"

#include <curl/curl.h>
#include <string.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "http/client.h"

enum { PEM_MAX = 1024 * 1024, PASSWORD_MAX = 1024, REPLY_PERMANENT = 500, REPLY_MAX = 600 };

struct smtp_client {
    CURL *easy;
    char *url;
    char *user;
    buf_t password, ca_pem;
    smtp_tls_t tls;
    long connect_ms, total_ms;
    bool (*go_on)(void *arg);
    void *go_on_arg;
};

typedef struct {
    bytes_t rest;
} upload_t;

static size_t on_read(char *out, size_t size, size_t count, void *cls) {
    upload_t *upload = cls;
    size_t n = size * count < upload->rest.n ? size * count : upload->rest.n;
    if (n) memcpy(out, upload->rest.p, n);
    upload->rest = bytes_from(upload->rest, n);
    return n;
}

err_t *smtp_client_new(const smtp_config_t *config, smtp_client_t **ret_client) {
    bytes_t url = bytes_str(config->url);
    if (!bytes_starts(url, BYTES_LIT("smtp://")) && !bytes_starts(url, BYTES_LIT("smtps://")))
        return err_new(ERR_INVALID, "a mail server is written smtp://host:port or smtps://");
    TRY(http_client_init());
    CLEANUP(smtp_client_free) smtp_client_t *client = mem_zalloc(sizeof *client);
    if (!client) return err_nomem();
    buf_init_secret(&client->password, PASSWORD_MAX);
    buf_init(&client->ca_pem, PEM_MAX);
    client->tls = config->tls;
    client->connect_ms = (long)config->connect_ms;
    client->total_ms = (long)config->total_ms;
    client->go_on = config->go_on;
    client->go_on_arg = config->go_on_arg;
    client->url = mem_strdup(config->url);
    client->user = mem_strdup(config->user ? config->user : "");
    client->easy = curl_easy_init();
    if (!client->url || !client->user || !client->easy) return err_nomem();
    TRY(buf_add(&client->password, config->password));
    TRY(buf_add(&client->ca_pem, config->ca_pem));
    *ret_client = STEAL(client);
    return NULL;
}

void smtp_client_free(smtp_client_t *client) {
    if (!client) return;
    if (client->easy) curl_easy_cleanup(client->easy);
    buf_done(&client->password);
    buf_done(&client->ca_pem);
    mem_free(client->url);
    mem_free(client->user);
    mem_free(client);
}

static long tls_level(smtp_tls_t tls) {
    switch (tls) {
    case SMTP_TLS_REQUIRED: return CURLUSESSL_ALL;
    case SMTP_TLS_IF_THERE: return CURLUSESSL_TRY;
    case SMTP_TLS_NONE: return CURLUSESSL_NONE;
    }
    return CURLUSESSL_ALL;
}

static bool set_tls(const smtp_client_t *c) {
    CURL *easy = c->easy;
    bool ok = curl_easy_setopt(easy, CURLOPT_USE_SSL, tls_level(c->tls)) == CURLE_OK;
    ok =
        ok && curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
    if (!ok || c->ca_pem.n == 0) return ok;
    struct curl_blob blob = {.data = c->ca_pem.p, .len = c->ca_pem.n, .flags = CURL_BLOB_COPY};
    ok = ok && curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK;
    return ok && curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK;
}

static bool set_login(smtp_client_t *c) {
    const char *password = NULL;
    if (!c->user[0]) return true;
    err_t *e = buf_cstr(&c->password, &password);
    if (e) {
        err_free(e);
        return false;
    }
    return curl_easy_setopt(c->easy, CURLOPT_USERNAME, c->user) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_PASSWORD, password) == CURLE_OK;
}

static int on_progress(void *cls, curl_off_t down, curl_off_t down_now, curl_off_t up,
                       curl_off_t up_now) {
    const smtp_client_t *c = cls;
    (void)down, (void)down_now, (void)up, (void)up_now;
    return c->go_on(c->go_on_arg) ? 0 : 1;
}

static bool set_go_on(smtp_client_t *c) {
    return !c->go_on ||
           (curl_easy_setopt(c->easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
            curl_easy_setopt(c->easy, CURLOPT_XFERINFODATA, c) == CURLE_OK &&
            curl_easy_setopt(c->easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK);
}

static bool set_all(smtp_client_t *c, char *message, struct curl_slist *to, const char *from,
                    upload_t *upload) {
    CURL *easy = c->easy;
    bool ok = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps") == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_URL, c->url) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, message) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, c->connect_ms) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, c->total_ms) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_MAIL_FROM, from) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_READDATA, upload) == CURLE_OK;
    ok = ok && curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) == CURLE_OK;
    ok = ok &&
         curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)upload->rest.n) == CURLE_OK;
    return ok && set_tls(c) && set_login(c) && set_go_on(c);
}

static err_t *end_error(CURLcode code, unsigned reply, const char *url, const char *message) {
    const char *why = message[0] ? message : curl_easy_strerror(code);
    switch ((int)code) {
    case CURLE_OK: return NULL;
    case CURLE_OUT_OF_MEMORY: return err_nomem();
    case CURLE_ABORTED_BY_CALLBACK: return err_new(ERR_BUSY, "%s is not waited for any more", url);
    case CURLE_LOGIN_DENIED: return err_new(ERR_AUTH, "%s: %s", url, why);
    case CURLE_OPERATION_TIMEDOUT: return err_new(ERR_TIMEOUT, "%s: %s", url, why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_USE_SSL_FAILED: return err_new(ERR_VERIFY, "%s: %s", url, why);
    default: break;
    }
    if (reply >= REPLY_PERMANENT && reply < REPLY_MAX)
        return err_new(ERR_DENIED, "%s: the server said %u: %s", url, reply, why);
    return err_new(ERR_UNAVAILABLE, "%s: %s", url, why);
}

err_t *smtp_client_send(smtp_client_t *client, const char *from, const char *to, bytes_t message,
                        unsigned *ret_reply) {
    char text[CURL_ERROR_SIZE] = "";
    upload_t upload = {message};
    long reply = 0;
    struct curl_slist *list = curl_slist_append(NULL, to);
    if (!list) return err_nomem();
    curl_easy_reset(client->easy);
    err_t *e = NULL;
    if (fault_io() || !set_all(client, text, list, from, &upload)) {
        e = err_new(ERR_INTERNAL, "cannot prepare a mail to %s", client->url);
    } else {
        CURLcode code = curl_easy_perform(client->easy);
        (void)curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &reply);
        if (reply < 0 || reply >= REPLY_MAX) reply = 0;
        e = end_error(code, (unsigned)reply, client->url, text);
    }
    curl_easy_reset(client->easy); /* it must not point into this frame any more */
    curl_slist_free_all(list);
    *ret_reply = (unsigned)reply;
    return e;
}
