/* learner/optimizer_steps.h - one coordinate of each optimizer, in double: for learner/optimizer.c and its test.
 *
 * w: the weight, g: the gradient of the loss. Every function returns the new weight and moves the slots it is given.
 * Sources  momentum: Polyak, "Some methods of speeding up the convergence of iteration methods" (1964), in the form of
 *          Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013).
 *          AdaGrad: Duchi, Hazan and Singer, JMLR 12 (2011), diagonal form; with one sum for a whole row, as Mudigere
 *          et al., "Software-hardware co-design for fast and scalable training of deep learning recommendation models"
 *          (2022), section 4.1.4.
 *          Adam: Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.
 *          FTRL: McMahan et al., "Ad click prediction: a view from the trenches" (2013), algorithm 1. */
#ifndef TIDEMILL_LEARNER_OPTIMIZER_STEPS_H
#define TIDEMILL_LEARNER_OPTIMIZER_STEPS_H

#include <float.h>
#include <math.h>

static inline double step_momentum(double w, double g, double *velocity, double rate, double momentum)
{
    *velocity = momentum * *velocity + g;
    return w - rate * *velocity;
}

static inline double step_adagrad(double w, double g, double *squares, double rate, double epsilon)
{
    *squares += g * g;
    return w - rate * g / (sqrt(*squares) + epsilon);
}

/* What the averages, which began at 0, are divided by: 1 - beta^t at step t = 1, 2, ... */
struct adam_rates {
    double beta1, beta2, rate, epsilon;
    double unbias1, unbias2; /* 1 / (1 - beta^t) */
};

static inline double step_adam(double w, double g, double *mean, double *square, const struct adam_rates *r)
{
    *mean = r->beta1 * *mean + (1 - r->beta1) * g;
    *square = r->beta2 * *square + (1 - r->beta2) * g * g;
    return w - r->rate * (*mean * r->unbias1) / (sqrt(*square * r->unbias2) + r->epsilon);
}

struct ftrl_rates {
    double alpha, beta, l1, l2;
};

static inline double ftrl_divisor(double squares, const struct ftrl_rates *r)
{
    return (r->beta + sqrt(squares)) / r->alpha + r->l2;
}

/* The weight is a function of its slots: 0 where |z| is within l1 (and never -0). */
static inline double ftrl_weight(double z, double squares, const struct ftrl_rates *r)
{
    double beyond = fabs(z) - r->l1, size = beyond > 0 ? beyond : 0;
    return 0 - copysign(size, z) / ftrl_divisor(squares, r);
}

/* The z of a weight that is not 0. */
static inline double ftrl_z(double w, double squares, const struct ftrl_rates *r)
{
    return -copysign(fabs(w) * ftrl_divisor(squares, r) + r->l1, w);
}

/* The sum of squares grows by g^2, its root by that over the sum of both roots: no digits cancel for small g. DBL_MIN
 * makes 0 / 0 a 0. */
static inline double step_ftrl(double w, double g, double *z, double *squares, const struct ftrl_rates *r)
{
    double old = sqrt(*squares), now = sqrt(*squares + g * g);
    double sigma = g * g / (r->alpha * (now + old) + DBL_MIN);
    *z += g - sigma * w;
    *squares += g * g;
    return ftrl_weight(*z, *squares, r);
}

#endif
