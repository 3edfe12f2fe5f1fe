/* proto/descriptors and ps/server/reflection_answer: what the program knows about its own messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "proto/wire.h"
#include "ps/server/reflection.h"
#include "ps/server/reflection_answer.h"
#include "tests/unit/random.h"
#include "tidemill/v1/admin.pb-c.h"
#include "tidemill/v1/events.pb-c.h"
#include "tidemill/v1/parameters.pb-c.h"
#include "tidemill/v1/ranking.pb-c.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest Request;
typedef Grpc__Reflection__V1__ServerReflectionResponse Response;

static int open_descriptors(void **state)
{
    *state = descriptors_open();
    return 0;
}

static int close_descriptors(void **state)
{
    descriptors_close(*state);
    return 0;
}

/* ---- the index ---- */

/* protobuf-c compiled the same files on its own. */
static void every_method_of_every_service_is_known(void **state)
{
    static const ProtobufCServiceDescriptor *const services[] = {
        &tidemill__v1__events__descriptor, &tidemill__v1__parameters__descriptor, &tidemill__v1__ranking__descriptor,
        &tidemill__v1__admin__descriptor, &grpc__health__v1__health__descriptor};
    char path[256];
    for (size_t s = 0; s < ARRAY_LEN(services); s++) {
        const struct descriptor *service = descriptors_find(*state, bytes_text(services[s]->name));
        assert_non_null(service);
        assert_int_equal(service->kind, DESCRIPTOR_SERVICE);
        for (unsigned m = 0; m < services[s]->n_methods; m++) {
            snprintf(path, sizeof path, "/%s/%s", services[s]->name, services[s]->methods[m].name);
            assert_true(descriptors_has_method(*state, bytes_text(path)));
            const ProtobufCMessageDescriptor *in = services[s]->methods[m].input;
            const struct descriptor *input = descriptors_find(*state, bytes_text(in->name));
            assert_non_null(input);
            assert_int_equal(input->kind, DESCRIPTOR_MESSAGE);
        }
    }
}

static void only_whole_names_are_found(void **state)
{
    static const struct {
        const char *name;
        int kind; /* -1: there is none */
    } cases[] = {
        {"tidemill.v1.Admin", DESCRIPTOR_SERVICE},
        {"tidemill.v1.Admin.Status", DESCRIPTOR_METHOD},
        {"tidemill.v1.Event", DESCRIPTOR_MESSAGE},
        {"tidemill.v1.FeatureEncoding", DESCRIPTOR_ENUM},
        {"grpc.health.v1.HealthCheckResponse.ServingStatus", DESCRIPTOR_ENUM},
        {"", -1},
        {"tidemill.v1", -1},
        {"tidemill.v1.Even", -1},
        {"tidemill.v1.Event.", -1},
        {".tidemill.v1.Event", -1},
        {"tidemill.v1.Control", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct descriptor *found = descriptors_find(*state, bytes_text(cases[i].name));
        assert_int_equal(found ? (int)found->kind : -1, cases[i].kind);
    }
    assert_null(descriptors_find(*state, bytes_of("tidemill.v1.Event\0", 18)));
}

static void what_is_no_path_of_a_method(void **state)
{
    static const char *const none[] = {"",
                                       "/",
                                       "//",
                                       "Events/Ingest",
                                       "/tidemill.v1.Events",
                                       "/tidemill.v1.Events/",
                                       "/tidemill.v1/Events.Ingest",
                                       "/tidemill.v1.Events.Ingest/",
                                       "/tidemill.v1.Events/Pull",
                                       "/grpc.health.v1.HealthCheckResponse/ServingStatus"};
    uint8_t endless[4096];
    memset(endless, '/', sizeof endless);
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_false(descriptors_has_method(*state, bytes_text(none[i])));
    assert_false(descriptors_has_method(*state, bytes_of(endless, sizeof endless)));
}

static void imports_come_first(void **state)
{
    const struct descriptors *d = *state;
    const struct descriptor_file *admin = descriptors_find_file(d, bytes_text("tidemill/v1/admin.proto"));
    const struct descriptor_file *progress = descriptors_find_file(d, bytes_text("tidemill/v1/progress.proto"));
    assert_non_null(admin);
    assert_non_null(progress);
    assert_true(progress < admin);
    assert_true(admin->needs >> (progress - d->file) & 1); /* through snapshots.proto */
    assert_int_equal(progress->needs, UINT64_C(1) << (progress - d->file));
    assert_null(descriptors_find_file(d, bytes_text("tidemill/v1/control.proto")));
}

/* ---- answers ---- */

static Response *ask(const struct descriptors *d, const Request *q)
{
    CLEANUP(buffer_close) struct buffer request = {0}, answer = {0};
    struct tm_error err;
    wire_pack(&q->base, &request);
    assert_int_equal(reflection_answer(d, buffer_view(&request), &answer, &err), TM_OK);
    Response *r = (Response *)(void *)wire_unpack(&grpc__reflection__v1__server_reflection_response__descriptor,
                                                  buffer_view(&answer), SIZE_MAX, &err);
    assert_non_null(r);
    assert_int_equal(r->original_request->message_request_case, q->message_request_case);
    return r;
}

static Request question(Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase which, const char *text)
{
    Request q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    q.message_request_case = which;
    q.list_services = (char *)(uintptr_t)text; /* a string of the oneof, as the others are */
    return q;
}

#define ASK(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWER(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

static void questions_are_answered_in_kind(void **state)
{
    static const struct {
        Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase ask;
        const char *text;
        Grpc__Reflection__V1__ServerReflectionResponse__MessageResponseCase answer;
    } cases[] = {
        {ASK(LIST_SERVICES), "anything", ANSWER(LIST_SERVICES_RESPONSE)},
        {ASK(FILE_BY_FILENAME), "tidemill/v1/events.proto", ANSWER(FILE_DESCRIPTOR_RESPONSE)},
        {ASK(FILE_BY_FILENAME), "events.proto", ANSWER(ERROR_RESPONSE)},
        {ASK(FILE_CONTAINING_SYMBOL), "tidemill.v1.Parameters.Watch", ANSWER(FILE_DESCRIPTOR_RESPONSE)},
        {ASK(FILE_CONTAINING_SYMBOL), "Parameters", ANSWER(ERROR_RESPONSE)},
        {ASK(ALL_EXTENSION_NUMBERS_OF_TYPE), "tidemill.v1.Event", ANSWER(ALL_EXTENSION_NUMBERS_RESPONSE)},
        {ASK(ALL_EXTENSION_NUMBERS_OF_TYPE), "tidemill.v1.Events", ANSWER(ERROR_RESPONSE)},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        Request q = question(cases[i].ask, cases[i].text);
        Response *r = ask(*state, &q);
        assert_int_equal(r->message_response_case, cases[i].answer);
        if (cases[i].answer == ANSWER(ERROR_RESPONSE))
            assert_int_equal(r->error_response->error_code, tm_code_grpc(TM_NOT_FOUND));
        wire_free(&r->base);
    }
}

static void what_is_no_question_is_refused(void **state)
{
    static const uint8_t host_only[] = {0x0a, 1, 'h'}, cut[] = {0x1a, 9, 'x'};
    CLEANUP(buffer_close) struct buffer answer = {0}, huge = {0};
    struct tm_error err;
    static const uint8_t text[REFLECTION_REQUEST_MAX];
    wire_put_bytes(&huge, 7, bytes_of(text, sizeof text));
    assert_int_equal(reflection_answer(*state, bytes_of(NULL, 0), &answer, &err), TM_INVALID_ARGUMENT);
    assert_int_equal(reflection_answer(*state, bytes_of(host_only, 3), &answer, &err), TM_INVALID_ARGUMENT);
    assert_int_equal(reflection_answer(*state, bytes_of(cut, 3), &answer, &err), TM_INVALID_ARGUMENT);
    assert_int_equal(reflection_answer(*state, buffer_view(&huge), &answer, &err), TM_RESOURCE_EXHAUSTED);
    assert_int_equal(answer.size, 0);
}

/* Whatever a client sends, there is an answer that is a message, or an error with words. */
static void anything_gets_an_answer_or_an_error(void **state)
{
    uint64_t seed = 7;
    for (int i = 0; i < 200000; i++) {
        uint8_t wire[64] = "\x22\x13tidemill.v1.Ranking\x2a\x06\x0a\x01x\x10\x05";
        CLEANUP(buffer_close) struct buffer answer = {0};
        struct tm_error err = {0};
        for (int flips = 0; flips < 3; flips++)
            wire[below(&seed, 30)] = (uint8_t)draw(&seed);
        enum tm_code rc = reflection_answer(*state, bytes_of(wire, below(&seed, 31)), &answer, &err);
        assert_true(rc == TM_OK ? answer.size > 0 : answer.size == 0 && err.message[0] != '\0');
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_of_every_service_is_known),
        cmocka_unit_test(only_whole_names_are_found),
        cmocka_unit_test(what_is_no_path_of_a_method),
        cmocka_unit_test(imports_come_first),
        cmocka_unit_test(questions_are_answered_in_kind),
        cmocka_unit_test(what_is_no_question_is_refused),
        cmocka_unit_test(anything_gets_an_answer_or_an_error),
    };
    return cmocka_run_group_tests(tests, open_descriptors, close_descriptors);
}
