/*
 * The asking half of mail: see client_mail.h. coffer-web and coffer-mailgate, any thread.
 */
#include "keeper/client_mail.h"

#include "ipc/frame.h"
#include "ipc/wire.h"

static void body_init(buf_t *body) { buf_init_secret(body, FRAME_BODY_MAX); }

err_t *keeper_mail_allow(keeper_t *keeper, const keeper_mail_allow_t *allow, buf_t *ret_certificate,
                         bool *ret_made) {
    CLEANUP(buf_done) buf_t body, reply;
    bytes_t certificate;
    bool made = false;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_str(&body, allow->email));
    TRY(wire_put_str(&body, allow->person));
    TRY(wire_put_str(&body, allow->name));
    TRY(wire_put_bool(&body, allow->sign));
    TRY(wire_put_bool(&body, allow->decrypt));
    TRY(wire_put_bool(&body, allow->renew));
    TRY(keeper_call_once(keeper, KEEPER_MAIL_ALLOW, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_bool(&r, &made));
    TRY(wire_get_bytes(&r, LIMIT_CERTIFICATE_BYTES, &certificate));
    TRY(wire_done(&r));
    TRY(buf_add(ret_certificate, certificate));
    *ret_made = made;
    return NULL;
}

err_t *keeper_mail_sign(keeper_t *keeper, const char *email, const uint8_t sha256[32],
                        buf_t *ret_cms) {
    CLEANUP(buf_done) buf_t body, reply;
    bytes_t cms;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_str(&body, email));
    TRY(buf_add(&body, bytes_make(sha256, 32)));
    TRY(keeper_call(keeper, KEEPER_MAIL_SIGN, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_bytes(&r, FRAME_BODY_MAX, &cms));
    TRY(wire_done(&r));
    return buf_add(ret_cms, cms);
}

err_t *keeper_mail_open(keeper_t *keeper, const keeper_mail_open_t *o, uint8_t *ret_key, size_t n) {
    CLEANUP(buf_done) buf_t body, reply;
    bytes_t key;
    body_init(&body);
    body_init(&reply);
    TRY(wire_put_str(&body, o->email));
    TRY(escrow_object_put(&o->object, &body));
    TRY(wire_put_bytes(&body, o->blob));
    TRY(wire_put_bytes(&body, o->wrap));
    TRY(wire_put_u8(&body, (uint8_t)o->wrapped->transport));
    TRY(wire_put_bytes(&body, o->wrapped->algorithm));
    TRY(wire_put_bytes(&body, o->wrapped->encrypted));
    TRY(wire_put_bytes(&body, o->wrapped->originator));
    TRY(wire_put_bool(&body, o->wrapped->has_ukm));
    TRY(wire_put_bytes(&body, o->wrapped->ukm));
    TRY(wire_put_u8(&body, (uint8_t)n));
    TRY(wire_put_str(&body, o->message));
    TRY(keeper_call_once(keeper, KEEPER_MAIL_OPEN, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_raw(&r, n, &key));
    TRY(wire_done(&r));
    memcpy(ret_key, key.p, n);
    return NULL;
}
