/*
 * How a device answers commands: see device_answer.h. Key names are those of Apple's device
 * management schema. Main thread.
 */
#include "program/sim/device_answer.h"

#include <stdio.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/text.h"
#include "program/sim/device_mail.h"
#include "program/sim/device_secret.h"
#include "program/sim/verify.h"

typedef struct {
    sim_device_t *device;
    const plist_t *command;
    const faults_t *faults;
    int64_t now;
    plist_t *result;
    answer_t *answer;
} job_t;

#define SAY(job, ...) ((void)snprintf((job)->answer->said, sizeof(job)->answer->said, __VA_ARGS__))

/* Error with one entry of the ErrorChain, as devices send it. */
static err_t *fail_with(job_t *j, const char *domain, int64_t code, const char *text) {
    plist_t *chain = NULL, *entry = NULL;
    j->answer->status = "Error";
    TRY(plist_set_array(j->result, "ErrorChain", &chain));
    TRY(plist_array_add_dict(chain, &entry));
    TRY(plist_set_int(entry, "ErrorCode", code));
    TRY(plist_set_string(entry, "ErrorDomain", domain));
    TRY(plist_set_string(entry, "LocalizedDescription", text));
    TRY(plist_set_string(entry, "USEnglishDescription", text));
    SAY(j, "%s", text);
    return NULL;
}

static const char *text_of(const plist_t *dict, const char *key) {
    bytes_t text = BYTES_NONE;
    err_free(plist_get_string(dict, key, LIMIT_COMMAND_BYTES, false, &text));
    return text.p ? (const char *)text.p : "";
}

/* ---- information ---- */

typedef enum { FACT_STATE, FACT_TEXT, FACT_INT, FACT_REAL, FACT_BOOL, FACT_FLAG } fact_kind_t;

static const struct {
    const char *query;
    fact_kind_t kind;
    const char *text; /* key of the state, or the text itself */
    double number;
} facts[] = {
    {"UDID", FACT_STATE, "UDID", 0},
    {"DeviceName", FACT_STATE, "Name", 0},
    {"OSVersion", FACT_STATE, "Version", 0},
    {"ProductName", FACT_STATE, "Product", 0},
    {"SerialNumber", FACT_STATE, "Serial", 0},
    {"IMEI", FACT_STATE, "IMEI", 0},
    {"BuildVersion", FACT_TEXT, "21G93", 0},
    {"Model", FACT_TEXT, "MQ0E3LL", 0},
    {"ModelName", FACT_TEXT, "iPhone", 0},
    {"ModelNumber", FACT_TEXT, "MQ0E3LL/A", 0},
    {"ModemFirmwareVersion", FACT_TEXT, "2.60.02", 0},
    {"WiFiMAC", FACT_TEXT, "02:00:5e:10:00:01", 0},
    {"BluetoothMAC", FACT_TEXT, "02:00:5e:10:00:02", 0},
    {"CurrentCarrierNetwork", FACT_TEXT, "Example Mobile", 0},
    {"DeviceCapacity", FACT_REAL, NULL, 119.0},
    {"AvailableDeviceCapacity", FACT_REAL, NULL, 87.5},
    {"BatteryLevel", FACT_REAL, NULL, 0.83},
    {"CellularTechnology", FACT_INT, NULL, 1},
    {"IsSupervised", FACT_FLAG, "Supervised", 0},
    {"IsActivationLockEnabled", FACT_BOOL, NULL, 0},
    {"IsDeviceLocatorServiceEnabled", FACT_BOOL, NULL, 1},
    {"IsDoNotDisturbInEffect", FACT_BOOL, NULL, 0},
    {"IsCloudBackupEnabled", FACT_BOOL, NULL, 0},
    {"IsMDMLostModeEnabled", FACT_BOOL, NULL, 0},
    {"IsNetworkTethered", FACT_BOOL, NULL, 0},
    {"IsRoaming", FACT_BOOL, NULL, 0},
    {"DataRoamingEnabled", FACT_BOOL, NULL, 0},
    {"VoiceRoamingEnabled", FACT_BOOL, NULL, 0},
};
enum { FACTS = sizeof facts / sizeof facts[0] };

static err_t *add_fact(const job_t *j, size_t i, plist_t *out) {
    const char *key = facts[i].query;
    switch (facts[i].kind) {
    case FACT_STATE: return plist_set_string(out, key, device_text(j->device, facts[i].text));
    case FACT_TEXT: return plist_set_string(out, key, facts[i].text);
    case FACT_INT: return plist_set_int(out, key, (int64_t)facts[i].number);
    case FACT_REAL: return plist_set_real(out, key, facts[i].number);
    case FACT_BOOL: return plist_set_bool(out, key, facts[i].number > 0);
    case FACT_FLAG: return plist_set_bool(out, key, device_flag(j->device, facts[i].text));
    }
    return NULL;
}

/* What a device doesn't know it leaves out. */
static err_t *device_information(job_t *j) {
    plist_t *queries = NULL, *out = NULL;
    size_t told = 0;
    err_t *e = plist_get_array(j->command, "Queries", true, &queries);
    if (e) {
        err_free(e);
        j->answer->status = "CommandFormatError";
        SAY(j, "Queries is missing");
        return NULL;
    }
    TRY(plist_set_dict(j->result, "QueryResponses", &out));
    for (size_t i = 0; i < plist_count(queries); i++) {
        bytes_t name = BYTES_NONE;
        err_free(plist_string(plist_at(queries, i), LIMIT_DEVICE_ATTRIBUTE, &name));
        for (size_t k = 0; k < FACTS; k++) {
            if (!bytes_eq_str(name, facts[k].query)) continue;
            TRY(add_fact(j, k, out));
            told++;
        }
    }
    SAY(j, "told %zu of %zu things asked", told, plist_count(queries));
    return NULL;
}

static err_t *security_info(job_t *j) {
    plist_t *info = NULL, *management = NULL;
    bool passcode = device_flag(j->device, "Passcode");
    TRY(plist_set_dict(j->result, "SecurityInfo", &info));
    TRY(plist_set_int(info, "HardwareEncryptionCaps", 3));
    TRY(plist_set_bool(info, "PasscodePresent", passcode));
    TRY(plist_set_bool(info, "PasscodeCompliant", passcode));
    TRY(plist_set_bool(info, "PasscodeCompliantWithProfiles", passcode));
    TRY(plist_set_int(info, "PasscodeLockGracePeriodEnforced", 0));
    TRY(plist_set_dict(info, "ManagementStatus", &management));
    TRY(plist_set_bool(management, "EnrolledViaDEP", false));
    TRY(plist_set_bool(management, "IsUserEnrollment", false));
    TRY(plist_set_bool(management, "UserApprovedEnrollment", true));
    TRY(secret_tell_filevault(j->device, info));
    SAY(j, "encrypted, passcode %s", passcode ? "set" : "not set");
    return NULL;
}

static err_t *add_certificate(const cert_t *cert, bool identity, plist_t *list) {
    plist_t *entry = NULL;
    const char *name = cert_subject_get(cert, "CN");
    TRY(plist_array_add_dict(list, &entry));
    TRY(plist_set_string(entry, "CommonName", name ? name : ""));
    TRY(plist_set_data(entry, "Data", cert_der(cert)));
    return plist_set_bool(entry, "IsIdentity", identity);
}

static err_t *certificate_list(job_t *j) {
    plist_t *list = NULL;
    const plist_t *authorities = plist_get(j->device->state, "Authorities");
    TRY(plist_set_array(j->result, "CertificateList", &list));
    TRY(add_certificate(j->device->mdm.cert, true, list));
    for (size_t i = 0; i < plist_count(authorities); i++) {
        CLEANUP(cert_free) cert_t *cert = NULL;
        bytes_t der = BYTES_NONE;
        TRY(plist_data(plist_at(authorities, i), LIMIT_CERTIFICATE_BYTES, &der));
        TRY(cert_parse_der(der, &cert));
        TRY(add_certificate(cert, false, list));
    }
    SAY(j, "told %zu certificates", plist_count(list));
    return NULL;
}

static err_t *installed_applications(job_t *j) {
    plist_t *list = NULL;
    TRY(plist_set_array(j->result, "InstalledApplicationList", &list));
    for (uint64_t i = 0; i < j->faults->apps; i++) {
        plist_t *app = NULL;
        char text[64];
        TRY(plist_array_add_dict(list, &app));
        (void)snprintf(text, sizeof text, "org.example.app%03llu", (unsigned long long)i);
        TRY(plist_set_string(app, "Identifier", text));
        (void)snprintf(text, sizeof text, "Example %llu", (unsigned long long)i);
        TRY(plist_set_string(app, "Name", text));
        TRY(plist_set_string(app, "ShortVersion", "3.2.1"));
        TRY(plist_set_string(app, "Version", "3210"));
        TRY(plist_set_int(app, "BundleSize", (int64_t)(20000000 + i * 12345)));
        TRY(plist_set_bool(app, "Installing", false));
        TRY(plist_set_bool(app, "AppStoreVendable", true));
    }
    SAY(j, "told %zu apps", plist_count(list));
    return NULL;
}

/* ---- profiles ---- */

static plist_t *installed(const job_t *j) { return plist_get(j->device->state, "Profiles"); }

static err_t *profile_list(job_t *j) {
    static const char *const keys[] = {"PayloadIdentifier", "PayloadUUID", "PayloadDisplayName",
                                       "PayloadVersion", "PayloadOrganization"};
    plist_t *list = NULL;
    const plist_t *profiles = installed(j);
    TRY(plist_set_array(j->result, "ProfileList", &list));
    for (size_t i = 0; i < plist_count(profiles); i++) {
        plist_t *entry = NULL;
        TRY(plist_array_add_dict(list, &entry));
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            const plist_t *value = plist_get(plist_at(profiles, i), keys[k]);
            if (value) TRY(plist_set_copy(entry, keys[k], value));
        }
        TRY(plist_set_bool(entry, "HasRemovalPasscode", false));
        TRY(plist_set_bool(entry, "IsEncrypted", false));
        TRY(plist_set_bool(entry, "PayloadRemovalDisallowed", false));
    }
    SAY(j, "told %zu profiles", plist_count(list));
    return NULL;
}

/* The profile inside: signed (the chain must hold) or a bare plist, which MDM may send. */
static err_t *open_profile(const job_t *j, bytes_t payload, verified_profile_t *profile,
                           bool *ret_signed) {
    *ret_signed = !bytes_starts(payload, BYTES_LIT("<?xml"));
    if (*ret_signed) return verify_profile(payload, &j->device->roots, j->now, profile);
    return plist_parse_dict(payload, &profile->doc, &profile->dict);
}

/* All installed profiles but the one with this identifier, in a new array of the state. */
static err_t *without(const job_t *j, const char *identifier, plist_t **ret_list,
                      bool *ret_enrolment, bool *ret_found) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *kept = NULL;
    const plist_t *profiles = installed(j);
    *ret_found = *ret_enrolment = false;
    TRY(plist_doc_new(&doc));
    TRY(plist_new_array(doc, &kept));
    for (size_t i = 0; i < plist_count(profiles); i++) {
        const plist_t *profile = plist_at(profiles, i);
        if (strcmp(text_of(profile, "PayloadIdentifier"), identifier) != 0) {
            TRY(plist_array_add_copy(kept, profile));
            continue;
        }
        *ret_found = true;
        TRY(plist_get_bool(profile, "Enrolment", false, ret_enrolment));
    }
    TRY(plist_set_copy(j->device->state, "Profiles", kept));
    *ret_list = plist_get(j->device->state, "Profiles");
    return NULL;
}

static err_t *record_profile(job_t *j, const plist_t *profile, bytes_t payload, bool is_signed,
                             size_t mail_keys) {
    static const char *const keys[] = {"PayloadIdentifier", "PayloadUUID", "PayloadDisplayName",
                                       "PayloadVersion", "PayloadOrganization"};
    plist_t *list = NULL, *entry = NULL;
    bool enrolment = false, found = false;
    const char *identifier = text_of(profile, "PayloadIdentifier");
    TRY(without(j, identifier, &list, &enrolment, &found));
    TRY(plist_array_add_dict(list, &entry));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const plist_t *value = plist_get(profile, keys[i]);
        if (value) TRY(plist_set_copy(entry, keys[i], value));
    }
    TRY(plist_set_data(entry, "Content", payload));
    if (enrolment) TRY(plist_set_bool(entry, "Enrolment", true));
    SAY(j, "profile %.200s %s, %s", identifier, found ? "updated" : "installed",
        is_signed ? "signature and chain ok" : "unsigned");
    if (mail_keys)
        SAY(j, "profile %.200s %s, signature and chain ok, opened with our key: %zu mail keys",
            identifier, found ? "updated" : "installed", mail_keys);
    return NULL;
}

/* What is encrypted is for this device, and signed by its server. */
static err_t *open_encrypted(const job_t *j, const plist_t *profile, bool is_signed,
                             size_t *ret_keys) {
    if (!plist_get(profile, "EncryptedPayloadContent")) return NULL;
    if (!is_signed) return err_new(ERR_VERIFY, "an encrypted profile is not signed");
    return device_mail_install(j->device, profile, j->now, ret_keys);
}

static err_t *install_profile(job_t *j) {
    CLEANUP(verified_profile_done) verified_profile_t profile = {0};
    size_t keys = 0;
    bytes_t payload = BYTES_NONE;
    bool is_signed = false;
    char text[400];
    err_t *e = plist_get_data(j->command, "Payload", LIMIT_PROFILE_BYTES, true, &payload);
    if (!e) e = open_profile(j, payload, &profile, &is_signed);
    if (!e) e = verify_payload_head(profile.dict, "Configuration");
    if (!e) e = secret_learn_profile(j->device, profile.dict);
    if (!e) e = open_encrypted(j, profile.dict, is_signed, &keys);
    if (!e) return record_profile(j, profile.dict, payload, is_signed, keys);
    if (err_code(e) == ERR_NOMEM) return e;
    (void)err_text(e, text, sizeof text);
    err_free(e);
    return fail_with(j, "MCInstallationErrorDomain", 4001, text);
}

static err_t *remove_profile(job_t *j) {
    plist_t *list = NULL;
    bool enrolment = false, found = false;
    const char *identifier = text_of(j->command, "Identifier");
    TRY(without(j, identifier, &list, &enrolment, &found));
    if (!found) return fail_with(j, "MCMDMErrorDomain", 12075, "The profile is not installed.");
    TRY(device_mail_removed(j->device, identifier));
    SAY(j, "profile %.200s removed%s", identifier,
        enrolment ? ": it was the enrolment, this device is no longer managed" : "");
    if (enrolment) j->answer->after = AFTER_REMOVE;
    return NULL;
}

/* ---- security ---- */

static err_t *device_lock(job_t *j) {
    const char *message = text_of(j->command, "Message");
    const char *phone = text_of(j->command, "PhoneNumber");
    TRY(plist_set_bool(j->device->state, "Locked", true));
    TRY(plist_set_string(j->device->state, "LockMessage", message));
    if (message[0] || phone[0]) TRY(plist_set_string(j->result, "MessageResult", "Success"));
    SAY(j, "LOCKED%s%.200s%s%.60s", message[0] ? ": " : "", message, phone[0] ? ", call " : "",
        phone);
    return NULL;
}

static err_t *erase_device(job_t *j) {
    j->answer->after = AFTER_ERASE;
    SAY(j, "erasing everything");
    return NULL;
}

static err_t *clear_passcode(job_t *j) {
    bytes_t token = BYTES_NONE;
    err_free(plist_get_data(j->command, "UnlockToken", LIMIT_UNLOCK_TOKEN, false, &token));
    if (token.n == 0 || !bytes_eq_ct(token, device_data(j->device, "UnlockToken")))
        return fail_with(j, "MCMDMErrorDomain", 12024,
                         "The UnlockToken is not the one this device gave.");
    TRY(plist_set_bool(j->device->state, "Passcode", false));
    TRY(plist_set_bool(j->device->state, "Locked", false));
    SAY(j, "passcode cleared: the UnlockToken is the one this device gave (%zu bytes)", token.n);
    return NULL;
}

static err_t *bypass_code(job_t *j) {
    if (!device_flag(j->device, "Supervised"))
        return fail_with(j, "MCMDMErrorDomain", 12026, "The device is not supervised.");
    const char *code = device_text(j->device, "BypassCode");
    TRY(plist_set_string(j->result, "ActivationLockBypassCode", code));
    SAY(j, code[0] ? "told its activation-lock code" : "it has no activation-lock code any more");
    return NULL;
}

static err_t *clear_bypass_code(job_t *j) {
    if (!device_flag(j->device, "Supervised"))
        return fail_with(j, "MCMDMErrorDomain", 12026, "The device is not supervised.");
    TRY(plist_set_string(j->device->state, "BypassCode", ""));
    SAY(j, "activation-lock code cleared");
    return NULL;
}

static err_t *rotate_filevault(job_t *j) {
    const char *problem = NULL;
    TRY(secret_rotate_filevault(j->device, j->command, rnd_real(), j->result, &problem));
    if (problem) return fail_with(j, "FDEErrorDomain", 2, problem);
    SAY(j, "a new FileVault recovery key, encrypted for the server");
    return NULL;
}

static err_t *restart_device(job_t *j) {
    SAY(j, "restarting");
    return NULL;
}

/* ---- settings ---- */

/* What device management tells an app: a file of the device, for programs that take it. */
static err_t *configure_app(const job_t *j, const plist_t *item) {
    CLEANUP(buf_done) buf_t xml;
    CLEANUP(mem_free) char *name = NULL, *path = NULL;
    const plist_t *configuration = plist_get(item, "Configuration");
    const char *app = text_of(item, "Identifier");
    buf_init_secret(&xml, LIMIT_COMMAND_BYTES);
    if (!configuration || !app[0] || strchr(app, '/')) return NULL;
    if (!(name = mem_printf("app-%s.plist", app))) return err_nomem();
    TRY(file_path(j->device->dir, name, &path));
    TRY(plist_write(configuration, &xml));
    return file_write(path, buf_bytes(&xml), 0600);
}

static err_t *one_setting(job_t *j, const plist_t *item, plist_t *list) {
    plist_t *entry = NULL;
    const char *name = text_of(item, "Item");
    TRY(plist_array_add_dict(list, &entry));
    TRY(plist_set_string(entry, "Item", name));
    TRY(plist_set_string(entry, "Status", name[0] ? "Acknowledged" : "CommandFormatError"));
    if (strcmp(name, "DeviceName") == 0 && text_of(item, "DeviceName")[0])
        TRY(plist_set_string(j->device->state, "Name", text_of(item, "DeviceName")));
    if (strcmp(name, "ApplicationConfiguration") == 0) return configure_app(j, item);
    return NULL;
}

static err_t *settings(job_t *j) {
    plist_t *items = NULL, *list = NULL;
    err_free(plist_get_array(j->command, "Settings", false, &items));
    TRY(plist_set_array(j->result, "Settings", &list));
    for (size_t i = 0; i < plist_count(items); i++) TRY(one_setting(j, plist_at(items, i), list));
    SAY(j, "%zu settings applied", plist_count(list));
    return NULL;
}

/* ---- all of them ---- */

static const struct {
    const char *type;
    err_t *(*act)(job_t *job);
} acts[] = {
    {"DeviceInformation", device_information},
    {"SecurityInfo", security_info},
    {"ProfileList", profile_list},
    {"InstallProfile", install_profile},
    {"RemoveProfile", remove_profile},
    {"CertificateList", certificate_list},
    {"InstalledApplicationList", installed_applications},
    {"DeviceLock", device_lock},
    {"EraseDevice", erase_device},
    {"ClearPasscode", clear_passcode},
    {"RestartDevice", restart_device},
    {"ActivationLockBypassCode", bypass_code},
    {"ClearActivationLockBypassCode", clear_bypass_code},
    {"RotateFileVaultKey", rotate_filevault},
    {"Settings", settings},
};

/* Whether the device has been told to misbehave here. */
static err_t *misbehave(job_t *j, faults_t *faults, const char *type, bool *ret_done) {
    *ret_done = true;
    if (faults->not_now_count > 0 ||
        (faults->not_now_type && strcmp(faults->not_now_type, type) == 0)) {
        if (faults->not_now_count > 0) faults->not_now_count--;
        j->answer->status = "NotNow";
        SAY(j, "not now, said as told");
        return NULL;
    }
    if (faults->error_type && strcmp(faults->error_type, type) == 0)
        return fail_with(j, "MCMDMErrorDomain", 12011, "Failed, as told.");
    *ret_done = false;
    return NULL;
}

err_t *device_answer(sim_device_t *device, const plist_t *command, faults_t *faults, int64_t now,
                     plist_t *result, answer_t *ret_answer) {
    answer_t answer = {.status = "Acknowledged"};
    job_t job = {.device = device,
                 .command = command,
                 .faults = faults,
                 .now = now,
                 .result = result,
                 .answer = &answer};
    const char *type = text_of(command, "RequestType");
    bool done = false;
    TRY(misbehave(&job, faults, type, &done));
    for (size_t i = 0; !done && i < sizeof acts / sizeof acts[0]; i++) {
        if (strcmp(acts[i].type, type) != 0) continue;
        TRY(acts[i].act(&job));
        done = true;
    }
    if (!done) {
        answer.status = "CommandFormatError";
        SAY(&job, "this device knows no such command");
    }
    TRY(plist_set_string(result, "Status", answer.status));
    *ret_answer = answer;
    return NULL;
}
