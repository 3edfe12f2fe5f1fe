/* ps/engine/option_rules.h - the part of the option table about cleaning: filters, filters of samples, sampling.
 *
 * Threads  constant. */
#ifndef TIDEMILL_PS_ENGINE_OPTION_RULES_H
#define TIDEMILL_PS_ENGINE_OPTION_RULES_H

#include "ps/engine/option_table.h"

enum { OPTION_SAMPLING_ROWS = 5, OPTION_FILTER_ROWS = 7, OPTION_SAMPLE_FILTER_ROWS = 7 };

extern const struct option_row rule_rows[OPTION_SAMPLING_ROWS]; /* of `sampling` */
extern const struct option_row filter_rows[OPTION_FILTER_ROWS];
extern const struct option_row sample_filter_rows[OPTION_SAMPLE_FILTER_ROWS];

#endif
