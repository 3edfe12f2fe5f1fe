/* client/sample_file.h - a file of expected samples, one after the other.
 *
 * JSON     lines as proto/json_sample.h reads them.
 * CSV      RFC 4180 with a line of names: id, kind, version, request, doc, user, impression_time, weight,
 *          keep_probability and features as above, and each label under its name, or as label.NAME; other columns are
 *          skipped, an empty field is as good as absent. Features are numbers with spaces between them, sparse ones
 *          index:value.
 * A file is CSV when its first line does not begin with '{'.
 * Bounds   a record has at most JSON_LINE_MAX bytes. Memory: a sample's texts live until the next one is read.
 * Errors   name file and line. Threads: one. */
#ifndef TIDEMILL_CLIENT_SAMPLE_FILE_H
#define TIDEMILL_CLIENT_SAMPLE_FILE_H

#include <stdint.h>

#include "base/error.h"
#include "proto/json_sample.h"

struct sample_file;

/* names: of the labels, the caller's as long as the file is open. "-" is standard input. */
enum tm_code sample_file_open(const char *path, const char *const *names, size_t count, struct sample_file **out,
                              struct tm_error *err);
void sample_file_close(struct sample_file *f); /* NULL is fine */

/* *s is valid until the next call, NULL at the end. */
enum tm_code sample_file_next(struct sample_file *f, const struct told_sample **s, struct tm_error *err);

/* Put the file and the line that was read last in front of an error. */
enum tm_code sample_file_wrap(const struct sample_file *f, struct tm_error *err);

uint64_t sample_file_read(const struct sample_file *f);  /* bytes, */
uint64_t sample_file_total(const struct sample_file *f); /* 0: not known */

#endif
