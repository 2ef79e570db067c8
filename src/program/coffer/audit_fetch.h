/*
 * Getting the audit export from the server, for `audit export` and `audit verify`.
 */
#ifndef COFFER_PROGRAM_COFFER_AUDIT_FETCH_H
#define COFFER_PROGRAM_COFFER_AUDIT_FETCH_H

#include "program/coffer/cli.h"

/* The whole export, in memory; ret_export is initialised and replaced. */
err_t *audit_fetch(cli_t *cli, buf_t *ret_export) WARN_UNUSED;

#endif
