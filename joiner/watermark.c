#include "joiner/watermark.h"

enum { DROPPED_MAX = WATERMARK_RECENT / 100 };

void watermark_open(struct watermark *w) { *w = (struct watermark){.value = WATERMARK_NONE}; }

void watermark_see(struct watermark *w, int64_t time)
{
    w->recent[w->next] = time;
    w->next = (w->next + 1) % WATERMARK_RECENT;
    if (w->seen < WATERMARK_RECENT)
        w->seen++;
}

/* The rank-th largest recent time. Newest first: times mostly rise, so few older ones displace one found before. */
static int64_t nth_largest(const struct watermark *w, uint32_t rank)
{
    int64_t largest[DROPPED_MAX + 1]; /* falling */
    uint32_t found = 0;
    for (uint32_t i = 1; i <= w->seen; i++) {
        int64_t time = w->recent[(w->next + WATERMARK_RECENT - i) % WATERMARK_RECENT];
        if (found == rank && time <= largest[rank - 1])
            continue;
        uint32_t place = found < rank ? found++ : rank - 1;
        for (; place > 0 && largest[place - 1] < time; place--)
            largest[place] = largest[place - 1];
        largest[place] = time;
    }
    return largest[rank - 1];
}

void watermark_measure(struct watermark *w, int64_t out_of_orderness_ms)
{
    uint32_t dropped = w->seen / 100 > 1 ? w->seen / 100 : 1;
    int64_t value;
    CHECK(out_of_orderness_ms >= 0);
    if (w->seen <= dropped)
        return;
    bool below_all_times = __builtin_sub_overflow(nth_largest(w, dropped + 1), out_of_orderness_ms, &value);
    if (!below_all_times && value > w->value)
        w->value = value;
}
