/*
 * Waiting until something happens: in a folder (inotify, with all folders in it; where that ends,
 * by time alone) or at the service (its events, on a thread with a connection of its own). One
 * thread calls.
 */
#ifndef COFFER_SYNC_CLIENT_WATCH_H
#define COFFER_SYNC_CLIENT_WATCH_H

#include "sync/client/remote.h"

typedef struct sync_watch sync_watch_t;

/* `http` is copied for the connection that listens; NULL: the folder alone is watched. */
err_t *sync_watch_new(const char *folder, const sync_http_config_t *http,
                      sync_watch_t **ret_watch) WARN_UNUSED;
void sync_watch_free(sync_watch_t *watch); /* takes NULL */
/* Looks for new folders; what happened before no more counts. Call before each step. */
err_t *sync_watch_renew(sync_watch_t *watch) WARN_UNUSED;
/* Until something happened, a signal came, or the time is over; a burst counts once it is over. */
err_t *sync_watch_wait(sync_watch_t *watch, const sync_news_t *known, int wait_ms,
                       bool *ret_happened) WARN_UNUSED;

DEFINE_CLEANUP(sync_watch_t, sync_watch_free)

#endif
