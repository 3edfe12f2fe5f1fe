#include "bench/bandit.h"

#include <stdlib.h>

#include "learner/beta.h"

enum { DOCUMENTS_MAX = 1000, NEVER = -1 };

/* Names of streams, as versions of the seed: chances of the world and of what the policy caused. */
enum { RATES = 1, REPLACED, CLICKS, DELAYS, RANKING };

struct crowd {
    struct model_config config;
    uint32_t documents;
    double rate[DOCUMENTS_MAX], best;
    struct beta_block block[DOCUMENTS_MAX];
    struct arm arm[DOCUMENTS_MAX];
};

static double rate_of(const double shape[2], uint64_t seed, uint64_t item)
{
    struct draw d = draw_begin(seed, RATES, item);
    return draw_probability(draw_beta(&d, shape[0], shape[1]));
}

static double chance(uint64_t seed, uint32_t stream, uint64_t item)
{
    struct draw d = draw_begin(seed, stream, item);
    return draw_uniform(&d);
}

static void find_best(struct crowd *c)
{
    c->best = 0;
    for (uint32_t i = 0; i < c->documents; i++)
        c->best = fmax(c->best, c->rate[i]);
}

static void believe(struct crowd *c, uint32_t i)
{
    double shape[2];
    model_beta.values(&c->config, &c->block[i], 0, shape);
    c->arm[i] = arm_of_beta(i, shape);
}

/* rates may be NULL. */
static struct crowd *crowd_open(uint32_t documents, const double prior[2], const double rate_shape[2],
                                const double *rates, uint64_t seed)
{
    struct crowd *c = mem_new(1, sizeof *c);
    CHECK(documents > 0 && documents <= DOCUMENTS_MAX);
    c->documents = documents;
    c->config = (struct model_config){.prior = {prior[0], prior[1]}, .prior_count = 2};
    for (uint32_t i = 0; i < documents; i++) {
        c->rate[i] = rates ? rates[i] : rate_of(rate_shape, seed, i);
        believe(c, i);
    }
    find_best(c);
    return c;
}

static uint32_t choose(const struct crowd *c, const struct policy *p, uint64_t seed)
{
    struct choice first;
    policy_rank(p, seed, RANKING, c->arm, c->documents, 1, &first);
    return first.arm;
}

static void learn(struct crowd *c, uint32_t document, double reward, double weight)
{
    model_beta.learn(&c->config, &c->block[document], &(struct example){.reward = reward, .weight = weight}, 1);
}

/* ---- batches ---- */

/* Successes and failures that wait for the end of their batch. */
struct pending {
    double seen[DOCUMENTS_MAX][2];
};

static void learn_batch(struct crowd *c, struct pending *p)
{
    for (uint32_t i = 0; i < c->documents; i++) {
        learn(c, i, 0, p->seen[i][0]);
        learn(c, i, 1, p->seen[i][1]);
        believe(c, i);
    }
    *p = (struct pending){0};
}

static void replace(struct crowd *c, struct pending *p, const struct batch_world *w, uint64_t round)
{
    uint32_t i = (uint32_t)(chance(w->seed, REPLACED, 2 * round + 1) * w->documents);
    c->rate[i] = rate_of(w->rate_shape, w->seed, round + DOCUMENTS_MAX);
    c->block[i] = (struct beta_block){0};
    p->seen[i][0] = p->seen[i][1] = 0;
    believe(c, i);
    find_best(c);
}

double batch_world_regret(const struct batch_world *w)
{
    static const double prior[2] = {1, 1};
    struct crowd *c = crowd_open(w->documents, prior, w->rate_shape, w->rates, w->seed);
    struct pending *p = mem_new(1, sizeof *p);
    double regret = 0;
    for (uint64_t round = 0; round < w->rounds; round++) {
        uint32_t shown = choose(c, &w->policy, draw_mix(w->seed) + round);
        regret += c->best - c->rate[shown];
        p->seen[shown][chance(w->seed, CLICKS, round) < c->rate[shown]]++;
        if ((round + 1) % w->batch == 0)
            learn_batch(c, p);
        if (chance(w->seed, REPLACED, 2 * round) < w->replaced)
            replace(c, p, w, round);
    }
    free(p);
    free(c);
    return regret;
}

static double divergence(double p, double q) { return p * log(p / q) + (1 - p) * log((1 - p) / (1 - q)); }

double regret_bound(const double *rates, uint32_t documents)
{
    double best = 0, sum = 0;
    for (uint32_t i = 0; i < documents; i++)
        best = fmax(best, rates[i]);
    for (uint32_t i = 0; i < documents; i++)
        if (rates[i] < best)
            sum += (best - rates[i]) / divergence(rates[i], best);
    return sum;
}

/* ---- late clicks ---- */

struct late_run {
    const struct late_world *world;
    struct crowd *crowd;
    struct impression {
        uint32_t document;
        int64_t click;     /* round; NEVER */
        int64_t next_late; /* impression whose click falls on the same round; NEVER */
    } * shown;             /* by round */
    int64_t *late;         /* by round: the first of those */
};

static void fix_label(struct late_run *r, int64_t i)
{
    struct impression *s = &r->shown[i];
    int64_t end = i + r->world->window;
    learn(r->crowd, s->document, s->click != NEVER && s->click <= end, 1);
    believe(r->crowd, s->document);
    if (s->click != NEVER && s->click > end && s->click < (int64_t)r->world->rounds) {
        s->next_late = r->late[s->click];
        r->late[s->click] = i;
    }
}

static void take_late(struct late_run *r, int64_t round)
{
    static const struct example negative = {.reward = 0, .weight = 1}, positive = {.reward = 1, .weight = 1};
    for (int64_t i = r->late[round]; i != NEVER; i = r->shown[i].next_late) {
        uint32_t document = r->shown[i].document;
        if (r->world->rule == LATE_RETRACT)
            model_beta.correct(&r->crowd->config, &r->crowd->block[document],
                               &(struct correction){.before = negative, .after = positive});
        else if (r->world->rule == LATE_ADD)
            learn(r->crowd, document, 1, 1);
        believe(r->crowd, document);
    }
}

static void show_one(struct late_run *r, int64_t round)
{
    static const struct policy thompson = {.kind = POLICY_THOMPSON};
    const struct late_world *w = r->world;
    uint32_t shown = choose(r->crowd, &thompson, draw_mix(w->seed) + (uint64_t)round);
    double wait = -log(chance(w->seed, DELAYS, (uint64_t)round)) * w->mean_delay;
    bool clicks = chance(w->seed, CLICKS, (uint64_t)round) < r->crowd->rate[shown];
    r->shown[round] = (struct impression){shown, clicks ? round + 1 + (int64_t)wait : NEVER, NEVER};
}

static void run_rounds(struct late_run *r, struct late_result *out)
{
    int64_t rounds = (int64_t)r->world->rounds, window = r->world->window;
    double served = 0, true_rate = 0, served_before = 0, true_before = 0;
    for (int64_t round = 0, point = 0; round < rounds; round++) {
        take_late(r, round);
        show_one(r, round);
        uint32_t document = r->shown[round].document;
        const struct arm *arm = &r->crowd->arm[document];
        served += arm->a / (arm->a + arm->b);
        true_rate += r->crowd->rate[document];
        out->regret += r->crowd->best - r->crowd->rate[document];
        if (round >= window)
            fix_label(r, round - window);
        if ((round + 1) * LATE_POINTS >= (point + 1) * rounds) {
            out->curve[point++] =
                (struct late_point){out->regret, (served - served_before) / (true_rate - true_before)};
            served_before = served;
            true_before = true_rate;
        }
    }
    out->calibration = served / true_rate;
}

void late_world_run(const struct late_world *w, struct late_result *out)
{
    CHECK(w->rounds >= LATE_POINTS && w->window < w->rounds);
    struct late_run r = {w, crowd_open(w->documents, w->rate_shape, w->rate_shape, NULL, w->seed),
                         mem_new(w->rounds, sizeof *r.shown), mem_new(w->rounds, sizeof *r.late)};
    *out = (struct late_result){0};
    for (uint64_t i = 0; i < w->rounds; i++)
        r.late[i] = NEVER;
    run_rounds(&r, out);
    free(r.shown);
    free(r.late);
    free(r.crowd);
}
