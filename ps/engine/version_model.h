/* ps/engine/version_model.h - which options a version has depends on its model: their defaults, what is out of place,
 * and what the model is told.
 *
 * Given    an option that is not given is zero: no count, number or text that is zero would do, or it is the default.
 * Threads  any, on different options. */
#ifndef TIDEMILL_PS_ENGINE_VERSION_MODEL_H
#define TIDEMILL_PS_ENGINE_VERSION_MODEL_H

#include "learner/model.h"
#include "ps/engine/option_table.h"
#include "ps/state/version_policy.h"

/* Does the version's model have this option? One that is not known has those of all models alone. */
bool version_model_has(const struct version_options *v, const struct option_row *row);

/* Fill in the defaults of its model. */
void version_model_derive(struct version_options *v);

/* NULL: there is no such model. */
const struct model *version_model(const struct version_options *v, struct model_config *config);

/* How it ranks, unless a call says otherwise. */
struct policy version_model_policy(const struct version_options *v);

/* TM_INVALID_ARGUMENT: "dimension: beta has no such option", or what the model itself, or its policy, refuses. */
enum tm_code version_model_check(const struct version_options *v, struct tm_error *err);

#endif
