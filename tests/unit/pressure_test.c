/* Who may come in while a shard is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ps/engine/pressure.h"

enum { SHOW, CLICK, LOOK, SHARDS = 4, HARD = 10000, SOFT = 7500, TIMEOUT_MS = 100 };

static const struct joiner_config kinds = {
    .streams = 3, .stream = {[SHOW] = {.kind = JOINER_IMPRESSION}, {.kind = JOINER_ACTION}, {.kind = JOINER_FEATURES}}};

struct bench {
    struct pressure *p;
    int64_t now_ns;
};

static struct bench begin(void) { return (struct bench){pressure_open(SHARDS, HARD, TIMEOUT_MS), 1}; }

static void pass_time(struct bench *b, int64_t ms) { b->now_ns += ms * NS_PER_MS; }

/* One event; what it reserved is given back, unless it is to stay. */
static bool enters(struct bench *b, uint32_t shard, uint8_t stream, bool stays)
{
    struct submission_event e = {.wire = bytes_text("wire"), .shard = shard, .stream = stream};
    struct submission batch = {.events = &e, .event_count = 1};
    struct tm_error err;
    enum tm_code rc = pressure_admit(b->p, &kinds, &batch, b->now_ns, &err);
    if (rc != TM_OK) {
        assert_int_equal(rc, TM_RESOURCE_EXHAUSTED);
        assert_non_null(strstr(err.message, "memory.join"));
    } else if (!stays) {
        pressure_release(b->p, &kinds, &batch);
    }
    return rc == TM_OK;
}

static void above_the_soft_limit_only_actions_pass(void **state)
{
    struct bench b = begin();
    (void)state;
    pressure_tell(b.p, 1, SOFT, 0);
    assert_true(enters(&b, 1, SHOW, false));
    pressure_tell(b.p, 1, SOFT + 1, 0);
    assert_false(enters(&b, 1, SHOW, false) || enters(&b, 1, LOOK, false));
    assert_true(enters(&b, 1, CLICK, false));
    assert_true(enters(&b, 2, SHOW, false)); /* the others do not starve */
    assert_int_equal(pressure_closed(b.p), 1);
    assert_int_equal(pressure_refused(b.p), 2);
    pressure_tell(b.p, 1, SOFT, 0);
    assert_true(enters(&b, 1, SHOW, false));
    assert_int_equal(pressure_closed(b.p), 0);
    pressure_close(b.p);
}

static void what_is_on_its_way_counts(void **state)
{
    struct bench b = begin();
    uint32_t taken = 0;
    (void)state;
    while (enters(&b, 0, SHOW, true))
        taken++;
    uint64_t each = joiner_waiting_bytes(JOINER_IMPRESSION, 4);
    assert_true(taken * each > SOFT && (taken - 1) * each <= SOFT);
    pressure_close(b.p);
}

/* A batch of many events for one shard, and one for another. */
static bool many_enter(struct bench *b, uint32_t shard, uint32_t events)
{
    static struct submission_event e[1000];
    struct submission batch = {.events = e, .event_count = events + 1};
    struct tm_error err;
    for (uint32_t i = 0; i <= events; i++)
        e[i] = (struct submission_event){.wire = bytes_text("wire"), .shard = shard, .stream = SHOW};
    e[events / 2].shard = shard + 1;
    enum tm_code rc = pressure_admit(b->p, &kinds, &batch, b->now_ns, &err);
    if (rc == TM_OK)
        pressure_release(b->p, &kinds, &batch);
    return rc == TM_OK;
}

static void a_large_batch_waits_until_it_fits(void **state)
{
    struct bench b = begin();
    uint64_t each = joiner_waiting_bytes(JOINER_IMPRESSION, 4);
    uint32_t most = (uint32_t)(HARD / each);
    (void)state;
    pressure_tell(b.p, 1, SOFT / 2, 7);
    assert_false(many_enter(&b, 1, most));
    assert_true(enters(&b, 1, SHOW, false)); /* a small one does */
    assert_true(many_enter(&b, 1, most / 2));
    assert_false(many_enter(&b, 1, most));
    pass_time(&b, TIMEOUT_MS);
    assert_true(many_enter(&b, 1, most)); /* nothing was decided for long: the oldest will be shed */
    assert_false(many_enter(&b, 1, most));
    pressure_tell(b.p, 1, 0, 8);
    assert_true(many_enter(&b, 1, 2 * most)); /* it will never find more room */
    pressure_close(b.p);
}

static void a_block_counts_until_it_arrives(void **state)
{
    struct bench b = begin();
    struct block_builder builder = {0};
    CLEANUP(buffer_close) struct buffer bytes = {0};
    struct block block;
    struct tm_error err;
    (void)state;
    for (int i = 0; i < 100; i++)
        block_add_event(&builder, 3, SHOW, 1, bytes_text("wire"));
    block_seal(&builder, 0, &bytes);
    assert_int_equal(block_parse(buffer_view(&bytes), &block, &err), TM_OK);
    pressure_send(b.p, &block);
    assert_false(enters(&b, 3, SHOW, false));
    assert_true(enters(&b, 0, SHOW, false));
    pressure_arrive(b.p, &block, 3, 100);
    assert_true(enters(&b, 3, SHOW, false));
    block_builder_close(&builder);
    pressure_close(b.p);
}

static void a_door_that_is_closed_for_long_opens_up_to_the_hard_limit(void **state)
{
    struct bench b = begin();
    (void)state;
    pressure_tell(b.p, 1, SOFT + 1, 7);
    assert_false(enters(&b, 1, SHOW, false));
    pass_time(&b, TIMEOUT_MS - 1);
    assert_false(enters(&b, 1, SHOW, false));
    pressure_tell(b.p, 1, SOFT + 1, 8); /* something was decided: more will be */
    pass_time(&b, 1);
    assert_false(enters(&b, 1, SHOW, false));
    pass_time(&b, TIMEOUT_MS);
    assert_true(enters(&b, 1, SHOW, false) && enters(&b, 1, SHOW, false));
    pressure_close(b.p);
}

static void above_the_hard_limit_a_batch_passes_now_and_then(void **state)
{
    struct bench b = begin();
    (void)state;
    pressure_tell(b.p, 1, HARD + 1, 7);
    assert_false(enters(&b, 1, SHOW, false));
    for (int i = 0; i < 3; i++) {
        pass_time(&b, TIMEOUT_MS);
        assert_true(enters(&b, 1, SHOW, false));
        assert_false(enters(&b, 1, SHOW, false));
        pass_time(&b, TIMEOUT_MS / 2);
        assert_false(enters(&b, 1, SHOW, false));
    }
    pressure_close(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(above_the_soft_limit_only_actions_pass),
        cmocka_unit_test(what_is_on_its_way_counts),
        cmocka_unit_test(a_large_batch_waits_until_it_fits),
        cmocka_unit_test(a_block_counts_until_it_arrives),
        cmocka_unit_test(a_door_that_is_closed_for_long_opens_up_to_the_hard_limit),
        cmocka_unit_test(above_the_hard_limit_a_batch_passes_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
