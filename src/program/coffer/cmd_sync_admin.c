/*
 * coffer sync for administrators: stores, regions, usage, quotas, legal holds, remote wipe.
 */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/remote.h"

/* ---- stores ---- */

static err_t *run_store(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"name", "STORE"},      {"kind", "KIND"},       {"away", "AWAY"},       {"good", "GOOD"},
        {"missing", "MISSING"}, {"damaged", "DAMAGED"}, {"verified", "OLDEST"}, {NULL, NULL},
    };
    const char *what = args->operands_n ? args->operands[0] : "status";
    CLEANUP(jso_free) json_t *json = NULL;
    if (strcmp(what, "status") == 0) {
        TRY(remote_call(cli, "GET", "/sync/store", NULL, &json));
        return output_list(cli, json, "stores", columns, "No stores.");
    }
    if (strcmp(what, "scrub") == 0) {
        TRY(remote_call(cli, "POST", "/sync/store/scrub", NULL, &json));
        return output_done(cli, json, "Every replica is being read; coffer sync store says more");
    }
    if (strcmp(what, "repair") == 0) {
        TRY(remote_call(cli, "POST", "/sync/store/repair", NULL, &json));
        return output_done(cli, json, "What is missing or damaged is being repaired");
    }
    return err_new(ERR_USAGE, "say status, scrub or repair");
}

const command_t CMD_SYNC_STORE = {
    .group = "sync",
    .name = "store",
    .operands = "[status | scrub | repair]",
    .summary = "Show the stores of synced files, have replicas checked or repaired",
    .notes = "OLDEST is when the replica that was read least recently was read. A scrub reads all "
             "of them,\nas fast as [sync_storage] scrub_rate allows; repairs go on by themselves "
             "as well.",
    .examples = "  coffer sync store\n"
                "  coffer sync store scrub",
    .max = 1,
    .run = run_store,
};

/* ---- regions ---- */

static err_t *list_regions(cli_t *cli) {
    static const column_t columns[] = {
        {"region", "REGION"}, {"person", "PERSON"}, {"created", "CREATED"}, {"entries", "ENTRIES"},
        {"root", "COMMITS"},  {"used", "BYTES"},    {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_list(cli, "/sync/regions?all=1", "regions", &json));
    return output_list(cli, json, "regions", columns, "No regions.");
}

static err_t *run_regions(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"device", "DEVICE"}, {"name", "NAME"}, {"person", "PERSON"}, {"state", "STATE"},
        {"roles", "ROLES"},   {"seen", "SEEN"}, {"wipe", "WIPE"},     {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    if (!args->operands_n) return list_regions(cli);
    TRY(remote_path(&path, "/sync/regions/%/devices", args->operands[0]));
    TRY(remote_call(cli, "GET", path, NULL, &json));
    return output_list(cli, json, "devices", columns, "No devices.");
}

const command_t CMD_SYNC_REGIONS = {
    .group = "sync",
    .name = "regions",
    .operands = "[REGION]",
    .summary = "List regions of synced files, or the devices of one",
    .notes = "ROLES is a sum: 1 reads, 2 writes, 4 manages, 8 recovers. WIPE is asked or done.",
    .examples =
        "  coffer sync regions\n"
        "  coffer sync regions 5632e5c9bf18b35192e51f8926d34561637a22c31aa12b3d905e8275156b774e",
    .max = 1,
    .run = run_regions,
};

static err_t *run_usage(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    (void)args;
    TRY(remote_call(cli, "GET", "/sync/usage", NULL, &json));
    return output_fields(cli, json);
}

const command_t CMD_SYNC_USAGE = {
    .group = "sync",
    .name = "usage",
    .operands = "",
    .summary = "Show what synced files use in all",
    .notes = "versions are those that are in no tree any more and are kept for a while, or held.",
    .examples = "  coffer sync usage",
    .run = run_usage,
};

/* ---- quotas ---- */

/* "10G": K, M, G, T are powers of 1024. */
static err_t *parse_size(const char *text, int64_t *ret_bytes) {
    static const char units[] = "KMGT";
    bytes_t t = bytes_str(text);
    uint64_t value = 0;
    unsigned shift = 0;
    const char *unit = t.n ? strchr(units, t.p[t.n - 1]) : NULL;
    if (unit && *unit) {
        shift = 10 * (unsigned)(unit - units + 1);
        t = bytes_slice(t, 0, t.n - 1);
    }
    err_t *e = text_u64(t, (uint64_t)INT64_MAX >> shift, &value);
    if (e) return err_recode(err_wrap(e, "a size is like 500M, 10G or 0"), ERR_USAGE);
    *ret_bytes = (int64_t)(value << shift);
    return NULL;
}

static err_t *run_quota(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(mem_free) char *path = NULL;
    const char *size = args->operands[1];
    int64_t bytes = 0;
    TRY(jso_object(&body));
    if (strcmp(size, "default") == 0) {
        TRY(jso_set_null(body, "bytes"));
    } else {
        TRY(parse_size(size, &bytes));
        TRY(jso_set_int(body, "bytes", bytes));
    }
    TRY(remote_path(&path, "/sync/quotas/%", args->operands[0]));
    TRY(remote_call(cli, "PUT", path, body, NULL));
    return output_done(cli, NULL, "Quota of %s: %s", args->operands[0],
                       strcmp(size, "0") == 0 ? "none" : size);
}

const command_t CMD_SYNC_QUOTA = {
    .group = "sync",
    .name = "quota",
    .operands = "EMAIL SIZE",
    .summary = "Set how much a person may sync",
    .notes = "SIZE counts all data of the person's regions, old versions too: 500M, 10G; 0 is no "
             "limit,\ndefault what coffer.conf says. What is there already stays.",
    .examples = "  coffer sync quota alice@example.org 100G\n"
                "  coffer sync quota alice@example.org default",
    .min = 2,
    .max = 2,
    .run = run_quota,
};

/* ---- holds ---- */

static err_t *list_holds(cli_t *cli) {
    static const column_t columns[] = {
        {"hold", "HOLD"}, {"person", "PERSON"}, {"region", "REGION"}, {"reason", "REASON"},
        {"by", "BY"},     {"created", "SINCE"}, {NULL, NULL},
    };
    CLEANUP(jso_free) json_t *json = NULL;
    TRY(remote_call(cli, "GET", "/sync/holds", NULL, &json));
    return output_list(cli, json, "holds", columns, "Nothing is held.");
}

static err_t *add_hold(cli_t *cli, const char *what, const char *reason) {
    CLEANUP(jso_free) json_t *body = NULL;
    CLEANUP(jso_free) json_t *json = NULL;
    if (!reason) return err_new(ERR_USAGE, "say why: --reason TEXT");
    TRY(jso_object(&body));
    TRY(jso_set_str(body, strchr(what, '@') ? "person" : "region", what));
    TRY(jso_set_str(body, "reason", reason));
    TRY(remote_call(cli, "POST", "/sync/holds", body, &json));
    return output_done(cli, json, "Nothing of %s is deleted from now on", what);
}

static err_t *run_hold(cli_t *cli, const args_t *args) {
    const char *what = args->operands_n ? args->operands[0] : "list";
    CLEANUP(mem_free) char *path = NULL;
    if (strcmp(what, "list") == 0 && args->operands_n <= 1) return list_holds(cli);
    if (strcmp(what, "add") == 0 && args->operands_n == 2)
        return add_hold(cli, args->operands[1], args_value(args, "reason"));
    if (strcmp(what, "end") != 0 || args->operands_n != 2)
        return err_new(ERR_USAGE, "say list, add WHAT --reason TEXT, or end HOLD");
    TRY(remote_path(&path, "/sync/holds/%", args->operands[1]));
    TRY(remote_call(cli, "DELETE", path, NULL, NULL));
    return output_done(cli, NULL, "Hold %s has ended", args->operands[1]);
}

static const option_t hold_options[] = {
    {"reason", "TEXT", "why, for the list and the audit"},
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_HOLD = {
    .group = "sync",
    .name = "hold",
    .operands = "[list | add WHAT | end HOLD]",
    .summary = "Keep everything of a person or region, whatever retention says",
    .notes = "WHAT is a person's address (all of the person's regions) or a region. Old versions "
             "and deleted\nfiles stay as long as one hold has them; when it ends they go by [sync] "
             "keep_versions.",
    .examples = "  coffer sync hold add alice@example.org --reason 'case 2026-7'\n"
                "  coffer sync hold\n"
                "  coffer sync hold end 3",
    .max = 2,
    .options = hold_options,
    .run = run_hold,
};

/* ---- wiping ---- */

static err_t *run_wipe(cli_t *cli, const args_t *args) {
    CLEANUP(jso_free) json_t *json = NULL;
    CLEANUP(mem_free) char *path = NULL;
    TRY(remote_path(&path, "/sync/regions/%/devices/%/wipe", args->operands[0], args->operands[1]));
    TRY(remote_call(cli, "POST", path, NULL, &json));
    return output_done(cli, json,
                       "The device is to destroy its keys and files at its next contact.\n"
                       "It keeps its rights until a device that manages the region revokes it.");
}

const command_t CMD_SYNC_WIPE = {
    .group = "sync",
    .name = "wipe",
    .operands = "REGION DEVICE",
    .summary = "Have a device destroy its keys of a region and its files",
    .notes = "The device does it at its next contact and signs a receipt: coffer sync regions "
             "REGION shows\nasked or done. From now on it reads and writes nothing here. That "
             "others give it no new keys\ntakes an entry of the device chain, which only devices "
             "can write: revoke it on one of them.",
    .examples = "  coffer sync wipe \"$REGION\" \"$DEVICE\"",
    .min = 2,
    .max = 2,
    .run = run_wipe,
};
