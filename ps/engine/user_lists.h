/* ps/engine/user_lists.h - users that are blocked, and users that are let in whatever they do: two files of ids.
 *
 * File     one id a line, 1 to 256 bytes of UTF-8; empty lines are passed, and a carriage return at the end of a line.
 *          At most USER_LIST_MAX ids, USER_FILE_MAX bytes.
 * Allowed  wins over blocked, and is never a robot (ps/state/user_rates.h).
 * Memory   one allocation, 16 to 32 bytes an id (a hash of 62 bits), both lists together: made anew when they are read
 *          again, and freed when no reader can hold it any more.
 * Errors   TM_INVALID_ARGUMENT names file and line, TM_IO and TM_NOT_FOUND the file.
 * Threads  user_lists_judge, user_lists_read: any; user_lists_take: one at a time. */
#ifndef TIDEMILL_PS_ENGINE_USER_LISTS_H
#define TIDEMILL_PS_ENGINE_USER_LISTS_H

#include <stdatomic.h>

#include "base/error.h"
#include "base/hash.h"

enum { USER_LIST_MAX = 4 << 20, USER_FILE_MAX = 256 << 20 };

struct user_table;

struct user_lists {
    _Atomic(struct user_table *) now; /* NULL: nobody is on a list */
    uint64_t hash_seed;
    _Atomic uint64_t blocked, allowed; /* how many ids there are */
};

enum user_standing { USER_PASSES, USER_BLOCKED, USER_ALLOWED };

/* Lists that were read, and judge nobody until they are taken; {0}: nobody is on one. */
struct user_lists_read {
    struct user_table *table;
    uint64_t blocked, allowed;
};
/* block, allow: paths; "": no such list. What is not taken is to be closed. */
enum tm_code user_lists_read(const struct user_lists *u, const char *block, const char *allow,
                             struct user_lists_read *out, struct tm_error *err);
void user_lists_take(struct user_lists *u, struct user_lists_read *read); /* *read becomes {0} */
void user_lists_read_close(struct user_lists_read *read);
void user_lists_close(struct user_lists *u);

enum user_standing user_lists_judge(struct user_lists *u, struct bytes user);

#endif
