/* How good the predictions of the versions are that are judged: counted as they learn, committed with the shard. */
#include <math.h>
#include <stdlib.h>

#include "learner/draw.h"
#include "proto/event.h"
#include "ps/state/shard_state.h"

struct judge *shard_judge_open(uint32_t shard, uint32_t version)
{
    struct judge *j = mem_new(1, sizeof *j);
    predictions_open(&j->kept, shard, version);
    return j;
}

void shard_judge_close(struct judge *j)
{
    if (!j)
        return;
    for (int k = 0; k < VALIDATION_KINDS; k++)
        free(j->kind[k]);
    predictions_close(&j->kept);
    free(j);
}

/* Samples of one request share 32 bits on all shards. A sample without one is a request of its own, and so is one that
 * was left out at first: its impression's event is gone. */
void shard_judge_tell(struct shard *s, struct sample *sample)
{
    struct event e = {0};
    if (!sample->late)
        shard_read_event(sample->body, sample->shared, &e);
    sample->told = true;
    sample->request =
        (uint32_t)(e.request.size ? hash_128(e.request, s->options.hash_seed).lo : draw_mix(sample->position));
    sample->score = e.has & EVENT_HAS_SCORE ? e.score : NAN;
}

static struct validation *validation_of(struct judge *j, enum validation_kind kind)
{
    if (!j->kind[kind]) {
        j->kind[kind] = mem_new(1, sizeof(struct validation));
        validation_start(j->kind[kind]);
    }
    return j->kind[kind];
}

/* A negative stands for all that were left out, whatever its weight is to the model: predictions are of what is served.
 * Corrections cannot be refused: beyond the limit the weight is cut, on both sides of a change. */
static double weight_of(const struct sample *sample, double keep)
{
    return sample->kind == SAMPLE_NEW ? sample->weight / keep : fmin(sample->weight / keep, VALIDATION_WEIGHT_MAX);
}

/* The sample with one of its predictions; reward and weight are the caller's. */
static struct judged judged_of(const struct version *v, const struct sample *sample, const struct prediction *p,
                               enum validation_kind kind)
{
    struct judged judged = {.time = sample->impression_time,
                            .predicted = (double)(kind == VALIDATION_SERVED ? p->served : p->prequential)};
    if (!v->model->predict) {
        judged.request = p->request;
        return judged;
    }
    judged.unit = v->config.noise_sd;
    judged.scale = kind == VALIDATION_PREQUENTIAL ? (double)p->scale : 0;
    judged.freedom = (double)p->freedom;
    return judged;
}

/* False: it was not counted. */
static bool judge_one(struct version_slot *slot, enum validation_kind kind, const struct sample *sample, double reward,
                      const struct prediction *p)
{
    struct judge *j = slot->judge;
    struct judged judged = judged_of(slot->version, sample, p, kind);
    judged.reward = reward;
    judged.weight = weight_of(sample, sample->keep);
    if (validation_takes(&judged, NULL) != TM_OK) {
        j->refused[kind]++;
        return false;
    }
    validation_add(validation_of(j, kind), &judged);
    j->changed[kind] = true;
    return true;
}

/* What the version expects of the sample, in the precision in which it is kept. */
static struct prediction predict(const struct version *v, const struct sample *sample, const void *block,
                                 const struct example *e)
{
    struct prediction p = {.sequence = sample->sequence, .served = NAN};
    struct predictive foretold;
    if (!v->model->predict) {
        p.request = sample->request;
        p.prequential = (float)model_expected(v->model, &v->config, block, e->x, e->time);
        return p;
    }
    v->model->predict(&v->config, block, e->x, e->time, &foretold);
    p.prequential = (float)foretold.mean;
    p.scale = (float)foretold.scale;
    p.freedom = (float)foretold.freedom;
    return p;
}

void shard_judge(struct version_slot *slot, const struct sample *sample, const void *block, const struct example *e)
{
    const struct version *v = slot->version;
    CHECK(sample->told);
    struct prediction p = predict(v, sample, block, e);
    if (sample->version == v->id) /* another version's score is not this one's work */
        p.served = sample->score;
    if (!judge_one(slot, VALIDATION_PREQUENTIAL, sample, e->reward, &p))
        p.prequential = NAN;
    if (!isnan(p.served) && !judge_one(slot, VALIDATION_SERVED, sample, e->reward, &p))
        p.served = NAN;
    if (!isnan(p.prequential) || !isnan(p.served))
        predictions_add(&slot->judge->kept, &p, sample->impression_time);
}

void shard_judge_batch(struct judge *j, const struct trial *trial)
{
    validation_try(validation_of(j, VALIDATION_PREQUENTIAL), trial);
    j->changed[VALIDATION_PREQUENTIAL] = true;
}

bool shard_has_judged(const struct version_slot *slot, const struct sample *correction)
{
    return predictions_find(&slot->judge->kept, correction->original) != NULL;
}

void shard_judge_again(struct version_slot *slot, const struct sample *sample, double before, double after)
{
    struct judge *j = slot->judge;
    double old_weight = sample->old_excluded ? 0 : weight_of(sample, sample->old_keep);
    double weight = sample->excluded ? 0 : weight_of(sample, sample->keep);
    if (before == after && old_weight == weight)
        return;
    const struct prediction *p = predictions_find(&j->kept, sample->original);
    if (!p) {
        j->unjudged++;
        return;
    }
    for (int k = 0; k < VALIDATION_KINDS; k++) {
        struct judged judged = judged_of(slot->version, sample, p, (enum validation_kind)k);
        if (isnan(judged.predicted))
            continue;
        judged.reward = before;
        judged.weight = old_weight;
        validation_correct(j->kind[k], &judged, after, weight);
        j->changed[k] = true;
    }
}

/* ---- the durable half ---- */

size_t shard_judge_unfrozen(const struct shard *s)
{
    size_t bytes = 0;
    for (uint32_t i = 0; s->judges && i < s->slots; i++)
        bytes += s->slot[i].judge ? predictions_unfrozen(&s->slot[i].judge->kept) : 0;
    return bytes;
}

/* While something is held nothing goes: where time jumps a sample and its correction are made by one advance, both
 * behind the horizon, and the version may learn them in different slices. */
static int64_t predictions_expiry(const struct shard *s, const struct version_slot *slot)
{
    return slot_held(slot) ? INT64_MIN : shard_horizon(s, slot);
}

void shard_judge_commit(struct shard *s, struct store_batch *out)
{
    for (uint32_t i = 0; s->judges && i < s->slots; i++) {
        struct version_slot *slot = &s->slot[i];
        struct judge *j = slot->judge;
        if (!j)
            continue;
        predictions_freeze(&j->kept, predictions_expiry(s, slot), out);
        for (int k = 0; k < VALIDATION_KINDS; k++) {
            if (!j->changed[k])
                continue;
            struct validation_key key = {s->options.id, slot->version->id, (enum validation_kind)k, 0};
            validation_rows_put(j->kind[k], key, out);
            j->changed[k] = false;
        }
    }
}

void shard_judge_encode(const struct judge *j, struct buffer *out)
{
    for (int k = 0; k < VALIDATION_KINDS; k++)
        buffer_put_u64(out, j->refused[k]);
    buffer_put_u64(out, j->unjudged);
    predictions_encode(&j->kept, out);
}

void shard_judge_decode(struct judge *j, struct reader *r)
{
    for (int k = 0; k < VALIDATION_KINDS; k++)
        j->refused[k] = reader_u64(r);
    j->unjudged = reader_u64(r);
    predictions_decode(&j->kept, r);
}

/* NULL: the row belongs to nobody who is judged. */
static struct judge *judge_of(struct shard *s, uint32_t version, struct tm_error *err)
{
    struct version_slot *slot = shard_slot(s, version);
    if (slot && slot->judge)
        return slot->judge;
    tm_error_set(err, TM_DATA_LOSS, "a row is of version %u, which is not judged", version);
    return NULL;
}

static enum tm_code load_validation(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct validation_key k = {0};
    enum tm_code rc = validation_key_get(key, &k, err);
    struct judge *j = rc == TM_OK ? judge_of(context, k.version, err) : NULL;
    return j ? validation_row_load(validation_of(j, k.kind), k.row, value, err) : TM_DATA_LOSS;
}

static enum tm_code load_prediction(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct judge *j = judge_of(context, key.size == PREDICTIONS_KEY ? key_get_u32(key.data + 2) : 0, err);
    return j ? predictions_load_row(&j->kept, key, value, err) : TM_DATA_LOSS;
}

enum tm_code shard_judge_load(struct shard *s, const struct store *store, struct bytes prefix, struct tm_error *err)
{
    enum tm_code rc = store->scan(store->self, STORE_VALIDATION, prefix, prefix, load_validation, s, err);
    if (rc == TM_OK)
        rc = store->scan(store->self, STORE_PREDICTION, prefix, prefix, load_prediction, s, err);
    for (uint32_t i = 0; rc == TM_OK && i < s->slots; i++)
        if (s->slot[i].judge)
            rc = predictions_loaded(&s->slot[i].judge->kept, err);
    return rc;
}
