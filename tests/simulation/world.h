/* tests/simulation/world.h - everything that will happen in one case, written down before it starts: one seed, one
 * script.
 *
 * The script is the only source of chance, so leaving acts or events out of it changes nothing about the rest: that
 * is how a failing case is made small.
 * Bias     few requests and documents, times on a coarse grid around the horizons, so that records collide, meet the
 *          strict inequalities exactly, and are late, early and orphaned often. */
#ifndef TIDEMILL_TESTS_SIMULATION_WORLD_H
#define TIDEMILL_TESTS_SIMULATION_WORLD_H

#include "ps/state/catalog.h"
#include "ps/state/sequencer.h"

#define WORLD_EPOCH_MS INT64_C(1700000000000) /* event time when a script begins */

enum {
    WORLD_VERSIONS_MAX = 4,
    WORLD_LANES_MAX = 6,
    WORLD_SHARDS_MAX = 8,
    WORLD_THREADS_MAX = 4,
    WORLD_DOCS_MAX = 8,
    WORLD_STREAMS_MAX = 11,
    WORLD_TABLES_MAX = 2,
    WORLD_DIMENSION = 3, /* what impressions or streams of features send, mostly; each table adds 1 */
    WORLD_WEIGHTS_MAX = WORLD_DIMENSION + WORLD_TABLES_MAX + 1,
    WORLD_VALUES_MAX = 4,
    WORLD_STAGES_MAX = 4,
    WORLD_SHORT_MEMORY_MS = 300
}; /* of producers; else they are never forgotten */

/* What an event brings to learn from. Values are small fractions, and follow from luck. */
struct world_features {
    bool there, sparse, huge; /* huge: the first value is no model's */
    uint8_t values;           /* how many; sparse: every other index */
    uint8_t representation;   /* 0: none named; 3 and 4: those of the encoders */
    uint32_t luck;
};

struct world_event {
    uint8_t stream, request, user, doc;
    uint8_t version; /* 0: none named; else one of those that exist when it is sent */
    uint8_t place;   /* 0: none */
    uint16_t id;     /* 0: none */
    bool withdraw;   /* the action with this id */
    bool stamped;    /* the server's own: it gets its time when it is taken, and `time` is about that */
    double value;
    float weight;
    float score; /* that was served; NaN: none */
    int64_t time;
    struct world_features features;
    uint32_t record;           /* 0: it is alone; else items with this number that are sent together are one record */
    struct world_features own; /* items: behind `features`, which are shared */
};

/*    kind         what happens                                                         */
#define ACTS(A)                                                                      \
    A(SEND, "a lane sends a batch; it connects first, and sends again what is open") \
    A(RANK, "the server stamps a batch of its own, at what the wall clock says")     \
    A(CLOCK, "the wall clock says something else")                                   \
    A(WATERMARK, "a lane asserts progress")                                          \
    A(END, "a client ends")                                                          \
    A(LEAVE, "a client leaves")                                                      \
    A(REPEAT, "a lane sends an old batch again")                                     \
    A(GAP, "a lane skips a sequence")                                                \
    A(RECONNECT, "a lane loses its call")                                            \
    A(RESTART, "a client comes back as a new instance")                              \
    A(WAIT, "the wall clock goes on")                                                \
    A(VERSION, "a version is created")                                               \
    A(PAUSE, "a version is paused")                                                  \
    A(RESUME, "a version learns again, all that was held first")                     \
    A(DISCARD, "a version learns again, without the new samples that were held")     \
    A(RESET, "documents of a version, or all, begin anew")                           \
    A(PRIOR, "a version of model beta gets another prior")                           \
    A(PROCEED, "a block comes that only lets shards catch up")                       \
    A(LIMIT, "the limits change")                                                    \
    A(ENCODER, "a version gets an encoder, perhaps another one")                     \
    A(RULES, "the rules of filtering and sampling change")                           \
    A(JOIN, "the join gets another stage: streams, labels, another window")          \
    A(SEAL, "the log writer seals a block")                                          \
    A(LOG_SYNC, "the log is synced; acks go out")                                    \
    A(HAND_OVER, "a thread applies blocks")                                          \
    A(COMMIT, "a shard commits")                                                     \
    A(SYNC, "the state is synced")                                                   \
    A(CRASH, "the process dies and starts again")

enum act_kind {
#define A(name, help) ACT_##name,
    ACTS(A)
#undef A
};

struct act {
    enum act_kind kind;
    uint32_t who, amount, luck; /* lane, thread or shard; how much; the rest of chance */
    uint8_t stream;
    int64_t time;
    uint32_t first, count; /* SEND, RANK: of the world's events */
    bool dropped;
};

struct world_lane {
    uint32_t client, name;
    uint32_t streams; /* bit set */
};

/* The join as far as it is configured: the first so many streams and labels. */
struct world_stage {
    uint32_t streams, labels;
    int64_t window_ms;
    bool at_once; /* positives are decided before the gate */
};

struct world {
    uint64_t seed;
    struct catalog join; /* only its join, with all that there is in the end, and the first window */
    struct world_stage stage[WORLD_STAGES_MAX];
    uint32_t stages;
    struct version version[WORLD_VERSIONS_MAX];
    uint32_t reward_labels[WORLD_VERSIONS_MAX]; /* of each version: how many it needs */
    uint32_t versions, shards, threads, clients, lanes;
    struct world_lane lane[WORLD_LANES_MAX];
    uint32_t stalled; /* bit set of streams that nobody sends */
    uint32_t requests, users, docs;
    struct catalog_limits limits[2]; /* at first, and what LIMIT changes them to */
    struct joiner_rules rules[2];    /* at first, and what RULES changes them to */
    struct sequencer_options sequencing;
    struct world_event *event;
    uint32_t events, records;
    bool *event_dropped;
    struct act *act;
    uint32_t acts;
    bool whole;            /* weights are whole, rewards quarters or so, and nothing is forgotten: sums are exact */
    uint32_t dimension;    /* of models over features, mostly */
    uint32_t own_features; /* percent of impressions that bring their own; 100: nobody learns from features */
};

/*    name                what the script has of it, for a summary of what was covered */
#define WORLD_TRAIT_TABLE(T)                                    \
    T(ATTRIBUTION, "attribution")                               \
    T(WITHDRAWALS, "withdrawals")                               \
    T(FILTERS, "filters")                                       \
    T(SAMPLE_FILTERS, "filters of samples")                     \
    T(SAMPLING, "sampling")                                     \
    T(ROBOTS, "a limit for robots")                             \
    T(BOUND, "a bound of what waits")                           \
    T(FEATURES, "versions over features")                       \
    T(EMBEDDING_BATCHES, "embeddings whose samples wait")       \
    T(COVARIANCES, "priors with covariances")                   \
    T(EMBEDDINGS, "embeddings")                                 \
    T(TABLES, "tables")                                         \
    T(BATCHES, "batches")                                       \
    T(EVENT_TIME, "learning by event time")                     \
    T(NEW_ENCODERS, "new encoders")                             \
    T(VALIDATION, "validated versions")                         \
    T(SHADOWS, "versions that learn from others")               \
    T(PAUSES, "pauses")                                         \
    T(STALLED, "a stalled stream")                              \
    T(NEW_INSTANCES, "clients that come back as new instances") \
    T(ITEMS, "records of many documents")                       \
    T(RESETS, "resets")                                         \
    T(PRIORS, "new priors")                                     \
    T(JOINS, "changes of the join")                             \
    T(AT_ONCE, "positives at once")                             \
    T(CRASHES, "crashes and restarts")

enum world_trait {
#define T(name, text) WORLD_##name,
    WORLD_TRAIT_TABLE(T)
#undef T
        WORLD_TRAITS
};
/* The join of a stage. */
void world_join(const struct world *w, uint32_t stage, struct catalog *out);
bool world_has(const struct world *w, enum world_trait trait);
const char *world_trait_name(enum world_trait trait);

void world_make(struct world *w, uint64_t seed);
void world_close(struct world *w);
const char *act_name(enum act_kind kind);
void world_print(const struct world *w); /* configuration and what is not dropped */

const char *world_representation(uint32_t representation);
/* "d3", and the wire form of an event; tag ends up in its payload. */
const char *world_doc(uint32_t doc);
void world_encode(const struct world_event *e, uint64_t tag, struct buffer *out);
/* The same of a record: what e says for all its items, and one item. */
void world_encode_shared(const struct world_event *e, uint64_t tag, struct buffer *out);
void world_encode_item(const struct world_event *e, struct buffer *out);

#endif
