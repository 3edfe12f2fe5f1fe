#include "client/batcher.h"

#include "base/clock.h"
#include "proto/event.h"
#include "proto/wire.h"

/* Field numbers of events.proto. */
enum { REQUEST_BATCH = 2, BATCH_SEQUENCE = 1, BATCH_EVENT = 2 };

void batch_close(struct batch *b) { buffer_close(&b->request); }
void batcher_close(struct batcher *b) { buffer_close(&b->body); }

static bool has_room(const struct batcher *b, const struct batch *batch)
{
    return batch->events == 0 || (batch->events < b->events_max && b->body.size + b->held.wire.size <= BATCH_BYTES);
}

/* A time that the server will refuse must not become "everything up to then was sent". */
static bool is_plausible(int64_t time) { return time <= clock_wall_ms() + EVENT_TIME_AHEAD_MS; }

static void take_held(struct batcher *b, struct batch *batch)
{
    wire_put_bytes(&b->body, BATCH_EVENT, b->held.wire);
    batch->places[batch->events++] = b->held.place;
    b->taken(b->context, b->held.stream);
    if (b->held.time > b->newest && is_plausible(b->held.time))
        b->newest = b->held.time;
    b->holds = false;
}

static void start_batch(struct batcher *b, struct batch *batch)
{
    batch->sequence = b->sequence + 1;
    batch->events = 0;
    b->body.size = 0;
    wire_put_integer(&b->body, BATCH_SEQUENCE, batch->sequence);
}

enum merge_result batcher_fill(struct batcher *b, struct batch *batch, struct tm_error *err)
{
    struct merge_place place;
    enum merge_result r = MERGE_RECORD;
    if (batch->sequence != b->sequence + 1)
        start_batch(b, batch);
    while (r == MERGE_RECORD || r == MERGE_MALFORMED) {
        if (b->holds && !has_room(b, batch))
            break;
        if (b->holds)
            take_held(b, batch);
        r = merge_next(b->merge, &b->held, &place, err);
        b->holds = r == MERGE_RECORD;
        if (r == MERGE_MALFORMED)
            b->report(b->context, &place, err->message);
    }
    return r;
}

void batcher_seal(struct batcher *b, struct batch *batch)
{
    batch->newest = b->newest;
    batch->request.size = 0;
    wire_put_bytes(&batch->request, REQUEST_BATCH, buffer_view(&b->body));
    b->sequence = batch->sequence;
}
