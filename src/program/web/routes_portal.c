/*
 * The enrolment portal: a page that works without JavaScript on a phone's browser. Log in, press
 * one button, get the profile. `curl -u` (HTTP Basic) on /enrol/profile does the same.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "http/auth.h"
#include "http/form.h"
#include "program/web/web.h"

#define PORTAL_CSP                                                                                 \
    "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri "  \
    "'none'"

static const char STYLE[] =
    ":root{color-scheme:light dark}body{font:17px/1.5 system-ui,sans-serif;margin:0;padding:1.5rem;"
    "max-width:34rem;margin:auto}h1{font-size:1.5rem}label{display:block;margin:1rem 0 .25rem}"
    "input{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;border:1px solid #888;"
    "border-radius:.5rem}button,.button{font:inherit;display:block;width:100%;box-sizing:border-"
    "box;"
    "text-align:center;text-decoration:none;margin-top:1.5rem;padding:.8rem;border:0;"
    "border-radius:.6rem;background:#0b57d0;color:#fff}button.quiet{background:none;color:inherit;"
    "text-decoration:underline}.error{border-left:.3rem solid #c5221f;padding:.5rem "
    ".8rem;margin:1rem 0}"
    "ol{padding-left:1.3rem}small{opacity:.75}";

enum { PAGE_MAX = 64 * 1024 };

static err_t *page_begin(web_t *web, buf_t *out) {
    bytes_t organisation = bytes_str(web->settings.organisation);
    TRY(buf_add_str(out, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                         "<title>Enrol a device - "));
    TRY(buf_add_xml(out, organisation));
    TRY(buf_add_str(out, "</title><link rel=\"stylesheet\" href=\"/enrol/style.css\"></head><body>"
                         "<main><h1>"));
    TRY(buf_add_xml(out, organisation));
    return buf_add_str(out, "</h1>");
}

static err_t *page_send(buf_t *page, unsigned status, http_reply_t *reply) {
    TRY(buf_add_str(page, "</main></body></html>\n"));
    TRY(http_reply_body(reply, status, "text/html; charset=utf-8", page));
    /* Not no-referrer: the forms' Origin would be "null", see refuse_foreign_form. */
    TRY(http_reply_set_header(reply, "Referrer-Policy", "same-origin"));
    return http_reply_set_header(reply, "Content-Security-Policy", PORTAL_CSP);
}

static err_t *login_page(web_t *web, unsigned status, const char *error, bytes_t email,
                         http_reply_t *reply) {
    CLEANUP(buf_done) buf_t page;
    buf_init(&page, PAGE_MAX);
    TRY(page_begin(web, &page));
    TRY(buf_add_str(&page, "<p>Sign in to put this device under your organisation's care.</p>"));
    if (error) {
        TRY(buf_add_str(&page, "<p class=\"error\" role=\"alert\">"));
        TRY(buf_add_xml(&page, bytes_str(error)));
        TRY(buf_add_str(&page, "</p>"));
    }
    TRY(buf_add_str(&page,
                    "<form method=\"post\" action=\"/enrol\"><label for=\"email\">Mail address"
                    "</label><input id=\"email\" name=\"email\" type=\"email\" required "
                    "autocomplete=\"username\" value=\""));
    TRY(buf_add_xml(&page, email));
    TRY(buf_add_str(&page, "\"><label for=\"password\">Password</label><input id=\"password\" "
                           "name=\"password\" type=\"password\" required "
                           "autocomplete=\"current-password\"><button>Sign in</button></form>"));
    return page_send(&page, status, reply);
}

static err_t *find_session(web_t *web, const http_request_t *request, session_t *ret_session,
                           bool *ret_found) {
    bytes_t cookies, token;
    bool found = false;
    *ret_found = false;
    if (!http_request_header(request, "Cookie", &cookies)) return NULL;
    TRY(http_cookie_get(cookies, WEB_COOKIE, &token, &found));
    if (!found) return NULL;
    err_t *e = session_check(web->sessions, token, ret_session);
    if (e && err_code(e) != ERR_AUTH) return e;
    *ret_found = !e;
    err_free(e);
    return NULL;
}

static const char *subject_email(const session_t *session) {
    const char *space = strchr(session->subject, ' ');
    return space ? space + 1 : session->subject;
}

err_t *route_home(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    (void)request;
    return http_reply_redirect(reply, "/enrol");
}

err_t *route_portal(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    CLEANUP(session_done) session_t session = {0};
    CLEANUP(buf_done) buf_t page;
    bool found = false;
    buf_init(&page, PAGE_MAX);
    TRY(find_session(web, request, &session, &found));
    if (!found) return login_page(web, 200, NULL, BYTES_NONE, reply);
    TRY(page_begin(web, &page));
    TRY(buf_add_str(&page, "<p>Signed in as "));
    TRY(buf_add_xml(&page, bytes_str(subject_email(&session))));
    TRY(buf_add_str(&page,
                    ".</p><a class=\"button\" href=\"/enrol/profile\">Enrol this device</a><ol>"
                    "<li>Press the button and allow the download.</li>"
                    "<li>Open Settings: &ldquo;Profile Downloaded&rdquo; stands near the top.</li>"
                    "<li>Press Install and enter the device's passcode.</li></ol>"
                    "<p><small>Your organisation will see the device's model, version, serial "
                    "number and installed apps, and can lock or erase it. It can't see your "
                    "messages, photos or where you are.</small></p>"
                    "<form method=\"post\" action=\"/enrol/logout\"><button class=\"quiet\">Sign "
                    "out</button></form>"));
    return page_send(&page, 200, reply);
}

static err_t *begin_session(web_t *web, const db_person_t *person, bool tls, http_reply_t *reply) {
    char token[SESSION_TOKEN_SIZE];
    CLEANUP(mem_free) char *subject = mem_printf("%s %s", person->role, person->email);
    if (!subject) return err_nomem();
    TRY(session_create(web->sessions, subject, token));
    TRY(http_reply_redirect(reply, "/enrol"));
    err_t *e = http_reply_cookie(reply, WEB_COOKIE, token, 0, tls);
    mem_wipe(token, sizeof token);
    return e;
}

/*
 * A form on somebody else's page must not sign a person in as another (log-in CSRF), nor out:
 * SameSite cookies don't help where there is no session yet. Browsers tell where a request comes
 * from (W3C Fetch Metadata; older ones by Origin, RFC 6454 section 7); curl tells nothing.
 */
static err_t *refuse_foreign_form(const web_t *web, const http_request_t *request) {
    bytes_t site, origin, host;
    const bytes_t https = BYTES_LIT("https://");
    if (http_request_header(request, "Sec-Fetch-Site", &site)) {
        if (bytes_eq_str(site, "same-origin") || bytes_eq_str(site, "none")) return NULL;
        return err_new(ERR_DENIED, "this form was sent from another site");
    }
    if (!http_request_header(request, "Origin", &origin)) return NULL;
    if (bytes_eq_str(origin, web->settings.url)) return NULL;
    if (http_request_header(request, "Host", &host) && bytes_starts(origin, https) &&
        bytes_eq(bytes_from(origin, https.n), host))
        return NULL;
    return err_new(ERR_DENIED, "this form was sent from another site");
}

err_t *route_portal_login(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    http_form_t form;
    db_person_t person;
    bytes_t email, password;
    TRY(refuse_foreign_form(web, request));
    TRY(http_rate_take(web->rate, request->peer));
    TRY(http_form_parse(request->arena, request->body, &form));
    TRY(http_form_need(&form, "email", &email));
    TRY(http_form_need(&form, "password", &password));
    err_t *e =
        directory_log_in(web->directory, request->arena, email, password, request->peer, &person);
    if (!e) return begin_session(web, &person, request->tls, reply);
    bool away = err_code(e) == ERR_UNAVAILABLE;
    if (err_code(e) != ERR_AUTH && err_code(e) != ERR_BUSY && !away) return e;
    char text[256];
    unsigned status = http_status(err_code(e));
    /* Outermost stands a sentence for people; what is wrong with the directory is for the log. */
    (void)snprintf(text, sizeof text, "%s", err_message(e));
    if (away) log_error(&web->log, LOG_WARNING, STEAL(e), "log-in");
    err_free(e);
    text[0] = (char)(text[0] >= 'a' && text[0] <= 'z' ? text[0] - 32 : text[0]);
    return login_page(web, status, text, email, reply);
}

err_t *route_portal_logout(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    bytes_t cookies, token;
    bool found = false;
    TRY(refuse_foreign_form(web, request));
    if (http_request_header(request, "Cookie", &cookies)) {
        TRY(http_cookie_get(cookies, WEB_COOKIE, &token, &found));
        if (found) session_drop(web->sessions, token);
    }
    TRY(http_reply_redirect(reply, "/enrol"));
    return http_reply_cookie(reply, WEB_COOKIE, "", -1, request->tls);
}

err_t *route_portal_style(void *ctx, http_request_t *request, http_reply_t *reply) {
    (void)ctx;
    (void)request;
    TRY(http_reply_bytes(reply, 200, "text/css; charset=utf-8", bytes_str(STYLE)));
    return http_reply_set_header(reply, "Cache-Control", "public, max-age=3600");
}

static err_t *person_by_basic(web_t *web, http_request_t *request, db_person_t *ret_person,
                              bool *ret_found) {
    bytes_t authorization;
    CLEANUP(buf_done) buf_t name;
    CLEANUP(buf_done) buf_t password;
    buf_init(&name, LIMIT_EMAIL);
    buf_init_secret(&password, LIMIT_PASSWORD_MAX);
    *ret_found = false;
    TRY(http_request_header_once(request, "Authorization", &authorization, ret_found));
    if (!*ret_found) return NULL;
    TRY(http_auth_basic(authorization, &name, &password, ret_found));
    if (!*ret_found) return NULL;
    TRY(http_rate_take(web->rate, request->peer));
    return directory_log_in(web->directory, request->arena, buf_bytes(&name), buf_bytes(&password),
                            request->peer, ret_person);
}

static err_t *person_by_session(web_t *web, http_request_t *request, db_person_t *ret_person,
                                bool *ret_found) {
    CLEANUP(session_done) session_t session = {0};
    TRY(find_session(web, request, &session, ret_found));
    if (!*ret_found) return NULL;
    bool known = false;
    TRY(db_people_find(web->db, request->arena, subject_email(&session), ret_person, &known));
    if (!known || ret_person->disabled)
        return err_new(ERR_DENIED, "this account is disabled: ask your administrator");
    return NULL;
}

static err_t *ask_for_password(const err_t *why, http_reply_t *reply) {
    char text[256] = "sign in with your mail address and password";
    if (why) (void)err_text(why, text, sizeof text);
    TRY(http_reply_text(reply, 401, text));
    return http_reply_header(reply, "WWW-Authenticate",
                             "Basic realm=\"Coffer\", charset=\"UTF-8\"");
}

/* Outermost stands a sentence for people; what is wrong with the directory is for the log. */
static err_t *directory_away(const web_t *web, err_t *why, http_reply_t *reply) {
    char text[256];
    (void)snprintf(text, sizeof text, "%s", err_message(why));
    log_error(&web->log, LOG_WARNING, why, "log-in");
    return http_reply_text(reply, 503, text);
}

err_t *route_portal_profile(void *ctx, http_request_t *request, http_reply_t *reply) {
    web_t *web = ctx;
    db_person_t person;
    bool found = false;
    CLEANUP(device_answer_done) device_answer_t answer;
    device_answer_init(&answer);
    TRY(person_by_session(web, request, &person, &found));
    if (!found) {
        CLEANUP(err_free) err_t *e = person_by_basic(web, request, &person, &found);
        if ((e && err_code(e) == ERR_AUTH) || (!e && !found)) return ask_for_password(e, reply);
        if (e && err_code(e) == ERR_UNAVAILABLE) return directory_away(web, STEAL(e), reply);
        if (e) return STEAL(e);
    }
    TRY(devices_enrol_offer(web->devices, &person, request->peer, &answer));
    TRY(http_reply_body(reply, (unsigned)answer.status, answer.content_type, &answer.body));
    return http_reply_header(reply, "Content-Disposition",
                             "attachment; filename=\"enrol.mobileconfig\"");
}
