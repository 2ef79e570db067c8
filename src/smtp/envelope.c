/*
 * Envelopes: see envelope.h.
 */
#include "smtp/envelope.h"

#include "base/limits.h"
#include "base/mem.h"

const char *smtp_forward_name(smtp_forward_t attribute) {
    static const char *const names[SMTP_FORWARDS] = {"NAME", "ADDR",  "PORT",  "PROTO",
                                                     "HELO", "IDENT", "SOURCE"};
    return names[attribute];
}

err_t *smtp_envelope_new(smtp_envelope_t **ret_envelope) {
    CLEANUP(smtp_envelope_free) smtp_envelope_t *envelope = mem_zalloc(sizeof *envelope);
    if (!envelope) return err_nomem();
    TRY(arena_new(LIMIT_SMTP_ENVELOPE, &envelope->arena));
    *ret_envelope = STEAL(envelope);
    return NULL;
}

void smtp_envelope_free(smtp_envelope_t *envelope) {
    if (!envelope) return;
    arena_free(envelope->arena);
    mem_free(envelope->rcpts);
    mem_free(envelope);
}

err_t *smtp_envelope_add(smtp_envelope_t *envelope, const smtp_rcpt_t *rcpt) {
    enum { FIRST = 4 };
    smtp_rcpt_t copy = *rcpt;
    if (envelope->rcpts_n == LIMIT_SMTP_RECIPIENTS)
        return err_new(ERR_LIMIT, "too many recipients");
    TRY(arena_copy(envelope->arena, rcpt->address, &copy.address));
    if (rcpt->orcpt.n) TRY(arena_copy(envelope->arena, rcpt->orcpt, &copy.orcpt));
    if (envelope->rcpts_n == envelope->rcpts_room) {
        size_t room = envelope->rcpts_room ? envelope->rcpts_room * 2 : FIRST;
        smtp_rcpt_t *more = mem_resize(envelope->rcpts, room * sizeof *more);
        if (!more) return err_nomem();
        envelope->rcpts = more;
        envelope->rcpts_room = room;
    }
    envelope->rcpts[envelope->rcpts_n++] = copy;
    return NULL;
}
