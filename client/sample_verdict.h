/* client/sample_verdict.h - what a comparison of samples has found, counted by reason and printed.
 *
 * A pair may differ for several reasons and counts for each; `same` are those without any. What sampling left out is
 * a reason, but no difference. Shares are of all pairs and halves of pairs. What could not be compared, records
 * that were refused and labels of the server that nobody else told, is named, and the verdict is not "identical".
 * Memory   a verdict owns its match, names and delays. Threads: one. */
#ifndef TIDEMILL_CLIENT_SAMPLE_VERDICT_H
#define TIDEMILL_CLIENT_SAMPLE_VERDICT_H

#include "client/sample_match.h"

enum { VERDICT_REASONS = MATCH_LABEL + SAMPLE_LABELS_MAX };
static_assert(VERDICT_REASONS <= 64, "reasons are bits of 64");

struct verdict {
    struct match *match;
    char **label; /* names */
    size_t labels;
    bool first; /* the first labels were compared */
    uint64_t here, there, same;
    uint64_t lost;    /* samples that went before they were read */
    uint64_t refused; /* records that nothing could be worked out from */
    bool all_labels;  /* are to be compared: without one it is not identical */
    uint64_t count[VERDICT_REASONS];
    int64_t *delay; /* of the samples here, ms, sorted */
    size_t delays;
};

void verdict_judge(struct verdict *v); /* both sides are in the match */
void verdict_close(struct verdict *v);
bool verdict_same(const struct verdict *v);      /* what was compared, */
bool verdict_identical(const struct verdict *v); /* which is all that should have been */

/* With up to so many examples of each reason, on standard output. */
void verdict_print(const struct verdict *v, uint64_t examples);
void verdict_print_json(const struct verdict *v, uint64_t examples);

#endif
