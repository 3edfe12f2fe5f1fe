/* ps/state/catalog_version.h - one version as a control record: packed, and read back.
 *
 * Memory   a described version points into the version, and is to be packed before that goes.
 * Errors   TM_DATA_LOSS: what this program never writes; what the model, its reward or its batches refuse is theirs. */
#ifndef TIDEMILL_PS_STATE_CATALOG_VERSION_H
#define TIDEMILL_PS_STATE_CATALOG_VERSION_H

#include "ps/state/catalog.h"
#include "tidemill/v1/control.pb-c.h"

/* c: its labels; out: zeroed. */
enum tm_code catalog_read_version(const struct catalog *c, const Tidemill__V1__VersionSpec *spec, struct version *out,
                                  struct tm_error *err);
/* encoder: that it has (NULL: none); embedding: room for what an embedding learns by. */
void catalog_describe_version(const struct version *v, const struct encoder_id *encoder,
                              Tidemill__V1__VersionSpec *spec, Tidemill__V1__EmbeddingSpec *embedding);

/* 1 to CATALOG_NAME_MAX bytes; what: whose name it is, for the message. */
enum tm_code catalog_read_name(char out[static CATALOG_NAME_MAX + 1], const char *name, const char *what,
                               struct tm_error *err);

#endif
