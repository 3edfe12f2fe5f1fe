/* ps/engine/version_embedding.h - the options of an embedding: defaults, what is out of place, what its model is told.
 *
 * Threads  any, on different options. */
#ifndef TIDEMILL_PS_ENGINE_VERSION_EMBEDDING_H
#define TIDEMILL_PS_ENGINE_VERSION_EMBEDDING_H

#include "learner/model.h"
#include "ps/engine/option_table.h"

/* False: it is a number of other optimizers. */
bool version_embedding_has(const struct embedding_options *o, const struct option_row *row);

void version_embedding_derive(struct embedding_options *o);

/* TM_INVALID_ARGUMENT: a loss or an optimizer that there is not, or a number that its optimizer does not have. */
enum tm_code version_embedding_check(const struct embedding_options *o, struct tm_error *err);

/* Of options that were checked. */
void version_embedding_fill(const struct embedding_options *o, struct embedding_config *config);

#endif
