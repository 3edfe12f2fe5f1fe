/* What becomes of a record when it comes: it meets, waits, or is set aside. */
#include "tests/simulation/oracle_state.h"

#include <math.h>
#include <stdio.h>

#include "proto/event.h"
#include "ps/state/record.h"

void oracle_settle(struct oracle_record *r, enum oracle_fate fate, enum joiner_reason reason)
{
    r->met = fate == FATE_MATCHED || (fate == FATE_SHED && r->met);
    r->fate = fate;
    r->reason = reason;
}

/* The impression that a record belongs to by its join key: the newest, if it is not decided or its time is near. */
static uint32_t impression_of(const struct oracle *o, const struct oracle_shard *s, const struct oracle_record *of)
{
    const struct joiner_stream *stream = stream_of(o, of);
    int64_t reach = stream->kind == JOINER_ACTION ? stream->within_ms : oracle_nearby(o);
    for (uint32_t i = s->records; i-- > 0;) {
        const struct oracle_record *r = &s->record[i];
        if (r != of && stream_of(o, r)->kind == JOINER_IMPRESSION && r->fate == FATE_MATCHED && !r->forgotten &&
            strcmp(r->key, of->key) == 0)
            return !r->decided || r->time >= of->time - reach ? i : NOBODY;
    }
    return NOBODY;
}

/* An impression of the same join key is among those of an action key. */
static bool is_shown(const struct oracle *o, const struct oracle_shard *s, const struct oracle_record *of)
{
    for (uint32_t i = 0; i < s->records; i++) {
        const struct oracle_record *r = &s->record[i];
        bool same = r != of && stream_of(o, r)->kind == JOINER_IMPRESSION && r->fate == FATE_MATCHED && !r->forgotten &&
                    strcmp(r->key, of->key) == 0;
        for (uint32_t k = 0; same && k < o->catalog.join.action_keys; k++)
            if (oracle_known_by(o, r, o->catalog.join.action_key[k]))
                return true;
    }
    return false;
}

/* Does `other` wait or count for the key of `r` (whose impression is given), in the same stream, of the same kind? */
static bool companion(const struct oracle_record *other, const struct oracle_record *r, uint32_t impression)
{
    if (other == r || other->stream != r->stream || other->withdraw != r->withdraw || strcmp(other->key, r->key) != 0)
        return false;
    return impression == NOBODY ? other->fate == FATE_WAITING
                                : other->fate == FATE_MATCHED && other->impression == impression;
}

/* An action and its impression have met. */
static void meet(struct oracle *o, struct oracle_shard *s, struct oracle_record *action, uint32_t impression)
{
    const struct oracle_record *shown = &s->record[impression];
    int64_t before = o->catalog.join.stream[action->stream].before_ms;
    if (action->version && action->version != shown->version) {
        oracle_settle(action, FATE_FILTERED, REASON_VERSION_MISMATCH);
    } else if (before > 0 && shown->time - action->time > before) {
        oracle_settle(action, FATE_FILTERED, REASON_PRECEDES);
    } else if (action->time > shown->time + o->catalog.join.stream[action->stream].within_ms) {
        oracle_settle(action, FATE_LATE, REASON_LATE);
    } else {
        oracle_settle(action, FATE_MATCHED, REASON_NONE);
        action->impression = impression;
    }
}

/* The lot itself is the code's; whose rule it is, is found by looking. */
static struct sampling_lot draw(const struct sampling *s, const struct oracle_record *r)
{
    for (uint32_t i = 0; i < s->rules; i++) {
        struct sampling one = {.rules = 1, .rule = {s->rule[i]}};
        const struct sampling_rule *rule = &one.rule[0];
        bool everywhere = rule->first == INT32_MIN && rule->last == INT32_MAX;
        if (r->has_place ? rule->first <= r->place && r->place <= rule->last : everywhere) {
            one.rule[0].first = INT32_MIN;
            one.rule[0].last = INT32_MAX;
            return sampling_draw(&one, &(struct sampling_ticket){.key = r->key_hash, .user = r->user});
        }
    }
    return (struct sampling_lot){.rate = 1};
}

static void take_impression(struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    struct oracle_record *r = &s->record[at];
    if (r->time < oracle_lateness_horizon(o) || r->time < s->gone) {
        oracle_settle(r, FATE_LATE, REASON_LATE);
        return;
    }
    if (impression_of(o, s, r) != NOBODY || is_shown(o, s, r)) {
        oracle_settle(r, FATE_DUPLICATE, REASON_DUPLICATE);
        return;
    }
    oracle_settle(r, FATE_MATCHED, REASON_NONE);
    r->epoch = o->epochs - 1;
    r->lot = draw(&o->catalog.join.rules.sampling, r);
    for (uint32_t i = 0; i < at; i++) {
        struct oracle_record *waiting = &s->record[i];
        if (waiting->fate != FATE_WAITING || is_attributed(o, waiting) || strcmp(waiting->key, r->key) != 0)
            continue;
        if (o->catalog.join.stream[waiting->stream].kind == JOINER_ACTION) {
            meet(o, s, waiting, at);
        } else {
            oracle_settle(waiting, FATE_MATCHED, REASON_NONE);
            waiting->impression = at;
        }
    }
    oracle_attribute_to(o, s, at);
    r->on_arrival = r->time < oracle_gate_of(o, r->epoch);
    if (r->on_arrival)
        oracle_decide(o, s, at);
}

static void take_action(struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    struct oracle_record *r = &s->record[at];
    uint32_t impression = impression_of(o, s, r), companions = 0;
    bool known = false;
    if (impression != NOBODY)
        meet(o, s, r, impression);
    else if (r->time < oracle_lateness_horizon(o))
        oracle_settle(r, FATE_LATE, REASON_LATE);
    if (r->reason != REASON_NONE)
        return;
    for (uint32_t i = 0; i < at; i++)
        if (companion(&s->record[i], r, impression)) {
            companions++;
            known = known || strcmp(s->record[i].id, r->id) == 0;
        }
    if (known)
        oracle_settle(r, FATE_DUPLICATE, REASON_DUPLICATE);
    else if (companions >= JOINER_ACTIONS_MAX)
        oracle_settle(r, FATE_FILTERED, REASON_TOO_MANY_ACTIONS);
    else if (impression != NOBODY && s->record[impression].decided)
        oracle_correct(o, s, impression, oracle_last_action(o, s, impression), r->position);
}

static void take_features(struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    struct oracle_record *r = &s->record[at];
    uint32_t impression = impression_of(o, s, r);
    if (impression == NOBODY && r->time < oracle_horizon(o, oracle_nearby(o))) {
        oracle_settle(r, FATE_LATE, REASON_LATE);
        return;
    }
    for (uint32_t i = 0; i < at; i++)
        if (companion(&s->record[i], r, impression)) {
            oracle_settle(r, FATE_DUPLICATE, REASON_DUPLICATE);
            return;
        }
    if (impression == NOBODY)
        return;
    oracle_settle(r, FATE_MATCHED, REASON_NONE);
    r->impression = impression;
    if (s->record[impression].decided)
        oracle_add_late(o, s, impression, at);
}

static void read_record(const struct oracle *o, const struct block_event *e, struct oracle_record *out)
{
    struct event event;
    struct joiner_record hashed;
    char request[16], user[16], id[24];
    CHECK(event_scan_parts(e->wire, e->shared, &event, NULL) == TM_OK);
    CHECK(record_resolve(e, &o->catalog, o->hash_seed, &hashed, NULL) == TM_OK);
    *out = (struct oracle_record){.position = e->position,
                                  .time = event.time,
                                  .version = e->version,
                                  .stream = e->stream,
                                  .weight = (double)event.weight,
                                  .value = event.value,
                                  .withdraw = event.withdraw,
                                  .wire = e->wire,
                                  .shared = e->shared,
                                  .key_hash = hashed.key,
                                  .doc_hash = hashed.doc,
                                  .has_place = (event.has & EVENT_HAS_POSITION) != 0,
                                  .has_value = (event.has & EVENT_HAS_VALUE) != 0,
                                  .has_weight = (event.has & EVENT_HAS_WEIGHT) != 0,
                                  .place = event.position,
                                  .user = hash_128(event.user, o->hash_seed).lo,
                                  .impression = NOBODY};
    oracle_text(out->request, sizeof out->request, event.request);
    oracle_text(out->user_id, sizeof out->user_id, event.user);
    oracle_text(request, sizeof request, event.request);
    oracle_text(user, sizeof user, event.user);
    oracle_text(id, sizeof id, event.event);
    oracle_text(out->doc, sizeof out->doc, event.doc);
    snprintf(out->key, sizeof out->key, "%s/%s/%s", o->catalog.key_fields & JOINER_KEY_REQUEST ? request : "",
             o->catalog.key_fields & JOINER_KEY_USER ? user : "",
             o->catalog.key_fields & JOINER_KEY_DOC ? out->doc : "");
    if (event.event.size)
        snprintf(out->id, sizeof out->id, "%s", id);
    else
        snprintf(out->id, sizeof out->id, "%s %s %s %lld %g", request, user, out->doc, (long long)event.time,
                 event.value);
}

/* The rules, told one after the other; the world makes none for scores and propensities. */
static bool is_excluded(const struct oracle *o, struct oracle_record *r)
{
    const struct filters *rules = &o->catalog.join.rules.filters;
    for (uint32_t i = 0; i < rules->count && !r->withdraw; i++) {
        const struct filter *f = &rules->filter[i];
        double place = r->place;
        double *number = f->field == FILTER_value ? &r->value : f->field == FILTER_weight ? &r->weight : &place;
        bool *has = f->field == FILTER_value    ? &r->has_value
                    : f->field == FILTER_weight ? &r->has_weight
                                                : &r->has_place;
        if ((f->streams & 1u << r->stream) == 0)
            continue;
        if (f->action == FILTER_DROP && *has && (*number < f->least || *number > f->most))
            return true;
        if (f->action == FILTER_CLAMP && *has)
            *number = fmin(fmax(*number, f->least), f->most);
        if (f->action == FILTER_DEFAULT && !*has) {
            *number = f->to;
            *has = true;
        }
        r->place = (int32_t)place;
    }
    return false;
}

/* sharers: events among which the room for what they share is divided, rounded up. */
void oracle_take(struct oracle *o, struct oracle_shard *s, const struct block_event *e, uint32_t sharers)
{
    s->record = mem_grow(s->record, s->records + 1, sizeof *s->record);
    read_record(o, e, &s->record[s->records]);
    uint32_t at = s->records++;
    if (sharers)
        s->record[at].shared_counts = e->shared.size / sharers + (e->shared.size % sharers != 0);
    bool table = o->catalog.join.stream[e->stream].kind == JOINER_TABLE;
    o->here = e->position;
    if (!table && e->robot && !s->record[at].withdraw) {
        oracle_settle(&s->record[at], FATE_FILTERED, REASON_ROBOT);
        return;
    }
    if (!table && is_excluded(o, &s->record[at])) {
        oracle_settle(&s->record[at], FATE_FILTERED, REASON_RULE);
        return;
    }
    switch (o->catalog.join.stream[e->stream].kind) {
    case JOINER_FEATURES: take_features(o, s, at); break;
    case JOINER_IMPRESSION: take_impression(o, s, at); break;
    case JOINER_TABLE:
        s->record[at].fate = FATE_APPLIED;
        s->record[at].behind = s->record[at].time < oracle_shard_gate(o, s);
        break;
    case JOINER_ACTION:
        is_attributed(o, &s->record[at]) ? oracle_take_attributed(o, s, at) : take_action(o, s, at);
        break;
    }
    oracle_decide_ready(o, s);
    oracle_keep_bounds(o, s);
}
