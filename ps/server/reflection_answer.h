/* ps/server/reflection_answer.h - one question of the reflection protocol, answered; for reflection.c and its test.
 *
 * Shape    a pure function from a ServerReflectionRequest to a ServerReflectionResponse. v1 and v1alpha differ in the
 *          name of their package alone, so the bytes are the same.
 * Errors   TM_INVALID_ARGUMENT: no request, or one without a question; TM_RESOURCE_EXHAUSTED: it is
 *          longer than REFLECTION_REQUEST_MAX. */
#ifndef TIDEMILL_PS_SERVER_REFLECTION_ANSWER_H
#define TIDEMILL_PS_SERVER_REFLECTION_ANSWER_H

#include "base/error.h"
#include "proto/descriptors.h"

enum { REFLECTION_REQUEST_MAX = 4096 }; /* bytes */

/* Append the response. */
enum tm_code reflection_answer(const struct descriptors *d, struct bytes request, struct buffer *out,
                               struct tm_error *err);

#endif
