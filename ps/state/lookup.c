#include "ps/state/lookup.h"

#include "ps/state/record.h"

bool lookup_key_of(const struct event *e, const struct catalog *c, uint8_t stream, uint32_t shard, uint64_t hash_seed,
                   struct lookup_key *out)
{
    uint32_t fields = c->join.stream[stream].key_fields;
    *out = (struct lookup_key){.place = fields & JOINER_KEY_DOC ? (uint16_t)shard : LOOKUP_NODE_WIDE, .stream = stream};
    return record_key(e, fields, hash_seed, &out->hash);
}

uint32_t lookup_shard(const struct event *e, uint32_t key_fields, uint32_t shards)
{
    return hash_shard(key_fields & JOINER_KEY_DOC    ? e->doc
                      : key_fields & JOINER_KEY_USER ? e->user
                                                     : e->request,
                      shards);
}

bool lookup_any(const struct catalog *c)
{
    for (uint32_t i = 0; i < c->join.streams; i++)
        if (c->join.stream[i].kind == JOINER_TABLE)
            return true;
    return false;
}

static void visit_event(const struct block_event *e, const struct catalog *c, uint32_t shard, uint64_t hash_seed,
                        lookup_visit *visit, void *context)
{
    struct event event;
    struct lookup_row row;
    if (e->stream >= c->join.streams || c->join.stream[e->stream].kind != JOINER_TABLE ||
        event_scan(e->wire, &event, NULL) != TM_OK || !lookup_key_of(&event, c, e->stream, shard, hash_seed, &row.key))
        return;
    row.time = event.time;
    row.position = e->position;
    row.event = event.withdraw ? (struct bytes){0} : e->wire;
    visit(context, &row);
}

void lookup_rows_of(const struct block *b, const struct catalog *c, uint64_t hash_seed, lookup_visit *visit,
                    void *context)
{
    if (!lookup_any(c))
        return;
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        uint32_t shard, events, first;
        block_shard(b, slot, &shard, &events, &first);
        for (uint32_t i = 0; i < events; i++) {
            struct block_event e;
            block_event_at(b, first, i, &e);
            visit_event(&e, c, shard, hash_seed, visit, context);
        }
    }
}

/* ---- stored ---- */

#define SIGN (UINT64_C(1) << 63)

void lookup_put_key(const struct lookup_key *key, uint8_t out[static LOOKUP_KEY_SIZE])
{
    key_put_u16(out, key->place);
    out[2] = key->stream;
    key_put_u64(out + 3, key->hash.hi);
    key_put_u64(out + 11, key->hash.lo);
}

void lookup_put_row(const struct lookup_key *key, int64_t time, uint64_t position, uint8_t out[static LOOKUP_ROW_SIZE])
{
    lookup_put_key(key, out);
    key_put_u64(out + LOOKUP_KEY_SIZE, ~((uint64_t)time ^ SIGN));
    key_put_u64(out + LOOKUP_KEY_SIZE + 8, ~position);
}

bool lookup_get_row(struct bytes stored, int64_t *time, uint64_t *position)
{
    if (stored.size != LOOKUP_ROW_SIZE)
        return false;
    *time = (int64_t)(~key_get_u64(stored.data + LOOKUP_KEY_SIZE) ^ SIGN);
    *position = ~key_get_u64(stored.data + LOOKUP_KEY_SIZE + 8);
    return true;
}
