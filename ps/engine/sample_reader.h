/* ps/engine/sample_reader.h - reads what ps/state/archive.h keeps of all shards, piece by piece, while it grows and
 * goes.
 *
 * Export   every wanted sample that was committed when the reader was opened, shard by shard, each in the order of its
 *          sequence. A row never changes and numbers have no gaps, so the end of each shard's rows at the opening is
 *          the whole snapshot: nothing is held back for it, neither a commit nor a file.
 * Newest   the last `newest` of them by (time of decision, shard, sequence), at most SAMPLE_NEWEST_BYTES of them,
 *          oldest first; rows are read backwards, of each shard only as far as they can still be among the newest.
 * Follow   behind either, what is committed from then on; shards take turns.
 * Gaps     rows may go while somebody reads (samples.retain). Sequences have no gaps, so they tell how many samples are
 *          missing in front of the next row: `lost`, whether they were wanted or not.
 * Id       XXH3-128, seed 0, of the version's name, the join key's fields (request, user, doc, those that join.key
 *          names) and the impression's time: u16 length and bytes of each text, i64; as 32 hex digits, high half first.
 *          The same for a correction and what it corrects, in every replay and on every server.
 * Pieces   a step reads one row, or hands out SAMPLE_STEP_BYTES: between two steps the caller may wait for a slow
 *          reader as long as it likes.
 * Threads  one at a time. Blocks: disk. */
#ifndef TIDEMILL_PS_ENGINE_SAMPLE_READER_H
#define TIDEMILL_PS_ENGINE_SAMPLE_READER_H

#include "ps/engine/sample_filter.h"

enum { SAMPLE_NEWEST_BYTES = 64 << 20, SAMPLE_STEP_BYTES = 256 << 10, SAMPLE_ID_SIZE = 33 };

struct sample_query {
    struct sample_filter filter;
    uint32_t newest; /* only so many; SAMPLES_NEWEST_ALL: an export */
    bool follow;
};
#define SAMPLES_NEWEST_ALL UINT32_MAX

struct engine_sample {
    uint32_t shard;
    char id[SAMPLE_ID_SIZE];
    const struct version *version; /* NULL: this server does not know it */
    double reward, old_reward;     /* of its version, as it is, not as a model cuts it; NaN without any */
    const struct kept_sample *sample;
};
typedef void sample_visit(void *context, const struct engine_sample *s);

struct sample_reader;

/* TM_FAILED_PRECONDITION: samples are not kept. The query is copied, its lists are not. */
enum tm_code sample_reader_open(struct engine *e, const struct sample_query *query, struct sample_reader **out,
                                struct tm_error *err);
void sample_reader_close(struct sample_reader *r); /* NULL is fine */

enum sample_progress {
    SAMPLES_MORE, /* go on at once */
    SAMPLES_IDLE, /* it follows, and there is nothing new */
    SAMPLES_END,
};
enum tm_code sample_reader_step(struct sample_reader *r, sample_visit *visit, void *context,
                                enum sample_progress *progress, struct tm_error *err);

uint64_t sample_reader_lost(struct sample_reader *r);        /* since the last time it was asked */
uint64_t sample_reader_done(const struct sample_reader *r);  /* bytes of rows that are behind it, */
uint64_t sample_reader_total(const struct sample_reader *r); /* and of all that were there at the opening */

#endif
