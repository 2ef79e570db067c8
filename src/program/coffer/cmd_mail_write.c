/*
 * coffer mail sign, encrypt: plain messages in, S/MIME out.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mail/writer.h"
#include "program/coffer/mail_io.h"
#include "program/coffer/mail_keys.h"

static err_t *feed(void *arg, bytes_t data) { return mail_writer_feed(arg, data); }

static err_t *read_digest(const args_t *args, cms_digest_t *ret_digest) {
    static const struct {
        const char *name;
        cms_digest_t digest;
    } known[] = {{"sha256", CMS_DIGEST_SHA256},
                 {"sha384", CMS_DIGEST_SHA384},
                 {"sha512", CMS_DIGEST_SHA512}};
    const char *given = args_value(args, "digest");
    *ret_digest = CMS_DIGEST_SHA256;
    for (size_t i = 0; given && i < sizeof known / sizeof *known; i++)
        if (strcmp(given, known[i].name) == 0) {
            *ret_digest = known[i].digest;
            return NULL;
        }
    return given ? err_new(ERR_USAGE, "--digest is sha256, sha384 or sha512") : NULL;
}

static err_t *read_cipher(const args_t *args, cms_encrypt_options_t *ret_options) {
    static const struct {
        const char *name;
        cms_cipher_t cipher;
    } known[] = {{"aes256-cbc", CMS_AES256_CBC},
                 {"aes128-cbc", CMS_AES128_CBC},
                 {"aes256-gcm", CMS_AES256_GCM},
                 {"des3", CMS_DES3_CBC}};
    const char *given = args_value(args, "cipher");
    *ret_options = (cms_encrypt_options_t){.oaep = args_flag(args, "oaep")};
    for (size_t i = 0; given && i < sizeof known / sizeof *known; i++)
        if (strcmp(given, known[i].name) == 0) {
            ret_options->cipher = known[i].cipher;
            return NULL;
        }
    return given ? err_new(ERR_USAGE, "--cipher is aes256-cbc, aes128-cbc, aes256-gcm or des3")
                 : NULL;
}

static err_t *write_message(cli_t *cli, const args_t *args, mail_write_options_t *options) {
    mail_input_t in CLEANUP(mail_input_done) = {.fd = -1};
    CLEANUP(mail_writer_free) mail_writer_t *writer = NULL;
    TRY(mail_input_open(args, &in));
    options->again = in.twice ? mail_input_read : NULL;
    options->again_arg = &in;
    TRY(mail_writer_new(options, &writer));
    TRY(mail_input_read(&in, feed, writer));
    TRY(mail_writer_finish(writer, mail_output, cli));
    if (options->headers != MAIL_HEADERS_BARE && !mail_writer_protected(writer))
        (void)fprintf(cli->err, "coffer: the message was signed or encrypted already: its header "
                                "is not protected\n");
    return NULL;
}

/* The signer of the one --key. */
static err_t *read_signer(const mail_keys_t *keys, cms_signer_t **ret_signer) {
    if (keys->n != 1) return err_new(ERR_USAGE, "give one --key FILE to sign with");
    unsigned usage = cert_key_usage(keys->certs[0]);
    if (usage && !(usage & (KEY_USAGE_DIGITAL_SIGNATURE | KEY_USAGE_NON_REPUDIATION)))
        return err_new(ERR_USAGE, "the certificate is not for signing");
    return cms_signer_new(keys->certs[0], keys->keys[0], &keys->chain, ret_signer);
}

static err_t *read_protection(const args_t *args, mail_write_options_t *options) {
    const char *given = args_value(args, "protect-headers");
    options->legacy_display = !args_flag(args, "no-legacy-display");
    if (!given) return NULL;
    if (strcmp(given, "baseline") == 0) options->headers = MAIL_HEADERS_BASELINE;
    else if (strcmp(given, "open") == 0) options->headers = MAIL_HEADERS_OPEN;
    else return err_new(ERR_USAGE, "--protect-headers is baseline or open");
    return NULL;
}

static err_t *read_options(cli_t *cli, const args_t *args, mail_write_options_t *ret_options) {
    *ret_options = (mail_write_options_t){.rnd = cli->rnd,
                                          .now = clk_unix(cli->clk),
                                          .max = MAIL_IO_MAX,
                                          .opaque = args_flag(args, "opaque")};
    TRY(read_digest(args, &ret_options->digest));
    return read_protection(args, ret_options);
}

static err_t *run_sign(cli_t *cli, const args_t *args) {
    mail_keys_t keys CLEANUP(mail_keys_done) = {0};
    CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
    mail_write_options_t options;
    TRY(read_options(cli, args, &options));
    TRY(mail_keys_read(args, &keys));
    TRY(read_signer(&keys, &signer));
    options.signer = signer;
    return write_message(cli, args, &options);
}

static err_t *run_encrypt(cli_t *cli, const args_t *args) {
    mail_keys_t keys CLEANUP(mail_keys_done) = {0};
    cert_list_t recipients CLEANUP(cert_list_done) = {0};
    CLEANUP(cms_signer_free) cms_signer_t *signer = NULL;
    mail_write_options_t options;
    TRY(read_options(cli, args, &options));
    TRY(read_cipher(args, &options.encryption));
    TRY(mail_certs_read(args, "to", &recipients));
    if (!recipients.n) return err_new(ERR_USAGE, "give --to CERTIFICATE for every recipient");
    if (args_value(args, "key")) {
        TRY(mail_keys_read(args, &keys));
        TRY(read_signer(&keys, &signer));
    }
    options.signer = signer;
    options.recipients = &recipients;
    return write_message(cli, args, &options);
}

#define SIGN_OPTIONS                                                                               \
    {"key", "FILE", "the key to sign with: PKCS#12 or PEM, certificate included"},                 \
        {"passphrase-file", "FILE", "the key file's passphrase, - standard input"},                \
        {"opaque", NULL, "application/pkcs7-mime instead of multipart/signed"},                    \
        {"protect-headers", "POLICY",                                                              \
         "sign and encrypt the header too: baseline hides the subject outside, open nothing"},     \
        {"no-legacy-display", NULL,                                                                \
         "do not repeat hidden fields in the text for old mail programs"},                         \
    {                                                                                              \
        "digest", "NAME", "sha256 (default), sha384 or sha512"                                     \
    }

static const option_t sign_options[] = {SIGN_OPTIONS, {NULL, NULL, NULL}};

const command_t CMD_MAIL_SIGN = {
    .group = "mail",
    .name = "sign",
    .operands = "[FILE]",
    .summary = "Sign a message",
    .notes = "Reads a message from FILE or standard input and writes it signed to standard "
             "output.\nContent that a relay might change is made 7-bit first. No server is needed.",
    .examples = "  coffer mail sign --key alice.p12 --passphrase-file p < plain.eml > signed.eml\n"
                "  coffer mail sign --key alice.pem --protect-headers open < plain.eml",
    .max = 1,
    .options = sign_options,
    .run = run_sign,
};

static const option_t encrypt_options[] = {
    {"to", "FILE", "a recipient's certificate (PEM or DER); repeatable: name yourself too"},
    {"cipher", "NAME", "aes256-cbc (default, everybody reads it), aes256-gcm, aes128-cbc or des3"},
    {"oaep", NULL, "RSAES-OAEP for RSA keys; old clients can't read it"},
    SIGN_OPTIONS,
    {NULL, NULL, NULL},
};

const command_t CMD_MAIL_ENCRYPT = {
    .group = "mail",
    .name = "encrypt",
    .operands = "[FILE]",
    .summary = "Encrypt a message, and sign it first if a key is given",
    .notes = "Reads a message from FILE or standard input and writes it encrypted to standard "
             "output.\nWith --key it is signed inside the envelope. No server is needed.",
    .examples =
        "  coffer mail encrypt --to bob.pem --to alice.pem < plain.eml > secret.eml\n"
        "  coffer mail encrypt --to bob.pem --cipher aes256-gcm --key alice.pem < plain.eml\n"
        "  coffer mail encrypt --to bob.pem --key alice.pem --protect-headers baseline < plain.eml",
    .max = 1,
    .options = encrypt_options,
    .run = run_encrypt,
};
