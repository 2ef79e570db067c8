/*
 * What Exchange's web services say to a streaming subscription ([MS-OXWSNTIF] sections 3.1.4.2 and
 * 3.1.4.3): the answer to Subscribe, and the documents that GetStreamingEvents answers with, one
 * after the other. Only response codes, the subscription's id, the state of the connection, how
 * long to wait for a busy server, and the ids of new messages are looked at; those are hashed at
 * once. Pure; the input is foreign.
 */
#ifndef COFFER_ARRIVAL_EWS_ANSWER_H
#define COFFER_ARRIVAL_EWS_ANSWER_H

#include "base/limits.h"
#include "format/xml_stream.h"

enum { EWS_CODE_SIZE = 64 };

typedef struct {
    xml_handler_t handler;
    xml_stream_t xml;
    bool closed;                                   /* the server ends this stream */
    bool fault;                                    /* a SOAP fault */
    bool heard;                                    /* a document without an error came */
    unsigned event;                                /* depth of the event that it is in; 0: none */
    bool backs_off;                                /* the element is BackOffMilliseconds */
    char code[EWS_CODE_SIZE];                      /* the first that is not NoError, or "" */
    char subscription[LIMIT_EWS_SUBSCRIPTION + 1]; /* of Subscribe, or "" */
    int64_t pause_s;                               /* 0: it does not say */
    int64_t news[LIMIT_EWS_NEWS];                  /* opaque numbers (opaque.h), each once */
    size_t count;
    bool more; /* than fit */
} ews_answer_t;

/* It must not move in memory until ews_answer_done. */
void ews_answer_init(ews_answer_t *a);
void ews_answer_done(ews_answer_t *a);
/* Forgets all but the news: before the next answer. */
void ews_answer_again(ews_answer_t *a);
/* Some of the body. ERR_INVALID, ERR_LIMIT: nothing of a mail server. */
err_t *ews_answer_input(ews_answer_t *a, bytes_t body) WARN_UNUSED;
/* What is remembered of messages was taken. */
void ews_answer_took(ews_answer_t *a);

#endif
