/* ps/engine/option_rows_embedding.h - the rows of the option table about encoders and embeddings. */
#ifndef TIDEMILL_PS_ENGINE_OPTION_ROWS_EMBEDDING_H
#define TIDEMILL_PS_ENGINE_OPTION_ROWS_EMBEDDING_H

#include "ps/engine/option_table.h"

#define EMBEDDING_ROW(name, kind)                              \
    .key = #name, .type = kind, .models = OPTION_OF_EMBEDDING, \
    .offset = offsetof(struct version_options, embedding.name)

/* clang-format off */
#define ENCODER_ROWS                                                                                                \
    {.key = "representation", .type = OPTION_NAME, .models = OPTION_OF_FEATURES,                                    \
     .offset = offsetof(struct version_options, representation), .derived = "any", .example = "encoder-3",          \
     .help = "lr, linear, embedding: the representation that features must have been sent with; samples with "      \
             "another are set aside."},                                                                             \
    {.key = "encoder", .type = OPTION_PATH, .models = OPTION_OF_FEATURES,                                           \
     .offset = offsetof(struct version_options, encoder), .derived = "none", .example = "encoder.safetensors",      \
     .help = "lr, linear, embedding: a safetensors file (docs/encoder.md) that makes the features from raw ones; "  \
             "`dimension` is how many it makes. The data folder keeps a copy."},                                    \
    {.key = "on_new_representation", .type = OPTION_CHANGE, .models = OPTION_OF_FEATURES,                           \
     .offset = offsetof(struct version_options, on_new_representation), .preset = "refuse",                         \
     .help = "lr, linear, embedding: when the file of `encoder` makes another representation at a start: refuse to " \
             "start, or reset: the version goes on with the new one, its documents begin anew."}

#define EMBEDDING_ROWS                                                                                              \
    {EMBEDDING_ROW(loss, OPTION_NAME), .derived = "`logistic`", .example = "logistic",                              \
     .help = "embedding: what is made small. logistic: for rewards from 0 to 1; squared: for any rewards."},        \
    {EMBEDDING_ROW(optimizer, OPTION_NAME), .derived = "`adagrad`", .example = "adagrad",                           \
     .help = "embedding: how a gradient moves the vector: sgd, momentum, adagrad, adagrad_row (one sum of squares " \
             "for the whole vector), adam or ftrl."},                                                               \
    {EMBEDDING_ROW(rate, OPTION_NUMBER), .derived = "`0.1`, adam `0.01`", .example = "0.1",                         \
     .min = "0", .max = "1000", .help = "embedding: of learning."},                                                 \
    {EMBEDDING_ROW(momentum, OPTION_NUMBER), .derived = "`0.9`", .example = "0.9", .min = "0", .max = "0.999",      \
     .help = "embedding, optimizer momentum: the share of the velocity that stays."},                               \
    {EMBEDDING_ROW(beta1, OPTION_NUMBER), .derived = "`0.9`", .example = "0.9", .min = "0", .max = "0.999",         \
     .help = "embedding, optimizer adam: the share of the mean gradient that stays."},                              \
    {EMBEDDING_ROW(beta2, OPTION_NUMBER), .derived = "`0.999`", .example = "0.999", .min = "0", .max = "0.9999999", \
     .help = "embedding, optimizer adam: the share of the mean square that stays."},                                \
    {EMBEDDING_ROW(damping, OPTION_NUMBER), .derived = "`0.000001`", .example = "0.000001", .min = "0", .max = "1", \
     .help = "embedding, optimizers adagrad, adagrad_row and adam: added to the root that a step is divided by."},  \
    {EMBEDDING_ROW(beta, OPTION_NUMBER), .derived = "`1`", .example = "1", .min = "0", .max = "1000000",            \
     .help = "embedding, optimizer ftrl: smooths the first rates."},                                                \
    {EMBEDDING_ROW(l1, OPTION_NUMBER), .preset = "0", .min = "0", .max = "1000000",                                 \
     .help = "embedding, optimizer ftrl: weights whose sum of gradients is within it are 0."},                      \
    {EMBEDDING_ROW(l2, OPTION_NUMBER), .preset = "0", .min = "0", .max = "1000",                                    \
     .help = "embedding: pulls weights towards 0, with every step."},                                             \
    {EMBEDDING_ROW(clip, OPTION_NUMBER), .derived = "`1`", .example = "1", .min = "0", .max = "1000000",            \
     .help = "embedding: the greatest length of a gradient; longer ones are cut to it."},                           \
    {EMBEDDING_ROW(norm_max, OPTION_NUMBER), .derived = "`100`", .example = "100", .min = "0", .max = "1000000",    \
     .help = "embedding: the greatest length of a vector; what is longer is scaled back, and counted as a repair."}, \
    {EMBEDDING_ROW(admit_at, OPTION_COUNT), .derived = "`1`", .example = "5", .min = "0", .max = "999999999",       \
     .help = "embedding: a document has a vector from its n-th sample on; those before are only counted."},         \
    {EMBEDDING_ROW(admit_share, OPTION_NUMBER), .derived = "`1`", .example = "0.1", .min = "0", .max = "1",         \
     .help = "embedding: from there on each sample lets the document in with this probability."},                   \
    {.key = "expire_after", .type = OPTION_DURATION, .models = OPTION_OF_EMBEDDING,                                 \
     .offset = offsetof(struct version_options, embedding.expire_after_ms), .preset = "0s", .example = "30d",       \
     .min = "0s", .max = "3650d",                                                                                   \
     .help = "embedding: a document without a sample for so long, in event time, is forgotten; 0s: never."},        \
    {EMBEDDING_ROW(seed, OPTION_COUNT), .preset = "0", .min = "0", .max = "999999999",                              \
     .help = "embedding: first vectors and admission are drawn from it and the document's id."}
/* clang-format on */

#endif
