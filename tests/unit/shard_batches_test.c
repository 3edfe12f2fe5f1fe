/* Stories of batches and of learning by event time: when a batch is learned, what a correction does to it, and that
 * neither pauses, restarts nor the interleaving of inputs change a bit. */
#include "tests/unit/shard_rig.h"

#include "learner/beta.h"
#include "learner/embedding.h"
#include "learner/lr.h"
#include "ps/state/batches.h"
#include "ps/state/parameter_reset.h"
#include "tests/unit/random.h"

enum { WINDOW_MS = 10, LATENESS_MS = 1000, DIMENSION = 2, BLOCK_BYTES = 512 };

static struct version version; /* that the next rig is made with */

static void pack_window(struct buffer *out)
{
    struct catalog c = {.joined = true,
                        .key_fields = JOINER_KEY_REQUEST | JOINER_KEY_DOC,
                        .stream_name = {"impressions", "clicks"},
                        .label_name = {"click"},
                        .join = {.stream = {{.kind = JOINER_IMPRESSION},
                                            {.kind = JOINER_ACTION, .within_ms = LATENESS_MS, .labels = 1}},
                                 .streams = STREAMS,
                                 .labels = 1,
                                 .window_ms = WINDOW_MS,
                                 .allowed_lateness_ms = LATENESS_MS}};
    catalog_pack_join(&c, out);
}

static void pack_version(struct buffer *out) { catalog_pack_version(&version, NULL, out); }
static void pack_pause(struct buffer *out) { catalog_pack_state(1, VERSION_PAUSED, false, out); }
static void pack_resume(struct buffer *out) { catalog_pack_state(1, VERSION_LEARNING, false, out); }
static void pack_discard(struct buffer *out) { catalog_pack_state(1, VERSION_LEARNING, true, out); }
static void pack_reset(struct buffer *out)
{
    parameter_reset_pack(&(struct parameter_reset){.version = 1, .note = {"", "why not", 1}}, out);
}
static void pack_slices_of_one(struct buffer *out)
{
    catalog_pack_limits(&(struct catalog_limits){.held_bytes = 1 << 20, .batch_bytes = 1 << 20, .slice = 1}, out);
}
static void pack_reset_of_a(struct buffer *out)
{
    static const char *const docs[] = {"a"};
    parameter_reset_pack(&(struct parameter_reset){1, docs, ARRAY_LEN(docs), {"me", "", 0}}, out);
}
static void pack_little_room(struct buffer *out)
{
    catalog_pack_limits(
        &(struct catalog_limits){.held_bytes = 1 << 20, .batch_bytes = 3 * BATCHES_SAMPLE_BYTES, .slice = 4096}, out);
}

/* A version named first, of this model. */
static void describe(const char *model, enum model_covariance covariance, struct version_batch batch,
                     enum version_order order)
{
    version = (struct version){.id = 1,
                               .name = "first",
                               .reward = {.text = "click"},
                               .samples_from = {1},
                               .samples_from_count = 1,
                               .batch = batch,
                               .order = order};
    if (strcmp(model, "beta") == 0)
        version.config = (struct model_config){.prior = {1, 1}, .prior_count = 2};
    else
        version.config = (struct model_config){
            .dimension = DIMENSION, .covariance = covariance, .prior_sd = 1, .intercept_mean = -1, .intercept_sd = 1};
    if (strcmp(model, "embedding") == 0)
        version.config.embedding =
            (struct embedding_config){.optimizer = {.kind = OPTIMIZER_SGD, .rate = 0.25, .clip = 100},
                                      .norm_max = 100,
                                      .admit_at = 1,
                                      .admit_share = 1};
    model_fix(model_find(bytes_text(model)), &version.config);
    version.model = model_form(model_find(bytes_text(model)), &version.config);
}

static void open_story(struct rig *r)
{
    rig_open(r);
    control(r, pack_window);
    control(r, pack_version);
    step_well(r);
}

/* Event `number` of a stream, `at` ms after the start; its features follow from the number. */
static void happen(struct rig *r, uint8_t stream, uint32_t number, const char *doc, int64_t at)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    char request[24];
    const float x[DIMENSION] = {(float)(number % 7) / 4 - 0.75f, (float)(number % 5) / 2 - 1};
    snprintf(request, sizeof request, "r%u", number);
    struct event e = {.request = bytes_text(request),
                      .doc = bytes_text(doc),
                      .time = START_MS + at,
                      .weight = 1,
                      .value = 1,
                      .features = bytes_of(x, sizeof x),
                      .has = EVENT_HAS_TIME | (stream == IMPRESSIONS ? EVENT_HAS_FEATURES : 0)};
    event_encode(&e, &wire);
    block_add_event(&r->next, 0, stream, stream == IMPRESSIONS ? 1 : BLOCK_VERSION_NONE, buffer_view(&wire));
}
static void show(struct rig *r, uint32_t number, const char *doc, int64_t at)
{
    happen(r, IMPRESSIONS, number, doc, at);
}
static void click(struct rig *r, uint32_t number, const char *doc, int64_t at) { happen(r, CLICKS, number, doc, at); }

/* All that was before `at` has come, and the block ends. Decided: impressions more than WINDOW_MS before. */
static void pass(struct rig *r, int64_t at)
{
    for (uint8_t i = 0; i < STREAMS; i++)
        block_add_punctuation(&r->next, i, START_MS + at);
    step_well(r);
}

static void expect(struct rig *r, uint64_t learned, uint64_t batched)
{
    struct shard_version_counts c = rig_counts(r);
    assert_int_equal(c.fresh.learned, learned);
    assert_int_equal(c.fresh.batched, batched);
}

/* The document's block; zeros: it has none. */
static void block_of(const struct rig *r, const char *doc, uint64_t out[static BLOCK_BYTES / 8])
{
    const struct table *t = shard_table(r->shard, 1);
    struct doc_id id = shard_doc_id(bytes_text(doc), 0);
    uint32_t at = table_find(t, id);
    memset(out, 0, BLOCK_BYTES);
    if (at != TABLE_NONE)
        assert_true(table_read(t, at, id, out));
}

static void assert_same_block(const struct rig *a, const struct rig *b, const char *doc, bool same)
{
    uint64_t one[BLOCK_BYTES / 8], other[BLOCK_BYTES / 8];
    block_of(a, doc, one);
    block_of(b, doc, other);
    assert_int_equal(memcmp(one, other, sizeof one) == 0, same);
}

/* ---- when a batch is learned ---- */

static void a_batch_is_learned_when_it_is_full(void **state)
{
    struct rig r;
    uint64_t none[BLOCK_BYTES / 8], zeros[BLOCK_BYTES / 8] = {0};
    (void)state;
    describe("lr", COVARIANCE_DIAGONAL, (struct version_batch){.samples = 3}, ORDER_ARRIVAL);
    open_story(&r);
    show(&r, 1, "a", 0);
    show(&r, 2, "b", 1);
    show(&r, 3, "a", 2);
    pass(&r, 100);
    expect(&r, 0, 3);
    assert_int_equal(rig_counts(&r).open_batches, 2);
    block_of(&r, "a", none);
    assert_memory_equal(none, zeros, sizeof none); /* a document is not known by what waits */
    show(&r, 4, "a", 90);
    pass(&r, 200);
    expect(&r, 3, 1);
    assert_int_equal(rig_counts(&r).batches.samples, 1);
    assert_int_equal(rig_counts(&r).documents, 1);
    close_rig(&r);
}

static void a_ratio_needs_a_positive(void **state)
{
    struct rig r;
    (void)state;
    describe("beta", 0, (struct version_batch){.samples = 100, .positive_ratio = 0.5}, ORDER_ARRIVAL);
    open_story(&r);
    for (uint32_t i = 1; i <= 5; i++)
        show(&r, i, "a", i);
    click(&r, 5, "a", 6);
    pass(&r, 100);
    expect(&r, 0, 5); /* one for four */
    click(&r, 1, "a", 50);
    step_well(&r); /* a correction makes it two for three */
    expect(&r, 5, 0);
    assert_int_equal(rig_counts(&r).batches.ratio, 1);
    assert_int_equal(rig_counts(&r).corrections.learned, 1);
    show(&r, 6, "a", 100);
    click(&r, 6, "a", 101);
    pass(&r, 200);
    expect(&r, 6, 0); /* a positive alone */
    close_rig(&r);
}

static void a_batch_is_learned_when_it_is_old(void **state)
{
    struct rig r;
    (void)state;
    describe("beta", 0, (struct version_batch){.samples = 100, .age_ms = 50}, ORDER_ARRIVAL);
    open_story(&r);
    show(&r, 1, "a", 0);
    pass(&r, 100 + WINDOW_MS); /* the gate, and the batch's beginning: 100 */
    show(&r, 2, "a", 120);
    pass(&r, 149 + WINDOW_MS);
    expect(&r, 0, 2);
    assert_false(due_at(&r, START_MS + 149 + WINDOW_MS));
    assert_true(due_at(&r, START_MS + 150 + WINDOW_MS));
    pass(&r, 150 + WINDOW_MS);
    expect(&r, 2, 0);
    assert_int_equal(rig_counts(&r).batches.age, 1);
    close_rig(&r);
}

static void without_room_the_oldest_is_learned_early(void **state)
{
    struct rig r;
    (void)state;
    describe("beta", 0, (struct version_batch){.samples = 100}, ORDER_ARRIVAL);
    open_story(&r);
    control(&r, pack_little_room);
    show(&r, 1, "a", 0);
    pass(&r, 100);
    show(&r, 2, "b", 100);
    show(&r, 3, "b", 101);
    pass(&r, 200);
    expect(&r, 0, 3);
    show(&r, 4, "b", 200);
    pass(&r, 300);
    expect(&r, 1, 3); /* that of a */
    assert_int_equal(rig_counts(&r).batches.room, 1);
    control(&r, pack_pause);
    show(&r, 5, "c", 300);
    pass(&r, 400);
    expect(&r, 1, 3);
    assert_int_equal(rig_counts(&r).fresh.held, 1);
    close_rig(&r);
}

/* What was learned since the last commit needs no row: it must not make the next one come earlier. */
static void what_was_learned_is_not_carried(void **state)
{
    struct rig r;
    (void)state;
    describe("lr", COVARIANCE_DIAGONAL, (struct version_batch){.samples = 2}, ORDER_ARRIVAL);
    open_story(&r);
    commit(&r);
    size_t before = shard_unfrozen(r.shard), one;
    show(&r, 1, "a", 0);
    pass(&r, 100);
    one = shard_unfrozen(r.shard) - before;
    for (uint32_t i = 2; i <= 40; i++) {
        show(&r, i, "a", 100 + i);
        pass(&r, 200 + i);
    }
    expect(&r, 40, 0);
    assert_true(shard_unfrozen(r.shard) - before < 40 * (one - BATCHES_ROW_HEAD));
    show(&r, 41, "b", 300);
    pass(&r, 400);
    size_t with_one = shard_unfrozen(r.shard);
    commit(&r);
    assert_int_equal(r.disk.table[STORE_BATCH].rows, 1);
    assert_true(shard_unfrozen(r.shard) < with_one);
    show(&r, 42, "b", 400);
    pass(&r, 500);
    commit(&r);
    assert_int_equal(r.disk.table[STORE_BATCH].rows, 0);
    close_rig(&r);
}

/* ---- what is learned ---- */

/* A late click on a sample that waits: the same bits as if it had been in time. Without the batch it is a flip. */
static void relabel(const char *model)
{
    struct rig late, in_time;
    for (uint32_t samples = 1; samples <= 3; samples += 2) {
        describe(model, COVARIANCE_DIAGONAL, (struct version_batch){.samples = samples}, ORDER_ARRIVAL);
        open_story(&late);
        open_story(&in_time);
        for (uint32_t i = 1; i <= 2; i++) {
            show(&late, i, "a", i);
            show(&in_time, i, "a", i);
        }
        click(&in_time, 1, "a", 2);
        pass(&late, 100);
        pass(&in_time, 100);
        click(&late, 1, "a", 50);
        step_well(&late);
        assert_int_equal(rig_counts(&late).corrections.batched, samples > 1);
        show(&late, 3, "a", 100);
        show(&in_time, 3, "a", 100);
        pass(&late, 200);
        pass(&in_time, 200);
        expect(&late, 3, 0);
        assert_int_equal(rig_counts(&late).corrections.learned, 1);
        assert_same_block(&late, &in_time, "a", samples > 1);
        close_rig(&late);
        close_rig(&in_time);
    }
}

static void a_correction_relabels_what_waits(void **state)
{
    (void)state;
    relabel("lr");
    relabel("embedding");
}

static uint64_t learned_of(const uint64_t *block)
{
    struct embedding_block head;
    memcpy(&head, block, sizeof head);
    return head.head.positives + head.head.negatives;
}

/* A document of an embedding stays when it is reset: what was learned is cut off, what waits is learned afterwards. */
static void a_reset_of_an_embedding_leaves_what_waits(void **state)
{
    struct rig r;
    uint64_t block[BLOCK_BYTES / 8];
    (void)state;
    describe("embedding", 0, (struct version_batch){.samples = 2}, ORDER_ARRIVAL);
    open_story(&r);
    for (uint32_t i = 1; i <= 3; i++)
        show(&r, i, "a", i);
    pass(&r, 100);
    expect(&r, 2, 1);
    block_of(&r, "a", block);
    assert_int_equal(learned_of(block), 2);
    control(&r, pack_reset);
    step_well(&r);
    commit(&r);
    restart(&r);
    block_of(&r, "a", block);
    assert_int_equal(learned_of(block), 0);
    click(&r, 1, "a", 90); /* learned before */
    click(&r, 3, "a", 90); /* waits */
    show(&r, 4, "a", 110);
    pass(&r, 200);
    expect(&r, 4, 0);
    block_of(&r, "a", block);
    assert_int_equal(learned_of(block), 2);
    assert_true(rig_counts(&r).corrections.learned == 1 && rig_counts(&r).corrections.skipped_reset == 1);
    close_rig(&r);
}

static void an_open_batch_outlives_pauses_and_restarts(void **state)
{
    struct rig r;
    (void)state;
    describe("lr", COVARIANCE_DIAGONAL, (struct version_batch){.samples = 4, .age_ms = 500}, ORDER_ARRIVAL);
    open_story(&r);
    show(&r, 1, "a", 0);
    show(&r, 2, "a", 1);
    pass(&r, 100);
    control(&r, pack_pause);
    show(&r, 3, "a", 100);
    pass(&r, 900); /* it would be old enough */
    commit(&r);
    restart(&r);
    expect(&r, 0, 2);
    assert_int_equal(r.disk.table[STORE_BATCH].rows, 2);
    control(&r, pack_discard);
    step_well(&r); /* the third is not learned; now time has passed for the first two */
    expect(&r, 2, 0);
    assert_int_equal(rig_counts(&r).fresh.skipped_discarded, 1);
    commit(&r);
    assert_int_equal(r.disk.table[STORE_BATCH].rows, 0);
    close_rig(&r);
}

/* ---- by event time ---- */

enum { SHOWN = 60, FUTURE = 5000 };
static const char *const docs[] = {"a", "b", "c"};

static int64_t shown_at(uint32_t i) { return 3 * (i / 2); } /* two at a time */

/* Clicks come after up to 800 ms, most of them behind the window. */
static bool clicked_at(uint32_t i, int64_t *at)
{
    *at = shown_at(i) + (i * 37) % 800;
    return i % 3 == 0;
}

/* The same events; how many are sent of one stream before the other, and how far time follows, is chance. pauses: 0, or
 * the chance of pauses and restarts. */
static void tell(struct rig *r, uint64_t seed, uint64_t pauses)
{
    int64_t sent[STREAMS] = {0}, done[STREAMS] = {0}, at;
    while (done[IMPRESSIONS] < FUTURE || done[CLICKS] < FUTURE) {
        uint8_t stream = (uint8_t)(draw(&seed) % STREAMS);
        int64_t until = sent[stream] + 1 + (int64_t)(draw(&seed) % 300);
        bool up = draw(&seed) % 2;
        for (uint32_t k = 0; k < SHOWN; k++) {
            uint32_t i = up ? k : SHOWN - 1 - k;
            if (stream == IMPRESSIONS ? shown_at(i) < sent[stream] || shown_at(i) >= until
                                      : !clicked_at(i, &at) || at < sent[stream] || at >= until)
                continue;
            happen(r, stream, i, docs[i % 3], stream == IMPRESSIONS ? shown_at(i) : at);
        }
        sent[stream] = done[stream] = until;
        block_add_punctuation(&r->next, stream, START_MS + until);
        step_well(r);
        if (pauses && draw(&pauses) % 4 == 0) {
            control(r, draw(&pauses) % 2 ? pack_pause : pack_resume);
            step_well(r);
            commit(r);
            if (draw(&pauses) % 2)
                restart(r);
        }
    }
    if (pauses) {
        control(r, pack_resume);
        step_well(r);
    }
}

static void compare_tellings(struct version_batch batch, enum version_order order, bool pauses, bool same)
{
    struct rig first;
    uint32_t others = 0;
    describe("lr", COVARIANCE_FULL, batch, order);
    open_story(&first);
    tell(&first, 1, 0);
    expect(&first, SHOWN, 0);
    assert_int_equal(rig_counts(&first).batches.behind, 0);
    for (uint64_t seed = 2; seed < 12; seed++) {
        struct rig r;
        uint64_t one[BLOCK_BYTES / 8], other[BLOCK_BYTES / 8];
        open_story(&r);
        tell(&r, pauses ? 1 : seed, pauses ? seed : 0);
        expect(&r, SHOWN, 0);
        for (size_t d = 0; d < ARRAY_LEN(docs); d++) {
            block_of(&first, docs[d], one);
            block_of(&r, docs[d], other);
            others += memcmp(one, other, sizeof one) != 0;
        }
        close_rig(&r);
    }
    assert_int_equal(others == 0, same);
    close_rig(&first);
}

static void the_interleaving_changes_nothing_by_event_time(void **state)
{
    (void)state;
    compare_tellings((struct version_batch){.samples = 1}, ORDER_ARRIVAL, false, false);
    compare_tellings((struct version_batch){.samples = 1}, ORDER_EVENT_TIME, false, true);
    compare_tellings((struct version_batch){.samples = 5, .positive_ratio = 0.4, .age_ms = 20}, ORDER_EVENT_TIME, false,
                     true);
}

static void a_pause_changes_nothing(void **state)
{
    (void)state;
    compare_tellings((struct version_batch){.samples = 5, .age_ms = 20}, ORDER_ARRIVAL, true, true);
    compare_tellings((struct version_batch){.samples = 5, .age_ms = 20}, ORDER_EVENT_TIME, true, true);
}

/* The gate had passed the second impression when it came. A version that is paused then, and reads it when its clock is
 * less far, learns in the same order as one that was not: that changes the bits of this model. */
static void a_pause_does_not_change_whose_turn_is_when(void **state)
{
    struct rig r[2];
    (void)state;
    describe("lr", COVARIANCE_FULL, (struct version_batch){.samples = 1}, ORDER_EVENT_TIME);
    for (int paused = 0; paused <= 1; paused++) {
        open_story(&r[paused]);
        if (paused)
            control(&r[paused], pack_pause);
        show(&r[paused], 1, "a", 20);
        pass(&r[paused], 200);
        show(&r[paused], 2, "a", 100);
        step_well(&r[paused]);
        show(&r[paused], 3, "a", 250);
        pass(&r[paused], 300);
        if (paused) {
            commit(&r[1]);
            restart(&r[1]);
            control(&r[1], pack_resume);
            step_well(&r[1]);
        }
        expect(&r[paused], 2, 1);
        assert_int_equal(rig_counts(&r[paused]).batches.behind, 1);
        pass(&r[paused], 3 * LATENESS_MS);
        expect(&r[paused], 3, 0);
    }
    assert_same_block(&r[0], &r[1], "a", true);
    close_rig(&r[0]);
    close_rig(&r[1]);
}

/* An impression behind its watermark waits for the turn of its corrections. */
static void what_is_behind_is_learned_with_its_corrections(void **state)
{
    struct rig r;
    struct beta_block b;
    (void)state;
    describe("beta", 0, (struct version_batch){.samples = 1}, ORDER_EVENT_TIME);
    open_story(&r);
    show(&r, 1, "a", 100);
    pass(&r, 200);
    expect(&r, 1, 0);
    show(&r, 2, "a", 50);
    click(&r, 1, "a", 150);
    step_well(&r);
    expect(&r, 1, 1);
    assert_int_equal(rig_counts(&r).batches.behind, 1);
    assert_int_equal(rig_counts(&r).corrections.batched, 1);
    pass(&r, 50 + LATENESS_MS + WINDOW_MS);
    expect(&r, 1, 1);
    pass(&r, 51 + LATENESS_MS + WINDOW_MS);
    expect(&r, 2, 0);
    uint64_t block[BLOCK_BYTES / 8];
    block_of(&r, "a", block);
    memcpy(&b, block, sizeof b);
    assert_int_equal(b.positives, 0);
    pass(&r, 101 + LATENESS_MS + WINDOW_MS);
    block_of(&r, "a", block);
    memcpy(&b, block, sizeof b);
    assert_int_equal(b.positives, 1);
    assert_int_equal(rig_counts(&r).corrections.learned, 1);
    close_rig(&r);
}

/* Its key was forgotten, though its correction still waits: the gate is behind what the joiner forgets by. */
static void an_impression_that_comes_again_is_another_sample(void **state)
{
    struct rig r;
    uint64_t block[BLOCK_BYTES / 8];
    struct beta_block b;
    (void)state;
    describe("beta", 0, (struct version_batch){.samples = 1}, ORDER_EVENT_TIME);
    open_story(&r);
    show(&r, 1, "a", 0);
    pass(&r, 100);
    click(&r, 1, "a", 150);
    pass(&r, 5 + LATENESS_MS);
    assert_int_equal(rig_counts(&r).corrections.batched, 1);
    show(&r, 1, "a", 500);
    click(&r, 1, "a", 600);
    pass(&r, 3 * LATENESS_MS);
    expect(&r, 2, 0);
    block_of(&r, "a", block);
    memcpy(&b, block, sizeof b);
    assert_true(b.positives == 2 && b.negatives == 0);
    close_rig(&r);
}

/* ---- features that cannot be read ---- */

static void damage_features(struct rig *r)
{
    commit(r);
    restart(r);
    for (size_t i = 0; i < r->disk.table[STORE_FEATURE].rows; i++)
        r->disk.table[STORE_FEATURE].row[i].value.size = 1;
}

/* A correction of what lies in a batch needs no features; where it needs some the shard says that they are damaged. */
static void damaged_features_stop_a_correction_in_words(void **state)
{
    (void)state;
    for (int order = ORDER_ARRIVAL; order <= ORDER_EVENT_TIME; order++) {
        struct rig r;
        struct tm_error err = {0};
        describe("lr", COVARIANCE_DIAGONAL, (struct version_batch){.samples = 3}, (enum version_order)order);
        open_story(&r);
        show(&r, 1, "a", 0);
        show(&r, 2, "a", 1);
        pass(&r, 100);
        damage_features(&r);
        click(&r, 1, "a", 50);
        assert_int_equal(step(&r, &err), order == ORDER_ARRIVAL ? TM_OK : TM_DATA_LOSS);
        assert_true(order == ORDER_ARRIVAL ? rig_counts(&r).corrections.batched == 1
                                           : strstr(err.message, "feature") != NULL);
        close_rig(&r);
    }
}

/* ---- a reset while a version catches up ---- */

/* The original waits for its turn, where no index knows it; when its correction's turn comes it lies in a batch. */
static void a_correction_of_what_waits_outlives_a_reset(void **state)
{
    struct rig r;
    uint64_t block[BLOCK_BYTES / 8];
    struct beta_block b;
    (void)state;
    describe("beta", 0, (struct version_batch){.samples = 3}, ORDER_EVENT_TIME);
    open_story(&r);
    for (uint32_t i = 1; i <= 3; i++)
        show(&r, i, "a", i);
    pass(&r, 100);
    expect(&r, 3, 0);
    control(&r, pack_slices_of_one);
    control(&r, pack_pause);
    show(&r, 4, "a", 200);
    pass(&r, 300);
    click(&r, 4, "a", 250);
    step_well(&r);
    control(&r, pack_resume);
    step_well(&r);
    expect(&r, 3, 1);
    assert_int_equal(rig_counts(&r).corrections.held, 1);
    control(&r, pack_reset_of_a);
    step_well(&r);
    assert_int_equal(rig_counts(&r).corrections.batched, 1);
    show(&r, 5, "a", 400);
    pass(&r, 201 + LATENESS_MS + WINDOW_MS);
    show(&r, 6, "a", 202 + LATENESS_MS);
    pass(&r, 300 + LATENESS_MS);
    expect(&r, 6, 0);
    assert_int_equal(rig_counts(&r).corrections.learned, 1);
    block_of(&r, "a", block);
    memcpy(&b, block, sizeof b);
    assert_true(b.positives == 1 && b.negatives == 2);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_learned_when_it_is_full),
        cmocka_unit_test(a_ratio_needs_a_positive),
        cmocka_unit_test(a_batch_is_learned_when_it_is_old),
        cmocka_unit_test(without_room_the_oldest_is_learned_early),
        cmocka_unit_test(what_was_learned_is_not_carried),
        cmocka_unit_test(a_correction_relabels_what_waits),
        cmocka_unit_test(a_reset_of_an_embedding_leaves_what_waits),
        cmocka_unit_test(an_open_batch_outlives_pauses_and_restarts),
        cmocka_unit_test(the_interleaving_changes_nothing_by_event_time),
        cmocka_unit_test(a_pause_changes_nothing),
        cmocka_unit_test(a_pause_does_not_change_whose_turn_is_when),
        cmocka_unit_test(what_is_behind_is_learned_with_its_corrections),
        cmocka_unit_test(an_impression_that_comes_again_is_another_sample),
        cmocka_unit_test(damaged_features_stop_a_correction_in_words),
        cmocka_unit_test(a_correction_of_what_waits_outlives_a_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
