/* json_read_message and json_ingest_read: a text is refused with its reason, or becomes a message that every server
 * takes, and that written and read again is the same. */
#include "proto/json.h"
#include "proto/json_ingest.h"
#include "proto/wire.h"
#include "tidemill/v1/admin.pb-c.h"
#include "tidemill/v1/events.pb-c.h"
#include "tidemill/v1/parameters.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void json_of(const ProtobufCMessageDescriptor *type, struct bytes wire, struct buffer *json)
{
    struct tm_error err;
    ProtobufCMessage *m = wire_unpack(type, wire, SIZE_MAX, &err);
    if (!m) /* too many fields, or too much memory: the one thing that JSON does not know */
        CHECK(err.code == TM_RESOURCE_EXHAUSTED);
    else
        json_put_message(json, m);
    wire_free(m);
}

static void round_trip(const ProtobufCMessageDescriptor *type, struct bytes text)
{
    CLEANUP(buffer_close) struct buffer wire = {0}, json = {0}, wire_again = {0}, json_again = {0};
    struct tm_error err = {0};
    if (json_read_message(type, text, &wire, &err) != TM_OK) {
        CHECK(err.message[0] && wire.size == 0);
        return;
    }
    json_of(type, buffer_view(&wire), &json);
    if (!json.size)
        return;
    CHECK(json_read_message(type, buffer_view(&json), &wire_again, &err) == TM_OK);
    json_of(type, buffer_view(&wire_again), &json_again);
    CHECK(bytes_equal(buffer_view(&json), buffer_view(&json_again)));
}

static void ingest(struct bytes text)
{
    struct json_ingest in;
    struct tm_error err = {0};
    enum tm_code rc = json_ingest_read(text, &in, &err);
    CHECK(rc == TM_OK || err.message[0]);
    if (rc == TM_OK) {
        CHECK(wire_guard(&tidemill__v1__open__descriptor, buffer_view(&in.open), SIZE_MAX, &err) == TM_OK ||
              err.code == TM_RESOURCE_EXHAUSTED);
        CHECK(wire_guard(&tidemill__v1__batch__descriptor, buffer_view(&in.batch), SIZE_MAX, &err) == TM_OK ||
              err.code == TM_RESOURCE_EXHAUSTED);
    }
    json_ingest_close(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &tidemill__v1__pull_request__descriptor, &tidemill__v1__pull_reply__descriptor,
        &tidemill__v1__status_reply__descriptor, &tidemill__v1__event__descriptor, &tidemill__v1__open__descriptor};
    struct bytes text = bytes_of(data, size);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        round_trip(types[i], text);
    ingest(text);
    return 0;
}
