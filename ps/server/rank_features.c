#include "ps/server/rank_features.h"

#include <inttypes.h>
#include <stdlib.h>

#include "learner/features.h"
#include "ps/state/version_input.h"

/* Numbers of a candidate, the context's among them. */
static enum tm_code measure(const struct rank_request *q, uint32_t *width, struct tm_error *err)
{
    size_t shared = q->context.size / sizeof(float), own = q->features.size / sizeof(float);
    *width = (uint32_t)(shared + own / q->count);
    if (own % q->count != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: %zu numbers of %" PRIu32 " candidates; expected as many of each", own, q->count);
    return TM_OK;
}

static enum tm_code check_shape(const struct rank_request *q, const struct version *v, const struct encoder *encoder,
                                uint32_t width, struct tm_error *err)
{
    size_t shared = q->context.size / sizeof(float);
    uint32_t expected = encoder ? encoder_layout(encoder)->dense : v->config.dimension;
    if (encoder && encoder_layout(encoder)->field_count)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: the encoder of version %s takes ids; candidates are described by numbers alone",
                            v->name);
    if (model_uses_features(v->model) && width != expected)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: %zu of each candidate behind %zu of context; expected %" PRIu32
                            " together, the %s of version %s",
                            width - shared, shared, expected, encoder ? "encoder's input" : "dimension", v->name);
    return TM_OK;
}

/* As of events: what names the encoder's representation is encoded already, and *encoder becomes NULL. */
static enum tm_code check_representation(const struct rank_request *q, const struct version *v,
                                         const struct encoder **encoder, struct tm_error *err)
{
    struct encoder_id id = {{0}};
    if (*encoder && q->representation.size == 0)
        return TM_OK;
    if (*encoder)
        id = encoder_representation(*encoder);
    const char *wanted = *encoder ? id.text : v->representation;
    if (wanted[0] && !bytes_equal(q->representation, bytes_text(wanted)))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "representation: expected %s, which version %s learns from",
                            wanted, v->name);
    *encoder = NULL;
    return TM_OK;
}

static void gather(const struct rank_request *q, struct rank_features *f)
{
    size_t shared = q->context.size, own = q->features.size / q->count;
    f->raw = mem_new((size_t)q->count * f->width, sizeof *f->raw);
    uint8_t *at = (uint8_t *)f->raw;
    for (uint32_t i = 0; i < q->count; i++, at += shared + own) {
        if (shared)
            memcpy(at, q->context.data, shared);
        if (own)
            memcpy(at + shared, q->features.data + i * own, own);
    }
}

static enum tm_code encode(const struct rank_request *q, const struct encoder *encoder, struct rank_features *f,
                           struct tm_error *err)
{
    struct encoder_input *rows = mem_new(q->count, sizeof *rows);
    enum tm_code rc = TM_OK;
    for (uint32_t i = 0; rc == TM_OK && i < q->count; i++) {
        rows[i].dense = f->raw + (size_t)i * f->width;
        rc = encoder_takes(encoder, &rows[i], err);
        if (rc != TM_OK)
            tm_error_wrap(err, "docs[%" PRIu32 "]", i);
    }
    if (rc == TM_OK) {
        float *room = mem_new(encoder_room(encoder), sizeof *room);
        f->x = mem_new((size_t)q->count * encoder_width(encoder), sizeof *f->x);
        encoder_run(encoder, rows, q->count, room, f->x);
        free(room);
    }
    free(rows);
    return rc;
}

static enum tm_code check_range(const struct rank_request *q, const struct version *v, const struct rank_features *f,
                                struct tm_error *err)
{
    struct example sample = {.weight = 1};
    for (uint32_t i = 0; i < q->count; i++) {
        sample.x = f->x + (size_t)i * v->config.dimension;
        if (features_take(&v->config, &sample, err) != TM_OK)
            return tm_error_wrap(err, "docs[%" PRIu32 "]", i);
    }
    return TM_OK;
}

/* ---- with rows of tables ---- */

/* Of one candidate, as a shard makes it of an impression's event and the rows. */
struct gathering {
    struct buffer packed;
    struct feature_vector vector;
    struct encoding encoding;
};

static enum tm_code pack_candidate(const struct rank_request *q, const struct rank_tables *t,
                                   const struct rank_features *f, uint32_t candidate, struct buffer *out,
                                   struct tm_error *err)
{
    struct event sent = {.representation = q->representation};
    out->size = 0;
    if (f->raw) {
        sent.features = bytes_of(f->raw + (size_t)candidate * f->width, f->width * sizeof *f->raw);
        sent.has = EVENT_HAS_FEATURES;
    }
    feature_pack(out, &sent);
    for (uint32_t k = 0; k < t->count; k++)
        if (!version_input_add_row(out, rank_tables_row(t, candidate, k)))
            return tm_error_set(err, TM_FAILED_PRECONDITION,
                                "docs[%" PRIu32 "]: table %s has no row with features for it, so a sample of it would "
                                "have none",
                                candidate, t->schema->stream_name[t->stream[k]]);
    return TM_OK;
}

static enum tm_code take_candidate(const struct version *v, const struct encoder *encoder, struct gathering *g,
                                   uint32_t candidate, float *x, struct tm_error *err)
{
    struct bytes packed = buffer_view(&g->packed);
    CHECK(feature_vector_unpack(packed, &g->vector));
    encoding_forget(&g->encoding);
    enum joiner_reason reason = version_input_judge(v, encoder, &g->vector, &g->encoding, packed, 1);
    if (reason != REASON_NONE)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "docs[%" PRIu32 "]: with the rows of its tables %s, version %s; %s", candidate,
                            joiner_reason_meaning(reason), v->name, joiner_reason_hint(reason));
    memcpy(x, version_input_x(encoder, &g->vector, &g->encoding, packed), v->config.dimension * sizeof *x);
    return TM_OK;
}

static bool has_feature_streams(const struct catalog *c)
{
    for (uint32_t i = 0; i < c->join.streams; i++)
        if (c->join.stream[i].kind == JOINER_FEATURES)
            return true;
    return false;
}

static enum tm_code take_with_rows(const struct rank_request *q, const struct version *v, const struct encoder *encoder,
                                   const struct rank_tables *t, struct rank_features *f, struct tm_error *err)
{
    struct gathering g = {0};
    enum tm_code rc = TM_OK;
    if (!f->raw && has_feature_streams(t->schema))
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: missing; where there are feature streams, rows of tables alone are no features");
    f->x = mem_new((size_t)q->count * v->config.dimension, sizeof *f->x);
    for (uint32_t i = 0; rc == TM_OK && i < q->count; i++) {
        rc = pack_candidate(q, t, f, i, &g.packed, err);
        if (rc == TM_OK)
            rc = take_candidate(v, encoder, &g, i, f->x + (size_t)i * v->config.dimension, err);
    }
    buffer_close(&g.packed);
    feature_vector_close(&g.vector);
    encoding_close(&g.encoding);
    return rc;
}

/* ---- all of it ---- */

static enum tm_code take_sent(const struct rank_request *q, const struct version *v, const struct encoder *encoder,
                              struct rank_features *f, struct tm_error *err)
{
    enum tm_code rc = check_representation(q, v, &encoder, err);
    if (rc == TM_OK)
        rc = check_shape(q, v, encoder, f->width, err);
    if (rc != TM_OK || f->width == 0)
        return rc;
    gather(q, f);
    if (encoder)
        rc = encode(q, encoder, f, err);
    else
        f->x = f->raw;
    return rc == TM_OK && model_uses_features(v->model) ? check_range(q, v, f, err) : rc;
}

enum tm_code rank_features_take(const struct rank_request *q, const struct version *v, const struct encoder *encoder,
                                const struct rank_tables *tables, struct rank_features *f, struct tm_error *err)
{
    *f = (struct rank_features){0};
    enum tm_code rc = measure(q, &f->width, err);
    if (rc != TM_OK)
        return rc;
    if (tables->count == 0 || !model_uses_features(v->model))
        return take_sent(q, v, encoder, f, err);
    if (f->width)
        gather(q, f);
    return take_with_rows(q, v, encoder, tables, f, err);
}

void rank_features_close(struct rank_features *f)
{
    if (f->x != f->raw)
        free(f->x);
    free(f->raw);
    *f = (struct rank_features){0};
}
