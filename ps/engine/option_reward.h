/* ps/engine/option_reward.h - what the reward of a configured version comes to, with the labels of the configuration.
 *
 * Threads  pure. */
#ifndef TIDEMILL_PS_ENGINE_OPTION_REWARD_H
#define TIDEMILL_PS_ENGINE_OPTION_REWARD_H

#include "ps/engine/options.h"

/* TM_INVALID_ARGUMENT, "reward: ...": no expression over the labels, or one that the version's model cannot learn. */
enum tm_code option_reward_check(const struct version_options *v, const struct options *o, struct tm_error *err);

/* Of a version that was checked: can its reward be beyond what its model takes? "reward: ..." in text, else "". */
enum { OPTION_WARNING_SIZE = 512 };
bool option_reward_warning(const struct version_options *v, const struct options *o,
                           char text[static OPTION_WARNING_SIZE]);

#endif
