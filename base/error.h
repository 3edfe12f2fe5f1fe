/* base/error.h - one way to say what went wrong, and what to do about it.
 *
 * Memory   the caller owns a struct tm_error, the callee fills it, nobody allocates: "out of memory" can be told too.
 * Threads  a tm_error belongs to one thread at a time.
 * Codes    the table below is the only list of codes: gRPC status, HTTP status (google.rpc.Code's mapping), exit code
 *          of the command line and docs come from it. */
#ifndef TIDEMILL_BASE_ERROR_H
#define TIDEMILL_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

/* clang-format off */
/*    name                 gRPC  exit  HTTP  what it tells the caller                                       */
#define TM_CODES(C)                                                                                                 \
    C(OK,                    0,    0,  200, "done")                                                                 \
    C(INVALID_ARGUMENT,      3,    2,  400, "the request is wrong: field, value and expectation are in the message") \
    C(DEADLINE_EXCEEDED,     4,    7,  504, "not done in time; it may still happen")                                \
    C(NOT_FOUND,             5,    5,  404, "no such thing")                                                        \
    C(ALREADY_EXISTS,        6,    6,  409, "there is one already")                                                 \
    C(PERMISSION_DENIED,     7,    4,  403, "you may not")                                                          \
    C(RESOURCE_EXHAUSTED,    8,    1,  429, "a limit is reached: come back later, or send less")                    \
    C(FAILED_PRECONDITION,   9,    6,  400, "not in this state: the message names the state that is needed")        \
    C(ABORTED,              10,    6,  409, "the generation changed under the call: read again")                    \
    C(UNIMPLEMENTED,        12,    1,  501, "this server does not do that")                                         \
    C(IO,                   13,    1,  500, "the disk or the network refused")                                      \
    C(UNAVAILABLE,          14,    3,  503, "not now, or not here: try again")                                      \
    C(DATA_LOSS,            15,    8,  500, "stored data is damaged or missing")                                    \
    C(UNAUTHENTICATED,      16,    4,  401, "who are you?")

enum tm_code {
#define C(name, grpc, exit, http, help) TM_##name,
    TM_CODES(C)
#undef C
    TM_CODE_COUNT
};
/* clang-format on */

struct tm_error {
    enum tm_code code;
    char message[512]; /* widest context first: "shard 3: commit: No space left on device" */
};

/* Fill *err (NULL is fine) and return the code, so that a failing function ends with one line. */
enum tm_code tm_error_set(struct tm_error *err, enum tm_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put context in front of what *err already says; the code stays. */
enum tm_code tm_error_wrap(struct tm_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *tm_code_name(enum tm_code code); /* "INVALID_ARGUMENT" */
const char *tm_code_help(enum tm_code code);
int tm_code_grpc(enum tm_code code);
int tm_code_exit(enum tm_code code);
int tm_code_http(enum tm_code code);
enum tm_code tm_code_from_grpc(int status); /* unknown numbers become TM_IO */

#endif
