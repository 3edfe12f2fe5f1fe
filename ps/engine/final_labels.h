/* ps/engine/final_labels.h - what corrections made of samples: for each corrected sample the reward it ends with.
 *
 * A sample is known by its shard and its sequence there. Corrections must come in the order of their sequences: the
 * last one of a sample holds. Rewards are one expression's for all samples, NaN where it has no value.
 * Errors   TM_DATA_LOSS: a sequence that no sample has.
 * Bounds   FINAL_LABELS_MAX corrected samples, 48 MiB; more are refused.
 * Memory   owns its table. Threads: one owner; pure. */
#ifndef TIDEMILL_PS_ENGINE_FINAL_LABELS_H
#define TIDEMILL_PS_ENGINE_FINAL_LABELS_H

#include <stdint.h>

#include "base/error.h"

enum { FINAL_LABELS_MAX = 1 << 20 };

struct final_label {
    uint64_t sample; /* shard and sequence; 0: free */
    double reward, keep;
};

struct final_labels {
    struct final_label *slot;
    uint32_t slots, count;
};

void final_labels_close(struct final_labels *f); /* {0} is an empty one */
enum tm_code final_labels_put(struct final_labels *f, uint32_t shard, uint64_t sequence, double reward, double keep,
                              struct tm_error *err);
/* NULL: the sample was never corrected. */
const struct final_label *final_labels_of(const struct final_labels *f, uint32_t shard, uint64_t sequence);

#endif
