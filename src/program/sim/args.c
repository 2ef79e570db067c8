/*
 * Arguments of the subcommands: see sim.h. A thin table over argv; main thread.
 */
#include <string.h>

#include "base/text.h"
#include "program/sim/sim.h"

static const sim_option_t *find(const sim_option_t *options, size_t n, const char *name,
                                size_t length) {
    for (size_t i = 0; i < n; i++)
        if (strlen(options[i].name) == length && memcmp(options[i].name, name, length) == 0)
            return &options[i];
    return NULL;
}

/* One "--name value", "--name=value" or "--name"; *at moves past the value it takes. */
static err_t *take_option(int argc, char **argv, int *at, const sim_option_t *options, size_t n) {
    const char *name = argv[*at] + 2;
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const sim_option_t *option = find(options, n, name, length);
    if (!option) return err_new(ERR_USAGE, "unknown option %s; see --help", argv[*at]);
    if (option->flag) {
        if (equals) return err_new(ERR_USAGE, "--%s takes no value", option->name);
        *option->flag = true;
        return NULL;
    }
    if (!equals && *at + 1 >= argc) return err_new(ERR_USAGE, "--%s needs a value", option->name);
    *option->text = equals ? equals + 1 : argv[++*at];
    return NULL;
}

err_t *sim_args(int argc, char **argv, const sim_option_t *options, size_t n, const char **words,
                size_t words_max, size_t *ret_words) {
    size_t found = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2]) {
            TRY(take_option(argc, argv, &i, options, n));
        } else if (found < words_max) {
            words[found++] = argv[i];
        } else {
            return err_new(ERR_USAGE, "unexpected argument %s; see --help", argv[i]);
        }
    }
    if (ret_words) *ret_words = found;
    return NULL;
}

err_t *sim_need(const char *value, const char *name) {
    if (!value || !value[0]) return err_new(ERR_USAGE, "--%s is needed; see --help", name);
    return NULL;
}

err_t *sim_number(const char *text, const char *name, uint64_t max, uint64_t fallback,
                  uint64_t *ret_value) {
    if (!text) {
        *ret_value = fallback;
        return NULL;
    }
    err_t *e = text_u64(bytes_str(text), max, ret_value);
    if (!e) return NULL;
    return err_recode(err_wrap(e, "--%s is a number up to %llu", name, (unsigned long long)max),
                      ERR_USAGE);
}

err_t *sim_host_port(const char *text, char host[64], uint16_t *ret_port) {
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    err_t *e = colon ? text_u64(bytes_str(colon + 1), 65535, &port) : NULL;
    bytes_t name = bytes_make(text, colon ? (size_t)(colon - text) : 0);
    if (name.n > 1 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = bytes_slice(name, 1, name.n - 2);
    if (e || name.n == 0 || name.n > 63) {
        err_free(e);
        return err_new(ERR_USAGE, "an address is written 127.0.0.1:2195, not %s", text);
    }
    bytes_put(host, name);
    host[name.n] = '\0';
    *ret_port = (uint16_t)port;
    return NULL;
}
