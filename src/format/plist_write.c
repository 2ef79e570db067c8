/*
 * Writing property lists in the layout of Apple's own tools: see plist.h. Any process, any thread.
 */
#include <inttypes.h>

#include "base/limits.h"
#include "base/text.h"
#include "format/plist_internal.h"

enum {
    LINE_COLUMNS = 76, /* of a base64 line, its tabs counted as eight */
    LINE_TABS_MAX = 8, /* deeper data is not indented further, as Apple's does */
};

static const char header[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                             "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
                             "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
                             "<plist version=\"1.0\">\n";
static const char footer[] = "</plist>\n";

static err_t *tabs(buf_t *out, int count) {
    for (int i = 0; i < count; i++) TRY(buf_add_byte(out, '\t'));
    return NULL;
}

/* Carriage returns are escaped too: a parser would turn a bare one into a line feed. */
static err_t *escaped(buf_t *out, bytes_t text) {
    size_t from = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *escape = NULL;
        switch (text.p[i]) {
        case '&': escape = "&amp;"; break;
        case '<': escape = "&lt;"; break;
        case '>': escape = "&gt;"; break;
        case '\r': escape = "&#13;"; break;
        default: continue;
        }
        TRY(buf_add(out, bytes_slice(text, from, i - from)));
        TRY(buf_add_str(out, escape));
        from = i + 1;
    }
    return buf_add(out, bytes_from(text, from));
}

static err_t *text_element(buf_t *out, const char *name, bytes_t text) {
    TRY(buf_printf(out, "<%s>", name));
    TRY(escaped(out, text));
    return buf_printf(out, "</%s>\n", name);
}

static err_t *data_element(buf_t *out, bytes_t data, int depth) {
    int indent = depth > LINE_TABS_MAX ? LINE_TABS_MAX : depth;
    size_t line = (size_t)(LINE_COLUMNS - 8 * indent) / 4 * 3; /* bytes on a line */
    TRY(buf_add_str(out, "<data>\n"));
    for (size_t at = 0; at < data.n; at += line) {
        TRY(tabs(out, indent));
        TRY(text_base64(bytes_slice(data, at, line), out));
        TRY(buf_add_byte(out, '\n'));
    }
    TRY(tabs(out, indent));
    return buf_add_str(out, "</data>\n");
}

static err_t *write_node(const plist_t *node, int depth, buf_t *out);

/* Recursion is bounded by LIMIT_PLIST_DEPTH. */
static err_t *container_element(buf_t *out, const plist_t *node, int depth) {
    const char *name = plist_type_name(plist_type(node));
    if (depth >= LIMIT_PLIST_DEPTH)
        return err_new(ERR_LIMIT, "nested deeper than %d containers", (int)LIMIT_PLIST_DEPTH);
    if (node->kids.count == 0) return buf_printf(out, "<%s/>\n", name);
    TRY(buf_printf(out, "<%s>\n", name));
    for (uint32_t i = 0; i < node->kids.count; i++) {
        const plist_t *kid = node->kids.items[i];
        if (node->type == PLIST_DICT) {
            TRY(tabs(out, depth + 1));
            TRY(text_element(out, "key", kid->key));
        }
        TRY(write_node(kid, depth + 1, out));
    }
    TRY(tabs(out, depth));
    return buf_printf(out, "</%s>\n", name);
}

static err_t *write_node(const plist_t *node, int depth, buf_t *out) {
    TRY(tabs(out, depth));
    switch (plist_type(node)) {
    case PLIST_DICT:
    case PLIST_ARRAY: return container_element(out, node, depth);
    case PLIST_STRING: return text_element(out, "string", node->bytes);
    case PLIST_DATA: return data_element(out, node->bytes, depth);
    case PLIST_INTEGER:
        if (node->integer.negative)
            return buf_printf(out, "<integer>%" PRId64 "</integer>\n", (int64_t)node->integer.bits);
        return buf_printf(out, "<integer>%" PRIu64 "</integer>\n", node->integer.bits);
    case PLIST_REAL:
        TRY(buf_add_str(out, "<real>"));
        TRY(plist_real_write(node->real, out));
        return buf_add_str(out, "</real>\n");
    case PLIST_BOOLEAN: return buf_add_str(out, node->boolean ? "<true/>\n" : "<false/>\n");
    case PLIST_DATE:
        TRY(buf_add_str(out, "<date>"));
        TRY(plist_date_write(node->date, out));
        return buf_add_str(out, "</date>\n");
    }
    return err_new(ERR_INTERNAL, "a property list node of no type");
}

bool plist_written_element(bytes_t xml, bytes_t *ret_element) {
    bytes_t head = BYTES_LIT(header), tail = BYTES_LIT(footer);
    if (xml.n <= head.n + tail.n || !bytes_starts(xml, head)) return false;
    if (!bytes_eq(bytes_from(xml, xml.n - tail.n), tail)) return false;
    *ret_element = bytes_slice(xml, head.n, xml.n - head.n - tail.n);
    return true;
}

err_t *plist_write_head(buf_t *out) { return buf_add(out, BYTES_LIT(header)); }
err_t *plist_write_tail(buf_t *out) { return buf_add(out, BYTES_LIT(footer)); }

err_t *plist_write(const plist_t *node, buf_t *out) {
    TRY(plist_write_head(out));
    TRY(write_node(node, 0, out));
    return plist_write_tail(out);
}
