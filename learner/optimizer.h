/* learner/optimizer.h - how a gradient moves a row of weights: SGD, momentum, AdaGrad, Adam, FTRL-Proximal.
 *
 * Shapes   a row is `size` weights and the slots that its optimizer keeps beside them (OPTIMIZERS below): so many per
 *          weight, one kind after the other, then so many of the row. Weights and slots are float, everything computed
 *          is double.
 * Steps    of one coordinate: learner/optimizer_steps.h, with the source of each formula. A step first cuts the
 *          gradient g to the length `clip`, then adds l2 w (FTRL has its own l2, inside). Only rows that are touched
 *          move: momentum, Adam's averages and l2 stand still between the samples of a row (lazy; not what training
 *          all rows at every step gives). Adam counts the steps of its row, up to 2^24, where nothing is left to
 *          correct.
 * Bounds   no step is longer than optimizer_check's ranges allow, so with finite gradients nothing here becomes
 *          infinite or NaN before 10^25 steps.
 * Memory   the caller's. Threads: any, on different rows. */
#ifndef TIDEMILL_LEARNER_OPTIMIZER_H
#define TIDEMILL_LEARNER_OPTIMIZER_H

#include "base/bytes.h"
#include "base/error.h"

/* clang-format off */
/*    enum         name           slots per weight       per row                    */
#define OPTIMIZERS(O)                                                                 \
    O(SGD,         "sgd",         0,                     0)                           \
    O(MOMENTUM,    "momentum",    1, /* velocity */      0)                           \
    O(ADAGRAD,     "adagrad",     1, /* sum of g^2 */    0)                           \
    O(ADAGRAD_ROW, "adagrad_row", 0,                     1 /* sum of mean g^2 */)     \
    O(ADAM,        "adam",        2, /* means of g, g^2 */ 1 /* steps */)             \
    O(FTRL,        "ftrl",        2, /* z, sum of g^2 */ 0)

enum optimizer_kind {
#define O(id, name, per_weight, per_row) OPTIMIZER_##id,
    OPTIMIZERS(O)
#undef O
    OPTIMIZER_COUNT
};
/* clang-format on */

/* Which field whom concerns: optimizer_check. */
struct optimizer_config {
    enum optimizer_kind kind;
    double rate;         /* FTRL's alpha */
    double momentum;     /* momentum: share of the velocity that stays */
    double beta1, beta2; /* Adam: shares of the averages that stay */
    double epsilon;      /* AdaGrad, Adam: added to the root */
    double beta;         /* FTRL: smooths the first rates */
    double l1;           /* FTRL: weights whose |z| is within it are 0 */
    double l2;           /* pulls weights towards 0 */
    double clip;         /* greatest length of a gradient */
};

struct optimizer_row {
    float *weight, *slot;
    uint32_t size;
};

const char *optimizer_name(enum optimizer_kind kind);
/* False: no optimizer has this name. optimizer_names: "sgd, momentum, ...", for messages. */
bool optimizer_find(struct bytes name, enum optimizer_kind *kind);
const char *optimizer_names(void);

/* Slots of a row of `size` weights. */
uint32_t optimizer_slots(enum optimizer_kind kind, uint32_t size);

/* TM_INVALID_ARGUMENT names the field that the optimizer cannot work with; fields of others are not looked at. */
enum tm_code optimizer_check(const struct optimizer_config *config, struct tm_error *err);

/* The slots of weights that nothing was learned into. */
void optimizer_start(const struct optimizer_config *config, struct optimizer_row row);

/* One step along the gradient of a loss that is to become smaller. */
void optimizer_step(const struct optimizer_config *config, struct optimizer_row row, const double *gradient);

/* The same without the pull of l2: for a part of a gradient whose sample has been counted before. */
void optimizer_amend(const struct optimizer_config *config, struct optimizer_row row, const double *gradient);

/* Multiply the weights; what was learned of their gradients stays. */
void optimizer_scale(const struct optimizer_config *config, struct optimizer_row row, double factor);

#endif
