/* ps/state/weight_prior.h - a version whose every weight has a prior of its own: from what another version has learned
 * (learner/pooled_prior.h), from a file, or as it was handed over.
 *
 * Part of the version's description, as values: whoever replays the log needs neither the other version nor a file.
 * Values   n means, and n standard deviations or the covariance of all, packed (learner/packed.h); n =
 *          model_weights(&v->config) is 2 or more (the intercept is one), so how many there are says which.
 * Bound    of one version 2 x MODEL_DIAGONAL_MAX values, or 2,210 with covariances; of all CATALOG_PRIOR_VALUES_MAX,
 *          which whoever makes versions looks after, because every shard stores its catalog as a whole.
 * Memory   values and words belong to the version; views in a VersionSpec are for packing only. */
#ifndef TIDEMILL_PS_STATE_WEIGHT_PRIOR_H
#define TIDEMILL_PS_STATE_WEIGHT_PRIOR_H

#include "ps/state/catalog.h"
#include "tidemill/v1/control.pb-c.h"

/* How many there may be: with sds, with covariances. */
uint32_t weight_prior_sds(uint32_t n);
uint32_t weight_prior_covariances(uint32_t n); /* 0: n is more than MODEL_FULL_MAX */

/* TM_INVALID_ARGUMENT: `count` values would be the prior of something else. */
enum tm_code weight_prior_fits(const struct version *v, size_t count, struct tm_error *err);

/* count: one that fits; what the values are is the model's to check. source: whom they are from, cut where it does not
 * fit. */
void weight_prior_set(struct version *v, const double *values, uint32_t count, const char *source);

/* Of all versions. */
uint32_t weight_prior_total(const struct catalog *c);

bool weight_prior_same(const struct version *a, const struct version *b);

/* TM_DATA_LOSS: not as many as the model has weights. What they are is the model's to check. */
enum tm_code weight_prior_read(const Tidemill__V1__VersionSpec *spec, struct version *v, struct tm_error *err);
void weight_prior_describe(const struct version *v, Tidemill__V1__VersionSpec *spec);

#endif
