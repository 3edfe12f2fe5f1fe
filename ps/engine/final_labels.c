#include "ps/engine/final_labels.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"

enum { SLOTS_FIRST = 1024, SEQUENCE_BITS = 48 };

void final_labels_close(struct final_labels *f)
{
    free(f->slot);
    *f = (struct final_labels){0};
}

/* 0: there is no such sample; sequences begin with 1. */
static uint64_t name(uint32_t shard, uint64_t sequence)
{
    CHECK(shard <= UINT16_MAX);
    if (sequence == 0 || sequence >> SEQUENCE_BITS)
        return 0;
    return (uint64_t)shard << SEQUENCE_BITS | sequence;
}

/* Where it is, or where it would be. */
static struct final_label *place_of(const struct final_labels *f, uint64_t sample)
{
    uint32_t mask = f->slots - 1, at = (uint32_t)(sample * 0x9e3779b97f4a7c15u >> 32) & mask;
    while (f->slot[at].sample && f->slot[at].sample != sample)
        at = (at + 1) & mask;
    return &f->slot[at];
}

/* At most half full. */
static void grow(struct final_labels *f)
{
    struct final_labels wider = {.slots = f->slots ? 2 * f->slots : SLOTS_FIRST, .count = f->count};
    wider.slot = mem_new(wider.slots, sizeof *wider.slot);
    for (uint32_t i = 0; i < f->slots; i++)
        if (f->slot[i].sample)
            *place_of(&wider, f->slot[i].sample) = f->slot[i];
    final_labels_close(f);
    *f = wider;
}

enum tm_code final_labels_put(struct final_labels *f, uint32_t shard, uint64_t sequence, double reward, double keep,
                              struct tm_error *err)
{
    uint64_t sample = name(shard, sequence);
    if (sample == 0)
        return tm_error_set(err, TM_DATA_LOSS, "shard %u: a correction of sample %" PRIu64 ", which cannot be", shard,
                            sequence);
    if (2 * f->count == f->slots && f->count < FINAL_LABELS_MAX)
        grow(f);
    struct final_label *l = place_of(f, sample);
    if (!l->sample && f->count == FINAL_LABELS_MAX)
        return tm_error_set(err, TM_RESOURCE_EXHAUSTED, "more than %d samples were corrected; compare a shorter time",
                            FINAL_LABELS_MAX);
    f->count += !l->sample;
    *l = (struct final_label){sample, reward, keep};
    return TM_OK;
}

const struct final_label *final_labels_of(const struct final_labels *f, uint32_t shard, uint64_t sequence)
{
    uint64_t sample = name(shard, sequence);
    const struct final_label *l = f->slots && sample ? place_of(f, sample) : NULL;
    return l && l->sample ? l : NULL;
}
