/* base/file.h - the few things the project does with files itself; everything else is RocksDB's.
 *
 * Errors   TM_IO with the path and the system's words. A lock held by somebody else is TM_FAILED_PRECONDITION and says
 *          "in use by pid N". */
#ifndef TIDEMILL_BASE_FILE_H
#define TIDEMILL_BASE_FILE_H

#include "base/bytes.h"
#include "base/error.h"

enum tm_code file_make_dir(const char *path, struct tm_error *err); /* existing is fine; parents are made */

/* Write whole, so that after a crash there is the old file or the new one: temp file, fsync, rename, fsync of the
 * folder. */
enum tm_code file_write_atomic(const char *path, struct bytes content, struct tm_error *err);

/* Appends the file to *out. TM_NOT_FOUND when there is none. size_max: larger is TM_RESOURCE_EXHAUSTED. */
enum tm_code file_read(const char *path, size_t size_max, struct buffer *out, struct tm_error *err);

/* Take an exclusive lock on path (made if missing) and write our pid into it. *fd stays open as long as the lock is
 * held. */
enum tm_code file_lock(const char *path, int *fd, struct tm_error *err);

#endif
