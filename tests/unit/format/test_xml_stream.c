/* XML documents one after the other: src/format/xml_stream.h. */
#include <stdio.h>
#include <string.h>

#include "../unit.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "format/xml_stream.h"

/* What was heard: "<name" with its first attribute's value, ">text" of an end, "." of a document.
 */
typedef struct {
    xml_handler_t handler;
    xml_stream_t xml;
    buf_t heard;
} ear_t;

static err_t *on_begin(void *ctx, unsigned depth, const char *name, const char **attributes) {
    ear_t *ear = ctx;
    return buf_printf(&ear->heard, "<%u%s%s%s", depth, name, attributes[0] ? "=" : "",
                      attributes[0] ? attributes[1] : "");
}

static err_t *on_end(void *ctx, unsigned depth, const char *name, bytes_t text) {
    ear_t *ear = ctx;
    (void)depth;
    (void)name;
    TRY(buf_add_byte(&ear->heard, '>'));
    return buf_add(&ear->heard, text);
}

static err_t *on_done(void *ctx) {
    ear_t *ear = ctx;
    return buf_add_byte(&ear->heard, '.');
}

static void open_ear(ear_t *ear) {
    ear->handler = (xml_handler_t){ear, on_begin, on_end, on_done};
    xml_stream_init(&ear->xml, &ear->handler);
    buf_init(&ear->heard, 1 << 20);
}

static void close_ear(ear_t *ear) {
    xml_stream_done(&ear->xml);
    buf_done(&ear->heard);
}

static const char TWO[] = "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n"
                          "<s:a xmlns:s=\"u\"><s:b Id=\"1&amp;2\"> x &lt; y </s:b><c/></s:a>"
                          "<?xml version=\"1.0\"?><!-- > --><d><![CDATA[</d>]]></d>\n <e/><f/>";
static const char HEARD[] = "<1a=u<2b=1&2>x < y<2c>>.<1d></d>.<1e>.<1f>.";

static void test_xml_stream__hears_documents_wherever_they_are_cut(void **state) {
    (void)state;
    for (size_t cut = 0; cut < sizeof TWO; cut++) {
        ear_t ear;
        const char *heard = NULL;
        open_ear(&ear);
        assert_ok(xml_stream_input(&ear.xml, bytes_make(TWO, cut)));
        assert_ok(xml_stream_input(&ear.xml, bytes_make(TWO + cut, sizeof TWO - 1 - cut)));
        assert_ok(buf_cstr(&ear.heard, &heard));
        assert_string_equal(heard, HEARD);
        assert_true(xml_stream_between(&ear.xml)); /* it holds nothing */
        close_ear(&ear);
    }
}

/* The end of a document is heard with its last byte, whatever came before in which pieces. */
static void test_xml_stream__waits_for_nothing_behind_an_end(void **state) {
    (void)state;
    ear_t ear;
    open_ear(&ear);
    for (size_t i = 0; i + 1 < sizeof TWO; i++)
        assert_ok(xml_stream_input(&ear.xml, bytes_make(TWO + i, 1)));
    assert_true(xml_stream_between(&ear.xml));
    assert_int_equal(ear.heard.n, sizeof HEARD - 1);
    close_ear(&ear);
}

static void refuses(err_code_t code, const char *text) {
    ear_t ear;
    open_ear(&ear);
    assert_err(code, xml_stream_input(&ear.xml, bytes_str(text)));
    close_ear(&ear);
}

static void test_xml_stream__refuses_what_is_no_answer(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t deep, text;
    const char *made = NULL;
    refuses(ERR_INVALID, "hello");
    refuses(ERR_INVALID, "<a><b></a></b>");
    refuses(ERR_INVALID, "<a/>garbage");
    refuses(ERR_INVALID, "<a>&unknown;</a>");
    refuses(ERR_INVALID, "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>");
    refuses(ERR_INVALID, "<a>\xff</a>");
    buf_init(&deep, 1000);
    for (int i = 0; i <= LIMIT_XML_DEPTH; i++) assert_ok(buf_add_str(&deep, "<a>"));
    assert_ok(buf_cstr(&deep, &made));
    refuses(ERR_LIMIT, made);
    buf_init(&text, LIMIT_XML_TEXT + 100);
    assert_ok(buf_add_str(&text, "<a>"));
    for (int i = 0; i <= LIMIT_XML_TEXT; i++) assert_ok(buf_add_byte(&text, 'x'));
    assert_ok(buf_cstr(&text, &made));
    refuses(ERR_LIMIT, made);
}

static void test_xml_stream__documents_have_a_limit_the_stream_has_none(void **state) {
    (void)state;
    ear_t ear;
    static const char piece[] = "<b>0123456789</b>";
    err_t *e = NULL;
    open_ear(&ear);
    for (size_t i = 0; i < 3 * LIMIT_XML_DOCUMENT / sizeof piece; i++) {
        assert_ok(xml_stream_input(&ear.xml, BYTES_LIT(piece)));
        buf_clear(&ear.heard);
    }
    assert_ok(xml_stream_input(&ear.xml, BYTES_LIT("<a>")));
    for (size_t i = 0; !e && i < LIMIT_XML_DOCUMENT; i++) {
        e = xml_stream_input(&ear.xml, BYTES_LIT(piece));
        buf_clear(&ear.heard);
    }
    assert_err(ERR_LIMIT, e);
    close_ear(&ear);
}

static void test_xml_stream__survives_failing_allocations(void **state) {
    (void)state;
    for (unsigned long n = 1;; n++) {
        ear_t ear;
        open_ear(&ear);
        fault_arm_memory(n);
        err_t *e = xml_stream_input(&ear.xml, BYTES_LIT(TWO));
        bool fired = fault_memory_fired();
        fault_arm_memory(0);
        close_ear(&ear);
        if (!fired) {
            assert_ok(e);
            break;
        }
        assert_err(ERR_NOMEM, e);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xml_stream__hears_documents_wherever_they_are_cut),
        cmocka_unit_test(test_xml_stream__waits_for_nothing_behind_an_end),
        cmocka_unit_test(test_xml_stream__refuses_what_is_no_answer),
        cmocka_unit_test(test_xml_stream__documents_have_a_limit_the_stream_has_none),
        cmocka_unit_test(test_xml_stream__survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
