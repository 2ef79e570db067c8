/*
 * Talking to the API: see remote.h. Main thread; blocking.
 */
#include "program/coffer/remote.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/common/settings.h"

enum { TOKEN_MAX = 512, CONNECT_MS = 10 * 1000, TOTAL_MS = 10 * 60 * 1000, PAGES_MAX = 100000 };

struct remote {
    char *base;          /* "https://host:port/api/v1" */
    char *where;         /* for messages */
    char *host;          /* "host:port" of the server's URL */
    char *origin;        /* that URL */
    char *ca_file;       /* or NULL: the system's */
    char *resolve;       /* or NULL */
    char *authorization; /* the header line; wiped */
    char *dir;           /* of the instance, or NULL */
    http_client_t *client;
};

void remote_free(remote_t *remote) {
    if (!remote) return;
    http_client_free(remote->client);
    if (remote->authorization) mem_wipe(remote->authorization, strlen(remote->authorization));
    mem_free(remote->authorization);
    mem_free(remote->base);
    mem_free(remote->host);
    mem_free(remote->origin);
    mem_free(remote->where);
    mem_free(remote->ca_file);
    mem_free(remote->resolve);
    mem_free(remote->dir);
    mem_free(remote);
}

err_t *remote_split_url(const char *url, char **ret_host, unsigned *ret_port) {
    bytes_t rest = bytes_str(url);
    uint64_t port = 443;
    if (!bytes_starts(rest, BYTES_LIT("https://")))
        return err_new(ERR_USAGE, "a URL is written https://host:port, not \"%s\"", url);
    rest = bytes_from(rest, 8);
    if (rest.n && rest.p[rest.n - 1] == '/') rest.n--;
    size_t end = rest.n && rest.p[0] == '[' ? bytes_find(rest, ']') + 1 : bytes_find(rest, ':');
    if (end > rest.n) end = rest.n;
    bytes_t host = bytes_slice(rest, 0, end), tail = bytes_from(rest, end);
    bool fine = host.n > 0 && (host.p[0] != '[' || host.p[host.n - 1] == ']') &&
                bytes_find(rest, '/') == rest.n && bytes_find(rest, '@') == rest.n;
    if (fine && tail.n) {
        err_t *e = tail.p[0] == ':' ? text_u64(bytes_from(tail, 1), 65535, &port)
                                    : err_new(ERR_USAGE, "no port");
        fine = !e && port > 0;
        err_free(e);
    }
    if (!fine) return err_new(ERR_USAGE, "a URL is written https://host:port, not \"%s\"", url);
    char *copy = mem_strndup((const char *)host.p, host.n);
    if (!copy) return err_nomem();
    *ret_host = copy;
    *ret_port = (unsigned)port;
    return NULL;
}

static err_t *read_token(const char *path, remote_t *remote) {
    CLEANUP(buf_done) buf_t token;
    buf_init_secret(&token, TOKEN_MAX);
    TRY_WRAP(file_read_secret(path, &token), "the API token");
    bytes_t t = text_trim(buf_bytes(&token));
    if (t.n == 0 || !text_printable(t)) return err_new(ERR_INVALID, "%s has no API token", path);
    remote->authorization = mem_printf("Authorization: Bearer %.*s", (int)t.n, (const char *)t.p);
    return remote->authorization ? NULL : err_nomem();
}

/* A header that says nothing stands in its place. */
static err_t *no_token(remote_t *remote) {
    remote->authorization = mem_strdup("Accept-Language: en");
    return remote->authorization ? NULL : err_nomem();
}

/* What the server is called: log-ins of sync are signed for it, links bear it. */
static err_t *set_name(const char *host, unsigned port, remote_t *remote) {
    remote->host = mem_printf("%s:%u", host, port);
    remote->origin =
        port == 443 ? mem_printf("https://%s", host) : mem_printf("https://%s:%u", host, port);
    return remote->host && remote->origin ? NULL : err_nomem();
}

/* Where the own machine reaches a listener: the wildcard addresses stand for loopback. */
static const char *reach(const char *address) {
    if (strcmp(address, "0.0.0.0") == 0) return "127.0.0.1";
    if (strcmp(address, "::") == 0) return "::1";
    return address;
}

/* The certificate is checked for the URL's host; the connection goes to the listener itself. */
static err_t *use_instance(const char *dir, bool nobody, remote_t *remote) {
    CLEANUP(settings_done) settings_t settings = {0};
    CLEANUP(mem_free) char *host = NULL;
    CLEANUP(mem_free) char *token = NULL;
    unsigned port = 0;
    TRY(settings_load(dir, &settings));
    TRY(remote_split_url(settings.url, &host, &port));
    TRY(set_name(host, port, remote));
    if (settings.listen.port) port = settings.listen.port;
    remote->base = mem_printf("https://%s:%u/api/v1", host, port);
    remote->where = mem_printf("%s (instance %s)", settings.url, settings.dir);
    remote->resolve = mem_printf("%s:%u:%s", host, port, reach(settings.listen.address));
    remote->dir = mem_strdup(settings.dir);
    if (!remote->base || !remote->where || !remote->resolve || !remote->dir) return err_nomem();
    if (host[0] == '[') {
        mem_free(remote->resolve);
        remote->resolve = NULL;
    }
    TRY(file_path(settings.dir, "public/root.pem", &remote->ca_file));
    TRY(file_path(settings.dir, "api-token", &token));
    return nobody ? no_token(remote) : read_token(token, remote);
}

static err_t *use_server(const cli_t *cli, const char *server, bool nobody, remote_t *remote) {
    CLEANUP(mem_free) char *host = NULL;
    unsigned port = 0;
    const char *token = args_value(cli->args, "token-file");
    if (!token && !nobody) return err_new(ERR_USAGE, "--server needs --token-file FILE too");
    TRY(remote_split_url(server, &host, &port));
    TRY(set_name(host, port, remote));
    remote->base = mem_printf("https://%s:%u/api/v1", host, port);
    remote->where = mem_strdup(server);
    if (!remote->base || !remote->where) return err_nomem();
    return nobody ? no_token(remote) : read_token(token, remote);
}

static err_t *start_client(remote_t *remote) {
    if (remote->ca_file && !file_exists(remote->ca_file))
        return err_new(ERR_NOT_FOUND, "the root certificate %s does not exist", remote->ca_file);
    TRY(http_client_init());
    http_client_config_t config = {.ca_file = remote->ca_file,
                                   .connect_ms = CONNECT_MS,
                                   .total_ms = TOTAL_MS,
                                   .response_max = CLI_OUTPUT_MAX,
                                   .resolve = remote->resolve};
    return http_client_new(&config, &remote->client);
}

static err_t *open_remote(cli_t *cli, bool nobody) {
    CLEANUP(remote_free) remote_t *remote = mem_zalloc(sizeof *remote);
    if (!remote) return err_nomem();
    const char *server = args_value(cli->args, "server"), *dir = cli_dir(cli);
    const char *ca = args_value(cli->args, "ca");
    TRY(args_exclude(cli->args, "dir", "server"));
    if (server) TRY(use_server(cli, server, nobody, remote));
    else if (dir) TRY(use_instance(dir, nobody, remote));
    else
        return err_new(ERR_USAGE, "which instance? Give --dir DIR (or set COFFER_DIR), or --server "
                                  "URL --token-file FILE");
    if (ca) {
        mem_free(remote->ca_file);
        remote->ca_file = mem_strdup(ca);
        if (!remote->ca_file) return err_nomem();
    }
    TRY(start_client(remote));
    cli->remote = STEAL(remote);
    return NULL;
}

err_t *remote_where(cli_t *cli, char **ret_server, char **ret_ca, char **ret_resolve) {
    CLEANUP(mem_free) char *server = NULL;
    CLEANUP(mem_free) char *ca = NULL;
    CLEANUP(mem_free) char *resolve = NULL;
    if (!cli->remote) TRY(open_remote(cli, false));
    const remote_t *remote = cli->remote;
    server = mem_strndup(remote->base, strlen(remote->base) - strlen("/api/v1"));
    if (!server) return err_nomem();
    if (remote->ca_file && !(ca = mem_strdup(remote->ca_file))) return err_nomem();
    if (remote->resolve && !(resolve = mem_strdup(remote->resolve))) return err_nomem();
    *ret_server = STEAL(server);
    *ret_ca = STEAL(ca);
    *ret_resolve = STEAL(resolve);
    return NULL;
}

err_t *remote_at(cli_t *cli, const char *server, const char *ca_file, const char *resolve) {
    CLEANUP(remote_free) remote_t *remote = NULL;
    CLEANUP(mem_free) char *host = NULL;
    unsigned port = 0;
    if (cli->remote) return NULL;
    remote = mem_zalloc(sizeof *remote);
    if (!remote) return err_nomem();
    TRY(remote_split_url(server, &host, &port));
    TRY(set_name(host, port, remote));
    TRY(no_token(remote));
    remote->base = mem_printf("%s/api/v1", remote->origin);
    remote->where = mem_strdup(server);
    if (!remote->base || !remote->where) return err_nomem();
    if (ca_file && !(remote->ca_file = mem_strdup(ca_file))) return err_nomem();
    if (resolve && !(remote->resolve = mem_strdup(resolve))) return err_nomem();
    TRY(start_client(remote));
    cli->remote = STEAL(remote);
    return NULL;
}

err_t *remote_with_token(cli_t *cli) {
    const char *token = args_value(cli->args, "token-file");
    if (!token) return err_new(ERR_USAGE, "this needs your API token: give --token-file FILE");
    mem_free(cli->remote->authorization);
    cli->remote->authorization = NULL;
    return read_token(token, cli->remote);
}

err_t *remote_name(cli_t *cli, const char **ret_host, const char **ret_origin) {
    if (!cli->remote) TRY(open_remote(cli, true));
    *ret_host = cli->remote->host;
    *ret_origin = cli->remote->origin;
    return NULL;
}

err_t *remote_be(cli_t *cli, bytes_t bearer) {
    if (!cli->remote) TRY(open_remote(cli, true));
    char *line = mem_printf("Authorization: Bearer %.*s", (int)bearer.n, (const char *)bearer.p);
    if (!line) return err_nomem();
    if (cli->remote->authorization)
        mem_wipe(cli->remote->authorization, strlen(cli->remote->authorization));
    mem_free(cli->remote->authorization);
    cli->remote->authorization = line;
    return NULL;
}

/* ---- requests ---- */

err_t *remote_path(char **ret_path, const char *pattern, ...) {
    CLEANUP(buf_done) buf_t path;
    err_t *e = NULL;
    va_list list;
    buf_init(&path, CLI_PATH_MAX);
    va_start(list, pattern);
    for (const char *p = pattern; *p && !e; p++)
        e = *p == '%' ? text_percent(bytes_str(va_arg(list, const char *)), &path)
                      : buf_add_byte(&path, (uint8_t)*p);
    va_end(list);
    if (e) return e;
    return buf_steal_str(&path, ret_path);
}

err_t *remote_query(buf_t *path, const char *name, const char *value) {
    if (!value) return NULL;
    CLEANUP(mem_free) char *part = NULL;
    TRY(remote_path(&part, "%", value));
    return buf_printf(path, "&%s=%s", name, part);
}

static err_code_t code_of_status(unsigned status) {
    if (status == 400) return ERR_INVALID;
    if (status == 401) return ERR_AUTH;
    if (status == 403) return ERR_DENIED;
    if (status == 404) return ERR_NOT_FOUND;
    if (status == 409) return ERR_EXISTS;
    if (status == 413) return ERR_LIMIT;
    if (status == 429) return ERR_BUSY;
    if (status == 502 || status == 503) return ERR_UNAVAILABLE;
    if (status == 504) return ERR_TIMEOUT;
    if (status == 507) return ERR_FULL;
    return ERR_INTERNAL;
}

err_t *remote_error(unsigned status, bytes_t body) {
    CLEANUP(jso_free) json_t *json = NULL;
    json_t *error = NULL;
    bytes_t name = BYTES_NONE, message = BYTES_NONE;
    err_code_t code = code_of_status(status);
    err_t *e = jso_parse_object(body, &json);
    if (!e) e = jso_get_object(json, "error", true, &error);
    if (!e) e = jso_get_string(error, "code", 64, true, &name);
    if (!e) e = jso_get_string(error, "message", 64 * 1024, true, &message);
    if (e) {
        err_free(e);
        return err_new(code, "the server answered with HTTP status %u and no reason", status);
    }
    for (err_code_t c = ERR_INTERNAL; c <= ERR_FULL; c++)
        if (bytes_eq_str(name, err_code_name(c))) code = c;
    return err_new(code, "%.*s", (int)message.n, (const char *)message.p);
}

static err_t *unreachable(const remote_t *remote, err_t *e) {
    char why[1024];
    if (err_code(e) != ERR_UNAVAILABLE || !remote->dir)
        return err_wrap(e, "cannot work with %s", remote->where);
    (void)err_text(e, why, sizeof why);
    err_free(e);
    CLEANUP(mem_free) char *dir = NULL;
    TRY(cli_quote(remote->dir, &dir));
    return err_new(ERR_UNAVAILABLE,
                   "cannot reach %s (%s). If it does not run, start it: cofferd --dir %s",
                   remote->where, why, dir);
}

/* `line`: one more header line. */
static err_t *do_request(cli_t *cli, const char *method, const char *path, const char *line,
                         bytes_t body, http_response_t *response) {
    CLEANUP(mem_free) char *url = NULL;
    if (!cli->remote) TRY(open_remote(cli, false));
    const remote_t *remote = cli->remote;
    url = mem_printf("%s%s", remote->base, path);
    if (!url) return err_nomem();
    const char *const headers[] = {"Accept: application/json", line, remote->authorization,
                                   NULL}; /* the last may be NULL */
    err_t *e = http_client_do(remote->client, method, url, headers, body, response);
    if (e) return unreachable(remote, e);
    if (response->status >= 400) return remote_error(response->status, buf_bytes(&response->body));
    if (response->status >= 300)
        return err_new(ERR_INVALID, "%s sends elsewhere (HTTP status %u): is it Coffer?",
                       remote->where, response->status);
    return NULL;
}

static err_t *take_bytes(cli_t *cli, const char *method, const char *path, const char *line,
                         bytes_t body, size_t max, buf_t *ret_answer) {
    CLEANUP(http_response_done) http_response_t response;
    http_response_init(&response);
    TRY(do_request(cli, method, path, line, body, &response));
    if (response.body.n > max)
        return err_new(ERR_LIMIT, "the server's answer has more than %zu bytes", max);
    buf_done(ret_answer);
    *ret_answer = response.body;
    buf_init(&response.body, 0);
    return NULL;
}

err_t *remote_bytes(cli_t *cli, const char *method, const char *path, const char *content_type,
                    bytes_t body, size_t max, buf_t *ret_answer) {
    CLEANUP(mem_free) char *line = mem_printf("Content-Type: %s", content_type);
    if (!line) return err_nomem();
    return take_bytes(cli, method, path, line, body, max, ret_answer);
}

err_t *remote_range(cli_t *cli, const char *path, const char *range, size_t max,
                    buf_t *ret_answer) {
    return take_bytes(cli, "GET", path, range, BYTES_NONE, max, ret_answer);
}

/* Large answers are fine here: the server is ours, and it has bounded them. */
static err_t *parse_answer(bytes_t body, json_t **ret_json) {
    if (body.n == 0) return err_new(ERR_INVALID, "the server's answer is empty");
    CLEANUP(jso_free) json_t *json = NULL;
    TRY_WRAP(jso_parse_max(body, CLI_OUTPUT_MAX, &json), "the server's answer");
    if (!json_is_object(json)) return err_new(ERR_INVALID, "the server's answer is no object");
    *ret_json = STEAL(json);
    return NULL;
}

err_t *remote_call(cli_t *cli, const char *method, const char *path, const json_t *body,
                   json_t **ret_json) {
    CLEANUP(buf_done) buf_t text;
    CLEANUP(buf_done) buf_t answer;
    CLEANUP(jso_free) json_t *json = NULL;
    buf_init_secret(&text, LIMIT_HTTP_BODY_API); /* a password or a PIN may be in it */
    buf_init(&answer, 0);
    if (body) TRY(jso_write(body, false, &text));
    TRY(remote_bytes(cli, method, path, "application/json", buf_bytes(&text), CLI_OUTPUT_MAX,
                     &answer));
    if (!ret_json) return NULL;
    TRY(parse_answer(buf_bytes(&answer), &json));
    *ret_json = STEAL(json);
    return NULL;
}

err_t *remote_call_nobody(cli_t *cli, const char *method, const char *path, const json_t *body,
                          json_t **ret_json) {
    if (!cli->remote) TRY(open_remote(cli, true));
    return remote_call(cli, method, path, body, ret_json);
}

static err_t *next_path(const char *path, const json_t *page, char **ret_path) {
    bytes_t next = BYTES_NONE;
    TRY(jso_get_string(page, "next", LIMIT_NAME * 2, false, &next));
    if (next.n == 0) return NULL;
    CLEANUP(mem_free) char *after = NULL;
    TRY(remote_path(&after, "after=%", (const char *)next.p));
    *ret_path = mem_printf("%s%s%s", path, strchr(path, '?') ? "&" : "?", after);
    return *ret_path ? NULL : err_nomem();
}

err_t *remote_list(cli_t *cli, const char *path, const char *member, json_t **ret_json) {
    CLEANUP(jso_free) json_t *all = NULL;
    CLEANUP(mem_free) char *at = mem_strdup(path);
    json_t *list = NULL;
    if (!at) return err_nomem();
    for (unsigned page = 0; at && page < PAGES_MAX; page++) {
        CLEANUP(jso_free) json_t *json = NULL;
        json_t *more = NULL;
        TRY(remote_call(cli, "GET", at, NULL, &json));
        TRY(jso_get_array(json, member, SIZE_MAX, true, &more));
        mem_free(at);
        at = NULL;
        TRY(next_path(path, json, &at));
        (void)json_object_del(json, "next");
        if (!all) {
            list = more;
            all = STEAL(json);
        } else if (json_array_extend(list, more) != 0) {
            return err_nomem();
        }
    }
    *ret_json = STEAL(all);
    return NULL;
}
