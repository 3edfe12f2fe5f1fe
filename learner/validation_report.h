/* learner/validation_report.h - the validations of all shards, added up and read out.
 *
 * One window, one version, one kind: open, add every shard's, report, close. The caller names the moment at which the
 * window ends, the same for all shards (the newest event time of any of them); panes of a shard outside it do not
 * count.
 * Order    of the shards: changes no bit of the report.
 * Memory   a total owns what it collects of requests: 32 B for each of at most REQUEST_SAMPLE_MAX per pane and shard.
 * Threads  one owner. */
#ifndef TIDEMILL_LEARNER_VALIDATION_REPORT_H
#define TIDEMILL_LEARNER_VALIDATION_REPORT_H

#include "learner/validation.h"

struct validation_total {
    enum validation_window window;
    int64_t newest;
    double unit; /* of real-valued rewards, as in struct judged; 0, as opened: probabilities */
    struct error_sums errors;
    struct validation_bin all, bin[VALIDATION_BINS];
    int64_t loss, trials, covered, dispersion;
    uint64_t score[2 * VALIDATION_SCORES];
    uint64_t late, gone;
    uint32_t level[VALIDATION_PANES]; /* of the requests of a pane: the highest of any shard */
    struct total_entry {
        uint32_t pane;
        struct request_entry entry;
    } * entry;
    size_t entries, capacity;
};

void validation_total_open(struct validation_total *t, enum validation_window w, int64_t now);
void validation_total_add(struct validation_total *t, const struct validation *v);
void validation_total_close(struct validation_total *t);

/* One bin of a reliability diagram. */
struct reliability {
    double from, to;            /* probabilities */
    double weight;              /* of its samples */
    double predicted, observed; /* means; NaN in an empty bin */
};

/* NaN where there is nothing to divide by, or what is about the other kind of reward. */
struct validation_report {
    uint64_t samples, positives; /* not weighted */
    uint64_t late, gone;         /* since the version began, not in the window alone; see validation.h */
    double weight, base_rate;
    double log_loss, normalised_entropy; /* the second: over the entropy of the window's own base rate */
    double auc, auc_error;               /* the true one is within auc +- auc_error */
    struct request_ranking requests;     /* of the requests that were chosen */
    double requests_share;               /* at least this part of all requests was chosen in every pane; 1: all */
    double calibration;                  /* sum of predictions over sum of rewards */
    double calibration_error;            /* ECE: mean distance of predicted and observed over bins */
    struct reliability bin[VALIDATION_BINS];
    uint64_t trials;
    double coverage, dispersion; /* of the 95 % interval: 0.95 and 1 where the posterior is right */
    struct error_report errors;  /* real-valued rewards */
};

void validation_report(const struct validation_total *t, struct validation_report *out);

#endif
