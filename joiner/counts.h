/* joiner/counts.h - nothing vanishes: the two identities of promise E3, and the tables of what can become of a record.
 *
 * Streams   consumed = matched + applied + late + orphaned + duplicate + malformed + filtered + shed + waiting
 * Versions  samples = learned + batched + held + skipped, for new samples and corrections apart; skipped = its reasons
 * Memory    plain counters, copied as a whole when a shard commits. */
#ifndef TIDEMILL_JOINER_COUNTS_H
#define TIDEMILL_JOINER_COUNTS_H

#include "base/bytes.h"

/* clang-format off */
/*    name        what became of the record                                                       */
#define STREAM_FATES(F)                                                                            \
    F(matched,    "became part of a sample, or waits for the decision together with its impression") \
    F(applied,    "a table row that was stored")                                                   \
    F(late,       "came after its horizon: set aside")                                             \
    F(orphaned,   "its impression never came: set aside")                                          \
    F(duplicate,  "the same event, or a second impression of its key: set aside")                  \
    F(malformed,  "could not be read: set aside")                                                  \
    F(filtered,   "the rules exclude it: set aside")                                               \
    F(shed,       "dropped at the hard limit of memory: set aside")                                \
    F(waiting,    "not settled yet")
/* clang-format on */

/* clang-format off */
/*    name         what happened to some of them besides; no part of the identity             */
#define STREAM_NOTES(N)                                                                   \
    N(crowded_out, "impressions that actions are no longer attributed to: of their action key there are 32 newer ones")\
    N(table_late,  "table rows whose time the gate had passed: samples they were for were decided without them")\
    N(given_up,    "decided impressions that were forgotten before their time: memory.corrections was full")
/* clang-format on */

struct stream_counts {
    uint64_t consumed;
#define F(name, help) uint64_t name;
    STREAM_FATES(F)
    STREAM_NOTES(F)
#undef F
};

/* clang-format off */
/*    name      what became of the sample       */
#define SAMPLE_FATES(F)                                    \
    F(learned,  "changed the version's parameters")        \
    F(batched,  "waits in an open batch, or for its turn") \
    F(held,     "waits: the version is paused, or catches up") \
    F(skipped,  "not to be learned, with a reason")
/* clang-format on */

/* clang-format off */
/*    name                why a sample was skipped                                               */
#define SKIP_REASONS(R)                                                                            \
    R(skipped_discarded,  "an operator discarded what was held")                                   \
    R(skipped_limit,      "more was held than the budget for held samples allows: the oldest went") \
    R(skipped_original,   "a correction of a sample that was not learned")                         \
    R(skipped_reset,      "a reset, or another encoder: what was learned or waited is forgotten")        \
    R(skipped_reward,     "the version's reward has no value for its labels: a division by 0")     \
    R(skipped_no_features, "the version learns from features, and it has none")                    \
    R(skipped_dimension,  "its features do not fit the version's dimension, or its encoder")         \
    R(skipped_range,      "a feature or the weight is beyond a million; an encoder's id is not 1; or there are too " \
                          "many ids")                                                              \
    R(skipped_representation, "its features are of another representation than the version's")     \
    R(skipped_sampling,   "a negative that negative sampling left out")                             \
    R(skipped_filtered,   "a filter of samples excludes it")                                         \
    R(skipped_admission,  "its document was not admitted yet: it was only counted")                \
    R(skipped_gone,       "a correction of a sample that is not in the parameters: its document was not admitted " \
                          "then, or has expired or was reset since")
/* clang-format on */

/* clang-format off */
/*    name     what happened to some of them besides; no part of the identities            */
#define SAMPLE_NOTES(N)                                                                \
    N(clamped, "learned with a reward that was cut to what the version's model takes")
/* clang-format on */

struct sample_counts {
    uint64_t samples;
#define F(name, help) uint64_t name;
    SAMPLE_FATES(F)
    SKIP_REASONS(F)
    SAMPLE_NOTES(F)
#undef F
};

/* Consumed minus the sum of all fates: 0, or something vanished (or was skipped for no reason, or for two). */
int64_t stream_counts_imbalance(const struct stream_counts *c);
int64_t sample_counts_imbalance(const struct sample_counts *c);

void stream_counts_add(struct stream_counts *sum, const struct stream_counts *c);
void sample_counts_add(struct sample_counts *sum, const struct sample_counts *c);

void stream_counts_encode(const struct stream_counts *c, struct buffer *out);
void stream_counts_decode(struct reader *r, struct stream_counts *out);
void sample_counts_encode(const struct sample_counts *c, struct buffer *out);
void sample_counts_decode(struct reader *r, struct sample_counts *out);

#endif
