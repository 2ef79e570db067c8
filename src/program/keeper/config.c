/*
 * Reading the keeper's own sections: see config.h.
 */
#include "program/keeper/config.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "keeper/cert_profile_conf.h"

enum { WORKERS_MAX = 256 };

/* "[keeper]" and "[certificate-profile NAME]". */
static bool is_ours(bytes_t line) {
    return bytes_starts(line, BYTES_LIT("[keeper]")) ||
           bytes_starts(line, BYTES_LIT("[certificate-profile "));
}

/* Empties the lines of other sections; the numbers of lines in errors stay right. */
static err_t *keep_ours(bytes_t text, buf_t *out) {
    bool ours = false;
    bytes_t rest = text, line;
    while (text_split(&rest, '\n', &line)) {
        if (line.n && line.p[0] == '[') ours = is_ours(line);
        if (ours) TRY(buf_add(out, line));
        TRY(buf_add_byte(out, '\n'));
    }
    return NULL;
}

static err_t *read_ours(bytes_t text, const char *path, keeper_config_t *config) {
    CLEANUP(buf_done) buf_t own;
    buf_init(&own, LIMIT_CONFIG_BYTES + 1);
    TRY(keep_ours(text, &own));
    CLEANUP(conf_free) conf_t *conf = NULL;
    TRY(conf_parse(buf_bytes(&own), path, &conf));
    const char *master = NULL;
    int64_t workers = 0, takes = 0;
    TRY(conf_get_string(conf, "keeper", "master_key", "file", &master));
    TRY(conf_get_int(conf, "keeper", "workers", 0, WORKERS_MAX, 0, &workers));
    TRY(conf_get_int(conf, "keeper", "takes_per_day", 1, LIMIT_KEEPER_TAKES_MAX,
                     LIMIT_KEEPER_TAKES_ALL, &takes));
    TRY(cert_profiles_load(conf, &config->profiles));
    TRY(conf_check_used(conf));
    config->workers = (unsigned)workers;
    config->takes_all = (unsigned)takes;
    config->master = mem_strdup(master);
    return config->master ? NULL : err_nomem();
}

/*
 * [revocation] url, else what SCEP clients use without its "/scep" (plain HTTP, as RFC 5280 section
 * 8 would have it), else the instance's own.
 */
static err_t *read_revocation(conf_t *conf, keeper_config_t *config) {
    const char *url = NULL, *scep = NULL;
    TRY(conf_get_string(conf, "revocation", "url", "", &url));
    TRY(conf_get_string(conf, "scep", "url", "", &scep));
    size_t n = strlen(scep);
    bytes_t prefix = bytes_str(url);
    if (!prefix.n && n > 5 && bytes_eq_str(bytes_str(scep + n - 5), "/scep"))
        prefix = bytes_make(scep, n - 5);
    if (!prefix.n) {
        TRY(conf_get_string(conf, "instance", "url", "", &url));
        prefix = bytes_str(url);
    }
    while (prefix.n && prefix.p[prefix.n - 1] == '/') prefix.n--;
    if (!prefix.n) return NULL;
    config->revocation_url = mem_strndup((const char *)prefix.p, prefix.n);
    return config->revocation_url ? NULL : err_nomem();
}

/* A section shared with coffer-web, which checks its keys. */
static err_t *read_shared(bytes_t text, const char *path, keeper_config_t *config) {
    CLEANUP(conf_free) conf_t *conf = NULL;
    TRY(conf_parse(text, path, &conf));
    TRY(conf_get_bool(conf, "instance", "require_sandbox", true, &config->require_sandbox));
    TRY(conf_get_bool(conf, "scep", "allow_3des", true, &config->allow_des3));
    TRY(conf_get_bool(conf, "scep", "allow_des", false, &config->allow_des));
    return read_revocation(conf, config);
}

err_t *keeper_config_load(const char *dir, keeper_config_t *ret_config) {
    CLEANUP(mem_free) char *path = NULL;
    TRY(file_path(dir, "coffer.conf", &path));
    CLEANUP(buf_done) buf_t text;
    buf_init(&text, LIMIT_CONFIG_BYTES);
    if (file_exists(path)) TRY(file_read(path, &text));
    CLEANUP(keeper_config_done) keeper_config_t config = {0};
    TRY(read_ours(buf_bytes(&text), path, &config));
    TRY(read_shared(buf_bytes(&text), path, &config));
    *ret_config = config;
    config = (keeper_config_t){0};
    return NULL;
}

void keeper_config_done(keeper_config_t *config) {
    cert_profiles_done(&config->profiles);
    mem_free(config->master);
    mem_free(config->revocation_url);
    *config = (keeper_config_t){0};
}
