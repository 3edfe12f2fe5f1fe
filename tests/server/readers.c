#include "tests/server/readers.h"

#include <stdio.h>
#include <time.h>

#include "grpc/health/v1/health.pb-c.h"
#include "proto/wire.h"
#include "tests/server/traffic.h"
#include "tests/transport/transport.h"
#include "tidemill/v1/admin.pb-c.h"
#include "tidemill/v1/parameters.pb-c.h"
#include "tidemill/v1/samples.pb-c.h"

enum { REPLY_MAX = 8 << 20, PULL_DOCS = 60, SHORT_MS = 20, WATCHED_MS = 50 };

static void pause_ms(long ms) { nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL); }

/* UNAVAILABLE is what a server says that leaves, and what a cancelled call ends with; `other` is the one further code
 * that the caller expects. */
static bool is_answer(struct reader_thread *t, enum tm_code code, enum tm_code other, const struct tm_error *status)
{
    if (code == TM_OK) {
        t->answered++;
        return true;
    }
    t->refused++;
    if (code == TM_UNAVAILABLE)
        pause_ms(2);
    else if (code != other) {
        fprintf(stderr, "reader %d: %s: %s\n", (int)t->kind, tm_code_name(code), status->message);
        CHECK(!"an answer that may be given");
    }
    return false;
}

static void *unpack(const ProtobufCMessageDescriptor *type, const struct buffer *reply)
{
    struct tm_error err;
    ProtobufCMessage *m = wire_unpack(type, buffer_view(reply), REPLY_MAX, &err);
    CHECK(m);
    return m;
}

/* ---- Pull ---- */

static void put_pull(uint32_t version, uint64_t at_least, struct buffer *out)
{
    enum { VERSION = 1, DOCS, AT_LEAST, STATISTICS };
    char doc[16];
    out->size = 0;
    wire_put_bytes(out, VERSION, bytes_text(traffic_versions[version]));
    for (uint32_t d = 0; d < PULL_DOCS; d++) {
        traffic_doc(d, doc);
        wire_put_bytes(out, DOCS, bytes_text(doc));
    }
    wire_put_integer(out, AT_LEAST, at_least);
    wire_put_integer(out, STATISTICS, 1);
}

/* Reads its producer's writes, and no value that cannot be: Beta counts are whole numbers above a prior of (1, 1). */
static void pull(struct reader_thread *t, uint32_t round)
{
    CLEANUP(buffer_close) struct buffer request = {0}, reply = {0};
    struct tm_error status;
    uint64_t at_least = atomic_load(t->readers->position);
    put_pull(round % 2, at_least, &request);
    enum tm_code code = transport_unary(t->readers->port, round, "/tidemill.v1.Parameters/Pull", buffer_view(&request),
                                        TRANSPORT_NO_DEADLINE, &reply, &status);
    if (!is_answer(t, code, TM_UNAVAILABLE, &status))
        return;
    Tidemill__V1__PullReply *r = unpack(&tidemill__v1__pull_reply__descriptor, &reply);
    CHECK(r->position >= at_least && r->durable_position >= at_least);
    CHECK(r->n_values == 2 * PULL_DOCS && r->n_n == PULL_DOCS);
    for (uint32_t d = 0; d < PULL_DOCS; d++)
        CHECK(r->values[2 * d] + r->values[2 * d + 1] == 2 + (double)r->n[d]);
    wire_free(&r->base);
}

/* Waits for a position that will not come: until its deadline, or until its caller has enough of it. */
static void pull_late(struct reader_thread *t, uint32_t round)
{
    CLEANUP(buffer_close) struct buffer request = {0}, reply = {0};
    struct tm_error status;
    put_pull(0, UINT64_MAX, &request);
    struct bytes wire = buffer_view(&request);
    struct grpc_call *call = transport_call(t->readers->port, round, "/tidemill.v1.Parameters/Pull", &wire,
                                            round % 2 ? SHORT_MS : TRANSPORT_NO_DEADLINE);
    if (!call) {
        pause_ms(2);
        return;
    }
    if (round % 2)
        CHECK(!transport_read(call, &reply));
    else
        pause_ms(1);
    CHECK(!is_answer(t, transport_end(call, &status), TM_DEADLINE_EXCEEDED, &status));
}

/* ---- Admin ---- */

static bool ask(struct reader_thread *t, const char *method, uint32_t connection, struct buffer *reply)
{
    struct tm_error status;
    enum tm_code code =
        transport_unary(t->readers->port, connection, method, bytes_text(""), TRANSPORT_NO_DEADLINE, reply, &status);
    return is_answer(t, code, TM_UNAVAILABLE, &status);
}

static void status(struct reader_thread *t, uint32_t round)
{
    CLEANUP(buffer_close) struct buffer reply = {0};
    if (!ask(t, "/tidemill.v1.Admin/Status", round, &reply))
        return;
    Tidemill__V1__StatusReply *r = unpack(&tidemill__v1__status_reply__descriptor, &reply);
    CHECK(r->imbalance == 0 && r->n_streams == LANE_COUNT);
    wire_free(&r->base);
}

static void drain(struct reader_thread *t, uint32_t round)
{
    CLEANUP(buffer_close) struct buffer reply = {0};
    uint64_t before = atomic_load(t->readers->position);
    if (!ask(t, "/tidemill.v1.Admin/Drain", round, &reply))
        return;
    Tidemill__V1__DrainReply *r = unpack(&tidemill__v1__drain_reply__descriptor, &reply);
    CHECK(r->position >= before);
    wire_free(&r->base);
    pause_ms(20);
}

static void digest(struct reader_thread *t, uint32_t round)
{
    CLEANUP(buffer_close) struct buffer reply = {0};
    if (!ask(t, "/tidemill.v1.Admin/Digest", round, &reply))
        return;
    Tidemill__V1__DigestReply *r = unpack(&tidemill__v1__digest_reply__descriptor, &reply);
    CHECK(r->n_digests == ARRAY_LEN(traffic_versions));
    wire_free(&r->base);
    pause_ms(20);
}

/* Reads slowly; every third one hangs up in the middle. */
static void export(struct reader_thread *t, uint32_t round)
{
    enum { VERSION = 1 };
    CLEANUP(buffer_close) struct buffer request = {0}, reply = {0};
    struct tm_error status;
    wire_put_bytes(&request, VERSION, bytes_text(traffic_versions[round % 2]));
    struct bytes wire = buffer_view(&request);
    struct grpc_call *call =
        transport_call(t->readers->port, round, "/tidemill.v1.Admin/Export", &wire, TRANSPORT_NO_DEADLINE);
    if (!call) {
        pause_ms(2);
        return;
    }
    for (uint32_t i = 0; (i < 1 || round % 3) && transport_read(call, &reply); i++) {
        Tidemill__V1__ExportReply *r = unpack(&tidemill__v1__export_reply__descriptor, &reply);
        CHECK(r->n_positives == r->n_docs && r->n_values == (size_t)r->width * r->n_docs);
        wire_free(&r->base);
        pause_ms(1);
    }
    is_answer(t, transport_end(call, &status), TM_UNAVAILABLE, &status);
    pause_ms(20);
}

/* SERVING at once, then either nothing until the reader hangs up, or NOT_SERVING and the end. */
static void watch(struct reader_thread *t, uint32_t round)
{
    CLEANUP(buffer_close) struct buffer reply = {0};
    struct tm_error status;
    struct bytes empty = bytes_text("");
    struct grpc_call *call = transport_call(t->readers->port, round, "/grpc.health.v1.Health/Watch", &empty,
                                            round % 2 ? WATCHED_MS : TRANSPORT_NO_DEADLINE);
    if (!call) {
        pause_ms(2);
        return;
    }
    for (bool more = transport_read(call, &reply); more; more = round % 2 && transport_read(call, &reply)) {
        Grpc__Health__V1__HealthCheckResponse *r = unpack(&grpc__health__v1__health_check_response__descriptor, &reply);
        t->answered += r->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
        wire_free(&r->base);
    }
    CHECK(!is_answer(t, transport_end(call, &status), TM_DEADLINE_EXCEEDED, &status));
}

/* ---- samples ---- */

enum { SHARDS_MAX = 64 };

/* Of each shard in the order of the sequence, none left out. next: per shard, 0 before its first sample. */
static void check_samples(const Tidemill__V1__SampleBatch *m, uint64_t next[static SHARDS_MAX])
{
    CHECK(m->lost == 0 && m->n_docs == m->n_sequence && m->n_id == m->n_sequence && m->n_labels == m->n_sequence);
    for (size_t i = 0; i < m->n_sequence; i++) {
        CHECK(m->shard[i] < SHARDS_MAX && *m->docs[i] && *m->requests[i]);
        CHECK(next[m->shard[i]] == 0 || m->sequence[i] == next[m->shard[i]]);
        next[m->shard[i]] = m->sequence[i] + 1;
    }
}

/* A slow export, or somebody who follows for a while and hangs up. */
static void samples(struct reader_thread *t, uint32_t round)
{
    enum { LAST = 2, FOLLOW };
    CLEANUP(buffer_close) struct buffer request = {0}, reply = {0};
    uint64_t next[SHARDS_MAX] = {0};
    struct tm_error status;
    bool follow = round % 2;
    if (follow) {
        wire_put_integer(&request, LAST, 0);
        wire_put_integer(&request, FOLLOW, true);
    }
    struct bytes wire = buffer_view(&request);
    struct grpc_call *call = transport_call(
        t->readers->port, round, follow ? "/tidemill.v1.Admin/TailSamples" : "/tidemill.v1.Admin/ExportSamples", &wire,
        follow ? WATCHED_MS : TRANSPORT_NO_DEADLINE);
    if (!call) {
        pause_ms(2);
        return;
    }
    for (uint32_t i = 0; (follow || i < 1 || round % 3) && transport_read(call, &reply); i++) {
        Tidemill__V1__SampleBatch *m = unpack(&tidemill__v1__sample_batch__descriptor, &reply);
        check_samples(m, next);
        wire_free(&m->base);
        pause_ms(1);
    }
    is_answer(t, transport_end(call, &status), TM_DEADLINE_EXCEEDED, &status);
}

/* It may be told that nothing is kept yet; every third one waits next to no time. */
static void comparison(struct reader_thread *t, uint32_t round)
{
    enum { A = 1, B, HURRIED_MS = 5 };
    CLEANUP(buffer_close) struct buffer request = {0}, reply = {0};
    struct tm_error status;
    bool result = false;
    wire_put_bytes(&request, A, bytes_text(traffic_versions[0]));
    wire_put_bytes(&request, B, bytes_text(traffic_versions[1]));
    struct bytes wire = buffer_view(&request);
    struct grpc_call *call = transport_call(t->readers->port, round, "/tidemill.v1.Admin/CompareVersions", &wire,
                                            round % 3 ? TRANSPORT_NO_DEADLINE : HURRIED_MS);
    if (!call) {
        pause_ms(2);
        return;
    }
    while (transport_read(call, &reply)) {
        Tidemill__V1__CompareVersionsReply *m = unpack(&tidemill__v1__compare_versions_reply__descriptor, &reply);
        result = m->n_versions == 2;
        CHECK(m->lost == 0 && m->done_bytes <= m->total_bytes && (!result || m->versions[0]->samples > 0));
        wire_free(&m->base);
    }
    enum tm_code code = transport_end(call, &status);
    CHECK(code != TM_OK || result);
    is_answer(t, code, code == TM_FAILED_PRECONDITION ? code : TM_DEADLINE_EXCEEDED, &status);
}

/* ---- threads ---- */

static void (*const turns[READ_KINDS])(struct reader_thread *t, uint32_t round) = {
    [READ_PULL] = pull,   [READ_PULL_LATE] = pull_late, [READ_STATUS] = status,
    [READ_DRAIN] = drain, [READ_DIGEST] = digest,       [READ_EXPORT] = export,
    [READ_WATCH] = watch, [READ_SAMPLES] = samples,     [READ_COMPARISON] = comparison};

static void *run(void *context)
{
    struct reader_thread *t = context;
    for (uint32_t round = 0; !atomic_load(&t->readers->stop); round++)
        turns[t->kind](t, round);
    return NULL;
}

void readers_start(struct readers *r, int port, const atomic_uint_fast64_t *position)
{
    *r = (struct readers){.port = port, .position = position};
    for (uint32_t k = 0; k < READ_KINDS; k++) {
        r->thread[k].readers = r;
        r->thread[k].kind = (enum reader_kind)k;
        CHECK(pthread_create(&r->thread[k].thread, NULL, run, &r->thread[k]) == 0);
    }
}

void readers_stop(struct readers *r)
{
    for (uint32_t k = 0; k < READ_KINDS; k++)
        while (k != READ_PULL_LATE && atomic_load(&r->thread[k].answered) < READERS_ANSWERED)
            pause_ms(2);
    atomic_store(&r->stop, true);
    for (uint32_t k = 0; k < READ_KINDS; k++)
        CHECK(pthread_join(r->thread[k].thread, NULL) == 0);
}
