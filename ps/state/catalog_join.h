/* ps/state/catalog_join.h - the join configuration as a control record: packed, read back, and what another one may
 * change of it.
 *
 * Memory   the parts point into themselves and into the catalog, and are to be packed before either moves.
 * Errors   TM_DATA_LOSS: a record that this program never writes. It changes nothing then. */
#ifndef TIDEMILL_PS_STATE_CATALOG_JOIN_H
#define TIDEMILL_PS_STATE_CATALOG_JOIN_H

#include "ps/state/catalog.h"
#include "ps/state/catalog_rules.h"

struct join_parts {
    Tidemill__V1__JoinSpec spec;
    Tidemill__V1__StreamSpec stream[JOINER_STREAMS_MAX], *streams[JOINER_STREAMS_MAX];
    Tidemill__V1__LabelSpec label[JOINER_LABELS_MAX], *labels[JOINER_LABELS_MAX];
    Tidemill__V1__JoinEpoch epoch[JOINER_EPOCHS_MAX], *epochs[JOINER_EPOCHS_MAX]; /* of a stored catalog */
    struct label_filter_parts filters;
};

void catalog_describe_join(const struct catalog *c, struct join_parts *p);

/* The first join configuration, or another epoch of the one that there is. */
enum tm_code catalog_read_join(struct catalog *c, const Tidemill__V1__JoinSpec *spec, struct tm_error *err);
/* The epochs of a stored catalog, behind its join. */
enum tm_code catalog_read_epochs(struct catalog *c, const Tidemill__V1__Catalog *stored, struct tm_error *err);

#endif
