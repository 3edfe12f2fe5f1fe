/* What versions do with samples that wait before they are learned: batches and turns. The rules are in
 * ps/state/shard.h. */
#include <stdlib.h>

#include "learner/trial.h"
#include "ps/state/shard_state.h"
#include "ps/state/version_reward.h"

void shard_batches_open(struct shard *s, struct version_slot *slot)
{
    const struct version *v = slot->version;
    if (!version_waits(v))
        return;
    slot->batches = mem_new(1, sizeof *slot->batches);
    batches_open(slot->batches, s->options.id, v->id, model_uses_features(v->model) ? v->config.dimension : 0,
                 &s->batch_unfrozen);
    s->batcher = mem_grow(s->batcher, s->batching + 1, sizeof *s->batcher);
    s->batcher[s->batching++] = (uint32_t)(slot - s->slot);
    s->batches_due = s->batching == 1 ? INT64_MAX : s->batches_due;
}

void shard_batches_close(struct version_slot *slot)
{
    if (slot->batches)
        batches_close(slot->batches);
    free(slot->batches);
}

/* The slot of the i-th version that waits. */
static struct version_slot *batcher(const struct shard *s, uint32_t i) { return &s->slot[s->batcher[i]]; }

static struct example example_of(const struct batches *b, uint32_t number)
{
    const struct batched *w = &b->sample[number];
    return (struct example){.reward = w->reward,
                            .weight = w->weight,
                            .time = w->time,
                            .x = b->dimension ? batches_x(b, number) : NULL,
                            .offset = w->offset,
                            .item = w->item};
}

/* ---- learning ---- */

static void settle(struct version_slot *slot, uint64_t samples, uint64_t corrections)
{
    CHECK(slot->fresh.batched >= samples && slot->corrections.batched >= corrections);
    slot->fresh.batched -= samples;
    slot->fresh.learned += samples;
    slot->corrections.batched -= corrections;
    slot->corrections.learned += corrections;
}

/* A ratio chooses the moment by the outcome: what it stops says nothing about the posterior. An embedding has none. */
static void try_posterior(struct version_slot *slot, struct hash128 doc, const struct example *samples, uint32_t count,
                          bool whole)
{
    struct trial trial;
    const struct version *v = slot->version;
    for (uint32_t i = 0; i < count; i++)
        whole = whole && (samples[i].reward == 0 || samples[i].reward == 1);
    bool tried = slot->judge && whole && !v->model->predict && v->batch.positive_ratio == 0 && !version_draws(v);
    if (tried && trial_of(v->model, &v->config, shard_block_of(slot, doc), samples, count, &trial))
        shard_judge_batch(slot->judge, &trial);
}

static void fire(struct shard *s, struct version_slot *slot, uint32_t batch, uint64_t *trigger)
{
    struct batches *b = slot->batches;
    const struct open_batch o = b->batch[batch];
    struct example *samples = mem_new(o.count, sizeof *samples);
    uint64_t corrections = 0;
    uint32_t n = 0;
    bool whole = true;
    for (uint32_t i = o.first; i != BATCHES_NONE; i = b->sample[i].next) {
        samples[n++] = example_of(b, i);
        corrections += b->sample[i].corrections;
        whole = whole && b->sample[i].whole;
    }
    CHECK(n == o.count);
    try_posterior(slot, o.doc, samples, n, whole);
    shard_put_in(slot, doc_id_of(o.doc), samples, n);
    settle(slot, n, corrections);
    ++*trigger;
    s->batch_bytes -= n * batches_sample_bytes(b);
    batches_remove(b, batch);
    free(samples);
}

static void fire_if_full(struct shard *s, struct version_slot *slot, uint32_t batch)
{
    const struct version_batch *want = &slot->version->batch;
    const struct open_batch *o = &slot->batches->batch[batch];
    if (o->count >= want->samples)
        fire(s, slot, batch, &slot->fired.samples);
    else if (want->positive_ratio > 0 && /* so there is a positive */
             o->positives >= want->positive_ratio * (o->count - o->positives))
        fire(s, slot, batch, &slot->fired.ratio);
}

static void drop(struct shard *s, struct version_slot *slot, uint32_t number)
{
    s->batch_bytes -= batches_sample_bytes(slot->batches);
    batches_drop(slot->batches, number);
}

/* One of a batch has other labels: they may complete it. */
static void relabel(struct shard *s, struct version_slot *slot, uint32_t number, const struct batched *w)
{
    struct batches *b = slot->batches;
    batches_relabel(b, number, w->reward, w->weight, w->corrections);
    if (b->sample[number].place == BATCHED_OPEN)
        fire_if_full(s, slot, batches_of(b, w->doc));
}

/* One that was learned is really something else. */
static void amend(struct shard *s, struct version_slot *slot, uint32_t number)
{
    struct batches *b = slot->batches;
    const struct batched w = b->sample[number];
    if (resets_cut(&slot->resets, doc_id_of(w.doc), w.sample.lo)) { /* it was forgotten while the correction waited */
        slot->corrections.batched -= w.corrections;
        slot->corrections.skipped += w.corrections;
        slot->corrections.skipped_reset += w.corrections;
        drop(s, slot, number);
        return;
    }
    struct example after = example_of(b, number), before = after;
    before.reward = w.old_reward;
    before.weight = w.old_weight;
    if (before.reward != after.reward || before.weight != after.weight)
        shard_change_in(slot, doc_id_of(w.doc), &before, &after);
    settle(slot, 0, w.corrections);
    drop(s, slot, number);
}

/* The turn of a correction has come: its original was learned, or lies in a batch by now. */
static void take_correction(struct shard *s, struct version_slot *slot, uint32_t number)
{
    const struct batched w = slot->batches->sample[number];
    uint32_t original = batches_find(slot->batches, w.doc, w.sample.lo);
    if (original == BATCHES_NONE) {
        amend(s, slot, number);
        return;
    }
    drop(s, slot, number);
    relabel(s, slot, original, &w);
}

/* The turn of a sample has come: it is in nobody's hands. */
static void take(struct shard *s, struct version_slot *slot, uint32_t number)
{
    struct batches *b = slot->batches;
    if (b->sample[number].correction) {
        take_correction(s, slot, number);
        return;
    }
    if (slot->version->batch.samples > 1) {
        fire_if_full(s, slot, batches_join(b, number));
        return;
    }
    struct example e = example_of(b, number);
    shard_put_in(slot, doc_id_of(b->sample[number].doc), &e, 1);
    settle(slot, 1, b->sample[number].corrections);
    drop(s, slot, number);
}

/* ---- time ---- */

static void fire_aged(struct shard *s, struct version_slot *slot)
{
    struct batches *b = slot->batches;
    int64_t age = slot->version->batch.age_ms;
    while (age > 0 && b->oldest != BATCHES_NONE && b->clock - b->batch[b->oldest].opened >= age)
        fire(s, slot, b->oldest, &slot->fired.age);
}

/* The version comes to this event time: whose turn is before it is taken, and what is old enough is learned. */
static void pass(struct shard *s, struct version_slot *slot, int64_t now)
{
    struct batches *b = slot->batches;
    uint32_t number;
    while ((number = batches_turn(b, now)) != BATCHES_NONE) {
        b->clock = b->sample[number].due > b->clock ? b->sample[number].due : b->clock;
        fire_aged(s, slot);
        take(s, slot, number);
    }
    b->clock = now > b->clock ? now : b->clock;
    fire_aged(s, slot);
}

static bool is_current(const struct shard *s, const struct version_slot *slot)
{
    return slot->batches && !slot_paused(s, slot) && slot_held(slot) == 0;
}

/* The first gate at which the version has something to do. */
static int64_t due_of(const struct version_slot *slot)
{
    const struct batches *b = slot->batches;
    int64_t age = slot->version->batch.age_ms, turn = batches_next_turn(b), old = INT64_MAX;
    turn += turn < INT64_MAX;
    if (age > 0 && b->oldest != BATCHES_NONE && __builtin_add_overflow(b->batch[b->oldest].opened, age, &old))
        old = INT64_MAX;
    return turn < old ? turn : old;
}

/* What is due changes in steps alone: so who asks between them need not look at the versions. */
static void note_due(struct shard *s)
{
    s->batches_due = INT64_MAX;
    for (uint32_t i = 0; i < s->batching; i++)
        if (is_current(s, batcher(s, i)) && due_of(batcher(s, i)) < s->batches_due)
            s->batches_due = due_of(batcher(s, i));
}

void shard_pass_batches(struct shard *s)
{
    if (s->batching == 0 || !s->joiner)
        return;
    int64_t gate = joiner_gate_now(s->joiner);
    for (uint32_t i = 0; gate != WATERMARK_NONE && i < s->batching; i++)
        if (is_current(s, batcher(s, i)))
            pass(s, batcher(s, i), gate);
    note_due(s);
}

bool shard_batches_due(const struct shard *s, int64_t gate) { return s->batching && gate >= s->batches_due; }

/* ---- the bound ---- */

/* Who gives up waiting: the version whose oldest batch is the oldest; when there is no batch, the one whose turn is
 * next. What a paused version holds open stays. */
static struct version_slot *who_goes_first(struct shard *s)
{
    struct version_slot *oldest = NULL, *next = NULL;
    for (uint32_t i = 0; i < s->batching; i++) {
        struct version_slot *slot = batcher(s, i);
        const struct batches *b = slot->batches;
        if (slot_paused(s, slot))
            continue;
        if (b->oldest != BATCHES_NONE &&
            (!oldest || b->batch[b->oldest].opened < oldest->batches->batch[oldest->batches->oldest].opened))
            oldest = slot;
        if (batches_next_turn(b) < INT64_MAX && (!next || batches_next_turn(b) < batches_next_turn(next->batches)))
            next = slot;
    }
    return oldest ? oldest : next;
}

void shard_keep_batch_bound(struct shard *s)
{
    struct version_slot *slot;
    while (s->batch_bytes > catalog_limits(&s->catalog).batch_bytes && (slot = who_goes_first(s)) != NULL) {
        if (slot->batches->oldest != BATCHES_NONE) {
            fire(s, slot, slot->batches->oldest, &slot->fired.room);
        } else {
            slot->fired.turns++;
            take(s, slot, batches_turn(slot->batches, INT64_MAX));
        }
    }
}

/* ---- samples ---- */

static struct batched batched_of(const struct sample *sample, const struct example *e, uint64_t sequence)
{
    return (struct batched){.sample = {.lo = sequence},
                            .key = sample->key,
                            .doc = sample->doc,
                            .item = e->item,
                            .reward = e->reward,
                            .weight = e->weight,
                            .offset = e->offset,
                            .time = e->time,
                            .whole = sample->rate == 1 && sample->weight <= VALIDATION_WEIGHT_MAX};
}

static uint32_t put(struct shard *s, struct version_slot *slot, const struct batched *w, const float *x)
{
    s->batch_bytes += batches_sample_bytes(slot->batches);
    return batches_put(slot->batches, w, x);
}

void shard_batch_new(struct shard *s, struct version_slot *slot, const struct sample *sample, const float *x)
{
    const struct version *v = slot->version;
    struct version_example e = version_example(v, sample, sample->labels, sample->keep, x);
    CHECK(e.known && !sample->excluded); /* such rewards and filters are refused: version_batch_check() */
    pass(s, slot, v->order == ORDER_EVENT_TIME ? sample->impression_time : sample->decided_at);
    slot->fresh.batched++;
    slot->fresh.clamped += e.cut;
    if (slot->judge)
        shard_judge(slot, sample, shard_block_of(slot, sample->doc), &e.example);
    struct batched w = batched_of(sample, &e.example, sample->sequence);
    if (v->order == ORDER_ARRIVAL) {
        take(s, slot, put(s, slot, &w, x));
    } else {
        w.late = sample->behind; /* not: behind the clock, which a version that catches up has less far */
        w.due = w.late ? w.time + s->catalog.join.allowed_lateness_ms : w.time;
        slot->fired.behind += w.late;
        batches_wait(slot->batches, put(s, slot, &w, x));
    }
    shard_keep_batch_bound(s);
}

/* What a correction makes of its original. */
static struct batched corrected(struct shard *s, struct version_slot *slot, const struct sample *sample, const float *x)
{
    const struct version *v = slot->version;
    struct version_example before = version_example(v, sample, sample->old_labels, sample->old_keep, x);
    struct version_example after = version_example(v, sample, sample->labels, sample->keep, x);
    CHECK(before.known && after.known);
    slot->corrections.batched++;
    slot->corrections.clamped += after.cut;
    if (slot->judge)
        shard_judge_again(slot, sample, before.example.reward, after.example.reward);
    struct batched w = batched_of(sample, &after.example, sample->original);
    w.old_reward = before.example.reward;
    w.old_weight = before.example.weight;
    w.corrections = 1;
    w.correction = w.late = true;
    w.due = w.time + s->catalog.join.allowed_lateness_ms;
    return w;
}

/* With order: event_time all corrections of a sample are one, and it comes when there can be no more: a batch that the
 * sample lies in is not changed before. */
bool shard_batch_relabel(struct shard *s, struct version_slot *slot, const struct sample *sample)
{
    struct batches *b = slot->batches;
    uint32_t waiting = slot->version->order == ORDER_ARRIVAL ? batches_find(b, sample->doc, sample->original)
                                                             : batches_late(b, sample->original);
    if (waiting == BATCHES_NONE)
        return false;
    struct batched w = corrected(s, slot, sample, NULL);
    relabel(s, slot, waiting, &w);
    return true;
}

bool shard_batch_has(const struct version_slot *slot, const struct sample *sample)
{
    const struct batches *b = slot->batches;
    return b && slot->version->order == ORDER_EVENT_TIME &&
           (batches_find(b, sample->doc, sample->original) != BATCHES_NONE ||
            (sample->impression_time >= b->clock && batches_turns_have(b, sample->original)));
}

void shard_batch_correction(struct shard *s, struct version_slot *slot, const struct sample *sample, const float *x)
{
    struct batched w = corrected(s, slot, sample, x);
    uint32_t number = put(s, slot, &w, x);
    if (slot->version->order == ORDER_ARRIVAL)
        amend(s, slot, number);
    else
        batches_wait(slot->batches, number);
    shard_keep_batch_bound(s);
}

void shard_batches_pass_to(struct shard *s, struct version_slot *slot, int64_t decided_at)
{
    if (slot->version->order == ORDER_ARRIVAL)
        pass(s, slot, decided_at);
}

static void skip_batched(struct sample_counts *c)
{
    c->skipped += c->batched;
    c->skipped_reset += c->batched;
    c->batched = 0;
}

void shard_forget_batches(struct shard *s, struct version_slot *slot)
{
    struct batches *b = slot->batches;
    if (!b)
        return;
    while (b->oldest != BATCHES_NONE)
        batches_remove(b, b->oldest);
    for (uint32_t number; (number = batches_turn(b, INT64_MAX)) != BATCHES_NONE;)
        batches_drop(b, number);
    s->batch_bytes = 0;
    for (uint32_t i = 0; i < s->batching; i++)
        s->batch_bytes += batches_bytes(batcher(s, i)->batches);
    skip_batched(&slot->fresh);
    skip_batched(&slot->corrections);
    shard_leave_names(s);
}

int64_t shard_batches_horizon(const struct shard *s, const struct version_slot *slot)
{
    int64_t horizon = shard_horizon(s, slot), clock = slot->batches ? slot->batches->clock : INT64_MAX;
    if (!slot->batches || slot->version->order == ORDER_ARRIVAL)
        return horizon;
    if (__builtin_sub_overflow(clock, s->catalog.join.allowed_lateness_ms, &clock))
        return INT64_MIN;
    return clock < horizon ? clock : horizon;
}

/* ---- the durable half ---- */

void shard_batches_commit(struct shard *s, struct store_batch *out)
{
    for (uint32_t i = 0; i < s->batching; i++)
        batches_freeze(batcher(s, i)->batches, out);
}

void shard_batches_encode(const struct version_slot *slot, struct buffer *out)
{
    batches_encode(slot->batches, out);
#define T(name, help) buffer_put_u64(out, slot->fired.name);
    BATCH_COUNTS(T)
#undef T
}

void shard_batches_decode(struct version_slot *slot, struct reader *r)
{
    batches_decode(slot->batches, r);
#define T(name, help) slot->fired.name = reader_u64(r);
    BATCH_COUNTS(T)
#undef T
}

static enum tm_code load_row(void *context, struct bytes key, struct bytes value, struct tm_error *err)
{
    struct shard *s = context;
    struct version_slot *slot = key.size == BATCHES_KEY ? shard_slot(s, key_get_u32(key.data + 2)) : NULL;
    if (!slot || !slot->batches)
        return tm_error_set(err, TM_DATA_LOSS, "a batched sample of a version that has no batches");
    return batches_load_row(slot->batches, key, value, err);
}

enum tm_code shard_batches_load(struct shard *s, const struct store *store, struct bytes prefix, struct tm_error *err)
{
    enum tm_code rc = store->scan(store->self, STORE_BATCH, prefix, prefix, load_row, s, err);
    s->batch_bytes = 0;
    for (uint32_t i = 0; rc == TM_OK && i < s->batching; i++) {
        rc = batches_loaded(batcher(s, i)->batches, err);
        s->batch_bytes += batches_bytes(batcher(s, i)->batches);
    }
    note_due(s);
    return rc;
}
