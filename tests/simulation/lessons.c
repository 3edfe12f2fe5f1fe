#include "tests/simulation/lessons.h"

#include <math.h>
#include <stdlib.h>

void lessons_close(struct lessons *l) { free(l->lesson); }

static bool paused(const struct catalog *c, uint32_t version) { return c->state[version] == VERSION_PAUSED; }

static struct example example_of(const struct version *v, const struct sample *s, uint64_t labels)
{
    return (struct example){
        .reward = (double)(labels >> v->reward_label & 1), .weight = s->weight / s->keep, .time = s->impression_time};
}

static void learn(struct lessons *l, const struct version *v, uint32_t version, struct lesson *lesson)
{
    struct student *me = &l->student[version];
    const struct sample *s = &lesson->sample;
    struct beta_block *belief = &me->belief[lesson->doc];
    struct example now = example_of(v, s, s->labels);
    if (s->kind == SAMPLE_NEW) {
        if (!me->known[lesson->doc])
            v->model->init(&v->config, belief);
        me->known[lesson->doc] = true;
        v->model->learn(&v->config, belief, &now, 1);
    } else if (l->lesson[s->original - 1].fate[version] == LESSON_LEARNED) {
        v->model->correct(&v->config, belief, &(struct correction){example_of(v, s, s->old_labels), now});
    } else {
        lesson->fate[version] = LESSON_ORIGINAL;
        return;
    }
    lesson->fate[version] = LESSON_LEARNED;
}

static bool listens(const struct version *v, const struct sample *s)
{
    for (uint32_t k = 0; k < v->samples_from_count; k++)
        if (v->samples_from[k] == s->version)
            return true;
    return false;
}

void lessons_add(struct lessons *l, const struct catalog *c, const struct sample *sample, uint32_t doc)
{
    CLEANUP(buffer_close) struct buffer encoded = {0};
    uint32_t holders = 0, at = l->lessons++;
    l->lesson = mem_grow(l->lesson, l->lessons, sizeof *l->lesson);
    l->lesson[at] = (struct lesson){.sample = *sample, .doc = doc, .before = l->bytes};
    sample_encode(sample, &encoded);
    l->bytes += encoded.size;
    for (uint32_t i = 0; i < c->versions; i++) {
        struct student *me = &l->student[i];
        if (!listens(c->version[i], sample))
            continue;
        if (!paused(c, i) && me->held == 0) {
            learn(l, c->version[i], i, &l->lesson[at]);
            continue;
        }
        if (me->held++ == 0)
            me->at = at;
        l->lesson[at].fate[i] = LESSON_HELD;
        holders++;
    }
    l->brought += holders ? holders : 1;
}

void lessons_discard(struct lessons *l, uint32_t version)
{
    for (uint32_t i = 0; i < l->lessons; i++)
        if (l->lesson[i].fate[version] == LESSON_HELD && l->lesson[i].sample.kind == SAMPLE_NEW) {
            l->lesson[i].fate[version] = LESSON_DISCARDED;
            l->student[version].held--;
        }
}

static bool goes_on(const struct lessons *l, const struct catalog *c, uint32_t version)
{
    const struct student *me = &l->student[version];
    if (me->held == 0)
        return false;
    return !paused(c, version) || l->bytes - l->lesson[me->at].before > catalog_limits(c).held_bytes;
}

bool lessons_behind(const struct lessons *l, const struct catalog *c)
{
    for (uint32_t i = 0; i < c->versions; i++)
        if (goes_on(l, c, i))
            return true;
    return false;
}

/* Returns whether the version had something to do with the sample. */
static bool take(struct lessons *l, const struct catalog *c, uint32_t version, uint32_t at)
{
    struct student *me = &l->student[version];
    struct lesson *lesson = &l->lesson[at];
    me->at++;
    if (lesson->fate[version] != LESSON_HELD)
        return false;
    me->held--;
    if (paused(c, version) && lesson->sample.kind == SAMPLE_NEW)
        lesson->fate[version] = LESSON_LIMIT;
    else
        learn(l, c->version[version], version, lesson);
    return true;
}

/* Reading goes on from the lowest place on, also over samples at which nobody stands. */
void lessons_end_block(struct lessons *l, const struct catalog *c)
{
    uint64_t left = catalog_limits(c).slice + l->brought;
    uint32_t at = UINT32_MAX;
    l->brought = 0;
    for (uint32_t i = 0; i < c->versions; i++)
        if (goes_on(l, c, i) && l->student[i].at < at)
            at = l->student[i].at;
    for (; left > 0 && lessons_behind(l, c); at++) {
        uint32_t takers = 0;
        for (uint32_t i = 0; i < c->versions; i++)
            if (goes_on(l, c, i) && l->student[i].at == at)
                takers += take(l, c, i, at);
        uint64_t cost = takers ? takers : 1;
        left -= cost < left ? cost : left;
    }
}

uint32_t lessons_needed(const struct lessons *l, const struct catalog *c)
{
    uint32_t needed = UINT32_MAX;
    for (uint32_t i = 0; i < c->versions; i++)
        if (l->student[i].held && l->student[i].at < needed)
            needed = l->student[i].at;
    return needed;
}

void lessons_count(const struct lessons *l, uint32_t version, struct sample_counts *fresh,
                   struct sample_counts *corrections)
{
    *fresh = *corrections = (struct sample_counts){0};
    for (uint32_t i = 0; i < l->lessons; i++) {
        struct sample_counts *c = l->lesson[i].sample.kind == SAMPLE_NEW ? fresh : corrections;
        enum lesson_fate fate = l->lesson[i].fate[version];
        c->samples += fate != LESSON_NONE;
        c->held += fate == LESSON_HELD;
        c->learned += fate == LESSON_LEARNED;
        c->skipped += fate > LESSON_LEARNED;
        c->skipped_discarded += fate == LESSON_DISCARDED;
        c->skipped_limit += fate == LESSON_LIMIT;
        c->skipped_original += fate == LESSON_ORIGINAL;
    }
}

/* The labels that the version believes a learned sample to have. */
static uint64_t labels_now(const struct lessons *l, uint32_t version, uint32_t at)
{
    uint64_t labels = l->lesson[at].sample.labels;
    for (uint32_t i = at + 1; i < l->lessons; i++)
        if (l->lesson[i].sample.original == at + 1 && l->lesson[i].fate[version] == LESSON_LEARNED)
            labels = l->lesson[i].sample.labels;
    return labels;
}

static bool learned_of(const struct lesson *x, uint32_t version, uint32_t doc)
{
    return x->doc == doc && x->sample.kind == SAMPLE_NEW && x->fate[version] == LESSON_LEARNED;
}

struct lessons_sum lessons_sum(const struct lessons *l, const struct version *v, uint32_t version, uint32_t doc)
{
    struct lessons_sum sum = {0};
    for (uint32_t i = 0; i < l->lessons; i++) {
        const struct sample *s = &l->lesson[i].sample;
        if (learned_of(&l->lesson[i], version, doc) && (!sum.known || s->impression_time > sum.time)) {
            sum.known = true;
            sum.time = s->impression_time;
        }
    }
    for (uint32_t i = 0; i < l->lessons; i++) {
        const struct sample *s = &l->lesson[i].sample;
        if (!learned_of(&l->lesson[i], version, doc))
            continue;
        double reward = (double)(labels_now(l, version, i) >> v->reward_label & 1);
        double w = s->weight * exp(-v->config.decay_per_ms * (double)(sum.time - s->impression_time));
        sum.s += w * reward;
        sum.f += w * (1 - reward);
        sum.mass += s->weight;
        sum.positives += reward >= 0.5;
        sum.negatives += reward < 0.5;
    }
    return sum;
}
