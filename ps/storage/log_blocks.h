/* ps/storage/log_blocks.h - the rows of LOG_BLOCK: whole blocks, under their positions, without gaps.
 *
 * Key      first position of the block, u64 big-endian: the order of the rows is the order of the log.
 * Errors   TM_DATA_LOSS names the position of a block that is damaged, stands in the wrong place, or is missing. */
#ifndef TIDEMILL_PS_STORAGE_LOG_BLOCKS_H
#define TIDEMILL_PS_STORAGE_LOG_BLOCKS_H

#include "ps/state/shared_block.h"
#include "ps/storage/rocks.h"

void log_blocks_put(struct rocks_batch *batch, const struct shared_block *block);

/* The position behind the last block; 0 when there is none. Blocks are kept from `first` on: one must begin there,
 * unless it is 0 and there is none at all; what lies in front of it is never looked at. The newest ones are checked. */
enum tm_code log_blocks_head(struct rocks *db, uint64_t first, uint64_t *head, struct tm_error *err);

/* The newest block that begins at `at` or in front of it: the one that holds the position, if any does. The caller gets
 * a reference. TM_NOT_FOUND without a message: there is none. */
enum tm_code log_blocks_floor(struct rocks *db, uint64_t at, struct shared_block **out, struct tm_error *err);

/* Every block that ends behind `from`, in order up to `head`. The callee gets a reference. */
typedef enum tm_code log_blocks_visit(void *context, struct shared_block *block, struct tm_error *err);
enum tm_code log_blocks_replay(struct rocks *db, uint64_t from, uint64_t head, log_blocks_visit *visit, void *context,
                               struct tm_error *err);

#endif
