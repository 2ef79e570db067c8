/*
 * Notices become jobs: see notify.h. In whichever process has something to tell.
 */
#include "notify/notify.h"

#include "base/limits.h"
#include "base/text.h"
#include "notify/mail.h"
#include "store/jobs.h"
#include "store/people.h"

enum { ADMINS_MAX = 200, NAME_BYTES = LIMIT_NOTICE_KEY + LIMIT_EMAIL + LIMIT_NAME + 2 };

static err_t *check(const notice_t *notice) {
    if (strlen(notice->key) > LIMIT_NOTICE_KEY)
        return err_new(ERR_INTERNAL, "a notice's key is too long");
    if (strlen(notice->text) > LIMIT_NOTICE_TEXT)
        return err_new(ERR_LIMIT, "a notice's text is too long");
    return NULL;
}

static err_t *put(db_conn_t *conn, const char *kind, const notice_t *notice, const char *to,
                  const json_t *payload) {
    CLEANUP(buf_done) buf_t name, text;
    const char *name_text = NULL, *payload_text = NULL;
    int64_t now = clk_unix_ms(db_clk(conn));
    buf_init(&name, NAME_BYTES);
    buf_init(&text, LIMIT_JSON_BYTES);
    TRY(buf_printf(&name, "%s:%s", notice->key, to));
    TRY(jso_write(payload, false, &text));
    TRY(buf_cstr(&name, &name_text));
    TRY(buf_cstr(&text, &payload_text));
    return db_jobs_put(conn, kind, name_text, payload_text, now, now);
}

/* Whole characters of the subject. */
static bytes_t cut_subject(const char *subject) {
    bytes_t cut = bytes_slice(bytes_str(subject), 0, LIMIT_NOTICE_SUBJECT);
    while (cut.n && !text_utf8_valid(cut)) cut.n--;
    return cut;
}

err_t *notify_mail(const notify_t *notify, db_conn_t *conn, const char *to,
                   const notice_t *notice) {
    CLEANUP(jso_free) json_t *payload = NULL;
    if (!notify->mail) return NULL;
    err_t *none = mail_address_check(to);
    if (none) {
        err_free(none);
        return NULL;
    }
    TRY(check(notice));
    TRY(jso_object(&payload));
    TRY(jso_set_str(payload, "to", to));
    TRY(jso_set_str(payload, "key", notice->key));
    TRY(jso_set_string(payload, "subject", cut_subject(notice->subject)));
    TRY(jso_set_str(payload, "text", notice->text));
    TRY(jso_set_int(payload, "time", clk_unix(db_clk(conn))));
    return put(conn, NOTIFY_JOB_MAIL, notice, to, payload);
}

err_t *notify_webhooks(const notify_t *notify, db_conn_t *conn, const notice_t *notice) {
    TRY(check(notice));
    for (size_t i = 0; i < notify->webhooks_n; i++) {
        CLEANUP(jso_free) json_t *payload = NULL;
        json_t *body = NULL;
        TRY(jso_object(&payload));
        TRY(jso_set_str(payload, "webhook", notify->webhooks[i]));
        TRY(jso_set_str(payload, "key", notice->key));
        TRY(jso_set_object(payload, "body", &body));
        TRY(jso_set_str(body, "event", notice->event));
        TRY(jso_set_str(body, "key", notice->key));
        TRY(jso_set_str(body, "instance", notify->instance));
        TRY(jso_set_time(body, "time", clk_unix(db_clk(conn))));
        TRY(jso_set_string(body, "subject", cut_subject(notice->subject)));
        if (notice->data) TRY(jso_set(body, "data", json_deep_copy(notice->data)));
        TRY(put(conn, NOTIFY_JOB_WEBHOOK, notice, notify->webhooks[i], payload));
    }
    return NULL;
}

err_t *notify_admins_mail(const notify_t *notify, db_conn_t *conn, arena_t *arena,
                          const notice_t *notice) {
    for (size_t i = 0; i < notify->admins_n; i++)
        TRY(notify_mail(notify, conn, notify->admins[i], notice));
    if (notify->admins_n || !notify->mail) return NULL;
    db_person_t *people = NULL;
    size_t count = 0;
    TRY(db_people_admins(conn, arena, ADMINS_MAX, &people, &count));
    for (size_t i = 0; i < count; i++) TRY(notify_mail(notify, conn, people[i].email, notice));
    return NULL;
}

err_t *notify_admins(const notify_t *notify, db_conn_t *conn, arena_t *arena,
                     const notice_t *notice) {
    TRY(notify_admins_mail(notify, conn, arena, notice));
    return notify_webhooks(notify, conn, notice);
}
