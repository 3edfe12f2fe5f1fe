/* client/recompute_rules.h - the rules by which events become samples, as a JoinRulesReply tells them, read for
 * somebody who works the samples out again (client/recompute.h).
 *
 * Streams and labels are numbered by their place in the configuration.
 * Memory   rules own the message they were read from, and the lists of users; recompute_rules_close() ends them.
 * Errors   TM_FAILED_PRECONDITION names what a newer server does and this program does not know; TM_NOT_FOUND, TM_IO:
 *          a list of users cannot be read here. Threads: one. */
#ifndef TIDEMILL_CLIENT_RECOMPUTE_RULES_H
#define TIDEMILL_CLIENT_RECOMPUTE_RULES_H

#include "base/bytes.h"
#include "base/error.h"
#include "proto/json_sample.h"
#include "tidemill/v1/joining.pb-c.h"

enum { RULES_STREAMS_MAX = 32, RULES_MAX = 64 };
enum rules_key { KEY_OF_REQUEST = 1, KEY_OF_USER = 2, KEY_OF_DOC = 4 };
enum rules_kind { KIND_FEATURES, KIND_IMPRESSION, KIND_ACTION, KIND_TABLE };
enum rules_holder { HELD_BY_KEY, HELD_BY_LAST, HELD_BY_FIRST, HELD_BY_ALL };
enum rules_aggregate { MAKES_EXISTS, MAKES_COUNT, MAKES_SUM, MAKES_MEAN, MAKES_MAX, MAKES_LAST, MAKES_FIRST_DELAY };
enum rules_field { FIELD_OF_VALUE, FIELD_OF_WEIGHT, FIELD_OF_POSITION, FIELD_OF_SCORE, FIELD_OF_PROPENSITY };
enum rules_effect { EFFECT_DROP, EFFECT_CLAMP, EFFECT_DEFAULT, EFFECT_ZERO };

struct rules_stream {
    const char *name;
    enum rules_kind kind;
    uint32_t key;             /* bits of enum rules_key: its own, or the join key */
    enum rules_holder holder; /* actions: which of the impressions under the key */
    int64_t within, before;   /* actions, ms; before 0: no limit */
};

struct rules_label {
    const char *name;
    uint32_t stream;
    enum rules_aggregate aggregate;
    bool has_cap, has_threshold;
    double cap, threshold;
};

struct rules_sample_filter { /* one that makes a label 0; one that drops changes no label */
    uint32_t label, zero;
    bool by_delay;
    double min, max;
};

struct rules_filter {
    uint32_t stream;
    enum rules_field field;
    enum rules_effect effect;
    double min, max, to;
};

struct rules_sampling {
    double keep;
    bool everywhere; /* also without a position */
    int64_t from, to;
};

/* Ids, one behind the other, sorted. */
struct rules_users {
    struct buffer text;
    struct bytes *id;
    size_t count;
};

struct recompute_rules {
    Tidemill__V1__JoinRulesReply *message;
    uint32_t key;
    int64_t allowed_lateness, window;
    struct rules_stream stream[RULES_STREAMS_MAX];
    struct rules_label label[SAMPLE_LABELS_MAX];
    struct rules_sample_filter sample_filter[RULES_MAX];
    struct rules_filter filter[RULES_MAX];
    struct rules_sampling sampling[RULES_MAX];
    uint32_t streams, labels, sample_filters, filters, samplings;
    struct rules_users blocked, allowed;
    uint32_t events_max; /* of a user within `per` ms; 0: no limit */
    int64_t per;
};

/* packed: a JoinRulesReply. */
enum tm_code recompute_rules_read(struct bytes packed, struct recompute_rules *out, struct tm_error *err);
void recompute_rules_close(struct recompute_rules *r); /* {0} is fine */

bool rules_users_have(const struct rules_users *u, struct bytes id);

#endif
