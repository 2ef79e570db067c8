/*
 * coffer sync fetch: opens a link to shared files, without an account.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "program/coffer/link_fetch.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"

enum { URL_MAX = 1024 };

/* From the command line, or the first line of standard input: others see command lines. */
static err_t *read_url(cli_t *cli, const char *operand, sync_link_url_t *ret_url) {
    CLEANUP(buf_done) buf_t text;
    buf_init_secret(&text, URL_MAX);
    if (strcmp(operand, "-") != 0) return sync_link_url_parse(bytes_str(operand), ret_url);
    if (cli->interactive) TRY(prompt_line(cli, "The link: ", &text));
    else TRY(file_read_fd(STDIN_FILENO, &text));
    bytes_t all = buf_bytes(&text);
    return sync_link_url_parse(bytes_slice(all, 0, bytes_find(all, '\n')), ret_url);
}

static err_t *open_link(cli_t *cli, const args_t *args, const sync_link_url_t *url,
                        link_fetch_t *fetch) {
    CLEANUP(buf_done) buf_t password;
    const char *file = args_value(args, "password-file");
    buf_init_secret(&password, LIMIT_PASSWORD_MAX);
    if (!url->password) return link_fetch_open(fetch, BYTES_NONE);
    if (file) TRY(prompt_secret_file(file, &password));
    else TRY(prompt_password(cli, "Password of", "the link", &password));
    if (password.n == 0) return err_new(ERR_USAGE, "this link has a password");
    return link_fetch_open(fetch, buf_bytes(&password));
}

static err_t *add_file(json_t *list, const sync_link_file_t *file, const char *state) {
    json_t *item = NULL;
    CLEANUP(mem_free) char *path = mem_strndup((const char *)file->path.p, file->path.n);
    if (!path) return err_nomem();
    TRY(jso_add_object(list, &item));
    TRY(jso_set_str(item, "path", path));
    TRY(jso_set_int(item, "size", (int64_t)file->size));
    TRY(jso_set_time(item, "changed", file->mtime));
    return jso_set_str(item, "state", state);
}

/* All of them, whatever becomes of one; the first that failed decides the exit status. */
static err_t *fetch_files(cli_t *cli, link_fetch_t *fetch, int dir, bool replace, json_t *list) {
    const sync_link_file_t *files = NULL;
    CLEANUP(err_free) err_t *first = NULL;
    size_t n = link_fetch_files(fetch, &files);
    for (size_t i = 0; i < n; i++) {
        err_t *e = dir < 0 ? NULL : link_fetch_file(fetch, &files[i], dir, cli->rnd, replace);
        if (e) {
            e = err_wrap(e, "%.*s", (int)files[i].path.n, (const char *)files[i].path.p);
            if (first) {
                char why[512];
                cli_warn(cli, "coffer: %s\n", err_text(e, why, sizeof why));
                err_free(e);
            } else {
                first = e;
            }
        }
        TRY(add_file(list, &files[i], dir < 0 ? "shared" : e ? "failed" : "complete"));
    }
    return STEAL(first);
}

static err_t *show(cli_t *cli, const json_t *out) {
    static const column_t columns[] = {{"path", "FILE"},
                                       {"size", "BYTES"},
                                       {"changed", "CHANGED"},
                                       {"state", "STATE"},
                                       {NULL, NULL}};
    return output_list(cli, out, "files", columns, "The link has no files.");
}

static err_t *run_fetch(cli_t *cli, const args_t *args) {
    CLEANUP(sync_link_url_done) sync_link_url_t url = {0};
    CLEANUP(link_fetch_free) link_fetch_t *fetch = NULL;
    CLEANUP(jso_free) json_t *out = NULL;
    CLEANUP(fd_close) int dir = -1;
    json_t *list = NULL;
    const char *to = args_value(args, "to");
    TRY(crypto_init());
    TRY(read_url(cli, args->operands[0], &url));
    if (!args_flag(args, "list")) {
        dir = open(to ? to : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0) return err_errno(errno, "cannot open the directory %s", to ? to : ".");
    }
    TRY(link_fetch_new(&url, args_value(args, "ca"), &fetch));
    TRY(open_link(cli, args, &url, fetch));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "files", &list));
    err_t *e = fetch_files(cli, fetch, dir, args_flag(args, "replace"), list);
    err_t *shown = show(cli, out);
    if (!e) return shown;
    err_free(shown);
    return e;
}

static const option_t fetch_options[] = {
    {"to", "DIR", "put the files there; default: the working directory"},
    {"list", NULL, "only show what the link has (counts as an opening, too)"},
    {"password-file", "FILE", "the link's password, - standard input"},
    {"replace", NULL, "overwrite files that are there"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_FETCH = {
    .group = "sync",
    .name = "fetch",
    .operands = "URL",
    .summary = "Open a link to shared files, without an account",
    .notes =
        "Everything behind the # of the link is its secret and is not sent. With - in the place\n"
        "of the URL it is read from standard input, so that others on this machine don't see\n"
        "it. Each file is checked and decrypted here, and appears once it is complete. The\n"
        "server's certificate must be trusted by this machine, or by --ca FILE.",
    .examples = "  coffer sync fetch 'https://files.example.org/share/5f..#Qd..'\n"
                "  coffer sync fetch --list - < link.txt\n"
                "  coffer sync fetch --to ~/Downloads --password-file p 'https://...#...p'",
    .min = 1,
    .max = 1,
    .options = fetch_options,
    .run = run_fetch,
};
