/* The decision of keys: when, their first labels, what is remembered of them, and the corrections that follow. */
#include "joiner/joiner_state.h"

static void emit(struct joiner *j, struct sample *s)
{
    s->sequence = ++j->sequence;
    int64_t gate = joiner_gate_now(j);
    if (gate == WATERMARK_NONE) /* the newest epoch's was never known: it is an older one's... */
        gate = joiner_newest_gate(j);
    s->decided_at = j->told_at = joiner_larger(gate, j->told_at); /* ...and may be behind that when it is */
    j->output.sample(j->output.self, s);
}

static void judge(const struct joiner *j, uint32_t labels, const struct label_action *actions, uint32_t count,
                  int64_t impression_time, struct verdict *out)
{
    verdict_of(j->config.label, labels, &j->config.label_filters, actions, count, impression_time, out);
}

/* What samples of a decided key have in common. Its features are where they were. */
static struct sample sample_of(const struct decided_key *k, enum sample_kind kind, uint64_t position,
                               const struct correction_of *of)
{
    return (struct sample){.original = k->sequence,
                           .kind = kind,
                           .version = k->version,
                           .key = k->key,
                           .doc = of->doc,
                           .impression_time = k->time,
                           .position = position,
                           .weight = (double)k->weight,
                           .keep = 1,
                           .old_keep = k->standing == DECIDED_THINNED ? (double)k->rate : 1,
                           .rate = (double)k->rate,
                           .place = {k->row, k->offset},
                           .old_place = {k->row, k->offset},
                           .elsewhere = of->elsewhere,
                           .label_count = k->labels};
}

/* From the verdict that was told last to that of now; moves it on. */
void joiner_correct(struct joiner *j, struct decided_key *k, struct verdict *told, const struct verdict *now,
                    uint64_t position, const struct correction_of *of)
{
    uint32_t labels = k->labels;
    bool is_new = k->standing == DECIDED_LEFT_OUT; /* until it has a label nobody asks whether it is excluded */
    if (labels_equal(told->labels, now->labels, labels) && (is_new || told->excluded == now->excluded))
        return;
    struct sample s = sample_of(k, is_new ? SAMPLE_NEW : SAMPLE_CORRECTION, position, of);
    s.late = s.behind = is_new;
    s.stream = of->stream;
    s.event_position = of->position;
    s.body = is_new ? of->body : (struct bytes){0};
    s.shared = is_new ? of->shared : (struct bytes){0};
    s.excluded = now->excluded;
    s.old_excluded = !is_new && told->excluded;
    memcpy(s.old_labels, told->labels, labels * sizeof *s.old_labels);
    memcpy(s.labels, now->labels, labels * sizeof *s.labels);
    *told = *now;
    emit(j, &s);
    if (k->standing != DECIDED_WHOLE)
        decided_changed(&j->decided, k);
    k->standing = DECIDED_WHOLE;
    if (is_new) {
        k->sequence = s.sequence;
        k->row = s.place.row;
        k->offset = s.place.offset;
    }
}

void joiner_verdict_now(const struct joiner *j, const struct decided_key *k, struct verdict *out)
{
    struct label_action actions[DECIDED_COUNTED_MAX];
    uint32_t count = decided_counted(&j->decided, k, &j->config, actions);
    if (j->config.action_keys) /* of other streams, so their order among these does not matter */
        count += attribution_held(&j->attribution, attribution_find_shown(&j->attribution, k->key), actions + count);
    judge(j, k->labels, actions, count, k->time, out);
}

void joiner_amend(struct joiner *j, struct decided_key *k, const struct joiner_record *r)
{
    struct verdict told, now;
    joiner_verdict_now(j, k, &told);
    decided_add_action(&j->decided, k,
                       &(struct decided_action){.event = r->event,
                                                .time = r->time,
                                                .value = r->value,
                                                .stream = r->stream,
                                                .came = joiner_came(r->withdraw)});
    decided_changed(&j->decided, k);
    remembered_add(&j->remembered, k->time, DECIDED_ENTRY_ACTION, 0);
    joiner_verdict_now(j, k, &now);
    joiner_correct(
        j, k, &told, &now, r->position,
        &(struct correction_of){
            .doc = r->doc, .body = r->body, .shared = r->shared, .position = r->position, .stream = r->stream});
}

void joiner_amend_features(struct joiner *j, struct decided_key *k, const struct joiner_record *r)
{
    struct verdict now;
    const struct sample_features came = {r->body, r->shared, r->stream};
    struct sample s = sample_of(k, SAMPLE_CORRECTION, r->position, &(struct correction_of){.doc = r->doc});
    joiner_verdict_now(j, k, &now);
    memcpy(s.labels, now.labels, s.label_count * sizeof *s.labels);
    memcpy(s.old_labels, now.labels, s.label_count * sizeof *s.labels);
    s.excluded = s.old_excluded = now.excluded;
    s.keep = s.old_keep;
    s.features = &came;
    s.feature_count = 1;
    s.stream = r->stream;
    s.event_position = r->position;
    s.body = r->body;
    s.shared = r->shared;
    if (k->standing == DECIDED_LEFT_OUT)
        j->output.left_out(j->output.self, &s);
    else
        emit(j, &s);
    k->features |= j->feature_bit[r->stream];
    k->row = s.place.row;
    k->offset = s.place.offset;
    decided_changed(&j->decided, k);
}

enum { NOTES_MAX = JOINER_STREAMS_MAX * JOINER_ACTIONS_MAX * 2 }; /* actions and withdrawals */

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

/* For corrections and duplicates, from here on. */
static struct decided_key *remember(struct joiner *j, const struct sample *s, const uint32_t *notes, uint32_t count)
{
    struct decided_key *k = decided_put(&j->decided, s->key);
    k->labels = (uint8_t)s->label_count;
    k->time = s->impression_time;
    k->settled = j->position;
    k->version = s->version;
    k->weight = (float)s->weight;
    uint64_t bytes = DECIDED_ENTRY;
    for (uint32_t i = 0; i < count; i++) {
        const struct pending_note *n = &j->pending.notes[notes[i]];
        k->features |= j->feature_bit[n->stream];
        if (j->config.stream[n->stream].kind != JOINER_ACTION)
            continue;
        bytes += DECIDED_ENTRY_ACTION;
        decided_add_action(&j->decided, k,
                           &(struct decided_action){.event = n->event,
                                                    .time = n->time,
                                                    .value = n->value,
                                                    .stream = n->stream,
                                                    .came = joiner_came(n->withdraw)});
    }
    remembered_add(&j->remembered, k->time, bytes, 1);
    decided_changed(&j->decided, k);
    return k;
}

/* The actions among the notes that count, in the same order. */
static uint32_t counted_notes(const struct joiner *j, const struct decided_key *k, const uint32_t *notes,
                              uint32_t count, struct label_action out[static DECIDED_COUNTED_MAX])
{
    uint32_t counted = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct pending_note *n = &j->pending.notes[notes[i]];
        uint32_t of_kind;
        if (j->config.stream[n->stream].kind != JOINER_ACTION ||
            decided_find_action(&j->decided, k, n->stream, n->event, DECIDED_ACTION, &of_kind)->came != DECIDED_ACTION)
            continue;
        CHECK(counted < DECIDED_COUNTED_MAX);
        out[counted++] = (struct label_action){n->time, n->position, n->value, j->config.stream[n->stream].labels};
    }
    return counted;
}

/* Sampling: only a negative can be left out. */
static void emit_or_leave_out(struct joiner *j, struct sample *s, struct decided_key *k, struct sampling_lot lot)
{
    bool thinned = lot.rate < 1 && !sample_is_positive(s->labels, s->label_count);
    k->rate = lot.rate;
    k->standing = !thinned ? DECIDED_WHOLE : lot.left_out ? DECIDED_LEFT_OUT : DECIDED_THINNED;
    s->rate = (double)lot.rate;
    s->keep = thinned ? s->rate : 1;
    s->old_keep = 1;
    if (k->standing == DECIDED_LEFT_OUT) {
        j->output.left_out(j->output.self, s);
        return;
    }
    emit(j, s);
    k->sequence = s->sequence;
}

void joiner_put_in_order(struct label_action *action, uint32_t n)
{
    struct label_action one = action[n - 1];
    uint32_t at = n - 1;
    for (; at > 0; at--) {
        const struct label_action *b = &action[at - 1];
        if (b->time < one.time || (b->time == one.time && b->position < one.position))
            break;
        action[at] = *b;
    }
    action[at] = one;
}

/* Those that it holds by attribution, too: all of them in the order of (time, position). */
static uint32_t add_attributed(const struct joiner *j, uint32_t shown, struct label_action *actions, uint32_t count)
{
    uint32_t all = count + attribution_held(&j->attribution, shown, actions + count);
    CHECK(all <= DECIDED_COUNTED_MAX);
    for (uint32_t i = count; i < all; i++)
        joiner_put_in_order(actions, i + 1);
    return all;
}

/* How many of the actions, which are in order, the first labels fold. */
static uint32_t first_ones(const struct sample *s, int64_t window_ms, enum joiner_cause cause,
                           const struct label_action *action, uint32_t count)
{
    uint32_t in_time = 0;
    while (in_time < count && (cause == JOINER_AT_ONCE || action[in_time].time <= s->impression_time + window_ms))
        in_time++;
    return in_time;
}

/* The sample with its first labels, of so many actions, and the corrections that are due already. */
static void tell(struct joiner *j, struct sample *s, const struct joiner_epoch *epoch, struct sampling_lot lot,
                 struct decided_key *k, const struct label_action *action, uint32_t count, uint32_t in_time)
{
    struct verdict told, now;
    judge(j, epoch->labels, action, in_time, s->impression_time, &told);
    memcpy(s->labels, told.labels, epoch->labels * sizeof *s->labels);
    s->excluded = told.excluded;
    emit_or_leave_out(j, s, k, lot);
    k->row = s->place.row; /* whoever took the sample, or its leaving out, has put its features somewhere */
    k->offset = s->place.offset;
    for (uint32_t i = in_time; i < count; i++) {
        judge(j, epoch->labels, action, i + 1, s->impression_time, &now);
        joiner_correct(j, k, &told, &now, action[i].position,
                       &(struct correction_of){.doc = s->doc,
                                               .body = s->body,
                                               .shared = s->shared,
                                               .position = s->event_position,
                                               .stream = s->stream});
    }
}

/* The feature records of a key, of the first streams, in their order. Returns how many. */
static uint32_t gather(struct joiner *j, uint32_t stream_count, const uint32_t *notes, uint32_t count,
                       struct sample_features features[static JOINER_STREAMS_MAX])
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct pending_note *n = &j->pending.notes[notes[i]];
        if (j->config.stream[n->stream].kind != JOINER_FEATURES || n->stream >= stream_count)
            continue;
        uint32_t at = found++;
        CHECK(found <= JOINER_STREAMS_MAX); /* a second one of a stream is a duplicate */
        for (; at > 0 && features[at - 1].stream > n->stream; at--)
            features[at] = features[at - 1];
        struct chunk_record r = chunks_record(&j->chunks, n->chunk, n->offset);
        features[at] = (struct sample_features){r.body, r.shared, n->stream};
    }
    return found;
}

static void keep_pace(struct joiner *j, int64_t time, enum joiner_cause cause)
{
    struct joiner_pace *p = &j->pace;
    if (cause == JOINER_AT_ONCE) { /* of what lies around it only positives are decided yet */
        p->decided += p->decided > 0;
        return;
    }
    if (p->decided++ == 0)
        p->first = p->newest = time;
    p->newest = time > p->newest ? time : p->newest;
}

/* Its time does not tell a restart that it waits no more. That comes in front of the same of its notes: no note of an
 * impression that waits can be settled (durable.c). */
static void leave_early(struct joiner *j, const struct sample *s)
{
    chunks_append_removed(&j->chunks, s->position, s->impression_time, s->key, s->stream);
    j->ahead = joiner_larger(j->ahead, s->impression_time + 1);
}

void joiner_decide(struct joiner *j, uint32_t number, enum joiner_cause cause)
{
    uint32_t notes[NOTES_MAX];
    struct label_action actions[DECIDED_COUNTED_MAX];
    const struct pending_key *p = &j->pending.keys[number];
    uint32_t count = sorted_notes(&j->pending, p, notes), chunk = p->chunk;
    struct sample_features features[JOINER_STREAMS_MAX];
    const struct joiner_epoch *epoch = &j->config.epoch[joiner_epoch_of(j, p->position)];
    struct chunk_record r = chunks_record(&j->chunks, p->chunk, p->offset);
    struct sample s = {.kind = SAMPLE_NEW,
                       .version = p->version,
                       .key = p->key,
                       .doc = p->doc,
                       .impression_time = p->time,
                       .behind = cause == JOINER_ON_ARRIVAL,
                       .position = p->position,
                       .weight = r.weight,
                       .stream = r.stream,
                       .event_position = p->position,
                       .body = r.body,
                       .shared = r.shared,
                       .label_count = epoch->labels,
                       .streams = epoch->streams,
                       .features = features};
    s.feature_count = gather(j, epoch->streams, notes, count, features);
    struct decided_key *k = remember(j, &s, notes, count);
    uint32_t counted = counted_notes(j, k, notes, count, actions);
    if (j->config.action_keys) {
        uint32_t shown = attribution_find_shown(&j->attribution, s.key);
        counted = add_attributed(j, shown, actions, counted);
        attribution_decided(&j->attribution, shown);
    }
    tell(j, &s, epoch, r.lot, k, actions, counted, first_ones(&s, epoch->window_ms, cause, actions, counted));
    if (cause == JOINER_AT_ONCE)
        leave_early(j, &s);
    for (uint32_t i = 0; i < count; i++)
        joiner_settle_note(j, notes[i]);
    j->held -= joiner_kept_bytes(JOINER_IMPRESSION, &r);
    chunks_release(&j->chunks, chunk, true);
    pending_remove(&j->pending, number);
    j->undecided[epoch->number % JOINER_EPOCHS_MAX]--;
    joiner_wait_no_more(j, s.stream);
    j->counts[s.stream].matched++;
    keep_pace(j, s.impression_time, cause);
}

/* What their decisions will look at comes to the cache all at once, not one behind the other. */
static void prefetch(const struct joiner *j, const struct due_item *item, uint32_t items)
{
    struct hash128 key[JOINER_COMING_MAX];
    uint32_t keys = 0;
    for (uint32_t i = 0; i < items; i++)
        __builtin_prefetch(&j->pending.keys[item[i].number]);
    for (uint32_t i = 0; i < items; i++)
        if (joiner_waits(j, &item[i])) {
            const struct pending_key *k = &j->pending.keys[item[i].number];
            joiner_prefetch_key(j, k->key);
            chunks_prefetch(&j->chunks, k->chunk, k->offset);
            key[keys++] = k->key;
        }
    if (j->config.action_keys)
        attribution_prefetch_decisions(&j->attribution, key, keys);
}

static void announce(struct joiner *j, const struct due_item *item, uint32_t items)
{
    struct sample_features shown[JOINER_COMING_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < items; i++) {
        const struct pending_key *k = &j->pending.keys[item[i].number];
        if (!joiner_waits(j, &item[i]))
            continue;
        struct chunk_record r = chunks_record(&j->chunks, k->chunk, k->offset);
        shown[count++] = (struct sample_features){r.body, r.shared, r.stream};
    }
    if (count > 0)
        j->output.coming(j->output.self, shown, count);
}

/* Tell who is next of an epoch. Returns how many items that are. */
static uint32_t look_ahead(struct joiner *j, uint32_t epoch)
{
    struct due_item item[JOINER_COMING_MAX];
    uint32_t items = due_ahead(&j->decisions[joiner_slot(j, epoch)], j->gate[epoch], item, JOINER_COMING_MAX);
    prefetch(j, item, items);
    if (j->output.coming)
        announce(j, item, items);
    return items;
}

void joiner_decide_due(struct joiner *j)
{
    struct due_item item;
    uint32_t ahead[JOINER_EPOCHS_MAX] = {0};
    for (uint32_t epoch; (epoch = joiner_next_epoch(j, j->gate)) != JOINER_EPOCHS_MAX; ahead[epoch]--) {
        if (ahead[epoch] == 0)
            ahead[epoch] = look_ahead(j, epoch);
        CHECK(due_next(&j->decisions[joiner_slot(j, epoch)], j->gate[epoch], &item));
        if (joiner_waits(j, &item))
            joiner_decide(j, item.number, JOINER_BY_GATE);
    }
}
