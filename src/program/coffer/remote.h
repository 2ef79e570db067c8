/*
 * The API from outside: where the server is, whom to trust, which token, and what its errors
 * mean. With --dir all three come from the instance; with --server they are given.
 */
#ifndef COFFER_PROGRAM_COFFER_REMOTE_H
#define COFFER_PROGRAM_COFFER_REMOTE_H

#include "http/client.h"
#include "program/coffer/cli.h"

void remote_free(remote_t *remote); /* takes NULL */

/*
 * The path below /api/v1 with each '%' of `pattern` replaced by the next argument, percent
 * encoded: remote_path(&path, "/devices/%/push", device). A new string (mem_free).
 */
err_t *remote_path(char **ret_path, const char *pattern, ...) WARN_UNUSED;
/* Appends "&name=value", percent encoded, to a path that has a query; nothing for NULL. */
err_t *remote_query(buf_t *path, const char *name, const char *value) WARN_UNUSED;

/*
 * One request. `body` (borrowed) may be NULL. *ret_json (the caller's) is an object, an empty
 * answer is an error (ERR_INVALID); ret_json is NULL where no answer is awaited, and what comes is
 * dropped. An error of the API comes back with its own code and text.
 */
err_t *remote_call(cli_t *cli, const char *method, const char *path, const json_t *body,
                   json_t **ret_json) WARN_UNUSED;
/* The same without a token: nobody is logged in yet. */
err_t *remote_call_nobody(cli_t *cli, const char *method, const char *path, const json_t *body,
                          json_t **ret_json) WARN_UNUSED;
/* The same with bytes both ways; up to `max` bytes of an answer. */
err_t *remote_bytes(cli_t *cli, const char *method, const char *path, const char *content_type,
                    bytes_t body, size_t max, buf_t *ret_answer) WARN_UNUSED;
/* GET with a header line "Range: ..."; without repeating. */
err_t *remote_range(cli_t *cli, const char *path, const char *range, size_t max,
                    buf_t *ret_answer) WARN_UNUSED;
/* All pages of a list; `path` may have a query. *ret_json is one object with all of `member`. */
err_t *remote_list(cli_t *cli, const char *path, const char *member, json_t **ret_json) WARN_UNUSED;

/* Where the server is, for programs that go on without the token: new strings, the last two may be
 * NULL. */
err_t *remote_where(cli_t *cli, char **ret_server, char **ret_ca, char **ret_resolve) WARN_UNUSED;
/*
 * The same by the devices of sync, who log in by themselves: the server is found as ever, but no
 * API token is needed before this. `bearer` replaces it from then on.
 */
err_t *remote_be(cli_t *cli, bytes_t bearer) WARN_UNUSED;
/* The server is this one, whatever the options say; the last two may be NULL. Nothing if one is
 * open. */
err_t *remote_at(cli_t *cli, const char *server, const char *ca_file,
                 const char *resolve) WARN_UNUSED;
/* After remote_at: with the API token of --token-file from here on. ERR_USAGE without one. */
err_t *remote_with_token(cli_t *cli) WARN_UNUSED;
/* Without a token yet. "host:port" of the server's URL, and the URL; borrowed. */
err_t *remote_name(cli_t *cli, const char **ret_host, const char **ret_origin) WARN_UNUSED;

/* The error that an answer of status >= 400 stands for. */
err_t *remote_error(unsigned status, bytes_t body) WARN_UNUSED;
/* Splits "https://host:port" (port 443 unless told). ERR_USAGE. */
err_t *remote_split_url(const char *url, char **ret_host, unsigned *ret_port) WARN_UNUSED;

DEFINE_CLEANUP(remote_t, remote_free)

#endif
