/* Tests of the catalog: what control records establish comes back, and what makes no sense is refused in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "proto/wire.h"
#include "ps/state/catalog.h"
#include "ps/state/version_policy.h"
#include "tests/unit/random.h"
#include "tidemill/v1/control.pb-c.h"

typedef Tidemill__V1__StreamSpec StreamSpec;
typedef Tidemill__V1__LabelSpec LabelSpec;

/* ---- control records as a configuration makes them ---- */

struct join {
    Tidemill__V1__JoinSpec spec;
    StreamSpec stream[JOINER_STREAMS_MAX + 1], *streams[JOINER_STREAMS_MAX + 1];
    LabelSpec label[JOINER_LABELS_MAX + 1], *labels[JOINER_LABELS_MAX + 1];
    char names[JOINER_STREAMS_MAX + 1][8];
};

/* Features (required), impressions, clicks, orders; labels click and order. */
static struct join *join_spec(void)
{
    static struct join j;
    static char *const streams[] = {"features", "impressions", "clicks", "orders"};
    static char *const labels[] = {"click", "order"};
    static const uint32_t kinds[] = {JOINER_FEATURES, JOINER_IMPRESSION, JOINER_ACTION, JOINER_ACTION};
    tidemill__v1__join_spec__init(&j.spec);
    j.spec = (Tidemill__V1__JoinSpec){.base = j.spec.base,
                                      .n_streams = 4,
                                      .streams = j.streams,
                                      .has_key_fields = true,
                                      .key_fields = JOINER_KEY_REQUEST | JOINER_KEY_DOC,
                                      .has_window_ms = true,
                                      .window_ms = 60000,
                                      .has_allowed_lateness_ms = true,
                                      .allowed_lateness_ms = 3600000,
                                      .has_positive_at_once = true,
                                      .positive_at_once = true,
                                      .n_labels = 2,
                                      .labels = j.labels};
    for (int i = 0; i <= JOINER_STREAMS_MAX; i++) {
        StreamSpec *s = j.streams[i] = &j.stream[i];
        tidemill__v1__stream_spec__init(s);
        j.names[i][0] = 's';
        j.names[i][1] = (char)('A' + i);
        s->name = i < 4 ? streams[i] : j.names[i];
        s->has_kind = s->has_within_ms = s->has_required = true;
        s->kind = i < 4 ? kinds[i] : JOINER_ACTION;
        s->within_ms = i < 2 ? 0 : 1000 * i;
        s->required = i == 0;
    }
    for (int i = 0; i <= JOINER_LABELS_MAX; i++) {
        LabelSpec *l = j.labels[i] = &j.label[i];
        tidemill__v1__label_spec__init(l);
        l->name = i < 2 ? labels[i] : j.names[i];
        l->has_stream = l->has_aggregate = true;
        l->stream = i < 2 ? 2 + (uint32_t)i : 2;
        if (i == 1) {
            l->aggregate = LABEL_SUM;
            l->has_cap = l->has_threshold = true;
            l->cap = 100;
            l->threshold = 3;
        }
    }
    return &j;
}

struct version_parts {
    Tidemill__V1__VersionSpec spec;
    double prior[MODEL_PRIOR_MAX + 1];
    uint32_t sources[VERSION_SOURCES_MAX + 1];
    char name[CATALOG_NAME_MAX + 2];
};

/* Good for as long as *p is. */
static Tidemill__V1__VersionSpec *version_spec(struct version_parts *p, uint32_t id, const char *name)
{
    *p = (struct version_parts){.prior = {1, 20}, .sources = {id, 1}};
    strncpy(p->name, name, sizeof p->name - 1);
    tidemill__v1__version_spec__init(&p->spec);
    p->spec = (Tidemill__V1__VersionSpec){.base = p->spec.base,
                                          .has_id = true,
                                          .id = id,
                                          .name = p->name,
                                          .model = "beta",
                                          .n_prior = 2,
                                          .prior = p->prior,
                                          .has_half_life_ms = true,
                                          .half_life_ms = 86400000,
                                          .reward = "click + 2*order",
                                          .n_samples_from = 2,
                                          .samples_from = p->sources};
    return &p->spec;
}

static enum tm_code apply(struct catalog *c, Tidemill__V1__JoinSpec *join, Tidemill__V1__VersionSpec *version,
                          struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer packed = {0};
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    control.join = join;
    control.version = version;
    wire_pack(&control.base, &packed);
    return catalog_apply(c, buffer_view(&packed), NULL, err);
}

static void make(struct catalog *c)
{
    struct version_parts p;
    struct tm_error err;
    *c = (struct catalog){0};
    assert_int_equal(apply(c, &join_spec()->spec, NULL, &err), TM_OK);
    assert_int_equal(apply(c, NULL, version_spec(&p, 1, "base"), &err), TM_OK);
    assert_int_equal(apply(c, NULL, version_spec(&p, 7, "shadow"), &err), TM_OK);
}

/* ---- what is there afterwards ---- */

static void assert_whole(const struct catalog *c)
{
    assert_true(c->joined);
    assert_int_equal(c->key_fields, JOINER_KEY_REQUEST | JOINER_KEY_DOC);
    assert_int_equal(c->join.window_ms, 60000);
    assert_true(c->join.at_once && c->join.epoch[0].at_once);
    assert_int_equal(c->join.allowed_lateness_ms, 3600000);
    assert_int_equal(c->join.streams, 4);
    assert_int_equal(c->join.labels, 2);
    assert_int_equal(c->join.stream[0].kind, JOINER_FEATURES);
    assert_true(c->join.stream[0].required);
    assert_int_equal(c->join.stream[1].kind, JOINER_IMPRESSION);
    assert_int_equal(c->join.stream[2].kind, JOINER_ACTION);
    assert_int_equal(c->join.stream[2].within_ms, 2000);
    assert_int_equal(c->join.stream[2].labels, 1);
    assert_int_equal(c->join.stream[3].labels, 2);
    assert_true(labels_same(&c->join.label[0], &(struct joiner_label){.aggregate = LABEL_EXISTS}));
    assert_true(labels_same(&c->join.label[1], &(struct joiner_label){LABEL_SUM, {true, 100}, {true, 3}}));
    assert_string_equal(c->label_name[1], "order");
    assert_int_equal(catalog_stream(c, bytes_text("clicks")), 2);
    assert_int_equal(catalog_stream(c, bytes_text("click")), -1);
    assert_int_equal(c->versions, 2);
    const struct version *v = catalog_by_id(c, 7);
    assert_ptr_equal(v, catalog_find(c, bytes_text("shadow")));
    assert_null(catalog_by_id(c, 2));
    assert_null(catalog_find(c, bytes_text("shado")));
    assert_ptr_equal(v->model, model_find(bytes_text("beta")));
    assert_int_equal(v->config.prior_count, 2);
    assert_true(v->config.prior[0] == 1 && v->config.prior[1] == 20);
    assert_true(v->half_life_ms == 86400000 && v->config.decay_per_ms == log(2.0) / 86400000);
    assert_string_equal(v->reward.text, "click + 2*order");
    assert_int_equal(v->samples_from_count, 2);
    assert_int_equal(v->samples_from[0], 7);
    assert_int_equal(v->samples_from[1], 1);
}

static void test_what_was_applied_is_there(void **state)
{
    (void)state;
    struct catalog c;
    make(&c);
    assert_whole(&c);
    catalog_close(&c);
    assert_int_equal(c.versions, 0);
}

static void test_encoded_and_decoded_it_is_the_same(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer first = {0}, second = {0};
    struct catalog c, again = {0}, empty = {0};
    struct tm_error err;
    make(&c);
    catalog_encode(&c, &first);
    assert_int_equal(catalog_decode(&again, buffer_view(&first), &err), TM_OK);
    assert_whole(&again);
    catalog_encode(&again, &second);
    assert_true(bytes_equal(buffer_view(&first), buffer_view(&second)));
    catalog_close(&again);
    first.size = 0;
    catalog_encode(&empty, &first); /* before any control record */
    assert_int_equal(catalog_decode(&again, buffer_view(&first), &err), TM_OK);
    assert_false(again.joined);
    assert_int_equal(again.versions, 0);
    catalog_close(&c);
}

/* A catalog told in control records, part by part, is the same catalog. */
static void test_packed_parts_say_the_same(void **state)
{
    (void)state;
    struct catalog c, again = {0};
    struct tm_error err;
    CLEANUP(buffer_close) struct buffer join = {0};
    make(&c);
    catalog_pack_join(&c, &join);
    assert_int_equal(catalog_apply(&again, buffer_view(&join), NULL, &err), TM_OK);
    for (uint32_t i = 0; i < c.versions; i++) {
        CLEANUP(buffer_close) struct buffer version = {0};
        catalog_pack_version(c.version[i], &c.encoder[i], &version);
        assert_int_equal(catalog_apply(&again, buffer_view(&version), NULL, &err), TM_OK);
    }
    assert_whole(&again);
    catalog_close(&again);
    catalog_close(&c);
}

static void apply_packed(struct catalog *c, const struct version *v)
{
    CLEANUP(buffer_close) struct buffer packed = {0};
    struct tm_error err;
    catalog_pack_version(v, NULL, &packed);
    if (catalog_apply(c, buffer_view(&packed), NULL, &err) != TM_OK)
        fail_msg("%s", err.message);
}

/* What a version over features is told goes through control record and stored catalog byte for byte: that is how two of
 * them are compared. */
static void test_versions_over_features(void **state)
{
    static const char *const models[] = {"lr", "lr", "linear"};
    struct catalog c, read = {0};
    CLEANUP(buffer_close) struct buffer stored = {0};
    struct version made[3] = {0};
    (void)state;
    make(&c);
    for (uint32_t i = 0; i < 3; i++) {
        struct version *v = &made[i];
        *v = (struct version){.id = 10 + i, .samples_from = {1}, .samples_from_count = 1};
        snprintf(v->name, sizeof v->name, "v%u", i);
        snprintf(v->reward.text, sizeof v->reward.text, "click");
        snprintf(v->representation, sizeof v->representation, "%s", i ? "" : "encoder-3");
        v->config.dimension = 3 + i;
        v->config.covariance = i == 0 ? COVARIANCE_FULL : COVARIANCE_DIAGONAL;
        v->config.prior_mean = 0.1;
        v->config.prior_sd = 0.2;
        v->config.intercept_mean = -0.3;
        v->config.intercept_sd = 0.4;
        v->config.noise_sd = i == 2 ? 0.5 : 0;
        v->policy = (struct policy){.kind = (enum policy_kind)i, .epsilon = 0.25 * i, .width = i ? 2 : 1};
        v->policy.reranks = i == 1 ? 300 : 0;
        v->model = model_find(bytes_text(models[i]));
        model_fix(v->model, &v->config);
        v->model = model_form(v->model, &v->config);
        apply_packed(&c, v);
    }
    catalog_encode(&c, &stored);
    assert_int_equal(catalog_decode(&read, buffer_view(&stored), NULL), TM_OK);
    for (uint32_t i = 0; i < 3; i++) {
        const struct version *v = catalog_by_id(&read, 10 + i);
        assert_ptr_equal(v->model, made[i].model);
        assert_memory_equal(&v->config, &made[i].config, sizeof v->config);
        assert_string_equal(v->representation, made[i].representation);
        assert_true(version_policy_same(&v->policy, &made[i].policy));
    }
    catalog_close(&c);
    catalog_close(&read);
}

/* What is done by hand is on the list of changes, and remembers what the configuration named; version 20 has `from`. A
 * change by the configuration forgets that. */
static void assert_encoder_by_hand(struct catalog *c, const struct encoder_id *from, const struct encoder_id *to)
{
    CLEANUP(buffer_close) struct buffer packed = {0}, stored = {0};
    const struct audit_note note = {"ann", "trained on May", 7};
    struct catalog_change change;
    struct catalog read = {0};
    for (int again = 0; again < 2; again++) {
        packed.size = 0;
        catalog_pack_encoder_by_hand(20, to, from, &note, &packed);
        assert_int_equal(catalog_apply(c, buffer_view(&packed), &change, NULL), TM_OK);
        assert_int_equal(change.kind, again ? CATALOG_SAME : CATALOG_ENCODED);
        assert_int_equal(c->audit.count, 1);
    }
    assert_true(strncmp(c->audit.entry->what, "encoder fedcba", 14) == 0 && strcmp(c->audit.entry->by, "ann") == 0);
    catalog_encode(c, &stored);
    assert_int_equal(catalog_decode(&read, buffer_view(&stored), NULL), TM_OK);
    assert_string_equal(catalog_encoder(&read, 20)->text, to->text);
    assert_string_equal(catalog_configured_encoder(&read, 20)->text, from->text);
    packed.size = 0;
    catalog_pack_encoder(20, from, &packed);
    assert_int_equal(catalog_apply(&read, buffer_view(&packed), NULL, NULL), TM_OK);
    assert_string_equal(catalog_configured_encoder(&read, 20)->text, "");
    catalog_close(&read);
}

/* What an embedding learns by, and which encoder it has, come back; an encoder changes only to another one. */
static void test_embeddings_and_encoders(void **state)
{
    static const struct encoder_id first = {"0123456789abcdef0123456789abcdef"},
                                   second = {"fedcba9876543210fedcba9876543210"}, wrong = {"encoder-3"}, none = {""};
    struct catalog c, read = {0};
    CLEANUP(buffer_close) struct buffer stored = {0}, packed = {0};
    struct version v = {.id = 20, .name = "e", .reward.text = "click", .samples_from = {20}, .samples_from_count = 1};
    struct catalog_change change;
    (void)state;
    make(&c);
    v.model = model_find(bytes_text("embedding"));
    v.config = (struct model_config){.dimension = 4, .prior_sd = 0.01, .intercept_sd = 1};
    v.config.embedding = (struct embedding_config){
        .loss = LOSS_SQUARED,
        .optimizer = {.kind = OPTIMIZER_FTRL, .rate = 0.5, .beta = 2, .l1 = 0.25, .l2 = 0.125, .clip = 3},
        .norm_max = 7,
        .admit_at = 5,
        .admit_share = 0.5,
        .expire_after = 86400000,
        .seed = 9};
    model_fix(v.model, &v.config);
    catalog_pack_version(&v, &first, &packed);
    assert_int_equal(catalog_apply(&c, buffer_view(&packed), NULL, NULL), TM_OK);
    const struct encoder_id *to[] = {&first, &second, &wrong, &none};
    for (int i = 0; i < 4; i++) {
        packed.size = 0;
        catalog_pack_encoder(20, to[i], &packed);
        enum tm_code rc = catalog_apply(&c, buffer_view(&packed), &change, NULL);
        assert_int_equal(rc, i < 2 ? TM_OK : TM_DATA_LOSS);
        assert_int_equal(change.kind, i == 1 ? CATALOG_ENCODED : CATALOG_SAME);
    }
    catalog_encode(&c, &stored);
    assert_int_equal(catalog_decode(&read, buffer_view(&stored), NULL), TM_OK);
    assert_memory_equal(&catalog_by_id(&read, 20)->config, &v.config, sizeof v.config);
    assert_true(catalog_by_id(&read, 20)->encoded && !catalog_by_id(&read, 1)->encoded);
    assert_string_equal(catalog_encoder(&read, 20)->text, second.text);
    assert_string_equal(catalog_configured_encoder(&read, 20)->text, "");
    assert_encoder_by_hand(&c, &second, &first);
    packed.size = 0;
    catalog_pack_encoder(1, &first, &packed); /* has none to change */
    assert_int_equal(catalog_apply(&c, buffer_view(&packed), NULL, NULL), TM_DATA_LOSS);
    catalog_close(&c);
    catalog_close(&read);
}

static void test_versions_do_not_move(void **state)
{
    (void)state;
    struct catalog c;
    struct version_parts p;
    struct tm_error err;
    make(&c);
    const struct version *base = catalog_by_id(&c, 1);
    for (uint32_t id = 100; id < 200; id++) {
        char name[16];
        snprintf(name, sizeof name, "v%u", id);
        assert_int_equal(apply(&c, NULL, version_spec(&p, id, name), &err), TM_OK);
    }
    assert_ptr_equal(catalog_by_id(&c, 1), base);
    assert_string_equal(base->name, "base");
    catalog_close(&c);
}

/* ---- refusals ---- */

static void assert_join_refused(Tidemill__V1__JoinSpec *spec, const char *message)
{
    struct catalog c = {0};
    struct tm_error err = {0};
    assert_int_equal(apply(&c, spec, NULL, &err), TM_DATA_LOSS);
    assert_string_equal(err.message, message);
    assert_false(c.joined);
    catalog_close(&c);
}

static void test_joins_that_make_no_sense(void **state)
{
    (void)state;
    static char long_name[] = "a2345678901234567890123456789012345678901234567890123456789012345";
    struct join *j = join_spec();
    j->spec.n_streams = 0;
    assert_join_refused(&j->spec, "a join configuration of 0 streams and 2 labels makes no sense");
    j->spec.n_streams = JOINER_STREAMS_MAX + 1;
    assert_join_refused(&j->spec, "a join configuration of 33 streams and 2 labels makes no sense");
    (j = join_spec())->spec.n_labels = JOINER_LABELS_MAX + 1;
    assert_join_refused(&j->spec, "a join configuration of 4 streams and 9 labels makes no sense");
    (j = join_spec())->spec.key_fields = JOINER_KEY_REQUEST;
    assert_join_refused(&j->spec, "a join configuration of 4 streams and 2 labels makes no sense");
    (j = join_spec())->spec.window_ms = -1;
    assert_join_refused(&j->spec, "a join configuration of 4 streams and 2 labels makes no sense");
    (j = join_spec())->spec.allowed_lateness_ms = 59999;
    assert_join_refused(&j->spec, "a join configuration of 4 streams and 2 labels makes no sense");
    (j = join_spec())->stream[1].kind = 9;
    assert_join_refused(&j->spec, "stream 1 of kind 9 counts within 0 ms, and 0 ms before");
    (j = join_spec())->stream[1].within_ms = -5;
    assert_join_refused(&j->spec, "stream 1 of kind 1 counts within -5 ms, and 0 ms before");
    (j = join_spec())->stream[2].within_ms = 3600001; /* beyond allowed_lateness: turns rest on that */
    assert_join_refused(&j->spec, "stream 2 of kind 2 counts within 3600001 ms, and 0 ms before");
    (j = join_spec())->stream[2].name = "";
    assert_join_refused(&j->spec, "stream: a name of 0 bytes; expected 1 to 64");
    (j = join_spec())->stream[2].name = long_name;
    assert_join_refused(&j->spec, "stream: a name of 65 bytes; expected 1 to 64");
    (j = join_spec())->label[1].name = NULL;
    assert_join_refused(&j->spec, "label: a name of 0 bytes; expected 1 to 64");
    (j = join_spec())->label[1].stream = 4;
    assert_join_refused(&j->spec, "label 1 names stream 4 with aggregate 2");
    (j = join_spec())->label[0].aggregate = LABEL_AGGREGATE_COUNT;
    assert_join_refused(&j->spec, "label 0 names stream 2 with aggregate 7");
    (j = join_spec())->label[1].cap = NAN;
    assert_join_refused(&j->spec, "label 1 has a cap of nan and a threshold of 3");
    long_name[CATALOG_NAME_MAX] = '\0';
    (j = join_spec())->stream[2].name = long_name;
    struct catalog c = {0};
    assert_int_equal(apply(&c, &j->spec, NULL, NULL), TM_OK); /* the longest */
    catalog_close(&c);
}

static void assert_version_refused(Tidemill__V1__VersionSpec *spec, enum tm_code code, const char *message)
{
    struct catalog c;
    struct tm_error err = {0};
    make(&c);
    assert_int_equal(apply(&c, NULL, spec, &err), code);
    assert_string_equal(err.message, message);
    assert_whole(&c);
    catalog_close(&c);
}

static void test_versions_that_make_no_sense(void **state)
{
    (void)state;
    struct version_parts p;
    Tidemill__V1__VersionSpec *v = version_spec(&p, 8, "next");
    v->model = "gamma";
    assert_version_refused(v, TM_DATA_LOSS, "version next: model \"gamma\" with 2 priors is not known here");
    v->model = NULL;
    assert_version_refused(v, TM_DATA_LOSS, "version next: model \"\" with 2 priors is not known here");
    (v = version_spec(&p, 8, "next"))->n_prior = MODEL_PRIOR_MAX + 1;
    assert_version_refused(v, TM_DATA_LOSS, "version next: model \"beta\" with 9 priors is not known here");
    (v = version_spec(&p, 8, "next"))->n_samples_from = VERSION_SOURCES_MAX + 1;
    assert_version_refused(v, TM_DATA_LOSS, "version next: model \"beta\" with 2 priors is not known here");
    assert_version_refused(version_spec(&p, 0, "next"), TM_DATA_LOSS,
                           "version next: model \"beta\" with 2 priors is not known here");
    assert_version_refused(version_spec(&p, 8, ""), TM_DATA_LOSS, "version: a name of 0 bytes; expected 1 to 64");
    assert_version_refused(version_spec(&p, 8, "shadow"), TM_DATA_LOSS, "version shadow: id 8 or name is taken");
    assert_version_refused(version_spec(&p, 7, "next"), TM_DATA_LOSS, "version next: id 7 or name is taken");
    (v = version_spec(&p, 8, "next"))->prior[1] = -1;
    assert_version_refused(v, TM_INVALID_ARGUMENT, "version next: prior[1]: -1 is not in (0, 1e+12]");
    (v = version_spec(&p, 8, "next"))->reward = "click + buy";
    assert_version_refused(v, TM_INVALID_ARGUMENT,
                           "version next: reward: column 9: buy is no label; expected one of: click, order");
}

static void test_there_is_a_most_of_versions(void **state)
{
    (void)state;
    struct catalog c = {0};
    struct tm_error err;
    struct version_parts p;
    char name[16];
    assert_int_equal(apply(&c, &join_spec()->spec, NULL, &err), TM_OK);
    for (uint32_t id = 1; id <= CATALOG_VERSIONS_MAX; id++) {
        snprintf(name, sizeof name, "v%u", id);
        assert_int_equal(apply(&c, NULL, version_spec(&p, id, name), &err), TM_OK);
    }
    assert_int_equal(apply(&c, NULL, version_spec(&p, 1 << 20, "more"), &err), TM_RESOURCE_EXHAUSTED);
    assert_string_equal(err.message, "version more: there are 4096 already");
    CLEANUP(buffer_close) struct buffer stored = {0};
    struct catalog again = {0};
    catalog_encode(&c, &stored);
    assert_int_equal(catalog_decode(&again, buffer_view(&stored), &err), TM_OK); /* as many can be stored */
    assert_int_equal(again.versions, CATALOG_VERSIONS_MAX);
    catalog_close(&again);
    catalog_close(&c);
}

static void test_unknown_kinds_of_control_records(void **state)
{
    (void)state;
    static const uint8_t of_the_future[] = {0x7a, 3, 'n', 'e', 'w'}; /* field 15 */
    struct catalog c;
    struct tm_error err;
    make(&c);
    assert_int_equal(catalog_apply(&c, bytes_of(of_the_future, sizeof of_the_future), NULL, &err), TM_DATA_LOSS);
    assert_string_equal(err.message, "a control record of a kind that this program does not know");
    assert_int_equal(catalog_apply(&c, bytes_of(of_the_future, 0), NULL, &err), TM_DATA_LOSS);
    assert_whole(&c);
    catalog_close(&c);
}

/* ---- states, limits, and records that change nothing ---- */

/* Returns what changed; refused records end the test. */
static struct catalog_change command(struct catalog *c, const struct buffer *control)
{
    struct catalog_change change;
    struct tm_error err;
    assert_int_equal(catalog_apply(c, buffer_view(control), &change, &err), TM_OK);
    return change;
}

static struct catalog_change set_state(struct catalog *c, uint32_t version, enum version_state state, bool discard)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    catalog_pack_state(version, state, discard, &control);
    return command(c, &control);
}

static void test_versions_are_paused_and_learn_again(void **state)
{
    static const struct {
        enum version_state to;
        bool discard;
        enum catalog_change_kind change;
    } steps[] = {
        {VERSION_LEARNING, false, CATALOG_SAME}, /* it learns already */
        {VERSION_LEARNING, true, CATALOG_SAME},  /* so there is nothing to discard */
        {VERSION_PAUSED, false, CATALOG_PAUSED},     {VERSION_PAUSED, false, CATALOG_SAME},
        {VERSION_LEARNING, false, CATALOG_RESUMED},  {VERSION_PAUSED, false, CATALOG_PAUSED},
        {VERSION_LEARNING, true, CATALOG_DISCARDED}, {VERSION_LEARNING, true, CATALOG_SAME},
    };
    struct catalog c;
    (void)state;
    make(&c);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct catalog_change change = set_state(&c, 7, steps[i].to, steps[i].discard);
        assert_int_equal(change.kind, steps[i].change);
        assert_int_equal(change.version, change.kind == CATALOG_SAME ? 0 : 7);
        assert_int_equal(catalog_state(&c, 7), steps[i].to);
        assert_int_equal(catalog_state(&c, 1), VERSION_LEARNING);
    }
    assert_whole(&c);
    catalog_close(&c);
}

static void test_states_and_limits_are_stored(void **state)
{
    CLEANUP(buffer_close) struct buffer stored = {0}, control = {0};
    struct catalog c, again = {0};
    struct tm_error err;
    (void)state;
    make(&c);
    assert_int_equal(catalog_limits(&c).slice, CATALOG_SLICE);
    assert_true(catalog_limits(&c).held_bytes == CATALOG_HELD_BYTES);
    catalog_pack_limits(
        &(struct catalog_limits){
            .held_bytes = 12345, .waiting_bytes = 89, .decided_bytes = 78, .batch_bytes = 1000, .slice = 67},
        &control);
    assert_int_equal(command(&c, &control).kind, CATALOG_LIMITED);
    set_state(&c, 7, VERSION_PAUSED, false);
    catalog_encode(&c, &stored);
    assert_int_equal(catalog_decode(&again, buffer_view(&stored), &err), TM_OK);
    assert_int_equal(catalog_state(&again, 1), VERSION_LEARNING);
    assert_int_equal(catalog_state(&again, 7), VERSION_PAUSED);
    assert_int_equal(catalog_limits(&again).slice, 67);
    assert_int_equal(catalog_limits(&again).held_bytes, 12345);
    assert_int_equal(catalog_limits(&again).waiting_bytes, 89);
    assert_int_equal(catalog_limits(&again).decided_bytes, 78);
    assert_int_equal(again.join.decided_bytes_max, 78);
    catalog_close(&again);
    catalog_close(&c);
}

static void test_a_record_may_change_nothing(void **state)
{
    CLEANUP(buffer_close) struct buffer control = {0};
    struct catalog c;
    (void)state;
    make(&c);
    catalog_pack_proceed(&control);
    assert_int_equal(command(&c, &control).kind, CATALOG_SAME);
    assert_whole(&c);
    catalog_close(&c);
}

static void refuse(struct catalog *c, Tidemill__V1__VersionState *to, Tidemill__V1__Limits *limits)
{
    CLEANUP(buffer_close) struct buffer packed = {0};
    Tidemill__V1__Control control = TIDEMILL__V1__CONTROL__INIT;
    struct tm_error err = {0};
    control.state = to;
    control.limits = limits;
    wire_pack(&control.base, &packed);
    assert_int_equal(catalog_apply(c, buffer_view(&packed), NULL, &err), TM_DATA_LOSS);
    assert_non_null(strstr(err.message, "no sense"));
}

static void test_commands_that_make_no_sense(void **state)
{
    static const struct {
        uint32_t id, state;
        bool discard;
    } states[] = {{2, VERSION_PAUSED, false}, {7, 2, false}, {7, VERSION_PAUSED, true}};
    static const struct catalog_limits limits[] = {{.slice = 5}, {.held_bytes = 5}};
    struct catalog c;
    (void)state;
    make(&c);
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        Tidemill__V1__VersionState to = TIDEMILL__V1__VERSION_STATE__INIT;
        to.has_id = to.has_state = to.has_discard = true;
        to.id = states[i].id;
        to.state = states[i].state;
        to.discard = states[i].discard;
        refuse(&c, &to, NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        Tidemill__V1__Limits to = TIDEMILL__V1__LIMITS__INIT;
        to.has_held_bytes = to.has_slice = true;
        to.held_bytes = limits[i].held_bytes;
        to.slice = limits[i].slice;
        refuse(&c, NULL, &to);
    }
    assert_int_equal(catalog_state(&c, 7), VERSION_LEARNING);
    assert_whole(&c);
    catalog_close(&c);
}

/* Cut short or with a byte changed: refused, or another catalog; never a crash, never without words. */
static void test_damaged_bytes(void **state)
{
    (void)state;
    CLEANUP(buffer_close) struct buffer stored = {0};
    uint64_t random = 1;
    uint32_t refused = 0;
    struct catalog c;
    make(&c);
    catalog_encode(&c, &stored);
    catalog_close(&c);
    for (size_t i = 0; i < 5000; i++) {
        CLEANUP(buffer_close) struct buffer damaged = {0};
        struct catalog again = {0};
        struct tm_error err = {0};
        buffer_put(&damaged, stored.data, i < stored.size ? i : stored.size);
        if (i >= stored.size)
            damaged.data[below(&random, stored.size)] ^= (uint8_t)(1 + below(&random, 255));
        if (catalog_decode(&again, buffer_view(&damaged), &err) != TM_OK) {
            refused++;
            if (err.code == TM_OK || err.message[0] == '\0')
                fail_msg("damage %zu is refused without words", i);
        }
        catalog_close(&again);
    }
    assert_true(refused > 2500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_applied_is_there),
        cmocka_unit_test(test_encoded_and_decoded_it_is_the_same),
        cmocka_unit_test(test_packed_parts_say_the_same),
        cmocka_unit_test(test_versions_over_features),
        cmocka_unit_test(test_embeddings_and_encoders),
        cmocka_unit_test(test_versions_do_not_move),
        cmocka_unit_test(test_joins_that_make_no_sense),
        cmocka_unit_test(test_versions_that_make_no_sense),
        cmocka_unit_test(test_there_is_a_most_of_versions),
        cmocka_unit_test(test_unknown_kinds_of_control_records),
        cmocka_unit_test(test_versions_are_paused_and_learn_again),
        cmocka_unit_test(test_states_and_limits_are_stored),
        cmocka_unit_test(test_a_record_may_change_nothing),
        cmocka_unit_test(test_commands_that_make_no_sense),
        cmocka_unit_test(test_damaged_bytes),
    };
    return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}
