#include "learner/laplace.h"

#include <math.h>
#include <stdlib.h>

#include "learner/lr.h"
#include "learner/vector.h"

enum { NEWTON_MAX = 50, HALVINGS_MAX = 40, GRADIENTS_MAX = 256 };

/* Newton decrements: squares of the distance to the mode in posterior standard deviations. */
static const double decrement_small = 1e-9;  /* a full step is safe, and its gain is lost in rounding */
static const double decrement_done = 1e-13;  /* after the step that is left, the square of it */
static const double decrement_least = 1e-30; /* nothing to solve for */
static const double armijo = 1e-4;

/* The batch at one d: count of each. */
struct place {
    double *score, *decay, *loss; /* a; exp(-|a|); ln(1 + e^a) - y a */
};

struct work {
    const struct laplace_problem *p;
    uint32_t n;
    double *step;                                                       /* d so far */
    double *gradient, *diagonal, *newton, *residual, *search, *product; /* n each */
    double *curve, *slope, *image;                                      /* count each */
    struct place here, next;
};

static double row_dot(const struct work *w, size_t j, const double *v)
{
    const struct model_config *config = w->p->config;
    double sum = vector_dot_features(w->p->samples[j].x, v, config->dimension);
    return config->intercept ? sum + v[config->dimension] : sum;
}

static void row_add(const struct work *w, size_t j, double c, double *out)
{
    const struct model_config *config = w->p->config;
    vector_add_features(out, c, w->p->samples[j].x, config->dimension);
    if (config->intercept)
        out[config->dimension] += c;
}

/* diagonal := base + sum_j curve_j x_ij^2; base NULL: 0 */
static void curvatures(const struct work *w, const double *base, double *out)
{
    const struct model_config *config = w->p->config;
    for (uint32_t i = 0; i < w->n; i++)
        out[i] = base ? base[i] : 0;
    for (size_t j = 0; j < w->p->count; j++) {
        vector_add_squares(out, w->curve[j], w->p->samples[j].x, config->dimension);
        if (config->intercept)
            out[config->dimension] += w->curve[j];
    }
}

/* Gradient, curvatures and preconditioner where the step stands. */
static void evaluate(struct work *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        w->gradient[i] = w->p->precision[i] * w->step[i];
    for (size_t j = 0; j < w->p->count; j++) {
        double c = w->p->weight[j], p = lr_logistic_of(w->here.score[j], w->here.decay[j]);
        row_add(w, j, c * (p - w->p->samples[j].reward), w->gradient);
        w->curve[j] = c * lr_curvature_of(w->here.decay[j]);
    }
    curvatures(w, w->p->precision, w->diagonal);
}

/* product := H search, image := X search; returns search'H search. */
static double multiply(struct work *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        w->product[i] = w->p->precision[i] * w->search[i];
    for (size_t j = 0; j < w->p->count; j++) {
        w->image[j] = row_dot(w, j, w->search);
        row_add(w, j, w->curve[j] * w->image[j], w->product);
    }
    return vector_dot(w->search, w->product, w->n);
}

/* The residual's square in the norm of 1 / diagonal: about twice what the objective still has to fall. */
static double square_of_residual(const struct work *w)
{
    double sum = 0;
    for (uint32_t i = 0; i < w->n; i++)
        sum += w->residual[i] * w->residual[i] / w->diagonal[i];
    return sum;
}

static void turn(struct work *w, double keep)
{
    for (uint32_t i = 0; i < w->n; i++)
        w->search[i] = w->residual[i] / w->diagonal[i] + keep * w->search[i];
}

/* newton := about -H^-1 gradient, slope := X newton; returns the decrement -gradient'newton. The farther from the mode,
 * the less exact, so that it arrives superlinearly and no product is wasted. */
static double solve(struct work *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        w->residual[i] = -w->gradient[i];
        w->newton[i] = w->search[i] = 0;
    }
    memset(w->slope, 0, w->p->count * sizeof *w->slope);
    double square = square_of_residual(w), enough = fmax(square * fmin(0.01, square), decrement_least);
    turn(w, 0);
    for (uint32_t k = 0; k < GRADIENTS_MAX && square > enough; k++) {
        double along = square / multiply(w);
        vector_add(w->newton, along, w->search, w->n);
        vector_add(w->residual, -along, w->product, w->n);
        for (size_t j = 0; j < w->p->count; j++)
            w->slope[j] += along * w->image[j];
        double next = square_of_residual(w);
        turn(w, next / square);
        square = next;
    }
    return -vector_dot(w->gradient, w->newton, w->n);
}

static void settle(struct place *at, const struct laplace_problem *p, size_t j, double score)
{
    double e = exp(-fabs(score));
    at->score[j] = score;
    at->decay[j] = e;
    at->loss[j] = fmax(score, 0) + log1p(e) - p->samples[j].reward * score;
}

/* next := where the share t of the Newton step leads; returns how much higher it lies. */
static double look_ahead(struct work *w, double t)
{
    double sum = 0;
    for (uint32_t i = 0; i < w->n; i++)
        sum += w->p->precision[i] * t * w->newton[i] * (w->step[i] + 0.5 * t * w->newton[i]);
    for (size_t j = 0; j < w->p->count; j++) {
        settle(&w->next, w->p, j, w->here.score[j] + t * w->slope[j]);
        sum += w->p->weight[j] * (w->next.loss[j] - w->here.loss[j]);
    }
    return sum;
}

/* Take the largest of 1, 1/2, 1/4, ... of the Newton step that lowers the objective as it should. False: none does. */
static bool descend(struct work *w, double decrement)
{
    double t = 1;
    for (int i = 0; i < HALVINGS_MAX; i++, t *= 0.5) {
        double rise = look_ahead(w, t);
        if (decrement >= decrement_small && !(rise <= -armijo * t * decrement))
            continue;
        struct place left = w->here;
        w->here = w->next;
        w->next = left;
        vector_add(w->step, t, w->newton, w->n);
        return true;
    }
    return false;
}

/* True: arrived. */
static bool iterate(struct work *w)
{
    for (int i = 0; i < NEWTON_MAX; i++) {
        evaluate(w);
        double decrement = solve(w);
        if (!descend(w, decrement))
            return false;
        if (decrement < decrement_done)
            return true;
    }
    return false;
}

bool laplace_solve(const struct laplace_problem *problem, double *step, double *curvature)
{
    size_t n = model_weights(problem->config), count = problem->count;
    double *memory = mem_new(6 * n + 9 * count, sizeof *memory), *wide = memory + 6 * n;
    struct work w = {.p = problem,
                     .n = (uint32_t)n,
                     .step = step,
                     .gradient = memory,
                     .diagonal = memory + n,
                     .newton = memory + 2 * n,
                     .residual = memory + 3 * n,
                     .search = memory + 4 * n,
                     .product = memory + 5 * n,
                     .curve = wide,
                     .slope = wide + count,
                     .image = wide + 2 * count,
                     .here = {wide + 3 * count, wide + 4 * count, wide + 5 * count},
                     .next = {wide + 6 * count, wide + 7 * count, wide + 8 * count}};
    memset(step, 0, n * sizeof *step);
    for (size_t j = 0; j < count; j++)
        settle(&w.here, problem, j, row_dot(&w, j, problem->mean) + problem->samples[j].offset);
    bool arrived = iterate(&w);
    for (size_t j = 0; j < count; j++)
        w.curve[j] = problem->weight[j] * lr_curvature_of(w.here.decay[j]);
    curvatures(&w, NULL, curvature);
    free(memory);
    return arrived;
}
