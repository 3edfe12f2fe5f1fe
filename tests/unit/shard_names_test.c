/* Names of documents whose parameters go: they go, too, whatever other versions have waiting. */
#include "tests/unit/shard_rig.h"

#include "learner/embedding.h"
#include "ps/state/parameter_reset.h"

enum { EMBEDDING = 1, BATCHED, DIMENSION = 2 };

static void pack_version(struct version *v, struct buffer *out)
{
    snprintf(v->reward.text, sizeof v->reward.text, "click");
    v->samples_from[0] = v->id;
    v->samples_from_count = 1;
    model_fix(model_find(bytes_text(v->model->name)), &v->config);
    v->model = model_form(model_find(bytes_text(v->model->name)), &v->config);
    catalog_pack_version(v, NULL, out);
}
static void pack_embedding(struct buffer *out)
{
    struct version v = {.id = EMBEDDING, .name = "embedding", .model = &model_embedding, .batch.samples = 1};
    v.config = (struct model_config){.dimension = DIMENSION,
                                     .prior_sd = 1,
                                     .intercept_sd = 1,
                                     .embedding = {.loss = LOSS_LOGISTIC,
                                                   .optimizer = {.kind = OPTIMIZER_SGD, .rate = 0.25, .clip = 1},
                                                   .norm_max = 100,
                                                   .admit_at = 1,
                                                   .admit_share = 1,
                                                   .expire_after = HOUR_MS}};
    pack_version(&v, out);
}
static void pack_batched(struct buffer *out)
{
    struct version v = {.id = BATCHED, .name = "batched", .model = model_find(bytes_text("beta")), .batch.samples = 2};
    v.config = (struct model_config){.prior = {1, 1}, .prior_count = 2};
    pack_version(&v, out);
}
static void pack_reset(struct buffer *out)
{
    parameter_reset_pack(&(struct parameter_reset){EMBEDDING, NULL, 0, {"me", "", 0}}, out);
}
static void pack_pause(struct buffer *out) { catalog_pack_state(BATCHED, VERSION_PAUSED, false, out); }
static void pack_discard(struct buffer *out) { catalog_pack_state(BATCHED, VERSION_LEARNING, true, out); }

static void show(struct rig *r, uint32_t version, const char *doc)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    char request[24];
    const float x[DIMENSION] = {1, 2};
    snprintf(request, sizeof request, "r%llu", (unsigned long long)++r->shown);
    struct event e = {.request = bytes_text(request),
                      .doc = bytes_text(doc),
                      .time = START_MS,
                      .weight = 1,
                      .features = bytes_of(x, sizeof x),
                      .has = EVENT_HAS_TIME | EVENT_HAS_FEATURES};
    event_encode(&e, &wire);
    block_add_event(&r->next, 0, IMPRESSIONS, version, buffer_view(&wire));
}

static void pass(struct rig *r, int64_t ms)
{
    for (uint8_t i = 0; i < STREAMS; i++)
        block_add_punctuation(&r->next, i, START_MS + ms);
    step_well(r);
}

static void open_story(struct rig *r)
{
    rig_open(r);
    control(r, pack_join);
    control(r, pack_embedding);
    control(r, pack_batched);
    step_well(r);
}

static void expect_names(struct rig *r, size_t count)
{
    commit(r);
    assert_int_equal(r->disk.table[STORE_DOC].rows, count);
}

/* A document goes while a sample of another waits in a batch, as one nearly always does. */
static void a_name_goes_while_another_document_waits(void **state)
{
    struct rig r;
    (void)state;
    open_story(&r);
    show(&r, EMBEDDING, "a");
    show(&r, BATCHED, "b");
    pass(&r, 1);
    expect_names(&r, 2);
    control(&r, pack_reset);
    step_well(&r);
    pass(&r, 2 * HOUR_MS);
    show(&r, EMBEDDING, "c"); /* too late; but a block that names the shard, when time has passed */
    step_well(&r);
    expect_names(&r, 1); /* b */
    close_rig(&r);
}

static void a_name_stays_while_its_own_sample_waits(void **state)
{
    struct rig r;
    (void)state;
    open_story(&r);
    show(&r, EMBEDDING, "a");
    show(&r, BATCHED, "a");
    pass(&r, 1);
    control(&r, pack_reset);
    show(&r, BATCHED, "d");
    pass(&r, 2 * HOUR_MS - 1);
    expect_names(&r, 2);
    show(&r, BATCHED, "a"); /* late: but the batch is as it was */
    pass(&r, 2 * HOUR_MS);
    restart(&r); /* the doubt is not stored: a start looks through all */
    expect_names(&r, 2);
    close_rig(&r);
}

/* What a shard could not look at again, and what is discarded, is found at the next start. */
static void a_start_lets_go_what_was_left(void **state)
{
    struct rig r;
    (void)state;
    open_story(&r);
    control(&r, pack_pause);
    show(&r, EMBEDDING, "a");
    show(&r, BATCHED, "b");
    pass(&r, 1);
    control(&r, pack_reset); /* a: in doubt, because something is held */
    step_well(&r);
    expect_names(&r, 2);
    restart(&r);
    expect_names(&r, 2);
    control(&r, pack_discard);
    step_well(&r);
    expect_names(&r, 2);
    restart(&r);
    expect_names(&r, 0);
    restart(&r);
    expect_names(&r, 0);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_goes_while_another_document_waits),
        cmocka_unit_test(a_name_stays_while_its_own_sample_waits),
        cmocka_unit_test(a_start_lets_go_what_was_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
