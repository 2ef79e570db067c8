/*
 * For the gate's files only: one message on its way through, and what they share. A job belongs to
 * the thread that runs gate_run.
 */
#ifndef COFFER_MAIL_GATE_INTERNAL_H
#define COFFER_MAIL_GATE_INTERNAL_H

#include "format/mime.h"
#include "format/mime_address.h"
#include "mail/gate.h"
#include "mail/reader.h"
#include "mail/writer.h"

struct gate {
    const gate_options_t *options;
    const gate_services_t *services;
};

typedef err_t *(*gate_each_t)(void *arg, bytes_t data);

/* What the whole of a message is. */
typedef enum {
    GATE_BODY_PLAIN,
    GATE_BODY_SIGNED,    /* S/MIME or PGP/MIME */
    GATE_BODY_ENCRYPTED, /* S/MIME, PGP/MIME, or PGP in the text */
    GATE_BODY_REPORT,    /* multipart/report (RFC 6522): who reads it is a program */
    GATE_BODY_CALENDAR,  /* text/calendar as a whole (RFC 6047): the same */
} gate_body_t;

typedef struct {
    buf_t raw;     /* the header block with its empty line */
    uint64_t body; /* offset behind it */
    uint64_t size; /* of the whole */
    mime_fields_t fields;
    mime_addresses_t from;
    mime_addresses_t open; /* To, Cc, Resent-To, Resent-Cc together */
    gate_body_t kind;
    bool smime;      /* of a signed or encrypted one */
    bool list;       /* came through a mailing list */
    bool automatic;  /* nobody sat there and wrote it (RFC 3834) */
    unsigned passes; /* own trace fields */
    unsigned hops;   /* Received fields */
} gate_message_t;

typedef struct {
    bool asked; /* anything at all: fields to take out */
    bool encrypt, plain;
    bool has_sign, sign;
    bool retitle;
    buf_t subject; /* with `retitle`: the whole Subject field without the tag */
} gate_tag_t;

/* Certificates that unmade mails need. */
typedef struct gate_certs gate_certs_t;
struct gate_certs {
    cert_list_t list;
    gate_certs_t *next;
};

/* Lives in the result's arena, as long as the result. */
typedef struct gate_job {
    const gate_t *gate;
    const gate_envelope_t *env;
    gate_result_t *result;
    arena_t *arena; /* the result's */
    gate_message_t msg;
    gate_tag_t tag;
    gate_certs_t *certs;
    spool_files_t files; /* the services', counted */
    uint64_t room;       /* taken of them now */
    bool too_large;      /* more would be needed than there ever is */
} gate_job_t;

/* ---- gate.c ---- */

void gate_reply(gate_job_t *job, unsigned smtp, const char *enhanced, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Adds to the note for the log. */
void gate_note(gate_job_t *job, const char *format, ...) PRINTF_LIKE(2, 3);
/* A mail to these recipients of the envelope, its file still to be set. */
err_t *gate_mail_new(gate_job_t *job, const size_t *rcpts, size_t n,
                     gate_mail_t **ret_mail) WARN_UNUSED;
/* The envelope's own bytes to these. */
err_t *gate_pass(gate_job_t *job, const size_t *rcpts, size_t n) WARN_UNUSED;
/* To everybody. */
err_t *gate_pass_all(gate_job_t *job, const char *why) WARN_UNUSED;
bool gate_is_ours(const gate_t *gate, bytes_t address);

/* ---- gate_file.c: spooled messages, new files ---- */

err_t *gate_file_read(int fd, uint64_t from, uint64_t to, gate_each_t each, void *arg) WARN_UNUSED;

typedef struct {
    int fd; /* owned until gate_file_end; -1 */
    const spool_files_t *files;
    uint64_t size, room; /* room: taken of the files, `size` at least */
    bool eightbit;
    bool cr; /* of gate_file_add_lines: the last byte is a CR whose LF isn't there yet */
    buf_t buffer;
} gate_file_t;
err_t *gate_file_begin(const gate_job_t *job, gate_file_t *ret_file) WARN_UNUSED;
/* arg is the gate_file_t. */
err_t *gate_file_add(void *arg, bytes_t data) WARN_UNUSED;
/* The same for what somebody else encrypted or encoded: every CR and every LF becomes CRLF, and NUL
 * goes, so that no server sees an end of the message in it (data.h). */
err_t *gate_file_add_lines(void *arg, bytes_t data) WARN_UNUSED;
/* Hands the file to the mail. */
err_t *gate_file_end(gate_file_t *file, gate_job_t *job, gate_mail_t *mail) WARN_UNUSED;
/* Writes out what is held back. */
err_t *gate_file_flush(gate_file_t *file) WARN_UNUSED;
void gate_file_done(gate_file_t *file);
DEFINE_CLEANUP_VALUE(gate_file_t, gate_file_done)

/* ---- gate_message.c: what a header says ---- */

/* `size` bytes of fd. ERR_LIMIT: more header than anybody writes. */
err_t *gate_message_load(arena_t *arena, const char *authserv_id, int fd, uint64_t size,
                         gate_message_t *ret_message) WARN_UNUSED;
void gate_message_done(gate_message_t *message);
DEFINE_CLEANUP_VALUE(gate_message_t, gate_message_done)

/* The one From address; none if there are several or it can be read in two ways. */
bytes_t gate_message_from(const gate_message_t *message);
/* Whether an Authentication-Results value claims to be of this server (RFC 8601 section 5). */
bool gate_results_claim(bytes_t value, const char *authserv_id);
#define GATE_TRACE       "X-Coffer-Mailgate"
#define GATE_ASK_ENCRYPT "X-Coffer-Encrypt"
#define GATE_ASK_SIGN    "X-Coffer-Sign"

/* ---- gate_closed.c: encrypted, or made to look so ---- */

/* *ret_closed: proven to its last byte. Left alone (false) in every doubt. */
err_t *gate_message_is_closed(const gate_job_t *job, bool *ret_closed) WARN_UNUSED;

/* ---- gate_tag.c: what the sender asks for ---- */

err_t *gate_tag_read(const gate_job_t *job, gate_tag_t *ret_tag) WARN_UNUSED;
void gate_tag_done(gate_tag_t *tag);
DEFINE_CLEANUP_VALUE(gate_tag_t, gate_tag_done)

/* ---- the directions ---- */

err_t *gate_out(gate_job_t *job) WARN_UNUSED;
err_t *gate_in(gate_job_t *job) WARN_UNUSED;
/* A spam report is unpacked, or refused; *ret_taken: it was one. */
err_t *gate_report(gate_job_t *job, bool *ret_taken) WARN_UNUSED;

/* ---- gate_in.c: one reading of the message, for one recipient's keys or nobody's ---- */

typedef struct {
    const gate_services_t *services;
    bytes_t address;
    cert_t *cert; /* of the key that was found */
    cert_list_t roots, intermediates;
    mail_reader_handler_t handler;
    mail_reader_options_t options;
    mail_reader_t *reader;
    const mail_verdict_t *verdict;
    bool capped; /* the keeper opens no more for this person now */
} gate_reading_t;
/* `address` none: nothing is decrypted. */
err_t *gate_read(const gate_job_t *job, bytes_t address, mail_keep_t keep,
                 gate_reading_t *reading) WARN_UNUSED;
void gate_reading_done(gate_reading_t *reading);
DEFINE_CLEANUP_VALUE(gate_reading_t, gate_reading_done)
/* Not ours to mend: no key of ours, altered, no CMS at all. */
bool gate_is_the_message(const err_t *e);

/* ---- gate_write.c: messages made anew ---- */

struct gate_write {
    const gate_message_t *message;
    int fd;                /* of the message */
    const gate_tag_t *tag; /* NULL: no fields of the sender's asking */
    bytes_t top;           /* fields to put on top, whole lines */
    bool strip_results;    /* take out Authentication-Results that claim to be ours */
    bool sent;             /* outgoing: take out Bcc */
    const gate_rule_t *rule;
    const cert_list_t *recipients; /* NULL: not encrypted */
    cms_encrypt_options_t encryption;
    bytes_t signer; /* whose signature; none: not signed */
};
/* The new message into a file of the mail's. What `w` points to is needed no longer. */
err_t *gate_write(gate_job_t *job, const gate_write_t *w, gate_mail_t *mail) WARN_UNUSED;
/* The same when its turn comes: keeps `w`, whose message and tag are the job's. */
err_t *gate_write_later(gate_job_t *job, const gate_write_t *w, gate_mail_t *mail) WARN_UNUSED;

/* ---- gate_results.c: RFC 8601 ---- */

/* Appends a whole Authentication-Results field for what a verdict says. */
err_t *gate_results_write(const char *authserv_id, const mail_verdict_t *verdict,
                          buf_t *out) WARN_UNUSED;

#endif
