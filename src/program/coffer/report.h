/*
 * report_t: certificates that end, written as a table, CSV (RFC 4180), JSON or one HTML page. Rows
 * come in the order of their end; memory stays the same however many there are. One thread.
 */
#ifndef COFFER_PROGRAM_COFFER_REPORT_H
#define COFFER_PROGRAM_COFFER_REPORT_H

#include <stdio.h>

#include "base/buf.h"
#include "format/json.h"

typedef enum { REPORT_TEXT, REPORT_CSV, REPORT_HTML, REPORT_JSON } report_format_t;

/* All borrowed; "" for what is not known. Foreign bytes may stand in each text. */
typedef struct {
    const char *subject, *issuer, *serial, *fingerprint;
    const char *profile; /* issued here */
    const char *source;  /* seen there */
    const char *holder, *device;
    const char *cause_code, *cause;
    int64_t not_after; /* seconds */
    int64_t days_left;
} report_row_t;

typedef struct report report_t;

typedef struct {
    report_format_t format;
    const char *title; /* the organisation */
    int64_t now;       /* seconds */
    long within;       /* days */
    FILE *out;         /* borrowed */
} report_options_t;

err_t *report_new(const report_options_t *options, report_t **ret_report) WARN_UNUSED;
void report_free(report_t *report); /* takes NULL */
err_t *report_add(report_t *report, const report_row_t *row) WARN_UNUSED;
/* Writes what is left; once. */
err_t *report_finish(report_t *report) WARN_UNUSED;

/* One field of CSV, quoted where needed. What a spreadsheet would take for a formula gets an
 * apostrophe before it. */
err_t *report_csv_field(buf_t *out, const char *text) WARN_UNUSED;

DEFINE_CLEANUP(report_t, report_free)

#endif
