/*
 * coffer sync share, unshare, who, follow: a region that people share.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/coffer/output.h"
#include "program/coffer/prompt.h"
#include "program/coffer/share_group.h"
#include "program/coffer/share_known.h"
#include "program/coffer/share_proof.h"

static err_t *open_share(cli_t *cli, sync_open_t *open, share_work_t *ret_work) {
    sync_report_t report;
    TRY(sync_open(cli, open));
    TRY(sync_open_engine(open));
    TRY(sync_engine_fetch(open->engine, &report));
    return share_work_read(open, ret_work);
}

static const char *role_name(uint8_t roles) {
    if (roles & SYNC_RECOVER) return "recover";
    if (roles & SYNC_MANAGE) return "manage";
    if (roles & SYNC_WRITE) return "write";
    return roles & SYNC_READ ? "read" : "-";
}

/* ---- share ---- */

static err_t *parse_home(const char *hex, uint8_t ret_home[SYNC_HASH]) {
    CLEANUP(buf_done) buf_t raw;
    buf_init(&raw, 2 * SYNC_HASH);
    err_t *e = strlen(hex) == 2 * (size_t)SYNC_HASH ? text_unhex(bytes_str(hex), &raw) : NULL;
    if (e && err_code(e) == ERR_NOMEM) return e;
    err_free(e);
    if (raw.n != SYNC_HASH) return err_new(ERR_USAGE, "a region has 64 hexadecimal digits");
    memcpy(ret_home, raw.p, SYNC_HASH);
    return NULL;
}

static err_t *new_member(const args_t *args, const char *person, sync_member_t *ret_member) {
    sync_member_t member = {.roles = SYNC_READ};
    const char *group = args_value(args, "group") ? args_value(args, "group") : "";
    if (args_flag(args, "write")) member.roles |= SYNC_WRITE;
    if (args_flag(args, "manage")) member.roles = SYNC_ALL;
    if (strlen(person) > LIMIT_SYNC_PERSON)
        return err_new(ERR_USAGE, "an address has up to %d bytes", LIMIT_SYNC_PERSON);
    if (strlen(group) > LIMIT_SYNC_PERSON)
        return err_new(ERR_USAGE, "a group's address has up to %d bytes", LIMIT_SYNC_PERSON);
    bytes_put(member.person, bytes_str(person));
    bytes_put(member.group, bytes_str(group));
    *ret_member = member;
    return NULL;
}

/* Who was compared before, for whatever share, need not be again; another region must. */
static err_t *is_known(const sync_home_t *home, const sync_member_t *member, bool *ret_known) {
    uint8_t known[SYNC_HASH];
    bool found = false;
    TRY(share_known_find(home, member->person, &found, known));
    *ret_known = found && memcmp(known, member->home, SYNC_HASH) == 0;
    if (!found || *ret_known) return NULL;
    return err_new(ERR_VERIFY,
                   "the server shows another region of %s than the one that was compared; if that "
                   "is so, compare again and give --digits",
                   member->person);
}

/* Only the digits tell whether the server shows her devices or its own: people look at them once.
 */
static err_t *compare(cli_t *cli, const args_t *args, const sync_home_t *home,
                      const uint8_t mine[SYNC_HASH], sync_member_t *member) {
    static const char *const yes[] = {"yes", NULL};
    char digits[SYNC_SAFETY_TEXT], question[512];
    const char *given = args_value(args, "digits");
    if (!given) TRY(is_known(home, member, &member->compared));
    if (member->compared) return NULL;
    TRY(sync_safety_text(mine, member->home, digits));
    if (given && strcmp(given, digits) != 0)
        return err_new(ERR_VERIFY,
                       "the digits are %s: the server shows another region than that "
                       "of %s",
                       digits, member->person);
    if (!given) {
        (void)snprintf(question, sizeof question,
                       "Digits for %s:\n\n  %s\n\nAsk for those that \"coffer sync digits\" shows "
                       "there, by a way that the server has no hand in.\nAre they the same? Type "
                       "yes: ",
                       member->person, digits);
        TRY(prompt_confirm(cli, question, "--digits DIGITS", yes));
    }
    member->compared = true;
    return share_known_put(home, member->person, member->home);
}

/*
 * The region that this device is known by, as its home has it: the first member of a new share is
 * its maker, so the server must have no say in it.
 */
static err_t *own_home(share_work_t *work, uint8_t ret_home[SYNC_HASH]) {
    const sync_card_t *card = &work->open->key.card;
    const sync_home_t *home = &work->open->home;
    if (home->has_own) {
        memcpy(ret_home, home->own, SYNC_HASH);
        return NULL;
    }
    TRY(share_work_home_of(work->open, card->person, work->open->key.id, ret_home));
    if (memcmp(ret_home, home->region, SYNC_HASH) == 0) return NULL;
    return err_new(ERR_USAGE, "%s is no share's home: see coffer sync make-share", home->path);
}

static err_t *add_maker(share_work_t *work, const uint8_t home[SYNC_HASH]) {
    sync_member_t me = {.roles = SYNC_ALL, .compared = true};
    if (work->n) return NULL;
    memcpy(me.home, home, SYNC_HASH);
    memcpy(me.person, work->open->key.card.person, sizeof me.person);
    return share_work_put(work, &me);
}

static err_t *share_person(cli_t *cli, const args_t *args, share_work_t *work,
                           const uint8_t mine[SYNC_HASH]) {
    size_t added = 0, ended = 0;
    sync_member_t member;
    const sync_open_t *open = work->open;
    const char *person = args->operands[0], *of = args_value(args, "of");
    TRY(new_member(args, person, &member));
    if (member.group[0]) TRY(share_group_check(open, member.group, person));
    if (of) TRY(parse_home(of, member.home));
    else TRY(share_work_home_of(open, person, NULL, member.home));
    TRY(compare(cli, args, &open->home, mine, &member));
    TRY(add_maker(work, mine));
    TRY(share_work_put(work, &member));
    if (member.group[0]) TRY(share_group_came(work, member.group));
    TRY(share_work_follow(work, &added, &ended));
    return output_done(cli, NULL, "%s can %s now, on %zu device%s. New ones follow.", person,
                       role_name(member.roles), added, added == 1 ? "" : "s");
}

/* Who waits is a matter for people: exit status 4. */
static err_t *say_waiting(cli_t *cli, const share_group_t *g) {
    size_t i = 0;
    const json_t *item = NULL;
    if (g->waiting) cli->status = CLI_REFUSED;
    json_array_foreach(json_object_get(g->out, "waiting"), i, item) {
        const char *digits = json_string_value(json_object_get(item, "digits"));
        TRY(cli_say(cli, "Waits: %s, %s%s%s\n", json_string_value(json_object_get(item, "person")),
                    json_string_value(json_object_get(item, "why")), digits ? ": " : "",
                    digits ? digits : ""));
    }
    return NULL;
}

static err_t *share_group(cli_t *cli, const args_t *args, share_work_t *work,
                          const uint8_t mine[SYNC_HASH]) {
    CLEANUP(jso_free) json_t *out = NULL;
    size_t added = 0, ended = 0;
    sync_member_t like;
    if (args_value(args, "digits") || args_value(args, "of"))
        return err_new(ERR_USAGE, "--digits and --of are for one PERSON");
    TRY(new_member(args, "", &like));
    TRY(jso_object(&out));
    share_group_t g = {
        .work = work, .mine = mine, .on_trust = args_flag(args, "on-trust"), .out = out};
    TRY(add_maker(work, mine));
    TRY(share_group_add(&g, like.group, like.roles));
    TRY(share_work_follow(work, &added, &ended));
    TRY(jso_set_int(out, "devices", (int64_t)added));
    TRY(say_waiting(cli, &g));
    return output_done(cli, out, "%zu of %s came in, with %zu devices; %zu wait.", g.joined,
                       like.group, added, g.waiting);
}

static err_t *run_share(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(share_work_done) share_work_t work = {0};
    uint8_t mine[SYNC_HASH];
    if (!args->operands_n && !args_value(args, "group"))
        return err_new(ERR_USAGE, "share with whom? Give PERSON, or --group GROUP");
    TRY(open_share(cli, &open, &work));
    TRY(own_home(&work, mine));
    return args->operands_n ? share_person(cli, args, &work, mine)
                            : share_group(cli, args, &work, mine);
}

static const option_t share_options[] = {
    {"write", NULL, "may change files, too"},
    {"manage", NULL, "may add and end people and devices, too"},
    {"digits", "DIGITS", "that the person's device shows (coffer sync digits): not asked then"},
    {"of", "REGION", "which of the person's regions; default: the first that was made"},
    {"group", "GROUP", "all of this group, or with PERSON one who came with it"},
    {"on-trust", NULL, "let in those of a group whose digits nobody compared, too"},
    SYNC_HOME_OPTIONS,
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_SHARE = {
    .group = "sync",
    .name = "share",
    .operands = "[PERSON]",
    .summary = "Let a colleague's devices into this region, today's and those to come",
    .notes =
        "PERSON is an address. What is shared is the whole region of --home: coffer sync\n"
        "make-share makes one. Once, two people compare digits, since the server could show "
        "devices of its own. People\n"
        "stay named by the chain of their devices: a new device comes in with the next\n"
        "coffer sync follow, one that was lost goes out, with a new key.\n"
        "\n"
        "With --group those of the group come in whose digits were compared, here or for another\n"
        "share; for the others the digits are shown (exit status 4). coffer sync follow keeps in\n"
        "step with the group. The server says who is in it: --on-trust takes its word also for\n"
        "whose devices those are, and coffer sync who shows for whom.",
    .examples = "  coffer sync share --home ~/team bert@example.org --write\n"
                "  coffer sync share --home ~/team carl@example.org --digits '12345 67890 ...'\n"
                "  coffer sync share --home ~/team --group sales@example.org",
    .max = 1,
    .options = share_options,
    .run = run_share,
};

/* ---- unshare, follow ---- */

static err_t *run_unshare(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(share_work_done) share_work_t work = {0};
    const char *group = args_value(args, "group");
    size_t added = 0, ended = 0;
    if ((args->operands_n != 0) == (group != NULL))
        return err_new(ERR_USAGE, "give PERSON, or --group GROUP");
    TRY(open_share(cli, &open, &work));
    if (group) TRY(share_group_drop(&work, group));
    else TRY(share_work_drop(&work, args->operands[0]));
    TRY(share_work_follow(&work, &added, &ended));
    return output_done(cli, NULL,
                       "%s is out with %zu device%s, and a new key is in force. What was copied "
                       "before, they have.",
                       group ? group : args->operands[0], ended, ended == 1 ? "" : "s");
}

/* By name: whom of those who were compared comes in is the service's choice. */
static err_t *say_moved(cli_t *cli, const json_t *out, const char *list, const char *what) {
    size_t i = 0;
    const json_t *item = NULL;
    json_array_foreach(json_object_get(out, list), i, item)
        TRY(cli_say(cli, "%s: %s\n", what, json_string_value(json_object_get(item, "person"))));
    return NULL;
}

static err_t *run_follow(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(share_work_done) share_work_t work = {0};
    CLEANUP(jso_free) json_t *json = NULL;
    size_t added = 0, ended = 0;
    uint8_t mine[SYNC_HASH];
    TRY(open_share(cli, &open, &work));
    if (work.n == 0) return err_new(ERR_NOT_FOUND, "this region is not shared");
    TRY(own_home(&work, mine));
    TRY(jso_object(&json));
    share_group_t g = {
        .work = &work, .mine = mine, .on_trust = args_flag(args, "on-trust"), .out = json};
    g.release = args_flag(args, "release-brake");
    TRY(share_group_follow(&g));
    TRY(share_work_follow(&work, &added, &ended));
    TRY(say_waiting(cli, &g));
    TRY(jso_set_int(json, "added", (int64_t)added));
    TRY(jso_set_int(json, "ended", (int64_t)ended));
    TRY(say_moved(cli, json, "left", "Left the group"));
    TRY(say_moved(cli, json, "joined", "Came in with the group"));
    return output_done(cli, json, "%zu devices came in, %zu went out.", added, ended);
}

static const option_t home_options[] = {SYNC_HOME_OPTIONS, {NULL, NULL, NULL}};
static const option_t unshare_options[] = {
    {"group", "GROUP", "all who came with this group"},
    SYNC_HOME_OPTIONS,
    {NULL, NULL, NULL},
};
static const option_t follow_options[] = {
    {"on-trust", NULL, "let in those of groups whose digits nobody compared, too"},
    {"release-brake", NULL, "end who left a group also if that is more than half of them"},
    SYNC_HOME_OPTIONS,
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_UNSHARE = {
    .group = "sync",
    .name = "unshare",
    .operands = "[PERSON]",
    .summary = "End what was shared with somebody: all devices out, a new key",
    .notes = "A device that was ended comes back with new keys only, or in a new share.",
    .examples = "  coffer sync unshare --home ~/team bert@example.org\n"
                "  coffer sync unshare --home ~/team --group sales@example.org",
    .max = 1,
    .options = unshare_options,
    .run = run_unshare,
};

const command_t CMD_SYNC_FOLLOW = {
    .group = "sync",
    .name = "follow",
    .operands = "",
    .summary = "Bring a share in step with its members' devices",
    .notes =
        "Adds their new devices and ends those that they ended. For a device that manages the\n"
        "share; run it daily, or after somebody said that a device is new or lost. Of groups it\n"
        "ends who left; who is new comes in if the digits were compared before, else is shown\n"
        "(exit status 4): compare, and coffer sync share PERSON --group GROUP. If more than half\n"
        "of three or more have left at once, nothing is done without --release-brake (exit status "
        "4).",
    .examples = "  coffer sync follow --home ~/team\n"
                "  coffer sync follow --home ~/team --release-brake",
    .options = follow_options,
    .run = run_follow,
};

/* ---- who ---- */

/* Without members it is somebody's own region: there a device is what the chain says. */
static err_t *row_json(const share_work_t *work, const sync_share_row_t *row, json_t *list) {
    CLEANUP(mem_free) char *id = NULL;
    json_t *item = NULL;
    bool own = work->n == 0 && row->state == SYNC_SHARE_REVOKE;
    const char *person = row->member ? row->member->person : own ? row->card->person : NULL;
    TRY(text_hex_new(BYTES_ARRAY(row->device), &id));
    TRY(jso_add_object(list, &item));
    TRY(jso_set_str(item, "person", person));
    TRY(jso_set_str(item, "name", row->card->name));
    TRY(jso_set_str(item, "can", role_name(row->roles)));
    TRY(jso_set_str(item, "state", own ? "active" : sync_share_state_name(row->state)));
    TRY(jso_set_bool(item, "compared", row->member && row->member->compared));
    TRY(jso_set_bool(item, "this", memcmp(row->device, work->open->key.id, SYNC_HASH) == 0));
    return jso_set_str(item, "device", id);
}

/* What it stands on: the share's chain at this place, which every device can check. */
static err_t *proof_json(const sync_open_t *open, json_t *out) {
    CLEANUP(mem_free) char *region = NULL;
    CLEANUP(mem_free) char *hash = NULL;
    sync_chain_head_t head;
    TRY(sync_chain_head(sync_engine_chain(open->engine), &head));
    TRY(text_hex_new(BYTES_ARRAY(head.region), &region));
    TRY(text_hex_new(BYTES_ARRAY(head.head), &hash));
    TRY(jso_set_str(out, "region", region));
    TRY(jso_set_int(out, "position", (int64_t)head.position));
    TRY(jso_set_str(out, "head", hash));
    return jso_set_int(out, "epoch", (int64_t)head.epoch);
}

static err_t *say_proof(cli_t *cli, const json_t *out, bool logged) {
    const json_t *log = json_object_get(out, "log");
    TRY(cli_say(cli, "Proved by entry %lld of the region's chain, head %.16s..., epoch %lld.\n",
                (long long)json_integer_value(json_object_get(out, "position")),
                json_string_value(json_object_get(out, "head")),
                (long long)json_integer_value(json_object_get(out, "epoch"))));
    if (!logged)
        return cli_say(cli,
                       "NOT all of the chains' newest entries are in the signed log of %lld "
                       "entries: coffer sync audit says more.\n",
                       (long long)json_integer_value(json_object_get(log, "size")));
    return cli_say(cli,
                   "It is entry %lld of the signed log of %lld entries, root %.16s..., as the "
                   "members' chains are.\n",
                   (long long)json_integer_value(json_object_get(log, "index")),
                   (long long)json_integer_value(json_object_get(log, "size")),
                   json_string_value(json_object_get(log, "root")));
}

static err_t *run_who(cli_t *cli, const args_t *args) {
    static const column_t columns[] = {
        {"person", "PERSON"},     {"name", "DEVICE"}, {"can", "CAN"},   {"state", "STATE"},
        {"compared", "COMPARED"}, {"this", "THIS"},   {"device", "ID"}, {NULL, NULL}};
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(share_work_done) share_work_t work = {0};
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL;
    bool wrong = false, logged = false;
    (void)args;
    TRY(open_share(cli, &open, &work));
    TRY(share_work_judge(&work));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "devices", &list));
    for (size_t i = 0; i < work.rows_n; i++) {
        TRY(row_json(&work, &work.rows[i], list));
        wrong = wrong || (work.n && work.rows[i].state == SYNC_SHARE_REVOKE);
    }
    TRY(proof_json(&open, out));
    TRY(share_proof(cli, &work, out, &logged));
    if (wrong || !logged) cli->status = CLI_VERIFY;
    TRY(output_list(cli, out, "devices", columns, "Nobody."));
    return say_proof(cli, out, logged);
}

const command_t CMD_SYNC_WHO = {
    .group = "sync",
    .name = "who",
    .operands = "",
    .summary = "Tell who can read this region now, as signatures prove it",
    .notes =
        "Keys are sealed to the devices that the region's chain has active, and to nobody else.\n"
        "For a share each is looked up in its member's own chain: \"fine\" is there, \"to\n"
        "revoke\" is in no member's (exit status 5), \"cannot be told\" means that the server\n"
        "withholds a chain. \"to add\" can't read yet. In one's own region all are \"active\".\n"
        "The newest entries of all these chains must be in the signed log of device chains "
        "(coffer\n"
        "sync audit), else it is exit status 5, too.",
    .examples = "  coffer sync who\n  coffer sync who --home ~/team --json",
    .options = home_options,
    .run = run_who,
};

/* ---- digits ---- */

static err_t *run_digits(cli_t *cli, const args_t *args) {
    CLEANUP(sync_open_done) sync_open_t open = {0};
    CLEANUP(sync_chain_free) sync_chain_t *chain = NULL;
    uint8_t other[SYNC_HASH];
    char digits[SYNC_SAFETY_TEXT];
    const char *of = args_value(args, "of");
    TRY(sync_open(cli, &open));
    if (of) TRY(parse_home(of, other));
    else TRY(share_work_home_of(&open, args->operands[0], NULL, other));
    TRY(share_work_chain(&open, other, &chain));
    TRY(sync_safety_text(open.home.has_own ? open.home.own : open.home.region, other, digits));
    return output_done(cli, NULL, "%s", digits);
}

static const option_t digits_options[] = {
    {"of", "REGION", "which of the person's regions; default: the first that was made"},
    SYNC_HOME_OPTIONS,
    {NULL, NULL, NULL},
};

const command_t CMD_SYNC_DIGITS = {
    .group = "sync",
    .name = "digits",
    .operands = "PERSON",
    .summary = "Show the digits that two people compare before they share",
    .notes = "Both see the same if the server shows both the other's true devices. --home is that\n"
             "of one's own region, not of the share.",
    .examples = "  coffer sync digits anna@example.org",
    .min = 1,
    .max = 1,
    .options = digits_options,
    .run = run_digits,
};
