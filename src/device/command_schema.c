/*
 * The table of commands: see command_schema.h.
 */
#include "device/command_schema.h"

enum {
    TEXT = 256,           /* bytes of a name */
    PIN = 6,              /* digits */
    MANY = 256,           /* elements of a list */
    PICTURE = 700 * 1024, /* bytes of a wallpaper: with base64 it must fit LIMIT_COMMAND_BYTES */
};

#define END                                                                                        \
    { .key = NULL }
#define STR(k, n)                                                                                  \
    { .key = k, .kind = PARAM_STRING, .max = n }
#define STR_REQ(k)                                                                                 \
    { .key = k, .kind = PARAM_STRING, .max = TEXT, .required = true }
#define FLAG(k)                                                                                    \
    { .key = k, .kind = PARAM_BOOLEAN }
#define FLAG_REQ(k)                                                                                \
    { .key = k, .kind = PARAM_BOOLEAN, .required = true }
#define NUM(k, lo, hi)                                                                             \
    { .key = k, .kind = PARAM_INTEGER, .min = lo, .max = hi }
#define NUM_REQ(k, lo, hi)                                                                         \
    { .key = k, .kind = PARAM_INTEGER, .min = lo, .max = hi, .required = true }
#define LIST(k)                                                                                    \
    { .key = k, .kind = PARAM_STRINGS, .max = MANY }

static const param_t none[] = {END};

static const param_t device_information[] = {LIST("Queries"), END};

static const param_t managed_only[] = {FLAG("ManagedOnly"), END};

static const param_t install_profile[] = {
    {.key = "Payload", .kind = PARAM_DATA, .max = LIMIT_PROFILE_BYTES},
    STR("Identifier", TEXT), /* of a stored profile; not Apple's: replaced by its content */
    END,
};

static const param_t remove_profile[] = {STR_REQ("Identifier"), END};

static const char *const application_items[] = {
    "AdHocCodeSigned",
    "AppStoreVendable",
    "BetaApp",
    "BundleSize",
    "DeviceBasedVPP",
    "DistributorIdentifier",
    "DynamicSize",
    "ExternalVersionIdentifier",
    "HasUpdateAvailable",
    "Identifier",
    "Installing",
    "IsAppClip",
    "IsValidated",
    "Name",
    "ShortVersion",
    "Version",
    NULL,
};
static const param_t applications[] = {
    LIST("Identifiers"),
    FLAG("ManagedAppsOnly"),
    {.key = "Items", .kind = PARAM_STRINGS, .max = MANY, .choices = application_items},
    END,
};

static const param_t device_lock[] = {
    STR("Message", LIMIT_COMMAND_MESSAGE),
    STR("PhoneNumber", TEXT),
    STR("PIN", PIN),
    END,
};

static const char *const obliteration[] = {"Default", "DoNotObliterate", "ObliterateWithWarning",
                                           "Always", NULL};
static const param_t return_to_service[] = {
    FLAG_REQ("Enabled"),
    {.key = "WiFiProfileData", .kind = PARAM_DATA, .max = LIMIT_PROFILE_BYTES / 4},
    {.key = "MDMProfileData", .kind = PARAM_DATA, .max = LIMIT_PROFILE_BYTES / 4},
    END,
};
static const param_t erase_device[] = {
    FLAG("PreserveDataPlan"),
    FLAG("DisallowProximitySetup"),
    STR("PIN", PIN),
    {.key = "ObliterationBehavior", .kind = PARAM_STRING, .max = TEXT, .choices = obliteration},
    {.key = "ReturnToService", .kind = PARAM_DICT, .sub = return_to_service},
    END,
};

static const param_t restart_device[] = {FLAG("RebuildKernelCache"), LIST("KextPaths"),
                                         FLAG("NotifyUser"), END};

static const param_t settings[] = {
    {.key = "Settings", .kind = PARAM_ITEMS, .required = true, .max = MANY}, END};

static const command_schema_t commands[] = {
    {"DeviceInformation", RIGHT_QUERY_DEVICE, .params = device_information},
    {"SecurityInfo", RIGHT_QUERY_SECURITY, .params = none},
    {"ProfileList", RIGHT_INSPECT_PROFILES, .params = managed_only},
    {"InstallProfile", RIGHT_INSTALL_PROFILES, .deed = true, .params = install_profile},
    {"RemoveProfile", RIGHT_INSTALL_PROFILES, .deed = true, .params = remove_profile},
    {"CertificateList", RIGHT_INSPECT_PROFILES, .params = managed_only},
    {"InstalledApplicationList", RIGHT_QUERY_APPLICATIONS, .params = applications},
    {"DeviceLock", RIGHT_LOCK, .deed = true, .exclusive = true, .secret_key = "PIN",
     .secret_kind = SECRET_LOCK_PIN, .params = device_lock},
    {"EraseDevice", RIGHT_ERASE, .deed = true, .exclusive = true, .secret_key = "PIN",
     .secret_kind = SECRET_LOCK_PIN, .params = erase_device},
    {"ClearPasscode", RIGHT_LOCK, .deed = true, .secret_key = "UnlockToken",
     .secret_kind = SECRET_UNLOCK_TOKEN, .secret_is_data = true, .secret_stored = true,
     .params = none},
    {"RotateFileVaultKey", RIGHT_LOCK, .deed = true, .secret_key = "Password",
     .secret_in = "FileVaultUnlock", .secret_kind = SECRET_FILEVAULT, .secret_stored = true,
     .params = none},
    {"ActivationLockBypassCode", 0, .params = none},
    {"ClearActivationLockBypassCode", 0, .deed = true, .params = none},
    {"RestartDevice", RIGHT_LOCK, .deed = true, .params = restart_device},
    {"Settings", RIGHT_SETTINGS, .deed = true, .params = settings},
    {"DeviceConfigured", 0, .deed = true, .params = none},
};

const command_schema_t *command_schema_find(bytes_t request_type) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (bytes_eq_str(request_type, commands[i].request_type)) return &commands[i];
    return NULL;
}

/* ---- the items of Settings ---- */

static const param_t enabled[] = {STR_REQ("Item"), FLAG_REQ("Enabled"), END};
static const param_t device_name[] = {STR_REQ("Item"), STR_REQ("DeviceName"), END};
static const param_t host_name[] = {STR_REQ("Item"), STR_REQ("HostName"), END};
static const param_t time_zone[] = {STR_REQ("Item"), STR_REQ("TimeZone"), END};
static const param_t residents[] = {STR_REQ("Item"), NUM_REQ("MaximumResidentUsers", 1, 1000), END};
static const param_t grace[] = {STR_REQ("Item"), NUM_REQ("PasscodeLockGracePeriod", 0, 14400), END};
static const param_t update[] = {STR_REQ("Item"), NUM_REQ("RecommendationCadence", 0, 2), END};
static const param_t wallpaper[] = {
    STR_REQ("Item"),
    {.key = "Image", .kind = PARAM_DATA, .required = true, .max = PICTURE},
    NUM_REQ("Where", 1, 3),
    END,
};
static const param_t application_configuration[] = {
    STR_REQ("Item"), STR_REQ("Identifier"), {.key = "Configuration", .kind = PARAM_ANY}, END};
static const param_t attributes[] = {
    STR("VPNUUID", TEXT),
    STR("ContentFilterUUID", TEXT),
    STR("DNSProxyUUID", TEXT),
    STR("RelayUUID", TEXT),
    LIST("AssociatedDomains"),
    FLAG("AssociatedDomainsEnableDirectDownloads"),
    FLAG("Removable"),
    FLAG("TapToPayScreenLock"),
    STR("CellularSliceUUID", TEXT),
    FLAG("Hideable"),
    FLAG("Lockable"),
    END,
};
static const param_t application_attributes[] = {
    STR_REQ("Item"),
    STR_REQ("Identifier"),
    {.key = "Attributes", .kind = PARAM_DICT, .sub = attributes},
    END,
};
static const param_t organization[] = {
    STR_REQ("OrganizationName"),
    STR("OrganizationShortName", TEXT),
    STR("OrganizationAddress", 1024),
    STR("OrganizationPhone", TEXT),
    STR("OrganizationEmail", TEXT),
    STR("OrganizationMagic", TEXT),
    END,
};
static const param_t organization_info[] = {
    STR_REQ("Item"), {.key = "OrganizationInfo", .kind = PARAM_DICT, .sub = organization}, END};
static const param_t options[] = {FLAG("ActivationLockAllowedWhileSupervised"),
                                  FLAG("BootstrapTokenAllowed"),
                                  FLAG("PromptUserToAllowBootstrapTokenForAuthentication"), END};
static const param_t mdm_options[] = {
    STR_REQ("Item"),
    {.key = "MDMOptions", .kind = PARAM_DICT, .required = true, .sub = options},
    END,
};
static const param_t accessibility[] = {
    STR_REQ("Item"),
    FLAG("BoldTextEnabled"),
    FLAG("IncreaseContrastEnabled"),
    FLAG("ReduceMotionEnabled"),
    FLAG("ReduceTransparencyEnabled"),
    NUM("TextSize", 0, 11),
    FLAG("TouchAccommodationsEnabled"),
    FLAG("VoiceOverEnabled"),
    FLAG("ZoomEnabled"),
    FLAG("GrayscaleEnabled"),
    END,
};

static const struct {
    const char *item;
    const param_t *params;
} items[] = {
    {"Wallpaper", wallpaper},
    {"DataRoaming", enabled},
    {"VoiceRoaming", enabled},
    {"PersonalHotspot", enabled},
    {"Bluetooth", enabled},
    {"DiagnosticSubmission", enabled},
    {"AppAnalytics", enabled},
    {"ApplicationConfiguration", application_configuration},
    {"ApplicationAttributes", application_attributes},
    {"DeviceName", device_name},
    {"HostName", host_name},
    {"OrganizationInfo", organization_info},
    {"MDMOptions", mdm_options},
    {"MaximumResidentUsers", residents},
    {"PasscodeLockGracePeriod", grace},
    {"TimeZone", time_zone},
    {"SoftwareUpdateSettings", update},
    {"AccessibilitySettings", accessibility},
};

const param_t *command_schema_setting(bytes_t item) {
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
        if (bytes_eq_str(item, items[i].item)) return items[i].params;
    return NULL;
}
