/*
 * For the files of src/mail only: the lock of one mailbox, chosen among what the sources know.
 */
#ifndef COFFER_MAIL_LOCK_INTERNAL_H
#define COFFER_MAIL_LOCK_INTERNAL_H

#include "mail/recipients.h"

/* Asks the sources in order for `folded` (the address in lower case) and fills what is said of the
 * lock in *recipient. */
err_t *mail_lock_find(const mail_book_t *book, bytes_t folded, int64_t at,
                      mail_recipient_t *recipient) WARN_UNUSED;

#endif
