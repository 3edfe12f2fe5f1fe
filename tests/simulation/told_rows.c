#include "tests/simulation/told_rows.h"

#include <stdio.h>
#include <stdlib.h>

void told_rows_close(struct told_rows *t) { free(t->row); }

static void about(const struct event *e, uint32_t fields, char out[static 64])
{
    snprintf(out, 64, "%.*s/%.*s/%.*s", fields & JOINER_KEY_REQUEST ? (int)e->request.size : 0,
             (const char *)e->request.data, fields & JOINER_KEY_USER ? (int)e->user.size : 0,
             (const char *)e->user.data, fields & JOINER_KEY_DOC ? (int)e->doc.size : 0, (const char *)e->doc.data);
}

static void add(struct told_rows *t, const struct catalog *c, const struct block_event *e)
{
    struct event event;
    if (c->join.stream[e->stream].kind != JOINER_TABLE)
        return;
    CHECK(event_scan(e->wire, &event, NULL) == TM_OK);
    t->row = mem_grow(t->row, t->rows + 1, sizeof *t->row);
    struct told_row *row = &t->row[t->rows++];
    *row = (struct told_row){
        .stream = e->stream, .time = event.time, .position = e->position, .deletes = event.withdraw, .wire = e->wire};
    about(&event, c->join.stream[e->stream].key_fields, row->about);
}

void told_rows_add(struct told_rows *t, const struct catalog *c, const struct block *b)
{
    for (uint32_t slot = 0; slot < b->shards_named; slot++) {
        uint32_t shard, events, first;
        block_shard(b, slot, &shard, &events, &first);
        for (uint32_t i = 0; i < events; i++) {
            struct block_event e;
            block_event_at(b, first, i, &e);
            add(t, c, &e);
        }
    }
}

const struct told_row *told_rows_find(const struct told_rows *t, const struct catalog *c, uint8_t stream,
                                      const struct event *shown, int64_t time, uint64_t position)
{
    const struct told_row *best = NULL;
    char wanted[64];
    about(shown, c->join.stream[stream].key_fields, wanted);
    for (uint32_t i = 0; i < t->rows; i++) {
        const struct told_row *r = &t->row[i];
        if (r->stream != stream || strcmp(r->about, wanted) != 0 || r->position >= position || r->time > time)
            continue;
        if (!best || r->time > best->time || (r->time == best->time && r->position > best->position))
            best = r;
    }
    return best && !best->deletes ? best : NULL;
}
