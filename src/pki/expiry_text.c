/*
 * What the expiry watch writes to people: see expiry_internal.h.
 */
#include "base/limits.h"
#include "base/text.h"
#include "pki/expiry_internal.h"

enum { DAY_SIZE = 11, ROOM_FOR_END = 4096 };

static const char *day(int64_t seconds, char out[TEXT_TIME_SIZE]) {
    (void)text_time(seconds, out);
    out[DAY_SIZE - 1] = '\0';
    return out;
}

static err_t *add_left(const db_expiring_t *cert, int64_t now_ms, buf_t *out) {
    char when[TEXT_TIME_SIZE];
    int64_t left = expiry_days_left(cert->not_after, now_ms / 1000);
    if (cert->not_after <= now_ms / 1000)
        return buf_printf(out, "ended on %s", day(cert->not_after, when));
    return buf_printf(out, "ends on %s (in %lld day%s)", day(cert->not_after, when),
                      (long long)left, left == 1 ? "" : "s");
}

static const char *device_of(const db_expiry_facts_t *f) {
    return f->device_name[0] ? f->device_name : f->device_serial;
}

static err_t *add_certificate(const expiry_found_t *found, const expiry_due_t *due, buf_t *out) {
    const db_expiring_t *cert = &due->cert;
    expiry_cause_t cause;
    expiry_cause(cert, &due->facts, found->now_ms, &cause);
    TRY(buf_printf(out, "\n- %s\n  ", cert->subject));
    TRY(add_left(cert, found->now_ms, out));
    TRY(buf_printf(out, ", serial number %s\n", cert->serial));
    if (cert->source[0] && cert->sources > 1)
        TRY(buf_printf(out, "  seen at %s and %lld more\n", cert->source,
                       (long long)cert->sources - 1));
    else if (cert->source[0]) TRY(buf_printf(out, "  seen at %s\n", cert->source));
    else TRY(buf_printf(out, "  profile %s", cert->profile));
    if (!cert->source[0]) {
        if (cert->email[0]) TRY(buf_printf(out, ", of %s", cert->email));
        if (due->facts.device_id[0]) TRY(buf_printf(out, ", device %s", device_of(&due->facts)));
        TRY(buf_add_str(out, "\n"));
    }
    return buf_printf(out, "  %s\n", cause.text);
}

static err_t *add_lost(const expiry_found_t *found, buf_t *out) {
    char when[TEXT_TIME_SIZE];
    if (found->lost_n) TRY(buf_add_str(out, "\nThese can't be looked at:\n"));
    for (size_t i = 0; i < found->lost_n; i++) {
        const db_watch_source_t *s = &found->lost[i];
        if (out->n + ROOM_FOR_END > LIMIT_NOTICE_TEXT) break;
        TRY(buf_printf(out, "\n- %s (%s)\n  unreachable since %s: %.300s\n", s->name, s->target,
                       day(s->since_ms / 1000, when), s->problem));
    }
    return NULL;
}

err_t *expiry_text_admin(const expiry_found_t *found, buf_t *out) {
    size_t shown = 0;
    TRY(buf_printf(out, "%s, Coffer at %s\n", found->o->organisation, found->o->notify->instance));
    if (found->due_n) TRY(buf_add_str(out, "\nThese certificates end and were not renewed:\n"));
    for (; shown < found->due_n && shown < LIMIT_EXPIRY_LINES; shown++) {
        if (out->n + ROOM_FOR_END > LIMIT_NOTICE_TEXT) break;
        TRY(add_certificate(found, &found->due[shown], out));
    }
    if (shown < found->due_n)
        TRY(buf_printf(out, "\nand %zu more: coffer cert report --within 60\n",
                       found->due_n - shown));
    TRY(add_lost(found, out));
    return buf_add_str(out, "\nEach is told once at each of the days of [expiry] notices. All of "
                            "them: coffer cert report\n");
}

err_t *expiry_text_holder(const expiry_found_t *found, const expiry_ref_t *rows, size_t n,
                          buf_t *out) {
    const char *name = rows[0].due->cert.person;
    TRY(buf_printf(out, "Hello%s%s,\n\n", name[0] ? " " : "", name));
    TRY(buf_printf(out, "%s of yours at %s will soon end, or ended:\n",
                   n == 1 ? "a certificate" : "certificates", found->o->organisation));
    for (size_t i = 0; i < n; i++) {
        const expiry_due_t *due = rows[i].due;
        expiry_cause_t cause;
        if (out->n + ROOM_FOR_END > LIMIT_NOTICE_TEXT) break;
        expiry_cause(&due->cert, &due->facts, found->now_ms, &cause);
        const char *device = device_of(&due->facts);
        TRY(buf_printf(out, "\n- %s: ", device[0] ? device : due->cert.subject));
        TRY(add_left(&due->cert, found->now_ms, out));
        TRY(buf_printf(out, "\n  Not renewed so far: %s\n", cause.text));
    }
    return buf_add_str(out, "\nA device renews by itself while it is switched on and connected. "
                            "When one is no\nlonger in use, or this comes again, tell your "
                            "administrators.\n");
}

err_t *expiry_text_alarm(const expiry_found_t *found, expiry_brake_t brake, buf_t *out) {
    TRY(buf_printf(out, "%s, Coffer at %s\n\n", found->o->organisation,
                   found->o->notify->instance));
    switch (brake) {
    case EXPIRY_GO: break;
    case EXPIRY_HOLD_CLOCK:
        TRY(buf_add_str(out, "This server's clock ran ahead, so no notice about certificates that "
                             "end is sent.\nSet the clock right; notices go on by themselves "
                             "then.\n"));
        break;
    case EXPIRY_HOLD_MANY:
        TRY(buf_printf(out,
                       "Notices stand for %lld certificates at once, more than [expiry] brake = "
                       "%lld allows, so\nnone is sent. Look at the server's clock, and at coffer "
                       "cert report.\n",
                       (long long)found->due_total, (long long)found->o->brake));
        break;
    }
    return buf_add_str(out, "\nIf the clock is right and these notices are wanted: coffer watch "
                            "release\n");
}
