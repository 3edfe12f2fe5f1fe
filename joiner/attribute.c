/* Actions with a key of their own: taken, attributed, and attributed anew when something arrives that moves them. */
#include <string.h>

#include "joiner/joiner_state.h"

/* The decided impressions of groups that change, the newest first, with what was told of them. */
struct told {
    struct told_one {
        struct hash128 key;
        int64_t time;
        uint64_t position;
        struct verdict verdict;
    } one[ATTRIBUTION_SHOWN_MAX * JOINER_ACTION_KEYS_MAX];
    uint32_t count;
};

/* Its place in the order; an impression may be in several groups. */
static void tell(struct joiner *j, struct told *t, const struct shown *s, const struct decided_key *k)
{
    uint32_t at = t->count;
    while (at > 0 &&
           (t->one[at - 1].time < s->time || (t->one[at - 1].time == s->time && t->one[at - 1].position < s->position)))
        at--;
    if (at > 0 && t->one[at - 1].position == s->position)
        return;
    memmove(&t->one[at + 1], &t->one[at], (t->count - at) * sizeof t->one[0]);
    t->count++;
    t->one[at] = (struct told_one){.key = k->key, .time = s->time, .position = s->position};
    joiner_verdict_now(j, k, &t->one[at].verdict);
}

static void before_change(struct joiner *j, uint32_t group, struct told *t)
{
    const struct action_group *g = attribution_group_at(&j->attribution, group);
    for (uint32_t i = g->newest; i != ATTRIBUTION_NONE;) {
        const struct shown *s = attribution_shown_at(&j->attribution, i);
        const struct decided_key *k = s->decided ? joiner_reopen(j, s->key, j->expiry) : NULL;
        i = s->older[g->slot];
        if (k)
            tell(j, t, s, k);
    }
}

/* The oldest first; one correction for all that the record has changed of a sample. */
static void after_change(struct joiner *j, struct told *t, const struct joiner_record *r)
{
    struct verdict now;
    while (t->count-- > 0) {
        struct told_one *one = &t->one[t->count];
        struct decided_key *k = decided_find(&j->decided, one->key, j->expiry); /* it was put back into memory */
        CHECK(k);
        joiner_verdict_now(j, k, &now);
        joiner_correct(j, k, &one->verdict, &now, r->position,
                       &(struct correction_of){.doc = r->doc,
                                               .body = r->body,
                                               .shared = r->shared,
                                               .position = r->position,
                                               .stream = r->stream,
                                               .elsewhere = true});
    }
}

/* A withdrawal takes effect when it has met an impression, as its action does; from then on for good. */
static void pair(struct joiner *j, uint32_t group, uint32_t deed)
{
    struct attribution *a = &j->attribution;
    struct deed *d = attribution_deed_at(a, deed);
    uint32_t of_kind, other = attribution_find_deed(a, group, d->stream, d->event, !d->withdraw, &of_kind);
    if (other == ATTRIBUTION_NONE)
        return;
    uint32_t action = d->withdraw ? other : deed, withdrawal = d->withdraw ? deed : other;
    if (!attribution_deed_at(a, withdrawal)->matched || attribution_deed_at(a, action)->withdrawn)
        return;
    attribution_deed_at(a, action)->withdrawn = true;
    attribution_log_deed(a, action);
}

static void add(struct joiner *j, uint32_t group, const struct joiner_record *r, uint32_t holder)
{
    struct attribution *a = &j->attribution;
    uint32_t deed = attribution_add_deed(a, group, r);
    if (holder != ATTRIBUTION_NONE) {
        attribution_deed_at(a, deed)->matched = true;
        joiner_match(j, r->stream, r->withdraw, r->time, attribution_shown_at(a, holder)->time);
    } else {
        j->counts[r->stream].waiting++;
        due_insert(&a->waits, r->time, r->position, deed);
    }
    attribution_log_deed(a, deed);
    pair(j, group, deed);
}

static uint32_t slot_of(const struct joiner *j, uint8_t stream)
{
    uint32_t slot = 0;
    while (j->config.action_key[slot] != j->config.stream[stream].key_fields)
        slot++;
    return slot;
}

enum joiner_reason joiner_take_attributed(struct joiner *j, const struct joiner_record *r)
{
    struct attribution *a = &j->attribution;
    const struct deed as_new = {.time = r->time, .version = r->version, .stream = r->stream};
    uint32_t group = attribution_find(a, r->key), holder = ATTRIBUTION_NONE, of_kind = 0;
    struct told told;
    told.count = 0;
    if (group != ATTRIBUTION_NONE)
        holder = attribution_holder(a, group, &as_new);
    if (holder == ATTRIBUTION_NONE && joiner_behind(r->time, j->action_horizon))
        return REASON_LATE;
    if (group != ATTRIBUTION_NONE &&
        attribution_find_deed(a, group, r->stream, r->event, r->withdraw, &of_kind) != ATTRIBUTION_NONE)
        return REASON_DUPLICATE;
    if (of_kind >= JOINER_ACTIONS_MAX)
        return REASON_TOO_MANY_ACTIONS;
    group = attribution_group(a, r->key, slot_of(j, r->stream));
    before_change(j, group, &told);
    add(j, group, r, holder);
    after_change(j, &told, r);
    return REASON_NONE;
}

/* What waited for such an impression has met it now. */
static void match_waiting(struct joiner *j, uint32_t group, const struct joiner_record *r)
{
    struct attribution *a = &j->attribution;
    for (uint32_t i = attribution_group_at(a, group)->deeds; i != ATTRIBUTION_NONE;) {
        struct deed *d = attribution_deed_at(a, i);
        if (!d->matched && attribution_holder(a, group, d) != ATTRIBUTION_NONE) {
            d->matched = true;
            joiner_wait_no_more(j, d->stream);
            joiner_match(j, d->stream, d->withdraw, d->time, r->time);
            attribution_log_deed(a, i);
            pair(j, group, i);
        }
        i = d->next;
    }
}

void joiner_show(struct joiner *j, const struct joiner_record *r)
{
    struct told told;
    uint32_t group[JOINER_ACTION_KEYS_MAX], groups = 0, shown = ATTRIBUTION_NONE; /* a known one is a duplicate */
    bool crowded = false;
    told.count = 0;
    for (uint32_t slot = 0; slot < j->config.action_keys; slot++) {
        if (hash128_equal(r->action_key[slot], (struct hash128){0})) /* it lacks a field: nobody can name it so */
            continue;
        group[groups] = attribution_group(&j->attribution, r->action_key[slot], slot);
        before_change(j, group[groups++], &told);
    }
    for (uint32_t i = 0; i < groups; i++) {
        uint32_t crowded_out;
        attribution_show(&j->attribution, group[i], r, &shown, &crowded_out);
        j->counts[r->stream].crowded_out += crowded_out;
        crowded = crowded || crowded_out;
    }
    for (uint32_t i = 0; i < groups; i++)
        match_waiting(j, group[i], r);
    after_change(j, &told, r);
    if (crowded)
        joiner_forget_attributed(j);
}

void joiner_shed_shown(struct joiner *j, struct hash128 key, uint64_t position)
{
    attribution_shed(&j->attribution, key, position, j->position);
    joiner_forget_attributed(j);
}

/* Their impression can no longer come. An item may be stale: its deed was matched, its place used again. */
static void orphan(struct joiner *j)
{
    struct attribution *a = &j->attribution;
    struct due_item item;
    while (j->action_horizon != WATERMARK_NONE && due_next(&a->waits, j->action_horizon, &item)) {
        const struct deed *d = attribution_deed_at(a, item.number);
        if (d->position != item.position || d->matched)
            continue;
        joiner_wait_no_more(j, d->stream);
        joiner_set_aside(j, &(struct joiner_record){.position = d->position, .time = d->time, .stream = d->stream},
                         REASON_ORPHANED);
        attribution_remove_deed(a, item.number);
    }
}

/* Also when an impression goes for whose sake actions had stayed: a restart would not find them. */
void joiner_forget_attributed(struct joiner *j)
{
    uint32_t group;
    orphan(j);
    for (uint32_t ahead; (ahead = attribution_look_ahead(&j->attribution, j->expiry)) > 0;)
        for (; ahead > 0 && attribution_due(&j->attribution, j->expiry, &group); ahead--)
            attribution_forget(&j->attribution, group, j->expiry, j->position);
}

/* Which impressions are still undecided shows when all chunks are read. */
void joiner_attributed_loaded(struct joiner *j)
{
    struct attribution *a = &j->attribution;
    for (uint32_t i = 0; i < a->shown.count; i++) {
        const struct shown *s = attribution_shown_at(a, i);
        uint32_t number = s->position ? pending_find(&j->pending, s->key) : PENDING_NONE;
        if (s->position && (number == PENDING_NONE || j->pending.keys[number].position != s->position))
            attribution_decided(a, i);
    }
    attribution_loaded(a, j->expiry, j->action_horizon, j->counts);
}
