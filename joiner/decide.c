/* The decision of a key: its first labels, what is remembered of it, and the corrections that follow. */
#include "joiner/joiner_state.h"

static void emit(struct joiner *j, struct sample *s)
{
    s->sequence = ++j->sequence;
    s->decided_at = j->gate;
    s->keep = 1;
    j->output.sample(j->output.self, s);
}

/* A label changed after the sample was made. */
void joiner_correct(struct joiner *j, struct decided_key *k, uint8_t stream, uint64_t position, struct hash128 doc)
{
    uint16_t labels = (uint16_t)(k->labels | j->config.stream[stream].labels);
    if (labels == k->labels)
        return;
    struct sample s = {.original = k->sequence,
                       .kind = SAMPLE_CORRECTION,
                       .version = k->version,
                       .key = k->key,
                       .doc = doc,
                       .impression_time = k->time,
                       .position = position,
                       .labels = labels,
                       .old_labels = k->labels,
                       .weight = (double)k->weight,
                       .place = {k->chunk, k->offset}};
    k->labels = labels; /* k is on the list of the next run already */
    emit(j, &s);
}

enum { NOTES_MAX = JOINER_STREAMS_MAX * JOINER_ACTIONS_MAX };

/* The notes of a key by (time, position): the order in which labels change. */
static uint32_t sorted_notes(const struct pending *p, const struct pending_key *k, uint32_t notes[static NOTES_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = k->notes; i != PENDING_NONE; i = p->notes[i].next) {
        const struct pending_note *n = &p->notes[i];
        uint32_t at = count++;
        CHECK(count <= NOTES_MAX);
        for (; at > 0; at--) {
            const struct pending_note *before = &p->notes[notes[at - 1]];
            if (before->time < n->time || (before->time == n->time && before->position < n->position))
                break;
            notes[at] = notes[at - 1];
        }
        notes[at] = i;
    }
    return count;
}

static struct decided_key *remember(struct joiner *j, const struct sample *s, const uint32_t *notes, uint32_t count)
{
    struct decided_key *k = decided_put(&j->decided, s->key);
    k->time = s->impression_time;
    k->sequence = s->sequence;
    k->settled = j->position;
    k->chunk = s->place.chunk;
    k->offset = s->place.offset;
    k->version = s->version;
    k->weight = (float)s->weight;
    k->labels = (uint16_t)s->labels;
    for (uint32_t i = 0; i < count; i++) {
        const struct pending_note *n = &j->pending.notes[notes[i]];
        if (j->config.stream[n->stream].kind == JOINER_ACTION)
            decided_add_action(&j->decided, k, n->stream, n->event);
    }
    decided_changed(&j->decided, k);
    return k;
}

/* The first labels, and where the features lie. */
static void fold(const struct joiner *j, const uint32_t *notes, uint32_t count, struct sample *s)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct pending_note *n = &j->pending.notes[notes[i]];
        if (j->config.stream[n->stream].kind == JOINER_FEATURES)
            s->place = (struct sample_place){n->chunk, n->offset};
        else if (n->time <= s->impression_time + j->config.window_ms)
            s->labels |= j->config.stream[n->stream].labels;
    }
}

static void keep_pace(struct joiner *j, int64_t time)
{
    struct joiner_pace *p = &j->pace;
    if (p->decided++ == 0)
        p->first = p->newest = time;
    p->newest = time > p->newest ? time : p->newest;
}

void joiner_decide(struct joiner *j, uint32_t number)
{
    uint32_t notes[NOTES_MAX];
    const struct pending_key *p = &j->pending.keys[number];
    uint32_t count = sorted_notes(&j->pending, p, notes), chunk = p->chunk;
    uint8_t stream;
    struct sample s = {.kind = SAMPLE_NEW,
                       .version = p->version,
                       .key = p->key,
                       .doc = p->doc,
                       .impression_time = p->time,
                       .position = p->position,
                       .place = {p->chunk, p->offset}};
    fold(j, notes, count, &s);
    s.body = chunks_body(&j->chunks, p->chunk, p->offset, &s.weight, &stream);
    emit(j, &s);
    struct decided_key *k = remember(j, &s, notes, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct pending_note *n = &j->pending.notes[notes[i]];
        if (n->time > s.impression_time + j->config.window_ms && j->config.stream[n->stream].kind == JOINER_ACTION)
            joiner_correct(j, k, n->stream, n->position, s.doc);
        joiner_release_note(j, notes[i]);
    }
    chunks_release(&j->chunks, chunk, true);
    pending_remove(&j->pending, number);
    j->undecided--;
    joiner_wait_no_more(j, stream);
    j->counts[stream].matched++;
    keep_pace(j, s.impression_time);
}
