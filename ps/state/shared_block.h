/* ps/state/shared_block.h - one block in memory, read by many threads, freed by the last.
 *
 * Threads  any; the bytes do not change after shared_block_new(). */
#ifndef TIDEMILL_PS_STATE_SHARED_BLOCK_H
#define TIDEMILL_PS_STATE_SHARED_BLOCK_H

#include <stdatomic.h>

#include "ps/state/block.h"

struct shared_block {
    struct block block;
    struct buffer bytes;
    atomic_uint references;
    int64_t accepted_ns; /* of its oldest submission, by the monotonic clock; 0: read from disk, or time alone passed */
    atomic_flag measured; /* its way from there to all shards was counted */
};

/* Takes the buffer over (and empties it), parses it. One reference is the caller's. */
enum tm_code shared_block_new(struct buffer *bytes, struct shared_block **out, struct tm_error *err);
void shared_block_ref(struct shared_block *b);
void shared_block_unref(struct shared_block *b);

#endif
