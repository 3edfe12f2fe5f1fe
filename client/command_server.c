/* The commands that ask the server as a whole: drain, health. */
#include <inttypes.h>

#include "client/commands.h"
#include "grpc/health/v1/health.pb-c.h"
#include "proto/wire.h"
#include "tidemill/v1/admin.pb-c.h"

static void print_drained(const ProtobufCMessage *request, const ProtobufCMessage *reply)
{
    (void)request;
    printf("drained up to position %" PRIu64 "\n", ((const Tidemill__V1__DrainReply *)reply)->position);
}

int command_drain(const struct command *self, int argc, char **argv)
{
    Tidemill__V1__DrainRequest request = TIDEMILL__V1__DRAIN_REQUEST__INIT;
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    command_parse(self, NULL, NULL, NULL, &settings, argc, argv);
    return command_show(&settings, "/tidemill.v1.Admin/Drain", &request.base, &tidemill__v1__drain_reply__descriptor,
                        print_drained);
}

static enum tm_code check_health(const struct settings *settings, const char *service, bool *serving,
                                 struct tm_error *err)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.service = (char *)(uintptr_t)service; /* packing only reads */
    enum tm_code rc = command_call(settings, "/grpc.health.v1.Health/Check", &request.base,
                                   &grpc__health__v1__health_check_response__descriptor, &reply, err);
    if (rc == TM_OK)
        *serving = ((const Grpc__Health__V1__HealthCheckResponse *)reply)->status ==
                   GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    wire_free(reply);
    return rc;
}

int command_health(const struct command *self, int argc, char **argv)
{
    static const char *const names[] = {"serving", "taking_events"};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    struct tm_error err = {0};
    bool serving = false, taking = false;
    command_parse(self, NULL, NULL, NULL, &settings, argc, argv);
    if (check_health(&settings, "", &serving, &err) != TM_OK ||
        check_health(&settings, "tidemill.v1.Events", &taking, &err) != TM_OK)
        return command_failed(&err);
    if (settings.output == OUTPUT_JSON) {
        putchar('{');
        print_json_fields(stdout, names, (struct cell[]){cell_bool(serving), cell_bool(taking)}, ARRAY_LEN(names));
        puts("}");
        return command_flushed(serving ? 0 : EXIT_UNHEALTHY);
    }
    puts(!serving ? "not serving" : taking ? "serving" : "serving, but no events are taken: tidemill status says why");
    return command_flushed(serving ? 0 : EXIT_UNHEALTHY);
}
