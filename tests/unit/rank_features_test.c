/* What candidates of a Rank are scored by: the same as the samples of what is logged, bit for bit; and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "learner/beta.h"
#include "learner/lr.h"
#include "proto/wire.h"
#include "ps/server/rank_features.h"
#include "ps/state/version_input.h"
#include "tests/unit/random.h"
#include "tidemill/v1/ranking.pb-c.h"

enum { DENSE = 3, COUNTRIES = 20, TAGS = 1100, ROWS = COUNTRIES + TAGS, N = 5, WEIGHTS = 1 << 13, DOCS = 30, IDS = 8 };

typedef Tidemill__V1__RankRequest Request;

struct bench {
    struct encoder *encoder, *numbers; /* with fields, and without */
    struct version net, plain, beta;
    struct catalog schema; /* without streams */
    struct rank_tables none;
    struct rank_request q;
    struct rank_features f;
};

static struct encoder *open_encoder(uint32_t fields)
{
    static float weights[WEIGHTS];
    struct encoder *e;
    uint64_t seed = 1;
    uint32_t in = DENSE + (fields ? 4 + 1 : 0);
    float *at = weights;
    struct encoder_layout l = {.dense = DENSE, .field_count = fields, .layer_count = 2};
    for (size_t i = 0; i < WEIGHTS; i++)
        weights[i] = (float)((double)draw(&seed) * 0x1p-63 - 1);
    l.field[0] = (struct encoder_field){"country", POOLING_MEAN, COUNTRIES, 4, at};
    l.field[1] = (struct encoder_field){"tags", POOLING_SUM, TAGS, 1, at += COUNTRIES * 4};
    at += TAGS;
    l.layer[0] = (struct encoder_layer){in, 33, ACTIVATION_TANH, at, at + 33 * in};
    at += 33 * (in + 1);
    l.layer[1] = (struct encoder_layer){33, N, ACTIVATION_IDENTITY, at, at + 33 * N};
    assert_int_equal(encoder_open(&l, &e, NULL), TM_OK);
    return e;
}

static struct version version_of(const char *name, const struct model *model, uint32_t dimension)
{
    struct version v = {.model = model, .config = {.dimension = dimension, .prior_sd = 1, .intercept_sd = 1}};
    strcpy(v.name, name);
    model_fix(model, &v.config);
    return v;
}

static int open_bench(void **state)
{
    struct bench *b = mem_new(1, sizeof *b);
    b->none.schema = &b->schema;
    b->encoder = open_encoder(2);
    b->numbers = open_encoder(0);
    b->net = version_of("net", &model_lr_diagonal, N);
    b->plain = version_of("plain", &model_lr_diagonal, DENSE);
    b->beta = version_of("beta", &model_beta, 0);
    *state = b;
    return 0;
}

static void close_call(struct bench *b)
{
    rank_features_close(&b->f);
    rank_request_close(&b->q);
    b->q = (struct rank_request){0};
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    close_call(b);
    encoder_close(b->encoder);
    encoder_close(b->numbers);
    free(b);
    return 0;
}

static char *doc_names[1000];

static enum tm_code take(struct bench *b, const struct version *v, const struct encoder *e, Request *m,
                         const struct rank_tables *tables, struct tm_error *err)
{
    static struct buffer wire; /* the request's texts lie in it */
    close_call(b);
    wire.size = 0;
    m->docs = doc_names;
    wire_pack(&m->base, &wire);
    enum tm_code rc = rank_request_scan(buffer_view(&wire), &b->q, err);
    return rc == TM_OK ? rank_features_take(&b->q, v, e, tables ? tables : &b->none, &b->f, err) : rc;
}

static void take_well(struct bench *b, const struct version *v, const struct encoder *e, Request *m,
                      const struct rank_tables *tables)
{
    struct tm_error err;
    if (take(b, v, e, m, tables, &err) != TM_OK)
        fail_msg("%s", err.message);
}

/* ---- the sample of what is logged ---- */

/* x that a shard learns of a candidate's event and rows behind it, unpacked from what the log holds. */
static void learn_from(const struct bench *b, const struct version *v, const struct encoder *e, uint32_t candidate,
                       const struct rank_tables *tables, float *x)
{
    CLEANUP(buffer_close) struct buffer wire = {0}, packed = {0};
    struct feature_vector vector = {0};
    struct encoding encoding = {0};
    struct event logged = {.representation = b->q.representation,
                           .encoding = b->f.encoding,
                           .has = b->f.there ? EVENT_HAS_FEATURES : 0},
                 sample;
    if (b->f.there)
        logged.features = rank_features_sent(&b->f, candidate);
    event_encode(&logged, &wire);
    assert_int_equal(event_scan(buffer_view(&wire), &sample, NULL), TM_OK);
    feature_pack(&packed, FEATURES_NO_STREAM, &sample);
    for (uint32_t k = 0; tables && k < rank_tables_count(tables); k++) {
        struct event row;
        assert_int_equal(event_scan(rank_tables_row(tables, candidate, rank_tables_stream(tables, k)), &row, NULL),
                         TM_OK);
        assert_true(feature_pack(&packed, rank_tables_stream(tables, k), &row));
    }
    assert_true(feature_vector_unpack(buffer_view(&packed), &vector));
    assert_int_equal(version_input_judge(v, e, &vector, &encoding, buffer_view(&packed), 1), REASON_NONE);
    memcpy(x, version_input_x(e, &vector, &encoding, buffer_view(&packed)), v->config.dimension * sizeof *x);
    feature_vector_close(&vector);
    encoding_close(&encoding);
}

static void assert_samples_have_x(const struct bench *b, const struct version *v, const struct encoder *e,
                                  const struct rank_tables *tables)
{
    float x[DENSE + N];
    for (uint32_t i = 0; i < b->q.count; i++) {
        learn_from(b, v, e, i, tables, x);
        assert_memory_equal(x, b->f.x + (size_t)i * v->config.dimension, v->config.dimension * sizeof *x);
    }
}

/* ---- requests by chance, and what their candidates are ---- */

struct candidate {
    float dense[DENSE];
    bool has[ROWS];
};

struct story {
    float context[DENSE], features[DOCS * DENSE];
    uint32_t context_ids[IDS], ids[DOCS * IDS], id_counts[DOCS];
    struct candidate candidate[DOCS];
    Request m;
};

static float number(uint64_t *seed) { return (float)((double)draw(seed) * 0x1p-63 - 1); }

/* Up to `most` increasing ids of which none is in `taken`; they are put into `has`. */
static uint32_t draw_ids(uint64_t *seed, uint32_t most, const bool *taken, bool *has, uint32_t *out)
{
    uint32_t count = 0, wanted = (uint32_t)below(seed, most + 1);
    uint32_t range = below(seed, 2) ? COUNTRIES : ROWS;
    bool chosen[ROWS] = {0};
    for (uint32_t k = 0; k < wanted; k++)
        chosen[below(seed, range)] = true;
    for (uint32_t id = 0; id < ROWS; id++)
        if (chosen[id] && !taken[id]) {
            has[id] = true;
            out[count++] = DENSE + id;
        }
    return count;
}

static void make_story(struct story *s, uint64_t *seed)
{
    bool shared_ids[ROWS] = {0}, nothing[ROWS] = {0};
    uint32_t docs = 1 + (uint32_t)below(seed, DOCS), shared = (uint32_t)below(seed, DENSE + 1), own = DENSE - shared;
    uint32_t most = (uint32_t)below(seed, IDS + 1);
    *s = (struct story){.m = TIDEMILL__V1__RANK_REQUEST__INIT};
    s->m.n_docs = docs;
    s->m.context = s->context, s->m.n_context = shared;
    s->m.features = s->features, s->m.n_features = (size_t)docs * own;
    s->m.context_ids = s->context_ids, s->m.n_context_ids = draw_ids(seed, most, nothing, shared_ids, s->context_ids);
    s->m.ids = s->ids;
    s->m.id_counts = s->id_counts, s->m.n_id_counts = docs;
    for (uint32_t k = 0; k < shared; k++)
        s->context[k] = number(seed);
    for (uint32_t i = 0; i < docs; i++) {
        struct candidate *c = &s->candidate[i];
        memcpy(c->dense, s->context, shared * sizeof(float));
        for (uint32_t k = 0; k < own; k++)
            c->dense[shared + k] = s->features[i * own + k] = below(seed, 4) ? number(seed) : -0.0f;
        memcpy(c->has, shared_ids, sizeof c->has);
        s->id_counts[i] = draw_ids(seed, most, shared_ids, c->has, s->ids + s->m.n_ids);
        s->m.n_ids += s->id_counts[i];
    }
}

/* One row alone, told in the encoder's own words. */
static void encode(const struct encoder *e, const struct candidate *c, float *x)
{
    uint32_t id[2][ROWS];
    struct encoder_bag bag[2] = {{id[0], 0}, {id[1], 0}};
    float *room = mem_new(encoder_room(e), sizeof *room);
    for (uint32_t k = 0; k < ROWS; k++)
        if (c->has[k] && k < COUNTRIES)
            id[0][bag[0].count++] = k;
        else if (c->has[k])
            id[1][bag[1].count++] = k - COUNTRIES;
    encoder_run(e, &(struct encoder_input){c->dense, bag}, 1, room, x);
    free(room);
}

static void test_candidates_are_what_their_samples_will_be(void **state)
{
    struct bench *b = *state;
    static struct story s;
    uint64_t seed = 7;
    float x[N];
    for (int round = 0; round < 300; round++) {
        make_story(&s, &seed);
        take_well(b, &b->net, b->encoder, &s.m, NULL);
        assert_samples_have_x(b, &b->net, b->encoder, NULL);
        for (uint32_t i = 0; i < s.m.n_docs; i++) {
            encode(b->encoder, &s.candidate[i], x);
            assert_memory_equal(x, b->f.x + i * N, sizeof x);
        }
    }
}

static void test_as_many_ids_of_each(void **state)
{
    struct bench *b = *state;
    Request m = TIDEMILL__V1__RANK_REQUEST__INIT;
    struct candidate c = {.dense = {1, 2, 3}};
    float x[N];
    m.n_docs = 2;
    m.context = c.dense, m.n_context = DENSE;
    m.ids = (uint32_t[]){DENSE + 1, DENSE + 5, DENSE + 5, DENSE + COUNTRIES + 2}, m.n_ids = 4;
    take_well(b, &b->net, b->encoder, &m, NULL);
    c.has[1] = c.has[5] = true;
    encode(b->encoder, &c, x);
    assert_memory_equal(x, b->f.x, sizeof x);
    c.has[1] = false;
    c.has[COUNTRIES + 2] = true;
    encode(b->encoder, &c, x);
    assert_memory_equal(x, b->f.x + N, sizeof x);
}

static void test_numbers_alone_stay_dense(void **state)
{
    struct bench *b = *state;
    static struct story s;
    uint64_t seed = 3;
    for (int round = 0; round < 20; round++) {
        make_story(&s, &seed);
        s.m.n_context_ids = s.m.n_ids = s.m.n_id_counts = 0;
        take_well(b, &b->net, b->encoder, &s.m, NULL);
        assert_samples_have_x(b, &b->net, b->encoder, NULL);
        take_well(b, &b->net, b->numbers, &s.m, NULL);
        assert_samples_have_x(b, &b->net, b->numbers, NULL);
        take_well(b, &b->plain, NULL, &s.m, NULL);
        assert_samples_have_x(b, &b->plain, NULL, NULL);
        assert_true(b->f.encoding == 0 && rank_features_sent(&b->f, 0).size == DENSE * sizeof(float));
    }
}

static void test_a_version_without_features_carries_them_along(void **state)
{
    struct bench *b = *state;
    Request m = TIDEMILL__V1__RANK_REQUEST__INIT;
    struct {
        uint32_t index[3];
        float value[3];
    } sent = {{0, 7, 9}, {0.5f, 1, 1}};
    m.n_docs = 2;
    m.features = (float[]){0, 0.5f}, m.n_features = 2;
    m.context_ids = (uint32_t[]){7}, m.n_context_ids = 1;
    m.ids = (uint32_t[]){9}, m.n_ids = 1;
    m.id_counts = (uint32_t[]){0, 1}, m.n_id_counts = 2;
    take_well(b, &b->beta, NULL, &m, NULL);
    assert_true(b->f.there && b->f.encoding == 1 && !b->f.x);
    assert_true(bytes_equal(rank_features_sent(&b->f, 1), bytes_of(&sent, sizeof sent)));
    m.n_features = m.n_context_ids = m.n_ids = m.n_id_counts = 0;
    take_well(b, &b->beta, NULL, &m, NULL);
    assert_false(b->f.there);
}

/* ---- rows of tables ---- */

static void add_row(struct rank_tables *t, const struct event *row)
{
    size_t i = 0;
    while (i == 0 || t->at[i])
        i++;
    event_encode(row, &t->rows);
    t->at[i] = t->rows.size;
}

/* Two tables: numbers, and ids behind what is left out of them. */
static struct rank_tables open_tables(const struct catalog *schema, uint32_t docs, uint64_t *seed)
{
    struct rank_tables t = {.schema = schema};
    version_input_sources(schema, &t.sources);
    t.at = mem_new(2 * docs + 2, sizeof *t.at);
    for (uint32_t i = 0; i < docs; i++) {
        float value = number(seed);
        uint32_t country = (uint32_t)below(seed, COUNTRIES);
        struct {
            uint32_t index[2];
            float value[2];
        } last = {{0, 1 + country}, {number(seed), 1}};
        add_row(&t, &(struct event){.has = EVENT_HAS_FEATURES, .features = bytes_of(&value, sizeof value)});
        add_row(&t,
                &(struct event){.has = EVENT_HAS_FEATURES, .encoding = 1, .features = bytes_of(&last, sizeof last)});
    }
    return t;
}

static void test_rows_of_tables_may_bring_ids(void **state)
{
    struct bench *b = *state;
    static struct catalog schema = {
        .join = {.streams = 3, .stream = {{.kind = JOINER_IMPRESSION}, {.kind = JOINER_TABLE}, {.kind = JOINER_TABLE}}},
        .stream_name = {"shown", "numbers", "places"}};
    Request m = TIDEMILL__V1__RANK_REQUEST__INIT;
    struct tm_error err;
    uint64_t seed = 5;
    struct rank_tables tables = open_tables(&schema, 20, &seed);
    m.n_docs = 20;
    m.context = (float[]){0.5f}, m.n_context = 1;
    take_well(b, &b->net, b->encoder, &m, &tables);
    assert_samples_have_x(b, &b->net, b->encoder, &tables);
    m.context_ids = (uint32_t[]){DENSE}, m.n_context_ids = 1;
    assert_int_equal(take(b, &b->net, b->encoder, &m, &tables, &err), TM_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "ids: rows of tables come behind what is sent"));
    rank_tables_close(&tables);
}

/* ---- what is refused ---- */

static void assert_refused(struct bench *b, const struct version *v, const struct encoder *e, Request m,
                           const char *words)
{
    struct tm_error err;
    if (m.n_docs == 0)
        m.n_docs = 2;
    assert_int_equal(take(b, v, e, &m, NULL, &err), TM_INVALID_ARGUMENT);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" is not in: %s", words, err.message);
}

static Request asking(uint32_t *context_ids, size_t n_context_ids, uint32_t *ids, size_t n_ids)
{
    static float context[DENSE] = {1, 2, 3};
    Request m = TIDEMILL__V1__RANK_REQUEST__INIT;
    m.context = context, m.n_context = DENSE;
    m.context_ids = context_ids, m.n_context_ids = n_context_ids;
    m.ids = ids, m.n_ids = n_ids;
    return m;
}

static void test_a_representation_that_is_too_long_is_refused(void **state)
{
    struct bench *b = *state;
    static char name[EVENT_ID_MAX + 2];
    Request m = asking(NULL, 0, NULL, 0);
    m.representation = memset(name, 'r', EVENT_ID_MAX + 1);
    assert_refused(b, &b->plain, NULL, m, "representation: 257 bytes; expected at most 256");
}

static void test_ids_that_are_refused(void **state)
{
    struct bench *b = *state;
    static uint32_t many[ROWS];
    for (uint32_t i = 0; i < ROWS; i++)
        many[i] = DENSE + COUNTRIES + i;
#define IDS(...) (uint32_t[]){__VA_ARGS__}, sizeof(uint32_t[]){__VA_ARGS__} / sizeof(uint32_t)
    assert_refused(b, &b->net, b->encoder, asking(IDS(2), NULL, 0), "context_ids[0]: 2; expected 3 or more");
    assert_refused(b, &b->net, b->encoder, asking(NULL, 0, IDS(3, 0)), "ids[1]: 0; expected 3 or more");
    assert_refused(b, &b->net, b->encoder, asking(IDS(5, 5), NULL, 0),
                   "context_ids[1]: 5 follows 5; expected increasing");
    assert_refused(b, &b->net, b->encoder, asking(NULL, 0, IDS(5, 6, 8, 7)),
                   "ids[3]: 7 follows 8; expected increasing");
    assert_refused(b, &b->net, b->encoder, asking(IDS(5, 9), IDS(6, 9)), "ids[1]: 9 is in context_ids, too");
    assert_refused(b, &b->net, b->encoder, asking(NULL, 0, IDS(5, 6, 7)), "ids: 3 of 2 candidates; expected as many");
    assert_refused(b, &b->net, b->encoder, asking(NULL, 0, IDS(5, DENSE + ROWS)), "docs[1]: id 1123; the encoder's");
    assert_refused(b, &b->net, b->encoder, asking(IDS(UINT32_MAX), NULL, 0),
                   "context_ids[0]: 4294967295; expected less than");
    assert_refused(b, &b->net, b->encoder, asking(many, ENCODER_BAG_MAX + 1, NULL, 0), "field tags has more than 1024");
    assert_refused(b, &b->net, b->numbers, asking(IDS(5), NULL, 0), "ids: 2 with those of context_ids; expected none");
    assert_refused(b, &b->plain, NULL, asking(NULL, 0, IDS(5, 6)), "version plain takes numbers alone");
    Request m = asking(NULL, 0, IDS(5, 6));
    m.id_counts = (uint32_t[]){2, 1}, m.n_id_counts = 2;
    assert_refused(b, &b->net, b->encoder, m, "id_counts: 3 together; expected 2, the ids");
    m.n_id_counts = 1;
    assert_refused(b, &b->net, b->encoder, m, "id_counts: 1 of 2 candidates");
    m.id_counts = (uint32_t[]){UINT32_MAX, UINT32_MAX}, m.n_id_counts = 2;
    assert_refused(b, &b->net, b->encoder, m, "id_counts: 8589934590 together; expected 2");
    struct encoder_id id = encoder_representation(b->encoder);
    m = asking(IDS(9), NULL, 0);
    m.representation = id.text;
    m.features = (float[4]){0}, m.n_features = 4; /* N of each with the context's */
    assert_refused(b, &b->net, b->encoder, m, "takes numbers alone of that representation");
#undef IDS
}

static void test_there_may_be_too_much(void **state)
{
    struct bench *b = *state;
    enum { MANY = 70000, BIG = FEATURES_MAX + 1 };
    uint32_t *ids = mem_new(MANY, sizeof *ids);
    float *numbers = mem_new(BIG, sizeof *numbers);
    for (uint32_t i = 0; i < MANY; i++)
        ids[i] = i;
    Request m = TIDEMILL__V1__RANK_REQUEST__INIT;
    m.n_docs = 1;
    m.ids = ids, m.n_ids = 65537;
    assert_refused(b, &b->beta, NULL, m, "docs[0]: 65537 ids and 0 of context_ids; expected at most 65536 together");
    m.n_ids = 0;
    m.context_ids = ids, m.n_context_ids = 1049;
    m.n_docs = 1000;
    assert_refused(b, &b->beta, NULL, m, "1049 of context_ids with each of 1000 candidates; expected at most 1048576");
    m.n_context_ids = 0;
    m.n_docs = 1;
    m.context = numbers, m.n_context = DENSE;
    m.ids = ids + DENSE, m.n_ids = 8192; /* its sample could not be learned */
    assert_refused(b, &b->net, b->encoder, m, "docs[0]: 65568 bytes of numbers and ids; expected at most 65532");
    m.n_ids = 0;
    m.n_docs = 1000;
    m.context = numbers, m.n_context = BIG;
    assert_refused(b, &b->beta, NULL, m, "features: 0 of each candidate behind 4097 of context; expected at most 4096");
    free(ids);
    free(numbers);
}

static void test_numbers_that_are_refused(void **state)
{
    struct bench *b = *state;
    Request m = asking(NULL, 0, (uint32_t[]){5, 6}, 2);
    m.n_context = 2;
    assert_refused(b, &b->net, b->encoder, m, "expected 3 together, the encoder's numbers of version net");
    m.features = (float[]){1, 2e6f}, m.n_features = 2;
    assert_refused(b, &b->net, b->encoder, m, "docs[1]: number 2: 2e+06 is not in [-1e+06, 1e+06]");
    m.features = (float[]){NAN, 1};
    assert_refused(b, &b->net, b->encoder, m, "docs[0]: number 2: nan");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(doc_names); i++) {
        CLEANUP(buffer_close) struct buffer name = {0};
        buffer_print(&name, "d%zu", i);
        buffer_put_u8(&name, 0);
        doc_names[i] = memcpy(mem_new(name.size, 1), name.data, name.size);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_candidates_are_what_their_samples_will_be, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_as_many_ids_of_each, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_numbers_alone_stay_dense, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_a_version_without_features_carries_them_along, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_rows_of_tables_may_bring_ids, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_ids_that_are_refused, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_a_representation_that_is_too_long_is_refused, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_there_may_be_too_much, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(test_numbers_that_are_refused, open_bench, close_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
