/* What versions hold that were paused, and how they catch up; the rules are in ps/state/shard.h. */
#include <stdlib.h>

#include "ps/state/shard_state.h"

void shard_hold(struct shard *s, struct version_slot *slot, const struct sample *sample, struct sample_log_place place)
{
    if (slot_held(slot) == 0) { /* the first one: everything in front of it is none of the version's business */
        if (slot->cursor.next < sample->sequence)
            cursor_pass(&slot->cursor, sample->sequence - 1);
        slot->place = place;
        slot->horizon = joiner_expiry(s->joiner);
        slot->features_from = s->features.first;
        s->holding++;
    }
    (sample->kind == SAMPLE_NEW ? &slot->fresh : &slot->corrections)->held++;
}

static void hold_less(struct shard *s, struct version_slot *slot, struct sample_counts *counts, uint64_t n)
{
    CHECK(n > 0 && counts->held >= n);
    counts->held -= n;
    if (slot_held(slot) > 0)
        return;
    s->holding--;
    s->names.look_at = WATERMARK_NONE; /* what was doubted because of it is looked at now */
}

/* The corrections stay held: they are to be found in the log. */
void shard_discard(struct shard *s, uint32_t version)
{
    struct version_slot *slot = shard_slot(s, version);
    uint64_t held = slot->fresh.held;
    if (held == 0)
        return;
    cursor_discard(&slot->cursor, joiner_sequence(s->joiner) + 1, joiner_front(s->joiner));
    slot->fresh.skipped += held;
    slot->fresh.skipped_discarded += held;
    shard_leave_names(s);
    hold_less(s, slot, &slot->fresh, held);
}

/* Does the version go on with what it holds? A paused one only gives up what is beyond the limit. */
static bool goes_on(const struct shard *s, const struct version_slot *slot)
{
    return slot_held(slot) &&
           (!slot_paused(s, slot) || s->log.bytes - slot->place.bytes > catalog_limits(&s->catalog).held_bytes);
}

struct slice {
    struct shard *shard;
    struct version_slot **slot; /* those that go on */
    uint32_t slots;
    uint64_t next; /* the sample to read */
    uint64_t left; /* of what the slice may cost */
    bool gap;      /* the log lacks the sample `next` */
};

static bool listens(const struct version *v, uint32_t source)
{
    for (uint32_t i = 0; i < v->samples_from_count; i++)
        if (v->samples_from[i] == source)
            return true;
    return false;
}

/* New samples up to there were given up: by a command, or with the encoder that they were held, or refused, by. */
static bool is_discarded(const struct version_slot *slot, uint64_t sequence)
{
    return cursor_discards(&slot->cursor, sequence) || sequence < slot->encoded_from;
}

/* A version that holds samples goes by one that it has not held: of another's, or one that it refused. Those are
 * corrected when features come; where it skips samples it skips them, too. */
static bool goes_by(struct shard *s, struct version_slot *slot, const struct sample *sample)
{
    bool is_its = listens(slot->version, sample->version), discarded = is_discarded(slot, sample->sequence);
    if (is_its && (sample->kind == SAMPLE_CORRECTION || (!discarded && shard_refusal(s, slot, sample) == REASON_NONE)))
        return false;
    if (!is_its || discarded)
        cursor_pass(&slot->cursor, sample->sequence);
    else if (slot_paused(s, slot))
        cursor_skip(&slot->cursor, sample->sequence, sample->decided_at);
    else
        cursor_learn(&slot->cursor, sample->sequence, slot->horizon);
    return true;
}

/* Nothing is held any more: of what is left it has refused what is its own. */
static void go_to_the_head(struct shard *s, struct version_slot *slot)
{
    struct cursor *c = &slot->cursor;
    uint64_t from = c->next > c->discarded ? c->next : c->discarded, head = joiner_sequence(s->joiner);
    if (from > head)
        return;
    cursor_learn(c, from, slot->horizon);
    if (from < head)
        cursor_learn(c, head, slot->horizon);
}

/* It was named when it was held; that of what is not learned goes. */
static void let_name_go(struct shard *s, const struct version_slot *slot, const struct sample *sample)
{
    if ((!slot->batches || sample_moved(sample)) && table_find(slot->table, doc_id_of(sample->doc)) == TABLE_NONE)
        shard_let_name_go(s, doc_id_of(sample->doc));
}

/* Returns whether the version had something to do with it. */
static bool take(struct shard *s, struct version_slot *slot, const struct sample *sample)
{
    bool is_new = sample->kind == SAMPLE_NEW, gives_up = is_new && slot_paused(s, slot);
    if (is_new && sample->place.row)
        slot->features_from = sample->place.row - sample->feature_reach;
    if (goes_by(s, slot, sample))
        return false;
    if (gives_up) {
        cursor_skip(&slot->cursor, sample->sequence, sample->decided_at);
        slot->fresh.skipped++;
        slot->fresh.skipped_limit++;
        shard_leave_names(s);
    } else {
        shard_learn(s, slot, sample, slot->horizon);
    }
    hold_less(s, slot, is_new ? &slot->fresh : &slot->corrections, 1);
    if (!gives_up)
        let_name_go(s, slot, sample);
    if (slot_held(slot) == 0)
        go_to_the_head(s, slot);
    return true;
}

static bool read_on(void *context, const struct sample *sample, uint64_t row, size_t size)
{
    struct slice *c = context;
    uint32_t takers = 0, stay = 0;
    if (sample->sequence < c->next) /* the row began in front of the cursor */
        return true;
    c->gap = sample->sequence > c->next;
    if (c->gap || c->left == 0)
        return false;
    for (uint32_t i = 0; i < c->slots; i++) {
        struct version_slot *slot = c->slot[i];
        if (slot->cursor.next == sample->sequence) {
            takers += take(c->shard, slot, sample);
            slot->place = (struct sample_log_place){row, slot->place.bytes + size};
        }
        if (goes_on(c->shard, slot))
            c->slot[stay++] = slot;
    }
    c->slots = stay;
    c->next++;
    c->left -= takers <= 1 ? 1 : takers <= c->left ? takers : c->left;
    return c->slots > 0;
}

/* Those that go on; returns the one that is furthest behind. */
static const struct version_slot *gather(struct slice *c)
{
    const struct version_slot *last = NULL;
    for (uint32_t i = 0; i < c->shard->slots; i++) {
        struct version_slot *slot = &c->shard->slot[i];
        if (!goes_on(c->shard, slot))
            continue;
        c->slot[c->slots++] = slot;
        if (!last || slot->cursor.next < last->cursor.next)
            last = slot;
    }
    return last;
}

static enum tm_code work_off(struct shard *s, struct slice *c, struct tm_error *err)
{
    const struct version_slot *last = gather(c);
    if (!last)
        return TM_OK;
    c->next = last->cursor.next;
    s->changed = true;
    enum tm_code rc = sample_log_read(&s->log, &s->options.store, last->place.row, read_on, c, err);
    if (rc == TM_OK && (c->gap || (c->slots && c->left)))
        rc = tm_error_set(err, TM_DATA_LOSS, "the sample log lacks sample %llu", (unsigned long long)c->next);
    s->behind = c->slots > 0;
    return rc;
}

enum tm_code shard_catch_up(struct shard *s, struct tm_error *err)
{
    struct slice c = {.shard = s, .left = catalog_limits(&s->catalog).slice + s->brought};
    enum tm_code rc = TM_OK;
    s->brought = 0;
    s->behind = false;
    if (s->holding == 0)
        return TM_OK;
    c.slot = mem_new(s->slots, sizeof(struct version_slot *));
    rc = work_off(s, &c, err);
    free(c.slot);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "shard %u", s->options.id);
}

void shard_count_held(struct shard *s)
{
    s->holding = 0;
    s->behind = false;
    for (uint32_t i = 0; i < s->slots; i++) {
        s->holding += slot_held(&s->slot[i]) > 0;
        s->behind |= goes_on(s, &s->slot[i]);
    }
}

uint64_t shard_rows_needed(const struct shard *s)
{
    uint64_t needed = UINT64_MAX;
    for (uint32_t i = 0; i < s->slots; i++)
        if (slot_held(&s->slot[i]) && s->slot[i].place.row < needed)
            needed = s->slot[i].place.row;
    return needed;
}

void shard_written(struct shard *s, struct shard_rows rows)
{
    sample_log_written(&s->log, rows.samples);
    feature_rows_written(&s->features, rows.features);
    if (s->joiner)
        joiner_written(s->joiner, rows.commit);
}
