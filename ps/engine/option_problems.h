/* ps/engine/option_problems.h - how the configuration's problems are worded, and what somebody probably meant.
 *
 * Memory   texts go to the caller's arrays and buffers. Threads: any, on different ones. */
#ifndef TIDEMILL_PS_ENGINE_OPTION_PROBLEMS_H
#define TIDEMILL_PS_ENGINE_OPTION_PROBLEMS_H

#include "ps/engine/options.h"

enum {
    OPTION_KEY_SIZE = 128,   /* of a full key with its NUL: "versions[63].", then what a message shows of a name */
    OPTION_VALUE_SHOWN = 80, /* bytes of a value that messages repeat */
};

/* Text for a message: at most OPTION_VALUE_SHOWN bytes, control characters as '?', "" as "nothing". Returns buf. */
enum { OPTION_SHOWN_SIZE = OPTION_VALUE_SHOWN + 4 };
const char *option_shown(const char *text, char buf[static OPTION_SHOWN_SIZE]);

/* One line of problems: "path:line:column: ", then the text. path may be NULL, place NULL or of line 0. */
void option_problem(struct option_problems *problems, const char *path, const struct option_place *place,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Which of the offered names did somebody mean? At most two edits away, and not a wholly different word. */
struct option_guess {
    const char *wanted;
    size_t distance;
    char best[OPTION_KEY_SIZE]; /* "": none is near */
    char all[512];              /* "a, b, c": every name offered, each once when equal ones come in a row */
};
void option_guess_offer(struct option_guess *g, const char *name, size_t size);
/* "did you mean b?", "expected one of: a, b", or "there is none". Returns buf. */
enum { OPTION_HINT_SIZE = 640 };
const char *option_guess_hint(const struct option_guess *g, char buf[static OPTION_HINT_SIZE]);

#endif
