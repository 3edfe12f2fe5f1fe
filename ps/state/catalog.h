/* ps/state/catalog.h - what control records have established: the join configuration and the versions.
 *
 * A catalog is the fold of the control records before some position; every shard has its own, so that a shard is a pure
 * function of its records. The door has one too, for names.
 * Memory   owns its versions; a struct version does not move or change once it is there.
 * Errors   catalog_apply and catalog_decode refuse what this program does not know: TM_DATA_LOSS, with what it was. */
#ifndef TIDEMILL_PS_STATE_CATALOG_H
#define TIDEMILL_PS_STATE_CATALOG_H

#include "base/error.h"
#include "base/hash.h"
#include "joiner/joiner.h"
#include "learner/model.h"

enum { CATALOG_NAME_MAX = 64, CATALOG_VERSIONS_MAX = 4096, VERSION_SOURCES_MAX = 16 };

struct version {
    uint32_t id; /* from 1, never reused */
    char name[CATALOG_NAME_MAX + 1];
    const struct model *model;
    struct model_config config;
    double half_life_ms; /* 0: never forgets; config.decay_per_ms follows from it */
    uint32_t reward_label;
    uint32_t samples_from[VERSION_SOURCES_MAX]; /* versions whose samples it learns */
    uint32_t samples_from_count;
};

struct catalog {
    bool joined; /* a join configuration is there */
    struct joiner_config join;
    char stream_name[JOINER_STREAMS_MAX][CATALOG_NAME_MAX + 1];
    char label_name[JOINER_LABELS_MAX][CATALOG_NAME_MAX + 1];
    uint32_t key_fields; /* enum joiner_key_field */
    struct version **version;
    uint32_t versions;
};

void catalog_close(struct catalog *c);

/* Apply one packed tidemill.v1.Control. */
enum tm_code catalog_apply(struct catalog *c, struct bytes control, struct tm_error *err);

void catalog_encode(const struct catalog *c, struct buffer *out);
enum tm_code catalog_decode(struct catalog *c, struct bytes stored, struct tm_error *err);

const struct version *catalog_find(const struct catalog *c, struct bytes name);
const struct version *catalog_by_id(const struct catalog *c, uint32_t id);
int catalog_stream(const struct catalog *c, struct bytes name); /* index or -1 */

/* Packed control records that say the same as a catalog's parts: for making new ones and comparing with old ones. */
void catalog_pack_join(const struct catalog *c, struct buffer *out);
void catalog_pack_version(const struct version *v, struct buffer *out);

#endif
