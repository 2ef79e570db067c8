/*
 * The client's side of SMTP or LMTP with a next hop (RFC 5321, RFC 2033; PIPELINING RFC 2920, SIZE
 * RFC 1870, 8BITMIME RFC 6152, SMTPUTF8 RFC 6531, DSN RFC 3461, STARTTLS RFC 3207, XFORWARD). Moves
 * its bytes by a link that the caller makes of a socket. Blocks as the link does; one thread at a
 * time.
 */
#ifndef COFFER_SMTP_HOP_H
#define COFFER_SMTP_HOP_H

#include "smtp/envelope.h"
#include "smtp/reply.h"

typedef struct {
    void *ctx;
    /* All of it. */
    err_t *(*send)(void *ctx, bytes_t data);
    /* Some, at least a byte; ERR_TIMEOUT, ERR_UNAVAILABLE at the end of the connection. */
    err_t *(*recv)(void *ctx, uint8_t *p, size_t max, int timeout_ms, size_t *ret_n);
    /* The TLS handshake, with verification as the caller wants it. */
    err_t *(*secure)(void *ctx);
} smtp_link_t;

typedef struct {
    const char *hostname; /* how we call ourselves */
    bool lmtp;
    bool starttls;   /* demanded: no mail without */
    int command_ms;  /* patience with each reply */
    int delivery_ms; /* with the reply to the end of a message */
} smtp_hop_config_t;

typedef struct smtp_hop smtp_hop_t;

/* Greeting, EHLO, STARTTLS. All borrowed for the hop's life. ERR_UNAVAILABLE, ERR_TIMEOUT,
 * ERR_INVALID (speaks no SMTP), ERR_VERIFY (TLS). */
err_t *smtp_hop_open(const smtp_link_t *link, const smtp_hop_config_t *config,
                     smtp_hop_t **ret_hop) WARN_UNUSED;
void smtp_hop_free(smtp_hop_t *hop); /* takes NULL; says nothing */
/* QUIT, without waiting for the answer. */
void smtp_hop_quit(smtp_hop_t *hop);
/* Whether it takes the parameters of RFC 3461; else what they ask for is the caller's to do. */
bool smtp_hop_has_dsn(const smtp_hop_t *hop);
/* False after anything that leaves the dialogue in an unknown place. */
bool smtp_hop_usable(const smtp_hop_t *hop);

typedef struct {
    bytes_t from;
    const smtp_rcpt_t *rcpts;
    size_t rcpts_n;
    smtp_ret_t ret;
    bytes_t envid;
    bool smtputf8, eightbit;
    const bytes_t *forward; /* SMTP_FORWARDS attributes, or NULL */
    uint64_t size;
    /* The next piece of the content; *ret_n 0 at its end. */
    err_t *(*read)(void *arg, uint8_t *p, size_t max, size_t *ret_n);
    void *arg;
} smtp_mail_t;

/*
 * Delivers one mail. NULL: statuses[i] says what became of rcpts[i]. An error: the connection
 * broke or talks nonsense; a status with code 0 is then of a recipient about whom nothing was said.
 * *ret_begun: false when not even one reply came, so that trying on another connection is right.
 */
err_t *smtp_hop_deliver(smtp_hop_t *hop, const smtp_mail_t *mail, smtp_status_t *statuses,
                        bool *ret_begun) WARN_UNUSED;

DEFINE_CLEANUP(smtp_hop_t, smtp_hop_free)

#endif
