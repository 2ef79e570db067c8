/*
 * Where the push topic comes from: see push_topic.h. At the start of coffer-web and the courier.
 */
#include "program/common/push_topic.h"

#include "base/file.h"
#include "base/mem.h"
#include "crypto/cert.h"

enum { CREDENTIAL_MAX = 256 * 1024 };

err_t *push_topic(const settings_t *settings, char **ret_topic) {
    if (settings->push_topic[0] || !settings->push_certificate[0]) {
        *ret_topic = mem_strdup(settings->push_topic);
        return *ret_topic ? NULL : err_nomem();
    }
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(cert_free) cert_t *cert = NULL;
    CLEANUP(buf_done) buf_t pem;
    buf_init(&pem, CREDENTIAL_MAX);
    TRY(settings_path(settings, settings->push_certificate, &path));
    TRY_WRAP(file_read(path, &pem), "push certificate");
    TRY_WRAP(cert_parse_pem(buf_bytes(&pem), &cert), "push certificate %s", path);
    const char *topic = cert_subject_get(cert, OID_UID);
    if (!topic)
        return err_new(ERR_INVALID, "%s is no MDM push certificate: its subject has no UID", path);
    *ret_topic = mem_strdup(topic);
    return *ret_topic ? NULL : err_nomem();
}
