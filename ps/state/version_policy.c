#include "ps/state/version_policy.h"

#include <inttypes.h>

const char *version_policy_word(enum policy_kind kind)
{
    static const char *const words[] = {
        [POLICY_THOMPSON] = "thompson", [POLICY_UCB] = "ucb", [POLICY_GREEDY] = "greedy"};
    return kind < ARRAY_LEN(words) ? words[kind] : "unknown";
}

enum tm_code version_policy_check(const struct policy *p, struct tm_error *err)
{
    if (p->reranks != 0 && (p->reranks < POLICY_RERANKS_MIN || p->reranks > POLICY_RERANKS_MAX))
        return tm_error_set(err, TM_INVALID_ARGUMENT, "propensity_draws: got %" PRIu32 "; expected 0, or %d to %d",
                            p->reranks, POLICY_RERANKS_MIN, POLICY_RERANKS_MAX);
    return policy_check(p, err);
}

enum tm_code version_policy_read(const Tidemill__V1__VersionSpec *spec, struct policy *out, struct tm_error *err)
{
    if (spec->policy > POLICY_GREEDY)
        return tm_error_set(err, TM_DATA_LOSS, "policy %" PRIu32 " is not known here", spec->policy);
    *out = (struct policy){.kind = (enum policy_kind)spec->policy,
                           .epsilon = spec->epsilon,
                           .width = spec->has_policy_width ? spec->policy_width : VERSION_POLICY_WIDTH,
                           .reranks = spec->propensity_draws};
    return version_policy_check(out, err);
}

void version_policy_describe(const struct policy *p, Tidemill__V1__VersionSpec *spec)
{
    spec->has_policy = p->kind != POLICY_THOMPSON;
    spec->policy = p->kind;
    spec->has_epsilon = p->epsilon != 0;
    spec->epsilon = p->epsilon;
    spec->has_policy_width = p->width != VERSION_POLICY_WIDTH;
    spec->policy_width = p->width;
    spec->has_propensity_draws = p->reranks != 0;
    spec->propensity_draws = p->reranks;
}
