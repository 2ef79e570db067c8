/*
 * What device management tells a mail program (managed app configuration, an XML property list):
 * whether it may leave leases, for how long, where, and with which token. Written with our names
 * (CofferLease, CofferLeaseHours, CofferServer, CofferToken), or those of a well-known mail product
 * (ENSEnableKeyEscrow, ENSKeyEscrowExpiry, ENSLinkAddress, ENSAPIToken); ours come first. Other
 * names are passed over. Pure.
 */
#ifndef COFFER_BOX_MANAGED_H
#define COFFER_BOX_MANAGED_H

#include "base/buf.h"

enum { MANAGED_SERVER_MAX = 512, MANAGED_TOKEN_MAX = 256 };

typedef struct {
    bool lease;
    int64_t hours;                       /* of a lease: 1..168, 48 if it is not said */
    char server[MANAGED_SERVER_MAX + 1]; /* https://..., or "" */
    buf_t token;                         /* or empty */
} box_managed_t;

void box_managed_init(box_managed_t *managed);
void box_managed_done(box_managed_t *managed);
/*
 * ERR_INVALID says which name has what it can't have, a lease without a server or token included.
 * ERR_LIMIT.
 */
err_t *box_managed_parse(bytes_t xml, box_managed_t *managed) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(box_managed_t, box_managed_done)

#endif
