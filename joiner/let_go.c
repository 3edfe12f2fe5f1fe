/* Records that wait no more although nothing was decided: orphans, and what is shed at the hard limit of memory. What
 * waits is counted in logical bytes, so that the same records go whatever commits, restarts and allocators do. */
#include "joiner/joiner_state.h"

enum {
    KEY_BYTES = sizeof(struct pending_key) + PENDING_INDEX_BYTES + sizeof(struct due_mark),
    NOTE_BYTES = sizeof(struct pending_note) + KEY_BYTES, /* as if it came alone */
};

uint64_t joiner_waiting_bytes(enum joiner_stream_kind kind, size_t body)
{
    if (kind == JOINER_TABLE) /* it waits for nothing */
        return 0;
    if (kind == JOINER_ACTION)
        return NOTE_BYTES + CHUNK_HEAD_BYTES;
    return (kind == JOINER_IMPRESSION ? KEY_BYTES : NOTE_BYTES) + CHUNK_HEAD_BYTES + body;
}

uint64_t joiner_note_bytes(struct joiner *j, const struct pending_note *n)
{
    enum joiner_stream_kind kind = j->config.stream[n->stream].kind;
    if (kind == JOINER_ACTION)
        return joiner_waiting_bytes(kind, 0);
    struct chunk_record r = chunks_record(&j->chunks, n->chunk, n->offset);
    return joiner_kept_bytes(kind, &r);
}

void joiner_release_note(struct joiner *j, uint32_t number)
{
    const struct pending_note *n = &j->pending.notes[number];
    j->held -= joiner_note_bytes(j, n);
    chunks_release(&j->chunks, n->chunk, j->config.stream[n->stream].kind == JOINER_FEATURES);
    pending_remove_note(&j->pending, number);
}

static void put_removed(struct joiner *j, const struct joiner_record *r)
{
    chunks_append_removed(&j->chunks, r->position, r->time, r->key, r->stream);
}

void joiner_settle_note(struct joiner *j, uint32_t number)
{
    const struct pending_note *n = &j->pending.notes[number];
    if (!j->loading)
        chunks_append_removed(&j->chunks, n->position, n->time, j->pending.keys[n->owner].key, n->stream);
    joiner_release_note(j, number);
}

void joiner_drop_early(struct joiner *j, uint32_t number)
{
    const struct pending_note *n = &j->pending.notes[number];
    uint32_t owner = n->owner;
    joiner_wait_no_more(j, n->stream);
    j->early -= joiner_note_bytes(j, n);
    joiner_release_note(j, number);
    if (j->pending.keys[owner].notes == PENDING_NONE)
        pending_remove(&j->pending, owner);
}

void joiner_drop_impression(struct joiner *j, uint32_t number)
{
    const struct pending_key *k = &j->pending.keys[number];
    struct chunk_record r = chunks_record(&j->chunks, k->chunk, k->offset);
    while (k->notes != PENDING_NONE)
        joiner_release_note(j, k->notes);
    j->held -= joiner_kept_bytes(JOINER_IMPRESSION, &r);
    j->undecided[joiner_slot(j, joiner_epoch_of(j, k->position))]--;
    joiner_wait_no_more(j, r.stream);
    chunks_release(&j->chunks, k->chunk, true);
    pending_remove(&j->pending, number);
}

/* A note whose impression has not come. An item may be stale: its note was settled, its place used again. */
static bool waits_early(const struct joiner *j, const struct due_item *item)
{
    const struct pending_note *n = &j->pending.notes[item->number];
    return n->position == item->position && !j->pending.keys[n->owner].chunk;
}

static void let_early_go(struct joiner *j, uint32_t number, enum joiner_reason reason)
{
    const struct pending_note *n = &j->pending.notes[number];
    struct joiner_record r = {
        .position = n->position, .time = n->time, .key = j->pending.keys[n->owner].key, .stream = n->stream};
    put_removed(j, &r);
    joiner_set_aside(j, &r, reason);
    joiner_drop_early(j, number);
}

void joiner_orphan(struct joiner *j, struct due *queue, int64_t horizon)
{
    struct due_item item;
    while (horizon != WATERMARK_NONE && due_next(queue, horizon, &item))
        if (waits_early(j, &item))
            let_early_go(j, item.number, REASON_ORPHANED);
}

/* ---- shedding: each takes the oldest by (time, position); false: there is none ---- */

static bool take_oldest(struct due *queue, struct due_item *item)
{
    int64_t earliest = due_earliest(queue);
    return earliest != INT64_MAX && due_next(queue, earliest + 1, item);
}

static bool shed_early(struct joiner *j, struct due *queue)
{
    struct due_item item;
    while (take_oldest(queue, &item))
        if (waits_early(j, &item)) {
            let_early_go(j, item.number, REASON_SHED);
            return true;
        }
    return false;
}

/* What had met its impression goes with it, and has matched nothing. */
static void set_notes_aside(struct joiner *j, const struct pending_key *k)
{
    for (uint32_t i = k->notes; i != PENDING_NONE; i = j->pending.notes[i].next) {
        const struct pending_note *n = &j->pending.notes[i];
        struct joiner_record r = {.position = n->position, .time = n->time, .key = k->key, .stream = n->stream};
        CHECK(j->counts[n->stream].matched > 0);
        j->counts[n->stream].matched--;
        put_removed(j, &r);
        joiner_set_aside(j, &r, REASON_SHED);
    }
}

/* Its removal is written first, and one of each note: a restart reads the chunks that are still needed only, and may
 * find either without the other. */
static void let_impression_go(struct joiner *j, uint32_t number)
{
    const struct pending_key *k = &j->pending.keys[number];
    struct joiner_record r = {.position = k->position, .time = k->time, .key = k->key};
    r.stream = chunks_record(&j->chunks, k->chunk, k->offset).stream;
    put_removed(j, &r);
    struct chunk_record kept = chunks_record(&j->chunks, k->chunk, k->offset); /* the chunk may have moved */
    r.body = kept.body;
    r.shared = kept.shared;
    joiner_set_aside(j, &r, REASON_SHED);
    set_notes_aside(j, k);
    if (j->config.action_keys)
        joiner_shed_shown(j, k->key, k->position);
    joiner_drop_impression(j, number);
}

bool joiner_waits(const struct joiner *j, const struct due_item *item)
{
    const struct pending_key *k = &j->pending.keys[item->number];
    return k->chunk && k->position == item->position;
}

static bool shed_impression(struct joiner *j)
{
    struct due_item item;
    for (uint32_t epoch; (epoch = joiner_next_epoch(j, NULL)) != JOINER_EPOCHS_MAX;) {
        CHECK(take_oldest(&j->decisions[joiner_slot(j, epoch)], &item));
        if (joiner_waits(j, &item)) {
            let_impression_go(j, item.number);
            return true;
        }
    }
    return false;
}

/* What waits for impressions that never come must not push out those that do: it has half of the room at most. */
static void keep_held_bound(struct joiner *j)
{
    uint64_t most = j->config.held_bytes_max;
    while (most > 0 && j->held > most) {
        bool crowded = j->early > most / 2;
        bool shed = (crowded && (shed_early(j, &j->early_features) || shed_early(j, &j->early_actions))) ||
                    shed_impression(j) || shed_early(j, &j->early_features) || shed_early(j, &j->early_actions);
        CHECK(shed); /* what is held, waits */
    }
}

void joiner_keep_bounds(struct joiner *j)
{
    keep_held_bound(j);
    if (j->config.decided_bytes_max && j->remembered.bytes > j->config.decided_bytes_max)
        joiner_keep_decided_bound(j);
}

void joiner_set_bounds(struct joiner *j, uint64_t held_bytes_max, uint64_t decided_bytes_max)
{
    j->config.held_bytes_max = held_bytes_max;
    j->config.decided_bytes_max = decided_bytes_max;
    joiner_keep_bounds(j);
}
