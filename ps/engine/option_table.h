/* ps/engine/option_table.h - the table behind ps/engine/options.h: one row per option, and what types of values mean.
 *
 * A row says where in its owner (struct options, or an item of one of its lists) the value lies, how people write it,
 * what is allowed and what it is for. Reading, defaults, checks, printing and the manual are loops over the rows.
 * Errors   the message of a refused text is "got X; expected Y" or "X is not available in this version".
 * Threads  the table is constant; the functions may be called from any thread. */
#ifndef TIDEMILL_PS_ENGINE_OPTION_TABLE_H
#define TIDEMILL_PS_ENGINE_OPTION_TABLE_H

#include "ps/engine/option_problems.h"

enum option_type {
    OPTION_PATH,         /* char[4096] */
    OPTION_FILE,         /* the same; "": none */
    OPTION_ADDRESS,      /* char[256]: host:port */
    OPTION_SWITCHABLE,   /* the same, or "off" */
    OPTION_COUNT,        /* uint32_t */
    OPTION_NUMBER,       /* double */
    OPTION_DURATION,     /* int64_t, ms */
    OPTION_SIZE,         /* uint64_t, bytes */
    OPTION_FLAG,         /* bool */
    OPTION_SWITCH,       /* bool, written on or off */
    OPTION_NAME,         /* char[OPTION_NAME_MAX + 1] */
    OPTION_MODEL,        /* the same; the name of a model */
    OPTION_REWARD,       /* char[REWARD_TEXT_MAX + 1] */
    OPTION_KIND,         /* enum option_stream_kind */
    OPTION_AGGREGATE,    /* enum label_aggregate */
    OPTION_BOUND,        /* struct label_bound */
    OPTION_COVARIANCE,   /* uint32_t */
    OPTION_UNIT,         /* uint32_t: what sampling draws a lot for */
    OPTION_POLICY,       /* uint32_t: enum option_policy */
    OPTION_FIELD,        /* uint32_t: enum option_filter_field */
    OPTION_CHANGE,       /* uint32_t: enum option_new_representation */
    OPTION_ACTION,       /* uint32_t: enum option_filter_action */
    OPTION_LOOK,         /* uint32_t: enum option_look */
    OPTION_VERDICT,      /* uint32_t: enum option_verdict */
    OPTION_KEY_FIELDS,   /* uint32_t, list */
    OPTION_ATTRIBUTE,    /* enum option_attribute */
    OPTION_PRIOR,        /* double[8] and prior_count of a version, list */
    OPTION_ORDER,        /* uint32_t: in which order a version learns */
    OPTION_SAMPLES_FROM, /* names and their count of a version, list */
    OPTION_UNAVAILABLE,  /* a key of the interface that this version does not serve */
    OPTION_TYPES,
};

enum option_models {
    OPTION_OF_BETA = 1,
    OPTION_OF_LR = 2,
    OPTION_OF_LINEAR = 4,
    OPTION_OF_EMBEDDING = 8,
    OPTION_OF_FEATURES = OPTION_OF_LR | OPTION_OF_LINEAR | OPTION_OF_EMBEDDING,
};

struct option_row {
    const char *key; /* "commit.interval"; of an item's field: "within" */
    enum option_type type;
    size_t offset;         /* of the value in its owner */
    const char *preset;    /* the default, as people write it; NULL: there is none */
    const char *derived;   /* where the default comes from, when it is not a constant; preset is then NULL */
    const char *example;   /* for messages; NULL: the preset is one */
    const char *min, *max; /* counts, numbers, durations and sizes; both included */
    uint32_t models;       /* of a version: the models that have it, enum option_models; 0: all */
    const char *help;
};

struct option_list {
    const char *key; /* "streams" */
    const struct option_row *rows;
    size_t row_count;
    size_t items, count, item_size, max; /* offsets in struct options, sizes; an item starts with its option_place */
    bool may_be_empty;
    const char *help;
};

enum { OPTION_LISTS = 6 };
extern const struct option_row option_scalars[];
extern const size_t option_scalar_count;
extern const struct option_list option_lists[OPTION_LISTS];

static inline void *option_item(const struct option_list *list, const struct options *o, size_t i)
{
    return (char *)o + list->items + i * list->item_size;
}
static inline uint32_t *option_item_count(const struct option_list *list, const struct options *o)
{
    return (uint32_t *)((char *)o + list->count);
}

const char *option_type_word(enum option_type type); /* "duration" */
bool option_type_is_list(enum option_type type);     /* written as [a, b]; its text is "a, b" */

/* "impression", of the values of OPTION_KIND, OPTION_AGGREGATE, OPTION_ATTRIBUTE, OPTION_COVARIANCE, OPTION_ORDER,
 * OPTION_SWITCH and one bit of OPTION_KEY_FIELDS. */
const char *option_choice_word(enum option_type type, uint32_t value);

/* What a text must be: "a duration from 0s to 7d". Returns buf. */
enum { OPTION_EXPECTED_SIZE = 256 };
const char *option_expected(const struct option_row *row, char buf[static OPTION_EXPECTED_SIZE]);

/* Set row's value in owner, or leave it alone and say why. */
enum tm_code option_parse(const struct option_row *row, void *owner, const char *text, struct tm_error *err);

/* Append the value as YAML that option_parse() reads back. */
void option_print(const struct option_row *row, const void *owner, struct buffer *out);

/* A name is 1 to 64 of [A-Za-z0-9._-]. */
bool option_name_valid(const char *text);

/* NULL: no scalar option of this key. */
const struct option_row *option_scalar_find(const char *key);
const struct option_list *option_list_find(const char *key); /* NULL: no list of this key */

/* An action stream: does its key differ from the join key? */
static inline bool option_own_key(const struct options *o, const struct stream_options *s)
{
    return s->kind == STREAM_ACTION && s->key_fields != 0 && s->key_fields != o->key_fields;
}

/* Fill in what follows other options: within, rewards, priors, samples_from. After every change of an option. */
void option_derive(struct options *o);
void option_derive_version(struct version_options *v, const char *first_label); /* "": there is no label */

#endif
