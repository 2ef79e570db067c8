/*
 * An instance in one process for the tests of src/device: the keeper's core, a store, pki and
 * device services, on one fake clock; and devices that enrol and obey as real ones do.
 */
#ifndef COFFER_TESTS_DEVICE_FIXTURE_H
#define COFFER_TESTS_DEVICE_FIXTURE_H

#include "../keeper/keeper_fixture.h"
#include "audit/audit.h"
#include "device/device.h"
#include "format/plist.h"
#include "store/db.h"

enum { FX_DEVICES = 8, FX_OUTCOME = 512 };

typedef struct {
    char name[16];
    char udid[64];
    char product[32];
    const char *challenge_key; /* how the challenge comes back: NULL a string, else data */
    pkey_t *key;               /* shared with all devices of a fixture but `own_key` ones */
    cert_t *cert;              /* the identity at hand, or NULL */
    cms_signer_t *signer;
    buf_t scep; /* the last SCEP payload: a plist */
    buf_t last; /* the last message, to be repeated */
    bool last_is_checkin;
    char command[64]; /* UUID of the last command it got */
} fx_device_t;

typedef struct {
    keeper_fixture_t keeper;
    char dir[64];
    char path[96];
    db_t *db;
    audit_t audit;
    pki_t *pki;
    devices_t *devices;
    cert_list_t factory_cas;
    pkey_t *factory_key;
    cert_t *factory_cert;
    cms_signer_t *factory;
    db_person_t person;
    int jobs; /* times the courier was woken */
    unsigned transactions;
    fx_device_t device[FX_DEVICES];
    size_t devices_n;
    arena_t *arena;
    char outcome[FX_OUTCOME]; /* of the last call: "ok", an error's name, a status, a RequestType */
    buf_t body;               /* of the last answer */
} fx_t;

void fx_make(fx_t *f);
void fx_done(fx_t *f);
void fx_advance(fx_t *f, int64_t ms);
/* Settles what a call gave into f->outcome, and frees the error. */
const char *fx_settle(fx_t *f, err_t *e);

fx_device_t *fx_device(fx_t *f, const char *name, const char *udid, const char *product);
fx_device_t *fx_find(fx_t *f, const char *name);

/* Phase 1: the offer's challenge (mem_free). */
char *fx_offer(fx_t *f);
/* Phase 2: outcome "ok" leaves d->scep. `signer` NULL: the factory. */
const char *fx_phase2(fx_t *f, fx_device_t *d, const char *challenge, const cms_signer_t *signer);
/* Redeems d->scep: outcome "ok" and d->cert, or "refused". */
const char *fx_scep(fx_t *f, fx_device_t *d);
/* Phase 3: outcome "ok" leaves the SCEP payload of the management identity in d->scep. */
const char *fx_phase3(fx_t *f, fx_device_t *d);
/* All of it, until the management identity is there. */
void fx_enrol(fx_t *f, fx_device_t *d);

/*
 * Sends a plist as d's identity (or as that of `as`); outcome: "empty", the RequestType of the
 * command that came, the status unless 200, or an error's name.
 */
const char *fx_send(fx_t *f, fx_device_t *d, const fx_device_t *as, bool checkin, bytes_t xml);
const char *fx_authenticate(fx_t *f, fx_device_t *d, const fx_device_t *as);
/* unlock_token may be NULL. */
const char *fx_token(fx_t *f, fx_device_t *d, const char *unlock_token);
const char *fx_simple(fx_t *f, fx_device_t *d, const char *message_type);
/* uuid NULL: the command it got last. */
const char *fx_result(fx_t *f, fx_device_t *d, const char *status, const char *uuid,
                      const char *more_xml);
const char *fx_repeat(fx_t *f, fx_device_t *d);
/* Enrols, authenticates, sends a token and drains the first commands. */
fx_device_t *fx_ready(fx_t *f, const char *name, const char *product);

const char *fx_queue(fx_t *f, const fx_device_t *d, const char *type, const char *parameters,
                     bool dry_run);

int64_t fx_number(fx_t *f, const char *sql);

#endif
