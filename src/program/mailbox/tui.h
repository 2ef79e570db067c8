/*
 * What the files of coffer-mailbox's terminal interface share. It is a client of the agent as the
 * other commands are; what it shows is in locked memory and goes with it. One thread.
 */
#ifndef COFFER_PROGRAM_MAILBOX_TUI_H
#define COFFER_PROGRAM_MAILBOX_TUI_H

#include "program/mailbox/cli.h"
#include "program/mailbox/tui_term.h"

enum { TUI_LOOK_MS = 2000 }; /* so often the agent is asked whether the mailbox is still open */

typedef struct {
    cli_t *cli;
    term_t term;
    json_t *status, *list; /* the agent's answers, or NULL */
    char folder[256];
    char query[256]; /* searched for, or empty */
    int64_t before;  /* older than this message; 0: from the newest */
    size_t chosen, top;
    char note[512];    /* what happened last */
    int64_t looked_ms; /* when the agent was asked last */
    bool over;
} tui_t;

/* Keeps what went wrong for the person; frees it. */
void tui_note(tui_t *tui, err_t *e);
/* Whether the mailbox is open, asked now and then, also between keys. False: it was locked, here or
 * elsewhere, and nothing of a mail may stay on the screen or in memory. */
bool tui_is_open(tui_t *tui);
/* The first row: whose, where, in what state. */
err_t *tui_head(tui_t *tui) WARN_UNUSED;
/* Asks for a line in the last row; *ret_done false: given up. `hidden`: a passcode, shown as stars,
 * given up when nobody types; else given up when the mailbox is locked. */
err_t *tui_line(tui_t *tui, const char *question, bool hidden, buf_t *out,
                bool *ret_done) WARN_UNUSED;
/* Writes and sends a reply; what was written is kept when the mailbox is locked meanwhile. */
err_t *tui_reply(tui_t *tui, int64_t id, bool all) WARN_UNUSED;

#endif
