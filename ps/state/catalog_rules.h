/* ps/state/catalog_rules.h - the rules of the join (joiner_rules) as a control record: packed, and read back.
 *
 * Memory   the parts point into themselves and are to be packed before they move.
 * Errors   TM_DATA_LOSS: a rule that this program never writes. */
#ifndef TIDEMILL_PS_STATE_CATALOG_RULES_H
#define TIDEMILL_PS_STATE_CATALOG_RULES_H

#include "base/error.h"
#include "joiner/joiner.h"
#include "tidemill/v1/control.pb-c.h"

struct rules_parts {
    Tidemill__V1__RulesSpec spec;
    Tidemill__V1__SamplingRule rule[SAMPLING_RULES_MAX], *rules[SAMPLING_RULES_MAX];
    Tidemill__V1__FieldRule field[FILTERS_MAX], *fields[FILTERS_MAX];
};

void rules_describe(const struct joiner_rules *rules, struct rules_parts *out);
enum tm_code rules_read(const Tidemill__V1__RulesSpec *spec, struct joiner_rules *out, struct tm_error *err);

#endif
