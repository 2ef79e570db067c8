/*
 * The asking half of mailboxes' passwords: see client_mailbox.h. Any thread.
 */
#include "keeper/client_mailbox.h"

#include "ipc/frame.h"
#include "ipc/wire.h"

static err_t *ask(keeper_t *keeper, keeper_intent_t intent, const keeper_mailbox_t *m, bytes_t what,
                  size_t max, buf_t *out) {
    CLEANUP(buf_done) buf_t body, reply;
    bytes_t answer;
    buf_init_secret(&body, FRAME_BODY_MAX);
    buf_init_secret(&reply, FRAME_BODY_MAX);
    TRY(wire_put_str(&body, m->account));
    TRY(wire_put_str(&body, m->server));
    TRY(wire_put_str(&body, m->login));
    TRY(wire_put_bytes(&body, what));
    TRY(keeper_call(keeper, intent, &body, &reply));
    wire_reader_t r = wire_reader(buf_bytes(&reply));
    TRY(wire_get_bytes(&r, max, &answer));
    TRY(wire_done(&r));
    return buf_add(out, answer);
}

err_t *keeper_mailbox_seal(keeper_t *keeper, const keeper_mailbox_t *mailbox, bytes_t password,
                           buf_t *ret_sealed) {
    return ask(keeper, KEEPER_MAILBOX_SEAL, mailbox, password, LIMIT_MAILBOX_SEALED, ret_sealed);
}

err_t *keeper_mailbox_open(keeper_t *keeper, const keeper_mailbox_t *mailbox, bytes_t sealed,
                           buf_t *ret_password) {
    return ask(keeper, KEEPER_MAILBOX_OPEN, mailbox, sealed, LIMIT_PASSWORD_MAX, ret_password);
}
