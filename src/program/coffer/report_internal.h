/*
 * For report*.c: what a report keeps while its rows pass. The HTML page begins with numbers that
 * are known at the end only, so its rows wait in a temporary file.
 */
#ifndef COFFER_PROGRAM_COFFER_REPORT_INTERNAL_H
#define COFFER_PROGRAM_COFFER_REPORT_INTERNAL_H

#include "program/coffer/report.h"

enum { REPORT_MONTHS = 1300, REPORT_CAUSES = 16, REPORT_CODE = 32, REPORT_DATE = 11 };

typedef struct {
    int year, month; /* 1..12 */
    long offset;     /* of its first row in the temporary file */
    int64_t total, foreign, ended;
    char causes[REPORT_CAUSES][REPORT_CODE];
    int64_t cause_counts[REPORT_CAUSES];
    size_t causes_n;
} report_month_t;

struct report {
    report_options_t o;
    buf_t line;
    int64_t total;
    FILE *rows; /* HTML's */
    report_month_t *months;
    size_t months_n;
};

/* "2026-11-22" */
const char *report_date(int64_t seconds, char out[REPORT_DATE]);
err_t *report_write(FILE *out, bytes_t data) WARN_UNUSED;
err_t *report_html_add(report_t *report, const report_row_t *row) WARN_UNUSED;
err_t *report_html_finish(report_t *report) WARN_UNUSED;

#endif
