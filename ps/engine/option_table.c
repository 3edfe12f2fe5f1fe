#include "ps/engine/option_rows_embedding.h"
#include "ps/engine/option_rules.h"

#define NOT_YET(name)                           \
    {                                           \
        .key = name, .type = OPTION_UNAVAILABLE \
    }

#define OF(field) offsetof(struct stream_options, field)
static const struct option_row stream_rows[] = {
    {.key = "name", .type = OPTION_NAME, .offset = OF(name), .help = "What senders call the stream."},
    {.key = "kind",
     .type = OPTION_KIND,
     .offset = OF(kind),
     .help = "features: what was predicted from; impression: what was shown; action: what people did; table: "
             "what is known of a user, a document or a request."},
    {.key = "out_of_orderness",
     .type = OPTION_DURATION,
     .offset = OF(out_of_orderness_ms),
     .preset = "5s",
     .min = "0s",
     .max = "24h",
     .help = "How far behind its newest event the stream may still deliver."},
    {.key = "within",
     .type = OPTION_DURATION,
     .offset = OF(within_ms),
     .derived = "join.allowed_lateness",
     .example = "24h",
     .min = "0s",
     .max = "30d",
     .help = "Action streams: how long after an impression an action counts for it."},
    {.key = "before",
     .type = OPTION_DURATION,
     .offset = OF(before_ms),
     .preset = "0s",
     .example = "5s",
     .min = "0s",
     .max = "30d",
     .help = "Action streams: how long before its impression an action still counts for it, since clocks differ; 0s: "
             "however long. Others are filtered."},
    {.key = "required",
     .type = OPTION_FLAG,
     .offset = OF(required),
     .preset = "false",
     .help = "Feature streams: a sample waits until this stream has passed its impression."},
    {.key = "dimension",
     .type = OPTION_COUNT,
     .offset = OF(dimension),
     .derived = "none",
     .example = "8",
     .min = "1",
     .max = "4095",
     .help = "Feature streams that are not required: how many features a record has. So many zeros stand in for a "
             "record that has not come when its sample is decided; without it such a sample is learned when the record "
             "comes."},
    {.key = "key",
     .type = OPTION_KEY_FIELDS,
     .offset = OF(key_fields),
     .derived = "join.key",
     .example = "user, doc",
     .help = "Tables: what a row is about, any of request, user and doc; must be given. An impression without one of "
             "the fields finds no row. Action streams: what identifies the impressions an action may count for, doc "
             "and some of request and "
             "user; a stream of orders knows user and doc. Impressions without one of the fields are not found by it. "
             "Actions of such a stream never count for impressions after them, and of each key 16 within the time that "
             "corrections reach back."},
    {.key = "payload_only",
     .type = OPTION_FLAG,
     .offset = OF(payload_only),
     .preset = "false",
     .help = "Tables: the features of the newest row at or before an impression follow those of impressions and "
             "feature streams in its sample, tables in the order of their names; without a row that has some, the "
             "sample has no features. true: the rows of this table are no part of it."},
    {.key = "attribute",
     .type = OPTION_ATTRIBUTE,
     .offset = OF(attribute),
     .derived = "last",
     .example = "last",
     .help = "Action streams with a key of their own: which impression of the key an action counts for, of those at or "
             "before it, at most within before it. last: the newest; first: the oldest; all: each of m, with its value "
             "divided by m. Of a key the newest 32 impressions count. An impression that arrives later moves the "
             "action by corrections."},
};
#undef OF

#define OF(field) offsetof(struct label_options, field)
static const struct option_row label_rows[] = {
    {.key = "name", .type = OPTION_NAME, .offset = OF(name), .help = "What versions call the label."},
    {.key = "stream", .type = OPTION_NAME, .offset = OF(stream), .help = "The action stream it is made of."},
    {.key = "aggregate",
     .type = OPTION_AGGREGATE,
     .offset = OF(label.aggregate),
     .preset = "exists",
     .help =
         "Of the actions that count for an impression, by their `value`; 0 without any. exists: 1; count: how many; "
         "sum, mean, max: of the values; last: the newest's value; first_delay: seconds from the impression to the "
         "first."},
    {.key = "cap",
     .type = OPTION_BOUND,
     .offset = OF(label.cap),
     .derived = "none",
     .example = "100",
     .help = "Upper bound of the aggregate."},
    {.key = "threshold",
     .type = OPTION_BOUND,
     .offset = OF(label.threshold),
     .derived = "none",
     .example = "30",
     .help = "The label is 1 when the aggregate, after its cap, is at least so large, else 0; without it the label is "
             "the aggregate."},
};
#undef OF

#define OF(field) offsetof(struct version_options, field)
static const struct option_row version_rows[] = {
    {.key = "name", .type = OPTION_NAME, .offset = OF(name), .help = "What readers ask for."},
    {.key = "model",
     .type = OPTION_MODEL,
     .offset = OF(model),
     .help = "What is learned of each document. beta: its rate of successes; lr: logistic regression over features; "
             "linear: linear regression over features; embedding: a vector by stochastic gradients."},
    {.key = "prior",
     .type = OPTION_PRIOR,
     .models = OPTION_OF_BETA,
     .offset = OF(prior),
     .derived = "[1, 1]",
     .example = "[1, 20]",
     .help = "beta: successes and failures seen of a new document in thought, both above 0."},
    {.key = "dimension",
     .type = OPTION_COUNT,
     .models = OPTION_OF_FEATURES,
     .offset = OF(dimension),
     .derived = "must be given",
     .example = "16",
     .min = "1",
     .max = "4095",
     .help = "lr, linear, embedding: how many features a sample has; at most 64, 4095 with covariance: diagonal and "
             "of an embedding. A weight for the "
             "intercept is always added: do not send a feature that is always 1."},
    {.key = "covariance",
     .type = OPTION_COVARIANCE,
     .models = OPTION_OF_LR,
     .offset = OF(covariance),
     .derived = "`full`",
     .example = "full",
     .help = "lr: full: what is believed of each pair of weights, dimension squared numbers; diagonal: of each weight, "
             "for many features."},
    {.key = "prior_mean",
     .type = OPTION_NUMBER,
     .models = OPTION_OF_FEATURES,
     .offset = OF(prior_mean),
     .preset = "0",
     .min = "-1000000",
     .max = "1000000",
     .help =
         "lr, linear: what is believed of the weight of every feature of a new document; embedding: the mean of first "
         "vectors."},
    {.key = "prior_sd",
     .type = OPTION_NUMBER,
     .models = OPTION_OF_FEATURES,
     .offset = OF(prior_sd),
     .derived = "`1`, embedding `0.01`",
     .example = "1",
     .min = "0.000001",
     .max = "1000000",
     .help = "lr, linear: its standard deviation."},
    {.key = "intercept_mean",
     .type = OPTION_NUMBER,
     .models = OPTION_OF_FEATURES,
     .offset = OF(intercept_mean),
     .preset = "0",
     .min = "-1000000",
     .max = "1000000",
     .help = "lr, linear: what is believed of the intercept; lr: the log-odds of the base rate is a good guess, -4.6 "
             "for 1 %."},
    {.key = "intercept_sd",
     .type = OPTION_NUMBER,
     .models = OPTION_OF_LR | OPTION_OF_LINEAR,
     .offset = OF(intercept_sd),
     .derived = "`1`",
     .example = "1",
     .min = "0.000001",
     .max = "1000000",
     .help = "lr, linear: its standard deviation."},
    {.key = "prior_from",
     .type = OPTION_PATH,
     .models = OPTION_OF_LR | OPTION_OF_LINEAR,
     .offset = OF(prior_from),
     .derived = "none",
     .example = "prior.safetensors",
     .help = "lr, linear: a prior of every weight, in place of these four: the name of a version, whose documents say "
             "it when this one is made, or a safetensors file (its name has a / or ends in .safetensors) with mean, "
             "and sd or covariance. It is set when the version is made."},
    {.key = "noise_sd",
     .type = OPTION_NUMBER,
     .models = OPTION_OF_LINEAR,
     .offset = OF(noise_sd),
     .derived = "`1`",
     .example = "1",
     .min = "0.000001",
     .max = "1000000000",
     .help = "linear: how far a reward is from what the features explain, a guess that counts as much as 4 samples."},
    ENCODER_ROWS,
    EMBEDDING_ROWS,
    {.key = "half_life",
     .type = OPTION_DURATION,
     .models = OPTION_OF_BETA | OPTION_OF_LR | OPTION_OF_LINEAR,
     .offset = OF(half_life_ms),
     .preset = "0s",
     .example = "14d",
     .min = "0s",
     .max = "3650d",
     .help = "beta, lr, linear: after how much event time a sample weighs half; 0s: it is never forgotten."},
    {.key = "reward",
     .type = OPTION_REWARD,
     .offset = OF(reward),
     .derived = "the first label",
     .example = "click + 5*order - dislike",
     .help = "What to learn: an expression over labels with + - * / ( ), min(a, b), max(a, b), > >= < <= (1 or 0). "
             "beta, lr and logistic embeddings learn 0 to 1, what is beyond is cut to it; a sample whose reward "
             "divides by 0 is skipped."},
    {.key = "validate",
     .type = OPTION_SWITCH,
     .offset = OF(validate),
     .preset = "off",
     .help = "on judges every prediction by the label that came, over the last hour and day: log-loss, AUC, "
             "calibration; linear: squared error, density, coverage. Not for embeddings with squared loss. It "
             "takes 145 KB of memory a shard (9 MB with 64), as much again where impressions bring the "
             "score that was served, and 24 B for each sample that may still be corrected."},
    {.key = "policy",
     .type = OPTION_POLICY,
     .offset = OF(policy),
     .preset = "thompson",
     .help = "How Rank compares candidates, unless a call says otherwise, as with the next three. thompson: by a draw "
             "from the belief about each; ucb: by the mean and `width` standard deviations; greedy: by the mean."},
    {.key = "epsilon",
     .type = OPTION_NUMBER,
     .offset = OF(epsilon),
     .preset = "0",
     .min = "0",
     .max = "1",
     .help = "With this probability Rank shuffles the candidates instead: it keeps propensities away from 0."},
    {.key = "width",
     .type = OPTION_NUMBER,
     .offset = OF(width),
     .derived = "`1`",
     .example = "1",
     .min = "0.000001",
     .max = "100",
     .help = "ucb: standard deviations above the mean."},
    {.key = "propensity_draws",
     .type = OPTION_COUNT,
     .offset = OF(propensity_draws),
     .preset = "0",
     .min = "0",
     .max = "1000",
     .help = "thompson: rankings from which Rank estimates the propensities that it logs, within 1 / sqrt of them; 0: "
             "none, or 200 to 1000, which want an epsilon of 0.01 or more."},
    {.key = "batch.samples",
     .type = OPTION_COUNT,
     .offset = OF(batch_samples),
     .derived = "`1`; `4096` with batch.age",
     .example = "100",
     .min = "1",
     .max = "4096",
     .help =
         "How many samples of a document are learned at once; 1: each by itself. A batch is learned when it has so "
         "many, or by the next two, whichever comes first. lr with covariance: diagonal fits a batch as a whole; "
         "embedding makes one step along the sum of its gradients, and has batches and order only without admit_at, "
         "admit_share and expire_after; the others learn its samples one after the other."},
    {.key = "batch.positive_ratio",
     .type = OPTION_NUMBER,
     .offset = OF(batch_ratio),
     .preset = "0",
     .example = "0.1",
     .min = "0",
     .max = "1000000",
     .help = "A batch is learned when it has a positive (a reward of 1/2 or more), and so many of them for each "
             "negative; 0: whatever they are. Not alone: a document without positives would never be learned."},
    {.key = "batch.age",
     .type = OPTION_DURATION,
     .offset = OF(batch_age_ms),
     .preset = "0s",
     .example = "60s",
     .min = "0s",
     .max = "365d",
     .help = "A batch is learned when it has been open for so long, in event time; 0s: however long."},
    {.key = "order",
     .type = OPTION_ORDER,
     .offset = OF(order),
     .preset = "arrival",
     .help = "arrival: samples are learned when they are decided, and corrections when they come. event_time: samples "
             "by the times of their impressions, and what corrects them once, when nothing can correct them any more "
             "(join.allowed_lateness); parameters are then the same, bit for bit, however the senders' events "
             "interleave, where none is behind its watermark."},
    {.key = "samples_from",
     .type = OPTION_SAMPLES_FROM,
     .offset = OF(samples_from),
     .derived = "the version itself",
     .example = "[A, B]",
     .help = "The versions whose impressions it learns from; another's makes it a shadow."},
    NOT_YET("sampling"),
    NOT_YET("state"),
    NOT_YET("parent"),
};
#undef OF

#define LIST(name, array, type, limit, optional, what)                                         \
    {                                                                                          \
        .key = #name, .rows = array##_rows, .row_count = ARRAY_LEN(array##_rows),              \
        .items = offsetof(struct options, array), .count = offsetof(struct options, name),     \
        .item_size = sizeof(struct type), .max = limit, .may_be_empty = optional, .help = what \
    }
const struct option_list option_lists[OPTION_LISTS] = {
    LIST(streams, stream, stream_options, OPTION_STREAMS_MAX, false,
         "The event streams. Without the key: impressions (impression) and clicks (action)."),
    LIST(labels, label, label_options, OPTION_LABELS_MAX, false,
         "What samples are labelled with. Without the key: click, which exists when clicks has an action."),
    LIST(versions, version, version_options, OPTION_VERSIONS_MAX, false,
         "The model configurations that learn, at least one."),
    LIST(filters, filter, filter_options, OPTION_FILTERS_MAX, true,
         "Rules for the numbers that events carry, applied in their order as events are joined. A change holds for the "
         "events after the next start."),
    LIST(sample_filters, sample_filter, sample_filter_options, OPTION_SAMPLE_FILTERS_MAX, true,
         "Filters of joined samples, by their labels, applied in their order; samples without an action of the label "
         "pass. A later action may bring a sample in or out: corrections tell. Fixed when the data directory is made, "
         "as labels are."),
    LIST(sampling, rule, sampling_options, OPTION_SAMPLING_MAX, true,
         "Negative sampling: impressions without any label are learned with a probability, and the models correct for "
         "it. The first rule that fits decides; without one all are learned. A change holds for the impressions after "
         "the next start."),
};
