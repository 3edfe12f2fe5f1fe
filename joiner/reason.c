#include "joiner/reason.h"

static const struct {
    const char *text, *meaning, *hint;
} reasons[REASON_COUNT] = {[REASON_NONE] = {"none", "it was not set aside", ""},
#define R(name, text, meaning, hint) [REASON_##name] = {text, meaning, hint},
                           JOINER_REASONS(R)
#undef R
};

const char *joiner_reason_text(enum joiner_reason reason) { return reasons[reason].text; }
const char *joiner_reason_meaning(enum joiner_reason reason) { return reasons[reason].meaning; }
const char *joiner_reason_hint(enum joiner_reason reason) { return reasons[reason].hint; }

enum joiner_reason joiner_reason_find(struct bytes text)
{
    for (enum joiner_reason r = REASON_NONE + 1; r < REASON_COUNT; r++)
        if (bytes_equal(text, bytes_text(reasons[r].text)))
            return r;
    return REASON_NONE;
}
