/* wire_unpack for every message that comes over a network or out of a log; the first byte picks the type. */
#include "grpc/health/v1/health.pb-c.h"
#include "proto/wire.h"
#include "tidemill/v1/admin.pb-c.h"
#include "tidemill/v1/control.pb-c.h"
#include "tidemill/v1/deadletters.pb-c.h"
#include "tidemill/v1/events.pb-c.h"
#include "tidemill/v1/parameters.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
    &tidemill__v1__ingest_request__descriptor,
    &tidemill__v1__pull_request__descriptor,
    &tidemill__v1__status_request__descriptor,
    &tidemill__v1__drain_request__descriptor,
    &tidemill__v1__export_request__descriptor,
    &tidemill__v1__digest_request__descriptor,
    &grpc__health__v1__health_check_request__descriptor,
    &tidemill__v1__control__descriptor,
    &tidemill__v1__catalog__descriptor,
    &tidemill__v1__ingest_reply__descriptor,
    &tidemill__v1__pull_reply__descriptor,
    &tidemill__v1__status_reply__descriptor,
    &tidemill__v1__drain_reply__descriptor,
    &tidemill__v1__export_reply__descriptor,
    &tidemill__v1__digest_reply__descriptor,
    &grpc__health__v1__health_check_response__descriptor,
    &tidemill__v1__list_dead_letters_request__descriptor,
    &tidemill__v1__list_dead_letters_reply__descriptor,
    &tidemill__v1__show_dead_letter_request__descriptor,
    &tidemill__v1__show_dead_letter_reply__descriptor,
    &tidemill__v1__create_version_request__descriptor,
    &tidemill__v1__list_versions_request__descriptor,
    &tidemill__v1__show_version_request__descriptor,
    &tidemill__v1__pause_version_request__descriptor,
    &tidemill__v1__resume_version_request__descriptor,
    &tidemill__v1__create_version_reply__descriptor,
    &tidemill__v1__list_versions_reply__descriptor,
    &tidemill__v1__resume_version_reply__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buffer_close) struct buffer out = {0};
    const ProtobufCMessageDescriptor *type;
    struct tm_error err = {0};
    ProtobufCMessage *m;
    if (size == 0)
        return 0;
    type = types[data[0] % ARRAY_LEN(types)];
    m = wire_unpack(type, bytes_of(data + 1, size - 1), 1 << 20, &err);
    CHECK(m ? protobuf_c_message_check(m) && !err.message[0] : err.message[0]);
    if (m) {
        wire_pack(m, &out);
        CHECK(wire_guard(type, buffer_view(&out), SIZE_MAX, &err) == TM_OK);
    }
    wire_free(m);
    return 0;
}
