/* Features that a version cannot learn from, beside one with an encoder: more than a shard keeps of one sample, and late
 * ones that make a sample that was learned one that does not fit. */
#include "tests/unit/shard_rig.h"

enum { NUMBERS = STREAMS, IDS, ALL_STREAMS, DENSE = 2, FIELDS = 9, FIELD_ROWS = 1024, WIDTH = 2 };
enum { FIT = 8180, TOO_MANY = 8191 }; /* ids in one event: 65,448 bytes, and 65,536, with those in front of them */

static struct encoder *encoder;

/* The event that was set aside last. */
struct letters {
    uint32_t count;
    uint8_t stream;
    enum joiner_reason reason;
};

static void note(void *context, uint32_t shard, uint8_t stream, uint64_t position, enum joiner_reason reason,
                 struct bytes body, struct bytes shared)
{
    struct letters *l = context;
    (void)shard, (void)position, (void)body, (void)shared;
    *l = (struct letters){l->count + 1, stream, reason};
}

static const struct encoder *find(void *context, const struct encoder_id *id, struct tm_error *err)
{
    (void)context, (void)id, (void)err;
    return encoder;
}

/* Two numbers go through; of the fields nothing does. */
static void open_encoder(void)
{
    enum { IN = DENSE + FIELDS };
    static float table[FIELD_ROWS], weight[WIDTH * IN], bias[WIDTH];
    struct encoder_layout l = {.dense = DENSE, .field_count = FIELDS, .layer_count = 1};
    weight[0] = weight[IN + 1] = 1;
    for (int i = 0; i < FIELDS; i++) {
        l.field[i] = (struct encoder_field){"", POOLING_MEAN, FIELD_ROWS, 1, table};
        snprintf(l.field[i].name, sizeof l.field[i].name, "f%c", 'a' + i);
    }
    l.layer[0] = (struct encoder_layer){IN, WIDTH, ACTIVATION_IDENTITY, weight, bias};
    assert_int_equal(encoder_open(&l, &encoder, NULL), TM_OK);
}

static void pack_streams(struct buffer *out)
{
    struct catalog c = {.joined = true,
                        .key_fields = JOINER_KEY_REQUEST | JOINER_KEY_DOC,
                        .stream_name = {"impressions", "clicks", "numbers", "ids"},
                        .label_name = {"click"},
                        .join = {.stream = {{.kind = JOINER_IMPRESSION},
                                            {.kind = JOINER_ACTION, .within_ms = HOUR_MS, .labels = 1},
                                            {.kind = JOINER_FEATURES, .dimension = 1},
                                            {.kind = JOINER_FEATURES, .dimension = 1}},
                                 .streams = ALL_STREAMS,
                                 .labels = 1,
                                 .allowed_lateness_ms = HOUR_MS}};
    catalog_pack_join(&c, out);
}

static void pack_version(struct buffer *out)
{
    struct version v = {
        .id = 1, .name = "net", .reward = {.text = "click"}, .samples_from = {1}, .samples_from_count = 1};
    struct encoder_id id = encoder_representation(encoder);
    v.config = (struct model_config){
        .dimension = WIDTH, .covariance = COVARIANCE_FULL, .prior_sd = 1, .intercept_mean = -1, .intercept_sd = 1};
    model_fix(model_find(bytes_text("lr")), &v.config);
    v.model = model_form(model_find(bytes_text("lr")), &v.config);
    catalog_pack_version(&v, &id, out);
}

static void pack_pause(struct buffer *out) { catalog_pack_state(1, VERSION_PAUSED, false, out); }
static void pack_resume(struct buffer *out) { catalog_pack_state(1, VERSION_LEARNING, false, out); }

static void open_story(struct rig *r, struct letters *letters)
{
    *letters = (struct letters){0};
    open_encoder();
    rig_open_with(r, &(struct shard_options){.aside = note, .context = letters, .encoder = find});
    control(r, pack_streams);
    control(r, pack_version);
    step_well(r);
}

static void close_story(struct rig *r)
{
    close_rig(r);
    encoder_close(encoder);
}

/* Of request and document `number`; features: sparse if there is an encoding. */
static void happen(struct rig *r, uint8_t stream, uint32_t number, uint32_t encoding, struct bytes features)
{
    CLEANUP(buffer_close) struct buffer wire = {0};
    char name[16];
    snprintf(name, sizeof name, "n%u", number);
    struct event e = {.request = bytes_text(name),
                      .doc = bytes_text(name),
                      .time = START_MS + number,
                      .weight = 1,
                      .value = 1,
                      .encoding = encoding,
                      .features = features,
                      .has = EVENT_HAS_TIME | (features.data ? EVENT_HAS_FEATURES : 0)};
    event_encode(&e, &wire);
    block_add_event(&r->next, 0, stream, stream == IMPRESSIONS ? 1 : BLOCK_VERSION_NONE, buffer_view(&wire));
}

static void happen_with_ids(struct rig *r, uint8_t stream, uint32_t number, uint32_t count, uint32_t dense)
{
    CLEANUP(buffer_close) struct buffer pairs = {0};
    const float one = 1;
    for (uint32_t i = 0; i < count; i++)
        buffer_put_u32(&pairs, dense + i);
    for (uint32_t i = 0; i < count; i++)
        buffer_put(&pairs, &one, sizeof one);
    happen(r, stream, number, 1, buffer_view(&pairs));
}

static void click(struct rig *r, uint32_t number) { happen(r, CLICKS, number, 0, (struct bytes){0}); }

/* What was shown up to there becomes samples. */
static void decide(struct rig *r, uint32_t number)
{
    for (uint8_t i = 0; i < ALL_STREAMS; i++)
        block_add_punctuation(&r->next, i, START_MS + number + 1);
    step_well(r);
}

static void assert_letter(const struct letters *l, uint32_t count, uint8_t stream, enum joiner_reason reason)
{
    assert_int_equal(l->count, count);
    assert_int_equal(l->stream, stream);
    assert_int_equal(l->reason, reason);
}

/* What cannot be kept is refused at once, so it is neither held nor asked for when the version goes on. */
static void test_more_than_is_kept(void **state)
{
    struct rig r;
    struct letters letters;
    (void)state;
    open_story(&r, &letters);
    control(&r, pack_pause);
    step_well(&r);
    happen_with_ids(&r, IMPRESSIONS, 1, TOO_MANY, DENSE);
    decide(&r, 1);
    assert_letter(&letters, 1, IMPRESSIONS, REASON_FEATURE_RANGE);
    happen_with_ids(&r, IMPRESSIONS, 2, FIT, DENSE);
    decide(&r, 2);
    assert_int_equal(letters.count, 1);
    assert_int_equal(rig_counts(&r).fresh.held, 1);
    commit(&r);
    restart(&r);
    control(&r, pack_resume);
    step_well(&r);
    click(&r, 1);
    click(&r, 2);
    step_well(&r);
    struct shard_version_counts c = rig_counts(&r);
    assert_int_equal(c.fresh.held, 0);
    assert_int_equal(c.fresh.learned, 1);
    assert_int_equal(c.fresh.skipped_range, 1);
    assert_int_equal(c.corrections.learned, 1);
    assert_int_equal(c.corrections.skipped_original, 1);
    close_story(&r);
}

/* Features that come late and do not fit are set aside, and their sample is taken out, once. */
static void late_features(bool held)
{
    struct rig r;
    struct letters letters;
    open_story(&r, &letters);
    for (uint32_t i = 1; i <= 3; i++)
        happen(&r, IMPRESSIONS, i, 0, (struct bytes){0});
    for (uint32_t i = 1; i <= 3; i++)
        happen(&r, NUMBERS, i, 0, bytes_of(&(float){1}, sizeof(float)));
    happen(&r, IMPRESSIONS, 4, 0, (struct bytes){0});
    decide(&r, 4);
    assert_int_equal(rig_counts(&r).fresh.learned, 4);
    if (held)
        control(&r, pack_pause);
    happen_with_ids(&r, IDS, 1, FIT, 0);
    step_well(&r);
    assert_int_equal(letters.count, 0);
    happen_with_ids(&r, IDS, 2, TOO_MANY, 0);
    step_well(&r);
    assert_letter(&letters, 1, IDS, REASON_FEATURE_RANGE);
    happen(&r, NUMBERS, 4, 0, bytes_of((float[]){1, 2}, 2 * sizeof(float)));
    step_well(&r);
    assert_letter(&letters, 2, NUMBERS, REASON_WRONG_DIMENSION);
    commit(&r);
    restart(&r);
    if (held)
        control(&r, pack_resume);
    for (uint32_t i = 1; i <= 4; i++)
        click(&r, i);
    step_well(&r);
    struct shard_version_counts c = rig_counts(&r);
    assert_int_equal(c.corrections.held, 0);
    assert_int_equal(c.corrections.learned, 3 + 2);
    assert_int_equal(c.corrections.skipped_original, 2);
    assert_int_equal(letters.count, 2);
    close_story(&r);
}

static void test_late_features_that_do_not_fit(void **state)
{
    (void)state;
    late_features(false);
    late_features(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_than_is_kept),
        cmocka_unit_test(test_late_features_that_do_not_fit),
    };
    return cmocka_run_group_tests_name("shard_features", tests, NULL, NULL);
}
