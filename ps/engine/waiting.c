#include "ps/engine/waiting.h"

static void observe_pace(struct waiting *w, const struct joiner_pace *pace)
{
    if (pace->decided == 0)
        return;
    if (w->from.impressions == 0)
        w->from = w->half = (struct waiting_mark){pace->first, 1};
    w->now = (struct waiting_mark){pace->newest, pace->decided};
    if (w->now.time - w->half.time >= WAITING_STRETCH_MS) {
        w->from = w->half;
        w->half = w->now;
    }
}

void waiting_observe(struct waiting *w, const struct shard_counts *c)
{
    observe_pace(w, &c->pace);
    if (c->undecided > w->undecided) {
        w->undecided = c->undecided;
        w->entries = c->undecided_entries;
    }
    w->taken = c->pace.taken;
    w->stored = c->pace.stored;
}

double waiting_rate(const struct waiting *w)
{
    int64_t ms = w->now.time - w->from.time;
    return ms > 0 ? (double)(w->now.impressions - w->from.impressions) * 1000 / (double)ms : 0;
}

void waiting_add_bytes(struct waiting_bytes *sum, const struct waiting *w)
{
    sum->undecided += w->undecided;
    sum->entries += w->entries;
    sum->taken += w->taken;
    sum->stored += w->stored;
}

double waiting_bytes_per_key(const struct waiting_bytes *sum)
{
    if (sum->undecided == 0 || sum->taken == 0)
        return 0;
    return (double)sum->entries / (double)sum->undecided + (double)sum->stored / (double)sum->taken;
}
