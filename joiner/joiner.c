#include <stdlib.h>

#include "joiner/joiner_state.h"

void joiner_number_features(struct joiner *j)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < j->config.streams; i++)
        if (j->config.stream[i].kind == JOINER_FEATURES)
            j->feature_bit[i] = (uint16_t)(1u << count++);
    CHECK(count <= JOINER_FEATURE_STREAMS_MAX);
}

struct joiner *joiner_open(const struct joiner_config *config, struct joiner_output output)
{
    struct joiner *j = mem_new(1, sizeof *j);
    CHECK(config->streams <= JOINER_STREAMS_MAX && config->labels <= JOINER_LABELS_MAX);
    j->config = *config;
    j->output = output;
    j->expiry = j->action_horizon = j->features_horizon = WATERMARK_NONE;
    for (int i = 0; i < JOINER_STREAMS_MAX; i++)
        j->watermark[i] = WATERMARK_NONE;
    joiner_open_epochs(j);
    joiner_number_features(j);
    pending_open(&j->pending);
    decided_open(&j->decided);
    remembered_open(&j->remembered, joiner_span(j));
    chunks_open(&j->chunks, 1, joiner_span(j));
    due_open(&j->early_actions);
    due_open(&j->early_features);
    attribution_open(&j->attribution, &j->config);
    return j;
}

void joiner_close(struct joiner *j)
{
    if (!j)
        return;
    pending_close(&j->pending);
    decided_close(&j->decided);
    runs_close(&j->runs);
    remembered_close(&j->remembered);
    chunks_close(&j->chunks);
    for (uint32_t i = 0; i < JOINER_EPOCHS_MAX; i++)
        due_close(&j->decisions[i]);
    due_close(&j->early_actions);
    due_close(&j->early_features);
    attribution_close(&j->attribution);
    buffer_close(&j->frozen_run);
    for (int i = 0; i < JOINER_STREAMS_MAX; i++)
        free(j->delays[i]);
    free(j);
}

bool joiner_key_fits(const struct joiner_stream *s, uint32_t join_key_fields)
{
    const uint32_t all = JOINER_KEY_REQUEST | JOINER_KEY_USER | JOINER_KEY_DOC;
    if (s->kind == JOINER_TABLE)
        return s->attribute == JOINER_ATTRIBUTE_NONE && s->key_fields && (s->key_fields & ~all) == 0;
    if (s->attribute == JOINER_ATTRIBUTE_NONE)
        return s->key_fields == 0;
    return s->kind == JOINER_ACTION && s->attribute < JOINER_ATTRIBUTES && s->key_fields != join_key_fields &&
           (s->key_fields & JOINER_KEY_DOC) && (s->key_fields & ~all) == 0;
}

void joiner_derive_keys(struct joiner_config *config)
{
    config->action_keys = 0;
    for (uint32_t i = 0; i < config->streams; i++) {
        uint32_t fields = config->stream[i].key_fields, k = 0;
        if (config->stream[i].attribute == JOINER_ATTRIBUTE_NONE)
            continue;
        while (k < config->action_keys && config->action_key[k] != fields)
            k++;
        CHECK(k < JOINER_ACTION_KEYS_MAX);
        config->action_key[k] = fields;
        config->action_keys += k == config->action_keys;
    }
}

void joiner_set_watermarks(struct joiner *j, const int64_t *watermarks)
{
    int64_t impressions = INT64_MAX, actions = INT64_MAX;
    for (uint32_t i = 0; i < j->config.streams; i++) {
        const struct joiner_stream *s = &j->config.stream[i];
        CHECK(watermarks[i] >= j->watermark[i]);
        j->watermark[i] = watermarks[i];
        if (s->kind == JOINER_IMPRESSION)
            impressions = joiner_smaller(impressions, watermarks[i]);
        if (s->kind == JOINER_ACTION && s->labels)
            actions = joiner_smaller(actions, joiner_minus(watermarks[i], s->within_ms));
    }
    if (impressions == INT64_MAX) /* no such stream: nothing ever comes of age */
        impressions = WATERMARK_NONE;
    joiner_set_gates(j);
    int64_t horizon = joiner_minus(impressions, j->config.allowed_lateness_ms);
    j->action_horizon = joiner_larger(horizon, j->floor.action_horizon);
    j->features_horizon = joiner_minus(impressions, joiner_nearby(j));
    j->expiry = joiner_larger(joiner_smaller(horizon, actions), joiner_larger(j->remembered.from, j->floor.expiry));
}

void joiner_set_aside(struct joiner *j, const struct joiner_record *r, enum joiner_reason reason)
{
    struct stream_counts *c = &j->counts[r->stream];
    if (j->loading)
        return;
    switch (reason) {
    case REASON_LATE: c->late++; break;
    case REASON_ORPHANED: c->orphaned++; break;
    case REASON_DUPLICATE: c->duplicate++; break;
    case REASON_VERSION_MISMATCH:
    case REASON_RULE:
    case REASON_ROBOT:
    case REASON_PRECEDES:
    case REASON_TOO_MANY_ACTIONS: c->filtered++; break;
    case REASON_SHED: c->shed++; break;
    default: CHECK(!"a reason of the joiner's");
    }
    j->output.aside(j->output.self, r, reason);
}

/* One that waited is settled. Counters are unsigned: a slip below zero would hide in the identity. */
void joiner_wait_no_more(struct joiner *j, uint8_t stream)
{
    CHECK(j->counts[stream].waiting > 0);
    j->counts[stream].waiting--;
}

/* A record has met its impression. While loading nothing is counted but what waits: the rest comes with the commit. */
void joiner_match(struct joiner *j, uint8_t stream, bool withdraw, int64_t time, int64_t impression_time)
{
    if (j->loading)
        return;
    j->counts[stream].matched++;
    if (j->config.stream[stream].kind != JOINER_ACTION || withdraw)
        return;
    if (!j->delays[stream])
        j->delays[stream] = mem_new(1, sizeof *j->delays[stream]);
    delays_add(j->delays[stream], time - impression_time);
}

/* Why an action cannot belong to this impression; REASON_NONE: it can. */
static enum joiner_reason unfit(const struct joiner *j, uint8_t stream, uint32_t version, int64_t time,
                                uint32_t impression_version, int64_t impression_time)
{
    const struct joiner_stream *s = &j->config.stream[stream];
    if (s->kind != JOINER_ACTION)
        return REASON_NONE;
    if (version && version != impression_version)
        return REASON_VERSION_MISMATCH;
    if (s->before_ms && time < impression_time - s->before_ms)
        return REASON_PRECEDES;
    return time > impression_time + s->within_ms ? REASON_LATE : REASON_NONE;
}

/* The impression has come: what waited for it is settled. */
static void settle_notes(struct joiner *j, uint32_t number)
{
    struct pending_key *k = &j->pending.keys[number];
    for (uint32_t i = k->notes, next; i != PENDING_NONE; i = next) {
        struct pending_note *n = &j->pending.notes[i];
        enum joiner_reason reason = unfit(j, n->stream, n->version, n->time, k->version, k->time);
        next = n->next;
        joiner_wait_no_more(j, n->stream);
        j->early -= joiner_note_bytes(j, n);
        if (reason == REASON_NONE) {
            joiner_match(j, n->stream, n->withdraw, n->time, k->time);
            continue;
        }
        joiner_set_aside(j, &(struct joiner_record){.position = n->position, .time = n->time, .stream = n->stream},
                         reason);
        joiner_settle_note(j, i);
    }
}

void joiner_hold_impression(struct joiner *j, const struct joiner_record *r, uint64_t chunk, uint32_t offset)
{
    uint32_t number = pending_find(&j->pending, r->key);
    if (number == PENDING_NONE)
        number = pending_add(&j->pending, r->key);
    struct pending_key *k = &j->pending.keys[number];
    k->doc = r->doc;
    k->time = r->time;
    k->position = r->position;
    k->chunk = (uint32_t)chunk;
    k->offset = offset;
    k->version = r->version;
    uint32_t epoch = joiner_epoch_of(j, r->position);
    CHECK(epoch < JOINER_EPOCHS_MAX);
    j->undecided[joiner_slot(j, epoch)]++;
    j->held += joiner_record_bytes(JOINER_IMPRESSION, r);
    j->counts[r->stream].waiting++;
    settle_notes(j, number);
    if (j->config.action_keys && !j->loading)
        joiner_show(j, r);
    if (r->time < j->gate[epoch])
        joiner_decide(j, number, JOINER_ON_ARRIVAL);
    else
        due_insert(&j->decisions[joiner_slot(j, epoch)], r->time, r->position, number);
}

void joiner_hold_note(struct joiner *j, const struct joiner_record *r, uint64_t chunk, uint32_t offset)
{
    uint32_t number = pending_find(&j->pending, r->key);
    if (number == PENDING_NONE)
        number = pending_add(&j->pending, r->key);
    uint32_t note = pending_add_note(&j->pending, number);
    struct pending_note *n = &j->pending.notes[note];
    n->event = r->event;
    n->time = r->time;
    n->position = r->position;
    n->chunk = (uint32_t)chunk;
    n->offset = offset;
    n->version = r->version;
    n->stream = r->stream;
    n->withdraw = r->withdraw;
    n->value = r->value;
    uint64_t bytes = joiner_record_bytes(j->config.stream[r->stream].kind, r);
    j->held += bytes;
    if (j->pending.keys[number].chunk) {
        joiner_match(j, r->stream, r->withdraw, r->time, j->pending.keys[number].time);
        return;
    }
    j->early += bytes;
    j->counts[r->stream].waiting++;
    due_insert(j->config.stream[r->stream].kind == JOINER_FEATURES ? &j->early_features : &j->early_actions, r->time,
               r->position, note);
}

void joiner_set_rules(struct joiner *j, const struct joiner_rules *rules) { j->config.rules = *rules; }

static struct sampling_lot draw(const struct joiner *j, const struct joiner_record *r)
{
    struct sampling_ticket ticket = {
        .key = r->key, .user = r->user, .place = r->place, .has_place = r->has >> FILTER_position & 1};
    return sampling_draw(&j->config.rules.sampling, &ticket);
}

/* Into the chunk first: an action leaves only its marks there, the others their body too. */
static void keep(struct joiner *j, const struct joiner_record *r)
{
    struct joiner_record kept = *r;
    enum joiner_stream_kind kind = j->config.stream[r->stream].kind;
    kept.lot = kind == JOINER_IMPRESSION ? draw(j, r) : (struct sampling_lot){.rate = 1};
    if (kind == JOINER_ACTION)
        kept.body = kept.shared = (struct bytes){0};
    else
        CHECK(kept.body.size > 0);
    uint64_t chunk = j->chunks.open;
    uint32_t offset = chunks_append(&j->chunks, &kept);
    j->pace.taken += kind == JOINER_IMPRESSION;
    j->pace.bytes += kind == JOINER_IMPRESSION
                         ? sizeof(struct pending_key) + PENDING_INDEX_BYTES + sizeof(struct due_mark)
                         : sizeof(struct pending_note);
    if (kind == JOINER_IMPRESSION)
        joiner_hold_impression(j, r, chunk, offset);
    else
        joiner_hold_note(j, r, chunk, offset);
}

/* The same impression came before. */
static bool came_before(struct joiner *j, const struct joiner_record *r)
{
    uint32_t number = pending_find(&j->pending, r->key);
    return (number != PENDING_NONE && j->pending.keys[number].chunk) ||
           (j->config.action_keys && attribution_find_shown(&j->attribution, r->key) != ATTRIBUTION_NONE) ||
           joiner_was_decided(j, r);
}

static enum joiner_reason take_impression(struct joiner *j, const struct joiner_record *r)
{
    if (joiner_behind(r->time, joiner_larger(j->action_horizon, j->remembered.from)))
        return REASON_LATE;
    if (came_before(j, r))
        return REASON_DUPLICATE;
    keep(j, r);
    return REASON_NONE;
}

/* Same event, or too many of this stream and kind already, among the notes of a key. */
static enum joiner_reason repeated(const struct joiner *j, uint32_t number, const struct joiner_record *r)
{
    bool features = j->config.stream[r->stream].kind == JOINER_FEATURES;
    uint32_t of_kind = 0;
    for (uint32_t i = j->pending.keys[number].notes; i != PENDING_NONE; i = j->pending.notes[i].next) {
        const struct pending_note *n = &j->pending.notes[i];
        if (n->stream != r->stream || n->withdraw != r->withdraw)
            continue;
        if (features || n->event == r->event)
            return REASON_DUPLICATE;
        of_kind++;
    }
    return of_kind >= JOINER_ACTIONS_MAX ? REASON_TOO_MANY_ACTIONS : REASON_NONE;
}

/* An action, or its withdrawal, whose sample is made already. */
static enum joiner_reason take_afterwards(struct joiner *j, struct decided_key *k, const struct joiner_record *r)
{
    uint8_t came = joiner_came(r->withdraw);
    uint32_t of_kind;
    enum joiner_reason reason = unfit(j, r->stream, r->version, r->time, k->version, k->time);
    if (reason != REASON_NONE)
        return reason;
    const struct decided_action *a = decided_find_action(&j->decided, k, r->stream, r->event, came, &of_kind);
    if (a && (a->came & came))
        return REASON_DUPLICATE;
    if (of_kind >= JOINER_ACTIONS_MAX)
        return REASON_TOO_MANY_ACTIONS;
    joiner_match(j, r->stream, r->withdraw, r->time, k->time);
    joiner_amend(j, k, r);
    return REASON_NONE;
}

/* Features whose sample is made already. */
static enum joiner_reason take_late_features(struct joiner *j, struct decided_key *k, const struct joiner_record *r)
{
    if (k->features & j->feature_bit[r->stream])
        return REASON_DUPLICATE;
    joiner_match(j, r->stream, false, r->time, k->time);
    joiner_amend_features(j, k, r);
    return REASON_NONE;
}

/* A record whose impression is not here (yet). */
static enum joiner_reason too_late(const struct joiner *j, const struct joiner_record *r)
{
    bool features = j->config.stream[r->stream].kind == JOINER_FEATURES;
    return joiner_behind(r->time, features ? j->features_horizon : j->action_horizon) ? REASON_LATE : REASON_NONE;
}

static enum joiner_reason take_note(struct joiner *j, const struct joiner_record *r)
{
    bool features = j->config.stream[r->stream].kind == JOINER_FEATURES;
    uint32_t number = pending_find(&j->pending, r->key);
    const struct pending_key *p = number == PENDING_NONE ? NULL : &j->pending.keys[number];
    enum joiner_reason reason;
    if (p && p->chunk) {
        reason = unfit(j, r->stream, r->version, r->time, p->version, p->time);
    } else {
        struct decided_key *k = joiner_reopen(j, r->key, joiner_known_from(j, r));
        if (k)
            return features ? take_late_features(j, k, r) : take_afterwards(j, k, r);
        reason = too_late(j, r);
    }
    if (reason == REASON_NONE && p)
        reason = repeated(j, number, r);
    if (reason == REASON_NONE)
        keep(j, r);
    return reason;
}

static void take_row(struct joiner *j, const struct joiner_record *r)
{
    j->counts[r->stream].applied++;
    j->counts[r->stream].table_late += joiner_behind(r->time, joiner_gate_now(j));
}

/* What the rules make of the record; false: they exclude it. */
static bool passes(const struct filters *rules, struct joiner_record *r)
{
    struct filter_numbers n = {.has = r->has};
    n.number[FILTER_value] = r->value;
    n.number[FILTER_weight] = r->weight;
    n.number[FILTER_position] = r->place;
    n.number[FILTER_score] = (double)r->score;
    n.number[FILTER_propensity] = (double)r->propensity;
    if (!filters_pass(rules, r->stream, &n))
        return false;
    r->has = n.has;
    r->value = n.number[FILTER_value];
    r->weight = n.number[FILTER_weight];
    r->place = (int32_t)n.number[FILTER_position];
    return true;
}

void joiner_step(struct joiner *j, const struct joiner_record *r)
{
    enum joiner_reason reason;
    const struct filters *rules = &j->config.rules.filters;
    struct joiner_record mended;
    const struct joiner_record *taken = r;
    CHECK(r->stream < j->config.streams && r->position > j->position);
    j->position = r->position;
    j->counts[r->stream].consumed++;
    if (j->config.stream[r->stream].kind == JOINER_TABLE) {
        take_row(j, r);
        return;
    }
    bool ruled = rules->count > 0 && !r->withdraw;
    if (ruled) {
        mended = *r;
        taken = &mended;
    }
    if (r->robot && !r->withdraw)
        reason = REASON_ROBOT;
    else if (ruled && !passes(rules, &mended))
        reason = REASON_RULE;
    else if (j->config.stream[r->stream].kind == JOINER_IMPRESSION)
        reason = take_impression(j, taken);
    else if (j->config.stream[r->stream].attribute != JOINER_ATTRIBUTE_NONE)
        reason = joiner_take_attributed(j, taken);
    else
        reason = take_note(j, taken);
    if (reason != REASON_NONE) {
        joiner_set_aside(j, r, reason);
        return;
    }
    if (j->at_once)
        joiner_decide_ready(j, r);
    joiner_keep_bounds(j);
}

void joiner_prefetch_key(const struct joiner *j, struct hash128 key)
{
    key_index_prefetch(&j->pending.index, key);
    key_index_prefetch(&j->decided.index, key);
}

void joiner_prefetch(const struct joiner *j, const struct joiner_record *r)
{
    joiner_prefetch_key(j, r->key);
    if (j->config.action_keys)
        attribution_prefetch(&j->attribution, r);
}

void joiner_advance(struct joiner *j, const int64_t *watermarks)
{
    uint32_t known = joiner_known_gates(j);
    joiner_set_watermarks(j, watermarks);
    joiner_decide_due(j);
    if (joiner_known_gates(j) != known)
        joiner_decide_all_ready(j);
    joiner_orphan(j, &j->early_actions, j->action_horizon);
    joiner_orphan(j, &j->early_features, j->features_horizon);
    joiner_keep_decided_bound(j);
    joiner_forget(j);
}

void joiner_malformed(struct joiner *j, uint8_t stream, uint64_t position, struct bytes body, struct bytes shared)
{
    CHECK(stream < j->config.streams);
    j->counts[stream].consumed++;
    j->counts[stream].malformed++;
    j->output.aside(j->output.self,
                    &(struct joiner_record){.position = position, .stream = stream, .body = body, .shared = shared},
                    REASON_MALFORMED);
}
