/* ps/state/weight_prior.h - a version whose every weight has a prior of its own: from what another version has learned
 * (learner/pooled_prior.h), or as it was handed over.
 *
 * Part of the version's description, as values: whoever replays the log needs neither the other version nor a file.
 * Bound    of one version 2 x MODEL_DIAGONAL_MAX values; of all CATALOG_PRIOR_VALUES_MAX, which whoever makes versions
 *          looks after, because every shard stores its catalog as a whole.
 * Memory   values and words belong to the version; views in a VersionSpec are for packing only. */
#ifndef TIDEMILL_PS_STATE_WEIGHT_PRIOR_H
#define TIDEMILL_PS_STATE_WEIGHT_PRIOR_H

#include "ps/state/catalog.h"
#include "tidemill/v1/control.pb-c.h"

/* values: n means and n sds, n = model_weights(&v->config); source: whom they are from, cut where it does not fit. */
void weight_prior_set(struct version *v, const double *values, const char *source);

static inline uint32_t weight_prior_values(const struct version *v)
{
    return v->weight_prior ? 2 * model_weights(&v->config) : 0;
}
/* Of all versions. */
uint32_t weight_prior_total(const struct catalog *c);

bool weight_prior_same(const struct version *a, const struct version *b);

/* TM_DATA_LOSS: not as many as the model has weights. What they are is the model's to check. */
enum tm_code weight_prior_read(const Tidemill__V1__VersionSpec *spec, struct version *v, struct tm_error *err);
void weight_prior_describe(const struct version *v, Tidemill__V1__VersionSpec *spec);

#endif
