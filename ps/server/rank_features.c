#include "ps/server/rank_features.h"

#include <inttypes.h>
#include <stdlib.h>

#include "learner/features.h"

static enum tm_code check_shape(const struct rank_request *q, const struct version *v, const struct encoder *encoder,
                                uint32_t *width, struct tm_error *err)
{
    size_t shared = q->context.size / sizeof(float), own = q->features.size / sizeof(float);
    uint32_t expected = encoder ? encoder_layout(encoder)->dense : v->config.dimension;
    *width = (uint32_t)(shared + own / q->count);
    if (own % q->count != 0)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: %zu numbers of %" PRIu32 " candidates; expected as many of each", own, q->count);
    if (encoder && encoder_layout(encoder)->field_count)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: the encoder of version %s takes ids; candidates are described by numbers alone",
                            v->name);
    if (model_uses_features(v->model) && *width != expected)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "features: %zu of each candidate behind %zu of context; expected %" PRIu32
                            " together, the %s of version %s",
                            own / q->count, shared, expected, encoder ? "encoder's input" : "dimension", v->name);
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

enum tm_code rank_features_take(const struct rank_request *q, const struct version *v, const struct encoder *encoder,
                                struct rank_features *f, struct tm_error *err)
{
    *f = (struct rank_features){0};
    enum tm_code rc = check_representation(q, v, &encoder, err);
    if (rc == TM_OK)
        rc = check_shape(q, v, encoder, &f->width, err);
    if (rc != TM_OK || f->width == 0)
        return rc;
    gather(q, f);
    if (encoder)
        rc = encode(q, encoder, f, err);
    else
        f->x = f->raw;
    return rc == TM_OK && model_uses_features(v->model) ? check_range(q, v, f, err) : rc;
}

void rank_features_close(struct rank_features *f)
{
    if (f->x != f->raw)
        free(f->x);
    free(f->raw);
    *f = (struct rank_features){0};
}
