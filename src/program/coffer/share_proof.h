/*
 * What "who can read this" stands on: the share's chain and each member's, with the places of their
 * newest entries in the log of device chains, proved by its signed checkpoint. One thread;
 * blocking.
 */
#ifndef COFFER_PROGRAM_COFFER_SHARE_PROOF_H
#define COFFER_PROGRAM_COFFER_SHARE_PROOF_H

#include "program/coffer/share_work.h"

/*
 * After share_work_judge. Adds "log" and "members" to the object. A checkpoint follows an entry
 * within seconds, so this waits a little. *ret_all: all that could be had is in the log. ERR_VERIFY
 * as log_view.h says.
 */
err_t *share_proof(cli_t *cli, const share_work_t *work, json_t *out, bool *ret_all) WARN_UNUSED;

#endif
