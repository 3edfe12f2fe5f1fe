/* Embeddings: their gradients against differences of the loss, and what the header promises about beginnings, bounds,
 * admission, expiry and corrections. */
#include "learner/embedding.h"

#include "tests/unit/regression.h"

enum { DOC = 77 };

static struct model_config embedding(uint32_t dimension, enum optimizer_kind kind)
{
    struct model_config config = plain(dimension, true, COVARIANCE_DIAGONAL);
    config.prior_sd = 0.01;
    config.intercept_mean = -1.5;
    config.reward_min = -10;
    config.reward_max = 10;
    config.embedding = (struct embedding_config){.optimizer = {.kind = kind,
                                                               .rate = 0.1,
                                                               .momentum = 0.5,
                                                               .beta1 = 0.9,
                                                               .beta2 = 0.999,
                                                               .epsilon = 1e-6,
                                                               .beta = 1,
                                                               .clip = 10},
                                                 .norm_max = 10,
                                                 .admit_at = 1,
                                                 .admit_share = 1,
                                                 .seed = 5};
    return config;
}

static struct embedding_block *embedding_new(const struct model_config *config)
{
    return block_new(&model_embedding, config);
}

static struct example shown(const float *x, double reward)
{
    struct example e = sample(x, reward);
    e.item = DOC;
    return e;
}

static void learn_it(const struct model_config *config, struct embedding_block *b, struct example e)
{
    model_embedding.learn(config, b, &e, 1);
}

static void weights(const struct model_config *config, const struct embedding_block *b, double *out)
{
    model_embedding.values(config, b, NOON, out);
}

/* ---- learning ---- */

static double loss_at(const struct model_config *config, const double *w, const struct example *e)
{
    double a = e->offset + (config->intercept ? w[config->dimension] : 0);
    for (uint32_t i = 0; i < config->dimension; i++)
        a += w[i] * (double)e->x[i];
    if (config->embedding.loss == LOSS_LOGISTIC)
        return e->weight * (softplus(a) - e->reward * a);
    return e->weight * 0.5 * (a - e->reward) * (a - e->reward);
}

/* SGD at rate 1 moves by minus the gradient, which central differences of the loss give, too. */
static void test_gradients(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (int run = 0; run < 300; run++) {
        struct model_config config = embedding(1 + (uint32_t)below(&seed, 20), OPTIMIZER_SGD);
        float x[N_MAX];
        double before[N_MAX], after[N_MAX];
        config.intercept = run % 3 != 0;
        config.prior_sd = 0.3;
        config.embedding.loss = run % 2 ? LOSS_LOGISTIC : LOSS_SQUARED;
        config.embedding.optimizer.rate = 1;
        config.embedding.optimizer.clip = config.embedding.norm_max = 1000;
        struct embedding_block *b = embedding_new(&config);
        fill_features(&seed, x, config.dimension, 1);
        struct example first = shown(x, 0), e = first;
        first.weight = 0; /* makes the vector, moves nothing */
        learn_it(&config, b, first);
        fill_features(&seed, x, config.dimension, 1);
        e.reward = uniform(&seed);
        e.weight = 2 * uniform(&seed);
        e.offset = run % 2 ? normal(&seed) : 0;
        weights(&config, b, before);
        learn_it(&config, b, e);
        weights(&config, b, after);
        for (uint32_t i = 0; i < model_weights(&config); i++) {
            double w[N_MAX], h = 1e-5;
            memcpy(w, before, sizeof w);
            w[i] = before[i] + h;
            double above = loss_at(&config, w, &e);
            w[i] = before[i] - h;
            assert_near(before[i] - after[i], (above - loss_at(&config, w, &e)) / (2 * h), 1e-6, "gradient");
        }
        free(b);
    }
}

/* Every optimizer comes near the weights that made the rewards. */
static void test_learns(void **state)
{
    static const double truth[] = {0.8, -0.5, 0.3, -1.5};
    static const double rates[OPTIMIZER_COUNT] = {0.02, 0.02, 0.2, 0.2, 0.005, 0.2};
    (void)state;
    for (int kind = 0; kind < OPTIMIZER_COUNT; kind++)
        for (int loss = LOSS_LOGISTIC; loss <= LOSS_SQUARED; loss++) {
            struct model_config config = embedding(3, (enum optimizer_kind)kind);
            uint64_t seed = 2;
            double w[4];
            config.embedding.loss = (enum embedding_loss)loss;
            config.embedding.optimizer.rate = rates[kind];
            struct embedding_block *b = embedding_new(&config);
            for (int j = 0; j < 60000; j++) {
                float x[3];
                fill_features(&seed, x, 3, 1);
                double a = truth[3];
                for (int i = 0; i < 3; i++)
                    a += truth[i] * (double)x[i];
                double reward =
                    loss == LOSS_LOGISTIC ? uniform(&seed) < lr_logistic(a) : fmax(-10, a + 0.5 * normal(&seed));
                learn_it(&config, b, shown(x, reward));
            }
            weights(&config, b, w);
            for (int i = 0; i < 4; i++)
                if (fabs(w[i] - truth[i]) > 0.25)
                    fail_msg("%s, loss %d: weight %d is %g, not %g", optimizer_name((enum optimizer_kind)kind), loss, i,
                             w[i], truth[i]);
            free(b);
        }
}

/* A vector is a function of (seed, document); its numbers look as they should. */
static void test_start(void **state)
{
    enum { WIDE = 4000 };
    static double a[WIDE + 1], c[WIDE + 1];
    static float x[WIDE];
    struct model_config config = embedding(WIDE, OPTIMIZER_ADAGRAD);
    struct example e = shown(x, 0);
    double sum = 0, square = 0;
    (void)state;
    e.weight = 0;
    for (int kind = 0; kind < OPTIMIZER_COUNT; kind++) {
        config.embedding.optimizer.kind = (enum optimizer_kind)kind;
        struct embedding_block *b = embedding_new(&config);
        learn_it(&config, b, e);
        weights(&config, b, kind ? c : a);
        for (int i = 0; kind && i <= WIDE; i++) /* FTRL keeps its weights in other numbers: they round */
            assert_true(fabs(c[i] - a[i]) <= (kind == OPTIMIZER_FTRL ? 2e-7 * fabs(a[i]) : 0));
        free(b);
    }
    for (int i = 0; i < WIDE; i++) {
        sum += a[i];
        square += a[i] * a[i];
    }
    assert_true(fabs(sum / WIDE) < 4 * 0.01 / sqrt(WIDE));
    assert_near(sqrt(square / WIDE), 0.01, 0.05 * 0.01, "sd");
    assert_near(a[WIDE], -1.5, 1e-7, "bias");
    for (int other = 0; other < 2; other++) { /* another document, another seed */
        struct model_config changed = config;
        struct example its = e;
        changed.embedding.seed += (uint64_t)other;
        its.item += (uint64_t)!other;
        struct embedding_block *b = embedding_new(&changed);
        learn_it(&changed, b, its);
        weights(&changed, b, c);
        for (int i = 0; i < 10; i++)
            assert_true(a[i] != c[i]);
        free(b);
    }
}

/* ---- bounds ---- */

static void test_never_nan(void **state)
{
    static const double scales[] = {0, 1e-20, 1e-3, 1, 1e6};
    (void)state;
    for (uint64_t run = 1; run <= 240; run++) {
        uint64_t seed = run;
        struct model_config config =
            embedding(1 + (uint32_t)below(&seed, 16), (enum optimizer_kind)(run % OPTIMIZER_COUNT));
        struct optimizer_config *o = &config.embedding.optimizer;
        config.feature_max = 1e6;
        config.embedding.loss = run % 2 ? LOSS_LOGISTIC : LOSS_SQUARED;
        config.reward_max = 1e6;
        config.embedding.norm_max = run % 5 ? 3 : 1e6;
        o->rate = pow(10, (double)below(&seed, 10) - 6);
        o->clip = pow(10, (double)below(&seed, 13) - 6);
        o->l2 = run % 3 ? 0 : 1000 * uniform(&seed);
        o->momentum = 0.999;
        struct embedding_block *b = embedding_new(&config);
        for (int i = 0; i < 300; i++) {
            float x[N_MAX];
            double scale = scales[below(&seed, ARRAY_LEN(scales))], length = 0;
            for (uint32_t k = 0; k < config.dimension; k++)
                x[k] = (float)(scale * (2 * uniform(&seed) - 1));
            struct example e = shown(x, (double)below(&seed, 2));
            e.weight = below(&seed, 10) ? uniform(&seed) : FEATURES_WEIGHT_MAX;
            learn_it(&config, b, e);
            struct correction c = {e, e};
            c.after.reward = 1 - e.reward;
            if (below(&seed, 4) == 0)
                model_embedding.correct(&config, b, &c);
            for (uint32_t k = 0; k < config.dimension; k++)
                length += (double)b->value[k] * (double)b->value[k];
            if (!model_embedding.valid(&config, b) || sqrt(length) > config.embedding.norm_max * (1 + 1e-6))
                fail_msg("run %d, sample %d: not valid, or of length %g", (int)run, i, sqrt(length));
        }
        free(b);
    }
}

static void test_norm(void **state)
{
    static const float x[] = {3, 4};
    struct model_config config = embedding(2, OPTIMIZER_SGD);
    double w[3];
    (void)state;
    config.embedding.loss = LOSS_SQUARED;
    config.embedding.norm_max = 0.5;
    struct embedding_block *b = embedding_new(&config);
    for (int i = 0; i < 3; i++)
        learn_it(&config, b, shown(x, 10));
    weights(&config, b, w);
    assert_near(hypot(w[0], w[1]), 0.5, 1e-6, "length");
    assert_near(w[0] / w[1], 0.75, 0.1, "direction");
    assert_true(b->head.repairs > 0);
    free(b);
}

static void test_largest_bias(void **state)
{
    static const float x[] = {0, 0};
    struct model_config config = embedding(2, OPTIMIZER_SGD);
    double w[3];
    (void)state;
    config.embedding.loss = LOSS_SQUARED;
    config.reward_max = config.embedding.optimizer.clip = 1e6;
    config.embedding.optimizer.rate = 1000;
    struct embedding_block *b = embedding_new(&config);
    learn_it(&config, b, shown(x, 1e6));
    weights(&config, b, w);
    assert_near(w[2], EMBEDDING_BIAS_MAX, 1e-6, "bias");
    assert_int_equal(b->head.repairs, 1);
    free(b);
}

/* l1 and l2 hold vectors small, and leave the base rate alone. */
static void test_bias_is_not_pulled(void **state)
{
    static const float x[] = {0, 0};
    (void)state;
    for (int kind = 0; kind < OPTIMIZER_COUNT; kind++) {
        struct model_config config = embedding(2, (enum optimizer_kind)kind);
        struct example still = shown(x, 0);
        double w[3];
        config.embedding.optimizer.l1 = 10;
        config.embedding.optimizer.l2 = 0.5;
        config.prior_sd = 0.5;
        still.weight = 0;
        struct embedding_block *b = embedding_new(&config);
        learn_it(&config, b, still);
        weights(&config, b, w);
        double length = hypot(w[0], w[1]);
        for (int i = 0; i < 20; i++)
            learn_it(&config, b, still);
        weights(&config, b, w);
        assert_near(w[2], -1.5, 1e-6, "bias");
        assert_true(kind == OPTIMIZER_FTRL || hypot(w[0], w[1]) < 0.95 * length);
        config.intercept_mean = 0;
        model_embedding.init(&config, b);
        learn_it(&config, b, shown(x, 1));
        weights(&config, b, w);
        assert_true(w[2] > 0.001);
        free(b);
    }
}

/* ---- batches ---- */

/* SGD at rate 1 moves by minus the sum of the gradients at the weights in front of the batch. */
static void test_a_batch_is_one_step(void **state)
{
    enum { MOST = 9 };
    uint64_t seed = 5;
    (void)state;
    for (int run = 0; run < 200; run++) {
        struct model_config config = embedding(1 + (uint32_t)below(&seed, 20), OPTIMIZER_SGD);
        float x[MOST][N_MAX];
        struct example batch[MOST], first;
        double before[N_MAX], after[N_MAX];
        size_t count = 1 + below(&seed, MOST);
        config.prior_sd = 0.3;
        config.embedding.optimizer.rate = 1;
        config.embedding.optimizer.clip = config.embedding.norm_max = 1000;
        struct embedding_block *b = embedding_new(&config);
        for (size_t i = 0; i < count; i++) {
            fill_features(&seed, x[i], config.dimension, 1);
            batch[i] = shown(x[i], (double)below(&seed, 2));
            batch[i].weight = 2 * uniform(&seed);
        }
        first = batch[0];
        first.weight = 0; /* makes the vector, moves nothing */
        learn_it(&config, b, first);
        weights(&config, b, before);
        model_embedding.learn(&config, b, batch, count);
        weights(&config, b, after);
        assert_int_equal(b->head.positives + b->head.negatives, count + 1);
        for (uint32_t i = 0; i < model_weights(&config); i++) {
            double sum = 0, h = 1e-5, w[N_MAX];
            for (size_t k = 0; k < count; k++) {
                memcpy(w, before, sizeof w);
                w[i] = before[i] + h;
                double above = loss_at(&config, w, &batch[k]);
                w[i] = before[i] - h;
                sum += (above - loss_at(&config, w, &batch[k])) / (2 * h);
            }
            assert_near(before[i] - after[i], sum, 1e-5, "sum of gradients");
        }
        free(b);
    }
}

/* Whatever the optimizer: a batch of four alike is a sample that weighs as much as all of them. */
static void test_a_batch_of_twins_is_one_sample(void **state)
{
    static const float x[] = {1, -0.5f};
    (void)state;
    for (int kind = 0; kind < OPTIMIZER_COUNT; kind++) {
        struct model_config config = embedding(2, (enum optimizer_kind)kind);
        struct embedding_block *b = embedding_new(&config), *c = embedding_new(&config);
        double have[3], want[3];
        config.embedding.optimizer.l2 = 0.125;
        for (int i = 0; i < 20; i++) {
            struct example e = shown(x, i % 3 == 0), heavy = e, twins[] = {e, e, e, e};
            heavy.weight = 4;
            model_embedding.learn(&config, b, twins, ARRAY_LEN(twins));
            learn_it(&config, c, heavy);
        }
        weights(&config, b, have);
        weights(&config, c, want);
        assert_memory_equal(have, want, sizeof have);
        assert_int_equal(b->head.positives, 4 * c->head.positives);
        free(b);
        free(c);
    }
}

static void test_a_batch_in_which_a_document_is_admitted(void **state)
{
    static const float x[] = {1, 2}, y[] = {-1, 0.5f};
    struct model_config config = embedding(2, OPTIMIZER_ADAM), at_once = config;
    struct embedding_block *b = embedding_new(&config), *c = embedding_new(&at_once);
    struct example batch[] = {shown(x, 1), shown(y, 1), shown(x, 0), shown(y, 1), shown(x, 1)};
    double have[3], want[3];
    (void)state;
    config.embedding.admit_at = 3;
    model_embedding.learn(&config, b, batch, ARRAY_LEN(batch));
    model_embedding.learn(&at_once, c, batch + 2, ARRAY_LEN(batch) - 2);
    weights(&config, b, have);
    weights(&at_once, c, want);
    assert_memory_equal(have, want, sizeof have);
    assert_true(b->seen == 3 && b->head.positives == 2 && b->head.negatives == 1);
    free(b);
    free(c);
}

/* ---- admission, expiry ---- */

static void test_admission_by_count(void **state)
{
    static const float x[] = {1, 2};
    struct model_config config = embedding(2, OPTIMIZER_ADAGRAD), at_once = config;
    struct embedding_block *b = embedding_new(&config), *c = embedding_new(&at_once);
    struct summary s;
    double have[3], want[3];
    (void)state;
    config.embedding.admit_at = 4;
    for (uint32_t i = 1; i < 4; i++) {
        learn_it(&config, b, shown(x, 1));
        assert_true(!embedding_admitted(b) && b->seen == i && model_embedding.valid(&config, b));
        for (size_t k = 0; k < model_embedding.block_size(&config) - sizeof *b; k++)
            assert_int_equal(((const uint8_t *)b->value)[k], 0);
        weights(&config, b, have);
        assert_true(have[0] == 0 && have[1] == 0 && have[2] == -1.5);
        model_embedding.summarise(&config, b, &s);
        assert_true(s.samples == 0 && s.updated_at == 0);
    }
    for (int i = 0; i < 5; i++) { /* from here on as if nothing had been before */
        learn_it(&config, b, shown(x, i % 2));
        learn_it(&at_once, c, shown(x, i % 2));
        weights(&config, b, have);
        weights(&at_once, c, want);
        assert_memory_equal(have, want, sizeof have);
    }
    model_embedding.summarise(&config, b, &s);
    assert_true(embedding_admitted(b) && b->seen == 4 && s.samples == 5 && s.updated_at == NOON);
    free(b);
    free(c);
}

static void test_admission_by_share(void **state)
{
    static const float x[] = {1};
    enum { DOCUMENTS = 4000 };
    struct model_config config = embedding(1, OPTIMIZER_SGD);
    double sights = 0;
    int at_first = 0;
    (void)state;
    config.embedding.admit_share = 0.25;
    for (uint64_t doc = 0; doc < DOCUMENTS; doc++) {
        struct embedding_block *b = embedding_new(&config);
        struct example e = shown(x, 0);
        e.item = draw_key(bytes_of(&doc, sizeof doc));
        for (int i = 0; i < 200 && !embedding_admitted(b); i++)
            learn_it(&config, b, e);
        assert_true(embedding_admitted(b));
        sights += b->seen;
        at_first += b->seen == 1;
        free(b);
    }
    assert_near(sights / DOCUMENTS, 4, 4 * sqrt(12.0 / DOCUMENTS) / 4,
                "sights until admitted"); /* geometric: sd^2 12 */
    assert_near((double)at_first / DOCUMENTS, 0.25, 4 * sqrt(0.1875 / DOCUMENTS), "admitted at first sight");
}

static void test_expiry(void **state)
{
    static const float x[] = {1, 2};
    struct model_config config = embedding(2, OPTIMIZER_ADAGRAD);
    struct embedding_block *b = embedding_new(&config);
    double w[3];
    struct score s;
    struct belief belief;
    (void)state;
    config.embedding.expire_after = HOUR;
    assert_false(embedding_expired(&config, b, INT64_MAX));
    learn_it(&config, b, shown(x, 1));
    struct example earlier = shown(x, 1);
    earlier.time = NOON - HOUR / 2;
    learn_it(&config, b, earlier); /* its time takes nothing back */
    assert_false(embedding_expired(&config, b, NOON + HOUR));
    assert_true(embedding_expired(&config, b, NOON + HOUR + 1));
    model_embedding.score(&config, b, x, NOON + HOUR, &s);
    assert_true(s.mean > -1.4);
    model_embedding.score(&config, b, x, NOON + HOUR + 1, &s);
    assert_true(s.mean == -1.5 && s.variance == 0);
    assert_near(s.expected, lr_logistic(-1.5), 1e-12, "expected");
    model_embedding.values(&config, b, NOON + HOUR + 1, w);
    assert_true(w[0] == 0 && w[1] == 0 && w[2] == -1.5);
    model_embedding.describe(&config, b, NOON + HOUR + 1, &belief);
    assert_true(belief.positives == 0 && belief.updated_at == 0);
    model_embedding.describe(&config, b, NOON, &belief);
    assert_true(belief.positives == 2 && belief.updated_at == NOON && belief.mean > lr_logistic(-1.5));
    config.embedding.expire_after = 0;
    assert_false(embedding_expired(&config, b, INT64_MAX));
    free(b);
}

/* ---- corrections ---- */

/* With SGD a flip is exact, at whatever weights it comes: the step that the label alone made is made the other way. */
static void test_flip_is_the_difference(void **state)
{
    struct model_config config = embedding(5, OPTIMIZER_SGD);
    struct embedding_block *b = embedding_new(&config);
    uint64_t seed = 6;
    float x[5];
    double before[6], after[6];
    (void)state;
    config.embedding.optimizer.l2 = 0.1;
    for (int i = 0; i < 50; i++) {
        fill_features(&seed, x, 5, 1);
        learn_it(&config, b, shown(x, 0));
    }
    struct correction c = {shown(x, 0), shown(x, 1)};
    c.before.weight = c.after.weight = 0.7;
    weights(&config, b, before);
    model_embedding.correct(&config, b, &c);
    weights(&config, b, after);
    for (int i = 0; i < 6; i++)
        assert_near(after[i] - before[i], 0.1 * 0.7 * (i < 5 ? (double)x[i] : 1), 1e-6, "flip");
    assert_true(b->head.positives == 1 && b->head.negatives == 49);
    free(b);
}

/* What late positives leave behind, as excess log-loss per sample over the true weights: while the stream goes on, those
 * of the last DELAY samples still to come; and when it has ended, all of them mended. */
enum { FACTORS = 8, STREAM = 4000, DELAY = 150 };
enum handling { KNOWN_AT_FIRST, MENDED, MENDED_TO_THE_END, IGNORED, HANDLINGS };

struct stream {
    const struct model_config *config;
    double truth[FACTORS + 1];
    float x[STREAM][FACTORS];
    bool y[STREAM], late[STREAM];
};

static double score_at(const double *w, const float *x)
{
    double a = w[FACTORS];
    for (int i = 0; i < FACTORS; i++)
        a += w[i] * (double)x[i];
    return a;
}

static void stream_make(struct stream *s, uint64_t seed)
{
    for (int i = 0; i < FACTORS; i++)
        s->truth[i] = 0.5 * normal(&seed);
    s->truth[FACTORS] = -2;
    for (size_t j = 0; j < STREAM; j++) {
        fill_features(&seed, s->x[j], FACTORS, 1);
        s->y[j] = uniform(&seed) < lr_logistic(score_at(s->truth, s->x[j]));
        s->late[j] = s->y[j] && uniform(&seed) < 0.3;
    }
}

static double excess(const struct stream *s, const double *w)
{
    enum { PROBES = 2000 };
    uint64_t seed = 99;
    double sum = 0;
    for (int j = 0; j < PROBES; j++) {
        float x[FACTORS];
        fill_features(&seed, x, FACTORS, 1);
        double a = score_at(w, x), t = score_at(s->truth, x), p = lr_logistic(t);
        sum += (softplus(a) - p * a) - (softplus(t) - p * t);
    }
    return sum / PROBES;
}

static void mend(const struct stream *s, struct embedding_block *b, size_t j)
{
    struct correction c = {shown(s->x[j], 0), shown(s->x[j], 1)};
    if (s->late[j])
        model_embedding.correct(s->config, b, &c);
}

static double outcome(const struct stream *s, enum handling handling)
{
    struct embedding_block *b = embedding_new(s->config);
    double w[FACTORS + 1];
    bool mended = handling == MENDED || handling == MENDED_TO_THE_END;
    for (size_t j = 0; j < STREAM; j++) {
        learn_it(s->config, b, shown(s->x[j], s->y[j] && (handling == KNOWN_AT_FIRST || !s->late[j])));
        if (mended && j >= DELAY)
            mend(s, b, j - DELAY);
    }
    for (size_t j = STREAM - DELAY; handling == MENDED_TO_THE_END && j < STREAM; j++)
        mend(s, b, j);
    weights(s->config, b, w);
    free(b);
    return excess(s, w);
}

static void test_corrections_against_refitting(void **state)
{
    enum { RUNS = 20 };
    static const double rates[OPTIMIZER_COUNT] = {0.02, 0.01, 0.1, 0.3, 0.003, 0.1};
    static struct stream s;
    (void)state;
    for (int kind = 0; kind < OPTIMIZER_COUNT; kind++) {
        struct model_config config = embedding(FACTORS, (enum optimizer_kind)kind);
        double sum[HANDLINGS] = {0};
        config.embedding.optimizer.rate = rates[kind];
        s.config = &config;
        for (uint64_t run = 1; run <= RUNS; run++) {
            stream_make(&s, run);
            for (int h = 0; h < HANDLINGS; h++)
                sum[h] += 1000 * outcome(&s, (enum handling)h) / RUNS;
        }
        double known = sum[KNOWN_AT_FIRST], lost = sum[IGNORED] - known;
        if (sum[MENDED] > known + 0.05 * lost || sum[MENDED_TO_THE_END] > known + 0.3 * lost)
            fail_msg("%s: 1000 x excess log-loss: known %.2f, mended %.2f, to the end %.2f, ignored %.2f",
                     optimizer_name((enum optimizer_kind)kind), known, sum[MENDED], sum[MENDED_TO_THE_END],
                     sum[IGNORED]);
    }
}

/* ---- refusals, reading ---- */

static void test_check(void **state)
{
    (void)state;
    for (int i = 0; i < 16; i++) {
        struct model_config config = embedding(2, OPTIMIZER_ADAGRAD);
        struct embedding_config *e = &config.embedding;
        const char *message = NULL;
        /* clang-format off */
        switch (i) {
        case 1:  config.dimension = 0;       message = "dimension"; break;
        case 2:  config.dimension = 4096;    message = "dimension: 4096 is not in [1, 4095]"; break;
        case 3:  config.decay_per_ms = 1e-9; message = "forgetting"; break;
        case 4:  e->admit_at = 0;            message = "admit_at"; break;
        case 5:  e->admit_share = 0;         message = "admit_share"; break;
        case 6:  e->admit_share = NAN;       message = "admit_share"; break;
        case 7:  e->expire_after = -1;       message = "expire_after: -1 ms"; break;
        case 8:  e->norm_max = 0;            message = "norm_max"; break;
        case 9:  e->norm_max = INFINITY;     message = "norm_max"; break;
        case 10: e->optimizer.rate = 0;      message = "adagrad: rate"; break;
        case 11: config.prior_sd = NAN;      message = "prior sd"; break;
        case 12: e->loss = LOSS_SQUARED; config.reward_min = 10;       message = "rewards: [10, 10]"; break;
        case 13: e->loss = LOSS_SQUARED; config.reward_max = INFINITY; message = "rewards"; break;
        case 14: config.prior_count = 2;     message = "prior: "; break;
        case 15: config.dimension = 4095;    break;
        }
        /* clang-format on */
        struct tm_error err = {0};
        assert_int_equal(model_embedding.check(&config, &err), message ? TM_INVALID_ARGUMENT : TM_OK);
        if (message && !strstr(err.message, message))
            fail_msg("case %d: \"%s\" does not say \"%s\"", i, err.message, message);
        if (!message)
            assert_true(model_embedding.block_size(&config) <= MODEL_BLOCK_MAX);
    }
}

static void test_takes(void **state)
{
    static const float fine[] = {1, 2}, nan[] = {1, NAN};
    const struct {
        const char *message; /* NULL: taken */
        enum embedding_loss loss;
        struct example e;
    } cases[] = {
        {NULL, LOSS_LOGISTIC, {.reward = 1, .weight = 1, .x = fine, .offset = 2}},
        {NULL, LOSS_SQUARED, {.reward = -9, .weight = 1, .x = fine}},
        {"features[1]", LOSS_LOGISTIC, {.reward = 1, .weight = 1, .x = nan}},
        {"features[1]", LOSS_SQUARED, {.reward = 1, .weight = 1, .x = nan}},
        {"reward", LOSS_LOGISTIC, {.reward = -9, .weight = 1, .x = fine}},
        {"reward", LOSS_SQUARED, {.reward = 11, .weight = 1, .x = fine}},
        {"reward", LOSS_SQUARED, {.reward = NAN, .weight = 1, .x = fine}},
        {"offset", LOSS_SQUARED, {.reward = 1, .weight = 1, .x = fine, .offset = 1}},
        {"weight", LOSS_SQUARED, {.reward = 1, .weight = -1, .x = fine}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_config config = embedding(2, OPTIMIZER_SGD);
        struct tm_error err = {0};
        config.embedding.loss = cases[i].loss;
        enum tm_code want = cases[i].message ? TM_INVALID_ARGUMENT : TM_OK;
        assert_int_equal(model_embedding.takes(&config, &cases[i].e, &err), want);
        if (cases[i].message && !strstr(err.message, cases[i].message))
            fail_msg("case %zu: \"%s\" does not name \"%s\"", i, err.message, cases[i].message);
    }
}

/* What it says that it takes it takes, to the ends, and nothing beyond. */
static void test_rewards(void **state)
{
    static const float x[] = {1, 2};
    (void)state;
    for (enum embedding_loss loss = LOSS_LOGISTIC; loss <= LOSS_SQUARED; loss++) {
        struct model_config config = embedding(2, OPTIMIZER_SGD);
        double low, high;
        config.embedding.loss = loss;
        model_embedding.rewards(&config, &low, &high);
        const double rewards[] = {low, high, low - 0.5, high + 0.5};
        for (size_t i = 0; i < ARRAY_LEN(rewards); i++) {
            const struct example e = {.reward = rewards[i], .weight = 1, .x = x};
            assert_int_equal(model_embedding.takes(&config, &e, NULL), i < 2 ? TM_OK : TM_INVALID_ARGUMENT);
        }
    }
}

static struct model_config two;
static const float nowhere[] = {NAN, 0}, somewhere[] = {1, 1};
static void learn_nan(void) { learn_it(&two, embedding_new(&two), shown(nowhere, 1)); }
static void correct_what_was_only_counted(void)
{
    struct embedding_block *b = embedding_new(&two);
    learn_it(&two, b, shown(somewhere, 0));
    struct correction c = {shown(somewhere, 0), shown(somewhere, 1)};
    model_embedding.correct(&two, b, &c);
}

static void test_checks(void **state)
{
    (void)state;
    two = embedding(2, OPTIMIZER_SGD);
    two.embedding.admit_at = 2;
    assert_stops(learn_nan);
    assert_stops(correct_what_was_only_counted);
}

static void test_reading(void **state)
{
    static const char *const names[] = {"vector[0]", "vector[1]", "bias"};
    struct model_config config = embedding(2, OPTIMIZER_FTRL);
    struct embedding_block *b = embedding_new(&config);
    struct value_name name;
    double w[3];
    struct score s, prior;
    (void)state;
    assert_int_equal(model_embedding.width(&config), ARRAY_LEN(names));
    for (uint32_t i = 0; i < ARRAY_LEN(names); i++) {
        model_embedding.value_name(&config, i, &name);
        assert_string_equal(name.text, names[i]);
    }
    for (int i = 0; i < 20; i++)
        learn_it(&config, b, shown(somewhere, 1));
    weights(&config, b, w);
    model_embedding.score(&config, b, somewhere, NOON, &s);
    assert_near(s.mean, w[0] + w[1] + w[2], 1e-12, "score");
    assert_near(s.expected, lr_logistic(s.mean), 1e-12, "expected");
    assert_true(score_draw(&s, 3) == s.mean);
    model_embedding.score(&config, NULL, somewhere, NOON, &prior);
    assert_true(prior.mean == -1.5 && s.mean > prior.mean);
    assert_true(model_embedding.valid(&config, b));
    float was = b->value[0];
    b->value[0] = NAN;
    assert_false(model_embedding.valid(&config, b));
    b->value[0] = was;
    b->admitted = 0; /* with something behind the head */
    assert_false(model_embedding.valid(&config, b));
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_never_nan),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_largest_bias),
        cmocka_unit_test(test_bias_is_not_pulled),
        cmocka_unit_test(test_a_batch_is_one_step),
        cmocka_unit_test(test_a_batch_of_twins_is_one_sample),
        cmocka_unit_test(test_a_batch_in_which_a_document_is_admitted),
        cmocka_unit_test(test_admission_by_count),
        cmocka_unit_test(test_admission_by_share),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_flip_is_the_difference),
        cmocka_unit_test(test_corrections_against_refitting),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_takes),
        cmocka_unit_test(test_rewards),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
