/*
 * See device_mail.h. Apple "Configuration Profile Reference" (EncryptedPayloadContent,
 * com.apple.security.pkcs12).
 */
#include "program/sim/device_mail.h"

#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"

#define STATE_PROFILE "MailProfile"

/* Files mail1, mail2, ... from `first` on. */
static err_t *forget(const sim_device_t *device, size_t first) {
    for (size_t i = first; i <= TERMS_KEYS; i++) {
        CLEANUP(mem_free) char *key = mem_printf("%s/mail%zu.key.pem", device->dir, i);
        CLEANUP(mem_free) char *cert = mem_printf("%s/mail%zu.cert.pem", device->dir, i);
        if (!key || !cert) return err_nomem();
        (void)unlink(key); /* most are not there */
        (void)unlink(cert);
    }
    return NULL;
}

static err_t *keep(const sim_device_t *device, const enrolment_terms_t *terms) {
    for (size_t i = 0; i < terms->mail_keys_n; i++) {
        credential_t key = {.key = terms->mail_keys[i], .cert = terms->mail_certs[i]};
        CLEANUP(mem_free) char *name = mem_printf("mail%zu", i + 1);
        if (!name) return err_nomem();
        TRY(credential_save(&key, device->dir, name));
    }
    return forget(device, terms->mail_keys_n + 1);
}

err_t *device_mail_install(sim_device_t *device, const plist_t *profile, int64_t now,
                           size_t *ret_keys) {
    CLEANUP(plist_free) plist_doc_t *payloads = NULL;
    CLEANUP(enrolment_terms_done) enrolment_terms_t terms = {0};
    cms_cipher_t cipher = CMS_AES256_CBC;
    bytes_t identifier = BYTES_NONE;
    TRY(verify_decrypt_payloads(profile, device->mdm.cert, device->mdm.key, &payloads, &cipher));
    TRY(verify_payloads(plist_root(payloads), &device->roots, now, &terms));
    TRY(plist_get_string(profile, "PayloadIdentifier", LIMIT_NAME, true, &identifier));
    TRY(keep(device, &terms));
    TRY(plist_set_bytes_string(device->state, STATE_PROFILE, identifier));
    *ret_keys = terms.mail_keys_n;
    return NULL;
}

err_t *device_mail_removed(sim_device_t *device, const char *identifier) {
    if (strcmp(device_text(device, STATE_PROFILE), identifier) != 0) return NULL;
    TRY(plist_set_string(device->state, STATE_PROFILE, ""));
    return forget(device, 1);
}
