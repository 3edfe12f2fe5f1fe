/* ps/state/catalog.h - what control records have established: the join configuration, the versions and their states.
 *
 * A catalog is the fold of the control records before some position; every shard has its own, so that a shard is a pure
 * function of its records. The door has one too, for names.
 * Memory   owns its versions; a struct version does not move once it is there, and only its prior changes.
 * Errors   catalog_apply and catalog_decode refuse what this program does not know: TM_DATA_LOSS, with what it was. */
#ifndef TIDEMILL_PS_STATE_CATALOG_H
#define TIDEMILL_PS_STATE_CATALOG_H

#include "base/error.h"
#include "base/hash.h"
#include "joiner/joiner.h"
#include "learner/encoder.h"
#include "learner/model.h"
#include "learner/policy.h"
#include "learner/reward.h"
#include "ps/state/audit.h"

enum {
    CATALOG_NAME_MAX = 64,
    CATALOG_VERSIONS_MAX = 4096,
    VERSION_SOURCES_MAX = 16,
    CATALOG_PRIOR_VALUES_MAX = 65536, /* of all versions' weight_prior: whoever makes a version asks first */
};

enum { VERSION_BATCH_MAX = 4096 }; /* samples of a batch */

/* When a batch of a document is learned: whichever comes first. */
struct version_batch {
    uint32_t samples;      /* so many of them; 0, 1: there are no batches */
    double positive_ratio; /* a positive, and so many for each negative; 0: whatever they are */
    int64_t age_ms;        /* it has been open for so much event time; 0: however long */
};

/* In which order samples are learned: as they come, or by their own times (ps/state/shard.h, Turns). */
enum version_order { ORDER_ARRIVAL, ORDER_EVENT_TIME };

struct version {
    uint32_t id; /* from 1, never reused */
    char name[CATALOG_NAME_MAX + 1];
    const struct model *model;
    struct model_config config; /* its prior is that of now (ps/state/parameter_prior.h) */
    double *weight_prior;       /* owned: ps/state/weight_prior.h; config points into it; NULL: none */
    uint32_t weight_prior_values;
    char prior_source[CATALOG_NAME_MAX + 33];  /* "1234 documents of A"; with weight_prior */
    bool prior_changed;                        /* since it was made, with... */
    double first_prior[MODEL_PRIOR_MAX];       /* ...this one */
    double half_life_ms;                       /* 0: never forgets; config.decay_per_ms follows from it */
    char representation[CATALOG_NAME_MAX + 1]; /* that its samples' features must have; "": any; encoded: none */
    bool encoded;                              /* it has an encoder, which takes features of that representation */
    struct reward reward;
    struct policy policy; /* how it ranks, unless a call says otherwise */
    bool validate;        /* how good are its predictions? ps/state/shard.h, Judged */
    struct version_batch batch;
    enum version_order order;
    uint32_t samples_from[VERSION_SOURCES_MAX]; /* versions whose samples it learns */
    uint32_t samples_from_count;
};

/* Do its samples wait before they are learned? */
static inline bool version_waits(const struct version *v) { return v->batch.samples > 1 || v->order != ORDER_ARRIVAL; }

/* Does it draw something for each document? Then its samples carry the document's key (struct example, item). */
static inline bool version_draws(const struct version *v) { return v->model->admitted != NULL; }

/* What a table keeps of a document: its block; and behind it, where documents come and go, the sequence of the sample
 * that admitted it (u64). Corrections of older ones do not apply. Of a version whose samples wait every document is
 * admitted, and none expires (version_life_check): its documents stay like those of any other model. */
static inline bool version_is_mortal(const struct version *v) { return v->model->admitted && !version_waits(v); }
static inline size_t version_content_size(const struct version *v)
{
    return v->model->block_size(&v->config) + (version_is_mortal(v) ? sizeof(uint64_t) : 0);
}

/* As it was made. */
static inline const double *version_first_prior(const struct version *v)
{
    return v->prior_changed ? v->first_prior : v->config.prior;
}

enum version_state { VERSION_LEARNING, VERSION_PAUSED };

/* Logical bounds of a shard: they decide what is learned when, so they are part of the sequence. */
struct catalog_limits {
    uint64_t held_bytes;    /* of the sample log; a paused version that holds more gives up its oldest samples */
    uint64_t waiting_bytes; /* of what waits for decisions; more is shed (joiner.h); 0: no limit */
    uint64_t decided_bytes; /* of decided samples and their actions; the oldest are given up (joiner.h); 0: no limit */
    uint64_t batch_bytes;   /* of samples that wait in batches; more and the oldest are learned early */
    uint32_t slice;         /* held samples that a shard works off after each block; more in ps/state/shard.h */
};
#define CATALOG_HELD_BYTES (UINT64_C(128) << 20) /* until a control record says something else */
#define CATALOG_BATCH_BYTES (UINT64_C(16) << 20)
enum { CATALOG_SLICE = 4096 };

struct catalog {
    bool joined; /* a join configuration is there */
    struct joiner_config join;
    char stream_name[JOINER_STREAMS_MAX][CATALOG_NAME_MAX + 1];
    char label_name[JOINER_LABELS_MAX][CATALOG_NAME_MAX + 1];
    uint32_t key_fields; /* enum joiner_key_field */
    struct version **version;
    enum version_state *state;  /* of each version */
    struct encoder_id *encoder; /* of each version: the representation that it learns from; "": as features come */
    struct encoder_id
        *configured; /* of each: what the configuration named when it was changed by hand; "": it was not */
    uint32_t versions;
    struct catalog_limits limits; /* zeros mean the defaults: read them with catalog_limits() */
    struct audit audit;           /* of parameters that were changed by hand */
};

void catalog_close(struct catalog *c);

/* What a control record has changed. */
enum catalog_change_kind {
    CATALOG_SAME,      /* nothing: a command that was given again, or a record that only makes a block */
    CATALOG_JOINED,    /* there is a join configuration, or it has another epoch */
    CATALOG_CREATED,   /* a version: the last one */
    CATALOG_PAUSED,    /* a version that learned */
    CATALOG_RESUMED,   /* a version that was paused; it learns everything that was held */
    CATALOG_DISCARDED, /* a version that was paused; the new samples that were held are not learned */
    CATALOG_LIMITED,
    CATALOG_RULED,   /* other rules of filtering and sampling */
    CATALOG_ENCODED, /* a version: by another encoder */
    CATALOG_PRIOR,   /* of a version */
    CATALOG_RESET,   /* parameters of a version: which, says parameter_reset_visit() */
};
struct catalog_change {
    enum catalog_change_kind kind;
    uint32_t version; /* id, where there is one */
};

/* Apply one packed tidemill.v1.Control. change: may be NULL. A record that is refused changes nothing that counts. */
enum tm_code catalog_apply(struct catalog *c, struct bytes control, struct catalog_change *change,
                           struct tm_error *err);

void catalog_encode(const struct catalog *c, struct buffer *out);
enum tm_code catalog_decode(struct catalog *c, struct bytes stored, struct tm_error *err);

const struct version *catalog_find(const struct catalog *c, struct bytes name);
const struct version *catalog_by_id(const struct catalog *c, uint32_t id);
enum version_state catalog_state(const struct catalog *c, uint32_t id);         /* of a version that is there */
const struct encoder_id *catalog_encoder(const struct catalog *c, uint32_t id); /* likewise */
const struct encoder_id *catalog_configured_encoder(const struct catalog *c, uint32_t id); /* likewise */
struct catalog_limits catalog_limits(const struct catalog *c);
int catalog_stream(const struct catalog *c, struct bytes name); /* index or -1 */
/* An expression over the catalog's labels. */
enum tm_code catalog_compile_reward(const struct catalog *c, struct bytes text, struct reward *out,
                                    struct tm_error *err);

/* Is `want` the join of `have`, or that with more streams and labels behind its own, or with another window? Else
 * TM_FAILED_PRECONDITION: the first difference. */
enum tm_code catalog_join_extends(const struct catalog *have, const struct catalog *want, struct tm_error *err);
bool catalog_join_same(const struct catalog *have, const struct catalog *want); /* of those that extend */
/* The newest epoch is of impressions from this position on. */
void catalog_begin_epoch(struct catalog *c, uint64_t position);

/* Packed control records that say the same as a catalog's parts: for making new ones and comparing with old ones. */
void catalog_pack_join(const struct catalog *c, struct buffer *out);
/* encoder: NULL or "": it has none. */
void catalog_pack_version(const struct version *v, const struct encoder_id *encoder, struct buffer *out);
void catalog_pack_rules(const struct joiner_rules *rules, struct buffer *out);
void catalog_pack_limits(const struct catalog_limits *limits, struct buffer *out); /* slice from 1 */

/* Commands. discard: only when it learns again. */
void catalog_pack_state(uint32_t version, enum version_state state, bool discard, struct buffer *out);
/* By the configuration; or by hand, while the configuration names another one ("": none). */
void catalog_pack_encoder(uint32_t version, const struct encoder_id *encoder, struct buffer *out);
void catalog_pack_encoder_by_hand(uint32_t version, const struct encoder_id *encoder,
                                  const struct encoder_id *configured, const struct audit_note *note,
                                  struct buffer *out);
/* Shards work off what is held after each block; while no event comes, whoever owns the log appends this record until
 * no shard is behind. */
void catalog_pack_proceed(struct buffer *out);

#endif
