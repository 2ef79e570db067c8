/*
 * A simulated device's memory: see device_state.h. Main thread.
 */
#include "program/sim/device_state.h"
#include "program/sim/device_mail.h"
#include "program/sim/device_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

enum { STATE_MAX = 8 * 1024 * 1024, SERIAL_SIZE = 12, IMEI_SIZE = 15 };

static const char *const stage_names[] = {"new",           "certified", "configured",
                                          "authenticated", "enrolled",  "gone"};
enum { STAGES = sizeof stage_names / sizeof stage_names[0] };

const char *device_stage_name(device_stage_t stage) { return stage_names[stage]; }

/* What survives an erase. */
static const char *const hardware_keys[] = {"Supervised", "BypassCode", "FileVaultKey", "UDID",
                                            "Serial",     "Product",    "Version",      "Name",
                                            "IMEI",       "Roots"};

void device_done(sim_device_t *device) {
    plist_free(device->doc);
    cert_list_done(&device->roots);
    credential_done(&device->factory);
    credential_done(&device->ota);
    credential_done(&device->mdm);
    if (device->dir) fd_close(device->lock);
    mem_free(device->dir);
    *device = (sim_device_t){.lock = -1};
}

const char *device_text(const sim_device_t *device, const char *key) {
    bytes_t text = BYTES_NONE;
    err_free(plist_get_string(device->state, key, STATE_MAX, false, &text));
    return text.p ? (const char *)text.p : "";
}

bytes_t device_data(const sim_device_t *device, const char *key) {
    bytes_t data = BYTES_NONE;
    err_free(plist_get_data(device->state, key, STATE_MAX, false, &data));
    return data;
}

bool device_flag(const sim_device_t *device, const char *key) {
    bool flag = false;
    err_free(plist_get_bool(device->state, key, false, &flag));
    return flag;
}

static err_t *begin(const char *dir, sim_device_t *d) {
    CLEANUP(mem_free) char *path = NULL;
    d->lock = -1;
    d->dir = mem_strdup(dir);
    if (!d->dir) return err_nomem();
    TRY(file_mkdir(dir, 0700));
    TRY(file_path(dir, "lock", &path));
    d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock < 0) return err_errno(errno, "%s", path);
    if (flock(d->lock, LOCK_EX | LOCK_NB) == 0) return NULL;
    if (errno == EWOULDBLOCK)
        return err_new(ERR_BUSY, "another coffer-sim plays the device in %s", dir);
    return err_errno(errno, "%s", path);
}

static err_t *read_stage(sim_device_t *d) {
    const char *name = device_text(d, "Stage");
    for (size_t i = 0; i < STAGES; i++) {
        if (strcmp(stage_names[i], name) != 0) continue;
        d->stage = (device_stage_t)i;
        return NULL;
    }
    return err_new(ERR_INVALID, "%s/state.plist: unknown stage \"%s\"", d->dir, name);
}

static err_t *parse_state(bytes_t xml, sim_device_t *d) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *dict = NULL;
    TRY_WRAP(plist_parse_dict(xml, &doc, &dict), "%s/state.plist", d->dir);
    plist_free(d->doc);
    d->doc = STEAL(doc);
    d->state = dict;
    return read_stage(d);
}

static err_t *load_credentials(sim_device_t *d) {
    bytes_t roots = device_data(d, "Roots");
    TRY_WRAP(cert_parse_pem_list(roots, &d->roots), "%s/state.plist: Roots", d->dir);
    TRY(credential_load(d->dir, "factory", &d->factory));
    if (d->stage == STAGE_NEW || d->stage == STAGE_GONE) return NULL;
    TRY(credential_load(d->dir, "ota", &d->ota));
    if (d->stage != STAGE_CERTIFIED) TRY(credential_load(d->dir, "mdm", &d->mdm));
    return NULL;
}

err_t *device_open(const char *dir, bool *ret_found, sim_device_t *ret_device) {
    CLEANUP(device_done) sim_device_t d = {.lock = -1};
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t xml;
    buf_init(&xml, STATE_MAX);
    TRY(file_path(dir, "state.plist", &path));
    if (!file_exists(path)) {
        *ret_found = false;
        return NULL;
    }
    TRY(begin(dir, &d));
    TRY(file_read(path, &xml));
    TRY(parse_state(buf_bytes(&xml), &d));
    TRY(load_credentials(&d));
    *ret_found = true;
    *ret_device = d;
    d = (sim_device_t){.lock = -1};
    return NULL;
}

err_t *device_save(sim_device_t *d) {
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(buf_done) buf_t xml;
    buf_init_secret(&xml, STATE_MAX);
    TRY(plist_set_string(d->state, "Stage", stage_names[d->stage]));
    TRY(plist_write(d->state, &xml));
    TRY(file_path(d->dir, "state.plist", &path));
    TRY(file_write(path, buf_bytes(&xml), 0600));
    return parse_state(buf_bytes(&xml), d); /* a fresh document: replaced values are freed */
}

err_t *device_advance(sim_device_t *d, device_stage_t stage) {
    d->stage = stage;
    return device_save(d);
}

/* ---- birth ---- */

static err_t *random_text(const rnd_t *rnd, const char *alphabet, size_t n, char *out) {
    uint8_t random[32];
    size_t symbols = strlen(alphabet);
    TRY(rnd_fill(rnd, random, n));
    for (size_t i = 0; i < n; i++) out[i] = alphabet[random[i] % symbols];
    out[n] = '\0';
    return NULL;
}

static err_t *set_hardware(const device_birth_t *birth, const rnd_t *rnd, plist_t *state) {
    char udid[32] = "00008120-";
    char serial[SERIAL_SIZE + 1];
    char imei[IMEI_SIZE + 1];
    TRY(random_text(rnd, "0123456789ABCDEF", 16, udid + 9));
    TRY(random_text(rnd, "0123456789CDFGHJKLMNPQRTVWXY", SERIAL_SIZE, serial));
    TRY(random_text(rnd, "0123456789", IMEI_SIZE, imei));
    TRY(plist_set_string(state, "UDID", birth->udid ? birth->udid : udid));
    TRY(plist_set_string(state, "Serial", birth->serial ? birth->serial : serial));
    TRY(plist_set_string(state, "IMEI", imei));
    TRY(plist_set_string(state, "Product", birth->product ? birth->product : "iPhone15,2"));
    TRY(plist_set_string(state, "Version", birth->version ? birth->version : "17.6.1"));
    TRY(plist_set_string(state, "Name", birth->name ? birth->name : "iPhone"));
    TRY(secret_birth(birth->supervised, birth->product ? birth->product : "", rnd, state));
    TRY(plist_set_data(state, "Roots", birth->roots_pem));
    return plist_set_bool(state, "Passcode", true);
}

err_t *device_create(const char *dir, const device_birth_t *birth, int64_t now, const rnd_t *rnd,
                     sim_device_t *ret_device) {
    CLEANUP(device_done) sim_device_t d = {.lock = -1};
    TRY(begin(dir, &d));
    TRY(plist_doc_new(&d.doc));
    TRY(plist_new_dict(d.doc, &d.state));
    TRY(set_hardware(birth, rnd, d.state));
    TRY_WRAP(cert_parse_pem_list(birth->roots_pem, &d.roots), "the CA file");
    TRY(factory_device_make(birth->factory_ca, device_text(&d, "UDID"), now, rnd, &d.factory));
    TRY(credential_save(&d.factory, dir, "factory"));
    TRY(device_save(&d));
    *ret_device = d;
    d = (sim_device_t){.lock = -1};
    return NULL;
}

/* ---- erase ---- */

static void remove_files(const sim_device_t *d, const char *name) {
    static const char *const kinds[] = {"key", "cert"};
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(mem_free) char *path = mem_printf("%s/%s.%s.pem", d->dir, name, kinds[i]);
        if (path) (void)unlink(path); /* the stage says it is not there any more */
    }
}

err_t *device_wipe(sim_device_t *d) {
    CLEANUP(plist_free) plist_doc_t *doc = NULL;
    plist_t *state = NULL;
    TRY(device_mail_removed(d, device_text(d, "MailProfile")));
    TRY(plist_doc_new(&doc));
    TRY(plist_new_dict(doc, &state));
    for (size_t i = 0; i < sizeof hardware_keys / sizeof hardware_keys[0]; i++) {
        const plist_t *value = plist_get(d->state, hardware_keys[i]);
        if (value) TRY(plist_set_copy(state, hardware_keys[i], value));
    }
    TRY(plist_set_bool(state, "Passcode", true));
    plist_free(d->doc);
    d->doc = STEAL(doc);
    d->state = state;
    TRY(device_advance(d, STAGE_NEW));
    credential_done(&d->ota);
    credential_done(&d->mdm);
    remove_files(d, "ota");
    remove_files(d, "mdm");
    return NULL;
}
