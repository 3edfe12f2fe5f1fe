/* client/validations.h - how good the predictions of a version were, as tables for people. */
#ifndef TIDEMILL_CLIENT_VALIDATIONS_H
#define TIDEMILL_CLIENT_VALIDATIONS_H

#include "base/bytes.h"
#include "tidemill/v1/versions.pb-c.h"

/* On standard output. */
void validations_print(Tidemill__V1__Validation *const *validations, size_t count);

#endif
