/* ps/state/catalog_rules.h - the rules of the join (joiner_rules) and its filters of samples as control records:
 * packed, and read back.
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

struct label_filter_parts {
    Tidemill__V1__SampleFilterSpec spec[LABEL_FILTERS_MAX], *list[LABEL_FILTERS_MAX];
};

void label_filters_describe(const struct label_filters *filters, struct label_filter_parts *parts,
                            Tidemill__V1__JoinSpec *out);
enum tm_code label_filters_read(const Tidemill__V1__JoinSpec *join, struct label_filters *out, struct tm_error *err);

void rules_describe(const struct joiner_rules *rules, struct rules_parts *out);
enum tm_code rules_read(const Tidemill__V1__RulesSpec *spec, struct joiner_rules *out, struct tm_error *err);

#endif
