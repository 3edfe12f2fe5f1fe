/* Which negatives are kept, and what the joiner makes of the others. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/joiner.h"

enum { KEYS = 100000 };

static struct sampling_ticket ticket_of(uint64_t i)
{
    return (struct sampling_ticket){.key = hash_128(bytes_of(&i, sizeof i), 1)};
}

static struct sampling everywhere(float keep, uint32_t unit)
{
    return (struct sampling){.rules = 1, .rule = {{keep, unit, INT32_MIN, INT32_MAX}}};
}

/* Within four standard deviations; the keys are always the same. */
static void the_share_kept_is_the_rate(void **state)
{
    static const float rates[] = {0.001f, 0.1f, 0.5f, 0.9f, 1};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(rates); k++) {
        struct sampling s = everywhere(rates[k], SAMPLING_IMPRESSION);
        double kept = 0, p = (double)rates[k];
        for (uint64_t i = 0; i < KEYS; i++) {
            struct sampling_ticket t = ticket_of(i);
            struct sampling_lot lot = sampling_draw(&s, &t);
            assert_true(lot.rate == rates[k]);
            kept += !lot.left_out;
        }
        assert_true(fabs(kept - KEYS * p) <= 4 * sqrt(KEYS * p * (1 - p)));
    }
}

static void whoever_is_kept_is_kept_at_every_higher_rate(void **state)
{
    struct sampling low = everywhere(0.2f, SAMPLING_IMPRESSION), high = everywhere(0.3f, SAMPLING_IMPRESSION);
    (void)state;
    for (uint64_t i = 0; i < KEYS; i++) {
        struct sampling_ticket t = ticket_of(i);
        assert_true(sampling_draw(&low, &t).left_out || !sampling_draw(&high, &t).left_out);
    }
}

static void a_user_is_kept_or_left_out_as_a_whole(void **state)
{
    struct sampling s = everywhere(0.5f, SAMPLING_USER);
    uint32_t left_out = 0;
    (void)state;
    for (uint64_t user = 1; user <= 1000; user++) {
        struct sampling_ticket first = ticket_of(0), other;
        first.user = user << 32;
        bool fate = sampling_draw(&s, &first).left_out;
        left_out += fate;
        for (uint64_t i = 1; i < 20; i++) {
            other = ticket_of(i);
            other.user = first.user;
            assert_int_equal(sampling_draw(&s, &other).left_out, fate);
        }
    }
    assert_in_range(left_out, 430, 570);
    uint32_t nobody = 0; /* whoever names no user draws for the impression */
    for (uint64_t i = 0; i < 1000; i++) {
        struct sampling_ticket t = ticket_of(i);
        nobody += sampling_draw(&s, &t).left_out;
    }
    assert_in_range(nobody, 430, 570);
}

static void the_first_rule_that_fits_gives_the_rate(void **state)
{
    static const struct sampling s = {.rules = 3,
                                      .rule = {{0.5f, SAMPLING_IMPRESSION, 0, 2},
                                               {0.25f, SAMPLING_IMPRESSION, 2, 9},
                                               {0.125f, SAMPLING_IMPRESSION, INT32_MIN, INT32_MAX}}};
    static const struct {
        int32_t place;
        bool has_place;
        float rate;
    } cases[] = {{0, true, 0.5f},  {2, true, 0.5f},    {3, true, 0.25f},
                 {9, true, 0.25f}, {10, true, 0.125f}, {0, false, 0.125f}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sampling_ticket t = {.place = cases[i].place, .has_place = cases[i].has_place};
        assert_true(sampling_draw(&s, &t).rate == cases[i].rate);
    }
    struct sampling two = s;
    two.rules = 2;
    assert_true(sampling_draw(&two, &(struct sampling_ticket){.place = 10, .has_place = true}).rate == 1);
}

/* ---- through the joiner: shows are decided at once, clicks and orders correct ---- */

enum { SHOW, CLICK, ORDER, STREAMS };

struct heard {
    struct sample sample[8];
    uint32_t samples, left_out;
    uint64_t position;
    char body; /* first byte of the newest new sample's */
};

static void on_sample(void *self, struct sample *s)
{
    struct heard *h = self;
    assert_true(h->samples < ARRAY_LEN(h->sample));
    h->sample[h->samples++] = *s;
    if (s->kind == SAMPLE_NEW)
        h->body = (char)s->body.data[0];
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    (void)self, (void)r, (void)reason;
    fail();
}

static void on_left_out(void *self, struct sample *s)
{
    assert_true(s->version == 3 && s->sequence == 0);
    ((struct heard *)self)->left_out++;
}

static void step(struct joiner *j, struct heard *h, uint8_t stream, uint64_t key, int64_t time)
{
    static const char *const bodies[] = {"show", "click", "order"};
    struct sampling_ticket t = ticket_of(key);
    joiner_step(j, &(struct joiner_record){.position = ++h->position,
                                           .time = time,
                                           .key = t.key,
                                           .doc = {7, 7},
                                           .event = h->position,
                                           .version = stream == SHOW ? 3 : 0,
                                           .stream = stream,
                                           .weight = 2,
                                           .body = bytes_text(bodies[stream])});
}

static struct joiner *open_joiner(struct heard *h, float keep)
{
    struct joiner_config config = {.streams = STREAMS, .labels = 2, .window_ms = 10, .allowed_lateness_ms = 1000};
    config.stream[SHOW].kind = JOINER_IMPRESSION;
    config.stream[CLICK] = (struct joiner_stream){.kind = JOINER_ACTION, .within_ms = 1000, .labels = 1};
    config.stream[ORDER] = (struct joiner_stream){.kind = JOINER_ACTION, .within_ms = 1000, .labels = 2};
    config.rules.sampling = everywhere(keep, SAMPLING_IMPRESSION);
    *h = (struct heard){0};
    struct joiner *j = joiner_open(&config, (struct joiner_output){h, on_sample, on_aside, on_left_out, NULL});
    joiner_advance(j, (const int64_t[]){500, 500, 500});
    return j;
}

/* A key whose negative this rate keeps, or leaves out. */
static uint64_t some_key(float keep, bool left_out)
{
    struct sampling s = everywhere(keep, SAMPLING_IMPRESSION);
    for (uint64_t i = 0;; i++) {
        struct sampling_ticket t = ticket_of(i);
        if (sampling_draw(&s, &t).left_out == left_out)
            return i;
    }
}

static void a_negative_that_was_left_out_comes_back_as_a_positive(void **state)
{
    struct heard h;
    struct joiner *j = open_joiner(&h, 0.25f);
    uint64_t key = some_key(0.25f, true);
    (void)state;
    step(j, &h, SHOW, key, 100);
    assert_int_equal(h.left_out, 1);
    assert_int_equal(h.samples, 0);
    assert_int_equal(joiner_counts(j)[SHOW].matched, 1);
    step(j, &h, CLICK, key, 200);
    assert_int_equal(h.samples, 1);
    const struct sample *s = &h.sample[0];
    assert_true(s->kind == SAMPLE_NEW && s->sequence == 1 && s->original == 0 && s->position == 2 && s->labels[0] == 1);
    assert_true(s->keep == 1 && s->rate == 0.25 && s->weight == 2 && s->impression_time == 100);
    assert_int_equal(h.body, 'c'); /* names the document */
    step(j, &h, ORDER, key, 300);
    s = &h.sample[1];
    assert_true(s->kind == SAMPLE_CORRECTION && s->original == 1 && s->labels[1] == 1 && s->old_labels[0] == 1);
    assert_true(s->keep == 1 && s->old_keep == 1 && s->rate == 0.25);
    assert_int_equal(h.samples, 2);
    joiner_close(j);
}

static void a_negative_that_was_kept_is_taken_back_as_it_was_learned(void **state)
{
    struct heard h;
    struct joiner *j = open_joiner(&h, 0.25f);
    uint64_t key = some_key(0.25f, false);
    (void)state;
    step(j, &h, SHOW, key, 100);
    assert_true(h.samples == 1 && h.sample[0].labels[0] == 0 && h.sample[0].keep == 0.25 && h.sample[0].rate == 0.25);
    step(j, &h, CLICK, key, 200);
    assert_true(h.sample[1].old_keep == 0.25 && h.sample[1].keep == 1 && h.sample[1].rate == 0.25);
    step(j, &h, ORDER, key, 300);
    assert_true(h.sample[2].old_keep == 1 && h.sample[2].keep == 1);
    assert_int_equal(h.left_out, 0);
    joiner_close(j);
}

static void positives_are_never_left_out(void **state)
{
    struct heard h;
    struct joiner *j = open_joiner(&h, 0.25f);
    uint64_t key = some_key(0.25f, true);
    (void)state;
    step(j, &h, CLICK, key, 105);
    step(j, &h, SHOW, key, 100);
    assert_true(h.samples == 1 && h.left_out == 0 && h.sample[0].keep == 1 && h.sample[0].rate == 0.25);
    assert_int_equal(h.body, 's');
    joiner_close(j);
}

/* The lot was drawn when the impression came: other rules hold for the next ones. */
static void other_rules_hold_for_what_comes(void **state)
{
    struct heard h;
    struct joiner *j = open_joiner(&h, 0.25f);
    struct joiner_rules all = {0};
    uint64_t key = some_key(0.25f, true);
    (void)state;
    step(j, &h, SHOW, key, 495);
    joiner_set_rules(j, &all);
    joiner_advance(j, (const int64_t[]){600, 600, 600});
    assert_true(h.left_out == 1 && h.samples == 0);
    step(j, &h, SHOW, key + KEYS, 500);
    assert_true(h.left_out == 1 && h.samples == 1 && h.sample[0].rate == 1);
    joiner_close(j);
}

static void a_sample_keeps_its_rates_in_the_log(void **state)
{
    CLEANUP(buffer_close) struct buffer out = {0};
    struct sample s = {.sequence = 9, .original = 3, .kind = SAMPLE_CORRECTION, .weight = 2};
    struct sample back;
    (void)state;
    s.keep = 1;
    s.old_keep = 0.25;
    s.rate = 0.5;
    sample_encode(&s, &out);
    struct reader r = reader_of(buffer_view(&out));
    sample_decode(&r, &back);
    assert_false(r.bad || reader_left(&r));
    assert_true(back.keep == 1 && back.old_keep == 0.25 && back.rate == 0.5 && back.weight == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_share_kept_is_the_rate),
        cmocka_unit_test(whoever_is_kept_is_kept_at_every_higher_rate),
        cmocka_unit_test(a_user_is_kept_or_left_out_as_a_whole),
        cmocka_unit_test(the_first_rule_that_fits_gives_the_rate),
        cmocka_unit_test(a_negative_that_was_left_out_comes_back_as_a_positive),
        cmocka_unit_test(a_negative_that_was_kept_is_taken_back_as_it_was_learned),
        cmocka_unit_test(positives_are_never_left_out),
        cmocka_unit_test(other_rules_hold_for_what_comes),
        cmocka_unit_test(a_sample_keeps_its_rates_in_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
