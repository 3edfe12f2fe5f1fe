#include "ps/server/http_pull.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/json.h"
#include "tidemill/v1/parameters.pb-c.h"

#define PULL_REQUEST &tidemill__v1__pull_request__descriptor

enum { TIMEOUT_DIGITS = 9 };
static const char timeout_name[] = "timeout_ms";

/* ---- who asked ---- */

static void reply(void *call, struct buffer *body)
{
    http_reply_message(call, &tidemill__v1__pull_reply__descriptor, body);
}

static void fail(void *call, const struct tm_error *why) { http_fail(call, why); }

static int64_t time_left_ms(void *call)
{
    const char *text = http_query(call, timeout_name);
    return text ? strtol(text, NULL, 10) : INT64_MAX;
}

/* ---- the request ---- */

static enum tm_code check_timeout(struct bytes value, struct tm_error *err)
{
    bool digits = value.size > 0 && value.size <= TIMEOUT_DIGITS;
    for (size_t i = 0; digits && i < value.size; i++)
        digits = value.data[i] >= '0' && value.data[i] <= '9';
    return digits ? TM_OK
                  : tm_error_set(err, TM_INVALID_ARGUMENT, "%s: expected a number of milliseconds, 1 to %d digits",
                                 timeout_name, TIMEOUT_DIGITS);
}

struct query {
    struct buffer *request; /* NULL: the body has it, only the time-out may stand in the query */
};

static enum tm_code take_parameter(void *context, const char *name, struct bytes value, struct tm_error *err)
{
    struct query *q = context;
    if (strcmp(name, timeout_name) == 0)
        return check_timeout(value, err);
    if (!q->request)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "query: only %s may stand in it; the rest is the body's",
                            timeout_name);
    return json_read_field(PULL_REQUEST, name, value, q->request, err);
}

void http_pull(struct parameters *p, struct http_request *r)
{
    struct pull_caller caller = {.call = r, .reply = reply, .fail = fail, .time_left_ms = time_left_ms};
    struct buffer request = {0};
    struct tm_error err;
    struct query q = {http_is_post(r) ? NULL : &request};
    enum tm_code rc = http_visit_query(r, take_parameter, &q, &err);
    if (rc == TM_OK && http_is_post(r))
        rc = json_read_message(PULL_REQUEST, http_body(r), &request, &err);
    struct bytes kept = http_keep(r, &request);
    if (rc == TM_OK)
        parameters_pull(p, &caller, kept);
    else
        http_fail(r, &err);
}
