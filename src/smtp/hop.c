/*
 * Next hops: the connection's beginning and end. See hop.h; a mail is in hop_mail.c.
 */
#include "smtp/hop.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "smtp/hop_internal.h"

enum { IN_MAX = 16 * 1024 };

bool smtp_hop_has_dsn(const smtp_hop_t *hop) { return hop->dsn; }

bool smtp_hop_usable(const smtp_hop_t *hop) { return hop->usable; }

void smtp_hop_free(smtp_hop_t *hop) {
    if (!hop) return;
    smtp_reply_done(&hop->reply);
    buf_done(&hop->in);
    buf_done(&hop->out);
    mem_free(hop);
}

void smtp_hop_quit(smtp_hop_t *hop) {
    if (!hop->usable) return;
    hop->usable = false;
    err_ignore(hop->link->send(hop->link->ctx, BYTES_LIT("QUIT\r\n")));
}

err_t *smtp_hop_flush(smtp_hop_t *hop) {
    if (hop->out.n == 0) return NULL;
    err_t *e = hop->link->send(hop->link->ctx, buf_bytes(&hop->out));
    buf_clear(&hop->out);
    return e;
}

err_t *smtp_hop_reply(smtp_hop_t *hop, int timeout_ms) {
    bool done = false;
    smtp_reply_clear(&hop->reply);
    for (;;) {
        size_t used = 0, n = 0;
        if (hop->in.n) {
            TRY(smtp_reply_feed(&hop->reply, buf_bytes(&hop->in), &used, &done));
            memmove(hop->in.p, hop->in.p + used, hop->in.n - used);
            hop->in.n -= used;
        }
        if (done) return NULL;
        TRY(buf_reserve(&hop->in, IN_MAX));
        TRY(hop->link->recv(hop->link->ctx, hop->in.p, IN_MAX, timeout_ms, &n));
        hop->in.n = n;
    }
}

static void learn_forwards(smtp_hop_t *hop, bytes_t names) {
    bytes_t name = BYTES_NONE;
    while (text_split(&names, ' ', &name))
        for (unsigned i = 0; i < SMTP_FORWARDS; i++)
            if (text_eq_fold(name, bytes_str(smtp_forward_name((smtp_forward_t)i))))
                hop->forwards |= 1U << i;
}

/* One line of EHLO's answer. */
static void learn(smtp_hop_t *hop, bytes_t line) {
    size_t blank = bytes_find(line, ' ');
    bytes_t word = bytes_slice(line, 0, blank), rest = bytes_from(line, blank + 1);
    if (text_eq_fold(word, BYTES_LIT("PIPELINING"))) hop->pipelining = true;
    if (text_eq_fold(word, BYTES_LIT("8BITMIME"))) hop->eightbit = true;
    if (text_eq_fold(word, BYTES_LIT("SMTPUTF8"))) hop->smtputf8 = true;
    if (text_eq_fold(word, BYTES_LIT("DSN"))) hop->dsn = true;
    if (text_eq_fold(word, BYTES_LIT("STARTTLS"))) hop->starttls = true;
    if (text_eq_fold(word, BYTES_LIT("XFORWARD"))) learn_forwards(hop, rest);
    if (text_eq_fold(word, BYTES_LIT("SIZE"))) {
        hop->has_size = true;
        err_ignore(text_u64(text_trim(rest), UINT64_MAX >> 1, &hop->size));
    }
}

static err_t *hello(smtp_hop_t *hop) {
    bytes_t line = BYTES_NONE;
    const char *verb = hop->config->lmtp ? "LHLO" : "EHLO";
    hop->pipelining = hop->eightbit = hop->smtputf8 = hop->dsn = hop->starttls = false;
    hop->has_size = false;
    hop->forwards = 0;
    hop->size = 0;
    TRY(buf_printf(&hop->out, "%s %s\r\n", verb, hop->config->hostname));
    TRY(smtp_hop_flush(hop));
    TRY(smtp_hop_reply(hop, hop->config->command_ms));
    if (hop->reply.code / 100 == 5 && !hop->config->lmtp) { /* RFC 5321 section 3.2 */
        TRY(buf_printf(&hop->out, "HELO %s\r\n", hop->config->hostname));
        TRY(smtp_hop_flush(hop));
        TRY(smtp_hop_reply(hop, hop->config->command_ms));
        if (hop->reply.code == 250) return NULL;
    }
    if (hop->reply.code != 250)
        return err_new(ERR_UNAVAILABLE, "%s was answered %u", verb, hop->reply.code);
    bytes_t rest = buf_bytes(&hop->reply.text);
    (void)text_split(&rest, '\n', &line); /* its name */
    while (text_split(&rest, '\n', &line)) learn(hop, text_trim(line));
    return NULL;
}

static err_t *begin(smtp_hop_t *hop) {
    TRY(smtp_hop_reply(hop, hop->config->command_ms));
    if (hop->reply.code != 220)
        return err_new(ERR_UNAVAILABLE, "the greeting is %u", hop->reply.code);
    TRY(hello(hop));
    if (!hop->config->starttls) return NULL;
    if (!hop->starttls) return err_new(ERR_VERIFY, "the next hop offers no STARTTLS");
    TRY(buf_add_str(&hop->out, "STARTTLS\r\n"));
    TRY(smtp_hop_flush(hop));
    TRY(smtp_hop_reply(hop, hop->config->command_ms));
    if (hop->reply.code != 220)
        return err_new(ERR_UNAVAILABLE, "STARTTLS was answered %u", hop->reply.code);
    if (hop->in.n) return err_new(ERR_VERIFY, "bytes came between STARTTLS and the handshake");
    TRY(hop->link->secure(hop->link->ctx));
    return hello(hop);
}

err_t *smtp_hop_open(const smtp_link_t *link, const smtp_hop_config_t *config,
                     smtp_hop_t **ret_hop) {
    CLEANUP(smtp_hop_free) smtp_hop_t *hop = mem_zalloc(sizeof *hop);
    if (!hop) return err_nomem();
    hop->link = link;
    hop->config = config;
    smtp_reply_init(&hop->reply);
    buf_init(&hop->in, IN_MAX);
    buf_init(&hop->out, SMTP_HOP_CHUNK * 3);
    TRY(begin(hop));
    hop->usable = true;
    *ret_hop = STEAL(hop);
    return NULL;
}
