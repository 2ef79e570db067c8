/*
 * smtp_client_t: hands mails to a mail server (RFC 5321) over libcurl: smtp with STARTTLS
 * (RFC 3207), smtps, with or without a log-in. Keeps its connection between mails. One thread at a
 * time uses a client.
 */
#ifndef COFFER_HTTP_SMTP_H
#define COFFER_HTTP_SMTP_H

#include "base/bytes.h"
#include "base/err.h"

typedef struct smtp_client smtp_client_t;

typedef enum {
    SMTP_TLS_REQUIRED, /* STARTTLS or no mail; smtps:// has it anyway */
    SMTP_TLS_IF_THERE, /* STARTTLS if the server offers it */
    SMTP_TLS_NONE,     /* a relay on this machine */
} smtp_tls_t;

/* Everything is copied. */
typedef struct {
    const char *url; /* smtp://host:587, smtps://host:465 */
    smtp_tls_t tls;
    const char *user; /* or "": no log-in */
    bytes_t password;
    bytes_t ca_pem; /* trust these alone; none: the system's */
    int64_t connect_ms, total_ms;
    bool (*go_on)(void *arg); /* or NULL: asked about once a second meanwhile; false: ERR_BUSY */
    void *go_on_arg;
} smtp_config_t;

/* ERR_INVALID for another kind of URL. */
err_t *smtp_client_new(const smtp_config_t *config, smtp_client_t **ret_client) WARN_UNUSED;
void smtp_client_free(smtp_client_t *client); /* takes NULL */

/*
 * One mail to one recipient; `message` has CRLF line ends (RFC 5322), dots are stuffed here. NULL:
 * the server took it. *ret_reply is the server's last reply code, 0 if there was none, set on
 * failure too. ERR_DENIED: the server said 5yz, trying again is of no use. ERR_UNAVAILABLE,
 * ERR_TIMEOUT, ERR_VERIFY (its certificate), ERR_AUTH (our log-in).
 */
err_t *smtp_client_send(smtp_client_t *client, const char *from, const char *to, bytes_t message,
                        unsigned *ret_reply) WARN_UNUSED;

DEFINE_CLEANUP(smtp_client_t, smtp_client_free)

#endif
