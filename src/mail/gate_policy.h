/*
 * Mail policy: what the gateway does for whom. Rules are found for the organisation, then a domain,
 * then a person, each overriding what it says and leaving the rest; and, for recipients outside, a
 * rule of their domain or address may ask for more. Pure.
 */
#ifndef COFFER_MAIL_GATE_POLICY_H
#define COFFER_MAIL_GATE_POLICY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

typedef enum {
    GATE_NEVER,        /* plain */
    GATE_ALL_OR_PLAIN, /* encrypted if everybody can read it, else plain to everybody */
    GATE_SPLIT,        /* encrypted to those who can read it, plain to the others */
    GATE_REQUIRE,      /* encrypted, or refused with the names of who lacks what */
} gate_encrypt_t;
const char *gate_encrypt_name(gate_encrypt_t mode); /* "never", "all-or-plain", ... */
bool gate_encrypt_parse(bytes_t text, gate_encrypt_t *ret_mode);

/* The yes-or-no rules. */
typedef enum {
    GATE_SIGN,         /* sign with the person's key in the keeper */
    GATE_PROTECT,      /* header protection (RFC 9788) in what is signed or encrypted */
    GATE_HIDE_SUBJECT, /* encrypted: "[...]" outside (hcp_baseline) */
    GATE_OWN_COPY,     /* the sender is among the recipients of what is encrypted */
    GATE_TAG,          /* a subject tag or header of the sender counts */
    GATE_HARVEST,      /* incoming: learn certificates of verified signers */
    GATE_VERIFY,       /* incoming: verify and stamp Authentication-Results */
    GATE_DECRYPT,      /* incoming: decrypt with the recipient's archived keys */
    GATE_DECRYPT_CBC,  /* even what neither GCM nor a good signature inside protects (EFAIL) */
    GATE_REENCRYPT,    /* incoming, decrypted: encrypt again to the recipient's current key */
    GATE_FLAGS,
} gate_flag_t;
const char *gate_flag_name(gate_flag_t flag); /* "sign", ... as in coffer.conf */

/* What one rule says; unset members say nothing. */
typedef struct {
    bool has_encrypt;
    gate_encrypt_t encrypt;
    unsigned has, flags; /* bits 1 << gate_flag_t */
} gate_rule_t;

static inline bool gate_is(const gate_rule_t *rule, gate_flag_t flag) {
    return (rule->flags & 1u << flag) != 0;
}
/* What holds without any rule: never encrypt, don't sign; tag, own copy, protect, harvest, verify
 * on. Everything is set in it. */
gate_rule_t gate_rule_default(void);
/* Puts `over` on top of `rule`. */
void gate_rule_apply(gate_rule_t *rule, const gate_rule_t *over);
/* One setting by name and text ("encrypt", "require"; "sign", "yes"); ERR_INVALID names it. Text
 * "" or "inherit" unsets it. */
err_t *gate_rule_set(gate_rule_t *rule, bytes_t name, bytes_t text) WARN_UNUSED;
/* Appends "encrypt=require sign=yes", what is set only. */
err_t *gate_rule_write(const gate_rule_t *rule, buf_t *out) WARN_UNUSED;
/* Reads what gate_rule_write wrote. */
err_t *gate_rule_read(bytes_t text, gate_rule_t *ret_rule) WARN_UNUSED;

#endif
