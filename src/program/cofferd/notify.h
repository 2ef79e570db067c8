/*
 * Telling the service manager how far we are: sd_notify(3)'s protocol, one datagram to the socket
 * named by NOTIFY_SOCKET. Process cofferd.
 */
#ifndef COFFER_PROGRAM_COFFERD_NOTIFY_H
#define COFFER_PROGRAM_COFFERD_NOTIFY_H

#include "base/err.h"

/* state: "READY=1", "STOPPING=1". Without NOTIFY_SOCKET nothing happens. */
err_t *notify_send(const char *state) WARN_UNUSED;

#endif
