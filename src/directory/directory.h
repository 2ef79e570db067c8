/*
 * People and their log-in, and the API's bearer tokens. Passwords are Argon2id hashes, or checked
 * by the organisation's directory; failures are throttled per person, computations are bounded in
 * number.
 * Runs in coffer-web; safe from many threads at once.
 */
#ifndef COFFER_DIRECTORY_DIRECTORY_H
#define COFFER_DIRECTORY_DIRECTORY_H

#include "audit/audit.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/rnd.h"
#include "directory/source.h"
#include "store/db.h"
#include "store/people.h"
#include "store/tokens.h"

typedef struct directory directory_t;

/* Who does it; borrowed. */
typedef struct {
    const char *actor; /* for the audit: "person:EMAIL", "token:NAME", "system" */
    const char *hand;  /* id of the person behind it, or "": what is made in another's name went
                          through these hands (store/hands.h) */
    bool not_hers;     /* by the instance's own token, or by one that was made with it */
} directory_by_t;

extern const directory_by_t DIRECTORY_SYSTEM; /* no person */

typedef struct {
    db_t *db; /* borrowed, as all of these */
    const audit_t *audit;
    const clk_t *clk;
    const rnd_t *rnd;
    bool cheap_passwords; /* tests only: Argon2id with its smallest cost */
    unsigned waiting;     /* log-ins that may wait, for each holds a request worker; 0: the limit */
    const directory_source_t *source; /* where other people come from; or NULL */
} directory_options_t;

err_t *directory_new(const directory_options_t *options, directory_t **ret_directory) WARN_UNUSED;
void directory_free(directory_t *directory);

/* Folds to lower case and checks; the result is in the arena. */
err_t *directory_check_email(arena_t *arena, bytes_t email, const char **ret_email) WARN_UNUSED;

/*
 * Addresses are folded to lower case and checked (one @, LIMIT_EMAIL). role: "admin" or "member".
 * `password` none: one is generated into ret_password (a secret buffer), else ret_password is left
 * alone and may be NULL. ERR_EXISTS, ERR_INVALID with what is wrong.
 */
err_t *directory_add_person(directory_t *directory, const directory_by_t *by, bytes_t email,
                            bytes_t name, bytes_t role, bytes_t password,
                            buf_t *ret_password) WARN_UNUSED;
/* Ends the tokens that the former password gave (coffer login): *ret_tokens, or NULL, says how
 * many. ERR_DENIED: the person's password is the directory's. */
err_t *directory_set_password(directory_t *directory, const directory_by_t *by, bytes_t email,
                              bytes_t password, buf_t *ret_password,
                              int64_t *ret_tokens) WARN_UNUSED;
/* A disabled person can't log in; enrolled devices go on. ERR_NOT_FOUND. What is set here stands,
 * whatever a directory says of the person. `left`: for the audit, the person left for good. */
err_t *directory_set_disabled(directory_t *directory, const char *actor, bytes_t email,
                              bool disabled, bool left) WARN_UNUSED;
err_t *directory_list(directory_t *directory, arena_t *arena, const char *after, size_t limit,
                      db_person_t **ret_people, size_t *ret_count) WARN_UNUSED;

/*
 * Log-in. Unknown address, wrong password and disabled account are the same ERR_AUTH in the same
 * time (a dummy hash is computed). ERR_BUSY with the seconds to wait after LIMIT_LOGIN_FAILURES
 * failures, or when too many log-ins run. Failures survive a restart. Audited either way.
 * Who was not made here is asked of the source, if there is one; its first log-in makes the person
 * here. ERR_UNAVAILABLE, with a sentence for people outermost: the source can't say.
 */
err_t *directory_log_in(directory_t *directory, arena_t *arena, bytes_t email, bytes_t password,
                        const char *peer, db_person_t *ret_person) WARN_UNUSED;

/*
 * A new bearer token (base64url of 32 random bytes, "cft_" before it) of this role. `person` (an
 * address, or none) makes it that person's: it ends when the person is disabled, and counts as the
 * person where people must be told apart. Officers' tokens must be a person's. ERR_NOT_FOUND.
 */
err_t *directory_add_token(directory_t *directory, const directory_by_t *by, bytes_t name,
                           bytes_t role, bytes_t person, int64_t expires_ms,
                           buf_t *ret_token) WARN_UNUSED;
/*
 * A token for somebody who just logged in, of his own. Those of his that expired are dropped.
 * ERR_LIMIT past LIMIT_TOKENS_PERSON. *ret_name is in the arena.
 */
err_t *directory_login_token(directory_t *directory, arena_t *arena, const db_person_t *person,
                             const char *role, int64_t expires_ms, const char **ret_name,
                             buf_t *ret_token) WARN_UNUSED;
/* ERR_AUTH if unknown, expired, or of a disabled person. `ret_person`: its id is "" if nobody's. */
err_t *directory_check_token(directory_t *directory, arena_t *arena, bytes_t token,
                             db_token_t *ret_token, db_person_t *ret_person) WARN_UNUSED;
err_t *directory_remove_token(directory_t *directory, const char *actor, bytes_t name) WARN_UNUSED;

DEFINE_CLEANUP(directory_t, directory_free)

#endif
