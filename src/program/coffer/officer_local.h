/*
 * An officer's own machine: the private file under its passphrase, and the officers' sets this
 * officer has seen. The first set is taken on trust, shown and remembered beside the key file
 * (FILE.set); every later one must follow it by the signatures of its officers, whatever the server
 * says.
 */
#ifndef COFFER_PROGRAM_COFFER_OFFICER_LOCAL_H
#define COFFER_PROGRAM_COFFER_OFFICER_LOCAL_H

#include "escrow/officer_key.h"
#include "program/coffer/cli.h"

#define OFFICER_KEY_OPTIONS                                                                        \
    {"key", "FILE", "your private officer's file"}, {                                              \
        "passphrase-file", "FILE", "its passphrase; - is standard input; default: ask"             \
    }

/* Opens the file named by --key, asking for the passphrase if need be. */
err_t *officer_unlock(cli_t *cli, const args_t *args, officer_key_t *ret_key) WARN_UNUSED;

/*
 * Parses a set and trusts it as told above; asks before the first one is remembered, unless --yes.
 * ERR_VERIFY: it does not follow from what was seen before.
 */
err_t *officer_trust_set(cli_t *cli, const args_t *args, bytes_t record,
                         escrow_set_t *ret_set) WARN_UNUSED;
/* The officer of the set who has these keys. ERR_DENIED. */
err_t *officer_in_set(const escrow_set_t *set, const officer_key_t *key,
                      const escrow_officer_t **ret_officer) WARN_UNUSED;
/* Says who is in a set and how many of them it takes, on standard error. */
void officer_show_set(cli_t *cli, const escrow_set_t *set);

/*
 * Compares the code that the requester told (--code, or asked for) with the request as it came.
 * ERR_VERIFY: it is another request; ERR_USAGE: no code, and nobody to ask or --yes.
 */
err_t *officer_check_code(cli_t *cli, const args_t *args,
                          const escrow_request_t *request) WARN_UNUSED;

/* A base64 member of an answer, appended. */
err_t *officer_get_record(const json_t *object, const char *name, buf_t *out) WARN_UNUSED;
/* {"record": base64} */
err_t *officer_record_body(bytes_t record, json_t **ret_body) WARN_UNUSED;

#endif
