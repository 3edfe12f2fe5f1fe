#include "tests/server/bandits.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "proto/wire.h"
#include "tests/server/instance.h"
#include "tests/server/traffic.h"
#include "tests/transport/transport.h"
#include "tidemill/v1/admin.pb-c.h"
#include "tidemill/v1/ranking.pb-c.h"

enum { RETRY_MS = 2, RANK_EVERY = 3, REWARD_EVERY = 4 }; /* each how manieth call is durable */

/* Asks until it is answered. The caller frees the reply. */
static ProtobufCMessage *ask(int port, uint32_t connection, const char *method, const ProtobufCMessage *request,
                             const ProtobufCMessageDescriptor *reply_type)
{
    CLEANUP(buffer_close) struct buffer wire = {0}, reply = {0};
    struct tm_error err;
    enum tm_code code;
    wire_pack(request, &wire);
    while ((code = transport_unary(port, connection, method, buffer_view(&wire), TRANSPORT_NO_DEADLINE, &reply,
                                   &err)) != TM_OK) {
        if (code != TM_UNAVAILABLE && code != TM_RESOURCE_EXHAUSTED)
            fprintf(stderr, "%s: %s: %s\n", method, tm_code_name(code), err.message);
        CHECK(code == TM_UNAVAILABLE || code == TM_RESOURCE_EXHAUSTED);
        nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000}, NULL);
    }
    ProtobufCMessage *m = wire_unpack(reply_type, buffer_view(&reply), INSTANCE_REPLY_MAX, &err);
    CHECK(m);
    return m;
}

static void rank(int port, uint32_t who, uint32_t round, char *request, char **docs, uint32_t order[BANDIT_SLOTS])
{
    Tidemill__V1__RankRequest q = TIDEMILL__V1__RANK_REQUEST__INIT;
    q.version = (char *)(uintptr_t)traffic_versions[round % 2];
    q.request = request;
    q.docs = docs;
    q.n_docs = BANDIT_DOCS;
    q.has_slots = q.has_durable = true;
    q.slots = BANDIT_SLOTS;
    q.durable = round % RANK_EVERY == 0;
    Tidemill__V1__RankReply *r =
        (void *)ask(port, who, "/tidemill.v1.Ranking/Rank", &q.base, &tidemill__v1__rank_reply__descriptor);
    CHECK(r->n_order == BANDIT_SLOTS && r->n_means == BANDIT_DOCS && r->n_scores == BANDIT_DOCS);
    CHECK(r->order[0] < BANDIT_DOCS && r->order[1] < BANDIT_DOCS && r->order[0] != r->order[1]);
    CHECK(r->durable == q.durable && r->has_position == q.durable && strcmp(r->request, request) == 0);
    memcpy(order, r->order, BANDIT_SLOTS * sizeof *order);
    wire_free(&r->base);
}

static void reward(int port, uint32_t who, uint32_t round, char *request, char *doc)
{
    Tidemill__V1__RewardRequest q = TIDEMILL__V1__REWARD_REQUEST__INIT;
    q.request = request;
    q.docs = &doc;
    q.n_docs = 1;
    q.has_durable = true;
    q.durable = round % REWARD_EVERY == 0;
    Tidemill__V1__RewardReply *r =
        (void *)ask(port, who, "/tidemill.v1.Ranking/Reward", &q.base, &tidemill__v1__reward_reply__descriptor);
    CHECK(r->durable == q.durable && r->has_position == q.durable);
    wire_free(&r->base);
}

static void *play(void *context)
{
    struct bandits *b = context;
    uint32_t who = atomic_fetch_add(&b->next, 1), order[BANDIT_SLOTS];
    char names[BANDIT_DOCS][16], *docs[BANDIT_DOCS], request[32];
    for (uint32_t i = 0; i < BANDIT_DOCS; i++) {
        traffic_doc(i, names[i]);
        docs[i] = names[i];
    }
    for (uint32_t round = 0; round < BANDIT_ROUNDS; round++) {
        snprintf(request, sizeof request, "bandit%" PRIu32 "-%" PRIu32, who, round);
        rank(b->port, who, round, request, docs, order);
        reward(b->port, who, round, request, docs[order[0]]);
        atomic_fetch_add(&b->rounds, 1);
    }
    return NULL;
}

void bandits_start(struct bandits *b, int port)
{
    b->port = port;
    for (int i = 0; i < BANDITS; i++)
        CHECK(pthread_create(&b->thread[i], NULL, play, b) == 0);
}

void bandits_join(struct bandits *b)
{
    for (int i = 0; i < BANDITS; i++)
        CHECK(pthread_join(b->thread[i], NULL) == 0);
}

void bandits_check(const struct bandits *b)
{
    CLEANUP(buffer_close) struct buffer reply = {0};
    struct tm_error err;
    uint64_t rounds = atomic_load(&b->rounds);
    instance_ask("/tidemill.v1.Admin/Drain", &reply);
    instance_ask("/tidemill.v1.Admin/Status", &reply);
    Tidemill__V1__StatusReply *r =
        (void *)wire_unpack(&tidemill__v1__status_reply__descriptor, buffer_view(&reply), INSTANCE_REPLY_MAX, &err);
    CHECK(r && r->imbalance == 0);
    for (size_t i = 0; i < r->n_streams; i++) {
        const Tidemill__V1__StreamStatus *s = r->streams[i];
        uint64_t want = strcmp(s->name, traffic_streams[LANE_IMPRESSIONS]) == 0 ? BANDIT_SLOTS * rounds : rounds;
        printf("%s: %" PRIu64 ", %" PRIu64 " of them again\n", s->name, s->consumed, s->duplicate);
        CHECK(s->consumed - s->duplicate == want);
        CHECK(s->late == 0 && s->orphaned == 0 && s->malformed == 0 && s->filtered == 0 && s->shed == 0);
    }
    wire_free(&r->base);
}
