#include "ps/server/http_ranking.h"

#include "proto/json.h"
#include "tidemill/v1/ranking.pb-c.h"

static void fail(void *call, const struct tm_error *why) { http_fail(call, why); }

static void reply_rank(void *call, struct buffer *body)
{
    http_reply_message(call, &tidemill__v1__rank_reply__descriptor, body);
}

static void reply_reward(void *call, struct buffer *body)
{
    http_reply_message(call, &tidemill__v1__reward_reply__descriptor, body);
}

/* False: it was refused. */
static bool read_body(struct http_request *r, const ProtobufCMessageDescriptor *type, struct bytes *request)
{
    struct buffer wire = {0};
    struct tm_error err;
    enum tm_code rc = json_read_message(type, http_body(r), &wire, &err);
    *request = http_keep(r, &wire);
    if (rc != TM_OK)
        http_fail(r, &err);
    return rc == TM_OK;
}

void http_rank(struct ranking *ranking, struct http_request *r)
{
    struct bytes request;
    if (read_body(r, &tidemill__v1__rank_request__descriptor, &request))
        ranking_rank(ranking, &(struct caller){r, reply_rank, fail}, request);
}

void http_reward(struct ranking *ranking, struct http_request *r)
{
    struct bytes request;
    if (read_body(r, &tidemill__v1__reward_request__descriptor, &request))
        ranking_reward(ranking, &(struct caller){r, reply_reward, fail}, request);
}
