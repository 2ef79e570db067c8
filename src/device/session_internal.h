/*
 * For session.c (the transaction) and session_reply.c (what is sent) only: one step of a command
 * session.
 */
#ifndef COFFER_DEVICE_SESSION_INTERNAL_H
#define COFFER_DEVICE_SESSION_INTERNAL_H

#include "device/mail_delivery.h"
#include "device/mdm_auth.h"
#include "device/mdm_message.h"
#include "device/result_secret.h"

struct device_session {
    devices_t *devices;
    device_request_t request;
    cert_t *cert;
    arena_t *arena;
    mdm_result_t result;
    mdm_sender_t sender;
    bool accepted;
    db_queue_t queue;       /* queue.next is to be sent now, if queue.found */
    device_secret_t secret; /* its secret, or */
    mail_delivery_t mail;   /* what it is to bring */
    result_taking_t taking; /* a secret in the answer */
    const char *refusal;    /* why the keeper won't fill in next's secret */
    err_code_t refusal_code;

    void (*ready)(void *arg); /* of devices_session_begin */
    void *ready_arg;
    err_t *error; /* of the transaction; owned */
};

/* In the transaction: marks queue.next as sent and fetches its secret, or has a push follow. */
err_t *device_session_pick(db_conn_t *conn, device_session_t *x) WARN_UNUSED;
/* After it: the next command, or 200 and nothing. */
err_t *device_session_reply(device_session_t *x, device_answer_t *answer) WARN_UNUSED;

#endif
