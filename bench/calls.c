#include "bench/calls.h"

#include "base/clock.h"

struct slot {
    struct calls *calls;
    int64_t began_ns;
};

static void call_next(struct slot *s);

static void answered(void *context, struct bytes reply)
{
    struct slot *s = context;
    (void)reply;
    s->calls->us[s->calls->finished++] = (double)(clock_monotonic_ns() - s->began_ns) / 1e3;
    if (s->calls->started < s->calls->wanted)
        call_next(s);
}

static void call_next(struct slot *s)
{
    struct calls *c = s->calls;
    s->began_ns = clock_monotonic_ns();
    caller_call(c->caller, c->method, buffer_view(&c->requests[c->started++ % c->requests_count]), answered, s);
}

void calls_play(struct calls *c, uint32_t wanted, uint32_t inflight)
{
    static struct slot slot[CALLS_INFLIGHT_MAX];
    CHECK(wanted <= CALLS_MAX && inflight <= CALLS_INFLIGHT_MAX && inflight <= wanted);
    c->started = c->finished = 0;
    c->wanted = wanted;
    for (uint32_t i = 0; i < inflight; i++) {
        slot[i].calls = c;
        call_next(&slot[i]);
    }
    while (c->finished < c->wanted)
        caller_wait(c->caller);
}
