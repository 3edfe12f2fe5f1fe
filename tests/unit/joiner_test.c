/* The join as stories: a time line goes in, samples and set-aside records come out.
 *
 * Time line   "show a 100" an impression of key a at time 100, "show a 100 v2" of version 2, "click a 150 #7" a
 *             click with event id 7 (without: one of its own), "order a 900", "look a 90" features; "time 300":
 *             every stream is complete up to 300; "clicks 300", "shows 300"...: one stream is.
 * Outcome     "a@100:-" a sample without labels, "a@100:c" with a click, "a@100:c>co" a correction: click, now order
 *             too; "late:click", "orphaned:click"...: set aside.
 * Everywhere  window 60, clicks count within 200, orders within 500, allowed lateness 500; looks are required where the
 *             story says so. Every story is told three times: in one go, with a commit after every step, and with a
 *             restart from commits after every step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "joiner/joiner.h"

enum { SHOW, CLICK, ORDER, LOOK, STREAMS };
static const char *const names[STREAMS] = {"show", "click", "order", "look"};
static const char *const reasons[] = {"", "late", "orphaned", "duplicate", "mismatch", "too_many", "malformed"};

static const struct story {
    const char *name, *time_line, *outcome;
    bool looks_required;
} stories[] = {
    {"a click inside the window makes a positive", "show a 100; click a 150; time 300", "a@100:c", false},
    {"no click makes a negative, once its window has passed", "show a 100; time 160; time 161", "a@100:-", false},
    {"the window's last moment counts", "show a 100; click a 160; time 161", "a@100:c", false},
    {"a watermark at the end of the window is not behind it", "show a 100; time 160", "", false},
    {"a click behind the window corrects the decision at once", "show a 100; click a 161; time 162",
     "a@100:- a@100:->c", false},
    {"a click that comes late corrects", "show a 100; time 300; click a 150", "a@100:- a@100:->c", false},
    {"a second click changes nothing", "show a 100; time 300; click a 150; click a 170", "a@100:- a@100:->c", false},
    {"two labels, two corrections, in the order of their times", "show a 100; order a 190; click a 180; time 162",
     "a@100:- a@100:->c a@100:c>co", false},
    {"a click before its impression waits for it", "click a 150; show a 100; time 300", "a@100:c", false},
    {"a click with an earlier time than its impression counts: clocks differ", "click a 90; show a 100; time 300",
     "a@100:c", false},
    {"clicks behind their horizon are late", "show a 100; click a 300; click a 301; time 170",
     "late:click a@100:- a@100:->c", false},
    {"orders have a horizon of their own", "show a 100; time 300; order a 600", "a@100:- a@100:->o", false},
    {"one too late for what was decided waits for another impression", "show a 100; time 300; order a 601; time 1102",
     "a@100:- orphaned:order", false},
    {"a decided impression is known near its time", "show a 100; time 300; shows 60500; show a 60100; look a 60100",
     "a@100:- duplicate:show a@100:->-", false},
    {"further on its key may be used again, and is the new one's",
     "show a 100; time 300; shows 60500; show a 60101; time 60600; click a 60250", "a@100:- a@60101:- a@60101:->c",
     false},
    {"a stalled click stream makes no negatives", "show a 100; shows 9000; orders 9000; looks 9000", "", false},
    {"nor does a stalled order stream", "show a 100; shows 9000; clicks 9000; looks 9000", "", false},
    {"nor one that has shown nothing new", "show a 100; clicks 9000; orders 9000; looks 9000", "", false},
    {"features that are not required are not awaited", "show a 100; shows 9000; clicks 9000; orders 9000", "a@100:-",
     false},
    {"required features are", "show a 100; shows 9000; clicks 9000; orders 9000; looks 100; looks 101", "a@100:-",
     true},
    {"an impression whose gate is open is decided as it comes", "time 300; show a 200", "a@200:-", false},
    {"with the clicks that waited for it", "time 300; click a 210; show a 200", "a@200:c", false},
    {"decisions come in the order of time", "show b 120; show a 100; time 300", "a@100:- b@120:-", false},
    {"and then of arrival", "show b 100; show a 100; time 300", "b@100:- a@100:-", false},
    {"a far impression waits on", "show a 100; show b 250; time 300", "a@100:-", false},
    {"an impression at the horizon comes in time", "time 1000; show a 500; show b 499", "a@500:- late:show", false},
    {"a click without impression is an orphan behind the horizon", "click a 100; time 600; time 601", "orphaned:click",
     false},
    {"a click that comes behind the horizon without impression is late", "time 601; click a 100", "late:click", false},
    {"also where something else waits for the key", "look a 100; time 601; click a 100", "late:click", false},
    {"features wait for a minute", "look a 100; time 60100; time 60101", "orphaned:look", false},
    {"features that come late correct, once", "show a 100; time 300; look a 95; look a 96",
     "a@100:- a@100:->- duplicate:look", false},
    {"whatever corrects before and after", "show a 100; time 300; click a 170; look a 95; order a 180",
     "a@100:- a@100:->c a@100:c>c a@100:c>co", false},
    {"of a key that is forgotten they wait, like others", "show a 100; time 601; look a 601; time 60602",
     "a@100:- orphaned:look", false},
    {"second features are duplicates", "look a 90; look a 91; show a 100; look a 92; time 300; look a 93",
     "duplicate:look duplicate:look a@100:- duplicate:look", false},
    {"a second impression is a duplicate, before and after", "show a 100; show a 120; time 300; show a 100",
     "duplicate:show a@100:- duplicate:show", false},
    {"the same click twice is one, before the impression", "click a 150 #7; click a 150 #7; show a 100; time 300",
     "duplicate:click a@100:c", false},
    {"before the decision", "show a 100; click a 150 #7; click a 150 #7; time 300", "duplicate:click a@100:c", false},
    {"and after it", "show a 100; click a 150 #7; time 300; click a 150 #7", "a@100:c duplicate:click", false},
    {"ids are per stream", "show a 100; click a 150 #7; order a 150 #7; time 300", "a@100:co", false},
    {"a click of another version is not this one's",
     "show a 100 v1; click a 150 v2; click b 150 v2; show b 100 v1; time 300",
     "mismatch:click mismatch:click a@100:- b@100:-", false},
    {"a click may name the version", "show a 100 v2; click a 150 v2; time 300", "a@100:c", false},
    {"a decided key is known until all its horizons have passed", "show a 100; time 600; show a 600; click a 300",
     "a@100:- duplicate:show a@100:->c", false},
    {"then it may be used again", "show a 100; time 601; show a 650; click a 660; time 800", "a@100:- a@650:c", false},
    {"a stalled stream keeps keys alive", "show a 100; time 300; shows 9000; clicks 9000; click a 150; show b 8600",
     "a@100:- a@100:->c", false},
};

enum { STEPS_MAX = 32, COMMITS_MAX = 64 };

struct teller {
    struct joiner_config config;
    struct joiner *joiner;
    uint64_t position, commit, keep_from;
    int64_t watermark[STREAMS];
    struct buffer chunks[COMMITS_MAX], runs[COMMITS_MAX]; /* by commit */
    char outcome[512];
};

static void say(struct teller *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct teller *t, const char *format, ...)
{
    va_list args;
    size_t at = strlen(t->outcome);
    if (at)
        t->outcome[at++] = ' ';
    va_start(args, format);
    vsnprintf(t->outcome + at, sizeof t->outcome - at, format, args);
    va_end(args);
}

static const char *labels_text(const double *labels)
{
    static const char *const texts[] = {"-", "c", "o", "co"};
    return texts[(int)labels[0] + 2 * (int)labels[1]];
}

static void on_sample(void *self, struct sample *s)
{
    struct teller *t = self;
    char key = (char)s->key.lo;
    if (s->kind == SAMPLE_CORRECTION) {
        say(t, "%c@%d:%s>%s", key, (int)s->impression_time, labels_text(s->old_labels), labels_text(s->labels));
        return;
    }
    say(t, "%c@%d:%s", key, (int)s->impression_time, labels_text(s->labels));
    assert_int_equal(s->body.data[0], (uint8_t)key); /* the impression's own bytes */
}

static void on_aside(void *self, const struct joiner_record *r, enum joiner_reason reason)
{
    struct teller *t = self;
    assert_true(r->position > 0 && r->position <= t->position && r->body.size <= 1);
    say(t, "%s:%s", reasons[reason], names[r->stream]);
}

static void begin(struct teller *t, bool looks_required)
{
    *t = (struct teller){.keep_from = 1};
    t->config = (struct joiner_config){.streams = STREAMS, .labels = 2, .window_ms = 60, .allowed_lateness_ms = 500};
    t->config.stream[SHOW].kind = JOINER_IMPRESSION;
    t->config.stream[CLICK] = (struct joiner_stream){.kind = JOINER_ACTION, .within_ms = 200, .labels = 1};
    t->config.stream[ORDER] = (struct joiner_stream){.kind = JOINER_ACTION, .within_ms = 500, .labels = 2};
    t->config.stream[LOOK] = (struct joiner_stream){.kind = JOINER_FEATURES, .required = looks_required};
    t->joiner = joiner_open(&t->config, (struct joiner_output){t, on_sample, on_aside, NULL, NULL});
    for (int i = 0; i < STREAMS; i++)
        t->watermark[i] = WATERMARK_NONE;
}

static void end(struct teller *t)
{
    joiner_close(t->joiner);
    for (int i = 0; i < COMMITS_MAX; i++) {
        buffer_close(&t->chunks[i]);
        buffer_close(&t->runs[i]);
    }
}

static void commit(struct teller *t)
{
    struct joiner_delta delta;
    bool used = joiner_freeze(t->joiner, t->commit + 1, &delta);
    t->commit += used;
    assert_in_range(t->commit, used, COMMITS_MAX - 1);
    buffer_put(&t->chunks[t->commit], delta.chunk.data, delta.chunk.size);
    buffer_put(&t->runs[t->commit], delta.run.data, delta.run.size);
    for (; t->keep_from < delta.keep_from; t->keep_from++) {
        buffer_close(&t->chunks[t->keep_from]);
        buffer_close(&t->runs[t->keep_from]);
    }
}

/* Another joiner, from what the commits left behind. */
static void restart(struct teller *t)
{
    struct stream_counts counts[JOINER_STREAMS_MAX];
    struct tm_error err;
    struct delays delays[STREAMS] = {0};
    uint64_t sequence = joiner_sequence(t->joiner), undecided = joiner_undecided(t->joiner);
    for (uint32_t i = 0; i < STREAMS; i++)
        if (joiner_delays(t->joiner, i))
            delays[i] = *joiner_delays(t->joiner, i);
    memcpy(counts, joiner_counts(t->joiner), sizeof counts);
    joiner_close(t->joiner);
    t->joiner = joiner_open(&t->config, (struct joiner_output){t, on_sample, on_aside, NULL, NULL});
    int64_t watermarks[JOINER_STREAMS_MAX] = {0};
    memcpy(watermarks, t->watermark, sizeof t->watermark);
    joiner_load_begin(t->joiner, watermarks);
    assert_int_equal(joiner_load_commits(t->joiner, t->keep_from, t->commit, &err), TM_OK);
    for (uint64_t i = t->keep_from; i <= t->commit; i++)
        if (t->runs[i].size)
            assert_int_equal(joiner_load_run(t->joiner, i, buffer_view(&t->runs[i]), &err), TM_OK);
    for (uint64_t i = t->keep_from; i <= t->commit; i++)
        if (t->chunks[i].size)
            assert_int_equal(joiner_load_chunk(t->joiner, i, buffer_view(&t->chunks[i]), &err), TM_OK);
    for (uint32_t i = 0; i < STREAMS; i++)
        if (delays_count(&delays[i]))
            joiner_load_delays(t->joiner, i, &delays[i]);
    assert_int_equal(joiner_load_done(t->joiner, t->position + 1, sequence, counts, NULL), TM_OK);
    assert_int_equal(joiner_sequence(t->joiner), sequence);
    assert_int_equal(joiner_undecided(t->joiner), undecided);
    assert_memory_equal(joiner_counts(t->joiner), counts, sizeof counts);
}

static void pass_time(struct teller *t, const char *whose, int64_t time)
{
    for (int i = 0; i < STREAMS; i++)
        if (strcmp(whose, "time") == 0 || strncmp(whose, names[i], strlen(names[i])) == 0)
            t->watermark[i] = time;
    joiner_advance(t->joiner, t->watermark);
}

static void play(struct teller *t, const char *step)
{
    char what[16], key;
    int time, version = 0, id = 0;
    if (sscanf(step, " %15s %d", what, &time) == 2) {
        pass_time(t, what, time);
        return;
    }
    assert_int_equal(sscanf(step, " %15s %c %d", what, &key, &time), 3);
    const char *option = strchr(step, '#');
    sscanf(option ? option : "#0", "#%d", &id);
    option = strstr(step, " v");
    sscanf(option ? option : " v0", " v%d", &version);
    struct joiner_record r = {.position = ++t->position,
                              .time = time,
                              .key = {(uint64_t)key, 1},
                              .doc = {(uint64_t)key, 2},
                              .event = id ? (uint64_t)id : 1000 + t->position,
                              .version = (uint32_t)version,
                              .weight = 1,
                              .body = bytes_of(&key, 1)};
    while (r.stream < STREAMS && strcmp(names[r.stream], what) != 0)
        r.stream++;
    assert_in_range(r.stream, 0, STREAMS - 1);
    joiner_step(t->joiner, &r);
}

static void check_counts(const struct teller *t)
{
    for (uint32_t i = 0; i < STREAMS; i++) {
        const struct delays *delays = joiner_delays(t->joiner, i);
        bool action = t->config.stream[i].kind == JOINER_ACTION;
        assert_int_equal(stream_counts_imbalance(&joiner_counts(t->joiner)[i]), 0);
        assert_int_equal(delays ? delays_count(delays) : 0, action ? joiner_counts(t->joiner)[i].matched : 0);
    }
}

enum manner { IN_ONE_GO, WITH_COMMITS, WITH_RESTARTS };

static void tell(const struct story *story, enum manner manner)
{
    struct teller t;
    char line[512];
    begin(&t, story->looks_required);
    snprintf(line, sizeof line, "%s", story->time_line);
    for (char *rest = line, *step; (step = strsep(&rest, ";"));) {
        play(&t, step);
        check_counts(&t);
        if (manner != IN_ONE_GO)
            commit(&t);
        if (manner == WITH_RESTARTS)
            restart(&t);
    }
    if (strcmp(t.outcome, story->outcome) != 0)
        fail_msg("%s (manner %d):\n  %s\n  made     %s\n  expected %s", story->name, (int)manner, story->time_line,
                 t.outcome, story->outcome);
    end(&t);
}

static void test_stories(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(stories); i++)
        for (enum manner manner = IN_ONE_GO; manner <= WITH_RESTARTS; manner++)
            tell(&stories[i], manner);
}

/* Sixteen clicks count, whether they come before or after the decision; the others are set aside. */
static void test_too_many_actions(void **state)
{
    (void)state;
    for (int before = 0; before <= 20; before += 5) {
        struct teller t;
        begin(&t, false);
        play(&t, "show a 100");
        for (int i = 0; i < 20; i++) {
            if (i == before)
                play(&t, "time 162");
            play(&t, "click a 150");
        }
        assert_int_equal(joiner_counts(t.joiner)[CLICK].matched, JOINER_ACTIONS_MAX);
        assert_int_equal(joiner_counts(t.joiner)[CLICK].filtered, 20 - JOINER_ACTIONS_MAX);
        play(&t, "order a 150"); /* of another stream */
        assert_int_equal(joiner_counts(t.joiner)[ORDER].matched, 1);
        end(&t);
    }
}

static void test_the_gate(void **state)
{
    (void)state;
    struct teller t;
    begin(&t, true);
    int64_t w[STREAMS] = {1000, 1000, 1000, 1000};
    assert_int_equal(joiner_gate(&t.config, w), 940); /* clicks and orders: one window behind */
    w[SHOW] = 500;
    assert_int_equal(joiner_gate(&t.config, w), 500);
    w[LOOK] = 400;
    assert_int_equal(joiner_gate(&t.config, w), 400);
    t.config.stream[LOOK].required = false;
    assert_int_equal(joiner_gate(&t.config, w), 500);
    w[ORDER] = WATERMARK_NONE;
    assert_true(joiner_gate(&t.config, w) == WATERMARK_NONE);
    t.config.stream[ORDER].labels = 0; /* nobody needs it */
    assert_int_equal(joiner_gate(&t.config, w), 500);
    end(&t);
}

/* When time has passed everywhere so far that the gate is there. */
static bool due_at(const struct teller *t, int64_t gate)
{
    int64_t watermarks[JOINER_STREAMS_MAX];
    for (int i = 0; i < JOINER_STREAMS_MAX; i++)
        watermarks[i] = gate + t->config.window_ms;
    return joiner_is_due(t->joiner, watermarks);
}

static void test_what_waits_is_due(void **state)
{
    (void)state;
    struct teller t;
    begin(&t, false);
    assert_false(due_at(&t, INT64_MAX / 2));
    play(&t, "show a 300");
    play(&t, "show b 100");
    play(&t, "click c 50");
    assert_true(!due_at(&t, 40) && due_at(&t, 101));
    assert_int_equal(joiner_undecided(t.joiner), 2);
    play(&t, "time 200");
    assert_true(!due_at(&t, 240) && due_at(&t, 301));
    assert_int_equal(joiner_decided(t.joiner), 1);
    play(&t, "time 5000");
    assert_false(due_at(&t, INT64_MAX / 2));
    commit(&t); /* until then it knows what the commit must tell */
    play(&t, "time 5001");
    assert_int_equal(joiner_decided(t.joiner), 0);
    assert_string_equal(t.outcome, "b@100:- a@300:- orphaned:click");
    end(&t);
}

static void test_commits_that_nobody_needs_are_given_back(void **state)
{
    (void)state;
    struct teller t;
    begin(&t, false);
    for (int i = 0; i < 20; i++) {
        char step[32];
        snprintf(step, sizeof step, "show a %d", 1000 * (i + 1));
        play(&t, step);
        snprintf(step, sizeof step, "time %d", 1000 * (i + 1) + 900);
        play(&t, step);
        commit(&t);
        restart(&t);
    }
    assert_true(t.keep_from >= t.commit - 2);
    end(&t);
}

static void test_a_malformed_record_is_counted(void **state)
{
    (void)state;
    struct teller t;
    begin(&t, false);
    t.position = 5;
    joiner_malformed(t.joiner, CLICK, 5, bytes_text("x"), (struct bytes){0});
    check_counts(&t);
    assert_int_equal(joiner_counts(t.joiner)[CLICK].malformed, 1);
    assert_string_equal(t.outcome, "malformed:click");
    end(&t);
}

static void load_damaged(struct teller *t, bool run, const struct buffer *whole, size_t size, size_t flip)
{
    struct tm_error err;
    struct joiner *j = joiner_open(&t->config, (struct joiner_output){t, on_sample, on_aside, NULL, NULL});
    uint8_t *copy = mem_new(size + 1, 1); /* a block of its own: the sanitizer sees every step outside */
    memcpy(copy, whole->data, size);
    copy[flip / 8] ^= (uint8_t)(1 << flip % 8);
    int64_t watermarks[JOINER_STREAMS_MAX] = {0};
    for (int i = 0; i < JOINER_STREAMS_MAX; i++)
        watermarks[i] = WATERMARK_NONE;
    joiner_load_begin(j, watermarks);
    assert_int_equal(joiner_load_commits(j, 1, 1, &err), TM_OK);
    enum tm_code rc = (run ? joiner_load_run : joiner_load_chunk)(j, 1, bytes_of(copy, size), &err);
    assert_true(rc == TM_OK || rc == TM_DATA_LOSS);
    free(copy);
    joiner_close(j);
}

/* Damage is refused, or harmless: never walked off. */
static void test_damaged_commits(void **state)
{
    (void)state;
    struct teller t;
    begin(&t, false);
    play(&t, "show a 100");
    play(&t, "show b 900");
    play(&t, "click a 150");
    play(&t, "click c 150");
    play(&t, "time 300");
    commit(&t);
    for (int run = 0; run <= 1; run++) {
        const struct buffer *whole = run ? &t.runs[1] : &t.chunks[1];
        assert_true(whole->size > 0);
        for (size_t size = 0; size < whole->size; size++)
            load_damaged(&t, run, whole, size, 8 * size); /* the flipped bit lies behind the end */
        for (size_t bit = 0; bit < 8 * whole->size; bit++)
            load_damaged(&t, run, whole, whole->size, bit);
    }
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stories),
        cmocka_unit_test(test_too_many_actions),
        cmocka_unit_test(test_the_gate),
        cmocka_unit_test(test_what_waits_is_due),
        cmocka_unit_test(test_commits_that_nobody_needs_are_given_back),
        cmocka_unit_test(test_a_malformed_record_is_counted),
        cmocka_unit_test(test_damaged_commits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
