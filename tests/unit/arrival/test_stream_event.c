/* The lines of a device's stream: src/arrival/stream_event.h, docs/formats/stream.md. */
#include "../unit.h"
#include "arrival/stream_event.h"

static void test_stream_event__forms(void **state) {
    (void)state;
    CLEANUP(buf_done) buf_t out;
    CLEANUP(jso_free) json_t *release = NULL;
    const char *text = NULL;
    db_mail_event_t event = {.seq = 12,
                             .device_id = "d",
                             .account = "alice@example.org",
                             .event = "mail-00",
                             .folder = "A\nB\"",
                             .uidvalidity = 7,
                             .uid = 8,
                             .modseq = 9,
                             .created_ms = 1700000000500};
    buf_init(&out, 4096);
    assert_ok(stream_event_hello("d", 3, &out));
    assert_ok(stream_event_heartbeat(&out));
    assert_ok(stream_event_resync(4, &out));
    assert_ok(stream_event_mail(&event, NULL, &out));
    assert_ok(jso_object(&release));
    assert_ok(jso_set_int(release, "epoch", 2));
    assert_ok(stream_event_mail(&event, release, &out));
    assert_ok(buf_cstr(&out, &text));
    assert_string_equal(
        text, "id: 3\nevent: hello\ndata: {\"device\":\"d\"}\n\n"
              ":\n\n"
              "id: 4\nevent: resync\ndata: {}\n\n"
              "id: 12\nevent: mail\ndata: {\"event\":\"mail-00\",\"account\":\"alice@example.org\","
              "\"folder\":\"A\\nB\\\"\",\"uidvalidity\":7,\"uid\":8,\"modseq\":9,"
              "\"at\":\"2023-11-14T22:13:20Z\"}\n\n"
              "id: 12\nevent: mail\ndata: {\"event\":\"mail-00\",\"account\":\"alice@example.org\","
              "\"folder\":\"A\\nB\\\"\",\"uidvalidity\":7,\"uid\":8,\"modseq\":9,"
              "\"at\":\"2023-11-14T22:13:20Z\",\"release\":{\"epoch\":2}}\n\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_event__forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
