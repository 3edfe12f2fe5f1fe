/* Tests of proto/wire.h: the scanner, the writers, and the guard in front of protobuf-c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "grpc/health/v1/health.pb-c.h"
#include "proto/wire.h"
#include "tests/unit/hex.h"
#include "tidemill/v1/admin.pb-c.h"
#include "tidemill/v1/control.pb-c.h"
#include "tidemill/v1/events.pb-c.h"
#include "tidemill/v1/parameters.pb-c.h"

enum { SIZE_MAX_HERE = 4 << 20 };

static void fields_are_read_in_place(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    struct bytes wire = hex(&b, "08 ac02 11 0807060504030201 1a 02 6869 25 04030201 82 01 00");
    struct reader r = reader_of(wire);
    struct wire_field f;
    assert_true(wire_next(&r, &f));
    assert_true(f.number == 1 && f.type == WIRE_VARINT && f.integer == 300);
    assert_true(wire_next(&r, &f));
    assert_true(f.number == 2 && f.type == WIRE_FIXED64 && f.integer == UINT64_C(0x0102030405060708));
    assert_true(wire_next(&r, &f));
    assert_true(f.number == 3 && f.type == WIRE_BYTES && f.bytes.data == wire.data + 14 && f.bytes.size == 2);
    assert_true(wire_next(&r, &f));
    assert_true(f.number == 4 && f.type == WIRE_FIXED32 && f.integer == 0x01020304);
    assert_true(wire_next(&r, &f));
    assert_true(f.number == 16 && f.type == WIRE_BYTES && f.bytes.size == 0);
    assert_false(wire_next(&r, &f));
    assert_false(r.bad);
}

static void nothing_is_an_empty_message(void **state)
{
    (void)state;
    struct reader r = reader_of((struct bytes){0});
    struct wire_field f;
    assert_false(wire_next(&r, &f));
    assert_false(r.bad);
}

static const struct {
    const char *hex, *message;
} malformed[] = {
    {"08", "byte 0: the value of field 1 does not end; expected a varint of at most 64 bits"},
    {"0801 08", "byte 2: the value of field 1 does not end; expected a varint of at most 64 bits"},
    {"08 ffffffffffffffffff02", "byte 0: the value of field 1 does not end; expected a varint of at most 64 bits"},
    {"08 ffffffffffffffffffff01", "byte 0: the value of field 1 does not end; expected a varint of at most 64 bits"},
    {"09 01020304050607", "byte 0: field 1 has 7 bytes left; expected 8"},
    {"0d 010203", "byte 0: field 1 has 3 bytes left; expected 4"},
    {"0a", "byte 0: the length of field 1 does not end; expected a varint of at most 64 bits"},
    {"0a 03 6162", "byte 0: field 1 is 3 bytes long; expected at most the 2 left"},
    {"0a ffffffffffffffffff01", "byte 0: field 1 is 18446744073709551615 bytes long; expected at most the 0 left"},
    {"0a ffffffff0f", "byte 0: field 1 is 4294967295 bytes long; expected at most the 0 left"},
    {"0b 0c", "byte 0: field 1 has wire type 3, a group; expected 0, 1, 2 or 5"},
    {"0801 0c", "byte 2: field 1 has wire type 4, a group; expected 0, 1, 2 or 5"},
    {"0e", "byte 0: field 1 has wire type 6; expected 0, 1, 2 or 5"},
    {"0f", "byte 0: field 1 has wire type 7; expected 0, 1, 2 or 5"},
    {"00 00", "byte 0: no field tag; expected a varint of at most 5 bytes, field number 1 to 536870911"},
    {"80", "byte 0: no field tag; expected a varint of at most 5 bytes, field number 1 to 536870911"},
    {"888080808000 01", "byte 0: no field tag; expected a varint of at most 5 bytes, field number 1 to 536870911"},
    {"8080808010 01", "byte 0: no field tag; expected a varint of at most 5 bytes, field number 1 to 536870911"},
};

static void malformed_wire_is_explained(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        struct bytes wire = hex(&b, malformed[i].hex);
        struct reader r = reader_of(wire);
        struct wire_field f;
        struct tm_error err;
        while (wire_next(&r, &f))
            continue;
        assert_true(r.bad);
        assert_false(wire_next(&r, &f));
        assert_int_equal(wire_malformed(&r, wire, &err), TM_INVALID_ARGUMENT);
        assert_string_equal(err.message, malformed[i].message);
    }
}

static void longest_forms_are_read(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    struct reader r = reader_of(hex(&b, "f8ffffff0f ffffffffffffffffff01 8880808000 8000"));
    struct wire_field f;
    assert_true(wire_next(&r, &f));
    assert_true(f.number == 536870911 && f.integer == UINT64_MAX);
    assert_true(wire_next(&r, &f));
    assert_true(f.number == 1 && f.integer == 0);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    for (int shift = 0; shift < 64; shift++)
        wire_put_integer(&b, (1u << shift % 29), UINT64_MAX >> shift);
    wire_put_bytes(&b, 536870911, bytes_text("text"));
    wire_put_bytes(&b, 1, (struct bytes){0});
    wire_put_fixed64(&b, 2, UINT64_MAX - 1);
    wire_put_fixed32(&b, 3, UINT32_MAX - 1);
    struct reader r = reader_of(buffer_view(&b));
    struct wire_field f;
    for (int shift = 0; shift < 64; shift++) {
        assert_true(wire_next(&r, &f));
        assert_true(f.number == 1u << shift % 29 && f.type == WIRE_VARINT && f.integer == UINT64_MAX >> shift);
    }
    assert_true(wire_next(&r, &f) && f.number == 536870911 && bytes_equal(f.bytes, bytes_text("text")));
    assert_true(wire_next(&r, &f) && f.number == 1 && f.bytes.size == 0);
    assert_true(wire_next(&r, &f) && f.number == 2 && f.integer == UINT64_MAX - 1);
    assert_true(wire_next(&r, &f) && f.number == 3 && f.integer == UINT32_MAX - 1);
    assert_false(wire_next(&r, &f) || r.bad);
}

static void text_is_utf8_without_nul(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool good;
    } cases[] = {
        {"", true},
        {"61", true},
        {"7f", true},
        {"c3a9", true},
        {"e282ac", true},
        {"f09f9880", true},
        {"f48fbfbf", true},
        {"6162636465666768", true},
        {"ed9fbf", true},
        {"61626364656667c3a9", true},
        {"00", false},
        {"6100", false},
        {"6162636465660068", false},
        {"80", false},
        {"c0af", false},
        {"c3", false},
        {"c328", false},
        {"e28228", false},
        {"e0809f", false},
        {"eda080", false},
        {"f0808080", false},
        {"f4908080", false},
        {"f5808080", false},
        {"ff", false},
        {"616263646566ff68", false},
        {"f09f98", false},
        {"e282", false},
    };
    CLEANUP(buffer_close) struct buffer b = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(wire_is_text(hex(&b, cases[i].hex)), cases[i].good);
}

/* ---- guard and unpack ---- */

static const struct {
    const ProtobufCMessageDescriptor *type;
    const char *hex;
    enum tm_code code;
    const char *message;
} refused[] = {
    {&tidemill__v1__ingest_request__descriptor, "1203 080108 00", TM_INVALID_ARGUMENT,
     "batch: byte 4: the value of field 1 does not end; expected a varint of at most 64 bits"},
    {&tidemill__v1__ingest_request__descriptor, "1202 0a00", TM_INVALID_ARGUMENT,
     "batch: sequence: wire type 2; expected 0"},
    {&tidemill__v1__ingest_request__descriptor, "1001", TM_INVALID_ARGUMENT, "batch: wire type 0; expected 2"},
    {&tidemill__v1__ingest_request__descriptor, "0a03 0a0100", TM_INVALID_ARGUMENT,
     "open: client: not UTF-8 text, or a NUL in it; expected UTF-8"},
    {&tidemill__v1__ingest_request__descriptor, "13 14", TM_INVALID_ARGUMENT,
     "byte 0: field 2 has wire type 3, a group; expected 0, 1, 2 or 5"},
    {&tidemill__v1__pull_request__descriptor, "2201 01", TM_INVALID_ARGUMENT, "statistics: wire type 2; expected 0"},
    {&tidemill__v1__pull_reply__descriptor, "4a07 01020304050607", TM_INVALID_ARGUMENT,
     "a list of packed numbers is malformed; expected whole numbers of its type"},
    {&tidemill__v1__export_reply__descriptor, "3d 01020304", TM_INVALID_ARGUMENT, "positives: wire type 5; expected 1"},
    {&grpc__health__v1__health_check_request__descriptor, "0a02 c328", TM_INVALID_ARGUMENT,
     "service: not UTF-8 text, or a NUL in it; expected UTF-8"},
};

static void bad_messages_are_refused(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct tm_error err;
        assert_null(wire_unpack(refused[i].type, hex(&b, refused[i].hex), SIZE_MAX_HERE, &err));
        assert_int_equal(err.code, refused[i].code);
        assert_string_equal(err.message, refused[i].message);
        assert_null(wire_unpack(refused[i].type, buffer_view(&b), SIZE_MAX_HERE, NULL));
    }
}

/* Bytes as written by protoc --encode. */
static void golden_messages_unpack_and_pack(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0}, again = {0};
    struct tm_error err;
    struct bytes wire = hex(&b, "120d0807120261621200120378797a");
    ProtobufCMessage *m = wire_unpack(&tidemill__v1__ingest_request__descriptor, wire, SIZE_MAX_HERE, &err);
    const Tidemill__V1__IngestRequest *ingest = (const Tidemill__V1__IngestRequest *)m;
    assert_non_null(m);
    assert_true(!ingest->open && ingest->batch && ingest->batch->has_sequence && ingest->batch->sequence == 7);
    assert_int_equal(ingest->batch->n_events, 3);
    assert_memory_equal(ingest->batch->events[2].data, "xyz", 3);
    wire_pack(m, &again);
    assert_true(bytes_equal(buffer_view(&again), wire));
    wire_free(m);

    m = wire_unpack(&tidemill__v1__pull_request__descriptor, hex(&b, "0a0141120264311202643218ac022001"), SIZE_MAX_HERE,
                    &err);
    const Tidemill__V1__PullRequest *pull = (const Tidemill__V1__PullRequest *)m;
    assert_non_null(m);
    assert_string_equal(pull->version, "A");
    assert_true(pull->n_docs == 2 && strcmp(pull->docs[1], "d2") == 0 && pull->at_least == 300 && pull->statistics);
    wire_free(m);

    m = wire_unpack(&tidemill__v1__status_request__descriptor, (struct bytes){0}, SIZE_MAX_HERE, &err);
    assert_non_null(m);
    wire_free(m);
    wire_free(NULL);
}

static void truncated_messages_are_refused_or_shorter(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    struct bytes wire = hex(&b, "0a07 0a016122026162 120d0807120261621200120378797a");
    int good = 0;
    for (size_t size = 0; size <= wire.size; size++) {
        uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a byte read too far */
        memcpy(exact, wire.data, size);
        ProtobufCMessage *m =
            wire_unpack(&tidemill__v1__ingest_request__descriptor, bytes_of(exact, size), SIZE_MAX_HERE, NULL);
        good += m != NULL;
        wire_free(m);
        free(exact);
    }
    assert_int_equal(good, 3); /* nothing, open, open and batch */
}

static void deep_nesting_is_harmless(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer inner = {0}, outer = {0};
    struct tm_error err;
    for (int i = 0; i < 10000; i++) { /* field 2 in field 2 in ... */
        wire_put_bytes(&outer, 2, buffer_view(&inner));
        inner.size = 0;
        buffer_put(&inner, outer.data, outer.size);
        outer.size = 0;
    }
    assert_null(wire_unpack(&tidemill__v1__catalog__descriptor, buffer_view(&inner), SIZE_MAX_HERE, &err));
    assert_string_equal(err.message, "versions: name: not UTF-8 text, or a NUL in it; expected UTF-8");
    ProtobufCMessage *m =
        wire_unpack(&tidemill__v1__ingest_request__descriptor, buffer_view(&inner), SIZE_MAX_HERE, &err);
    assert_non_null(m); /* batch { events: opaque bytes } */
    wire_free(m);
}

static void floods_are_refused(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    struct tm_error err;
    const ProtobufCMessageDescriptor *type = &tidemill__v1__ingest_request__descriptor;
    for (int i = 0; i < 100000; i++)
        wire_put_bytes(&b, 1, (struct bytes){0}); /* empty submessages: a hundred times their size in memory */
    assert_int_equal(wire_guard(type, buffer_view(&b), SIZE_MAX_HERE, &err), TM_OK);
    assert_null(wire_unpack(type, buffer_view(&b), SIZE_MAX_HERE, &err));
    assert_int_equal(err.code, TM_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message, "message takes more than 6465536 bytes of memory; send less");

    b.size = 0;
    for (int i = 0; i <= WIRE_FIELDS_MAX; i++)
        wire_put_integer(&b, 99, 1); /* unknown */
    assert_int_equal(wire_guard(type, buffer_view(&b), SIZE_MAX_HERE, &err), TM_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message, "more than 262144 fields in one message; send less");
    b.size -= 3;
    assert_int_equal(wire_guard(type, buffer_view(&b), SIZE_MAX_HERE, &err), TM_OK);

    assert_int_equal(wire_guard(type, buffer_view(&b), b.size - 1, &err), TM_RESOURCE_EXHAUSTED);
    assert_int_equal(wire_guard(type, buffer_view(&b), b.size, &err), TM_OK);
    assert_int_equal(wire_guard(type, buffer_view(&b), b.size - 1, NULL), TM_RESOURCE_EXHAUSTED);
}

/* The largest requests that are allowed must fit, however short their ids. */
static void short_ids_fit(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer b = {0};
    struct tm_error err;
    for (int count = 1; count <= 10000; count = count * 5 / 4 + 1) {
        b.size = 0;
        for (int i = 0; i < count; i++)
            wire_put_bytes(&b, 2, bytes_text("d"));
        ProtobufCMessage *m =
            wire_unpack(&tidemill__v1__pull_request__descriptor, buffer_view(&b), SIZE_MAX_HERE, &err);
        assert_non_null(m);
        assert_int_equal(((Tidemill__V1__PullRequest *)m)->n_docs, count);
        wire_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_in_place),
        cmocka_unit_test(nothing_is_an_empty_message),
        cmocka_unit_test(malformed_wire_is_explained),
        cmocka_unit_test(longest_forms_are_read),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(text_is_utf8_without_nul),
        cmocka_unit_test(bad_messages_are_refused),
        cmocka_unit_test(golden_messages_unpack_and_pack),
        cmocka_unit_test(truncated_messages_are_refused_or_shorter),
        cmocka_unit_test(deep_nesting_is_harmless),
        cmocka_unit_test(floods_are_refused),
        cmocka_unit_test(short_ids_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
