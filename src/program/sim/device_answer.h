/*
 * How a device answers commands: realistic results, and the faults one asks for. Works on the
 * device's memory only; the caller saves it.
 */
#ifndef COFFER_SIM_DEVICE_ANSWER_H
#define COFFER_SIM_DEVICE_ANSWER_H

#include "format/plist.h"
#include "program/sim/device_state.h"

typedef struct {
    uint64_t not_now_count;   /* the next commands get NotNow */
    const char *not_now_type; /* commands of this type get NotNow; or NULL */
    const char *error_type;   /* commands of this type get Error; or NULL */
    bool malformed;           /* results are cut off in the middle */
    uint64_t latency_ms;      /* before each answer */
    uint64_t apps;            /* in InstalledApplicationList */
} faults_t;

typedef enum {
    AFTER_NOTHING,
    AFTER_ERASE,  /* wipe, once the answer is sent */
    AFTER_REMOVE, /* the enrolment profile went */
} answer_after_t;

typedef struct {
    char said[512];       /* what the device did, for people */
    const char *status;   /* Acknowledged, Error, CommandFormatError, NotNow */
    answer_after_t after; /* what to do when the answer has been sent */
} answer_t;

/*
 * Obeys `command` (the Command dictionary) and fills `result` (the reply's dictionary, which has
 * UDID and CommandUUID) with Status and the answer. Errors are our own only.
 */
err_t *device_answer(sim_device_t *device, const plist_t *command, faults_t *faults, int64_t now,
                     plist_t *result, answer_t *ret_answer) WARN_UNUSED;

#endif
