/* Tests of ps/engine/waiting.h: the memory that is told for another window is what that window then takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "joiner/joiner.h"
#include "ps/engine/waiting.h"

enum { SHOW, CLICK, LOOK, STREAMS, MINUTE = 60000, BODY_MAX = 700, PER_SECOND = 40 };

static void ignore_sample(void *self, struct sample *s) { (void)self, (void)s; }
static void ignore_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    (void)self, (void)r, (void)reason;
}

static void step(struct joiner *j, uint8_t stream, uint64_t *position, uint64_t key, int64_t time, size_t size)
{
    static const uint8_t body[BODY_MAX] = {1};
    joiner_step(j, &(struct joiner_record){.position = ++*position,
                                           .time = time,
                                           .key = {key * UINT64_C(0x9e3779b97f4a7c15), key},
                                           .doc = {key, 7},
                                           .event = *position,
                                           .version = 1,
                                           .stream = stream,
                                           .weight = 1,
                                           .body = bytes_of(body, size)});
}

static void observe(struct waiting *w, const struct joiner *j, uint64_t *measured)
{
    struct joiner_pace pace = joiner_pace(j);
    *measured = joiner_undecided_entries(j) + joiner_undecided_payload(j);
    waiting_observe(w, &pace);
}

/* An hour and a half of traffic with features before each impression and clicks after a part of them; a commit a
 * second. */
static struct waiting live(int64_t window_ms, uint64_t *measured)
{
    struct joiner_config config = {
        .streams = STREAMS, .labels = 1, .window_ms = window_ms, .allowed_lateness_ms = 90 * MINUTE};
    config.stream[SHOW].kind = JOINER_IMPRESSION;
    config.stream[CLICK] = (struct joiner_stream){.kind = JOINER_ACTION, .within_ms = 90 * MINUTE, .labels = 1};
    config.stream[LOOK].kind = JOINER_FEATURES;
    struct joiner *j = joiner_open(&config, (struct joiner_output){NULL, ignore_sample, ignore_aside, NULL, NULL});
    struct waiting w = {0};
    uint64_t position = 0, key = 0, commit = 0;
    for (int64_t now = 0; now < 90 * MINUTE; now += 1000) {
        int64_t watermarks[JOINER_STREAMS_MAX] = {now, now, now};
        struct joiner_delta delta;
        for (int i = 0; i < PER_SECOND; i++) {
            int64_t time = now + i * (1000 / PER_SECOND);
            step(j, LOOK, &position, ++key, time, BODY_MAX);
            step(j, SHOW, &position, key, time, 90);
            if (key > 20 * PER_SECOND && i % 4 == 0)
                step(j, CLICK, &position, key - 20 * PER_SECOND, time, 0);
        }
        joiner_advance(j, watermarks);
        commit += joiner_freeze(j, commit + 1, &delta);
        observe(&w, j, measured);
    }
    joiner_close(j);
    return w;
}

static double expected(const struct waiting *w, int64_t window_ms)
{
    return waiting_rate(w) * (double)window_ms / 1000 * (double)w->bytes / (double)w->taken;
}

static void another_window_takes_what_was_told(void **state)
{
    static const int64_t windows[] = {1 * MINUTE, 3 * MINUTE, 10 * MINUTE, 25 * MINUTE};
    uint64_t measured[ARRAY_LEN(windows)];
    struct waiting w[ARRAY_LEN(windows)];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
        w[i] = live(windows[i], &measured[i]);
        assert_true(fabs(waiting_rate(&w[i]) - PER_SECOND) < 0.01 * PER_SECOND);
    }
    for (size_t i = 0; i < ARRAY_LEN(windows); i++)
        for (size_t k = 0; k < ARRAY_LEN(windows); k++) {
            double told = expected(&w[i], windows[k]), off = told / (double)measured[k] - 1;
            if (fabs(off) > 0.2)
                fail_msg("seen %lld ms, told of %lld ms: %.0f bytes; it took %llu, %+.0f %%", (long long)windows[i],
                         (long long)windows[k], told, (unsigned long long)measured[k], 100 * off);
        }
}

static void nothing_is_told_before_time_has_passed(void **state)
{
    struct waiting w = {0};
    (void)state;
    waiting_observe(&w, &(struct joiner_pace){0});
    assert_true(waiting_rate(&w) == 0);
    waiting_observe(&w, &(struct joiner_pace){.decided = 9, .first = 5, .newest = 5});
    assert_true(waiting_rate(&w) == 0);
}

static void see(struct waiting *w, uint64_t decided, int64_t newest)
{
    waiting_observe(w, &(struct joiner_pace){.decided = decided, .newest = newest});
}

static void the_rate_follows_the_traffic(void **state)
{
    struct waiting w = {0};
    (void)state;
    see(&w, 601, 60 * MINUTE / 6);
    assert_true(waiting_rate(&w) == 1);
    see(&w, 1801, 30 * MINUTE);
    see(&w, 1801, 30 * MINUTE); /* a silent night changes nothing */
    assert_true(waiting_rate(&w) == 1);
    see(&w, 1801 + 18000, 60 * MINUTE); /* ten times as many; the first half hour is forgotten */
    assert_true(waiting_rate(&w) == 10);
    see(&w, 1801 + 18000 + 9000, 75 * MINUTE);
    assert_true(waiting_rate(&w) == 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_window_takes_what_was_told),
        cmocka_unit_test(nothing_is_told_before_time_has_passed),
        cmocka_unit_test(the_rate_follows_the_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
