/* client/merge.h - several files of JSON events as one stream in the order of event time.
 *
 * Order    the next record is the earliest among the files' next ones; equal times: the file named first. Within a file
 *          the order is kept, whatever its times say.
 * Memory   a record's views are valid until the next merge_next(). A file holds one line (JSON_LINE_MAX) and one event.
 * Errors   a malformed line is a result, not an error: reading goes on behind it.
 * Threads  one. */
#ifndef TIDEMILL_CLIENT_MERGE_H
#define TIDEMILL_CLIENT_MERGE_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"

enum { MERGE_FILES_MAX = 256 };

struct merge;

enum merge_result {
    MERGE_RECORD,
    MERGE_MALFORMED, /* *place and the error tell where and why */
    MERGE_WAIT,      /* a pipe has nothing now; ask again later */
    MERGE_END,
    MERGE_FAILED, /* a file cannot be read: the error tells */
};

struct merge_place {
    uint32_t file; /* index into the paths given */
    uint64_t line; /* from 1 */
};

struct merge_record {
    struct bytes wire;  /* protobuf Event */
    const char *stream; /* its name */
    int64_t time;
    struct merge_place place;
};

/* "-" is standard input. TM_NOT_FOUND, TM_IO: a file cannot be opened; TM_INVALID_ARGUMENT: too many. */
enum tm_code merge_open(const char *const *paths, size_t count, struct merge **out, struct tm_error *err);
void merge_close(struct merge *m); /* NULL is fine */

enum merge_result merge_next(struct merge *m, struct merge_record *record, struct merge_place *place,
                             struct tm_error *err);

const char *merge_name(const struct merge *m, uint32_t file); /* "<stdin>" for "-" */

/* Bytes of lines handed out, and of all files; the latter is 0 when one of them is no regular file. */
uint64_t merge_bytes_read(const struct merge *m);
uint64_t merge_bytes_total(const struct merge *m);

/* A hash of the files' names. */
void merge_names(const struct merge *m, struct hash128 *out);

/* The same for the same files: of their names, sizes, times of change and first 64 KiB. False: one of them is no
 * regular file. */
bool merge_identity(const struct merge *m, struct hash128 *out);

#endif
