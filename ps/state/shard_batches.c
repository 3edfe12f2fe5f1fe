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
    batches_open(slot->batches,
                 &(struct batches_options){.shard = s->options.id,
                                           .version = v->id,
                                           .dimension = model_uses_features(v->model) ? v->config.dimension : 0,
                                           .corrections_wait = v->order == ORDER_EVENT_TIME,
                                           .unfrozen = &s->batch_unfrozen});
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
    uint64_t corrections = 0, fresh = 0;
    uint32_t n = 0;
    bool whole = true;
    for (uint32_t i = o.first; i != BATCHES_NONE; i = b->sample[i].next) {
        samples[n++] = example_of(b, i);
        corrections += b->sample[i].corrections;
        fresh += !b->sample[i].was_nothing;
        whole = whole && b->sample[i].whole;
    }
    CHECK(n == o.count);
    try_posterior(slot, o.doc, samples, n, whole);
    shard_put_in(slot, doc_id_of(o.doc), samples, n);
    settle(slot, fresh, corrections);
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

/* Into a batch, or learned at once. */
static void join(struct shard *s, struct version_slot *slot, uint32_t number)
{
    struct batches *b = slot->batches;
    if (slot->version->batch.samples > 1) {
        fire_if_full(s, slot, batches_join(b, number));
        return;
    }
    struct example e = example_of(b, number);
    shard_put_in(slot, doc_id_of(b->sample[number].doc), &e, 1);
    settle(slot, !b->sample[number].was_nothing, b->sample[number].corrections);
    drop(s, slot, number);
}

/* One of a batch has other labels: they may complete it. */
static void relabel(struct shard *s, struct version_slot *slot, uint32_t number, const struct batched *w)
{
    struct batches *b = slot->batches;
    batches_relabel(b, number, w->reward, w->weight, w->corrections);
    if (b->sample[number].place == BATCHED_OPEN)
        fire_if_full(s, slot, batches_of(b, w->doc));
}

/* What waits in a batch is really something else, or nothing that can be learned. */
static void amend_batched(struct shard *s, struct version_slot *slot, uint32_t original, uint32_t number)
{
    struct batches *b = slot->batches;
    const struct batched w = b->sample[number], o = b->sample[original];
    if (w.is_nothing) {
        settle(slot, !o.was_nothing, o.corrections + w.corrections);
        s->batch_bytes -= batches_sample_bytes(b);
        batches_leave(b, original);
    } else {
        batches_relabel(b, original, w.reward, w.weight, w.corrections);
        batches_refit(b, original, batches_x(b, number), false);
    }
    drop(s, slot, number);
    if (batches_of(b, w.doc) != BATCHES_NONE)
        fire_if_full(s, slot, batches_of(b, w.doc));
}

/* What was learned is really something else. */
static void amend_learned(struct version_slot *slot, const struct batched *w, struct example *after, const float *was)
{
    struct example before = *after;
    before.reward = w->old_reward;
    before.weight = w->old_weight;
    before.x = slot->batches->dimension ? was : NULL;
    if (w->is_nothing || shard_differs(slot->version, &before, after))
        shard_change_in(slot, doc_id_of(w->doc), &before, w->is_nothing ? NULL : after);
}

/* was: its features as they were. */
static void amend(struct shard *s, struct version_slot *slot, uint32_t number, const float *was)
{
    struct batches *b = slot->batches;
    const struct batched w = b->sample[number];
    uint32_t original = batches_find(b, w.doc, w.sample.lo);
    if (original != BATCHES_NONE) {
        amend_batched(s, slot, original, number);
        return;
    }
    if (resets_cut(&slot->resets, doc_id_of(w.doc), w.sample.lo)) { /* it was forgotten while the correction waited */
        slot->corrections.batched -= w.corrections;
        slot->corrections.skipped += w.corrections;
        slot->corrections.skipped_reset += w.corrections;
        drop(s, slot, number);
        return;
    }
    if (w.was_nothing && !w.is_nothing) { /* now it is a sample like any other */
        b->sample[number].correction = b->sample[number].late = false;
        join(s, slot, number);
        return;
    }
    struct example after = example_of(b, number);
    if (!w.was_nothing)
        amend_learned(slot, &w, &after, was);
    settle(slot, 0, w.corrections);
    drop(s, slot, number);
}

/* The turn of a sample has come: it is in nobody's hands. */
static void take(struct shard *s, struct version_slot *slot, uint32_t number)
{
    const struct batched *w = &slot->batches->sample[number];
    if (w->correction) {
        amend(s, slot, number, batches_was(slot->batches, number));
    } else if (w->is_nothing) {
        settle(slot, 1, w->corrections);
        drop(s, slot, number);
    } else {
        join(s, slot, number);
    }
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
void shard_note_batches_due(struct shard *s)
{
    s->batches_due = INT64_MAX;
    for (uint32_t i = 0; i < s->batching; i++)
        if (is_current(s, shard_batcher(s, i)) && due_of(shard_batcher(s, i)) < s->batches_due)
            s->batches_due = due_of(shard_batcher(s, i));
}

void shard_pass_batches(struct shard *s)
{
    if (s->batching == 0 || !s->joiner)
        return;
    int64_t gate = joiner_gate_now(s->joiner);
    for (uint32_t i = 0; gate != WATERMARK_NONE && i < s->batching; i++)
        if (is_current(s, shard_batcher(s, i)))
            pass(s, shard_batcher(s, i), gate);
    shard_note_batches_due(s);
}

bool shard_batches_due(const struct shard *s, int64_t gate) { return s->batching && gate >= s->batches_due; }

/* ---- the bound ---- */

/* Who gives up waiting: the version whose oldest batch is the oldest; when there is no batch, the one whose turn is
 * next. What a paused version holds open stays. */
static struct version_slot *who_goes_first(struct shard *s)
{
    struct version_slot *oldest = NULL, *next = NULL;
    for (uint32_t i = 0; i < s->batching; i++) {
        struct version_slot *slot = shard_batcher(s, i);
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

static uint32_t put(struct shard *s, struct version_slot *slot, const struct batched *w, const float *x,
                    const float *was)
{
    s->batch_bytes += batches_sample_bytes(slot->batches);
    return batches_put(slot->batches, w, x, was);
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
        take(s, slot, put(s, slot, &w, x, x));
    } else {
        w.late = sample->behind; /* not: behind the clock, which a version that catches up has less far */
        w.due = w.late ? w.time + s->catalog.join.allowed_lateness_ms : w.time;
        slot->fired.behind += w.late;
        batches_wait(slot->batches, put(s, slot, &w, x, x));
    }
    shard_keep_batch_bound(s);
}

bool shard_can_take_out(const struct version_slot *slot, const struct sample *correction)
{
    const struct batches *b = slot->batches;
    if (slot->version->model->retract || !b)
        return slot->version->model->retract != NULL;
    if (slot->version->order == ORDER_ARRIVAL)
        return batches_find(b, correction->doc, correction->original) != BATCHES_NONE;
    uint32_t late = batches_late(b, correction->original);
    return late != BATCHES_NONE && (!b->sample[late].correction || b->sample[late].was_nothing);
}

/* What a correction makes of its original. */
static struct batched corrected(struct shard *s, struct version_slot *slot, const struct sample *sample,
                                const struct sample_fit *fit)
{
    const struct version *v = slot->version;
    struct version_example before = version_example(v, sample, sample->old_labels, sample->old_keep, fit->x_was);
    struct version_example after = version_example(v, sample, sample->labels, sample->keep, fit->x_is);
    CHECK(before.known && after.known);
    slot->corrections.batched++;
    slot->corrections.clamped += fit->is && after.cut;
    if (slot->judge)
        shard_judge_again(slot, sample, before.example.reward, after.example.reward);
    struct batched w = batched_of(sample, &after.example, sample->original);
    w.old_reward = before.example.reward;
    w.old_weight = before.example.weight;
    w.corrections = 1;
    w.correction = w.late = true;
    w.was_nothing = !fit->was;
    w.is_nothing = !fit->is;
    w.whole = w.whole && fit->was;
    w.due = w.time + s->catalog.join.allowed_lateness_ms;
    return w;
}

/* Where a correction, or what it corrects, waits and may be changed at once. With order: event_time all corrections of
 * a sample are one, and it comes when there can be no more: a batch that the sample lies in is not changed before. */
static uint32_t waiting_for(const struct version_slot *slot, const struct sample *sample)
{
    return slot->version->order == ORDER_ARRIVAL ? batches_find(slot->batches, sample->doc, sample->original)
                                                 : batches_late(slot->batches, sample->original);
}

/* Features that do not fit may have come since it waits: a model that cannot take out what it has learned leaves it as
 * it is then, and nothing corrects it any more. */
static bool may_be_left(const struct version_slot *slot, const struct batched *w)
{
    const struct model *m = slot->version->model;
    return w->correction && !w->was_nothing && model_uses_features(m) && !m->retract;
}

bool shard_batch_relabel(struct shard *s, struct version_slot *slot, const struct sample *sample)
{
    static const struct sample_fit as_it_is = {.was = true, .is = true};
    uint32_t waiting = waiting_for(slot, sample);
    if (waiting == BATCHES_NONE || slot->batches->sample[waiting].is_nothing ||
        may_be_left(slot, &slot->batches->sample[waiting]))
        return false;
    struct batched w = corrected(s, slot, sample, &as_it_is);
    relabel(s, slot, waiting, &w);
    return true;
}

bool shard_batch_has(const struct version_slot *slot, const struct sample *sample)
{
    const struct batches *b = slot->batches;
    if (!b)
        return false;
    return waiting_for(slot, sample) != BATCHES_NONE ||
           (slot->version->order == ORDER_EVENT_TIME &&
            (batches_find(b, sample->doc, sample->original) != BATCHES_NONE ||
             (sample->impression_time >= b->clock && batches_turns_have(b, sample->original))));
}

/* Until its turn, with others of the same sample, or with the sample itself. */
static void wait_correction(struct shard *s, struct version_slot *slot, const struct batched *w,
                            const struct sample_fit *fit)
{
    struct batches *b = slot->batches;
    uint32_t waiting = batches_late(b, w->sample.lo);
    if (waiting == BATCHES_NONE) {
        batches_wait(b, put(s, slot, w, fit->x_is, fit->x_was));
        return;
    }
    batches_relabel(b, waiting, w->reward, w->weight, w->corrections);
    batches_refit(b, waiting, fit->x_is, w->is_nothing);
}

void shard_batch_correction(struct shard *s, struct version_slot *slot, const struct sample *sample,
                            const struct sample_fit *fit)
{
    const struct batched w = corrected(s, slot, sample, fit);
    if (slot->version->order == ORDER_ARRIVAL)
        amend(s, slot, put(s, slot, &w, fit->x_is, fit->x_was), fit->x_was);
    else
        wait_correction(s, slot, &w, fit);
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
        s->batch_bytes += batches_bytes(shard_batcher(s, i)->batches);
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
