/* client/sample_match.h - two sets of samples, those of a server (here) and those of a file (there), joined and
 * compared.
 *
 * Key      the sample id when the file's first sample has one; else version, request, document, and the user when the
 *          file's first sample has one. All samples of the file are added first, then those of the server.
 * Labels   corrections are folded: compared are the labels that a sample ends with, or, with `first`, those it had
 *          first. Only labels that the file tells are compared; likewise weights and features. A number differs when it
 *          is off by more than TOLERANCE x max(1, |number|), a weight, which events carry as a float, when it is
 *          another float.
 *          A correction here is one of the sample that its sequence names; its own ids are those of an action.
 * Late     features that came after the decision correct a sample here, labels as they were. If the file tells of any,
 *          each must be one that it tells of that sample, once; one that is told and not here had come in time.
 * Sampling a sample of the file that says it is kept with a probability below 1 may be missing here: that is told, and
 *          is no difference. Nobody else knows the lots that are drawn.
 * Memory   every sample is in memory: about 170 bytes with one label, and 16 for features that may have come late.
 *          Beyond memory_max it is TM_RESOURCE_EXHAUSTED.
 * Threads  one. */
#ifndef TIDEMILL_CLIENT_SAMPLE_MATCH_H
#define TIDEMILL_CLIENT_SAMPLE_MATCH_H

#include "base/hash.h"
#include "client/sample_stream.h"
#include "proto/json_sample.h"

#define MATCH_TOLERANCE 1e-9

struct match_options {
    size_t labels;
    bool first;
    char *const *version; /* only samples of these; none: of all */
    size_t versions;
    int64_t from, to; /* only impressions of this time: inclusive, exclusive */
    uint64_t memory_max;
};

/* Why two samples are not the same; of label i: MATCH_LABEL + i. */
enum match_reason {
    MATCH_ONLY_HERE,
    MATCH_ONLY_THERE,
    MATCH_REPEATED_HERE,
    MATCH_REPEATED_THERE,
    MATCH_LEFT_OUT, /* only there, a negative that sampling may leave out: no difference */
    MATCH_WEIGHT,
    MATCH_FEATURES,
    MATCH_LABEL,
};

struct match;

struct match *match_open(const struct match_options *options);
void match_close(struct match *m);

enum tm_code match_there(struct match *m, const struct told_sample *s, struct tm_error *err);
/* The same of somebody who kept no more of the features than match_features(). */
enum tm_code match_there_hashed(struct match *m, const struct told_sample *s, uint64_t features, struct tm_error *err);
uint64_t match_features(struct bytes features, uint32_t encoding);
/* Of the samples that were told under this name: features that may have come late; hashed as those. */
enum tm_code match_there_late(struct match *m, const struct told_sample *name, uint64_t features, struct tm_error *err);
enum tm_code match_here(struct match *m, const struct sample_view *s, struct tm_error *err);

bool match_wants_features(const struct match *m); /* the file has some */
const char *match_key_words(const struct match *m);

/* One pair, or half of one. */
struct match_pair {
    uint64_t reasons; /* bits 1 << enum match_reason; 0: the same */
    bool here, there;
    const char *version, *request, *doc;
    bool has_id;
    struct hash128 id;
    const double *label_here, *label_there;
    int64_t delay; /* here: from the impression to the decision, ms */
};
size_t match_count(const struct match *m);
void match_at(const struct match *m, size_t i, struct match_pair *out); /* in the order in which they came */

uint64_t match_told(const struct match *m); /* bits of labels that a sample of the file tells */

/* Beside the pairs: corrections of samples that were not there to be corrected. */
uint64_t match_stray_corrections(const struct match *m);

#endif
