/*
 * A mail account for enrolled devices (Apple's com.apple.mail.managed), in the profile that brings
 * the mail keys and naming the current one. Pure.
 */
#ifndef COFFER_DEVICE_MAIL_ACCOUNT_H
#define COFFER_DEVICE_MAIL_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    MAIL_ENCRYPT_OFFER,   /* a switch in each message, off at first */
    MAIL_ENCRYPT_DEFAULT, /* the switch is on at first */
    MAIL_ENCRYPT_ALWAYS,  /* there is no switch: what can't be encrypted isn't sent */
} mail_encrypt_t;

/* All borrowed. */
typedef struct {
    const char *imap_host; /* "" or NULL: there is no account */
    const char *smtp_host;
    int64_t imap_port, smtp_port;
    bool tls;        /* for both; TLS or STARTTLS as the port has it */
    bool local_part; /* the log-in is what stands before the @, else the address */
    mail_encrypt_t encrypt;
    const char *description; /* "": the organisation's name */
} mail_account_t;

static inline bool mail_account_is_set(const mail_account_t *account) {
    return account->imap_host && account->imap_host[0];
}

#endif
