/* joiner/reason.h - why a record was set aside: the one table of reasons, for code, requests, command line and docs.
 *
 * Numbers  are stored: a new reason goes to the end.
 * Threads  pure. */
#ifndef TIDEMILL_JOINER_REASON_H
#define TIDEMILL_JOINER_REASON_H

#include "base/bytes.h"

/* clang-format off */
/*    name, text, meaning, what to do; no_features to wrong_representation, and no_reward: a version cannot learn it */
#define JOINER_REASONS(R)                                                                                       \
    R(LATE, "late", "it came after its horizon",                                                                \
      "is the sender late, or its clock wrong? Else allowed_lateness or within is too short")                   \
    R(ORPHANED, "orphaned", "its impression never came",                                                        \
      "are the ids of the join key spelt alike in both streams, and are impressions lost?")                     \
    R(DUPLICATE, "duplicate", "the same event again, or a second one where the key has room for one",           \
      "normal when senders repeat; else event ids or keys are not unique")                                      \
    R(VERSION_MISMATCH, "version_mismatch", "it names another version than its impression",                     \
      "does the sender of actions know which version was served? It may leave the version out")                 \
    R(TOO_MANY_ACTIONS, "too_many_actions", "its stream has 16 actions of this key already",                    \
      "a client that repeats actions under new ids, or a robot")                                                \
    R(MALFORMED, "malformed", "it could not be read from the log",                                              \
      "the door lets nothing like that in: keep the data directory and report it")                              \
    R(REJECTED, "rejected", "it was refused at the door and never logged",                                      \
      "field and message say what was expected; the sender was told, and may mend the event and send it again") \
    R(NO_FEATURES, "no_features", "its version learns from features, and its sample has none",                  \
      "send features with the impression or in every feature stream (or give it a dimension), and rows of all tables") \
    R(WRONG_DIMENSION, "wrong_dimension", "its features do not fit the version's dimension, or its encoder",    \
      "does the sender's schema fit? A sparse vector comes last, and ends with the dimension or the encoder")   \
    R(FEATURE_RANGE, "feature_range",                                                                           \
      "a feature or the weight is beyond a million; an encoder's id is not 1; or there are too many ids",       \
      "scale features to about 1; an id has the value 1, a field at most 1,024, a sample 64 KiB of features")   \
    R(WRONG_REPRESENTATION, "wrong_representation", "its features are not of the version's representation",     \
      "a new encoder takes a new version: parameters mean nothing for features they were not learned from")     \
    R(SHED, "shed", "more waited than memory.join has room for, and it was the oldest",                         \
      "give memory.join what the window needs (samples window tells), or see what holds decisions back") \
    R(RULE, "rule", "a rule of filters excludes it",                                                            \
      "is what it carries what the rule means to exclude?")                                                     \
    R(PRECEDES, "precedes", "it lies before its impression by more than its stream's before",                   \
      "do the clocks of the two senders differ, or does the action belong to another impression?")              \
    R(ROBOT, "robot", "its user sent more than users.max_events within users.per",                              \
      "a robot, or a page that repeats itself? Whom you trust belongs into users.allow")                         \
    R(NO_REWARD, "no_reward", "its version's reward has no value for its labels: a division by 0",              \
      "a divisor that is never 0, such as max(x, 1), gives every sample a reward")
/* clang-format on */

enum joiner_reason {
    REASON_NONE,
#define R(name, text, meaning, hint) REASON_##name,
    JOINER_REASONS(R)
#undef R
        REASON_COUNT
};

const char *joiner_reason_text(enum joiner_reason reason);
const char *joiner_reason_meaning(enum joiner_reason reason);
const char *joiner_reason_hint(enum joiner_reason reason);
enum joiner_reason joiner_reason_find(struct bytes text); /* REASON_NONE: no such reason */

#endif
