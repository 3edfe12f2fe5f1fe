#include "ps/server/rank_features.h"

#include <inttypes.h>
#include <stdlib.h>

#include "learner/features.h"
#include "ps/server/rank_ids.h"
#include "ps/state/version_input.h"
#include "tidemill/v1/events.pb-c.h"

/* What a request says of its candidates. */
struct told {
    const struct rank_request *q;
    uint32_t shared, width; /* numbers: of the context, and with it of each candidate */
    struct rank_ids ids;
};

static enum tm_code measure(struct told *t, struct tm_error *err)
{
    const struct rank_request *q = t->q;
    size_t shared = q->context.size / sizeof(float), own = q->features.size / sizeof(float);
    if (q->representation.size > EVENT_ID_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "representation: %zu bytes; expected at most %d",
                            q->representation.size, EVENT_ID_MAX);
    if (own % q->count != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: %zu numbers of %" PRIu32 " candidates; expected as many of each", own, q->count);
    own /= q->count;
    if (shared + own > FEATURES_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: %zu of each candidate behind %zu of context; expected at most %d together", own,
                            shared, FEATURES_MAX);
    t->shared = (uint32_t)shared;
    t->width = (uint32_t)(shared + own);
    return TM_OK;
}

/* ---- does the version take it? ---- */

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

/* They are every candidate's, so the encoder would blame the first one. */
static enum tm_code check_context_ids(const struct told *t, const struct encoder_layout *l, struct tm_error *err)
{
    const uint32_t *id = (const void *)t->q->context_ids.data;
    uint64_t end = l->dense;
    for (uint32_t i = 0; i < l->field_count; i++)
        end += l->field[i].rows;
    for (size_t k = 0; k < t->q->context_ids.size / sizeof *id; k++)
        if (id[k] >= end)
            return tm_error_set(err, TM_INVALID_ARGUMENT,
                                "context_ids[%zu]: %" PRIu32 "; expected less than %" PRIu64
                                ", the end of the encoder's tables",
                                k, id[k], end);
    return TM_OK;
}

static enum tm_code check_shape(const struct told *t, const struct version *v, const struct encoder *encoder,
                                struct tm_error *err)
{
    uint32_t expected = encoder ? encoder_layout(encoder)->dense : v->config.dimension;
    if (t->width != expected)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: %" PRIu32 " of each candidate behind %" PRIu32 " of context; expected %" PRIu32
                            " together, the %s of version %s",
                            t->width - t->shared, t->shared, expected, encoder ? "encoder's numbers" : "dimension",
                            v->name);
    if (t->ids.id && !(encoder && encoder_layout(encoder)->field_count))
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "ids: %zu with those of context_ids; expected none, version %s takes numbers alone%s",
                            t->ids.end[t->q->count], v->name,
                            t->q->representation.size ? " of that representation" : "");
    return t->ids.id ? check_context_ids(t, encoder_layout(encoder), err) : TM_OK;
}

/* What is known before the rows are behind it. */
static enum tm_code check_before_rows(const struct told *t, const struct rank_tables *tables, struct tm_error *err)
{
    if (t->ids.id)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "ids: rows of tables come behind what is sent, and nothing can come behind ids; expected "
                            "them in rows of the last table alone");
    if (t->width == 0 && tables->sources.feature_streams)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: missing; where there are feature streams, rows of tables alone are no features");
    return TM_OK;
}

/* ---- what events carry ---- */

static void put_numbers(const struct told *t, uint32_t candidate, struct buffer *out)
{
    size_t own = (t->width - t->shared) * sizeof(float);
    buffer_put(out, t->q->context.data, t->q->context.size);
    buffer_put(out, t->q->features.data ? t->q->features.data + candidate * own : NULL, own);
}

/* Every number, be it 0, and a one for each id. */
static void put_sparse(const struct told *t, uint32_t candidate, struct buffer *out)
{
    const float one = 1;
    const uint32_t *id = t->ids.id + t->ids.end[candidate];
    size_t ids = t->ids.end[candidate + 1] - t->ids.end[candidate];
    for (uint32_t i = 0; i < t->width; i++)
        buffer_put_u32(out, i);
    buffer_put(out, id, ids * sizeof *id);
    put_numbers(t, candidate, out);
    for (size_t k = 0; k < ids; k++)
        buffer_put(out, &one, sizeof one);
}

static void gather(const struct told *t, struct rank_features *f)
{
    f->there = true;
    f->encoding = t->ids.id ? TIDEMILL__V1__FEATURE_ENCODING__SPARSE_FLOAT32 : TIDEMILL__V1__FEATURE_ENCODING__FLOAT32;
    f->end = mem_new(t->q->count + 1, sizeof *f->end);
    for (uint32_t i = 0; i < t->q->count; i++) {
        if (t->ids.id)
            put_sparse(t, i, &f->sent);
        else
            put_numbers(t, i, &f->sent);
        f->end[i + 1] = f->sent.size;
    }
}

/* ---- x ---- */

static enum tm_code check_range(const struct told *t, const struct version *v, const struct rank_features *f,
                                struct tm_error *err)
{
    struct example sample = {.weight = 1};
    for (uint32_t i = 0; i < t->q->count; i++) {
        sample.x = f->x + (size_t)i * v->config.dimension;
        if (features_take(&v->config, &sample, err) != TM_OK)
            return tm_error_wrap(err, "docs[%" PRIu32 "]", i);
    }
    return TM_OK;
}

struct candidate {
    const struct rank_tables *tables;
    uint32_t number;
};

/* What feature streams would bring is sent with the call. */
static bool find_row(void *context, uint8_t stream, struct event *out)
{
    const struct candidate *c = context;
    struct bytes row = rank_tables_row(c->tables, c->number, stream);
    if (row.size) /* it was read when it was stored */
        CHECK(event_scan(row, out, NULL) == TM_OK);
    return row.size > 0;
}

/* One candidate as a shard packs an impression's event and the rows. */
static enum tm_code pack_candidate(const struct told *t, const struct rank_tables *tables,
                                   const struct rank_features *f, uint32_t candidate, struct buffer *out,
                                   struct tm_error *err)
{
    struct event sent = {.representation = t->q->representation, .encoding = f->encoding};
    struct candidate about = {tables, candidate};
    uint8_t lacking = 0;
    if (f->there) {
        sent.features = rank_features_sent(f, candidate);
        sent.has = EVENT_HAS_FEATURES;
    }
    const struct input_parts parts = {tables->schema->join.streams, &sent, find_row, &about};
    if (version_input_gather(&tables->sources, &parts, out, &lacking))
        return TM_OK;
    return tm_error_set(err, TM_FAILED_PRECONDITION,
                        "docs[%" PRIu32
                        "]: table %s has no row with features for it, so a sample of it would have none",
                        candidate, tables->schema->stream_name[lacking]);
}

static enum tm_code pack_all(const struct told *t, const struct rank_tables *tables, const struct rank_features *f,
                             struct buffer *whole, struct bytes *packed, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    size_t from = 0;
    for (uint32_t i = 0; rc == TM_OK && i < t->q->count; i++) {
        rc = pack_candidate(t, tables, f, i, whole, err);
        packed[i].size = whole->size - from;
        from = whole->size;
    }
    from = 0;
    for (uint32_t i = 0; rc == TM_OK && i < t->q->count; from += packed[i++].size)
        packed[i].data = whole->data + from;
    return rc;
}

static enum tm_code take_packed(const struct told *t, const struct version *v, const struct encoder *encoder,
                                const struct rank_tables *tables, struct rank_features *f, struct tm_error *err)
{
    struct bytes *packed = mem_new(t->q->count, sizeof *packed);
    CLEANUP(buffer_close) struct buffer whole = {0};
    uint32_t refused = 0;
    f->x = mem_new((size_t)t->q->count * v->config.dimension, sizeof *f->x);
    enum tm_code rc = pack_all(t, tables, f, &whole, packed, err);
    if (rc == TM_OK && version_input_take_all(v, encoder, packed, t->q->count, f->x, &refused, err) != REASON_NONE)
        rc = tm_error_wrap(
            err, rank_tables_count(tables) ? "docs[%" PRIu32 "]: with the rows of its tables" : "docs[%" PRIu32 "]",
            refused);
    free(packed);
    return rc;
}

/* ---- all of it ---- */

static enum tm_code take(const struct told *t, const struct version *v, const struct encoder *encoder,
                         const struct rank_tables *tables, struct rank_features *f, struct tm_error *err)
{
    bool learns = model_uses_features(v->model), rows = learns && rank_tables_count(tables) > 0;
    enum tm_code rc = rows ? check_before_rows(t, tables, err) : check_representation(t->q, v, &encoder, err);
    if (rc == TM_OK && learns && !rows)
        rc = check_shape(t, v, encoder, err);
    if (rc != TM_OK)
        return rc;
    if (t->width || t->ids.id || (learns && !rows))
        gather(t, f);
    if (!learns)
        return TM_OK;
    if (rows || encoder)
        return take_packed(t, v, encoder, tables, f, err);
    f->x = (float *)(void *)f->sent.data;
    return check_range(t, v, f, err);
}

enum tm_code rank_features_take(const struct rank_request *q, const struct version *v, const struct encoder *encoder,
                                const struct rank_tables *tables, struct rank_features *f, struct tm_error *err)
{
    struct told t = {.q = q};
    *f = (struct rank_features){0};
    enum tm_code rc = measure(&t, err);
    if (rc == TM_OK)
        rc = rank_ids_merge(q, t.width, &t.ids, err);
    if (rc == TM_OK)
        rc = take(&t, v, encoder, tables, f, err);
    rank_ids_close(&t.ids);
    return rc;
}

void rank_features_close(struct rank_features *f)
{
    if (f->x != (float *)(void *)f->sent.data)
        free(f->x);
    buffer_close(&f->sent);
    free(f->end);
    *f = (struct rank_features){0};
}
