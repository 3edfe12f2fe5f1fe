/* proto/prior_file.h - the prior of a version's weights out of a safetensors file, for whoever configures a version and
 * for the command that makes one.
 *
 * Tensors   "mean" [n], and either "sd" [n] or "covariance" [n, n]; dtype F32 or F64; nothing else. n is the features'
 *           count and 1: the intercept is the last.
 * Values    as CreateVersionRequest.weight_prior has them: n means, then n sds or the lower triangle of the
 *           covariance by rows.
 * Refused   what the format's reader refuses (proto/json_safetensors.h); other tensors, types and shapes; numbers that
 *           are not finite; sds that are not above 0; a covariance that is not symmetric to 1e-6 of the two sds.
 *           Whether it is positive definite is the model's to say.
 * Bound     PRIOR_FILE_MAX bytes; n up to PRIOR_WEIGHTS_MAX with sds, PRIOR_FULL_MAX with a covariance.
 * Memory    *values is the caller's to free(). Errors: TM_INVALID_ARGUMENT, TM_RESOURCE_EXHAUSTED; they name the
 *           tensor; those of reading begin with the path. Threads: any. */
#ifndef TIDEMILL_PROTO_PRIOR_FILE_H
#define TIDEMILL_PROTO_PRIOR_FILE_H

#include "base/bytes.h"
#include "base/error.h"

enum { PRIOR_FILE_MAX = 2 << 20, PRIOR_WEIGHTS_MAX = 4096, PRIOR_FULL_MAX = 65 };

/* file: begins at a multiple of 8. */
enum tm_code prior_file_parse(struct bytes file, double **values, size_t *count, struct tm_error *err);
/* TM_NOT_FOUND: there is none. */
enum tm_code prior_file_read(const char *path, double **values, size_t *count, struct tm_error *err);

#endif
