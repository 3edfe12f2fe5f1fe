/* ps/state/resets.h - what the parameters of one version in one shard were made to forget.
 *
 * A reset puts a document's block back to the prior. Samples that were learned into it before are gone, so their
 * corrections must not apply: each reset keeps its `base`, the sequence of the sample log in front of which everything
 * learned is forgotten.
 * Memory   one number for a reset of all documents; 32 bytes for a document, until nothing that it had learned can be
 *          corrected any more (looked after when the next reset comes).
 * Bound    RESETS_MAX documents. When one more comes the oldest is given up, and its base becomes that of all
 *          documents: corrections of samples that old are then skipped for documents that were not reset, too. Never
 *          is a correction applied to a block that has not learned its original.
 * Threads  the shard's own. */
#ifndef TIDEMILL_PS_STATE_RESETS_H
#define TIDEMILL_PS_STATE_RESETS_H

#include "base/error.h"
#include "ps/state/table.h"

enum { RESETS_MAX = 1024 };

struct reset {
    struct doc_id doc;
    uint64_t base; /* samples before it are forgotten */
    int64_t until; /* their impression times are below */
};

struct resets {
    uint64_t base;       /* of all documents */
    struct reset *reset; /* in the order they came: bases and times grow */
    uint32_t count, capacity;
};

void resets_close(struct resets *r);

void resets_all(struct resets *r, uint64_t base);
/* horizon: impressions before it are corrected no more. */
void resets_doc(struct resets *r, const struct reset *reset, int64_t horizon);

/* Has a reset cut off the sample `original` of the document? */
bool resets_cut(const struct resets *r, struct doc_id doc, uint64_t original);

/* u64 base, u32 count, then u64 low, u32 high, u64 base, i64 until of each. TM_DATA_LOSS: more than the bound. */
void resets_encode(const struct resets *r, struct buffer *out);
enum tm_code resets_decode(struct resets *r, struct reader *in, struct tm_error *err);

#endif
