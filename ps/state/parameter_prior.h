/* ps/state/parameter_prior.h - the control record that gives a version of model beta another prior.
 *
 * Evidence is kept apart from the prior (learner/beta.h), so the new one holds for all documents at once, those that
 * have learned, too: whoever reads behind the record gets Beta(a + s, b + f) with the new a and b. A version remembers
 * what it was made with: that is what a configuration is compared with.
 * Other models keep their prior in each block, where it cannot be exchanged: they are refused.
 * Threads  pure. */
#ifndef TIDEMILL_PS_STATE_PARAMETER_PRIOR_H
#define TIDEMILL_PS_STATE_PARAMETER_PRIOR_H

#include "ps/state/audit.h"
#include "ps/state/catalog.h"

struct parameter_prior {
    uint32_t version;
    double prior[2];    /* alpha, beta */
    const char *source; /* in words: "moments of 1234 documents"; at most PARAMETER_PRIOR_SOURCE_MAX bytes */
    struct audit_note note;
};

enum { PARAMETER_PRIOR_SOURCE_MAX = 64 };

/* TM_FAILED_PRECONDITION: the model has no prior that could change. TM_INVALID_ARGUMENT: the model refuses it. */
enum tm_code parameter_prior_check(const struct version *v, const double *prior, size_t count, struct tm_error *err);

void parameter_prior_pack(const struct parameter_prior *prior, struct buffer *out);

/* For catalog_apply(): set it, and list the change. TM_DATA_LOSS: what parameter_prior_check() refuses. */
enum tm_code parameter_prior_set(struct catalog *c, const Tidemill__V1__ParameterPrior *m, struct tm_error *err);

/* For the stored catalog: what a version has now, if it has changed, is stored besides what it was made with. */
void parameter_prior_describe(const struct version *v, Tidemill__V1__ParameterPrior *out);
enum tm_code parameter_prior_read(struct catalog *c, const Tidemill__V1__ParameterPrior *m, struct tm_error *err);

#endif
