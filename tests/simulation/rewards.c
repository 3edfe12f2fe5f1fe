#include "tests/simulation/rewards.h"

#include <string.h>

#include "base/bytes.h"

#define REWARD(name, expression)                   \
    static bool name(const double *l, double *out) \
    {                                              \
        *out = expression;                         \
        return true;                               \
    }
REWARD(first, l[0])
REWARD(second, l[1])
REWARD(third, l[2])
REWARD(any, l[0] > 0 ? 1 : 0)
REWARD(weighted, 0.5 * l[0] + 0.25 * l[1])
REWARD(difference, l[0] - l[1])
REWARD(bounded, l[0] < 1 ? l[0] * (1 - l[1]) : 1 - l[1])
REWARD(mixed, (l[0] >= 2 ? 1 : 0) + 0.5 - (l[2] > l[1] ? l[2] : l[1]) * 0.25)

static bool ratio(const double *l, double *out)
{
    if (l[1] == 0)
        return false;
    *out = l[0] / l[1];
    return true;
}

const struct world_reward world_rewards[] = {
    {"l0", 1, true, first},
    {"l1", 2, true, second},
    {"l2", 3, true, third},
    {"l0 > 0", 1, true, any},
    {"0.5*l0 + 0.25*l1", 2, true, weighted},
    {"l0 - l1", 2, true, difference},
    {"min(l0, 1) * (1 - l1)", 2, true, bounded},
    {"(l0 >= 2) + 0.5 - max(l1, l2) / 4", 3, true, mixed},
    {"l0 / l1", 2, false, ratio},
};
const uint32_t world_reward_count = ARRAY_LEN(world_rewards);

bool world_reward_value(const char *text, const double *labels, double *out)
{
    uint32_t i = 0;
    while (strcmp(world_rewards[i].text, text) != 0)
        CHECK(++i < world_reward_count);
    return world_rewards[i].value(labels, out);
}
