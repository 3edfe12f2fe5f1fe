#include "learner/optimizer.h"

#include <math.h>

#include "learner/optimizer_steps.h"
#include "learner/vector.h"

static const float steps_max = 0x1p24f; /* the last count that a float can add 1 to */

/* clang-format off */
static const struct {
    const char *name;
    uint32_t per_weight, per_row;
} optimizers[] = {
#define O(id, name, per_weight, per_row) {name, per_weight, per_row},
    OPTIMIZERS(O)
#undef O
};
/* clang-format on */

const char *optimizer_name(enum optimizer_kind kind) { return optimizers[kind].name; }

bool optimizer_find(struct bytes name, enum optimizer_kind *kind)
{
    for (size_t i = 0; i < OPTIMIZER_COUNT; i++)
        if (bytes_equal(name, bytes_text(optimizers[i].name))) {
            *kind = (enum optimizer_kind)i;
            return true;
        }
    return false;
}

const char *optimizer_names(void) { return "sgd, momentum, adagrad, adagrad_row, adam, ftrl"; }

uint32_t optimizer_slots(enum optimizer_kind kind, uint32_t size)
{
    return optimizers[kind].per_weight * size + optimizers[kind].per_row;
}

/* ---- configuration ---- */

#define BIT(kind) (1u << OPTIMIZER_##kind)
#define ALL ((1u << OPTIMIZER_COUNT) - 1)

enum tm_code optimizer_check(const struct optimizer_config *config, struct tm_error *err)
{
    /* clang-format off */
    const struct {
        const char *name;
        double value, least, most;
        unsigned who;
    } fields[] = {
        {"rate",     config->rate,     1e-6,  1e3,       ALL},
        {"momentum", config->momentum, 0,     0.999,     BIT(MOMENTUM)},
        {"beta1",    config->beta1,    0,     0.999,     BIT(ADAM)},
        {"beta2",    config->beta2,    0,     0.9999999, BIT(ADAM)},
        {"epsilon",  config->epsilon,  1e-12, 1,         BIT(ADAGRAD) | BIT(ADAGRAD_ROW) | BIT(ADAM)},
        {"beta",     config->beta,     1e-6,  1e6,       BIT(FTRL)},
        {"l1",       config->l1,       0,     1e6,       BIT(FTRL)},
        {"l2",       config->l2,       0,     1e3,       ALL},
        {"clip",     config->clip,     1e-6,  1e6,       ALL},
    };
    /* clang-format on */
    CHECK((unsigned)config->kind < OPTIMIZER_COUNT);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if ((fields[i].who & 1u << config->kind) &&
            !(fields[i].value >= fields[i].least && fields[i].value <= fields[i].most))
            return tm_error_set(err, TM_INVALID_ARGUMENT, "%s: %g is not in [%g, %g]", fields[i].name, fields[i].value,
                                fields[i].least, fields[i].most);
    return TM_OK;
}

/* ---- rows, one kind each ---- */

/* A gradient as a row takes it: g[i] cut, and l2 w[i] added. */
struct slope {
    const double *g;
    double cut, l2;
};

static inline double slope_at(struct slope s, uint32_t i, double w) { return s.cut * s.g[i] + s.l2 * w; }

static void move_sgd(const struct optimizer_config *config, struct optimizer_row row, struct slope s)
{
    float *restrict weight = row.weight;
    double rate = config->rate;
    for (uint32_t i = 0; i < row.size; i++) {
        double w = (double)weight[i];
        weight[i] = (float)(w - rate * slope_at(s, i, w));
    }
}

static void move_momentum(const struct optimizer_config *config, struct optimizer_row row, struct slope s)
{
    float *restrict weight = row.weight, *restrict velocity = row.slot;
    double rate = config->rate, momentum = config->momentum;
    for (uint32_t i = 0; i < row.size; i++) {
        double w = (double)weight[i], v = (double)velocity[i];
        weight[i] = (float)step_momentum(w, slope_at(s, i, w), &v, rate, momentum);
        velocity[i] = (float)v;
    }
}

static void move_adagrad(const struct optimizer_config *config, struct optimizer_row row, struct slope s)
{
    float *restrict weight = row.weight, *restrict squares = row.slot;
    double rate = config->rate, epsilon = config->epsilon;
    for (uint32_t i = 0; i < row.size; i++) {
        double w = (double)weight[i], n = (double)squares[i];
        weight[i] = (float)step_adagrad(w, slope_at(s, i, w), &n, rate, epsilon);
        squares[i] = (float)n;
    }
}

static void move_adagrad_row(const struct optimizer_config *config, struct optimizer_row row, struct slope s)
{
    double sum = 0;
    for (uint32_t i = 0; i < row.size; i++) {
        double g = slope_at(s, i, (double)row.weight[i]);
        sum += g * g;
    }
    double squares = (double)row.slot[0] + sum / row.size;
    row.slot[0] = (float)squares;
    struct optimizer_config sgd = {.rate = config->rate / (sqrt(squares) + config->epsilon)};
    move_sgd(&sgd, row, s);
}

static void move_adam(const struct optimizer_config *config, struct optimizer_row row, struct slope s)
{
    uint32_t n = row.size;
    float *restrict weight = row.weight, *restrict mean = row.slot, *restrict square = row.slot + n;
    float *steps = row.slot + 2 * n;
    *steps = *steps < steps_max ? *steps + 1 : steps_max;
    const struct adam_rates r = {.beta1 = config->beta1,
                                 .beta2 = config->beta2,
                                 .rate = config->rate,
                                 .epsilon = config->epsilon,
                                 .unbias1 = 1 / (1 - pow(config->beta1, (double)*steps)),
                                 .unbias2 = 1 / (1 - pow(config->beta2, (double)*steps))};
    for (uint32_t i = 0; i < n; i++) {
        double w = (double)weight[i], m = (double)mean[i], v = (double)square[i];
        weight[i] = (float)step_adam(w, slope_at(s, i, w), &m, &v, &r);
        mean[i] = (float)m;
        square[i] = (float)v;
    }
}

static struct ftrl_rates ftrl_rates(const struct optimizer_config *config)
{
    return (struct ftrl_rates){config->rate, config->beta, config->l1, config->l2};
}

static void move_ftrl(const struct optimizer_config *config, struct optimizer_row row, struct slope s)
{
    float *restrict weight = row.weight, *restrict z = row.slot, *restrict squares = row.slot + row.size;
    const struct ftrl_rates r = ftrl_rates(config);
    for (uint32_t i = 0; i < row.size; i++) {
        double at = (double)z[i], n = (double)squares[i];
        weight[i] = (float)step_ftrl((double)weight[i], s.cut * s.g[i], &at, &n, &r);
        z[i] = (float)at;
        squares[i] = (float)n;
    }
}

static void move(const struct optimizer_config *config, struct optimizer_row row, struct slope s)
{
    static void (*const moves[OPTIMIZER_COUNT])(const struct optimizer_config *, struct optimizer_row, struct slope) = {
        [OPTIMIZER_SGD] = move_sgd,         [OPTIMIZER_MOMENTUM] = move_momentum,
        [OPTIMIZER_ADAGRAD] = move_adagrad, [OPTIMIZER_ADAGRAD_ROW] = move_adagrad_row,
        [OPTIMIZER_ADAM] = move_adam,       [OPTIMIZER_FTRL] = move_ftrl,
    };
    double length = sqrt(vector_dot(s.g, s.g, row.size));
    s.cut = length > config->clip ? config->clip / length : 1;
    moves[config->kind](config, row, s);
}

/* ---- what callers see ---- */

/* The z that stands for the weights as they are. That of a weight of 0 does already. */
static void settle_ftrl(const struct optimizer_config *config, struct optimizer_row row)
{
    const struct ftrl_rates r = ftrl_rates(config);
    for (uint32_t i = 0; i < row.size; i++)
        if (row.weight[i] != 0)
            row.slot[i] = (float)ftrl_z((double)row.weight[i], (double)row.slot[row.size + i], &r);
}

void optimizer_start(const struct optimizer_config *config, struct optimizer_row row)
{
    for (uint32_t i = 0; i < optimizer_slots(config->kind, row.size); i++)
        row.slot[i] = 0;
    if (config->kind == OPTIMIZER_FTRL)
        settle_ftrl(config, row);
}

void optimizer_step(const struct optimizer_config *config, struct optimizer_row row, const double *gradient)
{
    move(config, row, (struct slope){.g = gradient, .l2 = config->l2});
}

void optimizer_amend(const struct optimizer_config *config, struct optimizer_row row, const double *gradient)
{
    move(config, row, (struct slope){.g = gradient});
}

void optimizer_scale(const struct optimizer_config *config, struct optimizer_row row, double factor)
{
    for (uint32_t i = 0; i < row.size; i++)
        row.weight[i] = (float)(factor * (double)row.weight[i]);
    if (config->kind == OPTIMIZER_FTRL)
        settle_ftrl(config, row);
}
