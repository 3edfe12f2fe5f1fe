/* The options of rules: which negatives are learned, and what is done about numbers that events carry. */
#include "ps/engine/option_table.h"

#define OF(field) offsetof(struct sampling_options, field)
const struct option_row option_rule_rows[OPTION_RULE_ROWS] = {
    {.key = "name", .type = OPTION_NAME, .offset = OF(name), .help = "What the rule is called."},
    {.key = "keep",
     .type = OPTION_NUMBER,
     .offset = OF(keep),
     .example = "0.1",
     .min = "0.000001",
     .max = "1",
     .help = "The share of the negatives that is learned; each of them stands for 1 / keep."},
    {.key = "by",
     .type = OPTION_UNIT,
     .offset = OF(by),
     .preset = "impression",
     .help = "impression: each for itself; user: a user's negatives are kept or left out together."},
    {.key = "from_position",
     .type = OPTION_COUNT,
     .offset = OF(from_position),
     .preset = "0",
     .min = "0",
     .max = "999999999",
     .help = "The first position that the rule is for."},
    {.key = "to_position",
     .type = OPTION_COUNT,
     .offset = OF(to_position),
     .preset = "999999999",
     .min = "0",
     .max = "999999999",
     .help = "The last position that the rule is for. Impressions without a position need a rule for all of them."},
};
#undef OF

#define OF(field) offsetof(struct filter_options, field)
const struct option_row option_filter_rows[OPTION_FILTER_ROWS] = {
    {.key = "name", .type = OPTION_NAME, .offset = OF(name), .help = "What the rule is called."},
    {.key = "stream", .type = OPTION_NAME, .offset = OF(stream), .help = "The stream whose events it looks at."},
    {.key = "field",
     .type = OPTION_FIELD,
     .offset = OF(field),
     .help = "value, weight, position, score or propensity: the number that it looks at."},
    {.key = "do",
     .type = OPTION_ACTION,
     .offset = OF(action),
     .preset = "drop",
     .help =
         "drop: an event whose number lies outside of min and max is filtered; clamp: the number becomes the nearer "
         "of them; default: it becomes `to` where the event has none. Value, weight and position can be changed."},
    {.key = "min",
     .type = OPTION_NUMBER,
     .offset = OF(min),
     .preset = "-1e300",
     .min = "-1e300",
     .max = "1e300",
     .help = "The least that is taken as it is."},
    {.key = "max",
     .type = OPTION_NUMBER,
     .offset = OF(max),
     .preset = "1e300",
     .min = "-1e300",
     .max = "1e300",
     .help = "The most that is taken as it is."},
    {.key = "to",
     .type = OPTION_NUMBER,
     .offset = OF(to),
     .preset = "0",
     .min = "-1e300",
     .max = "1e300",
     .help = "default: what a missing number counts as."},
};
#undef OF
