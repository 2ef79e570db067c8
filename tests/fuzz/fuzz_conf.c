/*
 * Configuration: any bytes are read or refused, and every getter answers.
 */
#include <stdlib.h>

#include "format/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(conf_t *conf, const char *section) {
    static const char *const choices[] = {"a", "b", NULL};
    const char *text = NULL;
    int64_t number = 0;
    size_t index = 0;
    bool flag = false;
    bytes_t list = BYTES_NONE, item = BYTES_NONE;
    err_ignore(conf_need_string(conf, section, "k", &text));
    err_ignore(conf_get_int(conf, section, "k", 1, 9, 1, &number));
    err_ignore(conf_get_bool(conf, section, "k", true, &flag));
    err_ignore(conf_get_duration(conf, section, "k", 1, 9, 1, &number));
    err_ignore(conf_get_choice(conf, section, "k", choices, 0, &index));
    err_ignore(conf_get_list(conf, section, "k", NULL, &list));
    while (conf_list_next(&list, &item)) {}
    if (number < 0 || number > 9 || index > 1) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const keys[] = {"k", NULL};
    static const conf_known_t known[] = {{"a", keys}, {"p *", keys}};
    conf_t *conf CLEANUP(conf_free) = NULL;
    const char *section = NULL, *name = NULL;
    size_t cursor = 0;
    err_t *e CLEANUP(err_free) = conf_parse(bytes_make(data, size), "fuzz", &conf);
    if (e) return 0;
    ask(conf, "a");
    while (conf_next_named(conf, "p", &cursor, &section, &name)) ask(conf, section);
    err_ignore(conf_check_known(conf, known, 2));
    err_ignore(conf_check_used(conf));
    return 0;
}
