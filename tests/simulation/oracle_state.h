/* tests/simulation/oracle_state.h - the inside of an oracle, shared by its parts: oracle.c (the sequence, the answers),
 * oracle_times.c (gates, horizons, expiry), oracle_take.c (what becomes of a record), oracle_attribution.c (actions with
 * a key of their own), oracle_labels.c, oracle_decide.c (decisions, corrections), oracle_samples.c (features, what is
 * told) and oracle_bounds.c (what is shed, given up, forgotten). Nobody else includes it.
 *
 * Records are named by their index in the shard's array, which is the order of positions; NOBODY: none. */
#ifndef TIDEMILL_TESTS_SIMULATION_ORACLE_STATE_H
#define TIDEMILL_TESTS_SIMULATION_ORACLE_STATE_H

#include "tests/simulation/oracle.h"
#include "tests/simulation/told_rows.h"

/* The join was so from some place on. */
struct oracle_epoch {
    uint32_t streams, labels;
    int64_t window_ms;
    bool at_once;
};

struct oracle {
    uint32_t shards;
    uint64_t hash_seed;
    struct catalog catalog;
    int64_t watermark[JOINER_STREAMS_MAX];
    struct oracle_epoch *epoch; /* all there ever were */
    uint32_t epochs;
    int64_t least_horizon; /* of impressions and early actions: it does not go back behind what it was when one began */
    struct oracle_shard *shard;
    struct told_rows rows; /* of tables */
    uint64_t here;         /* the story has come to this position */
};

static inline const struct joiner_stream *stream_of(const struct oracle *o, const struct oracle_record *r)
{
    return &o->catalog.join.stream[r->stream];
}

static inline bool is_undecided(const struct oracle *o, const struct oracle_record *r)
{
    return o->catalog.join.stream[r->stream].kind == JOINER_IMPRESSION && r->fate == FATE_MATCHED && !r->decided;
}

static inline bool is_attributed(const struct oracle *o, const struct oracle_record *r)
{
    return stream_of(o, r)->attribute != JOINER_ATTRIBUTE_NONE;
}

/* oracle_times.c */
int64_t oracle_gate_of(const struct oracle *o, uint32_t epoch);
int64_t oracle_shard_gate(const struct oracle *o, const struct oracle_shard *s);
int64_t oracle_front(const struct oracle *o, const struct oracle_shard *s);
int64_t oracle_decided_at(const struct oracle *o, struct oracle_shard *s);
int64_t oracle_horizon(const struct oracle *o, int64_t lateness);
int64_t oracle_lateness_horizon(const struct oracle *o);
int64_t oracle_expiry(const struct oracle *o, const struct oracle_shard *s);
int64_t oracle_nearby(const struct oracle *o);

/* oracle_samples.c */
/* came: the features of a correction that some came for, kept at another place if `moved`. */
struct oracle_change {
    const struct lesson_features *came;
    bool moved;
};
void oracle_text(char *out, size_t room, struct bytes text);
bool oracle_is_negative(const struct oracle *o, const double *labels);
struct lesson_features oracle_features_of(const struct oracle *o, const struct oracle_shard *s, uint32_t impression);
/* position: of the record that makes the sample. */
void oracle_emit(struct oracle *o, struct oracle_shard *s, uint32_t impression, enum sample_kind kind,
                 const double *labels, bool excluded, uint64_t position, struct oracle_change change);
void oracle_add_late(struct oracle *o, struct oracle_shard *s, uint32_t impression, uint32_t at);

/* oracle_attribution.c */
bool oracle_known_by(const struct oracle *o, const struct oracle_record *shown, uint32_t fields);
bool oracle_may_hold(const struct oracle *o, const struct oracle_record *shown, const struct oracle_record *action);
uint32_t oracle_parts_of(const struct oracle *o, const struct oracle_shard *s, uint32_t action, uint32_t impression);
void oracle_settle_shares(const struct oracle *o, struct oracle_shard *s, uint32_t going, int64_t known_from);
void oracle_attribute_to(struct oracle *o, struct oracle_shard *s, uint32_t at);
void oracle_take_attributed(struct oracle *o, struct oracle_shard *s, uint32_t at);

/* oracle_labels.c */
bool oracle_acts_on(const struct oracle *o, const struct oracle_record *r, uint32_t impression);
uint32_t oracle_next_action(const struct oracle *o, const struct oracle_shard *s, uint32_t impression, uint32_t after);
uint32_t oracle_last_action(const struct oracle *o, const struct oracle_shard *s, uint32_t impression);
bool oracle_labels_of(const struct oracle *o, const struct oracle_shard *s, uint32_t impression, uint32_t last,
                      double out[static JOINER_LABELS_MAX]);

/* oracle_decide.c */
void oracle_correct(struct oracle *o, struct oracle_shard *s, uint32_t impression, uint32_t last, uint64_t position);
void oracle_decide(struct oracle *o, struct oracle_shard *s, uint32_t impression);
void oracle_decide_ready(struct oracle *o, struct oracle_shard *s);

/* oracle_take.c */
void oracle_settle(struct oracle_record *r, enum oracle_fate fate, enum joiner_reason reason);
void oracle_take(struct oracle *o, struct oracle_shard *s, const struct block_event *e, uint32_t sharers);

/* oracle_bounds.c */
bool oracle_give_up(const struct oracle *o, struct oracle_shard *s);
void oracle_forget(const struct oracle *o, struct oracle_shard *s);
void oracle_keep_bounds(struct oracle *o, struct oracle_shard *s);

#endif
