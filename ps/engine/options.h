/* ps/engine/options.h - the configuration: one table of options, and from it parsing, defaults, checks and docs.
 *
 * Order    flags over TIDEMILL_... environment over file over default.
 * Errors   all of them at once, one line each: "file:line:column: key: got X; expected Y", an unknown key with the
 *          nearest valid one, a key of a later version with "is not available in this version".
 * Memory   plain values; names are in fixed arrays. */
#ifndef TIDEMILL_PS_ENGINE_OPTIONS_H
#define TIDEMILL_PS_ENGINE_OPTIONS_H

#include "base/bytes.h"
#include "base/error.h"
#include "joiner/labels.h"
#include "learner/reward.h"

enum {
    OPTION_NAME_MAX = 64,
    OPTION_STREAMS_MAX = 32,
    OPTION_LABELS_MAX = 8,
    OPTION_VERSIONS_MAX = 64,
    OPTION_SAMPLING_MAX = 16,
    OPTION_FILTERS_MAX = 32,
    OPTION_SAMPLE_FILTERS_MAX = 16,
    OPTION_FILTER_FIELDS = 5,
    OPTION_POSITION_MAX = 999999999,
    OPTION_SAMPLES_FROM_MAX = 16,
    OPTION_FILE_MAX = 1 << 20, /* bytes */
    OPTION_PROBLEMS_SHOWN = 100,
};

/* Where in the file an item stands, for messages; line 0: it comes from no file. */
struct option_place {
    uint32_t line, column;
};

enum option_stream_kind { STREAM_FEATURES, STREAM_IMPRESSION, STREAM_ACTION, STREAM_TABLE };
enum option_attribute { ATTRIBUTE_DEFAULT, ATTRIBUTE_LAST, ATTRIBUTE_FIRST, ATTRIBUTE_ALL };

struct stream_options {
    struct option_place place;
    char name[OPTION_NAME_MAX + 1];
    enum option_stream_kind kind;
    int64_t out_of_orderness_ms;     /* default 5s */
    int64_t within_ms;               /* actions; default join.allowed_lateness */
    bool within_given;               /* false: within_ms follows join.allowed_lateness */
    int64_t before_ms;               /* actions; 0: without limit */
    bool required;                   /* features; default false */
    uint32_t dimension;              /* features that are not required; 0: not given */
    uint32_t key_fields;             /* enum option_key_field. Actions: 0 is the join key; tables: always given */
    bool payload_only;               /* tables; default false */
    enum option_attribute attribute; /* of a key of its own; default last */
};

struct label_options {
    struct option_place place;
    char name[OPTION_NAME_MAX + 1];
    char stream[OPTION_NAME_MAX + 1]; /* an action stream */
    struct joiner_label label;
};

/* In the order of learner/policy.h. */
enum option_policy { RANK_BY_THOMPSON, RANK_BY_UCB, RANK_BY_GREEDY };
enum option_new_representation { NEW_REPRESENTATION_REFUSE, NEW_REPRESENTATION_RESET };

enum option_covariance { OPTION_COVARIANCE_DIAGONAL = 1, OPTION_COVARIANCE_FULL };

/* Of model embedding; 0 or "": not given, see ps/engine/version_embedding.h. */
struct embedding_options {
    char optimizer[OPTION_NAME_MAX + 1], loss[OPTION_NAME_MAX + 1];
    double rate, momentum, beta1, beta2, damping, beta, l1, l2, clip, norm_max;
    uint32_t admit_at, seed;
    double admit_share;
    int64_t expire_after_ms;
};

struct version_options {
    struct option_place place;
    char name[OPTION_NAME_MAX + 1];
    char model[OPTION_NAME_MAX + 1];
    double prior[8];
    uint32_t prior_count; /* beta: default [1, 1] */
    int64_t half_life_ms; /* 0: never forgets */
    /* lr and linear; 0: not given, see ps/engine/version_model.h. */
    uint32_t dimension;
    uint32_t covariance; /* enum option_covariance */
    double prior_mean, prior_sd, intercept_mean, intercept_sd, noise_sd;
    char prior_from[4096];                    /* a version's name or a file: option_is_file(); "": neither */
    char representation[OPTION_NAME_MAX + 1]; /* "": any */
    char encoder[4096];                       /* a safetensors file; "": features are taken as they come */
    uint32_t on_new_representation;           /* enum option_new_representation */
    struct embedding_options embedding;
    char reward[REWARD_TEXT_MAX + 1]; /* an expression over labels; default: the first label */
    bool validate;
    uint32_t policy; /* enum option_policy: how it ranks, as what follows */
    double epsilon, width;
    uint32_t propensity_draws;
    uint32_t batch_samples; /* default 1, or the most with batch_age_ms */
    double batch_ratio;     /* positives for each negative; 0: whatever they are */
    int64_t batch_age_ms;   /* 0: however old */
    uint32_t order;         /* enum version_order */
    char samples_from[OPTION_SAMPLES_FROM_MAX][OPTION_NAME_MAX + 1];
    uint32_t samples_from_count; /* default: itself */
};

/* In the order of joiner/filters.h. */
enum option_filter_field { FIELD_VALUE, FIELD_WEIGHT, FIELD_POSITION, FIELD_SCORE, FIELD_PROPENSITY };
enum option_filter_action { FILTER_IS_DROP, FILTER_IS_CLAMP, FILTER_IS_DEFAULT };

struct filter_options {
    struct option_place place;
    char name[OPTION_NAME_MAX + 1];
    char stream[OPTION_NAME_MAX + 1];
    uint32_t field;  /* enum option_filter_field */
    uint32_t action; /* enum option_filter_action */
    double min, max; /* default: any number */
    double to;       /* default 0 */
};

/* In the order of joiner/verdict.h. */
enum option_look { BY_VALUE, BY_DELAY };
enum option_verdict { VERDICT_DROP, VERDICT_ZERO };

struct sample_filter_options {
    struct option_place place;
    char name[OPTION_NAME_MAX + 1];
    char label[OPTION_NAME_MAX + 1];
    uint32_t by;                    /* enum option_look */
    uint32_t action;                /* enum option_verdict */
    double min, max;                /* default: any number */
    char zero[OPTION_NAME_MAX + 1]; /* the label that becomes 0; "": the one it looks at */
};

/* Which negatives are kept: the first rule that fits. */
struct sampling_options {
    struct option_place place;
    char name[OPTION_NAME_MAX + 1];
    double keep;            /* (0, 1] */
    uint32_t by;            /* 0: impression, 1: user */
    uint32_t from_position; /* default 0: any */
    uint32_t to_position;   /* default OPTION_POSITION_MAX: any */
};

#define OPTION_OFF "off"

enum option_key_field { KEY_REQUEST = 1, KEY_USER = 2, KEY_DOC = 4 };

struct options {
    char data[4096];
    char listen[256];
    char http[256];           /* an address, or OPTION_OFF */
    uint32_t shards, threads; /* threads 0: one per processor */
    uint32_t rpc_threads;
    int64_t log_sync_ms, commit_interval_ms;
    int64_t log_retain_ms;       /* 0: for ever */
    uint64_t log_retain_size;    /* bytes; 0: no limit */
    uint64_t disk_reserve;       /* bytes; 0: by the size of the file system */
    uint64_t memory_inbox;       /* bytes of blocks waiting for a thread, and of batches waiting for the log */
    uint64_t memory_join;        /* bytes of what waits for decisions, over all shards */
    uint64_t memory_corrections; /* bytes of decided samples that can be corrected, over all shards */
    uint64_t memory_lookup;      /* bytes of rows of tables that are cached */
    uint64_t memory_batches;     /* bytes of samples that wait in batches or for their turn */
    uint64_t memory_samples;     /* bytes of sample log that a paused version may hold, and of samples kept for
                                 samples.retain, over all shards */
    int64_t samples_retain_ms;   /* 0: samples are kept for paused versions only */
    int64_t window_ms, allowed_lateness_ms, producer_timeout_ms, door_timeout_ms;
    bool positive_at_once;
    uint32_t key_fields;
    char users_block[4096], users_allow[4096]; /* files; "": none */
    uint32_t users_max_events;                 /* of a user within users_per_ms; 0: no limit */
    int64_t users_per_ms;
    struct stream_options stream[OPTION_STREAMS_MAX];
    uint32_t streams;
    struct label_options label[OPTION_LABELS_MAX];
    uint32_t labels;
    struct version_options version[OPTION_VERSIONS_MAX];
    uint32_t versions;
    struct sampling_options rule[OPTION_SAMPLING_MAX]; /* of sampling */
    uint32_t sampling;
    struct filter_options filter[OPTION_FILTERS_MAX];
    uint32_t filters;
    struct sample_filter_options sample_filter[OPTION_SAMPLE_FILTERS_MAX];
    uint32_t sample_filters;
};

/* Every problem found, one per line, for people. The caller closes text. */
struct option_problems {
    struct buffer text; /* lines, no NUL; the first OPTION_PROBLEMS_SHOWN of them */
    uint32_t count;
};

/* No problem: TM_OK. Else TM_INVALID_ARGUMENT with all of them in one line. Closes their text. */
enum tm_code options_refuse(struct option_problems *problems, struct tm_error *err);

void options_default(struct options *o); /* streams impressions + clicks (5s), label click, no versions */

/* Overlay a YAML file. Problems are appended; values that parsed are set all the same. */
void options_read_file(struct options *o, const char *path, struct option_problems *problems);

/* Overlay "key=value" as flags and environment variables give it: "commit.interval", "2s". origin: "--commit-interval"
 * or "TIDEMILL_COMMIT_INTERVAL", for the message. */
void options_set(struct options *o, const char *key, const char *value, const char *origin,
                 struct option_problems *problems);
void options_read_environment(struct options *o, struct option_problems *problems);

/* What only the whole shows: listen is a loopback address, every label's stream exists and is an action, at least one
 * impression stream, label and version, names unique, versions name existing models, labels and versions,
 * window <= within <= allowed_lateness, key contains doc. path: the file read before, for the message; NULL: none. */
void options_check(const struct options *o, const char *path, struct option_problems *problems);

/* One version by itself, as calls bring it: a field by its key in versions[] ("half_life", "14d"). */
void options_set_version(struct version_options *v, const char *key, const char *value,
                         struct option_problems *problems);

/* Names that there are. */
struct option_names {
    const char *const *name;
    uint32_t count;
};

/* Fill in the defaults of a version that was set by itself, then check it as options_check() checks those of the file.
 * o: its labels and streams; the first label is the default reward. versions: what it may refer to, its own name among
 * them. */
void options_check_version(struct version_options *v, const struct options *o, const struct option_names *versions,
                           struct option_problems *problems);

/* What is no mistake but may be one, of a configuration that was checked, one line each: rewards beyond what their
 * model takes. */
void options_warn(const struct options *o, const char *path, struct option_problems *warnings);
/* Are positives learned before the negatives of their time? With no window negatives are made at once, too. */
bool options_ahead(bool at_once, int64_t window_ms);

/* The configuration as YAML, with every default filled in; read again it gives the same values. */
void options_show(const struct options *o, struct buffer *out);

/* docs/configuration.md, from the table. */
void options_reference(struct buffer *out);

#endif
