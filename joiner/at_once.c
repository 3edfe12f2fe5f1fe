/* Positives that are decided before their gate: who is ready, and when. Nobody who is ready waits once the gate of his
 * epoch is known: each record that may make somebody ready asks those whom it concerns. */
#include <stdlib.h>

#include "joiner/joiner_state.h"

/* Those that a record concerns, by (time, position): one by its join key, the others by groups of its action keys. */
struct concerned {
    struct due_item one[ATTRIBUTION_SHOWN_MAX * JOINER_ACTION_KEYS_MAX + 1];
    uint32_t count;
};

uint32_t joiner_known_gates(const struct joiner *j)
{
    uint32_t known = 0;
    for (uint32_t i = 0; i < j->config.epochs; i++)
        if (j->config.epoch[i].at_once && j->gate[i] != WATERMARK_NONE)
            known |= UINT32_C(1) << i;
    return known;
}

static bool has_note(const struct joiner *j, const struct pending_key *k, uint8_t stream)
{
    uint32_t i = k->notes;
    while (i != PENDING_NONE && j->pending.notes[i].stream != stream)
        i = j->pending.notes[i].next;
    return i != PENDING_NONE;
}

static bool has_required(const struct joiner *j, const struct pending_key *k, uint32_t streams)
{
    for (uint32_t i = 0; i < streams; i++)
        if (j->config.stream[i].kind == JOINER_FEATURES && j->config.stream[i].required && !has_note(j, k, (uint8_t)i))
            return false;
    return true;
}

static bool is_withdrawn(const struct joiner *j, const struct pending_key *k, const struct pending_note *action)
{
    for (uint32_t i = k->notes; i != PENDING_NONE; i = j->pending.notes[i].next) {
        const struct pending_note *n = &j->pending.notes[i];
        if (n->withdraw && n->stream == action->stream && n->event == action->event)
            return true;
    }
    return false;
}

/* The actions that count for an undecided key, in the order of (time, position). Returns how many. */
static uint32_t counted_so_far(const struct joiner *j, const struct pending_key *k,
                               struct label_action out[static DECIDED_COUNTED_MAX])
{
    uint32_t count = 0, held = 0;
    for (uint32_t i = k->notes; i != PENDING_NONE; i = j->pending.notes[i].next) {
        const struct pending_note *n = &j->pending.notes[i];
        if (j->config.stream[n->stream].kind != JOINER_ACTION || n->withdraw || is_withdrawn(j, k, n))
            continue;
        CHECK(count < DECIDED_COUNTED_MAX);
        out[count++] = (struct label_action){n->time, n->position, n->value, j->config.stream[n->stream].labels};
        joiner_put_in_order(out, count);
    }
    if (j->config.action_keys)
        held = attribution_held(&j->attribution, attribution_find_shown(&j->attribution, k->key), out + count);
    for (; held > 0; held--)
        joiner_put_in_order(out, ++count);
    return count;
}

static bool is_positive(const struct joiner *j, const struct pending_key *k, uint32_t labels)
{
    struct label_action actions[DECIDED_COUNTED_MAX];
    struct verdict now;
    uint32_t count = counted_so_far(j, k, actions);
    verdict_of(j->config.label, labels, &j->config.label_filters, actions, count, k->time, &now);
    return sample_is_positive(now.labels, labels);
}

/* Of an entry with an impression. */
static bool is_ready(const struct joiner *j, const struct pending_key *k)
{
    uint32_t at = joiner_epoch_of(j, k->position);
    const struct joiner_epoch *epoch = &j->config.epoch[at];
    return epoch->at_once && j->gate[at] != WATERMARK_NONE && has_required(j, k, epoch->streams) &&
           is_positive(j, k, epoch->labels);
}

static bool is_stale(void *context, const struct due_item *item) { return !joiner_waits(context, item); }

/* What it leaves among the timers goes when it is most of them: while time stands still nobody else takes it out, nor
 * forgets what was past expiry when it was decided. */
static void decide(struct joiner *j, uint32_t number)
{
    enum { FEW = 1024 };
    const struct pending_key *k = &j->pending.keys[number];
    uint32_t slot = joiner_slot(j, joiner_epoch_of(j, k->position));
    bool expired = joiner_behind(k->time, j->expiry);
    joiner_decide(j, number, JOINER_AT_ONCE);
    if (j->decisions[slot].items > 2 * j->undecided[slot] + FEW)
        due_drop(&j->decisions[slot], is_stale, j);
    if (expired)
        joiner_forget(j);
}

static bool is_before(const struct due_item *a, const struct due_item *b)
{
    return a->time != b->time ? a->time < b->time : a->position < b->position;
}

static void add(const struct joiner *j, struct concerned *c, uint32_t number)
{
    const struct pending_key *k = &j->pending.keys[number];
    const struct due_item item = {k->time, k->position, number};
    uint32_t at = c->count;
    while (at > 0 && is_before(&item, &c->one[at - 1]))
        at--;
    if (at > 0 && c->one[at - 1].number == number) /* it is in several groups */
        return;
    memmove(&c->one[at + 1], &c->one[at], (c->count - at) * sizeof c->one[0]);
    c->one[at] = item;
    c->count++;
}

static void add_key(const struct joiner *j, struct concerned *c, struct hash128 key)
{
    uint32_t number = pending_find(&j->pending, key);
    if (number != PENDING_NONE && j->pending.keys[number].chunk)
        add(j, c, number);
}

static void add_group(const struct joiner *j, struct concerned *c, struct hash128 action_key)
{
    const struct attribution *a = &j->attribution;
    uint32_t group = attribution_find(a, action_key);
    if (group == ATTRIBUTION_NONE)
        return;
    const struct action_group *g = attribution_group_at(a, group);
    for (uint32_t i = g->newest; i != ATTRIBUTION_NONE; i = attribution_shown_at(a, i)->older[g->slot])
        if (!attribution_shown_at(a, i)->decided)
            add_key(j, c, attribution_shown_at(a, i)->key);
}

void joiner_decide_ready(struct joiner *j, const struct joiner_record *r)
{
    struct concerned c;
    const struct joiner_stream *s = &j->config.stream[r->stream];
    c.count = 0;
    if (s->attribute != JOINER_ATTRIBUTE_NONE)
        add_group(j, &c, r->key);
    else
        add_key(j, &c, r->key);
    for (uint32_t slot = 0; s->kind == JOINER_IMPRESSION && slot < j->config.action_keys; slot++)
        add_group(j, &c, r->action_key[slot]);
    for (uint32_t i = 0; i < c.count; i++)
        if (is_ready(j, &j->pending.keys[c.one[i].number]))
            decide(j, c.one[i].number);
}

static int in_order(const void *a, const void *b) { return is_before(a, b) ? -1 : 1; }

void joiner_decide_all_ready(struct joiner *j)
{
    struct due_item *ready = mem_new(j->pending.key_count + 1, sizeof *ready);
    size_t count = 0;
    for (uint32_t i = 0; i < j->pending.key_count; i++) {
        const struct pending_key *k = &j->pending.keys[i];
        if (k->chunk && is_ready(j, k))
            ready[count++] = (struct due_item){k->time, k->position, i};
    }
    qsort(ready, count, sizeof *ready, in_order);
    for (size_t i = 0; i < count; i++)
        decide(j, ready[i].number);
    free(ready);
}
