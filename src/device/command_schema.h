/*
 * Which commands an administrator may queue, and what their parameters must be (Apple's schema
 * mdm/commands). Constant tables; pure. Private to src/device.
 */
#ifndef COFFER_DEVICE_COMMAND_SCHEMA_H
#define COFFER_DEVICE_COMMAND_SCHEMA_H

#include "device/device_internal.h"
#include "format/json.h"

typedef enum {
    PARAM_STRING,
    PARAM_BOOLEAN,
    PARAM_INTEGER,
    PARAM_DATA,    /* base64 in JSON */
    PARAM_STRINGS, /* array of strings */
    PARAM_DICT,    /* of `sub` */
    PARAM_ANY,     /* dictionary of anything */
    PARAM_ITEMS,   /* array of Settings items */
} param_kind_t;

typedef struct param param_t;
struct param {
    const char *key;
    param_kind_t kind;
    bool required;
    int64_t min;                /* of an integer */
    int64_t max;                /* of an integer; bytes of a string or data; elements of an array */
    const char *const *choices; /* of a string or of strings; ends with NULL; NULL: any */
    const param_t *sub;         /* of a dictionary; ends with key NULL */
};

/* Access rights, the bits of com.apple.mdm's AccessRights. */
enum {
    RIGHT_INSPECT_PROFILES = 1,
    RIGHT_INSTALL_PROFILES = 2,
    RIGHT_LOCK = 4,
    RIGHT_ERASE = 8,
    RIGHT_QUERY_DEVICE = 16,
    RIGHT_QUERY_APPLICATIONS = 256,
    RIGHT_QUERY_SECURITY = 1024,
    RIGHT_SETTINGS = 2048,
    RIGHT_MANAGE_APPS = 4096,
};

typedef struct {
    const char *request_type;
    int64_t right;           /* what it needs; 0: nothing */
    bool deed;               /* changes the device: its end is noted in the audit log */
    bool exclusive;          /* locks or erases: never two in flight */
    const char *secret_key;  /* what the keeper fills in at delivery, or NULL */
    const char *secret_in;   /* dictionary that the key is in; NULL: the command itself */
    const char *secret_kind; /* of the stored secret */
    bool secret_is_data;
    bool secret_stored;    /* it is there already; else the administrator gives it */
    const param_t *params; /* ends with key NULL */
} command_schema_t;

/* NULL if it is not known. */
const command_schema_t *command_schema_find(bytes_t request_type);
/* The parameters of one item of the command Settings; NULL if it is not known. */
const param_t *command_schema_setting(bytes_t item);

/*
 * Builds the Command dictionary from JSON parameters (object, or NULL for none). The value of the
 * secret key (a PIN) does not go into it but is appended to ret_secret. ERR_INVALID or ERR_LIMIT
 * says which key and what it must be.
 */
err_t *command_build(const command_schema_t *schema, json_t *parameters, plist_t *dict,
                     buf_t *ret_secret) WARN_UNUSED;

#endif
