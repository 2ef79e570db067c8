/*
 * INI configuration over inih: see conf.h. inih asks a reader for each line; the reader sees the
 * line first and refuses what inih would take silently (it continues values on indented lines,
 * cuts long names, splits long lines and merges sections). Read at start, one thread.
 */
#include "format/conf.h"

#include <ini.h>
#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    CONF_LINE_BYTES = 194, /* bytes; inih's line buffer has 200 */
    CONF_NAME_BYTES = 48,  /* bytes of a section's or key's name; inih cuts at 49 */
    UNUSED_SHOWN = 5,
};

typedef struct {
    char *section;
    char *key; /* NULL for the section's own entry, made by its header line */
    char *value;
    unsigned line;
    bool asked;
} entry_t;

struct conf {
    char *name; /* the file's, for messages */
    entry_t *entries;
    size_t count, room;
};

typedef struct {
    conf_t *conf;
    bytes_t rest;
    unsigned line;
    const char *section; /* the last header's, in conf */
    err_t *error;
} reader_t;

static entry_t *find(const conf_t *conf, const char *section, const char *key) {
    for (size_t i = 0; i < conf->count; i++) {
        entry_t *e = &conf->entries[i];
        if (strcmp(e->section, section) != 0) continue;
        if (key ? e->key && strcmp(e->key, key) == 0 : !e->key) return e;
    }
    return NULL;
}

/* Copies; `key` and `value` are NULL for a section's header. */
static err_t *add(conf_t *conf, bytes_t section, const char *key, const char *value,
                  unsigned line) {
    if (conf->count == conf->room) {
        size_t room = conf->room ? conf->room * 2 : 32;
        entry_t *entries = mem_resize(conf->entries, room * sizeof *entries);
        if (!entries) return err_nomem();
        conf->entries = entries;
        conf->room = room;
    }
    entry_t entry = {.line = line};
    entry.section = mem_strndup((const char *)section.p, section.n);
    if (key) entry.key = mem_strdup(key);
    if (value) entry.value = mem_strdup(value);
    if (!entry.section || (key && !entry.key) || (value && !entry.value)) {
        mem_free(entry.section);
        mem_free(entry.key);
        mem_free(entry.value);
        return err_nomem();
    }
    conf->entries[conf->count++] = entry;
    return NULL;
}

void conf_free(conf_t *conf) {
    if (!conf) return;
    for (size_t i = 0; i < conf->count; i++) {
        mem_free(conf->entries[i].section);
        mem_free(conf->entries[i].key);
        mem_free(conf->entries[i].value);
    }
    mem_free(conf->entries);
    mem_free(conf->name);
    mem_free(conf);
}

static void keep_error(reader_t *r, err_t *e) {
    if (!e) return;
    if (r->error) err_free(e);
    else r->error = err_wrap(e, "%s, line %u", r->conf->name, r->line);
}

static err_t *section_header(reader_t *r, bytes_t line) {
    size_t end = bytes_find(line, ']');
    if (end == line.n) return err_new(ERR_INVALID, "a section is written [name]");
    bytes_t after = text_trim(bytes_from(line, end + 1));
    bytes_t name = bytes_slice(line, 1, end - 1);
    if (after.n && after.p[0] != ';' && after.p[0] != '#')
        return err_new(ERR_INVALID, "text after the section's name");
    bytes_t trimmed = text_trim(name);
    if (name.n == 0 || trimmed.n != name.n)
        return err_new(ERR_INVALID, "a section's name is not empty and has no space around it");
    if (name.n > CONF_NAME_BYTES)
        return err_new(ERR_LIMIT, "a section's name may have at most %d bytes",
                       (int)CONF_NAME_BYTES);
    char text[CONF_NAME_BYTES + 1];
    bytes_put(text, name);
    text[name.n] = '\0';
    const entry_t *before = find(r->conf, text, NULL);
    if (before)
        return err_new(ERR_INVALID, "section [%s] is on line %u already", text, before->line);
    TRY(add(r->conf, name, NULL, NULL, r->line));
    r->section = r->conf->entries[r->conf->count - 1].section;
    return NULL;
}

static err_t *check_line(reader_t *r, bytes_t line) {
    bytes_t content = text_trim(line);
    if (line.n > CONF_LINE_BYTES)
        return err_new(ERR_LIMIT, "a line may have at most %d bytes", (int)CONF_LINE_BYTES);
    if (content.n == 0 || content.p[0] == ';' || content.p[0] == '#') return NULL;
    if (content.p != line.p) return err_new(ERR_INVALID, "a line must not begin with a space");
    if (line.p[0] == '[') return section_header(r, line);
    size_t sign = bytes_find(line, '=');
    size_t colon = bytes_find(line, ':');
    if (colon < sign) sign = colon;
    if (sign == line.n) return err_new(ERR_INVALID, "a setting is written key = value");
    bytes_t key = text_trim(bytes_slice(line, 0, sign));
    if (key.n == 0) return err_new(ERR_INVALID, "a setting without a key");
    if (key.n > CONF_NAME_BYTES)
        return err_new(ERR_LIMIT, "a key may have at most %d bytes", (int)CONF_NAME_BYTES);
    if (!r->section) return err_new(ERR_INVALID, "a setting before the first [section]");
    return NULL;
}

/* inih's fgets: one line with its line feed; NULL at the end and after an error. */
static char *read_line(char *out, int size, void *stream) {
    reader_t *r = stream;
    bytes_t line = BYTES_NONE;
    if (r->error || !text_split(&r->rest, '\n', &line)) return NULL;
    r->line++;
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    keep_error(r, check_line(r, line));
    if (!r->error && line.n + 2 > (size_t)size)
        keep_error(r, err_new(ERR_LIMIT, "a line of %zu bytes is too long", line.n));
    if (r->error) return NULL;
    bytes_put(out, line);
    memcpy(out + line.n, "\n", 2);
    return out;
}

static int on_setting(void *user, const char *section, const char *key, const char *value) {
    reader_t *r = user;
    if (r->error) return 0;
    const entry_t *before = find(r->conf, section, key);
    if (!r->section || strcmp(section, r->section) != 0)
        keep_error(r, err_new(ERR_INVALID, "a setting outside of its section"));
    else if (before)
        keep_error(r, err_new(ERR_INVALID, "[%s] %s is set on line %u already", section, key,
                              before->line));
    else keep_error(r, add(r->conf, bytes_str(section), key, value, r->line));
    return r->error ? 0 : 1;
}

/* Control characters, among them NUL, and foreign encodings. */
static err_t *check_characters(bytes_t text, const char *name) {
    unsigned line = 1;
    if (!text_utf8_valid(text)) return err_new(ERR_INVALID, "%s is not UTF-8 text", name);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '\n') line++;
        bool line_end = c == '\r' && i + 1 < text.n && text.p[i + 1] == '\n';
        if ((c < 0x20 && c != '\t' && c != '\n' && !line_end) || c == 0x7F)
            return err_new(ERR_INVALID, "%s, line %u: a control character", name, line);
    }
    return NULL;
}

err_t *conf_parse(bytes_t text, const char *name, conf_t **ret_conf) {
    if (text.n > LIMIT_CONFIG_BYTES)
        return err_new(ERR_LIMIT, "%s has more than %d bytes", name, (int)LIMIT_CONFIG_BYTES);
    if (bytes_starts(text, BYTES_LIT("\xEF\xBB\xBF"))) text = bytes_from(text, 3);
    TRY(check_characters(text, name));
    conf_t *conf CLEANUP(conf_free) = mem_zalloc(sizeof *conf);
    if (!conf) return err_nomem();
    conf->name = mem_strdup(name);
    if (!conf->name) return err_nomem();
    reader_t reader = {.conf = conf, .rest = text};
    int bad_line = ini_parse_stream(read_line, &reader, on_setting, &reader);
    if (reader.error) return reader.error;
    if (bad_line)
        return err_new(ERR_INVALID, "%s, line %d: neither [section] nor key = value", name,
                       bad_line);
    *ret_conf = STEAL(conf);
    return NULL;
}

err_t *conf_load_file(const char *path, conf_t **ret_conf) {
    buf_t text CLEANUP(buf_done);
    buf_init(&text, LIMIT_CONFIG_BYTES);
    TRY_WRAP(file_read(path, &text), "configuration %s", path);
    return conf_parse(buf_bytes(&text), path, ret_conf);
}

bool conf_has_section(const conf_t *conf, const char *section) {
    return find(conf, section, NULL) != NULL;
}

/* The name after "KIND ", or NULL if the section is not of that kind. */
static const char *name_in_kind(const char *section, const char *kind, size_t kind_length) {
    if (strncmp(section, kind, kind_length) != 0 || section[kind_length] != ' ') return NULL;
    const char *name = section + kind_length + 1;
    return name + strspn(name, " \t");
}

bool conf_next_named(const conf_t *conf, const char *kind, size_t *cursor, const char **ret_section,
                     const char **ret_name) {
    while (*cursor < conf->count) {
        const entry_t *e = &conf->entries[(*cursor)++];
        const char *name = e->key ? NULL : name_in_kind(e->section, kind, strlen(kind));
        if (!name) continue;
        *ret_section = e->section;
        *ret_name = name;
        return true;
    }
    return false;
}

/* The value, noted as asked for; NULL if it is not set. */
static const entry_t *ask(conf_t *conf, const char *section, const char *key) {
    entry_t *e = find(conf, section, key);
    if (e) e->asked = true;
    return e;
}

#define wrong(conf, entry, code, ...)                                                              \
    err_wrap(err_new((code), __VA_ARGS__), "%s, line %u: [%s] %s", (conf)->name, (entry)->line,    \
             (entry)->section, (entry)->key)

err_t *conf_get_string(conf_t *conf, const char *section, const char *key, const char *fallback,
                       const char **ret_text) {
    const entry_t *e = ask(conf, section, key);
    *ret_text = e ? e->value : fallback;
    return NULL;
}

err_t *conf_need_string(conf_t *conf, const char *section, const char *key, const char **ret_text) {
    const entry_t *e = ask(conf, section, key);
    if (!e) return err_new(ERR_INVALID, "%s: [%s] %s must be set", conf->name, section, key);
    if (!*e->value) return wrong(conf, e, ERR_INVALID, "it must not be empty");
    *ret_text = e->value;
    return NULL;
}

err_t *conf_get_int(conf_t *conf, const char *section, const char *key, int64_t min, int64_t max,
                    int64_t fallback, int64_t *ret_value) {
    const entry_t *e = ask(conf, section, key);
    int64_t value = fallback;
    err_t *bad = e ? text_i64(bytes_str(e->value), &value) : NULL;
    if (bad || (e && (value < min || value > max))) {
        err_free(bad);
        return wrong(conf, e, ERR_INVALID, "\"%s\" is not a whole number from %lld to %lld",
                     e->value, (long long)min, (long long)max);
    }
    *ret_value = value;
    return NULL;
}

err_t *conf_get_bool(conf_t *conf, const char *section, const char *key, bool fallback,
                     bool *ret_value) {
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};
    const entry_t *e = ask(conf, section, key);
    if (!e) {
        *ret_value = fallback;
        return NULL;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (text_eq_fold(bytes_str(e->value), bytes_str(words[i]))) {
            *ret_value = i % 2 == 1;
            return NULL;
        }
    return wrong(conf, e, ERR_INVALID, "\"%s\" is neither yes nor no", e->value);
}

err_t *conf_get_duration(conf_t *conf, const char *section, const char *key, int64_t min,
                         int64_t max, int64_t fallback, int64_t *ret_seconds) {
    const entry_t *e = ask(conf, section, key);
    int64_t seconds = fallback;
    err_t *bad = e ? text_duration(bytes_str(e->value), &seconds) : NULL;
    if (bad) {
        err_free(bad);
        return wrong(conf, e, ERR_INVALID, "\"%s\": a duration is written 90s, 15m, 12h, 30d or 2y",
                     e->value);
    }
    if (e && (seconds < min || seconds > max))
        return wrong(conf, e, ERR_INVALID, "\"%s\" is not from %llds to %llds", e->value,
                     (long long)min, (long long)max);
    *ret_seconds = seconds;
    return NULL;
}

err_t *conf_get_choice(conf_t *conf, const char *section, const char *key,
                       const char *const *choices, size_t fallback, size_t *ret_index) {
    const entry_t *e = ask(conf, section, key);
    char listed[256] = "";
    size_t used = 0;
    if (!e) {
        *ret_index = fallback;
        return NULL;
    }
    for (size_t i = 0; choices[i]; i++) {
        if (strcmp(choices[i], e->value) == 0) {
            *ret_index = i;
            return NULL;
        }
        size_t n = strlen(choices[i]);
        if (used + n + 3 > sizeof listed) continue;
        if (used) {
            memcpy(listed + used, ", ", 2);
            used += 2;
        }
        memcpy(listed + used, choices[i], n + 1);
        used += n;
    }
    return wrong(conf, e, ERR_INVALID, "\"%s\" is none of: %s", e->value, listed);
}

err_t *conf_get_list(conf_t *conf, const char *section, const char *key, const char *fallback,
                     bytes_t *ret_list) {
    const entry_t *e = ask(conf, section, key);
    bytes_t list = text_trim(bytes_str(e ? e->value : fallback));
    if (list.n == 0) list = BYTES_NONE;
    bytes_t rest = list, item = BYTES_NONE;
    while (e && conf_list_next(&rest, &item))
        if (item.n == 0)
            return wrong(conf, e, ERR_INVALID, "\"%s\" has an empty item; write a, b, c", e->value);
    *ret_list = list;
    return NULL;
}

bool conf_list_next(bytes_t *list, bytes_t *ret_item) {
    bytes_t item = BYTES_NONE;
    if (!text_split(list, ',', &item)) return false;
    *ret_item = text_trim(item);
    return true;
}

err_t *conf_check_used(const conf_t *conf) {
    buf_t text CLEANUP(buf_done);
    buf_init(&text, LIMIT_CONFIG_BYTES);
    int shown = 0;
    for (size_t i = 0; i < conf->count && shown < UNUSED_SHOWN; i++) {
        const entry_t *e = &conf->entries[i];
        if (!e->key || e->asked) continue;
        TRY(buf_printf(&text, "%sline %u [%s] %s", shown++ ? ", " : "", e->line, e->section,
                       e->key));
    }
    const char *names = NULL;
    if (!shown) return NULL;
    TRY(buf_cstr(&text, &names));
    return err_new(ERR_INVALID, "%s: unknown settings: %s", conf->name, names);
}

static bool section_matches(const char *pattern, const char *section) {
    size_t n = strlen(pattern);
    if (n > 2 && strcmp(pattern + n - 2, " *") == 0)
        return name_in_kind(section, pattern, n - 2) != NULL;
    return strcmp(pattern, section) == 0;
}

err_t *conf_check_known(const conf_t *conf, const conf_known_t *known, size_t count) {
    for (size_t i = 0; i < conf->count; i++) {
        const entry_t *e = &conf->entries[i];
        bool section_known = false, key_known = !e->key;
        for (size_t k = 0; k < count; k++) {
            if (!section_matches(known[k].section, e->section)) continue;
            section_known = true;
            for (size_t j = 0; !key_known && known[k].keys[j]; j++)
                key_known = strcmp(known[k].keys[j], e->key) == 0;
        }
        if (!section_known)
            return err_new(ERR_INVALID, "%s, line %u: section [%s] is unknown", conf->name, e->line,
                           e->section);
        if (!key_known)
            return err_new(ERR_INVALID, "%s, line %u: [%s] has no setting %s", conf->name, e->line,
                           e->section, e->key);
    }
    return NULL;
}
