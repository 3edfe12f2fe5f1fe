/* learner/moment_match.h - one weighted, labelled observation of a score, folded into the normal belief about it.
 *
 * The belief is matched in mean and variance to the posterior (assumed-density filtering, learner/probit_mixture.h). A
 * sample is a site: it adds tau to the precision of its score and nu to its precision times mean. A weight w repeats it
 * ceil(w) times, each time with the w / ceil(w)-th part of its site: whole weights are exactly repetitions, and parts
 * are those of power EP (T. Minka, "Power EP", 2004: the natural parameters of a site scale with its power). A reward
 * between 0 and 1 is that share of a positive and the rest of a negative, both seen from the same prior.
 * Bound    MOMENT_MATCH_STEPS repetitions; heavier ones each get a larger part. */
#ifndef TIDEMILL_LEARNER_MOMENT_MATCH_H
#define TIDEMILL_LEARNER_MOMENT_MATCH_H

#include "learner/probit_mixture.h"

enum { MOMENT_MATCH_STEPS = 64 };

/* For a ~ N(m, v): the total of the tilts. 0 <= reward <= 1, weight >= 0 and finite, v >= 0. */
struct tilt moment_match(double m, double v, double reward, double weight);

#endif
