/* rank_request_scan against protobuf-c: whatever the bytes, both read the same request, and what only one of them
 * refuses is beyond a bound of ours. */
#include "proto/event.h"
#include "proto/wire.h"
#include "ps/server/rank_request.h"
#include "tidemill/v1/ranking.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef Tidemill__V1__RankRequest Message;

static bool same_text(struct bytes a, const char *b) { return b ? a.data && bytes_equal(a, bytes_text(b)) : !a.data; }

static bool same_numbers(const struct buffer *a, const float *b, size_t count)
{
    return bytes_equal(buffer_view(a), bytes_of(b, count * sizeof *b));
}

static bool same_ids(const struct buffer *a, const uint32_t *b, size_t count)
{
    return bytes_equal(buffer_view(a), bytes_of(b, count * sizeof *b));
}

static bool same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

static void compare(const struct rank_request *q, const Message *m)
{
    CHECK(same_text(q->version, m->version) && same_text(q->request, m->request) && same_text(q->user, m->user));
    CHECK(same_text(q->representation, m->representation) && same_text(q->stream, m->stream));
    CHECK(q->count == m->n_docs);
    for (uint32_t i = 0; i < q->count; i++)
        CHECK(same_text(q->docs[i], m->docs[i]));
    CHECK(same_numbers(&q->context, m->context, m->n_context) &&
          same_numbers(&q->features, m->features, m->n_features));
    CHECK(same_ids(&q->context_ids, m->context_ids, m->n_context_ids) && same_ids(&q->ids, m->ids, m->n_ids) &&
          same_ids(&q->id_counts, m->id_counts, m->n_id_counts));
    CHECK(bytes_equal(q->payload, bytes_of(m->payload.data, m->payload.len)));
    CHECK(rank_has(q, RANK_SEED) == m->has_seed && (!m->has_seed || q->seed == m->seed));
    CHECK(rank_has(q, RANK_EPSILON) == m->has_epsilon && (!m->has_epsilon || same_bits(q->epsilon, m->epsilon)));
    CHECK(rank_has(q, RANK_WIDTH) == m->has_width && (!m->has_width || same_bits(q->width, m->width)));
    CHECK(rank_has(q, RANK_POLICY) == m->has_policy && (!m->has_policy || (int)q->policy == (int)m->policy));
    CHECK(q->log == (!m->has_log || m->log) && q->durable == (m->has_durable && m->durable));
}

/* Beyond 32 bits protobuf-c cuts numbers off; we do not. */
static bool is_bounded(const Message *m)
{
    bool bounded = m->n_docs >= 1 && m->n_docs <= RANK_DOCS_MAX && m->payload.len <= RANK_PAYLOAD_MAX;
    for (size_t i = 0; bounded && i < m->n_docs; i++)
        bounded = m->docs[i][0] && strlen(m->docs[i]) <= EVENT_ID_MAX;
    return bounded;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rank_request q;
    struct tm_error err;
    struct bytes wire = bytes_of(data, size);
    enum tm_code rc = rank_request_scan(wire, &q, &err);
    Message *m = (void *)wire_unpack(&tidemill__v1__rank_request__descriptor, wire, EVENT_SIZE_MAX, NULL);
    CHECK(rc == TM_OK || err.message[0]);
    if (m && rc == TM_OK)
        compare(&q, m);
    CHECK(!m || rc == TM_OK || !is_bounded(m) || strstr(err.message, "policy") || strstr(err.message, "payload") ||
          strstr(err.message, "expected at most 4294967295"));
    wire_free(m ? &m->base : NULL);
    if (rc == TM_OK)
        rank_request_close(&q);
    return 0;
}
