/*
 * See mail_consent.h. Inside a transaction of coffer-web.
 */
#include "device/mail_consent.h"

#include "audit/note.h"
#include "store/mail_consents.h"
#include "store/officers.h"

enum { NOTICE_MAX = 4096 };

err_t *mail_consent_find(devices_t *devices, db_conn_t *conn, arena_t *arena, const char *device_id,
                         mail_consent_t *ret_consent) {
    db_mail_consent_t row;
    db_officer_set_t set;
    db_mail_consent_answer_t *answers = NULL;
    mail_consent_t consent = {0};
    bool found = false, has_set = false;
    size_t n = 0;
    *ret_consent = consent;
    TRY(db_mail_consents_of_device(conn, arena, device_id, "given", &row, &found));
    if (!found || row.expires <= clk_unix(devices->o.clk)) return NULL;
    TRY(db_officer_sets_in_state(conn, arena, "active", &set, &has_set));
    if (!has_set || set.epoch != row.epoch) return NULL;
    TRY(db_mail_consent_answers_list(conn, arena, row.id, &answers, &n));
    TRY(arena_alloc(arena, (n + 1) * sizeof *consent.signatures, &consent.signatures));
    for (size_t i = 0; i < n; i++)
        if (answers[i].approved) consent.signatures[consent.signatures_n++] = answers[i].record;
    consent.id = row.id;
    consent.certificate = row.certificate;
    consent.expires = row.expires;
    *ret_consent = consent;
    return NULL;
}

/* ---- asking ---- */

typedef struct {
    devices_t *devices;
    arena_t *arena;
    char id[ESCROW_ID_TEXT];
    const char *person; /* address */
    db_device_t device;
} asking_t;

static err_t *tell_officers(db_conn_t *conn, const asking_t *x, bytes_t record) {
    const notify_t *notify = x->devices->o.notify;
    CLEANUP(buf_done) buf_t text;
    escrow_set_t set;
    const char *body = NULL;
    buf_init(&text, NOTICE_MAX);
    if (!notify) return NULL;
    TRY(escrow_set_parse(record, &set));
    TRY(buf_printf(
        &text,
        "A device enrolled for %.300s and is to get the keys of that mailbox's encrypted "
        "mail.\n\nDevice: %.100s, serial number %.100s\n\nAsk whether it is his, then "
        "agree on your own machine: coffer key approve %s --key FILE\n",
        x->person, x->device.product, x->device.serial_number, x->id));
    TRY(buf_cstr(&text, &body));
    const notice_t notice = {.event = "key.consent-asked",
                             .key = x->id,
                             .subject = "A new device waits for its mail keys",
                             .text = body};
    for (size_t i = 0; i < set.n; i++) {
        db_person_t officer;
        bool found = false;
        TRY(db_people_by_id(conn, x->arena, set.officers[i].person, &officer, &found));
        if (found) TRY(notify_mail(notify, conn, officer.email, &notice));
    }
    return NULL;
}

static err_t *ask(db_conn_t *conn, asking_t *x, const db_mail_consent_t *row, bytes_t set_record) {
    uint8_t raw[ESCROW_ID];
    char object[DEVICE_ACTOR];
    db_mail_consent_t asked = *row;
    db_person_t person;
    bool found = false;
    TRY(db_devices_by_id(conn, x->arena, row->device_id, &x->device, &found));
    if (!found) return err_new(ERR_NOT_FOUND, "the device is gone");
    TRY(db_people_by_id(conn, x->arena, row->person_id, &person, &found));
    TRY(rnd_fill(x->devices->o.rnd, raw, sizeof raw));
    escrow_id_text(raw, x->id);
    asked.id = x->id;
    x->person = found ? person.email : row->person_id;
    TRY(db_mail_consents_void(conn, row->device_id, row->created_ms));
    TRY(db_mail_consents_add(conn, &asked));
    TRY(tell_officers(conn, x, set_record));
    return audit_note(x->devices->o.audit, conn, "system", "key.ask-consent",
                      device_actor(x->device.enrolment_key, object), "request", x->id, "owner",
                      row->person_id, "person", x->person, NULL);
}

err_t *mail_consent_ask(devices_t *devices, db_conn_t *conn, arena_t *arena, const char *device_id,
                        const char *person_id, bytes_t certificate, int64_t *ret_until_ms) {
    db_mail_consent_t row;
    db_officer_set_t set;
    bool found = false;
    int64_t now_ms = devices_now(devices), expires = now_ms / 1000 + LIMIT_MAIL_CONSENT_S;
    TRY(db_officer_sets_in_state(conn, arena, "active", &set, &found));
    if (!found) {
        *ret_until_ms = 0;
        return NULL;
    }
    TRY(db_mail_consents_of_device(conn, arena, device_id, "waiting", &row, &found));
    if (found && row.epoch == set.epoch && row.expires > now_ms / 1000 &&
        bytes_eq(row.certificate, certificate) && strcmp(row.person_id, person_id) == 0) {
        *ret_until_ms = row.expires * 1000;
        return NULL;
    }
    asking_t x = {.devices = devices, .arena = arena};
    row = (db_mail_consent_t){.device_id = device_id,
                              .person_id = person_id,
                              .certificate = certificate,
                              .epoch = set.epoch,
                              .expires = expires,
                              .created_ms = now_ms};
    TRY(ask(conn, &x, &row, set.record));
    *ret_until_ms = expires * 1000;
    return NULL;
}
