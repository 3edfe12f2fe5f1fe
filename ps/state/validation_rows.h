/* ps/state/validation_rows.h - how the validations of a shard's versions lie in the store, for the shard that writes
 * them and for everybody who only reads them.
 *
 * Rows     of STORE_VALIDATION: {shard u16, version u32, kind u8, row u8}, big-endian. Row 0 is the head, row 1 + i is
 *          pane i (learner/validation.h says what is in them). A commit writes the head and the panes that changed, so
 *          what is read between two commits is whole: as of the last one.
 * Bytes    0.2 to 4 KB for each of 36 panes, shard and kind; a commit writes about 2 of them for each version that
 *          learned.
 * Errors   TM_DATA_LOSS: the row is not what was written. Threads: any. */
#ifndef TIDEMILL_PS_STATE_VALIDATION_ROWS_H
#define TIDEMILL_PS_STATE_VALIDATION_ROWS_H

#include "learner/validation.h"
#include "ps/state/store.h"

enum { VALIDATION_KEY = 8, VALIDATION_KEY_KIND = 7 };

/* Of all rows of one kind the first VALIDATION_KEY_KIND bytes are the same. */
struct validation_key {
    uint32_t shard, version;
    enum validation_kind kind;
    uint32_t row;
};
void validation_key_put(uint8_t out[static VALIDATION_KEY], const struct validation_key *key);
enum tm_code validation_key_get(struct bytes bytes, struct validation_key *out, struct tm_error *err);

/* The head, and every pane that has changed; v->changed is cleared. */
void validation_rows_put(struct validation *v, struct validation_key key, struct store_batch *out);

/* The rows of one kind in the order of their keys. */
enum tm_code validation_row_load(struct validation *v, uint32_t row, struct bytes value, struct tm_error *err);

/* For who only reads: what one shard has committed. False in *there: nothing was ever counted. */
enum tm_code validation_fetch(const struct store *store, struct validation_key key, struct validation *out, bool *there,
                              struct tm_error *err);

#endif
