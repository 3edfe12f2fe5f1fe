/* A version at run time: version create. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/units.h"
#include "client/commands.h"
#include "proto/prior_file.h"
#include "proto/wire.h"
#include "tidemill/v1/versions.pb-c.h"

enum {
    KEY_MODEL = 1,
    KEY_PRIOR,
    KEY_HALF_LIFE,
    KEY_REWARD,
    KEY_SAMPLES_FROM,
    KEY_DIMENSION,
    KEY_COVARIANCE,
    KEY_PRIOR_MEAN,
    KEY_PRIOR_SD,
    KEY_INTERCEPT_MEAN,
    KEY_INTERCEPT_SD,
    KEY_NOISE_SD,
    KEY_REPRESENTATION,
    KEY_VALIDATE,
    KEY_PRIOR_FROM,
    KEY_PRIOR_FILE,
    KEY_POLICY,
    KEY_EPSILON,
    KEY_WIDTH,
    KEY_PROPENSITY_DRAWS,
    KEY_BATCH_SAMPLES,
    KEY_BATCH_RATIO,
    KEY_BATCH_AGE,
    KEY_ORDER,
    KEY_LOSS,
    KEY_OPTIMIZER,
    KEY_EXPIRE_AFTER,
    KEY_ADMIT_AT,
    KEY_SEED,
    KEY_NUMBERS, /* and one for each of embedding_numbers */
    PRIOR_MAX = 64,
    SOURCES_MAX = 64,
    PRIOR_SOURCE_WORDS = 72,
};

struct description {
    Tidemill__V1__CreateVersionRequest request;
    Tidemill__V1__EmbeddingSpec embedding;
    double prior[PRIOR_MAX];
    char *samples_from[SOURCES_MAX];
    double *weight_prior; /* owned */
    char prior_source[PRIOR_SOURCE_WORDS + 8];
};

/* "1,20": how many and which is the server's to judge. */
static void parse_prior(struct description *d, char *text, struct argp_state *state)
{
    char *end = text;
    for (d->request.n_prior = 0; d->request.n_prior < PRIOR_MAX; text = end + 1) {
        d->prior[d->request.n_prior++] = strtod(text, &end);
        if (end == text || (*end != ',' && *end))
            argp_error(state, "--prior: got \"%s\"; expected numbers such as 1,20", text);
        if (!*end)
            break;
    }
    d->request.prior = d->prior;
}

static void parse_samples_from(struct description *d, char *text)
{
    char *rest = NULL;
    d->request.n_samples_from = 0;
    for (char *name = strtok_r(text, ",", &rest); name && d->request.n_samples_from < SOURCES_MAX;
         name = strtok_r(NULL, ",", &rest))
        d->samples_from[d->request.n_samples_from++] = name;
    d->request.samples_from = d->samples_from;
}

static double parse_number(const char *option, const char *text, struct argp_state *state)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end)
        argp_error(state, "--%s: got \"%s\"; expected a number", option, text);
    return v;
}

static uint32_t parse_count(const char *option, const char *text, struct argp_state *state)
{
    double v = parse_number(option, text, state);
    if (!(v >= 0 && v <= UINT32_MAX && v == (double)(uint32_t)v))
        argp_error(state, "--%s: got \"%s\"; expected a whole number", option, text);
    return (uint32_t)v;
}

/* Numbers of an embedding: the option's name, and where the message has it. */
#define NUMBER(name, field)                                                                                     \
    {                                                                                                           \
        name, offsetof(Tidemill__V1__EmbeddingSpec, field), offsetof(Tidemill__V1__EmbeddingSpec, has_##field), \
    }
static const struct {
    const char *name;
    size_t value, has;
} embedding_numbers[] = {NUMBER("rate", rate),
                         NUMBER("momentum", momentum),
                         NUMBER("beta1", beta1),
                         NUMBER("beta2", beta2),
                         NUMBER("damping", damping),
                         NUMBER("beta", beta),
                         NUMBER("l1", l1),
                         NUMBER("l2", l2),
                         NUMBER("clip", clip),
                         NUMBER("norm-max", norm_max),
                         NUMBER("admit-share", admit_share)};
#undef NUMBER

static error_t parse_embedding_number(size_t i, const char *argument, struct description *d, struct argp_state *state)
{
    char *embedding = (char *)&d->embedding;
    if (i >= ARRAY_LEN(embedding_numbers))
        return ARGP_ERR_UNKNOWN;
    *(double *)(void *)(embedding + embedding_numbers[i].value) =
        parse_number(embedding_numbers[i].name, argument, state);
    *(protobuf_c_boolean *)(void *)(embedding + embedding_numbers[i].has) = true;
    return 0;
}

static error_t parse_embedding(int key, char *argument, struct argp_state *state)
{
    struct description *d = state->input;
    Tidemill__V1__EmbeddingSpec *e = &d->embedding;
    if (key < KEY_LOSS || key >= KEY_NUMBERS + (int)ARRAY_LEN(embedding_numbers))
        return ARGP_ERR_UNKNOWN;
    d->request.embedding = e;
    switch (key) {
    case KEY_LOSS: e->loss = argument; return 0;
    case KEY_OPTIMIZER: e->optimizer = argument; return 0;
    case KEY_EXPIRE_AFTER:
        e->has_expire_after_ms = true;
        if (!duration_parse(argument, &e->expire_after_ms))
            argp_error(state, "--expire-after: got \"%s\"; expected a duration such as 30d, or 0s", argument);
        return 0;
    case KEY_ADMIT_AT:
        e->has_admit_at = true;
        e->admit_at = parse_count("admit-at", argument, state);
        return 0;
    case KEY_SEED:
        e->has_seed = true;
        e->seed = parse_count("seed", argument, state);
        return 0;
    default: return parse_embedding_number((size_t)(key - KEY_NUMBERS), argument, d, state);
    }
}

/* Batches, and the order of learning. */
static error_t parse_batch(int key, char *argument, struct argp_state *state)
{
    Tidemill__V1__CreateVersionRequest *r = &((struct description *)state->input)->request;
    switch (key) {
    case KEY_BATCH_SAMPLES:
        r->has_batch_samples = true;
        r->batch_samples = parse_count("batch-samples", argument, state);
        return 0;
    case KEY_BATCH_RATIO:
        r->has_batch_positive_ratio = true;
        r->batch_positive_ratio = parse_number("batch-positive-ratio", argument, state);
        return 0;
    case KEY_BATCH_AGE:
        r->has_batch_age_ms = true;
        if (!duration_parse(argument, &r->batch_age_ms))
            argp_error(state, "--batch-age: got \"%s\"; expected a duration such as 60s", argument);
        return 0;
    case KEY_ORDER: r->order = argument; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The server gets the numbers: it need not see the file. */
static void parse_prior_file(struct description *d, const char *path, struct argp_state *state)
{
    struct tm_error err;
    const char *slash = strrchr(path, '/');
    free(d->weight_prior);
    d->weight_prior = NULL;
    if (prior_file_read(path, &d->weight_prior, &d->request.n_weight_prior, &err) != TM_OK)
        argp_error(state, "--prior-file: %s", err.message);
    d->request.weight_prior = d->weight_prior;
    snprintf(d->prior_source, sizeof d->prior_source, "file %.*s", PRIOR_SOURCE_WORDS, slash ? slash + 1 : path);
    d->request.prior_source = d->prior_source;
}

/* Options of the models over features. */
static error_t parse_features(int key, char *argument, struct argp_state *state)
{
    Tidemill__V1__CreateVersionRequest *r = &((struct description *)state->input)->request;
    switch (key) {
    case KEY_DIMENSION:
        r->has_dimension = true;
        r->dimension = parse_count("dimension", argument, state);
        return 0;
    case KEY_COVARIANCE: r->covariance = argument; return 0;
    case KEY_PRIOR_FROM: r->prior_from = argument; return 0;
    case KEY_PRIOR_FILE: parse_prior_file(state->input, argument, state); return 0;
    case KEY_REPRESENTATION: r->representation = argument; return 0;
    case KEY_PRIOR_MEAN:
        r->has_prior_mean = true;
        r->prior_mean = parse_number("prior-mean", argument, state);
        return 0;
    case KEY_PRIOR_SD:
        r->has_prior_sd = true;
        r->prior_sd = parse_number("prior-sd", argument, state);
        return 0;
    case KEY_INTERCEPT_MEAN:
        r->has_intercept_mean = true;
        r->intercept_mean = parse_number("intercept-mean", argument, state);
        return 0;
    case KEY_INTERCEPT_SD:
        r->has_intercept_sd = true;
        r->intercept_sd = parse_number("intercept-sd", argument, state);
        return 0;
    case KEY_NOISE_SD:
        r->has_noise_sd = true;
        r->noise_sd = parse_number("noise-sd", argument, state);
        return 0;
    default: return key >= KEY_LOSS ? parse_embedding(key, argument, state) : parse_batch(key, argument, state);
    }
}

static error_t parse_policy(int key, char *argument, struct argp_state *state)
{
    Tidemill__V1__CreateVersionRequest *r = &((struct description *)state->input)->request;
    switch (key) {
    case KEY_POLICY: r->policy = argument; return 0;
    case KEY_EPSILON:
        r->has_epsilon = true;
        r->epsilon = parse_number("epsilon", argument, state);
        return 0;
    case KEY_WIDTH:
        r->has_width = true;
        r->width = parse_number("width", argument, state);
        return 0;
    case KEY_PROPENSITY_DRAWS:
        r->has_propensity_draws = true;
        r->propensity_draws = parse_count("propensity-draws", argument, state);
        return 0;
    default: return parse_features(key, argument, state);
    }
}

static error_t parse_description(int key, char *argument, struct argp_state *state)
{
    struct description *d = state->input;
    switch (key) {
    case KEY_MODEL: d->request.model = argument; return 0;
    case KEY_PRIOR: parse_prior(d, argument, state); return 0;
    case KEY_HALF_LIFE:
        d->request.has_half_life_ms = true;
        if (!duration_parse(argument, &d->request.half_life_ms))
            argp_error(state, "--half-life: got \"%s\"; expected a duration such as 14d, or 0s", argument);
        return 0;
    case KEY_REWARD: d->request.reward = argument; return 0;
    case KEY_SAMPLES_FROM: parse_samples_from(d, argument); return 0;
    case KEY_VALIDATE: d->request.has_validate = d->request.validate = true; return 0;
    case ARGP_KEY_ARG:
        if (d->request.name)
            argp_error(state, "one NAME is expected");
        d->request.name = argument;
        return 0;
    case ARGP_KEY_END:
        if (!d->request.name || !d->request.model)
            argp_error(state, "NAME and --model are required");
        return 0;
    default: return parse_policy(key, argument, state);
    }
}

static bool is_shadow(const Tidemill__V1__CreateVersionRequest *r)
{
    for (size_t i = 0; i < r->n_samples_from; i++)
        if (strcmp(r->samples_from[i], r->name) == 0)
            return false;
    return r->n_samples_from > 0;
}

static void hint_created(const Tidemill__V1__CreateVersionRequest *r)
{
    char from[COMMAND_NAMES_SIZE];
    if (is_shadow(r))
        command_hint("a shadow: impressions that name %s feed it; next: \"tidemill pull --version %s DOC...\"",
                     command_names(r->samples_from, r->n_samples_from, from), r->name);
    else
        command_hint("next: send impressions that name it, then \"tidemill pull --version %s DOC...\"", r->name);
}

static const struct argp_option options[] = {
    {"model", KEY_MODEL, "MODEL", 0, "How it learns: beta, lr, linear or embedding (required)", 0},
    {"prior", KEY_PRIOR, "A,B", 0, "beta: what is believed of a new document (default: 1,1)", 0},
    {"half-life", KEY_HALF_LIFE, "TIME", 0, "After how much event time a sample weighs half (default: never)", 0},
    {"reward", KEY_REWARD, "EXPRESSION", 0, "What to learn, over labels (default: the first label)", 0},
    {"samples-from", KEY_SAMPLES_FROM, "NAME,...", 0,
     "Versions whose impressions it learns from (default: itself); another's make it a shadow", 0},
    {"validate", KEY_VALIDATE, NULL, 0, "Judge its predictions; \"version show\" tells how good they are", 0},
    {"policy", KEY_POLICY, "thompson|ucb|greedy", 0, "How it ranks (default: thompson)", 0},
    {"epsilon", KEY_EPSILON, "X", 0, "With this probability Rank shuffles instead (default: 0)", 0},
    {"width", KEY_WIDTH, "X", 0, "ucb: standard deviations above the mean (default: 1)", 0},
    {"propensity-draws", KEY_PROPENSITY_DRAWS, "N", 0, "thompson: to estimate propensities from (default: 0)", 0},
    {"dimension", KEY_DIMENSION, "N", 0, "lr, linear, embedding: features of a sample (required)", 0},
    {"batch-samples", KEY_BATCH_SAMPLES, "N", 0, "Learn so many samples of a document at once (default: 1)", 0},
    {"batch-positive-ratio", KEY_BATCH_RATIO, "X", 0,
     "Learn a batch when it has a positive, and so many for each negative (default: whatever they are)", 0},
    {"batch-age", KEY_BATCH_AGE, "TIME", 0,
     "Learn a batch when it has been open for so much event time (default: however long)", 0},
    {"order", KEY_ORDER, "arrival|event_time", 0, "In which order samples are learned (default: arrival)", 0},
    {"covariance", KEY_COVARIANCE, "full|diagonal", 0, "lr: what is believed of pairs of weights (default: full)", 0},
    {"prior-from", KEY_PRIOR_FROM, "NAME", 0,
     "lr, linear: what the documents of that version have learned, in place of the next four", 0},
    {"prior-file", KEY_PRIOR_FILE, "FILE", 0,
     "lr, linear: a safetensors file with mean, and sd or covariance, in place of the next four", 0},
    {"prior-mean", KEY_PRIOR_MEAN, "X", 0, "lr, linear, embedding: of the weight of every feature (default: 0)", 0},
    {"prior-sd", KEY_PRIOR_SD, "X", 0, "Its standard deviation (default: 1; embedding: 0.01)", 0},
    {"intercept-mean", KEY_INTERCEPT_MEAN, "X", 0, "lr, linear, embedding: of the intercept (default: 0)", 0},
    {"intercept-sd", KEY_INTERCEPT_SD, "X", 0, "lr, linear: its standard deviation (default: 1)", 0},
    {"noise-sd", KEY_NOISE_SD, "X", 0, "linear: how far rewards are from what features explain (default: 1)", 0},
    {"representation", KEY_REPRESENTATION, "NAME", 0, "lr, linear, embedding: that features must have (default: any)",
     0},
    {NULL, 0, NULL, OPTION_DOC, "Of embeddings:", 1},
    {"loss", KEY_LOSS, "logistic|squared", 0, "What is made small (default: logistic)", 1},
    {"optimizer", KEY_OPTIMIZER, "NAME", 0, "sgd, momentum, adagrad, adagrad_row, adam or ftrl (default: adagrad)", 1},
    {"rate", KEY_NUMBERS, "X", 0, "Of learning (default: 0.1; adam: 0.01)", 1},
    {"momentum", KEY_NUMBERS + 1, "X", 0, "momentum: share of the velocity that stays (default: 0.9)", 1},
    {"beta1", KEY_NUMBERS + 2, "X", 0, "adam: share of the mean gradient that stays (default: 0.9)", 1},
    {"beta2", KEY_NUMBERS + 3, "X", 0, "adam: share of the mean square that stays (default: 0.999)", 1},
    {"damping", KEY_NUMBERS + 4, "X", 0, "adagrad, adagrad_row, adam: added to the root (default: 1e-6)", 1},
    {"beta", KEY_NUMBERS + 5, "X", 0, "ftrl: smooths the first rates (default: 1)", 1},
    {"l1", KEY_NUMBERS + 6, "X", 0, "ftrl: weights within it are 0 (default: 0)", 1},
    {"l2", KEY_NUMBERS + 7, "X", 0, "Pulls weights towards 0 (default: 0)", 1},
    {"clip", KEY_NUMBERS + 8, "X", 0, "Greatest length of a gradient (default: 1)", 1},
    {"norm-max", KEY_NUMBERS + 9, "X", 0, "Greatest length of a vector (default: 100)", 1},
    {"admit-at", KEY_ADMIT_AT, "N", 0, "A document has a vector from its n-th sample on (default: 1)", 1},
    {"admit-share", KEY_NUMBERS + 10, "P", 0, "From there on a sample lets it in with it (default: 1)", 1},
    {"expire-after", KEY_EXPIRE_AFTER, "TIME", 0, "Forgotten after it without a sample (default: never)", 1},
    {"seed", KEY_SEED, "N", 0, "First vectors and admission are drawn of it (default: 0)", 1},
    {0},
};

int command_version_create(const struct command *self, int argc, char **argv)
{
    struct description d = {.request = TIDEMILL__V1__CREATE_VERSION_REQUEST__INIT,
                            .embedding = TIDEMILL__V1__EMBEDDING_SPEC__INIT};
    struct settings settings = {.outputs = 1u << OUTPUT_TABLE | 1u << OUTPUT_JSON};
    struct tm_error err = {0};
    ProtobufCMessage *reply = NULL;
    command_parse(self, options, parse_description, &d, &settings, argc, argv);
    enum tm_code rc = command_call(&settings, "/tidemill.v1.Admin/CreateVersion", &d.request.base,
                                   &tidemill__v1__create_version_reply__descriptor, &reply, &err);
    free(d.weight_prior);
    if (rc != TM_OK)
        return command_failed(&err);
    const Tidemill__V1__CreateVersionReply *m = (const Tidemill__V1__CreateVersionReply *)reply;
    if (settings.output == OUTPUT_JSON)
        print_json_line(reply);
    else
        printf("created version %s at position %" PRIu64 ": it learns what is decided from now on\n", d.request.name,
               m->position);
    hint_created(&d.request);
    wire_free(reply);
    return command_flushed(0);
}
