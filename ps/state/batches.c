#include "ps/state/batches.h"

#include <stdlib.h>

static bool is_positive(double reward) { return reward >= 0.5; }

void batches_open(struct batches *b, const struct batches_options *o)
{
    *b = (struct batches){.shard = o->shard,
                          .version = o->version,
                          .dimension = o->dimension,
                          .stride = o->corrections_wait ? 2 * o->dimension : o->dimension,
                          .unfrozen = o->unfrozen,
                          .clock = INT64_MIN,
                          .serial = 1,
                          .free_sample = BATCHES_NONE,
                          .free_batch = BATCHES_NONE,
                          .oldest = BATCHES_NONE,
                          .newest = BATCHES_NONE};
    due_open(&b->turns);
}

void batches_close(struct batches *b)
{
    free(b->sample);
    free(b->x);
    free(b->batch);
    key_index_close(&b->by_doc);
    key_index_close(&b->by_sample);
    due_close(&b->turns);
    free(b->changed);
    free(b->gone);
}

/* ---- samples ---- */

static void grow_samples(struct batches *b)
{
    uint32_t from = b->sample_capacity;
    b->sample_capacity = from ? 2 * from : 16;
    b->sample = mem_grow(b->sample, b->sample_capacity, sizeof *b->sample);
    b->x = mem_grow(b->x, (size_t)b->sample_capacity * b->stride, sizeof *b->x);
    for (uint32_t i = b->sample_capacity; i-- > from;) {
        b->sample[i] = (struct batched){.next = b->free_sample}; /* nowhere */
        b->free_sample = i;
    }
}

uint32_t batches_put(struct batches *b, const struct batched *sample, const float *x, const float *was)
{
    if (b->free_sample == BATCHES_NONE)
        grow_samples(b);
    uint32_t number = b->free_sample;
    b->free_sample = b->sample[number].next;
    b->sample[number] = *sample;
    b->sample[number].place = BATCHED_NOWHERE;
    b->sample[number].changed = b->sample[number].stored = false;
    if (b->dimension)
        memcpy(b->x + (size_t)number * b->stride, x, b->dimension * sizeof *x);
    if (b->stride > b->dimension)
        memcpy(b->x + (size_t)number * b->stride + b->dimension, was, b->dimension * sizeof *was);
    b->samples++;
    return number;
}

/* The row of a sample that goes, or gets another serial. */
static void lose_row(struct batches *b, struct batched *s)
{
    if (!s->stored)
        return;
    if (b->losses == b->loss_capacity) {
        b->loss_capacity = b->loss_capacity ? 2 * b->loss_capacity : 64;
        b->gone = mem_grow(b->gone, b->loss_capacity, sizeof *b->gone);
    }
    b->gone[b->losses++] = s->serial;
    *b->unfrozen += BATCHES_KEY;
    s->stored = false;
}

void batches_drop(struct batches *b, uint32_t number)
{
    struct batched *s = &b->sample[number];
    lose_row(b, s);
    s->place = BATCHED_NOWHERE;
    b->rows_due -= s->changed;
    *b->unfrozen -= s->changed ? batches_row_bytes(b) : 0;
    s->changed = false;
    s->next = b->free_sample;
    b->free_sample = number;
    b->samples--;
}

static void note_change(struct batches *b, uint32_t number)
{
    if (b->sample[number].changed)
        return;
    b->sample[number].changed = true;
    b->rows_due++;
    *b->unfrozen += batches_row_bytes(b);
    if (b->changes == b->change_capacity) {
        b->change_capacity = b->change_capacity ? 2 * b->change_capacity : 64;
        b->changed = mem_grow(b->changed, b->change_capacity, sizeof *b->changed);
    }
    b->changed[b->changes++] = number;
}

/* ---- turns ---- */

static struct key_entries samples_by_themselves(const struct batches *b)
{
    return (struct key_entries){b->sample, sizeof *b->sample, UINT32_MAX};
}

uint32_t batches_late(const struct batches *b, uint64_t sequence)
{
    return key_index_find(&b->by_sample, (struct hash128){.lo = sequence}, samples_by_themselves(b));
}

bool batches_turns_have(const struct batches *b, uint64_t sequence)
{
    for (uint32_t i = 0; i < b->sample_capacity; i++)
        if (b->sample[i].place == BATCHED_TURN && !b->sample[i].correction && b->sample[i].sample.lo == sequence)
            return true;
    return false;
}

void batches_wait(struct batches *b, uint32_t number)
{
    b->sample[number].place = BATCHED_TURN;
    batches_place(b, number, b->serial++);
    note_change(b, number);
}

uint32_t batches_turn(struct batches *b, int64_t limit)
{
    struct due_item item;
    if (!due_next(&b->turns, limit, &item))
        return BATCHES_NONE;
    struct batched *s = &b->sample[item.number];
    if (s->late)
        key_index_remove(&b->by_sample, s->sample, item.number);
    s->place = BATCHED_NOWHERE;
    return item.number;
}

/* ---- batches ---- */

static struct key_entries batches_by_doc(const struct batches *b)
{
    return (struct key_entries){b->batch, sizeof *b->batch, UINT32_MAX};
}

uint32_t batches_of(const struct batches *b, struct hash128 doc)
{
    return key_index_find(&b->by_doc, doc, batches_by_doc(b));
}

static void grow_batches(struct batches *b)
{
    uint32_t from = b->batch_capacity;
    b->batch_capacity = from ? 2 * from : 16;
    b->batch = mem_grow(b->batch, b->batch_capacity, sizeof *b->batch);
    for (uint32_t i = b->batch_capacity; i-- > from;) {
        b->batch[i].after = b->free_batch;
        b->free_batch = i;
    }
}

static uint32_t open_batch(struct batches *b, struct hash128 doc, int64_t opened)
{
    if (b->free_batch == BATCHES_NONE)
        grow_batches(b);
    uint32_t number = b->free_batch;
    b->free_batch = b->batch[number].after;
    b->batch[number] = (struct open_batch){.doc = doc,
                                           .opened = opened,
                                           .first = BATCHES_NONE,
                                           .last = BATCHES_NONE,
                                           .before = b->newest,
                                           .after = BATCHES_NONE};
    *(b->newest == BATCHES_NONE ? &b->oldest : &b->batch[b->newest].after) = number;
    b->newest = number;
    key_index_insert(&b->by_doc, doc, number);
    b->open++;
    return number;
}

void batches_place(struct batches *b, uint32_t number, uint64_t serial)
{
    struct batched *s = &b->sample[number];
    s->serial = serial;
    if (s->place == BATCHED_TURN) {
        due_insert(&b->turns, s->due, s->key.lo, number);
        if (s->late)
            key_index_insert(&b->by_sample, s->sample, number);
        return;
    }
    uint32_t batch = batches_of(b, s->doc);
    if (batch == BATCHES_NONE)
        batch = open_batch(b, s->doc, s->due);
    struct open_batch *o = &b->batch[batch];
    *(o->last == BATCHES_NONE ? &o->first : &b->sample[o->last].next) = number;
    o->last = number;
    s->next = BATCHES_NONE;
    o->count++;
    o->positives += is_positive(s->reward);
}

uint32_t batches_join(struct batches *b, uint32_t number)
{
    struct batched *s = &b->sample[number];
    uint32_t batch = batches_of(b, s->doc);
    lose_row(b, s);
    s->place = BATCHED_OPEN;
    s->due = batch == BATCHES_NONE ? b->clock : b->batch[batch].opened;
    batches_place(b, number, b->serial++);
    note_change(b, number);
    return batches_of(b, s->doc);
}

uint32_t batches_find(const struct batches *b, struct hash128 doc, uint64_t sequence)
{
    uint32_t batch = batches_of(b, doc), number = batch == BATCHES_NONE ? BATCHES_NONE : b->batch[batch].first;
    while (number != BATCHES_NONE && b->sample[number].sample.lo != sequence)
        number = b->sample[number].next;
    return number;
}

void batches_relabel(struct batches *b, uint32_t number, double reward, double weight, uint32_t corrections)
{
    struct batched *s = &b->sample[number];
    if (s->place == BATCHED_OPEN) {
        uint32_t *positives = &b->batch[batches_of(b, s->doc)].positives;
        *positives += (uint32_t)is_positive(reward) - (uint32_t)is_positive(s->reward);
    }
    s->reward = reward;
    s->weight = weight;
    s->corrections += corrections;
    note_change(b, number);
}

void batches_refit(struct batches *b, uint32_t number, const float *x, bool is_nothing)
{
    if (b->dimension)
        memcpy(b->x + (size_t)number * b->stride, x, b->dimension * sizeof *x);
    b->sample[number].is_nothing = is_nothing;
    note_change(b, number);
}

void batches_leave(struct batches *b, uint32_t number)
{
    uint32_t batch = batches_of(b, b->sample[number].doc), before = BATCHES_NONE;
    struct open_batch *o = &b->batch[batch];
    if (o->count == 1) {
        batches_remove(b, batch);
        return;
    }
    for (uint32_t i = o->first; i != number; i = b->sample[i].next)
        before = i;
    *(before == BATCHES_NONE ? &o->first : &b->sample[before].next) = b->sample[number].next;
    if (o->last == number)
        o->last = before;
    o->count--;
    o->positives -= is_positive(b->sample[number].reward);
    batches_drop(b, number);
}

void batches_remove(struct batches *b, uint32_t batch)
{
    struct open_batch *o = &b->batch[batch];
    for (uint32_t i = o->first, next; i != BATCHES_NONE; i = next) {
        next = b->sample[i].next;
        batches_drop(b, i);
    }
    *(o->before == BATCHES_NONE ? &b->oldest : &b->batch[o->before].after) = o->after;
    *(o->after == BATCHES_NONE ? &b->newest : &b->batch[o->after].before) = o->before;
    key_index_remove(&b->by_doc, o->doc, batch);
    o->after = b->free_batch;
    b->free_batch = batch;
    b->open--;
}
