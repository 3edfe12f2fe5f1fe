/* learner/validation.h - progressive validation: how good were the predictions of one version, judged by labels that
 * came later? Of probabilities, or of real-valued rewards (learner/validation_errors.h); never both in one of these.
 *
 * Every labelled sample was predicted before it was learned, so every sample is a test. Of each version and shard there
 * are two of these, side by side: VALIDATION_SERVED judges the score that the ranker logged with the impression,
 * VALIDATION_PREQUENTIAL what the parameters would have said just before the sample was learned. When the first is
 * bad and the second good, stale or foreign parameters are served; when both are bad, the model is.
 *
 * Windows  of event time (the impression's): the last hour in panes of 5 minutes, and the last day in panes of an hour,
 *          the current pane included; so a window covers between 11 and 12 panes (23 and 24). The newest sample or
 *          validation_advance() moves them on; panes that fall out are forgotten. What is too old for a window is
 *          counted as late there.
 * Correct  a correction takes the old loss out of the pane that has it and puts the new one in, exactly: all sums are
 *          whole numbers of 2^-20. A pane that is gone never comes back, so the correction of what lay there changes
 *          nothing and is counted as gone.
 * Sums     of shards are added up for a report (validation_report.h): whole numbers, so their order changes nothing.
 *          They are exact below 2^38 weighted samples in a window of all shards. Rounding: 2^-21 a sample at most.
 * AUC      counts samples, not their weights (negatives that were dropped evenly do not change it), in bins of 1/8 of
 *          log-odds from -16 to 16. Order within a bin is not known: half of the pairs that share one is the
 *          largest possible error, reported beside it. Typical: below 1e-3.
 * Requests ranking within requests (grouped AUC) of whole requests chosen by hash, see request_sample.h; a request
 *          whose impressions lie in two panes counts as two.
 * Bins     of calibration: 1/2 of log-odds wide from -8 to 8, the outermost open.
 * Trials   does the posterior know how wide it is? Single outcomes cannot tell, because their probability is the
 *          posterior's mean whatever its width; several samples of a document under one posterior can: those of a batch
 *          that is learned at once. Covered: the number of positives lies within 1.96 standard deviations of what was
 *          expected (learner/trial.h), 95 % of the time where the posterior is right; whole numbers make it 92 to 98 %
 *          where few positives (less than about 5) are expected. Dispersion: mean of the squared ratio, 1 where the
 *          posterior is right, above it where it is too narrow.
 * Real     a pane has its error_sums, and nothing of loss, bins, AUC and requests, which are about probabilities.
 * Memory   a flat value of about 145 KB without pointers; {0} is not one: validation_start. In 64 shards, two kinds: 18
 *          MB for each version that is judged.
 * Storing  a row per pane, because few change between two commits: `changed` has a bit for each that something was
 *          counted in, cleared by the caller when the row is written; and a head, written with any of them or when
 *          time advanced. Loading: the head, then the panes in any order. A pane that time emptied keeps its old row,
 *          which the head has moved past, so that it is left out.
 * Threads  the shard's own. A reader gets a copy.
 * Use      the shard calls validation_add where it learns a new sample (prequential: prediction taken from the
 *          parameters first), validation_correct where a correction applies, with the same prediction, kept with the
 *          sample; samples that are skipped are not judged, nor are corrections of them or of what was learned before
 *          validation_start (a CHECK stops who takes out what was never put in). At a punctuation it calls
 *          validation_advance.
 * Sources  normalised entropy: He et al., "Practical lessons from predicting clicks on ads at Facebook", ADKDD 2014.
 *          Progressive validation: Blum, Kalai, Langford, "Beating the hold-out", COLT 1999. ECE: Naeini et al., AAAI
 *          2015. */
#ifndef TIDEMILL_LEARNER_VALIDATION_H
#define TIDEMILL_LEARNER_VALIDATION_H

#include "learner/request_sample.h"
#include "learner/validation_errors.h"

enum validation_kind { VALIDATION_SERVED, VALIDATION_PREQUENTIAL, VALIDATION_KINDS };
enum validation_window { VALIDATION_HOUR, VALIDATION_DAY, VALIDATION_WINDOWS };

enum {
    VALIDATION_HOUR_PANES = 12,
    VALIDATION_DAY_PANES = 24,
    VALIDATION_PANES = VALIDATION_HOUR_PANES + VALIDATION_DAY_PANES,
    VALIDATION_SCORES = 256, /* bins of the AUC */
    VALIDATION_BINS = 32,    /* bins of calibration */
};

#define VALIDATION_UNIT 0x1p20       /* how many are 1 in sums of int64_t */
#define VALIDATION_WEIGHT_MAX 0x1p20 /* of a sample */
#define VALIDATION_P_MIN 1e-7        /* predictions are clipped to [this, 1 - this] */

/* Weighted sums over samples, in units. */
struct validation_bin {
    int64_t weight, predicted, positive;
};

struct validation_pane {
    int64_t stretch; /* which one: event time over the pane's length, rounded down */
    struct validation_bin all, bin[VALIDATION_BINS];
    int64_t loss;
    int64_t trials, covered, dispersion;   /* dispersion in units */
    uint32_t score[2 * VALIDATION_SCORES]; /* samples by bin of the prediction: the negative ones, then the positive */
    struct request_sample requests;
    struct error_sums errors; /* of real-valued rewards */
};

struct validation {
    int64_t newest[VALIDATION_WINDOWS];                          /* stretch; INT64_MIN before the first */
    uint64_t late[VALIDATION_WINDOWS], gone[VALIDATION_WINDOWS]; /* samples; corrections; see Windows, Correct */
    uint64_t changed;                                            /* bit i: pane[i], see Storing; not stored */
    struct validation_pane pane[VALIDATION_PANES];               /* those of the hour, then those of the day */
};
static_assert(VALIDATION_PANES <= 64, "`changed` has a bit for each pane");

/* A prediction and what became of it. */
struct judged {
    int64_t time;          /* event time of the impression, ms */
    uint64_t request;      /* hash of the request's id */
    double predicted;      /* probability; real: the mean */
    double reward;         /* in [0, 1]; positive: 1/2 or more; real: any finite one */
    double weight;         /* in [0, VALIDATION_WEIGHT_MAX]: 1 over the probability with which the sample was kept */
    double unit;           /* real: what sums are counted in, > 0 and the same for all; 0: a probability */
    double scale, freedom; /* real: of what was foretold; scale 0: nothing was but the mean */
};

/* The samples of a document that were predicted by one posterior. */
struct trial {
    int64_t time;              /* event time of the newest of them, ms */
    double expected, variance; /* of the number of positives, before they were learned */
    uint32_t positives;
};

void validation_start(struct validation *v);
void validation_advance(struct validation *v, int64_t now);

/* TM_INVALID_ARGUMENT names the field that is not what struct judged says. Whoever takes predictions from outside asks
 * first: the others CHECK it. */
enum tm_code validation_takes(const struct judged *sample, struct tm_error *err);
void validation_add(struct validation *v, const struct judged *sample);
/* Exactly what was added as `before` has another reward, and this weight: another one if it was a negative that stood
 * for those that were left out, too. */
void validation_correct(struct validation *v, const struct judged *before, double reward, double weight);

/* expected and variance finite and > 0. */
void validation_try(struct validation *v, const struct trial *trial);

void validation_encode_head(const struct validation *v, struct buffer *out);
void validation_encode_pane(const struct validation *v, uint32_t pane, struct buffer *out);
/* They refuse (TM_DATA_LOSS) what encoding never writes. A pane outside of the head's windows is read and left out. */
enum tm_code validation_decode_head(struct validation *v, struct reader *in, struct tm_error *err);
enum tm_code validation_decode_pane(struct validation *v, uint32_t pane, struct reader *in, struct tm_error *err);

/* ---- for the files of this part ---- */

struct validation_span {
    int64_t length; /* of a pane, ms */
    uint32_t first, panes;
};
extern const struct validation_span validation_spans[VALIDATION_WINDOWS];

int64_t validation_stretch(enum validation_window w, int64_t time);
/* Where the stretch lies if it lies anywhere: the index of its pane. */
uint32_t validation_slot(enum validation_window w, int64_t stretch);
/* Is the stretch within the window that ends with `newest`? */
bool validation_within(enum validation_window w, int64_t stretch, int64_t newest);

#endif
