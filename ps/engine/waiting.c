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

void waiting_observe(struct waiting *w, const struct joiner_pace *pace)
{
    observe_pace(w, pace);
    w->taken = pace->taken;
    w->bytes = pace->bytes;
}

double waiting_rate(const struct waiting *w)
{
    int64_t ms = w->now.time - w->from.time;
    return ms > 0 ? (double)(w->now.impressions - w->from.impressions) * 1000 / (double)ms : 0;
}
