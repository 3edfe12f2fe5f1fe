/* tests/simulation/rewards.h - the rewards that worlds use, each told twice: as the text that the program compiles, and as
 * the C that says what it means. */
#ifndef TIDEMILL_TESTS_SIMULATION_REWARDS_H
#define TIDEMILL_TESTS_SIMULATION_REWARDS_H

#include <stdbool.h>
#include <stdint.h>

struct world_reward {
    const char *text; /* over labels l0, l1, l2 */
    uint32_t labels;  /* how many of them there must be */
    bool exact;       /* quarters give quarters */
    bool (*value)(const double *labels, double *out);
};

extern const struct world_reward world_rewards[];
extern const uint32_t world_reward_count;

/* What the reward with this text is; false: it has no value. */
bool world_reward_value(const char *text, const double *labels, double *out);

#endif
