/*
 * /api/v1/ca: the generations of the device CA and what hangs on them; what a rollover is judged
 * by.
 */
#include <stdio.h>

#include "base/limits.h"
#include "program/web/api.h"
#include "store/ca_rows.h"
#include "store/devices.h"

enum { BACKDATE_S = 60 * 60, KEY_TEXT = 32 }; /* of the keeper's own certificates */

typedef struct {
    arena_t *arena;
    const keeper_cas_t *cas;
    int64_t now;
    struct {
        db_ca_profile_t *profiles;
        size_t n;
        int64_t devices;
    } of[LIMIT_DEVICE_CAS];
    int64_t devices, with_next;
} account_t;

static err_t *read_account(db_conn_t *conn, void *arg) {
    account_t *a = arg;
    TRY(db_devices_count(conn, "enrolled", &a->devices));
    for (size_t i = 0; i < a->cas->n; i++) {
        const keeper_ca_t *ca = &a->cas->list[i];
        TRY(db_ca_profiles(conn, a->arena, ca->name, a->now, &a->of[i].profiles, &a->of[i].n));
        TRY(db_ca_devices(conn, ca->name, &a->of[i].devices));
        int64_t made = cert_not_before(ca->cert) + BACKDATE_S;
        if (ca->state == KEEPER_CA_NEXT) TRY(db_ca_devices_since(conn, made * 1000, &a->with_next));
    }
    return NULL;
}

static const char *state_name(keeper_ca_state_t state) {
    switch (state) {
    case KEEPER_CA_FORMER: return "former";
    case KEEPER_CA_CURRENT: return "current";
    case KEEPER_CA_NEXT: return "next";
    }
    return "?";
}

static err_t *certificate_json(const keeper_ca_t *ca, json_t *out) {
    char key[KEY_TEXT];
    pkey_kind_t kind = pkey_kind(cert_key(ca->cert));
    if (kind == PKEY_RSA) (void)snprintf(key, sizeof key, "rsa%u", pkey_bits(cert_key(ca->cert)));
    else (void)snprintf(key, sizeof key, "%s", pkey_kind_name(kind));
    TRY(jso_set_str(out, "name", ca->name));
    TRY(jso_set_str(out, "state", state_name(ca->state)));
    TRY(jso_set_str(out, "mode", ca->signer == ca->cert ? "ca" : "ra"));
    TRY(jso_set_str(out, "key", key));
    TRY(jso_set_str(out, "subject", cert_subject(ca->cert)));
    TRY(jso_set_str(out, "serial", cert_serial_hex(ca->cert)));
    TRY(jso_set_str(out, "fingerprint", cert_sha256_hex(ca->cert)));
    TRY(api_set_ms(out, "not_before", cert_not_before(ca->cert) * 1000));
    TRY(api_set_ms(out, "not_after", cert_not_after(ca->cert) * 1000));
    TRY(jso_set_str(out, "certificate_url", ca->ca_url));
    return jso_set_str(out, "crl_url", ca->crl_url);
}

static err_t *use_json(const db_ca_profile_t *profiles, size_t n, int64_t devices, json_t *out) {
    json_t *list = NULL, *item = NULL;
    int64_t count = 0, last = 0;
    TRY(jso_set_array(out, "profiles", &list));
    for (size_t i = 0; i < n; i++) {
        count += profiles[i].count;
        if (profiles[i].last_ends > last) last = profiles[i].last_ends;
        TRY(jso_add_object(list, &item));
        TRY(jso_set_str(item, "profile", profiles[i].profile));
        TRY(jso_set_int(item, "certificates", profiles[i].count));
        TRY(api_set_ms(item, "last_ends", profiles[i].last_ends * 1000));
    }
    TRY(jso_set_int(out, "certificates", count));
    TRY(api_set_ms(out, "last_ends", last * 1000));
    return jso_set_int(out, "devices", devices);
}

err_t *api_ca(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(jso_free) json_t *out = NULL;
    json_t *list = NULL, *item = NULL;
    account_t a = {
        .arena = request->arena, .cas = pki_device_cas(web->pki), .now = clk_unix(clk_real())};
    TRY(db_read(web->db, read_account, &a));
    TRY(jso_object(&out));
    TRY(jso_set_array(out, "device_cas", &list));
    for (size_t i = 0; i < a.cas->n; i++) {
        TRY(jso_add_object(list, &item));
        TRY(certificate_json(&a.cas->list[i], item));
        TRY(use_json(a.of[i].profiles, a.of[i].n, a.of[i].devices, item));
    }
    TRY(api_set_ms(out, "root_not_after", cert_not_after(pki_root(web->pki)) * 1000));
    TRY(jso_set_int(out, "devices", a.devices));
    TRY(jso_set_int(out, "devices_with_next", a.with_next));
    return api_send(reply, 200, out);
}
