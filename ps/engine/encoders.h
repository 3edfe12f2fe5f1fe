/* ps/engine/encoders.h - the encoders of a data directory: files named by what they compute.
 *
 *   configuration ──► encoders_keep(FILE) ──► DATA/encoders/REPRESENTATION.safetensors
 *   shards        ──► encoders_find(REPRESENTATION) ──► the same, verified, opened once
 *
 * Control records name an encoder by its representation (learner/encoder.h), so a replay finds the same weights,
 * whatever became of the file that the configuration named. What a file computes must have the name that it has. Files
 * are never deleted: a log may be read again from far back.
 * Bounds   ENCODER_FILE_MAX bytes a file; ENCODERS_MAX different ones opened by one process.
 * Memory   owned, until encoders_close(). Threads: any.
 * Errors   those of ps/engine/encoder_file.h with the file's name. Of a file of the data directory that is missing, or
 *          is not what its name says, TM_DATA_LOSS tells what to do. */
#ifndef TIDEMILL_PS_ENGINE_ENCODERS_H
#define TIDEMILL_PS_ENGINE_ENCODERS_H

#include "learner/encoder.h"

#define ENCODER_FILE_MAX (((size_t)1 << 30) + (2 << 20)) /* all weights and the header */
enum { ENCODERS_MAX = 256 };

struct encoders;

/* data: the data directory, which is there. */
struct encoders *encoders_open(const char *data);
void encoders_close(struct encoders *e); /* NULL is fine; nobody may use its encoders any more */

/* Read and verify an encoder without keeping it. On TM_OK the caller ends *ret with encoder_close(). */
enum tm_code encoders_read(const char *path, struct encoder **ret, struct tm_error *err);

/* Copy the file into the data directory, unless it is there; *id names it. */
enum tm_code encoders_keep(struct encoders *e, const char *path, struct encoder_id *id, struct tm_error *err);

/* NULL: see Errors. As struct shard_options wants it. */
const struct encoder *encoders_find(void *encoders, const struct encoder_id *id, struct tm_error *err);

#endif
