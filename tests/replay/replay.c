/*
 * Plays dialogues between devices and the device services, on a fake clock. A script (*.txt) is a
 * list of steps; what is right of "->" must come out, exactly.
 *
 *   ready NAME [PRODUCT]           a device that enrolled, checked in and answered its first
 * questions device NAME UDID               a factory-new device offer phase 1; its challenge is
 * kept phase2 NAME -> OUTCOME         with the kept challenge scep NAME -> ok|refused phase3 NAME
 * -> OUTCOME NAME authenticate [as OTHER] -> OUTCOME     signed by OTHER's identity NAME token
 * [UNLOCKTOKEN] -> OUTCOME NAME MessageType -> OUTCOME    any other check-in message NAME
 * idle|ack|error|formaterror|notnow [UUID] -> OUTCOME NAME repeat -> OUTCOME         the very same
 * message again queue NAME TYPE [JSON] -> OUTCOME dryrun NAME TYPE [JSON] -> OUTCOME fill NAME
 * COUNT                queues COUNT ProfileLists cancel NAME [force] -> OUTCOME the command it got
 * last advance SECONDS sql NUMBER SELECT ...          what the store must answer
 *
 * OUTCOME: empty (200 without a body), a RequestType, a status, "plist", "ok" or an error's name.
 * A word "contains TEXT" after it looks into the answer's body.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/device/device_fixture.h"
#include "base/mem.h"

enum { LINE = 1024, WORDS = 4 };

typedef struct {
    fx_t f;
    const char *file;
    unsigned line;
    char *challenge;
    const char *expected; /* NULL: nothing */
    const char *contains;
} replay_t;

static const char *script; /* from the command line */

static void complain(const replay_t *r, const char *what, const char *got) {
    fail_msg("%s:%u: %s (got \"%s\")", r->file, r->line, what, got ? got : "");
}

static fx_device_t *who(replay_t *r, const char *name) {
    fx_device_t *d = fx_find(&r->f, name);
    if (!d) complain(r, "no such device", name);
    return d;
}

/* Cuts off the next word, or the rest with `all`; NULL at the end. */
static char *word(char **rest, bool all) {
    char *start = *rest + strspn(*rest, " ");
    if (!*start) return NULL;
    char *end = all ? start + strlen(start) : start + strcspn(start, " ");
    *rest = *end ? end + 1 : end;
    *end = '\0';
    return start;
}

static void fill(replay_t *r, fx_device_t *d, int count) {
    for (int i = 0; i < count; i++)
        assert_string_equal(fx_queue(&r->f, d, "ProfileList", "", false), "ok");
}

static const char *administer(replay_t *r, const char *verb, char *rest) {
    fx_t *f = &r->f;
    fx_device_t *d = who(r, word(&rest, false));
    if (strcmp(verb, "cancel") == 0)
        return fx_settle(f, devices_cancel(f->devices, d->udid, d->command,
                                           word(&rest, false) != NULL, "person:admin@example.org"));
    const char *type = word(&rest, false);
    const char *json = word(&rest, true);
    return fx_queue(f, d, type, json ? json : "", strcmp(verb, "dryrun") == 0);
}

static const char *check_in(replay_t *r, fx_device_t *d, const char *verb, char *rest) {
    static const struct {
        const char *verb, *status;
    } statuses[] = {{"idle", "Idle"},
                    {"ack", "Acknowledged"},
                    {"error", "Error"},
                    {"formaterror", "CommandFormatError"},
                    {"notnow", "NotNow"}};
    fx_t *f = &r->f;
    const char *argument = word(&rest, false);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (strcmp(verb, statuses[i].verb) == 0)
            return fx_result(f, d, statuses[i].status, argument, NULL);
    if (strcmp(verb, "repeat") == 0) return fx_repeat(f, d);
    if (strcmp(verb, "token") == 0) return fx_token(f, d, argument);
    if (strcmp(verb, "authenticate") == 0)
        return fx_authenticate(f, d, argument ? who(r, word(&rest, false)) : NULL);
    return fx_simple(f, d, verb);
}

static const char *enrol(replay_t *r, const char *verb, char *rest) {
    fx_device_t *d = who(r, word(&rest, false));
    if (strcmp(verb, "phase2") == 0) return fx_phase2(&r->f, d, r->challenge, NULL);
    if (strcmp(verb, "scep") == 0) return fx_scep(&r->f, d);
    return fx_phase3(&r->f, d);
}

/* Steps without an outcome; false if it is none of them. */
static bool arrange(replay_t *r, const char *verb, char *rest) {
    fx_t *f = &r->f;
    if (strcmp(verb, "ready") == 0) {
        const char *name = word(&rest, false), *product = word(&rest, false);
        (void)fx_ready(f, name, product ? product : "iPhone14,5");
    } else if (strcmp(verb, "device") == 0) {
        const char *name = word(&rest, false);
        (void)fx_device(f, name, word(&rest, false), "iPhone14,5");
    } else if (strcmp(verb, "offer") == 0) {
        mem_free(r->challenge);
        r->challenge = fx_offer(f);
    } else if (strcmp(verb, "advance") == 0) {
        fx_advance(f, strtoll(word(&rest, false), NULL, 10) * 1000);
    } else if (strcmp(verb, "fill") == 0) {
        fx_device_t *d = who(r, word(&rest, false));
        fill(r, d, (int)strtol(word(&rest, false), NULL, 10));
    } else if (strcmp(verb, "sql") == 0) {
        long long expected = strtoll(word(&rest, false), NULL, 10);
        long long got = fx_number(f, rest);
        char text[32];
        (void)snprintf(text, sizeof text, "%lld", got);
        if (got != expected) complain(r, rest, text);
    } else {
        return false;
    }
    return true;
}

static const char *perform(replay_t *r, const char *verb, char *rest) {
    static const char *const enrolling[] = {"phase2", "scep", "phase3"};
    static const char *const administering[] = {"queue", "dryrun", "cancel"};
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(verb, enrolling[i]) == 0) return enrol(r, verb, rest);
        if (strcmp(verb, administering[i]) == 0) return administer(r, verb, rest);
    }
    fx_device_t *d = who(r, verb);
    const char *what = word(&rest, false);
    return check_in(r, d, what, rest);
}

static void judge(replay_t *r, const char *got) {
    if (!r->expected || strcmp(got, r->expected) != 0)
        complain(r, r->expected ? r->expected : "an outcome must be expected", got);
    if (!r->contains) return;
    bytes_t body = buf_bytes(&r->f.body);
    if (body.n == 0 || !memmem(body.p, body.n, r->contains, strlen(r->contains)))
        complain(r, "the answer lacks", r->contains);
}

static void play_line(replay_t *r, char *line) {
    char *arrow = strstr(line, " -> ");
    r->expected = r->contains = NULL;
    if (arrow) {
        char *rest = arrow + 4;
        *arrow = '\0';
        r->expected = word(&rest, false);
        if (word(&rest, false)) r->contains = word(&rest, true);
    }
    char *rest = line;
    const char *verb = word(&rest, false);
    if (!verb || verb[0] == '#' || arrange(r, verb, rest)) return;
    judge(r, perform(r, verb, rest));
}

static void test_replay__dialogue(void **state) {
    (void)state;
    static replay_t r;
    char line[LINE];
    FILE *in = fopen(script, "re");
    assert_non_null(in);
    r.file = script;
    fx_make(&r.f);
    while (fgets(line, sizeof line, in)) {
        r.line++;
        line[strcspn(line, "\n")] = '\0';
        play_line(&r, line);
    }
    (void)fclose(in);
    fx_done(&r.f);
    mem_free(r.challenge);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    script = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_replay__dialogue)};
    return cmocka_run_group_tests_name(script, tests, NULL, NULL);
}
