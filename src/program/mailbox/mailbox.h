/*
 * coffer-mailbox: what its files share. A mailbox is a directory:
 *   account.json  where the mail is; nothing secret
 *   keybag, keybag.tries, device.key   the keys' way in (device.key only without a TPM)
 *   box.key       the database's key, wrapped twice
 *   secrets       log-ins and the push key, in class C
 *   cursor        up to where INBOX is known, in class C
 *   mail.db       messages, by SQLCipher
 *   inbox/        mail that came while locked, in class B
 *   agent.sock    where the agent takes commands
 */
#ifndef COFFER_PROGRAM_MAILBOX_MAILBOX_H
#define COFFER_PROGRAM_MAILBOX_MAILBOX_H

#include <sys/un.h>

#include "base/log.h"
#include "box/key.h"
#include "box/lease.h"
#include "box/sync.h"
#include "format/json.h"
#include "mail/recipients.h"

enum {
    MAILBOX_SECRETS_MAX = 32 * 1024,
    MAILBOX_ACCOUNT_MAX = 64 * 1024,
    AGENT_HELD_MAX = 2, /* a fetch, and a send in it */
};

/* ---- account.c ---- */

typedef struct {
    char *dir;
    json_t *json; /* all texts below borrow from it */
    const char *imap_host, *imap_port, *user, *address;
    box_tls_t imap_tls;
    const char *smtp_url, *junk, *sent, *server, *tcti; /* "" for none */
    buf_t ca;                                           /* PEM; none: the system's */
    buf_t server_ca;
    int64_t lease_hours; /* 0: no lease */
} account_t;

void account_init(account_t *account);
void account_done(account_t *account);
/* ERR_NOT_FOUND: there is no mailbox in `dir`. */
err_t *account_load(const char *dir, account_t *account) WARN_UNUSED;
err_t *account_path(const account_t *account, const char *name, char **ret_path) WARN_UNUSED;

typedef struct {
    buf_t password, token, device_token;
    secret_t *push_key; /* X25519 */
} secrets_t;
void secrets_init(secrets_t *secrets);
void secrets_done(secrets_t *secrets);
/* Class C. */
err_t *secrets_load(const account_t *account, const keybag_t *bag, secrets_t *secrets) WARN_UNUSED;
err_t *secrets_save(const account_t *account, const keybag_t *bag,
                    const secrets_t *secrets) WARN_UNUSED;
err_t *cursor_load(const account_t *account, const keybag_t *bag,
                   box_cursor_t *ret_cursor) WARN_UNUSED;
err_t *cursor_save(const account_t *account, const keybag_t *bag,
                   const box_cursor_t *cursor) WARN_UNUSED;
/* Removes all files of a mailbox, and none of others; what can't be removed stays. */
void account_remove(const account_t *account);
/* Whether a mailbox may be made there. ERR_EXISTS: files lie there that are somebody else's. */
err_t *account_check_place(const account_t *account) WARN_UNUSED;
/* Opens the account's keybag with its TPM or file. */
err_t *account_open_bag(const account_t *account, const clk_t *clk, const rnd_t *rnd,
                        keybag_t **ret_bag) WARN_UNUSED;

/* ---- agent.c ---- */

typedef struct {
    account_t *account;
    log_t *log;
    const clk_t *clk;
    const rnd_t *rnd;
    keybag_t *bag;
    box_key_t key;
    box_db_t *db;  /* while unlocked, and while a lease is used */
    bool leased;   /* db is open by a lease */
    unsigned held; /* commands are served while a server is waited for, one in another: db stays
                      until that ends */
    bool shut;     /* db is to be closed then */
    bool yields;   /* the wait is to end then */
    tls_context_t *tls;
    imap_t *imap;
    bool idling;
    box_cursor_t cursor;
    uint32_t newest;     /* the highest UID of INBOX that was looked for because of what follows */
    box_lease_t lease;   /* the one that was left last */
    int64_t lease_ends;  /* monotonic: when that is over, whatever the wall clock says */
    bool want_lease;     /* a new one is to be left */
    int64_t lease_again; /* monotonic: when that is tried again; 0: not */
    uint64_t leases_used;
    int64_t lease_ms;     /* that the last use took, from the key to the closed database */
    int64_t leased_until; /* monotonic, with leased */
    tls_context_t *server_tls;
    box_stream_t *stream; /* of the server; while locked with a lease */
    char stream_last[64]; /* id of its last event, or empty */
    int64_t stream_ms, stream_next, stream_heard;
    int64_t next_ms; /* monotonic: when mail is looked for next */
    int64_t backoff_ms;
    int listener, signals;
    bool stop;            /* the agent is to end */
    bool wiped;           /* nothing is left to serve */
    secrets_t last;       /* then: what the end of the lease takes; else empty */
    int asker;            /* then: the client who asked for it and waits for the answer, or -1 */
    bool busy;            /* a command is being served, or mail is fetched */
    bool want_sync;       /* a command asks for it */
    bool compare;         /* mail that came while locked was unreadable (.bad): fetch it again */
    char last_error[256]; /* why mail can't be had, for people; or empty */
    int64_t synced_at;    /* seconds since 1970 UTC; 0: never */
} agent_t;

/* Serves until a signal or a wipe. */
err_t *agent_run(agent_t *agent) WARN_UNUSED;
/* Answers one command that waits, if any; for pauses in long work. */
void agent_serve(agent_t *agent);
/* Wipes when the lock timer has passed. */
void agent_tick(agent_t *agent);
/* For what is done after a wipe: false when a signal asks to end. */
bool agent_unstopped(void *arg);
/* For box_wait_t: commands are answered and the lock timer holds while a server is waited for. */
bool agent_go_on(void *arg);

/* ---- agent_mail.c ---- */

err_t *agent_unlock(agent_t *agent, bytes_t passcode) WARN_UNUSED;
/* Another passcode. */
err_t *agent_change(agent_t *agent, bytes_t from, bytes_t to) WARN_UNUSED;
/* Closes the database and forgets its key; if it is in use, as soon as that gives way. */
void agent_close(agent_t *agent);
/* Looks for mail once; connects, and waits by IDLE afterwards. */
err_t *agent_look(agent_t *agent) WARN_UNUSED;
void agent_disconnect(agent_t *agent);
/* For commands: connected, without IDLE. */
err_t *agent_connect(agent_t *agent) WARN_UNUSED;
/* Removes all that the mailbox is, keys first, and closes it also where that fails. agent_run ends
 * then, and tells the server when nothing of the mailbox is in memory any more. */
err_t *agent_wipe(agent_t *agent) WARN_UNUSED;
/* After that: ends the lease, if there may be one. What the person has to know of it, or NULL. */
const char *agent_end_lease(agent_t *agent);

/* ---- agent_lease.c ---- */

bool lease_wanted(const agent_t *agent);
/* The database was open by a lease for long enough, whatever the mail server does. */
bool lease_over(const agent_t *agent);
/* Leaves the present KEK with the keeper. */
err_t *lease_renew(agent_t *agent) WARN_UNUSED;
/* Ends the lease at the server, with log-ins that were loaded before the keys went. */
err_t *lease_revoke(agent_t *agent, const secrets_t *secrets) WARN_UNUSED;
/* The stream's descriptor, or -1; when lease_step has something to do (monotonic), or -1. */
int lease_fd(const agent_t *agent);
int64_t lease_due(const agent_t *agent);
void lease_step(agent_t *agent, bool readable);

/* ---- commands.c ---- */

/* One command and its answer; never fails but for memory. */
err_t *commands_answer(agent_t *agent, bytes_t request, buf_t *reply) WARN_UNUSED;
/* The answer to wipe; `note` may be NULL. */
err_t *commands_wiped(const char *note, buf_t *reply) WARN_UNUSED;

/* ---- show.c ---- */

/* Opens a message with the mailbox's own keys and puts what a person sees of it into `out`. */
err_t *show_message(agent_t *agent, bytes_t message, json_t *out) WARN_UNUSED;

/* ---- send.c ---- */

typedef enum {
    SEND_OPEN,   /* not encrypted */
    SEND_IF_ALL, /* encrypted if everybody can read that */
    SEND_LOCKED, /* encrypted for everybody, or ERR_DENIED */
} send_lock_t;

typedef struct {
    send_lock_t lock;
    bool sign;
    bytes_t certificates; /* PEM: used before those that are known */
} send_how_t;

/* Sends a message to those in its To, Cc and Bcc. Fills in recipients, to, encrypted and note. */
err_t *send_given(agent_t *agent, bytes_t message, const send_how_t *how, json_t *out) WARN_UNUSED;
/* ask: message (base64), sign, encrypt, certificates (PEM). */
err_t *send_message(agent_t *agent, const json_t *ask, json_t *out) WARN_UNUSED;

/* ---- locks.c ---- */

/* Who can read an encrypted message: a lock for each address, by given certificates (PEM, may be
 * none) and those of trusted signers that were seen. */
err_t *locks_find(agent_t *agent, const bytes_t *addresses, size_t n, bytes_t certificates,
                  mail_recipients_t *ret_locks) WARN_UNUSED;
/* ERR_DENIED names the first who has none. */
err_t *locks_demand(const mail_recipients_t *locks) WARN_UNUSED;
/* Into an array: address, lock (mail_lock_name), reason. */
err_t *locks_put(const mail_recipients_t *locks, json_t *list) WARN_UNUSED;
/* ask: addresses, certificates. */
err_t *locks_answer(agent_t *agent, const json_t *ask, json_t *out) WARN_UNUSED;

/* ---- reply.c ---- */

/*
 * ask: id, all, text, quote, sign, plain, certificates, check. To an encrypted message encrypted or
 * not at all, unless `plain`; then nothing is quoted. A message that its sender signed is answered
 * to what is signed; with `reply-to` to where an unsigned Reply-To says, which else stands in the
 * answer's reply_to. With `check` nothing is sent: who could read it (recipients), subject, closed
 * (it has to be encrypted), draft (what was begun).
 */
err_t *reply_message(agent_t *agent, const json_t *ask, json_t *out) WARN_UNUSED;
/* ask: id, text. Keeps what was written so far, sealed as the mail is; an empty text: forgets it.
 * Without text: out's draft, if there is one. */
err_t *reply_draft(agent_t *agent, const json_t *ask, json_t *out) WARN_UNUSED;

/* ---- client.c ---- */

/* Whether an agent serves `dir`. */
bool agent_runs(const char *dir);

/* Where the agent's socket in `dir` is, by way of *ret_fd, which stays open until the address was
 * used: a path of any length works. */
err_t *agent_address(const char *dir, int *ret_fd, struct sockaddr_un *ret_address) WARN_UNUSED;
/* Asks the agent; *ret_reply is its answer. ERR_UNAVAILABLE: none is running. */
err_t *client_ask(const char *dir, const json_t *request, json_t **ret_reply) WARN_UNUSED;

DEFINE_CLEANUP_VALUE(account_t, account_done)
DEFINE_CLEANUP_VALUE(secrets_t, secrets_done)

#endif
