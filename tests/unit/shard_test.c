/* Tests of a shard whose versions are paused: slices, limits and discards at their real sizes, which the simulation
 * makes small. */
#include "tests/unit/shard_rig.h"

#include "learner/beta.h"

/* Both learn what is made for the first. */
static void pack_version(uint32_t id, const char *name, struct buffer *out)
{
    struct version v = {.id = id,
                        .model = model_find(bytes_text("beta")),
                        .config = {.prior = {1, 1}, .prior_count = 2},
                        .reward = {.text = "click"},
                        .samples_from = {1},
                        .samples_from_count = 1};
    snprintf(v.name, sizeof v.name, "%s", name);
    catalog_pack_version(&v, NULL, out);
}
static void pack_first(struct buffer *out) { pack_version(1, "first", out); }
static void pack_second(struct buffer *out) { pack_version(2, "second", out); }
static void pack_pause(struct buffer *out) { catalog_pack_state(2, VERSION_PAUSED, false, out); }
static void pack_resume(struct buffer *out) { catalog_pack_state(2, VERSION_LEARNING, false, out); }
static void pack_discard(struct buffer *out) { catalog_pack_state(2, VERSION_LEARNING, true, out); }
static void pack_limit(struct buffer *out)
{
    catalog_pack_limits(
        &(struct catalog_limits){.held_bytes = 100000, .batch_bytes = CATALOG_BATCH_BYTES, .slice = 4096}, out);
}

static void open_rig(struct rig *r)
{
    rig_open(r);
    control(r, pack_join);
    control(r, pack_first);
    control(r, pack_second);
    step_well(r);
}

/* Every impression is of its own document. */
static void add_event(struct rig *r, uint8_t stream, uint64_t number, int64_t time)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    char request[24], doc[24];
    snprintf(request, sizeof request, "r%llu", (unsigned long long)number);
    snprintf(doc, sizeof doc, "d%llu", (unsigned long long)number);
    struct event e = {.request = bytes_text(request),
                      .doc = bytes_text(doc),
                      .time = time,
                      .weight = 1,
                      .value = 1,
                      .has = EVENT_HAS_TIME};
    event_encode(&e, &wire);
    block_add_event(&r->next, 0, stream, stream == IMPRESSIONS ? 1 : BLOCK_VERSION_NONE, buffer_view(&wire));
}

/* n impressions that become samples in this block; returns the number of the first. */
static uint64_t show(struct rig *r, uint32_t n)
{
    uint64_t first = r->shown + 1;
    for (; n > 0; n--, r->shown++)
        add_event(r, IMPRESSIONS, r->shown + 1, START_MS + (int64_t)r->shown);
    for (uint8_t i = 0; i < STREAMS; i++)
        block_add_punctuation(&r->next, i, START_MS + (int64_t)r->shown);
    return first;
}

static void click(struct rig *r, uint64_t number) { add_event(r, CLICKS, number, START_MS + (int64_t)number); }

/* Of the second version; both identities hold. */
static struct shard_version_counts counts_of(struct rig *r)
{
    CLEANUP(shard_counts_close) struct shard_counts c = {0};
    shard_count(r->shard, &c);
    assert_int_equal(c.versions, 2);
    assert_int_equal(sample_counts_imbalance(&c.version[1].fresh), 0);
    assert_int_equal(sample_counts_imbalance(&c.version[1].corrections), 0);
    return c.version[1];
}

static bool believes(const struct rig *r, uint32_t version, uint64_t number, struct beta_block *out)
{
    char doc[24];
    const struct table *t = shard_table(r->shard, version);
    snprintf(doc, sizeof doc, "d%llu", (unsigned long long)number);
    struct doc_id id = shard_doc_id(bytes_text(doc), 0);
    uint32_t at = table_find(t, id);
    return at != TABLE_NONE && table_read(t, at, id, out);
}

static void assert_same_beliefs(const struct rig *r)
{
    for (uint64_t i = 1; i <= r->shown; i++) {
        struct beta_block first, second;
        assert_true(believes(r, 1, i, &first) && believes(r, 2, i, &second));
        assert_memory_equal(&first, &second, sizeof first);
    }
}

/* Held: 20,000 samples. Each block works off 4,096, and as many as it brings. */
static void test_slices(void **state)
{
    struct rig r;
    (void)state;
    open_rig(&r);
    show(&r, 10);
    step_well(&r);
    control(&r, pack_pause);
    show(&r, 20000);
    step_well(&r);
    commit(&r);
    assert_int_equal(counts_of(&r).fresh.held, 20000);
    assert_int_equal(counts_of(&r).fresh.learned, 10);
    assert_false(due_at(&r, INT64_MAX / 2));
    control(&r, pack_resume);
    step_well(&r);
    assert_int_equal(counts_of(&r).fresh.held, 20000 - 4096);
    assert_true(shard_behind(r.shard) && due_at(&r, WATERMARK_NONE));
    show(&r, 5000); /* under load it gets ahead all the same */
    step_well(&r);
    assert_int_equal(counts_of(&r).fresh.held, 20000 - 2 * 4096);
    commit(&r);
    restart(&r);
    assert_true(shard_behind(r.shard));
    for (int blocks = 0; shard_behind(r.shard); blocks++) {
        assert_true(blocks < 3);
        control(&r, catalog_pack_proceed);
        step_well(&r);
    }
    assert_int_equal(counts_of(&r).fresh.learned, 25010);
    assert_same_beliefs(&r);
    show(&r, 10); /* it is current again */
    step_well(&r);
    assert_int_equal(counts_of(&r).fresh.learned, 25020);
    close_rig(&r);
}

/* A paused version that holds more than the limit gives up its oldest new samples, and what is deleted is never asked
 * for again. */
static void test_limit(void **state)
{
    struct rig r;
    (void)state;
    open_rig(&r);
    control(&r, pack_limit);
    uint64_t early = show(&r, 10);
    step_well(&r);
    control(&r, pack_pause);
    step_well(&r);
    for (int i = 0; i < 20; i++) {
        click(&r, early + (i < 10 ? (uint64_t)i : 0)); /* corrections of what was learned go the same way */
        show(&r, 500);
        step_well(&r);
        commit(&r);
        size_t rows = r.disk.table[STORE_SAMPLE].rows;
        assert_true(rows <= 6);
    }
    struct shard_version_counts c = counts_of(&r);
    assert_true(c.fresh.skipped_limit > 8000 && c.fresh.held < 1500);
    assert_true(c.corrections.learned >= 8); /* those that were given up with the rest: applied */
    restart(&r);
    control(&r, pack_resume);
    step_well(&r);
    assert_false(shard_behind(r.shard));
    struct shard_version_counts done = counts_of(&r);
    assert_int_equal(done.fresh.skipped_limit, c.fresh.skipped_limit);
    assert_int_equal(done.fresh.learned, 10 + 10000 - c.fresh.skipped_limit);
    assert_int_equal(done.corrections.learned, 10);
    close_rig(&r);
}

/* Discarding skips new samples; corrections of what was learned apply, others are counted. */
static void test_discard(void **state)
{
    struct rig r;
    struct beta_block first, second;
    (void)state;
    open_rig(&r);
    uint64_t learned = show(&r, 100);
    step_well(&r);
    control(&r, pack_pause);
    uint64_t held = show(&r, 100);
    step_well(&r);
    click(&r, learned);
    click(&r, held);
    step_well(&r);
    assert_int_equal(counts_of(&r).corrections.held, 2);
    commit(&r);
    restart(&r);
    control(&r, pack_discard);
    step_well(&r);
    struct shard_version_counts c = counts_of(&r);
    assert_int_equal(c.fresh.skipped_discarded, 100);
    assert_int_equal(c.corrections.learned, 1);
    assert_int_equal(c.corrections.skipped_original, 1);
    assert_true(believes(&r, 1, learned, &first) && believes(&r, 2, learned, &second));
    assert_int_equal(second.positives, 1);
    assert_memory_equal(&first, &second, sizeof first);
    assert_false(believes(&r, 2, held, &second));
    click(&r, held + 1); /* still to come: of a sample that was discarded */
    step_well(&r);
    assert_int_equal(counts_of(&r).corrections.skipped_original, 2);
    close_rig(&r);
}

/* More discards within the correction horizon than a cursor remembers: the oldest samples count as not learned. */
static void test_more_discards_than_a_cursor_remembers(void **state)
{
    struct rig r;
    uint64_t first_learned = 0, last_learned = 0;
    (void)state;
    open_rig(&r);
    for (int i = 0; i < CURSOR_INTERVALS_MAX + 5; i++) {
        last_learned = show(&r, 1);
        first_learned = first_learned ? first_learned : last_learned;
        step_well(&r);
        assert_int_equal(counts_of(&r).intervals, i < CURSOR_INTERVALS_MAX ? i + 1 : CURSOR_INTERVALS_MAX);
        control(&r, pack_pause);
        show(&r, 1);
        step_well(&r);
        control(&r, pack_discard);
        step_well(&r);
    }
    click(&r, first_learned);
    click(&r, last_learned);
    step_well(&r);
    struct shard_version_counts c = counts_of(&r);
    assert_int_equal(c.corrections.skipped_original, 1);
    assert_int_equal(c.corrections.learned, 1);
    for (uint8_t i = 0; i < STREAMS; i++) /* nothing of it can be corrected any more: forgotten */
        block_add_punctuation(&r.next, i, START_MS + 3 * HOUR_MS);
    step_well(&r);
    assert_int_equal(counts_of(&r).intervals, 1);
    commit(&r);
    restart(&r);
    assert_int_equal(counts_of(&r).intervals, 1);
    close_rig(&r);
}

static void test_a_lost_row_is_noticed(void **state)
{
    struct rig r;
    struct tm_error err = {0};
    (void)state;
    open_rig(&r);
    control(&r, pack_pause);
    show(&r, 100);
    step_well(&r);
    commit(&r);
    struct memory_table *t = &r.disk.table[STORE_SAMPLE];
    assert_int_equal(t->rows, 1);
    memory_table_remove(t, buffer_view(&t->row[0].key));
    control(&r, pack_resume);
    assert_int_equal(step(&r, &err), TM_DATA_LOSS);
    assert_non_null(strstr(err.message, "shard 0: the sample log ends in front of row 1"));
    close_rig(&r);
}

/* What another version of the program has written is refused with words, and not taken for damage. */
static void test_another_format_is_refused(void **state)
{
    (void)state;
    struct rig r;
    struct tm_error err;
    open_rig(&r);
    show(&r, 10);
    step_well(&r);
    commit(&r);
    struct store store = memory_store_face(&r.disk);
    struct memory_row *place = &r.disk.table[STORE_SHARD].row[0];
    place->value.data[0]--;
    struct shard *other = shard_open(&(struct shard_options){.store = store});
    assert_int_equal(shard_load(other, &store, &err), TM_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "written by another version of the program"));
    place->value.data[0]++;
    shard_close(other);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_discard),
        cmocka_unit_test(test_more_discards_than_a_cursor_remembers),
        cmocka_unit_test(test_a_lost_row_is_noticed),
        cmocka_unit_test(test_another_format_is_refused),
    };
    return cmocka_run_group_tests_name("shard", tests, NULL, NULL);
}
