#include "tests/simulation/stamps.h"

#include <inttypes.h>

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

void stamps_open(struct stamps *s)
{
    *s = (struct stamps){.wall = WATERMARK_NONE, .low = WATERMARK_NONE, .high = WATERMARK_NONE};
}

void stamps_tell(struct stamps *s, int64_t wall)
{
    s->wall = wall;
    s->low = later(s->low, wall);
    s->high = later(s->high, wall);
}

void stamps_gone(struct stamps *s) { s->declared = s->held = 0; }

void stamps_crash(struct stamps *s, int64_t newest_durable, bool forgotten)
{
    s->low = forgotten ? WATERMARK_NONE : newest_durable;
    s->declared = s->held = 0;
}

void stamps_sealed(struct stamps *s, const struct sequencer *q)
{
    for (uint8_t stream = 0; s->declared >> stream; stream++) {
        uint32_t bit = UINT32_C(1) << stream;
        bool ahead = sequencer_watermark(q, stream) > s->high;
        if (ahead && (s->held & bit))
            mismatch("stream %u is at %" PRId64 ", but the server that sends it at %" PRId64, stream,
                     sequencer_watermark(q, stream), s->high);
        if (!ahead)
            s->held |= s->declared & bit;
    }
}

struct stamp stamps_take(struct stamps *s, uint32_t streams, int64_t now_ms)
{
    s->declared |= streams;
    if (streams) /* a call of nothing but events whose streams are still to come is no sign of life */
        s->sent_ms = now_ms;
    return (struct stamp){s->low, s->high, WATERMARK_NONE};
}

void stamp_see(struct stamp *s, int64_t time)
{
    if (time < s->low || time > s->high)
        mismatch("an event of the server's own has time %" PRId64 "; its clock was %" PRId64 " to %" PRId64, time,
                 s->low, s->high);
    if (s->seen != WATERMARK_NONE && s->seen != time)
        mismatch("events of one call have times %" PRId64 " and %" PRId64, s->seen, time);
    s->seen = time;
}
