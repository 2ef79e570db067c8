/*
 * See mail_consent.h. Inside a transaction of coffer-web.
 */
#include "device/mail_consent.h"

#include <string.h>

#include "audit/note.h"
#include "crypto/cert.h"
#include "keeper/escrow_format.h"
#include "store/escrow.h"
#include "store/mail_consents.h"
#include "store/officers.h"

enum { NOTICE_MAX = 4096, PERSON_KEYS = 256 /* of one person */ };

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
    consent.mailboxes = row.mailboxes;
    *ret_consent = consent;
    return NULL;
}

/* ---- whose mailboxes ---- */

static bool has_mailbox(bytes_t list, const char *mailbox) {
    escrow_delivery_t d = {0};
    if (list.n > LIMIT_ESCROW_MAILBOXES) return false;
    bytes_put(d.mailboxes, list);
    return escrow_delivery_names(&d, bytes_str(mailbox));
}

static err_t *add_mailboxes(bytes_t der, buf_t *list) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    const char *mailbox = NULL;
    TRY(cert_parse_der(der, &cert));
    for (size_t i = 0; (mailbox = cert_san_get(cert, SAN_EMAIL, i)) != NULL; i++)
        if (!has_mailbox(buf_bytes(list), mailbox))
            TRY(buf_printf(list, "%s%s", list->n ? " " : "", mailbox));
    return NULL;
}

/* Those of all the person's mail certificates, the former ones too: the keeper knows them. */
static err_t *find_mailboxes(db_conn_t *conn, arena_t *arena, const char *person_id,
                             const char **ret_mailboxes) {
    db_escrow_filter_t filter = {.kind = ESCROW_KIND_SMIME, .owner = person_id, .device_id = ""};
    db_escrow_t *rows = NULL;
    size_t count = 0;
    CLEANUP(buf_done) buf_t list;
    bytes_t copy;
    buf_init(&list, LIMIT_ESCROW_MAILBOXES);
    TRY(db_escrow_list(conn, arena, &filter, 0, PERSON_KEYS, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        db_escrow_t row;
        bool found = false;
        TRY(db_escrow_by_seq(conn, arena, rows[i].seq, &row, &found));
        if (found && row.certificates.n) TRY(add_mailboxes(row.certificates, &list));
    }
    if (list.n == 0) return err_new(ERR_VERIFY, "the person's mail keys name no mailbox");
    TRY(arena_copy(arena, buf_bytes(&list), &copy));
    *ret_mailboxes = (const char *)copy.p;
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
    TRY(find_mailboxes(conn, x->arena, row->person_id, &asked.mailboxes));
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
