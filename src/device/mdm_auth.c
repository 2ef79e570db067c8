/*
 * Device authentication: see mdm_auth.h. One signature check a request; whether the certificate
 * is ours is remembered by pki. Any worker thread of coffer-web.
 */
#include "device/mdm_auth.h"

#include "audit/note.h"

enum { SIGNATURE_MAX = 32 * 1024 }; /* bytes of DER; a device's has about 2000 */

static err_t *signer_of(const devices_t *devices, const device_request_t *request,
                        cert_t **ret_cert) {
    CLEANUP(buf_done) buf_t der;
    CLEANUP(cms_signed_free) cms_signed_t *message = NULL;
    const cms_verify_options_t options = {
        .allow_sha1 = true, /* old systems sign with it */
        .certs = pki_certs(devices->o.pki),
    };
    buf_init(&der, SIGNATURE_MAX);
    TRY(text_unbase64(request->signature, &der));
    TRY(cms_verify(buf_bytes(&der), &request->body, &options, &message));
    *ret_cert = cert_share(cms_signed_cert(message));
    return NULL;
}

err_t *mdm_auth_certificate(const devices_t *devices, const device_request_t *request,
                            cert_t **ret_cert) {
    if (request->signature.n) {
        TRY_WRAP(signer_of(devices, request, ret_cert), "Mdm-Signature of the message from %s",
                 request->peer);
        return NULL;
    }
    if (request->client_cert.n) {
        TRY_WRAP(cert_cache_parse(pki_certs(devices->o.pki), request->client_cert, ret_cert),
                 "client certificate of %s", request->peer);
        cert_cache_keep(pki_certs(devices->o.pki), *ret_cert); /* TLS saw its key at work */
        return NULL;
    }
    return err_new(ERR_DENIED,
                   devices->o.sign_message
                       ? "the message from %s has no Mdm-Signature"
                       : "the message from %s came without a client certificate",
                   request->peer);
}

err_t *mdm_auth_open(const devices_t *devices, const device_request_t *request, size_t max,
                     cert_t **ret_cert, arena_t **ret_arena) {
    CLEANUP(cert_free) cert_t *cert = NULL;
    if (request->body.n > max)
        return err_new(ERR_LIMIT, "the message from %s has more than %zu bytes", request->peer,
                       max);
    TRY(mdm_auth_certificate(devices, request, &cert));
    TRY(arena_new(DEVICE_ARENA, ret_arena));
    *ret_cert = STEAL(cert);
    return NULL;
}

err_t *mdm_auth_sender(const devices_t *devices, db_conn_t *conn, arena_t *arena,
                       const cert_t *cert, mdm_sender_t *ret_sender) {
    bytes_t fingerprint = bytes_make(cert_sha256(cert), DEVICE_HASH);
    mdm_sender_t sender = {0};
    bool known = false, pinned = false;
    TRY(db_devices_sender(conn, arena, fingerprint, &sender.row, &known, &sender.device, &pinned));
    err_t *e = known ? pki_identity_row_check(devices->o.pki, cert, &sender.row) : NULL;
    if (e && err_code(e) != ERR_VERIFY) return e;
    sender.ours = known && !e && strcmp(sender.row.profile, devices->o.identity_profile) == 0;
    err_free(e);
    sender.found = sender.ours && pinned;
    if (sender.ours && !pinned)
        TRY(pki_device_of(conn, arena, fingerprint, &sender.device, &sender.found));
    *ret_sender = sender;
    return NULL;
}

bool mdm_auth_is(const mdm_sender_t *sender, const char *key) {
    return sender->ours && sender->found && strcmp(sender->device.state, "removed") != 0 &&
           strcmp(sender->device.enrolment_key, key) == 0;
}

err_t *mdm_auth_follow(const devices_t *devices, db_conn_t *conn, const mdm_sender_t *sender) {
    char actor[DEVICE_ACTOR];
    if (!sender->found || bytes_eq(sender->device.identity, sender->row.fingerprint)) return NULL;
    TRY(db_devices_set_identity(conn, sender->device.id, sender->row.fingerprint));
    return audit_note(devices->o.audit, conn, device_actor(sender->device.enrolment_key, actor),
                      "device.renewed", actor, "identity", sender->row.serial, NULL);
}
