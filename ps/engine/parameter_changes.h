/* ps/engine/parameter_changes.h - parameters that are changed by hand: resets, priors, encoders, and the list
 * of all such changes.
 *
 * Each change is a control record, and appended like the commands of ps/engine/engine.h: one after the other, a call
 * returns when every shard has applied it.
 * Threads  any, but not those that serve calls: these functions wait for the log, or go through all parameters. */
#ifndef TIDEMILL_PS_ENGINE_PARAMETER_CHANGES_H
#define TIDEMILL_PS_ENGINE_PARAMETER_CHANGES_H

#include "learner/beta_prior.h"
#include "ps/engine/engine.h"
#include "ps/state/parameter_prior.h"
#include "ps/state/parameter_reset.h"

/* What a reset would make a version forget, as of now. */
struct engine_reset_plan {
    uint64_t documents; /* of those named that have learned something */
    uint64_t samples;   /* that they have learned */
};

/* docs: those that are meant, count of them; count 0: all. Those that nothing was learned about are taken out of it
 * (*count shrinks, the rest keeps its order). */
void engine_plan_reset(struct engine *e, const struct version *v, const char **docs, size_t *count,
                       struct engine_reset_plan *out);

/* What the plan says; *position is behind the record. reset->count 0 means all documents. */
enum tm_code engine_reset(struct engine *e, const struct parameter_reset *reset, uint64_t *position,
                          struct tm_error *err);

/* What the documents of a version of model beta suggest as its prior, as of what is decided. */
struct engine_prior_estimate {
    struct beta_prior_estimate prior;
    uint64_t documents, passed; /* that count; that have learned too little */
};
enum tm_code engine_estimate_prior(struct engine *e, const struct version *v, enum beta_prior_method method,
                                   struct engine_prior_estimate *out, struct tm_error *err);

/* It has the prior from *position on. TM_RESOURCE_EXHAUSTED: it was done too often since the start (registry.h). */
enum tm_code engine_set_prior(struct engine *e, const struct parameter_prior *prior, uint64_t *position,
                              struct tm_error *err);

/* What another encoder out of this file would change; the file is read, and not kept. */
struct engine_encoder_plan {
    struct encoder_id before, after; /* equal: nothing */
    struct engine_reset_plan forgotten;
};
enum tm_code engine_plan_encoder(struct engine *e, const struct version *v, const char *file,
                                 struct engine_encoder_plan *out, struct tm_error *err);
/* The version learns by it from *position on (Encoder in ps/state/shard.h), and Pulls and rankings are of it. Later
 * starts keep it as long as the configuration names what it named at this one. TM_INVALID_ARGUMENT, TM_NOT_FOUND,
 * TM_IO: the file; TM_FAILED_PRECONDITION: the version has no encoder, or a prior of every weight, which the
 * other's would not be of (weight_prior.h); TM_RESOURCE_EXHAUSTED: ENCODERS_MAX are open. */
enum tm_code engine_set_encoder(struct engine *e, const struct version *v, const char *file,
                                const struct audit_note *note, uint64_t *position, struct tm_error *err);

/* A copy of the list, oldest first; returns how many. */
uint32_t engine_audit(struct engine *e, struct audit_entry out[static AUDIT_MAX]);

#endif
