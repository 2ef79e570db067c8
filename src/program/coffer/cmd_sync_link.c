/*
 * coffer sync link, links, unlink: links to synced files for people without an account.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/link_make.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"

enum { URL_MAX = 1024, EXPIRES_DEFAULT_S = 7 * 86400 };

/* ---- link ---- */

static err_t *read_wish(cli_t *cli, const args_t *args, buf_t *password, link_wish_t *ret_wish) {
    link_wish_t wish = {0};
    const char *expires = args_value(args, "expires"), *file = args_value(args, "password-file");
    int64_t seconds = EXPIRES_DEFAULT_S;
    long count = 0;
    if (expires) {
        err_t *e = text_duration(bytes_str(expires), &seconds);
        if (e) return err_recode(err_wrap(e, "--expires"), ERR_USAGE);
    }
    if (seconds <= 0 || seconds > LIMIT_SYNC_LINK_LIFE_S)
        return err_new(ERR_USAGE, "--expires is up to %dd", LIMIT_SYNC_LINK_LIFE_S / 86400);
    TRY(args_number(args, "count", 1, INT32_MAX, 0, &count));
    if (file) TRY(prompt_secret_file(file, password));
    if (file && password->n < LIMIT_PASSWORD_MIN)
        return err_new(ERR_USAGE, "a password has at least %d bytes", LIMIT_PASSWORD_MIN);
    wish.expires = clk_unix(cli->clk) + seconds;
    wish.count = (uint32_t)count;
    wish.password = buf_bytes(password);
    *ret_wish = wish;
    return NULL;
}

static err_t *show_url(cli_t *cli, const link_make_t *make, const link_wish_t *wish, buf_t *url) {
    CLEANUP(jso_free) json_t *out = NULL;
    const char *text = NULL;
    TRY(buf_cstr(url, &text));
    TRY(jso_object(&out));
    TRY(jso_set_str(out, "url", text));
    TRY(jso_set_int(out, "files", (int64_t)make->n));
    TRY(jso_set_time(out, "expires", wish->expires));
    return output_done(cli, out, "%s", text); /* bare, so that it can be used in a script */
}

static err_t *run_link(cli_t *cli, const args_t *args) {
    CLEANUP(sync_view_done) sync_view_t view = {0};
    CLEANUP(link_make_done) link_make_t make;
    CLEANUP(buf_done) buf_t password;
    CLEANUP(buf_done) buf_t url;
    link_wish_t wish;
    bytes_t path = bytes_str(args->operands[0]);
    link_make_init(&make, &view);
    buf_init_secret(&password, LIMIT_PASSWORD_MAX);
    buf_init_secret(&url, URL_MAX);
    TRY(read_wish(cli, args, &password, &wish));
    TRY(sync_view_open(cli, args, &view));
    TRY(link_make_collect(&make, bytes_eq_str(path, "/") ? BYTES_NONE : path));
    TRY(link_make_put(&make, &wish, path, &url));
    return show_url(cli, &make, &wish, &url);
}

static const option_t link_options[] = {
    {"expires", "TIME", "12h, 30d; default 7d, at most 366d"},
    {"count", "N", "how often it opens; default: as often as one likes"},
    {"password-file", "FILE",
     "a password besides, - standard input; opened by coffer sync fetch alone"},
    SYNC_VIEW_OPTIONS,
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_LINK = {
    .group = "sync",
    .name = "link",
    .operands = "PATH",
    .summary = "Make a link that opens a file or folder without an account",
    .notes =
        "PATH is that in the region; / is all of it. Prints the URL alone on a line: whoever has\n"
        "it can read these files, as they are now, until the link ends. The server can't: what\n"
        "stands behind the # is never sent to it.",
    .examples = "  coffer sync link Reports/2026.pdf --expires 30d --count 3\n"
                "  coffer sync link Photos --password-file p",
    .min = 1,
    .max = 1,
    .options = link_options,
    .run = run_link,
};

/* ---- links ---- */

/* What a link is of, if this device has the key; else "-". */
static err_t *open_label(const sync_view_t *view, bytes_t id, bytes_t base64, buf_t *out) {
    CLEANUP(buf_done) buf_t sealed;
    CLEANUP(secret_free) secret_t *key = NULL;
    uint64_t epoch = 0;
    buf_init(&sealed, 4096);
    TRY(text_unbase64(base64, &sealed));
    TRY(sync_link_label_epoch(buf_bytes(&sealed), &epoch));
    TRY(sync_view_key(view, epoch, &key));
    return sync_link_label_open(view->region, key, id.p, buf_bytes(&sealed), out);
}

static err_t *name_link(const sync_view_t *view, json_t *link) {
    CLEANUP(buf_done) buf_t id;
    CLEANUP(buf_done) buf_t path;
    const char *text = NULL;
    bytes_t hex, label;
    buf_init(&id, 2 * SYNC_NODE);
    buf_init(&path, LIMIT_SYNC_LINK_LABEL);
    TRY(jso_get_string(link, "id", 2 * SYNC_NODE, true, &hex));
    TRY(jso_get_string(link, "label", 4096, true, &label));
    TRY(text_unhex(hex, &id));
    if (id.n != SYNC_NODE) return err_new(ERR_INVALID, "the server's link has no id");
    err_t *e = open_label(view, buf_bytes(&id), label, &path);
    if (e && err_code(e) == ERR_NOMEM) return e;
    bool opened = !e && text_printable(buf_bytes(&path));
    err_free(e);
    TRY(buf_cstr(&path, &text));
    TRY(jso_set_str(link, "path", opened ? text : NULL));
    return json_object_del(link, "label") == 0 ? NULL : err_nomem();
}

static err_t *run_links(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"id", "LINK"},         {"path", "OF"},          {"state", "STATE"},
        {"opened", "OPENED"},   {"count", "ALLOWED"},    {"password", "PASSWORD"},
        {"expires", "EXPIRES"}, {"last", "LAST OPENED"}, {"person", "BY"},
        {NULL, NULL},
    };
    CLEANUP(sync_view_done) sync_view_t view = {0};
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *links = NULL;
    char path[256];
    TRY(sync_view_open(cli, args, &view));
    (void)snprintf(path, sizeof path, "/sync/r/%s/links", view.hex);
    TRY(remote_list(cli, path, "links", &json));
    TRY(jso_get_array(json, "links", SIZE_MAX, true, &links));
    for (size_t i = 0; i < json_array_size(links); i++)
        TRY(name_link(&view, json_array_get(links, i)));
    return output_list(cli, json, "links", columns, "There are no links.");
}

static const option_t view_options[] = {SYNC_VIEW_OPTIONS, {NULL, NULL, NULL}};

const command_t CMD_SYNC_LINKS = {
    .group = "sync",
    .name = "links",
    .operands = "",
    .summary = "List the links of a region, and how often each was opened",
    .notes =
        "What a link is of is told by the region's key; the server doesn't know it. Links that\n"
        "ended are listed for a week.",
    .examples = "  coffer sync links\n  coffer sync links --json",
    .options = view_options,
    .run = run_links,
};

/* ---- unlink ---- */

static err_t *run_unlink(cli_t *cli, const args_t *args) {
    CLEANUP(sync_view_done) sync_view_t view = {0};
    CLEANUP(buf_done) buf_t id;
    char path[256];
    bytes_t hex = bytes_str(args->operands[0]);
    buf_init(&id, 2 * SYNC_NODE);
    err_t *e = hex.n == 2 * (size_t)SYNC_NODE ? text_unhex(hex, &id) : NULL;
    err_free(e);
    if (id.n != SYNC_NODE)
        return err_new(ERR_USAGE, "a link is named by 32 hexadecimal digits: coffer sync links");
    TRY(sync_view_open(cli, args, &view));
    (void)snprintf(path, sizeof path, "/links/%s", args->operands[0]);
    TRY(sync_view_json(&view, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "The link is gone, also for who is downloading.");
}

const command_t CMD_SYNC_UNLINK = {
    .group = "sync",
    .name = "unlink",
    .operands = "LINK",
    .summary = "End a link at once",
    .notes = "What was downloaded already stays with whoever has it.",
    .examples = "  coffer sync unlink 5f0c2a...",
    .min = 1,
    .max = 1,
    .options = view_options,
    .run = run_unlink,
};
