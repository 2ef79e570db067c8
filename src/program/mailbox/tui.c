/*
 * coffer-mailbox tui: the list, a message, searching, locking. See tui.h.
 */
#include "program/mailbox/tui.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

enum { ROWS = 200, VIEW_MAX = 8 * 1024 * 1024, PASSCODE_MS = 60 * 1000 };

#define SHOW(text) (int)(text).n, (const char *)(text).p

/* ---- the agent ---- */

void tui_note(tui_t *tui, err_t *e) {
    if (!e) return;
    (void)err_text(e, tui->note, sizeof tui->note);
    err_free(e);
}

static bool is_open(const tui_t *tui) {
    bytes_t state = tui->status ? mailbox_get(tui->status, "state") : BYTES_NONE;
    return bytes_eq_str(state, "unlocked") || bytes_eq_str(state, "locking");
}

static void load_status(tui_t *tui) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    bool was_open = is_open(tui);
    err_t *e = jso_object(&request);
    if (!e) e = mailbox_ask(tui->cli, request, "status", &reply);
    jso_free(STEAL(tui->status));
    if (!e) tui->status = STEAL(reply);
    tui->looked_ms = clk_mono_ms(tui->cli->clk);
    if (was_open && !is_open(tui)) { /* words and addresses may be a mail's */
        mem_wipe(tui->note, sizeof tui->note);
        mem_wipe(tui->query, sizeof tui->query);
    }
    if (e) tui_note(tui, e);
}

bool tui_is_open(tui_t *tui) {
    if (clk_mono_ms(tui->cli->clk) - tui->looked_ms >= TUI_LOOK_MS) load_status(tui);
    return is_open(tui);
}

static err_t *ask_list(const tui_t *tui, json_t **ret_reply) {
    CLEANUP(jso_free) json_t *request = NULL;
    TRY(jso_object(&request));
    TRY(jso_set_int(request, "limit", ROWS));
    if (tui->query[0]) {
        TRY(jso_set_str(request, "words", tui->query));
        return mailbox_ask(tui->cli, request, "search", ret_reply);
    }
    TRY(jso_set_str(request, "folder", tui->folder));
    TRY(jso_set_int(request, "before", tui->before));
    return mailbox_ask(tui->cli, request, "list", ret_reply);
}

static size_t rows_of(const tui_t *tui) {
    json_t *list = NULL;
    if (!tui->list) return 0;
    err_ignore(jso_get_array(tui->list, "messages", LIMIT_BOX_ROWS, false, &list));
    return list ? json_array_size(list) : 0;
}

static const json_t *row_at(const tui_t *tui, size_t at) {
    json_t *list = NULL;
    err_ignore(jso_get_array(tui->list, "messages", LIMIT_BOX_ROWS, false, &list));
    return json_array_get(list, at);
}

/* Nothing of the mail stays on the screen of a locked mailbox. */
static void load(tui_t *tui) {
    CLEANUP(jso_free) json_t *reply = NULL;
    int64_t had = tui->chosen < rows_of(tui) ? mailbox_number(row_at(tui, tui->chosen), "id") : 0;
    load_status(tui);
    err_t *e = is_open(tui) ? ask_list(tui, &reply) : NULL;
    jso_free(STEAL(tui->list));
    if (e) tui_note(tui, e);
    tui->list = STEAL(reply);
    size_t n = rows_of(tui);
    for (size_t i = 0; i < n && had; i++) /* the same one, wherever it is now */
        if (mailbox_number(row_at(tui, i), "id") == had) tui->chosen = i;
    if (tui->chosen >= n) tui->chosen = n ? n - 1 : 0;
}

/* ---- pictures ---- */

err_t *tui_head(tui_t *tui) {
    const json_t *s = tui->status;
    char opened[64] = "", waiting[64] = "";
    if (!s) return term_printf(&tui->term, ROW_BOLD, "coffer-mailbox: no agent");
    if (mailbox_number(s, "lease_used"))
        (void)snprintf(opened, sizeof opened, "  opened %lld times while locked",
                       (long long)mailbox_number(s, "lease_used"));
    if (mailbox_number(s, "waiting"))
        (void)snprintf(waiting, sizeof waiting, "  %lld wait",
                       (long long)mailbox_number(s, "waiting"));
    return term_printf(&tui->term, ROW_BOLD, "%.*s  %.*s%s%s%s  %s%s",
                       SHOW(mailbox_get(s, "address")), SHOW(mailbox_get(s, "state")),
                       mailbox_flag(s, "connected") ? "" : "  not connected", opened, waiting,
                       tui->query[0] ? "search: " : "", tui->query[0] ? tui->query : tui->folder);
}

static err_t *draw_row(tui_t *tui, size_t at) {
    const json_t *m = row_at(tui, at);
    bytes_t date = mailbox_get(m, "date");
    CLEANUP(buf_done) buf_t text;
    unsigned from_cols = tui->term.cols > 70 ? 26 : tui->term.cols > 40 ? 14 : 8, used = 0;
    buf_init_secret(&text, 64 * 1024);
    TRY(buf_printf(&text, "%c%c %.10s ", mailbox_flag(m, "seen") ? ' ' : '*',
                   mailbox_flag(m, "encrypted") ? 'E' : ' ',
                   date.n >= 10 ? (const char *)date.p : "          "));
    TRY(tui_clip(mailbox_get(m, "from"), from_cols, &text, &used));
    for (; used <= from_cols; used++) TRY(buf_add_byte(&text, ' '));
    TRY(buf_add(&text, mailbox_get(m, "subject")));
    return term_row(&tui->term, at == tui->chosen ? ROW_CHOSEN : ROW_PLAIN, buf_bytes(&text));
}

static err_t *draw_foot(tui_t *tui, const char *keys) {
    while (term_left(&tui->term, 2)) TRY(term_row(&tui->term, ROW_PLAIN, BYTES_LIT("")));
    TRY(term_row(&tui->term, ROW_BOLD, bytes_str(tui->note)));
    TRY(term_row(&tui->term, ROW_PLAIN, bytes_str(keys)));
    return term_show(&tui->term);
}

static err_t *draw_list(tui_t *tui) {
    size_t n = rows_of(tui);
    term_begin(&tui->term);
    TRY(tui_head(tui));
    unsigned room = term_left(&tui->term, 2);
    if (tui->chosen < tui->top) tui->top = tui->chosen;
    if (room && tui->chosen >= tui->top + room) tui->top = tui->chosen - room + 1;
    if (!n)
        TRY(term_row(&tui->term, ROW_PLAIN,
                     is_open(tui) ? BYTES_LIT("Nothing here.") : BYTES_LIT("Press u to unlock.")));
    for (size_t i = tui->top; i < n && term_left(&tui->term, 2); i++) TRY(draw_row(tui, i));
    return draw_foot(tui, is_open(tui)
                              ? "Enter read  r reply  / search  f folder  l lock  q quit  ?"
                              : "u unlock  q quit");
}

static err_t *draw_line(tui_t *tui, const char *question, bool hidden, bytes_t typed) {
    CLEANUP(buf_done) buf_t row;
    buf_init_secret(&row, 8 * 1024);
    TRY(buf_printf(&row, "%s", question));
    for (size_t i = 0; hidden && i < typed.n; i++) TRY(buf_add_byte(&row, '*'));
    if (!hidden) TRY(buf_add(&row, typed));
    term_begin(&tui->term);
    TRY(tui_head(tui));
    while (term_left(&tui->term, 1)) TRY(term_row(&tui->term, ROW_PLAIN, BYTES_LIT("")));
    TRY(term_row(&tui->term, ROW_BOLD, buf_bytes(&row)));
    return term_show(&tui->term);
}

err_t *tui_line(tui_t *tui, const char *question, bool hidden, buf_t *out, bool *ret_done) {
    int64_t typed = clk_mono_ms(tui->cli->clk);
    for (;;) {
        tui_key_t key;
        TRY(draw_line(tui, question, hidden, buf_bytes(out)));
        TRY(term_key(&tui->term, TUI_LOOK_MS, &key));
        if (key.kind == KEY_OVER) tui->over = true;
        *ret_done = key.kind == KEY_ENTER;
        if (key.kind == KEY_ENTER || key.kind == KEY_ESCAPE || key.kind == KEY_OVER) return NULL;
        if (key.kind != KEY_NOTHING) typed = clk_mono_ms(tui->cli->clk);
        if (!tui_is_open(tui) && !hidden) return NULL;
        if (hidden && clk_mono_ms(tui->cli->clk) - typed >= PASSCODE_MS) return NULL;
        if (key.kind == KEY_BACK)
            while (out->n && (out->p[--out->n] & 0xC0) == 0x80) {}
        if (key.kind == KEY_POINT && out->n + 4 < out->max) TRY(tui_put_point(key.point, out));
    }
}

/* ---- one message ---- */

static err_t *view_text(const json_t *m, buf_t *out) {
    bytes_t problem = mailbox_get(m, "problem"), note = mailbox_get(m, "note");
    TRY(buf_printf(out, "From: %.*s\nTo: %.*s\nDate: %.*s\nSubject: %.*s\n",
                   SHOW(mailbox_get(m, "from")), SHOW(mailbox_get(m, "to")),
                   SHOW(mailbox_get(m, "date")), SHOW(mailbox_get(m, "subject"))));
    if (mailbox_get(m, "status").n)
        TRY(buf_printf(out, "%s%s\n", mailbox_trust(m),
                       mailbox_flag(m, "opened") ? " Encrypted." : ""));
    if (note.n) TRY(buf_printf(out, "Note: %.*s\n", SHOW(note)));
    TRY(buf_add_str(out, "\n"));
    return buf_add(out, problem.n ? problem : mailbox_get(m, "text"));
}

/* Draws from the row `from` on; *ret_more: there are rows below. */
static err_t *draw_view(tui_t *tui, bytes_t text, size_t from, bool *ret_more) {
    bytes_t rest = text, row;
    term_begin(&tui->term);
    TRY(tui_head(tui));
    for (size_t i = 0; i < from; i++)
        if (!tui_wrap(&rest, tui->term.cols, &row)) break;
    while (term_left(&tui->term, 2) && tui_wrap(&rest, tui->term.cols, &row))
        TRY(term_row(&tui->term, ROW_PLAIN, row));
    *ret_more = rest.n > 0;
    return draw_foot(tui, "r reply  a reply all  s spam  q back");
}

static err_t *report_spam(tui_t *tui, int64_t id) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    TRY(jso_object(&request));
    TRY(jso_set_int(request, "id", id));
    TRY(mailbox_ask(tui->cli, request, "report-spam", &reply));
    (void)snprintf(tui->note, sizeof tui->note, "moved");
    return NULL;
}

/* False: back to the list. */
static bool view_key(tui_t *tui, const tui_key_t *key, int64_t id, size_t *from, bool more) {
    size_t page = tui->term.rows > 4 ? tui->term.rows - 4 : 1;
    uint32_t c = key->kind == KEY_POINT ? key->point : 0;
    if (key->kind == KEY_OVER) tui->over = true;
    if (key->kind == KEY_OVER || key->kind == KEY_ESCAPE || c == 'q') return false;
    if ((key->kind == KEY_DOWN || c == 'j') && more) ++*from;
    if ((key->kind == KEY_UP || c == 'k') && *from) --*from;
    if ((key->kind == KEY_PAGE_DOWN || c == ' ') && more) *from += page;
    if (key->kind == KEY_PAGE_UP) *from -= *from < page ? *from : page;
    if (key->kind == KEY_FIRST) *from = 0;
    if (c == 'r' || c == 'a') tui_note(tui, tui_reply(tui, id, c == 'a'));
    if (c == 's') tui_note(tui, report_spam(tui, id));
    return c != 's';
}

static err_t *view(tui_t *tui, int64_t id) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    CLEANUP(buf_done) buf_t text;
    size_t from = 0;
    tui_key_t key = {.kind = KEY_NOTHING};
    buf_init_secret(&text, VIEW_MAX);
    TRY(jso_object(&request));
    TRY(jso_set_int(request, "id", id));
    TRY(mailbox_ask(tui->cli, request, "read", &reply));
    TRY(view_text(reply, &text));
    for (bool more = false; tui_is_open(tui);) {
        TRY(draw_view(tui, buf_bytes(&text), from, &more));
        TRY(term_key(&tui->term, TUI_LOOK_MS, &key));
        if (!tui_is_open(tui) || !view_key(tui, &key, id, &from, more) || tui->over) break;
    }
    return NULL;
}

/* ---- deeds ---- */

static err_t *unlock(tui_t *tui) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    CLEANUP(buf_done) buf_t passcode;
    bool done = false;
    buf_init_secret(&passcode, LIMIT_PASSWORD_MAX);
    TRY(tui_line(tui, "Passcode: ", true, &passcode, &done));
    if (!done) return NULL;
    TRY(jso_object(&request));
    TRY(jso_set_string(request, "passcode", buf_bytes(&passcode)));
    return mailbox_ask(tui->cli, request, "unlock", &reply);
}

static err_t *lock(tui_t *tui) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    TRY(jso_object(&request));
    TRY(jso_set_bool(request, "now", true));
    return mailbox_ask(tui->cli, request, "lock", &reply);
}

static err_t *look_now(tui_t *tui) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    TRY(jso_object(&request));
    return mailbox_ask(tui->cli, request, "sync", &reply);
}

static void from_the_newest(tui_t *tui) {
    tui->before = 0;
    tui->chosen = tui->top = 0;
    jso_free(STEAL(tui->list));
}

static err_t *search(tui_t *tui) {
    CLEANUP(buf_done) buf_t words;
    bool done = false;
    buf_init_secret(&words, sizeof tui->query - 1);
    TRY(tui_line(tui, "Search: ", false, &words, &done));
    if (!done) return NULL;
    (void)snprintf(tui->query, sizeof tui->query, "%.*s", (int)words.n, (const char *)words.p);
    from_the_newest(tui);
    return NULL;
}

/* The one behind this in the list of folders; behind the last the first. */
static err_t *next_folder(tui_t *tui) {
    CLEANUP(jso_free) json_t *request = NULL, *reply = NULL;
    json_t *list = NULL;
    TRY(jso_object(&request));
    TRY(mailbox_ask(tui->cli, request, "folders", &reply));
    TRY(jso_get_array(reply, "folders", LIMIT_BOX_FOLDERS * 2, true, &list));
    size_t n = json_array_size(list), at = 0;
    while (at < n && !bytes_eq_str(mailbox_get(json_array_get(list, at), "name"), tui->folder))
        at++;
    if (!n) return NULL;
    bytes_t name = mailbox_get(json_array_get(list, at + 1 < n ? at + 1 : 0), "name");
    (void)snprintf(tui->folder, sizeof tui->folder, "%.*s", SHOW(name));
    tui->query[0] = '\0';
    from_the_newest(tui);
    return NULL;
}

static void older(tui_t *tui) {
    size_t n = rows_of(tui);
    if (n < ROWS || tui->query[0]) return;
    int64_t last = mailbox_number(row_at(tui, n - 1), "id");
    from_the_newest(tui);
    tui->before = last;
}

/* ---- the list's keys ---- */

static void move(tui_t *tui, const tui_key_t *key, uint32_t c) {
    size_t n = rows_of(tui), page = tui->term.rows > 4 ? tui->term.rows - 4 : 1;
    if ((key->kind == KEY_DOWN || c == 'j') && tui->chosen + 1 < n) tui->chosen++;
    if ((key->kind == KEY_UP || c == 'k') && tui->chosen) tui->chosen--;
    if (key->kind == KEY_PAGE_DOWN || c == ' ')
        tui->chosen = n && tui->chosen + page >= n ? n - 1 : n ? tui->chosen + page : 0;
    if (key->kind == KEY_PAGE_UP) tui->chosen -= tui->chosen < page ? tui->chosen : page;
    if (key->kind == KEY_FIRST) tui->chosen = 0;
    if (key->kind == KEY_LAST) tui->chosen = n ? n - 1 : 0;
}

static err_t *act_on_message(tui_t *tui, const tui_key_t *key, uint32_t c) {
    if (tui->chosen >= rows_of(tui)) return NULL;
    int64_t id = mailbox_number(row_at(tui, tui->chosen), "id");
    if (key->kind == KEY_ENTER) return view(tui, id);
    if (c == 'r' || c == 'a') return tui_reply(tui, id, c == 'a');
    return c == 's' ? report_spam(tui, id) : NULL;
}

static err_t *act(tui_t *tui, const tui_key_t *key) {
    uint32_t c = key->kind == KEY_POINT ? key->point : 0;
    if (key->kind != KEY_NOTHING && key->kind != KEY_SIZE) tui->note[0] = '\0';
    if (key->kind == KEY_OVER || c == 'q' || (key->kind == KEY_CONTROL && key->point == 'c'))
        tui->over = true;
    if (key->kind == KEY_ESCAPE && tui->query[0]) {
        tui->query[0] = '\0';
        from_the_newest(tui);
    }
    if (c == '?')
        (void)snprintf(tui->note, sizeof tui->note,
                       "a reply all  s spam  g look for mail  > older  < newest  Esc end search");
    move(tui, key, c);
    if (c == '>') older(tui);
    if (c == '<') from_the_newest(tui);
    if (c == 'u') return unlock(tui);
    if (c == 'l') return lock(tui);
    if (c == 'g') return look_now(tui);
    if (c == '/') return search(tui);
    if (c == 'f') return next_folder(tui);
    return act_on_message(tui, key, c);
}

static err_t *run(tui_t *tui) {
    TRY(term_open(&tui->term));
    while (!tui->over) {
        tui_key_t key;
        load(tui);
        TRY(draw_list(tui));
        TRY(term_key(&tui->term, TUI_LOOK_MS, &key));
        tui_note(tui, act(tui, &key));
    }
    return NULL;
}

err_t *cmd_tui(cli_t *cli, const args_t *args) {
    tui_t tui = {.cli = cli, .folder = "INBOX"};
    if (args->command && args->operands_n)
        (void)snprintf(tui.folder, sizeof tui.folder, "%s", args->operands[0]);
    err_t *e = run(&tui);
    term_close(&tui.term);
    jso_free(tui.status);
    jso_free(tui.list);
    return e;
}
