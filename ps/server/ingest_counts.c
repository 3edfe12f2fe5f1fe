#include "ps/server/ingest_counts.h"

static void add(_Atomic uint64_t *counter, uint64_t n) { atomic_fetch_add_explicit(counter, n, memory_order_relaxed); }

void ingest_count_refused(struct ingest_counts *c, enum tm_code why) { add(&c->refused[why], 1); }

void ingest_count(struct ingest_counts *c, enum ingest_door door, const struct submission *s,
                  const struct door_batch *batch)
{
    if (s->code != TM_OK) {
        ingest_count_refused(c, s->code);
    } else if (s->kind == SUBMIT_BATCH && s->repeated) {
        add(&c->door[door].repeated, 1);
    } else if (s->kind == SUBMIT_STAMPED) {
        add(&c->door[door].batches, 1);
        add(&c->door[door].events, s->event_count);
    } else if (s->kind == SUBMIT_BATCH) {
        add(&c->door[door].batches, 1);
        add(&c->door[door].events, s->event_count);
        for (int i = 0; i < DOOR_FIELD_COUNT; i++)
            if (batch->rejected[i])
                add(&c->rejected[i], batch->rejected[i]);
    }
}
