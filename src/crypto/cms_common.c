/*
 * What the CMS files share: parsing, writing and the way between OpenSSL's BIO and our buffers.
 * RFC 5652 section 3. Any process, any thread.
 */
#include "base/limits.h"
#include "crypto/cms_internal.h"
#include "crypto/name_internal.h"
#include "crypto/openssl_internal.h"

enum { CMS_OVERHEAD = 1024 * 1024 }; /* bytes that certificates and names may add to content */

BIO *cms_bio_source(bytes_t data) {
    if (data.n > LIMIT_CMS_BYTES + (size_t)CMS_OVERHEAD) return NULL;
    return BIO_new_mem_buf(data.n ? (const void *)data.p : "", (int)data.n);
}

static int sink_write(BIO *bio, const char *data, int n) {
    cms_sink_t *sink = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0 || sink->e) return -1;
    sink->e = buf_add(sink->out, bytes_make(data, (size_t)n));
    return sink->e ? -1 : n;
}

static long sink_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

err_t *cms_sink_init(cms_sink_t *sink, buf_t *out) {
    *sink = (cms_sink_t){.out = out};
    sink->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "coffer buffer");
    if (!sink->method || BIO_meth_set_write(sink->method, sink_write) != 1 ||
        BIO_meth_set_ctrl(sink->method, sink_ctrl) != 1)
        return err_nomem();
    sink->bio = BIO_new(sink->method);
    if (!sink->bio) return err_nomem();
    BIO_set_data(sink->bio, sink);
    BIO_set_init(sink->bio, 1);
    return NULL;
}

void cms_sink_done(cms_sink_t *sink) {
    BIO_free(sink->bio);
    BIO_meth_free(sink->method);
    err_free(sink->e);
    *sink = (cms_sink_t){0};
}

err_t *cms_parse(bytes_t message, cms_type_t *ret_type, CMS_ContentInfo **ret_cms) {
    cms_type_t type;
    TRY(cms_head_check(message, &type));
    const unsigned char *p = message.p;
    CMS_ContentInfo *cms CLEANUP(CMS_ContentInfo_free) =
        d2i_CMS_ContentInfo(NULL, &p, (long)message.n);
    if (!cms) return err_openssl(ERR_INVALID, "CMS message is malformed");
    if (p != message.p + message.n) return err_new(ERR_INVALID, "bytes behind the CMS message");
    *ret_type = type;
    *ret_cms = STEAL(cms);
    return NULL;
}

err_t *cms_write_der(CMS_ContentInfo *cms, buf_t *out) {
    int n = i2d_CMS_ContentInfo(cms, NULL);
    if (n <= 0) return err_openssl(ERR_INTERNAL, "CMS message can't be encoded");
    TRY(buf_reserve(out, (size_t)n));
    unsigned char *p = out->p + out->n;
    if (i2d_CMS_ContentInfo(cms, &p) != n)
        return err_openssl(ERR_INTERNAL, "CMS message can't be encoded");
    out->n += (size_t)n;
    return NULL;
}

err_t *cms_write_indefinite(CMS_ContentInfo *cms, bytes_t content, unsigned flags, buf_t *out) {
    size_t before = out->n;
    BIO *source CLEANUP(BIO_free) = cms_bio_source(content);
    if (!source) return err_nomem();
    cms_sink_t sink CLEANUP(cms_sink_done) = {0};
    TRY(cms_sink_init(&sink, out));
    if (i2d_CMS_bio_stream(sink.bio, cms, source, (int)flags) == 1 && !sink.e) return NULL;
    out->n = before;
    err_t *e = err_openssl(ERR_INTERNAL, "CMS message can't be streamed");
    if (!sink.e) return e;
    err_free(e);
    return STEAL(sink.e);
}

const char *cms_digest_name(cms_digest_t digest) {
    switch (digest) {
    case CMS_DIGEST_SHA256: return "SHA-256";
    case CMS_DIGEST_SHA1: return "SHA-1";
    case CMS_DIGEST_SHA384: return "SHA-384";
    case CMS_DIGEST_SHA512: return "SHA-512";
    case CMS_DIGEST_MD5: return "MD5";
    case CMS_DIGEST_OTHER: return "another digest";
    }
    return "unknown";
}

const char *cms_cipher_name(cms_cipher_t cipher) {
    switch (cipher) {
    case CMS_AES256_CBC: return "AES-256-CBC";
    case CMS_AES128_CBC: return "AES-128-CBC";
    case CMS_DES3_CBC: return "DES-EDE3-CBC";
    case CMS_AES256_GCM: return "AES-256-GCM";
    }
    return "unknown";
}
