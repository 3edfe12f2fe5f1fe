#include "client/sample_stream.h"

#include <stdlib.h>

#include "proto/wire.h"
#include "tidemill/v1/samples.pb-c.h"

typedef Tidemill__V1__SampleBatch Batch;

struct stream {
    const struct sample_sink *sink;
    struct sample_names names;
    bool begun;
};

static void close_texts(char **text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(text[i]);
    free(text);
}

static void stream_close(struct stream *x)
{
    free(x->names.generation);
    close_texts(x->names.label, x->names.labels);
    close_texts(x->names.version, x->names.versions);
}

static char *copy(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(mem_new(size, 1), text, size);
}

static void take_names(char *const *from, size_t count, char ***to, size_t *to_count)
{
    if (count == 0)
        return;
    close_texts(*to, *to_count);
    *to = mem_new(count, sizeof **to);
    *to_count = count;
    for (size_t i = 0; i < count; i++)
        (*to)[i] = copy(from[i]);
}

static bool is_whole(const Batch *m, size_t labels)
{
    size_t n = m->n_sequence;
    const size_t counts[] = {m->n_shard,
                             m->n_position,
                             m->n_id,
                             m->n_version,
                             m->n_requests,
                             m->n_docs,
                             m->n_users,
                             m->n_reward,
                             m->n_weight,
                             m->n_impression_time,
                             m->n_corrects,
                             m->n_score,
                             m->n_rank,
                             m->n_payload,
                             m->n_decision_time,
                             m->n_features,
                             m->n_encoding,
                             m->n_old_reward,
                             m->n_propensity,
                             m->n_representation,
                             m->n_tables,
                             m->n_keep_probability,
                             m->n_feature_records};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (counts[i] != n)
            return false;
    return m->n_labels == n * labels && m->n_old_labels == n * labels;
}

static void fill(const struct stream *x, const Batch *m, size_t i, struct sample_view *out)
{
    const struct sample_names *names = &x->names;
    *out = (struct sample_view){
        .names = names,
        .shard = m->shard[i],
        .sequence = m->sequence[i],
        .position = m->position[i],
        .corrects = m->corrects[i],
        .id = m->id[i],
        .version = m->version[i] < names->versions ? names->version[m->version[i]] : "",
        .request = m->requests[i],
        .doc = m->docs[i],
        .user = m->users[i],
        .representation = m->representation[i],
        .impression_time = m->impression_time[i],
        .decision_time = m->decision_time[i],
        .label = m->labels + i * names->labels,
        .old_label = m->old_labels + i * names->labels,
        .reward = m->reward[i],
        .old_reward = m->old_reward[i],
        .weight = m->weight[i],
        .keep = m->keep_probability[i],
        .score = m->score[i],
        .propensity = m->propensity[i],
        .rank = m->rank[i],
        .encoding = m->encoding[i],
        .features = bytes_of(m->features[i].data, m->features[i].len),
        .payload = bytes_of(m->payload[i].data, m->payload[i].len),
        .tables = bytes_of(m->tables[i].data, m->tables[i].len),
        .records = bytes_of(m->feature_records[i].data, m->feature_records[i].len),
    };
}

static enum tm_code take_batch(struct stream *x, const Batch *m, struct tm_error *err)
{
    const struct sample_sink *sink = x->sink;
    enum tm_code rc = TM_OK;
    take_names(m->label_names, m->n_label_names, &x->names.label, &x->names.labels);
    take_names(m->version_names, m->n_version_names, &x->names.version, &x->names.versions);
    if (!x->begun && m->generation)
        x->names.generation = copy(m->generation);
    if (!is_whole(m, x->names.labels))
        return tm_error_set(err, TM_IO, "a batch of %zu samples whose columns do not fit them", m->n_sequence);
    if (!x->begun && sink->begin)
        rc = sink->begin(sink->self, &x->names, err);
    x->begun = true;
    for (size_t i = 0; rc == TM_OK && i < m->n_sequence; i++) {
        struct sample_view s;
        fill(x, m, i, &s);
        rc = sink->sample(sink->self, &s, err);
    }
    if (rc == TM_OK && sink->batch)
        rc = sink->batch(sink->self, m->lost, m->done_bytes, m->total_bytes, err);
    return rc;
}

static enum tm_code receive(struct stream *x, struct duplex *d, struct tm_error *err)
{
    enum duplex_event event = DUPLEX_NOTHING;
    ProtobufCMessage *reply = NULL;
    enum tm_code rc = TM_OK;
    while (rc == TM_OK && event != DUPLEX_ENDED) {
        rc = duplex_next(d, -1, &event, &reply, err);
        if (rc == TM_OK && event == DUPLEX_SENT)
            duplex_finish(d);
        if (rc == TM_OK && event == DUPLEX_MESSAGE) {
            rc = take_batch(x, (const Batch *)reply, err);
            wire_free(reply);
        }
    }
    if (rc == TM_OK && !x->begun)
        rc = tm_error_set(err, TM_IO, "the server sent nothing");
    return rc;
}

enum tm_code sample_stream(const struct settings *s, const char *method, const ProtobufCMessage *request,
                           const struct sample_sink *sink, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer packed = {0};
    struct stream x = {.sink = sink};
    struct connection *c = connection_open(s->server);
    struct duplex *d = duplex_open(c, method, &tidemill__v1__sample_batch__descriptor, s->timeout_ms);
    wire_pack(request, &packed);
    duplex_send(d, buffer_view(&packed));
    enum tm_code rc = receive(&x, d, err);
    duplex_close(d);
    connection_close(c);
    stream_close(&x);
    return rc;
}
