/*
 * Puts certificates into people's directory entries and takes them out: the jobs of kind
 * "directory", on a thread of their own.
 */
#ifndef COFFER_PROGRAM_PUBLISHER_H
#define COFFER_PROGRAM_PUBLISHER_H

#include "audit/audit.h"
#include "base/log.h"
#include "directory/ldap_people.h"
#include "store/db.h"

typedef struct publisher publisher_t;

/* All borrowed. */
typedef struct {
    db_t *db;
    const audit_t *audit;
    const log_t *log;
    ldappeople_t *people;
    bytes_t profiles;  /* list: which certificate profiles are published */
    bytes_t device_ca; /* PEM; goes along in userSMIMECertificate */
} publisher_options_t;

err_t *publisher_start(const publisher_options_t *options, publisher_t **ret_publisher) WARN_UNUSED;
void publisher_wake(publisher_t *publisher); /* from any thread; takes NULL */
/* Waits for the one that is being done: ldappeople_stop before ends that. Takes NULL. */
void publisher_stop(publisher_t *publisher);

#endif
