/* Logistic regression against the true posterior, which an importance sampler finds: documents whose weights are drawn
 * from the prior, a few hundred samples each, features correlated, about one sample in eight positive. In front of
 * importance sampling nobody has to argue: it weighs draws by likelihood and prior themselves.
 *
 *   test_posterior                   1,000 documents; 60 under a sanitizer, which makes them slow
 *   test_posterior --documents N */
#include "tests/unit/regression.h"

#include "learner/lr_full.h"
#include "learner/vector.h"

enum { WEIGHTS_MAX = 8, SAMPLES_MAX = 300, DRAWS = 4000 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static int documents = 60;
#else
static int documents = 1000;
#endif

struct document {
    struct model_config config;
    uint32_t n;
    double truth[WEIGHTS_MAX];
    size_t count;
    double x[SAMPLES_MAX][WEIGHTS_MAX]; /* intercept included */
    bool positive[SAMPLES_MAX];
    struct lr_full_block *block;
};

static void document_open(struct document *d, uint64_t *seed)
{
    float x[WEIGHTS_MAX];
    d->n = 2 + (uint32_t)below(seed, WEIGHTS_MAX - 1);
    d->config = plain(d->n - 1, true, COVARIANCE_FULL);
    d->config.intercept_mean = -2;
    d->count = 20 + below(seed, SAMPLES_MAX - 20);
    d->block = block_new(&model_lr_full, &d->config);
    for (uint32_t i = 0; i < d->n; i++)
        d->truth[i] = features_prior_mean(&d->config, i) + normal(seed);
    for (size_t j = 0; j < d->count; j++) {
        double common = normal(seed);
        for (uint32_t i = 0; i + 1 < d->n; i++)
            x[i] = (float)(0.6 * common + 0.8 * normal(seed));
        features_expand(&d->config, x, d->x[j]);
        d->positive[j] = uniform(seed) < lr_logistic(vector_dot(d->x[j], d->truth, d->n));
        struct example e = sample(x, d->positive[j]);
        model_lr_full.learn(&d->config, d->block, &e, 1);
    }
}

/* ln of prior times likelihood, up to a constant. */
static double log_posterior(const struct document *d, const double *w)
{
    double sum = 0;
    for (uint32_t i = 0; i < d->n; i++) {
        double off = w[i] - features_prior_mean(&d->config, i);
        sum -= 0.5 * off * off;
    }
    for (size_t j = 0; j < d->count; j++) {
        double a = vector_dot(d->x[j], w, d->n);
        sum -= softplus(d->positive[j] ? -a : a);
    }
    return sum;
}

/* l l' = the block's covariance. */
static void factor(const struct document *d, double l[WEIGHTS_MAX][WEIGHTS_MAX])
{
    const double *covariance = d->block->value + d->n;
    for (uint32_t i = 0; i < d->n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double rest = covariance[packed_at(i, j)] - vector_dot(l[i], l[j], j);
            l[i][j] = i == j ? sqrt(rest) : rest / l[j][j];
        }
}

struct truth {
    double mean[WEIGHTS_MAX], sd[WEIGHTS_MAX];
    double effective; /* share of the draws that count */
};

/* Draws from the block's belief, widened by half and with the tails of Student's t of 5 degrees of freedom. */
static void importance_sample(const struct document *d, uint64_t *seed, struct truth *out)
{
    static double w[DRAWS][WEIGHTS_MAX], weight[DRAWS];
    double l[WEIGHTS_MAX][WEIGHTS_MAX] = {{0}}, most = -INFINITY, mass = 0, square = 0;
    factor(d, l);
    for (int k = 0; k < DRAWS; k++) {
        double z[WEIGHTS_MAX], chi = 0, distance = 0;
        for (int i = 0; i < 5; i++) {
            double v = normal(seed);
            chi += v * v;
        }
        double stretch = 1.2 * sqrt(5 / chi);
        for (uint32_t i = 0; i < d->n; i++) {
            z[i] = stretch * normal(seed);
            distance += z[i] * z[i] / (1.2 * 1.2);
        }
        for (uint32_t i = 0; i < d->n; i++)
            w[k][i] = d->block->value[i] + vector_dot(l[i], z, i + 1);
        weight[k] = log_posterior(d, w[k]) + 0.5 * (5 + d->n) * log1p(distance / 5);
        most = fmax(most, weight[k]);
    }
    for (int k = 0; k < DRAWS; k++) {
        weight[k] = exp(weight[k] - most);
        mass += weight[k];
        square += weight[k] * weight[k];
    }
    out->effective = mass * mass / square / DRAWS;
    for (uint32_t i = 0; i < d->n; i++) {
        double first = 0, second = 0, centre = d->block->value[i];
        for (int k = 0; k < DRAWS; k++) {
            first += weight[k] * (w[k][i] - centre);
            second += weight[k] * (w[k][i] - centre) * (w[k][i] - centre);
        }
        first /= mass;
        out->mean[i] = centre + first;
        out->sd[i] = sqrt(second / mass - first * first);
    }
}

struct tally {
    double error, wide, spread, effective; /* sums over weights: |mean off| / sd, sd ratio - 1, |sd ratio - 1| */
    int weights, covered;
};

static void compare(const struct document *d, const struct truth *t, struct tally *out)
{
    for (uint32_t i = 0; i < d->n; i++) {
        double mean = d->block->value[i], sd = sqrt(d->block->value[d->n + packed_diagonal(i)]);
        out->error += fabs(mean - t->mean[i]) / t->sd[i];
        out->wide += sd / t->sd[i] - 1;
        out->spread += fabs(sd / t->sd[i] - 1);
        out->covered += fabs(d->truth[i] - mean) <= 1.959963984540054 * sd;
        out->weights++;
    }
}

static void test_posterior(void **state)
{
    static struct document d;
    struct tally t = {0};
    uint64_t seed = 1;
    (void)state;
    for (int k = 0; k < documents; k++) {
        struct truth truth;
        document_open(&d, &seed);
        importance_sample(&d, &seed, &truth);
        compare(&d, &truth, &t);
        t.effective += truth.effective / documents;
        free(d.block);
    }
    double weights = t.weights, covered = t.covered / weights, slack = 2.5 * sqrt(0.95 * 0.05 / weights);
    print_message("%d documents, %d weights: mean off by %.3f sd, sd %+.1f %% (off by %.1f %%), 95 %% interval covers "
                  "%.2f %%; draws that count: %.0f %%\n",
                  documents, t.weights, t.error / weights, 100 * t.wide / weights, 100 * t.spread / weights,
                  100 * covered, 100 * t.effective);
    assert_true(t.effective > 0.3); /* or the sampler would be the one to doubt */
    assert_true(t.error / weights < 0.2 && t.spread / weights < 0.2);
    assert_true(covered > fmin(0.93, 0.95 - slack) && covered < fmax(0.97, 0.95 + slack));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_posterior)};
    if (argc == 3 && strcmp(argv[1], "--documents") == 0)
        documents = atoi(argv[2]);
    if ((argc != 1 && argc != 3) || documents < 1) {
        fprintf(stderr, "usage: test_posterior [--documents N]\n");
        return 2;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
