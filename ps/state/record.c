#include "ps/state/record.h"

/* Length-prefixed parts in a fixed array: hashing without allocation. */
struct parts {
    uint8_t data[5 * (2 + EVENT_ID_MAX) + 32];
    size_t size;
};

static void add(struct parts *p, const void *data, size_t size)
{
    uint16_t prefix = (uint16_t)size;
    memcpy(p->data + p->size, &prefix, sizeof prefix);
    if (size)
        memcpy(p->data + p->size + sizeof prefix, data, size);
    p->size += sizeof prefix + size;
}

static void add_id(struct parts *p, struct bytes id) { add(p, id.data, id.size); }

static struct hash128 hash_key(const struct event *e, uint32_t fields, uint64_t seed)
{
    struct parts p;
    p.size = 0;
    if (fields & JOINER_KEY_REQUEST)
        add_id(&p, e->request);
    if (fields & JOINER_KEY_USER)
        add_id(&p, e->user);
    if (fields & JOINER_KEY_DOC)
        add_id(&p, e->doc);
    return hash_128(bytes_of(p.data, p.size), seed);
}

static uint64_t hash_event(const struct event *e, uint8_t stream, uint64_t seed)
{
    struct parts p;
    p.size = 0;
    add(&p, &stream, sizeof stream);
    add_id(&p, e->event);
    if (e->event.size == 0) {
        add_id(&p, e->request);
        add_id(&p, e->doc);
        add_id(&p, e->user);
        add(&p, &e->time, sizeof e->time);
        add(&p, &e->value, sizeof e->value);
    }
    return hash_128(bytes_of(p.data, p.size), seed).lo;
}

static bool too_long(const struct event *e)
{
    return e->request.size > EVENT_ID_MAX || e->doc.size > EVENT_ID_MAX || e->user.size > EVENT_ID_MAX ||
           e->event.size > EVENT_ID_MAX;
}

static uint32_t has_of(uint32_t has)
{
    return (uint32_t)(has & EVENT_HAS_VALUE ? 1u << FILTER_value : 0) |
           (has & EVENT_HAS_WEIGHT ? 1u << FILTER_weight : 0) | (has & EVENT_HAS_POSITION ? 1u << FILTER_position : 0) |
           (has & EVENT_HAS_SCORE ? 1u << FILTER_score : 0) |
           (has & EVENT_HAS_PROPENSITY ? 1u << FILTER_propensity : 0);
}

static bool has_fields(const struct event *e, uint32_t fields)
{
    return (!(fields & JOINER_KEY_REQUEST) || e->request.size) && (!(fields & JOINER_KEY_USER) || e->user.size) &&
           (!(fields & JOINER_KEY_DOC) || e->doc.size);
}

/* Of actions that have one of their own, told apart by their fields: (user, doc) never meets (request, doc). */
static struct hash128 own_key(const struct event *e, uint32_t fields, uint64_t seed)
{
    return hash_key(e, fields, seed + fields);
}

bool record_key(const struct event *e, uint32_t fields, uint64_t hash_seed, struct hash128 *out)
{
    if (too_long(e) || !has_fields(e, fields))
        return false;
    *out = own_key(e, fields, hash_seed);
    return true;
}

/* Of an action of an attributed stream its own key; of an impression the join key and every key of such streams. */
static void hash_keys(const struct event *e, const struct catalog *c, uint64_t seed, struct joiner_record *out)
{
    const struct joiner_stream *s = &c->join.stream[out->stream];
    if (s->kind == JOINER_TABLE)
        return;
    if (s->attribute != JOINER_ATTRIBUTE_NONE) {
        out->key = own_key(e, s->key_fields, seed);
        return;
    }
    out->key = hash_key(e, c->key_fields, seed);
    if (s->kind != JOINER_IMPRESSION)
        return;
    for (uint32_t i = 0; i < c->join.action_keys; i++)
        record_key(e, c->join.action_key[i], seed, &out->action_key[i]);
}

enum tm_code record_resolve(const struct block_event *e, const struct catalog *c, uint64_t hash_seed,
                            struct joiner_record *out, struct tm_error *err)
{
    struct event event;
    enum tm_code rc = event_scan_parts(e->wire, e->shared, &event, err);
    if (rc != TM_OK)
        return rc;
    if (too_long(&event))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "an id is longer than %d bytes", EVENT_ID_MAX);
    *out = (struct joiner_record){.position = e->position,
                                  .time = event.time,
                                  .version = e->version,
                                  .stream = e->stream,
                                  .withdraw = event.withdraw,
                                  .robot = e->robot,
                                  .weight = (double)event.weight,
                                  .value = event.value,
                                  .body = e->wire,
                                  .shared = e->shared,
                                  .sharers = e->sharers};
    hash_keys(&event, c, hash_seed, out);
    out->doc = hash_128(event.doc, hash_seed);
    out->event = hash_event(&event, e->stream, hash_seed);
    if (event.user.data)
        out->user = hash_128(event.user, hash_seed).lo;
    out->place = event.position;
    out->score = event.score;
    out->propensity = event.propensity;
    out->has = has_of(event.has);
    out->lot.rate = 1;
    return TM_OK;
}
