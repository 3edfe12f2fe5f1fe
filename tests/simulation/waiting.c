#include "tests/simulation/waiting.h"

#include <stdlib.h>

#include "tests/simulation/lessons.h"

enum { SAMPLE_BYTES = 192, NONE = -1 };

/* Who asks for whom. */
struct asking {
    struct lessons *l;
    const struct catalog *c;
    uint32_t version;
    const struct version *v;
    struct student *me;
    struct waiting *w;
};

static struct asking of(struct lessons *l, const struct catalog *c, uint32_t version)
{
    return (struct asking){l, c, version, c->version[version], &l->student[version], &l->student[version].waiting};
}

void waiting_close(struct waiting *w) { free(w->waiter); }

static struct waiter take_out(struct waiting *w, uint32_t i)
{
    struct waiter x = w->waiter[i];
    memmove(&w->waiter[i], &w->waiter[i + 1], (w->waiters - i - 1) * sizeof *w->waiter);
    w->waiters--;
    return x;
}

static void put_last(struct waiting *w, struct waiter x)
{
    w->waiter = mem_grow(w->waiter, w->waiters + 1, sizeof *w->waiter);
    w->waiter[w->waiters++] = x;
}

/* The lessons that this waiter stands for belong to another from now on, or, if that is 0, have this fate. */
static void hand_on(struct asking a, uint32_t id, uint32_t to, enum lesson_fate fate)
{
    for (uint32_t i = 0; i < a.l->lessons; i++) {
        struct lesson *x = &a.l->lesson[i];
        if (x->fate[a.version] != LESSON_BATCHED || x->waiter[a.version] != id)
            continue;
        x->waiter[a.version] = to ? to : id;
        if (to == 0)
            x->fate[a.version] = fate;
    }
}

static void learn(struct asking a, uint32_t doc, const struct waiter *x, uint32_t count)
{
    struct example *e = mem_new(count, sizeof *e);
    void *belief = a.me->belief[doc];
    for (uint32_t i = 0; i < count; i++) {
        e[i] = x[i].now;
        e[i].x = x[i].has_x ? x[i].x : NULL;
        a.l->lesson[x[i].lesson].put[a.version] = true;
        hand_on(a, x[i].id, 0, LESSON_LEARNED);
    }
    if (!a.me->known[doc])
        a.v->model->init(&a.v->config, belief);
    a.me->known[doc] = true;
    a.v->model->learn(&a.v->config, belief, e, count);
    free(e);
}

static void fire(struct asking a, uint32_t doc, uint64_t *why)
{
    struct waiter *batch = mem_new(a.w->waiters, sizeof *batch);
    uint32_t count = 0;
    for (uint32_t i = 0; i < a.w->waiters;)
        if (a.w->waiter[i].in_batch && a.w->waiter[i].doc == doc)
            batch[count++] = take_out(a.w, i);
        else
            i++;
    learn(a, doc, batch, count);
    ++*why;
    free(batch);
}

static void fire_if_full(struct asking a, uint32_t doc)
{
    uint32_t positives = 0, negatives = 0;
    for (uint32_t i = 0; i < a.w->waiters; i++)
        if (a.w->waiter[i].in_batch && a.w->waiter[i].doc == doc)
            *(a.w->waiter[i].now.reward >= 0.5 ? &positives : &negatives) += 1;
    if (positives + negatives >= a.v->batch.samples)
        fire(a, doc, &a.w->fired.samples);
    else if (a.v->batch.positive_ratio > 0 && positives >= 1 && positives >= a.v->batch.positive_ratio * negatives)
        fire(a, doc, &a.w->fired.ratio);
}

/* The first in a batch whose batch is the oldest; NONE. */
static int oldest(const struct waiting *w)
{
    int best = NONE;
    for (uint32_t i = 0; i < w->waiters; i++)
        if (w->waiter[i].in_batch && (best == NONE || w->waiter[i].opened < w->waiter[best].opened))
            best = (int)i;
    return best;
}

static int next_turn(const struct lessons *l, const struct waiting *w)
{
    int best = NONE;
    for (uint32_t i = 0; i < w->waiters; i++) {
        const struct waiter *x = &w->waiter[i], *y = best == NONE ? NULL : &w->waiter[best];
        if (x->in_batch)
            continue;
        if (!y || x->due < y->due ||
            (x->due == y->due && l->lesson[x->lesson].sample.key.lo < l->lesson[y->lesson].sample.key.lo))
            best = (int)i;
    }
    return best;
}

static void its_turn(struct asking a, struct waiter x);

static void amend(struct asking a, struct waiter x)
{
    for (uint32_t i = 0; i < a.w->waiters; i++)
        if (a.w->waiter[i].in_batch && a.w->waiter[i].lesson == x.lesson) {
            if (x.is_nothing) {
                hand_on(a, take_out(a.w, i).id, 0, LESSON_LEARNED);
                hand_on(a, x.id, 0, LESSON_LEARNED);
                fire_if_full(a, x.doc);
                return;
            }
            a.w->waiter[i].now = x.now;
            memcpy(a.w->waiter[i].x, x.x, sizeof x.x);
            hand_on(a, x.id, a.w->waiter[i].id, LESSON_BATCHED);
            fire_if_full(a, x.doc);
            return;
        }
    const struct lesson *original = &a.l->lesson[x.lesson];
    if (original->forgotten[a.version] || original->before_reset[a.version]) {
        hand_on(a, x.id, 0, LESSON_RESET);
        return;
    }
    if (x.was_nothing && !x.is_nothing) {
        x.correction = x.last = false;
        its_turn(a, x);
        return;
    }
    x.now.x = x.has_x ? x.x : NULL;
    x.was.x = x.has_x ? x.old_x : NULL;
    bool same = x.was.reward == x.now.reward && x.was.weight == x.now.weight &&
                (!x.has_x || memcmp(x.x, x.old_x, a.v->config.dimension * sizeof x.x[0]) == 0);
    if (!x.was_nothing && x.is_nothing)
        a.v->model->retract(&a.v->config, a.me->belief[x.doc], &x.was);
    else if (!x.was_nothing && !same)
        a.v->model->correct(&a.v->config, a.me->belief[x.doc], &(struct correction){x.was, x.now});
    hand_on(a, x.id, 0, LESSON_LEARNED);
}

static void its_turn(struct asking a, struct waiter x)
{
    if (x.correction) {
        amend(a, x);
        return;
    }
    if (x.is_nothing) {
        hand_on(a, x.id, 0, LESSON_LEARNED);
        return;
    }
    if (a.v->batch.samples <= 1) {
        learn(a, x.doc, &x, 1);
        return;
    }
    x.in_batch = true;
    x.opened = a.w->clock;
    for (uint32_t i = 0; i < a.w->waiters; i++)
        if (a.w->waiter[i].in_batch && a.w->waiter[i].doc == x.doc)
            x.opened = a.w->waiter[i].opened;
    put_last(a.w, x);
    fire_if_full(a, x.doc);
}

static void set_clock(struct asking a, int64_t now)
{
    if (!a.w->clocked || now > a.w->clock)
        a.w->clock = now;
    a.w->clocked = true;
    for (int i; a.v->batch.age_ms > 0 && (i = oldest(a.w)) != NONE;) {
        if (a.w->clock < a.w->waiter[i].opened + a.v->batch.age_ms)
            return;
        fire(a, a.w->waiter[i].doc, &a.w->fired.age);
    }
}

void waiting_pass(struct lessons *l, const struct catalog *c, uint32_t version, int64_t now)
{
    struct asking a = of(l, c, version);
    for (int i; (i = next_turn(l, a.w)) != NONE && a.w->waiter[i].due < now;) {
        struct waiter x = take_out(a.w, (uint32_t)i);
        set_clock(a, x.due);
        its_turn(a, x);
    }
    set_clock(a, now);
}

/* Corrections of one sample wait together, or with the sample if that waits for the same turn. */
static bool joins_another(struct asking a, const struct waiter *x)
{
    for (uint32_t i = 0; i < a.w->waiters && x->correction; i++) {
        struct waiter *y = &a.w->waiter[i];
        if (y->in_batch || y->lesson != x->lesson || !y->last)
            continue;
        y->now = x->now;
        y->is_nothing = x->is_nothing;
        memcpy(y->x, x->x, sizeof y->x);
        hand_on(a, x->id, y->id, LESSON_BATCHED);
        return true;
    }
    return false;
}

void waiting_take(struct lessons *l, const struct catalog *c, uint32_t version, uint32_t at, const struct example *was,
                  const struct example *now, bool fitted, bool fits)
{
    struct asking a = of(l, c, version);
    struct lesson *lesson = &l->lesson[at];
    const struct sample *s = &lesson->sample;
    struct waiter x = {.id = ++a.w->ids, .lesson = at, .doc = lesson->doc, .now = *now};
    if (now->x) {
        x.has_x = true;
        memcpy(x.x, now->x, a.v->config.dimension * sizeof *now->x);
        memcpy(x.old_x, s->kind == SAMPLE_CORRECTION ? was->x : now->x, a.v->config.dimension * sizeof *now->x);
    }
    lesson->fate[version] = LESSON_BATCHED;
    lesson->waiter[version] = x.id;
    if (s->kind == SAMPLE_CORRECTION) {
        x.correction = x.last = true;
        x.was = *was;
        x.was_nothing = !fitted;
        x.is_nothing = !fits;
        x.lesson = (uint32_t)s->original - 1;
    }
    if (a.v->order == ORDER_ARRIVAL) {
        its_turn(a, x);
        return;
    }
    x.last = x.last || s->behind;
    x.due = s->impression_time + (x.last ? c->join.allowed_lateness_ms : 0);
    a.w->fired.behind += x.last && !x.correction;
    if (!joins_another(a, &x))
        put_last(a.w, x);
}

void waiting_forget(struct lessons *l, const struct version *v, uint32_t version)
{
    struct asking a = {
        .l = l, .version = version, .v = v, .me = &l->student[version], .w = &l->student[version].waiting};
    while (a.w->waiters > 0) {
        struct waiter x = take_out(a.w, 0);
        hand_on(a, x.id, 0, LESSON_RESET);
    }
}

bool waiting_has(const struct waiting *w, uint32_t lesson)
{
    for (uint32_t i = 0; i < w->waiters; i++)
        if (w->waiter[i].lesson == lesson)
            return true;
    return false;
}

bool waiting_unlearned(const struct waiting *w, const struct version *v, uint32_t lesson)
{
    for (uint32_t i = 0; i < w->waiters; i++) {
        const struct waiter *x = &w->waiter[i];
        if (x->lesson == lesson &&
            ((x->in_batch && v->order == ORDER_ARRIVAL) || (x->last && (!x->correction || x->was_nothing))))
            return true;
    }
    return false;
}

uint32_t waiting_batches(const struct waiting *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->waiters; i++) {
        bool first = w->waiter[i].in_batch;
        for (uint32_t k = 0; k < i; k++)
            first = first && !(w->waiter[k].in_batch && w->waiter[k].doc == w->waiter[i].doc);
        count += first;
    }
    return count;
}

static uint64_t bytes(const struct lessons *l, const struct catalog *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->versions; i++) {
        const struct version *v = c->version[i];
        uint32_t sides = v->order == ORDER_EVENT_TIME ? 2 : 1;
        sum += l->student[i].waiting.waiters *
               (SAMPLE_BYTES + 4 * (model_uses_features(v->model) ? sides * v->config.dimension : 0));
    }
    return sum;
}

void waiting_keep_bound(struct lessons *l, const struct catalog *c)
{
    while (bytes(l, c) > catalog_limits(c).batch_bytes) {
        int64_t opened = 0, due = 0;
        uint32_t with_batch = UINT32_MAX, with_turn = UINT32_MAX;
        for (uint32_t i = 0; i < c->versions; i++) {
            const struct waiting *w = &l->student[i].waiting;
            int batch = oldest(w), turn = next_turn(l, w);
            if (c->state[i] == VERSION_PAUSED)
                continue;
            if (batch != NONE && (with_batch == UINT32_MAX || w->waiter[batch].opened < opened)) {
                with_batch = i;
                opened = w->waiter[batch].opened;
            }
            if (turn != NONE && (with_turn == UINT32_MAX || w->waiter[turn].due < due)) {
                with_turn = i;
                due = w->waiter[turn].due;
            }
        }
        struct asking a = of(l, c, with_batch != UINT32_MAX ? with_batch : with_turn != UINT32_MAX ? with_turn : 0);
        if (with_batch != UINT32_MAX) {
            fire(a, a.w->waiter[oldest(a.w)].doc, &a.w->fired.room);
        } else if (with_turn != UINT32_MAX) {
            a.w->fired.turns++;
            its_turn(a, take_out(a.w, (uint32_t)next_turn(l, a.w)));
        } else {
            return;
        }
    }
}
