#include "ps/state/server_lane.h"

static const struct producer_id id = {.lane = "server"};

static struct producer *find(const struct roster *r)
{
    struct producer_key key = producer_key_of(&id);
    return producers_find(&r->producers, &key);
}

/* What was asserted before a restart is in its row. */
static int64_t asserted(const struct producer *p, uint32_t streams)
{
    int64_t most = WATERMARK_NONE;
    for (uint32_t i = 0; i < streams; i++)
        if (p->progress[i].value > most)
            most = p->progress[i].value;
    return most;
}

void server_lane_tell(struct server_lane *lane, const struct roster *r, int64_t wall_ms)
{
    const struct producer *p = lane->clock_ms == WATERMARK_NONE ? find(r) : NULL;
    int64_t floor = p ? asserted(p, r->options.streams) : lane->clock_ms;
    lane->clock_ms = wall_ms > floor ? wall_ms : floor;
}

bool server_lane_send(const struct server_lane *lane, struct roster *r, uint32_t streams, int64_t now_ms)
{
    struct producer *p = find(r);
    CHECK(lane->clock_ms != WATERMARK_NONE);
    if (!p) {
        struct producer_key key = producer_key_of(&id);
        p = roster_add(r, &key, 0, now_ms);
    }
    if (!p)
        return false;
    roster_join(r, p, p->declared | streams, now_ms);
    for (; streams; streams &= streams - 1) {
        uint32_t stream = (uint32_t)__builtin_ctz(streams);
        roster_assert(r, p, stream, lane->clock_ms);
        roster_see(r, p, stream, lane->clock_ms);
    }
    return true;
}

void server_lane_advance(struct server_lane *lane, struct roster *r, bool if_due)
{
    struct producer *p;
    if (lane->clock_ms == lane->told_ms ||
        (if_due && lane->told_ms != WATERMARK_NONE && lane->clock_ms - lane->told_ms < SERVER_LANE_STEP_MS))
        return;
    lane->told_ms = lane->clock_ms;
    p = find(r);
    if (p && p->live)
        roster_advance(r, p, lane->clock_ms);
}
