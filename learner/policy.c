#include "learner/policy.h"

#include <stdlib.h>

/* Every expression here has a twin in python/tidemill/policy.py, with its operations in the same order. */

/* Beside the draws of a request (streams of its seed) there are other chances: streams of the seed mixed with these. */
#define TIES UINT64_C(0x7469657300000000)
#define SHUFFLE UINT64_C(0x73687566666c6500)
#define RERANK UINT64_C(0x726572616e6b0000)

static const double shape_min = 1e-100;
enum { INSERTION_MAX = 32, DRAWN_AT_ONCE = 128 };

enum tm_code policy_check(const struct policy *p, struct tm_error *err)
{
    if (!(p->epsilon >= 0 && p->epsilon <= 1))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "epsilon: %g is not in [0, 1]", p->epsilon);
    if (!(p->width >= 0 && p->width <= POLICY_WIDTH_MAX))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "width: %g is not in [0, %g]", p->width, POLICY_WIDTH_MAX);
    if (p->reranks == 0)
        return TM_OK;
    if (p->reranks < POLICY_RERANKS_MIN || p->reranks > POLICY_RERANKS_MAX)
        return tm_error_set(err, TM_INVALID_ARGUMENT, "reranks: %u is neither 0 nor in [%d, %d]", p->reranks,
                            POLICY_RERANKS_MIN, POLICY_RERANKS_MAX);
    if (p->epsilon < POLICY_EPSILON_MIN)
        return tm_error_set(err, TM_INVALID_ARGUMENT,
                            "epsilon: %g is below %g, which estimated propensities need so that none is 0", p->epsilon,
                            POLICY_EPSILON_MIN);
    return TM_OK;
}

/* ---- scores ---- */

static double log_shape(double shape) { return draw_log(shape < shape_min ? shape_min : shape); }

static double mean_of(const struct arm *arm)
{
    return arm->family == ARM_BETA ? log_shape(arm->a) - log_shape(arm->b) : arm->a;
}

static double deviation_of(const struct arm *arm)
{
    if (arm->family == ARM_NORMAL)
        return sqrt(arm->b);
    double a = arm->a < shape_min ? shape_min : arm->a, b = arm->b < shape_min ? shape_min : arm->b;
    return sqrt(1 / a + 1 / b);
}

static double draw_of(const struct arm *arm, struct draw d)
{
    return arm->family == ARM_BETA ? draw_beta(&d, arm->a, arm->b) : arm->a + sqrt(arm->b) * draw_normal(&d);
}

double policy_score(const struct policy *p, uint64_t seed, uint32_t version, const struct arm *arm)
{
    switch (p->kind) {
    case POLICY_THOMPSON: return draw_of(arm, draw_begin(seed, version, arm->item));
    case POLICY_UCB: return mean_of(arm) + p->width * deviation_of(arm);
    case POLICY_GREEDY: break;
    }
    return mean_of(arm);
}

/* ---- rankings ---- */

struct entry {
    double key, tie; /* sorted by, largest first; then by item and index */
    uint64_t item;
    uint32_t arm;
};

static int best_first(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->key != b->key)
        return a->key > b->key ? -1 : 1;
    if (a->tie != b->tie)
        return a->tie > b->tie ? -1 : 1;
    if (a->item != b->item)
        return a->item < b->item ? -1 : 1;
    return (a->arm > b->arm) - (a->arm < b->arm);
}

/* The best `places` to the front, in order; behind them lie any. */
static void sort_best(struct entry *e, uint32_t n, uint32_t places)
{
    if (places > INSERTION_MAX) {
        qsort(e, n, sizeof *e, best_first);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct entry one = e[i];
        uint32_t at = i < places ? i : places;
        if (at == places && best_first(&e[--at], &one) < 0)
            continue;
        for (; at > 0 && best_first(&one, &e[at - 1]) < 0; at--)
            e[at] = e[at - 1];
        e[at] = one;
    }
}

static double chance(uint64_t seed, uint64_t purpose, uint32_t version, uint64_t item)
{
    struct draw d = draw_begin(seed ^ purpose, version, item);
    return draw_uniform(&d);
}

/* Draws of a continuous belief do not tie, and the number that would break it costs a third of a normal draw. */
static bool may_tie(const struct policy *p, const struct arm *arm)
{
    return p->kind != POLICY_THOMPSON || (arm->family == ARM_NORMAL && arm->b == 0);
}

struct ranking {
    const struct policy *policy;
    uint32_t version, n, places;
    const struct arm *arms;
    double *score; /* n, by arm */
    struct entry *entry;
};

/* What a ranking computes in: few arms need no memory. */
enum { SCRATCH_ARMS = 128 };
struct scratch {
    double score[SCRATCH_ARMS];
    struct entry entry[SCRATCH_ARMS];
};

static void scratch_open(struct scratch *s, struct ranking *r)
{
    bool fits = r->n <= SCRATCH_ARMS;
    r->score = fits ? s->score : mem_new(r->n, sizeof *r->score);
    r->entry = fits ? s->entry : mem_new(r->n, sizeof *r->entry);
}

static void scratch_close(const struct scratch *s, struct ranking *r)
{
    if (r->score == s->score)
        return;
    free(r->score);
    free(r->entry);
}

/* How many of the arms from `from` on are of one family, at most DRAWN_AT_ONCE. */
static uint32_t alike(const struct ranking *r, uint32_t from)
{
    uint32_t most = r->n - from < DRAWN_AT_ONCE ? r->n - from : DRAWN_AT_ONCE, n = 1;
    while (n < most && r->arms[from + n].family == r->arms[from].family)
        n++;
    return n;
}

static void draw_scores(const struct ranking *r, uint64_t seed)
{
    struct draw stream[DRAWN_AT_ONCE];
    double a[DRAWN_AT_ONCE], b[DRAWN_AT_ONCE];
    uint64_t family = draw_family(seed, r->version);
    for (uint32_t from = 0, n; from < r->n; from += n) {
        const struct arm *arms = r->arms + from;
        double *score = r->score + from;
        n = alike(r, from);
        for (uint32_t i = 0; i < n; i++) {
            stream[i] = draw_of_family(family, arms[i].item);
            a[i] = arms[i].a;
            b[i] = arms[i].b;
        }
        if (arms->family == ARM_BETA) {
            draw_betas(stream, a, b, n, score);
            continue;
        }
        draw_normals(stream, n, score);
        for (uint32_t i = 0; i < n; i++)
            score[i] = a[i] + sqrt(b[i]) * score[i];
    }
}

static void score_all(const struct ranking *r, uint64_t seed)
{
    if (r->policy->kind == POLICY_THOMPSON) {
        draw_scores(r, seed);
        return;
    }
    for (uint32_t i = 0; i < r->n; i++)
        r->score[i] = policy_score(r->policy, seed, r->version, &r->arms[i]);
}

/* The best one alone, to the front; what all others are compared by need not be put together for it. */
static bool find_first(const struct ranking *r)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        if (may_tie(r->policy, &r->arms[i]))
            return false;
        if (r->score[i] > r->score[best] || (r->score[i] == r->score[best] && r->arms[i].item < r->arms[best].item))
            best = i;
    }
    r->entry[0] = (struct entry){.key = r->score[best], .item = r->arms[best].item, .arm = best};
    return true;
}

static void rank_once(const struct ranking *r, uint64_t seed, bool shuffled)
{
    score_all(r, seed);
    if (r->places == 1 && !shuffled && find_first(r))
        return;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct arm *arm = &r->arms[i];
        r->entry[i] = (struct entry){
            .key = shuffled ? 0 : r->score[i],
            .tie = shuffled || may_tie(r->policy, arm) ? chance(seed, TIES, r->version, arm->item) : 0,
            .item = arm->item,
            .arm = i,
        };
    }
    sort_best(r->entry, r->n, r->places);
}

/* ---- propensities: of out[k].arm at place k, without epsilon ---- */

/* The places of candidates with one score are behind those of higher ones. */
static void fixed_propensities(const struct ranking *r, struct choice *out)
{
    for (uint32_t k = 0; k < r->places; k++) {
        uint32_t above = 0, equal = 0;
        for (uint32_t i = 0; i < r->n; i++) {
            above += r->score[i] > out[k].score;
            equal += r->score[i] == out[k].score;
        }
        out[k].propensity = k >= above && k < above + equal ? 1.0 / equal : 0;
    }
}

/* False: there is no closed form. */
static bool pair_propensities(const struct ranking *r, struct choice *out)
{
    double ahead = r->n == 2 ? policy_beats(&r->arms[0], &r->arms[1]) : NAN;
    if (r->n == 1)
        out[0].propensity = 1;
    for (uint32_t k = 0; k < r->places && !isnan(ahead); k++)
        out[k].propensity = out[k].arm == k ? ahead : 1 - ahead;
    return r->n == 1 || !isnan(ahead);
}

static void estimated_propensities(const struct ranking *r, uint64_t seed, struct choice *out)
{
    for (uint32_t i = 0; i < r->policy->reranks; i++) {
        rank_once(r, draw_mix((seed ^ RERANK) + i * DRAW_STEP), false);
        for (uint32_t k = 0; k < r->places; k++)
            out[k].propensity += r->entry[k].arm == out[k].arm;
    }
    for (uint32_t k = 0; k < r->places; k++)
        out[k].propensity /= r->policy->reranks;
}

/* False: not asked for, and no closed form. */
static bool find_propensities(const struct ranking *r, uint64_t seed, struct choice *out)
{
    if (r->policy->kind != POLICY_THOMPSON)
        fixed_propensities(r, out);
    else if (!pair_propensities(r, out)) {
        if (r->policy->reranks == 0)
            return false;
        estimated_propensities(r, seed, out);
    }
    return true;
}

void policy_rank(const struct policy *p, uint64_t seed, uint32_t version, const struct arm *arms, uint32_t n,
                 uint32_t places, struct choice *out)
{
    CHECK(places <= n && n <= POLICY_ARMS_MAX && policy_check(p, NULL) == TM_OK);
    if (places == 0)
        return;
    struct scratch scratch;
    struct ranking r = {.policy = p, .version = version, .n = n, .places = places, .arms = arms};
    scratch_open(&scratch, &r);
    rank_once(&r, seed, chance(seed, SHUFFLE, version, 0) < p->epsilon);
    for (uint32_t k = 0; k < places; k++)
        out[k] = (struct choice){.arm = r.entry[k].arm, .score = r.score[r.entry[k].arm]};
    if (find_propensities(&r, seed, out))
        for (uint32_t k = 0; k < places; k++)
            out[k].propensity = (1 - p->epsilon) * out[k].propensity + p->epsilon / n;
    scratch_close(&scratch, &r);
}

/* ---- chances: of every arm at some places ---- */

/* Of scores that do not change: the arms whose share of places has this one. */
static void fixed_chances(const struct ranking *r, uint32_t place, double *out)
{
    double at_place = place < r->n ? r->entry[place].key : NAN;
    uint32_t equal = 0;
    for (uint32_t i = 0; i < r->n; i++)
        equal += r->score[i] == at_place;
    for (uint32_t i = 0; i < r->n; i++)
        out[i] = r->score[i] == at_place ? 1.0 / equal : 0;
}

static void drawn_chances(const struct ranking *r, uint64_t seed, const uint32_t *place, uint32_t places,
                          uint32_t draws, double *out)
{
    for (uint32_t i = 0; i < draws; i++) {
        rank_once(r, draw_mix((seed ^ RERANK) + i * DRAW_STEP), false);
        for (uint32_t k = 0; k < places; k++)
            if (place[k] < r->n)
                out[(size_t)k * r->n + r->entry[place[k]].arm] += 1.0 / draws;
    }
}

/* False: there is no closed form. */
static bool exact_chances(const struct ranking *r, uint64_t seed, const uint32_t *place, uint32_t places, double *out)
{
    double ahead = r->n == 1 ? 1 : r->n == 2 ? policy_beats(&r->arms[0], &r->arms[1]) : NAN;
    bool fixed = r->policy->kind != POLICY_THOMPSON;
    if (!fixed && isnan(ahead))
        return false;
    if (fixed)
        rank_once(r, seed, false);
    for (uint32_t k = 0; k < places; k++) {
        double *row = out + (size_t)k * r->n;
        if (fixed) {
            fixed_chances(r, place[k], row);
        } else if (place[k] < r->n) {
            row[place[k]] = ahead;
            if (r->n == 2)
                row[1 - place[k]] = 1 - ahead;
        }
    }
    return true;
}

void policy_chances(const struct policy *p, uint64_t seed, uint32_t version, const struct arm *arms, uint32_t n,
                    const uint32_t *place, uint32_t places, uint32_t draws, double *out)
{
    uint32_t deepest = 0;
    CHECK(n > 0 && n <= POLICY_ARMS_MAX && draws > 0);
    for (uint32_t k = 0; k < places; k++)
        deepest = place[k] < n && place[k] > deepest ? place[k] : deepest;
    struct scratch scratch;
    struct ranking r = {.policy = p, .version = version, .n = n, .places = deepest + 1, .arms = arms};
    scratch_open(&scratch, &r);
    memset(out, 0, (size_t)places * n * sizeof *out);
    if (!exact_chances(&r, seed, place, places, out))
        drawn_chances(&r, seed, place, places, draws, out);
    for (size_t i = 0; i < (size_t)places * n; i++)
        if (place[i / n] < n)
            out[i] = (1 - p->epsilon) * out[i] + p->epsilon / n;
    scratch_close(&scratch, &r);
}
