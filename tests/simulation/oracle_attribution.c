/* Actions with a key of their own: who holds one follows from all records, each time. */
#include "tests/simulation/oracle_state.h"

static bool same_fields(uint32_t fields, const struct oracle_record *a, const struct oracle_record *b)
{
    return (!(fields & JOINER_KEY_REQUEST) || strcmp(a->request, b->request) == 0) &&
           (!(fields & JOINER_KEY_USER) || strcmp(a->user_id, b->user_id) == 0) && strcmp(a->doc, b->doc) == 0;
}

/* By the keys that action streams had when it came, but for those under which others crowd it out. */
bool oracle_known_by(const struct oracle *o, const struct oracle_record *shown, uint32_t fields)
{
    for (uint32_t k = 0; k < shown->action_keys; k++)
        if (o->catalog.join.action_key[k] == fields)
            return !(shown->crowded_out >> fields & 1);
    return false;
}

bool oracle_may_hold(const struct oracle *o, const struct oracle_record *shown, const struct oracle_record *action)
{
    const struct joiner_stream *s = stream_of(o, action);
    return stream_of(o, shown)->kind == JOINER_IMPRESSION && shown->fate == FATE_MATCHED && !shown->forgotten &&
           oracle_known_by(o, shown, s->key_fields) && same_fields(s->key_fields, shown, action) &&
           shown->time <= action->time && action->time - shown->time <= s->within_ms &&
           (!action->version || action->version == shown->version);
}

/* The first and the last that may hold it, of the records up to `until`. Returns how many there are. */
static uint32_t possible_holders(const struct oracle *o, const struct oracle_shard *s,
                                 const struct oracle_record *action, uint32_t until, uint32_t *first, uint32_t *last)
{
    uint32_t count = 0;
    *first = *last = NOBODY;
    for (uint32_t i = 0; i < s->records && i <= until; i++) {
        if (!oracle_may_hold(o, &s->record[i], action))
            continue;
        count++;
        if (*first == NOBODY || s->record[i].time < s->record[*first].time)
            *first = i;
        if (*last == NOBODY || s->record[i].time >= s->record[*last].time)
            *last = i;
    }
    return count;
}

/* Into how many parts the action goes, when the impression has one of them; else 0. */
uint32_t oracle_parts_of(const struct oracle *o, const struct oracle_shard *s, uint32_t action, uint32_t impression)
{
    const struct oracle_record *r = &s->record[action], *shown = &s->record[impression];
    enum joiner_attribute rule = stream_of(o, r)->attribute;
    uint32_t first, last, count = possible_holders(o, s, r, NOBODY, &first, &last);
    if (r->fate != FATE_MATCHED || r->forgotten || r->withdraw || r->withdrawn || !oracle_may_hold(o, shown, r))
        return 0;
    if (r->shares)
        return rule == JOINER_ATTRIBUTE_ALL && impression < r->settled_at ? r->shares : 0;
    if (rule == JOINER_ATTRIBUTE_ALL)
        return count;
    return impression == (rule == JOINER_ATTRIBUTE_LAST ? last : first);
}

/* The first impression that has a part of an action is about to be forgotten, or shed: the parts stay as they are. */
void oracle_settle_shares(const struct oracle *o, struct oracle_shard *s, uint32_t going, int64_t known_from)
{
    for (uint32_t i = 0; i < s->records; i++) {
        struct oracle_record *r = &s->record[i];
        uint32_t parts = 0;
        bool ends = false;
        if (!is_attributed(o, r) || r->fate != FATE_MATCHED || r->shares)
            continue;
        for (uint32_t k = 0; k < s->records; k++)
            if (oracle_parts_of(o, s, i, k)) {
                parts++;
                ends = ends || k == going || (s->record[k].decided && s->record[k].time < known_from);
            }
        if (ends) {
            r->shares = parts;
            r->settled_at = s->records;
        }
    }
}

/* Actions that a matched withdrawal of their name has met. */
static void take_back(const struct oracle *o, struct oracle_shard *s)
{
    for (uint32_t i = 0; i < s->records; i++)
        for (uint32_t k = 0; k < s->records; k++) {
            struct oracle_record *w = &s->record[i], *action = &s->record[k];
            if (is_attributed(o, w) && w->withdraw && w->fate == FATE_MATCHED && !w->forgotten && !action->withdraw &&
                action->stream == w->stream && strcmp(action->id, w->id) == 0 &&
                same_fields(stream_of(o, w)->key_fields, w, action) &&
                (action->fate == FATE_WAITING || (action->fate == FATE_MATCHED && !action->forgotten)))
                action->withdrawn = true;
        }
}

/* One of these sets of fields is common to both. keys: bits 1 << fields. */
static bool same_any(uint32_t keys, const struct oracle_record *a, const struct oracle_record *b)
{
    for (uint32_t fields = 0; keys >> fields; fields++)
        if (keys >> fields & 1 && same_fields(fields, a, b))
            return true;
    return false;
}

/* Tell what has changed of the decided impressions with such fields in common with a record: in their order. */
static void correct_all(struct oracle *o, struct oracle_shard *s, uint32_t at, uint32_t keys)
{
    const struct oracle_record *done = NULL;
    for (;;) {
        uint32_t next = NOBODY;
        for (uint32_t i = 0; i < s->records; i++) {
            const struct oracle_record *r = &s->record[i];
            if (r->decided && !r->forgotten && same_any(keys, r, &s->record[at]) &&
                (!done || r->time > done->time || (r->time == done->time && r > done)) &&
                (next == NOBODY || r->time < s->record[next].time))
                next = i;
        }
        if (next == NOBODY)
            return;
        done = &s->record[next];
        oracle_correct(o, s, next, oracle_last_action(o, s, next), s->record[at].position);
    }
}

/* The oldest of more than fit is no longer known by these fields. */
static void crowd_out(const struct oracle *o, struct oracle_shard *s, uint32_t at, uint32_t fields)
{
    enum { SHOWN_MAX = 32 };
    uint32_t count = 0, oldest = NOBODY;
    for (uint32_t i = 0; i <= at; i++) {
        const struct oracle_record *r = &s->record[i];
        if (stream_of(o, r)->kind != JOINER_IMPRESSION || r->fate != FATE_MATCHED || r->forgotten ||
            !oracle_known_by(o, r, fields) || !same_fields(fields, r, &s->record[at]))
            continue;
        count++;
        if (oldest == NOBODY || r->time < s->record[oldest].time)
            oldest = i;
    }
    if (count > SHOWN_MAX) {
        s->record[oldest].crowded_out |= 1u << fields;
        s->crowded_out[s->record[at].stream]++;
    }
}

/* An impression has come: by each key that action streams have. */
void oracle_attribute_to(struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    uint32_t keys = 0;
    s->record[at].action_keys = o->catalog.join.action_keys;
    for (uint32_t k = 0; k < o->catalog.join.action_keys; k++) {
        uint32_t fields = o->catalog.join.action_key[k], first, last;
        crowd_out(o, s, at, fields);
        for (uint32_t i = 0; i < at; i++) {
            struct oracle_record *r = &s->record[i];
            if (!is_attributed(o, r) || stream_of(o, r)->key_fields != fields || r->fate != FATE_WAITING ||
                possible_holders(o, s, r, NOBODY, &first, &last) == 0)
                continue;
            oracle_settle(r, FATE_MATCHED, REASON_NONE);
            r->impression = at;
        }
        keys |= 1u << fields;
    }
    take_back(o, s);
    correct_all(o, s, at, keys);
}

/* An action with a key of its own. */
void oracle_take_attributed(struct oracle *o, struct oracle_shard *s, uint32_t at)
{
    struct oracle_record *r = &s->record[at];
    uint32_t first, last, companions = 0, fields = stream_of(o, r)->key_fields;
    bool known = false, shown = possible_holders(o, s, r, NOBODY, &first, &last) > 0;
    for (uint32_t i = 0; i < at; i++) {
        const struct oracle_record *other = &s->record[i];
        if (other->stream != r->stream || other->withdraw != r->withdraw || !same_fields(fields, other, r) ||
            !(other->fate == FATE_WAITING || (other->fate == FATE_MATCHED && !other->forgotten)))
            continue;
        companions++;
        known = known || strcmp(other->id, r->id) == 0;
    }
    if (!shown && r->time < oracle_lateness_horizon(o)) {
        oracle_settle(r, FATE_LATE, REASON_LATE);
    } else if (known) {
        oracle_settle(r, FATE_DUPLICATE, REASON_DUPLICATE);
    } else if (companions >= JOINER_ACTIONS_MAX) {
        oracle_settle(r, FATE_FILTERED, REASON_TOO_MANY_ACTIONS);
    } else {
        if (shown) {
            oracle_settle(r, FATE_MATCHED, REASON_NONE);
            r->impression = stream_of(o, r)->attribute == JOINER_ATTRIBUTE_FIRST ? first : last;
        }
        take_back(o, s);
        correct_all(o, s, at, 1u << fields);
    }
}
