/* ps/state/catalog_encoder.h - which encoder a version of a catalog has, as control records say it.
 *
 * Errors   TM_DATA_LOSS: a name that is none, a version that has none to change. */
#ifndef TIDEMILL_PS_STATE_CATALOG_ENCODER_H
#define TIDEMILL_PS_STATE_CATALOG_ENCODER_H

#include "ps/state/catalog.h"
#include "tidemill/v1/control.pb-c.h"

/* name NULL: none. */
enum tm_code catalog_encoder_read(const char *name, struct encoder_id *out, struct tm_error *err);

/* *changed: it is another one than before. */
enum tm_code catalog_encoder_change(struct catalog *c, const Tidemill__V1__VersionEncoder *spec, bool *changed,
                                    struct tm_error *err);

/* What is stored of a version whose encoder was changed by hand, beside its description. */
void catalog_encoder_describe(const struct catalog *c, uint32_t version, Tidemill__V1__VersionEncoder *out);
enum tm_code catalog_encoder_restore(struct catalog *c, const Tidemill__V1__VersionEncoder *stored,
                                     struct tm_error *err);

#endif
