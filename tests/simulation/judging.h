/* tests/simulation/judging.h - the truth about progressive validation, told naively: every prediction that was judged lies
 * beside its sample; what must be in a pane is added up anew from all of them.
 *
 * A pane that is still in its window holds every sample of its stretch with its reward of now: windows only move on, so
 * whatever is in now has been in ever since. Late samples and corrections that came too late are counted as they come. */
#ifndef TIDEMILL_TESTS_SIMULATION_JUDGING_H
#define TIDEMILL_TESTS_SIMULATION_JUDGING_H

#include "ps/state/shard.h"

/* Of one sample for one version. */
struct judgement {
    bool judged[VALIDATION_KINDS];
    float predicted[VALIDATION_KINDS];
    double reward, weight; /* reward: as it is now */
    int64_t time;
    uint32_t request;
    /* Of a real-valued reward: what it is counted in, and what the parameters foretold of its width; 0: a probability. */
    double unit;
    float scale, freedom;
};

/* Of one version. */
struct jury {
    bool any[VALIDATION_KINDS];
    int64_t newest[VALIDATION_KINDS]; /* impression time */
    uint64_t late[VALIDATION_KINDS][VALIDATION_WINDOWS], gone[VALIDATION_KINDS][VALIDATION_WINDOWS];
    struct judge_counts not_judged;
};

void judging_new(struct jury *jury, struct judgement *j, enum validation_kind kind, double predicted);
void judging_correct(struct jury *jury, struct judgement *j, double reward, double weight);

#endif
