/*
 * Reports: see report.h.
 */
#include "smtp/report.h"

#include <time.h>

#include "base/limits.h"
#include "base/text.h"
#include "smtp/address.h"

bool smtp_report_wants(const smtp_rcpt_t *rcpt) {
    return rcpt->notify == 0 || (rcpt->notify & SMTP_NOTIFY_FAILURE) != 0;
}

size_t smtp_report_header(bytes_t message, size_t max) {
    size_t n = 0;
    bytes_t rest = message;
    while (rest.n) {
        size_t line = bytes_find(rest, '\n') + 1;
        if (line > rest.n || line <= 2 || n + line > max) break;
        n += line;
        rest = bytes_from(rest, line);
    }
    return n;
}

/* UTF-8 as \x{C3}... would be wrong: RFC 6533 section 3 writes code points. */
static err_t *write_address(bytes_t address, buf_t *out) {
    for (size_t i = 0; i < address.n;) {
        uint8_t c = address.p[i];
        unsigned more = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (more == 0) {
            TRY(buf_add_byte(out, c >= ' ' && c <= '~' ? c : '?'));
            i++;
            continue;
        }
        uint32_t point = c & (0x3fU >> more);
        for (unsigned k = 1; k <= more && i + k < address.n; k++)
            point = point << 6 | (address.p[i + k] & 0x3fU);
        TRY(buf_printf(out, "\\x{%X}", (unsigned)point));
        i += more + 1;
    }
    return NULL;
}

static err_t *write_head(const smtp_report_t *r, buf_t *out) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const smtp_envelope_t *m = r->envelope;
    time_t now = (time_t)r->unix_s;
    struct tm tm;
    if (!gmtime_r(&now, &tm)) return err_new(ERR_INTERNAL, "the time");
    TRY(buf_printf(out, "From: Mail gateway <MAILER-DAEMON@%s>\r\nTo: <%.*s>\r\n", r->hostname,
                   (int)m->from.n, (const char *)m->from.p));
    TRY(buf_printf(out, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday],
                   tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                   tm.tm_sec));
    return buf_printf(out,
                      "Message-ID: <%s@%s>\r\nSubject: %s"
                      "\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
                      "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                      " boundary=\"%s\"\r\n\r\n",
                      r->id, r->hostname,
                      r->relayed ? "Your message was handed on"
                                 : "Your message was not delivered to everybody",
                      r->id);
}

/* Who the report is about. */
static bool is_told(const smtp_report_t *r, size_t i) {
    if (r->relayed) return r->relayed[i];
    return smtp_is_refused(&r->statuses[i]) && smtp_report_wants(&r->envelope->rcpts[i]);
}

static err_t *write_text(const smtp_report_t *r, buf_t *out) {
    static const char handed_on[] =
        "Your message was handed to a server that sends no word of its delivery, for:";
    static const char failed[] =
        "Your message was delivered to some of its recipients, but not to:";
    TRY(buf_printf(out,
                   "--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
                   "This is the mail gateway at %s.\r\n\r\n%s\r\n\r\n",
                   r->id, r->hostname, r->relayed ? handed_on : failed));
    for (size_t i = 0; i < r->envelope->rcpts_n; i++) {
        if (!is_told(r, i)) continue;
        TRY(buf_add_str(out, "  <"));
        TRY(write_address(r->envelope->rcpts[i].address, out));
        TRY(buf_printf(out, ">\r\n    %u %s %s\r\n", r->statuses[i].code, r->statuses[i].enhanced,
                       r->statuses[i].text));
    }
    return buf_add_str(out, "\r\n");
}

static const char *address_type(bytes_t address) {
    return smtp_is_ascii(address) ? "rfc822" : "utf-8";
}

static err_t *write_recipient(const smtp_report_t *r, size_t i, buf_t *out) {
    const smtp_rcpt_t *rcpt = &r->envelope->rcpts[i];
    const smtp_status_t *s = &r->statuses[i];
    TRY(buf_add_str(out, "\r\n"));
    if (rcpt->orcpt.n) {
        CLEANUP(buf_done) buf_t plain;
        buf_init(&plain, LIMIT_SMTP_XTEXT);
        size_t semicolon = bytes_find(rcpt->orcpt, ';');
        bytes_t address = bytes_from(rcpt->orcpt, semicolon + 1);
        err_t *e = smtp_xtext_decode(address, &plain);
        if (!e) address = buf_bytes(&plain);
        err_free(e);
        TRY(buf_add_str(out, "Original-Recipient: "));
        TRY(write_address(bytes_slice(rcpt->orcpt, 0, semicolon), out));
        TRY(buf_add_str(out, ";"));
        TRY(write_address(address, out));
        TRY(buf_add_str(out, "\r\n"));
    }
    TRY(buf_printf(out, "Final-Recipient: %s;", address_type(rcpt->address)));
    TRY(write_address(rcpt->address, out));
    return buf_printf(out, "\r\nAction: %s\r\nStatus: %s\r\nDiagnostic-Code: smtp; %u %s %s\r\n",
                      r->relayed ? "relayed" : "failed",
                      s->enhanced[0] ? s->enhanced
                      : r->relayed   ? "2.0.0"
                                     : "5.0.0",
                      s->code, s->enhanced, s->text);
}

static err_t *write_statuses(const smtp_report_t *r, buf_t *out) {
    const smtp_envelope_t *m = r->envelope;
    TRY(buf_printf(out,
                   "--%s\r\nContent-Type: message/delivery-status\r\n\r\n"
                   "Reporting-MTA: dns; %s\r\n",
                   r->id, r->hostname));
    if (m->envid.n) {
        CLEANUP(buf_done) buf_t plain;
        buf_init(&plain, LIMIT_SMTP_ENVID);
        TRY(smtp_xtext_decode(m->envid, &plain));
        TRY(buf_add_str(out, "Original-Envelope-Id: "));
        TRY(write_address(buf_bytes(&plain), out));
        TRY(buf_add_str(out, "\r\n"));
    }
    for (size_t i = 0; i < m->rcpts_n; i++)
        if (is_told(r, i)) TRY(write_recipient(r, i, out));
    return buf_add_str(out, "\r\n");
}

err_t *smtp_report_write(const smtp_report_t *r, buf_t *out) {
    TRY(write_head(r, out));
    TRY(write_text(r, out));
    TRY(write_statuses(r, out));
    TRY(buf_printf(out, "--%s\r\nContent-Type: text/rfc822-headers\r\n\r\n", r->id));
    for (size_t i = 0; i < r->header.n; i++)
        TRY(buf_add_byte(out, r->header.p[i] < 0x80 ? r->header.p[i] : '?'));
    return buf_printf(out, "\r\n--%s--\r\n", r->id);
}
