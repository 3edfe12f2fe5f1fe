/* ps/state/version_policy.h - how a version ranks unless a call says otherwise: checked, stored, compared.
 *
 * What is the default is not stored, so versions without a policy are described as they ever were.
 * Threads  pure. */
#ifndef TIDEMILL_PS_STATE_VERSION_POLICY_H
#define TIDEMILL_PS_STATE_VERSION_POLICY_H

#include "ps/state/catalog.h"
#include "tidemill/v1/control.pb-c.h"

#define VERSION_POLICY_WIDTH 1.0 /* standard deviations above the mean; the default */

/* "thompson"; any number. */
const char *version_policy_word(enum policy_kind kind);

/* policy_check(), in the words of the configuration: TM_INVALID_ARGUMENT names epsilon, width or propensity_draws. */
enum tm_code version_policy_check(const struct policy *p, struct tm_error *err);

/* TM_DATA_LOSS: a policy that is not known here. */
enum tm_code version_policy_read(const Tidemill__V1__VersionSpec *spec, struct policy *out, struct tm_error *err);
void version_policy_describe(const struct policy *p, Tidemill__V1__VersionSpec *spec);

static inline bool version_policy_same(const struct policy *a, const struct policy *b)
{
    return a->kind == b->kind && a->epsilon == b->epsilon && a->width == b->width && a->reranks == b->reranks;
}

#endif
