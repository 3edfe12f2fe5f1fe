/* ps/state/catalog_embedding.h - what an embedding learns by (struct embedding_config) as a message, described and read
 * back. Control records carry it, calls bring and answer it.
 *
 * Memory   the message points to texts that are constant.
 * Errors   TM_DATA_LOSS: a loss or an optimizer that this program does not know. */
#ifndef TIDEMILL_PS_STATE_CATALOG_EMBEDDING_H
#define TIDEMILL_PS_STATE_CATALOG_EMBEDDING_H

#include "learner/model.h"
#include "tidemill/v1/versions.pb-c.h"

/* clang-format off */
/*    field of the message, field of struct embedding_config, the optimizers that have it */
#define EMBEDDING_NUMBERS(N)                                                                        \
    N(rate,            optimizer.rate,     EMBEDDING_ALL)                                           \
    N(momentum,        optimizer.momentum, 1u << OPTIMIZER_MOMENTUM)                                \
    N(beta1,           optimizer.beta1,    1u << OPTIMIZER_ADAM)                                    \
    N(beta2,           optimizer.beta2,    1u << OPTIMIZER_ADAM)                                    \
    N(damping,         optimizer.epsilon,  1u << OPTIMIZER_ADAGRAD | 1u << OPTIMIZER_ADAGRAD_ROW |  \
                                           1u << OPTIMIZER_ADAM)                                    \
    N(beta,            optimizer.beta,     1u << OPTIMIZER_FTRL)                                    \
    N(l1,              optimizer.l1,       1u << OPTIMIZER_FTRL)                                    \
    N(l2,              optimizer.l2,       EMBEDDING_ALL)                                           \
    N(clip,            optimizer.clip,     EMBEDDING_ALL)                                           \
    N(norm_max,        norm_max,           EMBEDDING_ALL)                                           \
    N(admit_at,        admit_at,           EMBEDDING_ALL)                                           \
    N(admit_share,     admit_share,        EMBEDDING_ALL)                                           \
    N(expire_after_ms, expire_after,       EMBEDDING_ALL)                                           \
    N(seed,            seed,               EMBEDDING_ALL)
/* clang-format on */
#define EMBEDDING_ALL ((1u << OPTIMIZER_COUNT) - 1)

const char *embedding_loss_name(enum embedding_loss loss);
bool embedding_loss_find(struct bytes name, enum embedding_loss *loss); /* false: there is none of this name */

void embedding_describe(const struct embedding_config *config, Tidemill__V1__EmbeddingSpec *out);
enum tm_code embedding_read(const Tidemill__V1__EmbeddingSpec *spec, struct embedding_config *out,
                            struct tm_error *err);

#endif
