/*
 * For the files of src/mail only: header protection when a message is read (RFC 9788 section 4).
 * The innermost part says, by hp in its Content-Type, that fields stand in it under signature and
 * encryption; those count, what stands outside is compared with them.
 */
#ifndef COFFER_MAIL_HEADERS_H
#define COFFER_MAIL_HEADERS_H

#include "mail/layer_internal.h"

/* The innermost layer's root is known: takes its fields into the verdict, if they are protected. */
err_t *headers_take(layer_t *layer, const mime_part_t *part) WARN_UNUSED;
/* The header of what was kept, up to its empty line or to where the kept bytes go on;
 * *ret_skip: bytes of the kept ones that it stands for. */
err_t *headers_output(const mail_reader_t *r, err_t *(*each)(void *arg, bytes_t data), void *arg,
                      uint64_t *ret_skip) WARN_UNUSED;

#endif
