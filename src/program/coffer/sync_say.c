/*
 * Saying what a region has: see sync_say.h. Main thread.
 */
#include "program/coffer/sync_say.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/sync_wipe.h"
#include "sync/engine/tree.h"

enum { MEMBER_MAX = 64 };

err_t *sync_open_fetched(cli_t *cli, sync_bar_t *bar, sync_open_t *open) {
    sync_report_t report;
    TRY(sync_open(cli, open));
    if (bar) sync_bar_use(bar, &open->config);
    TRY(sync_open_engine(open));
    return sync_wipe_or(cli, open, &report, sync_engine_fetch(open->engine, &report));
}

err_t *sync_advise(err_t *e, const sync_report_t *r) {
    if (strcmp(r->alarm, SYNC_ALARM_BRAKE) == 0)
        return err_wrap(e, "stopped, nothing was changed. If so many files are meant to go, run "
                           "again with --release-brake");
    if (strcmp(r->alarm, SYNC_ALARM_VANISHED) == 0)
        return err_wrap(e, "stopped, nothing was changed. Is the disk mounted?");
    if (strcmp(r->alarm, SYNC_ALARM_REVOKED) == 0)
        return err_wrap(e, "this device has no part in the region any more");
    if (strcmp(r->alarm, SYNC_ALARM_WIPE) == 0)
        return err_wrap(e, "an administrator asks that this device be wiped");
    if (strcmp(r->alarm, SYNC_ALARM_DISABLED) == 0)
        return err_wrap(e, "this person may not sync at present");
    if (r->alarm[0])
        return err_wrap(e, "the service showed what can't be: nothing was changed. Tell your "
                           "administrator this word; coffer sync run --pardon goes on");
    return e;
}

void sync_say_outside(cli_t *cli, const sync_report_t *r) {
    if (!r->outside) return;
    cli_warn(cli,
             "coffer: your organisation's rules keep %llu name%s at the top of the folder from "
             "being synced on this device (%s%s): what lies there is left as it is\n",
             (unsigned long long)r->outside, r->outside == 1 ? "" : "s", r->first_outside,
             r->outside == 1 ? "" : ", ...");
}

const char *sync_kind_name(sync_entry_kind_t kind) {
    switch (kind) {
    case SYNC_ENTRY_FOLDER: return "folder";
    case SYNC_ENTRY_FILE: return "file";
    case SYNC_ENTRY_LINK: return "link";
    case SYNC_ENTRY_PAGE: return "page";
    }
    return "?";
}

err_t *sync_set_path(json_t *json, const char *member, const char *path) {
    CLEANUP(mem_free) char *hex = NULL;
    char name[MEMBER_MAX];
    if (text_utf8_valid(bytes_str(path))) return jso_set_str(json, member, path);
    TRY(text_hex_new(bytes_str(path), &hex));
    (void)snprintf(name, sizeof name, "%s_hex", member);
    TRY(jso_set_str(json, name, hex));
    return jso_set_str(json, member, "?");
}

err_t *sync_plain_path(const char *path, char **ret_path) {
    CLEANUP(buf_done) buf_t out;
    bytes_t rest = bytes_str(path), name;
    buf_init(&out, SYNC_PATH_MAX + 1);
    while (text_split(&rest, '/', &name)) {
        if (!name.n) continue;
        if (out.n) TRY(buf_add_byte(&out, '/'));
        TRY(buf_add(&out, name));
    }
    return buf_steal_str(&out, ret_path);
}
