/* ps/engine/sample_parts.h - the inside of a sample reader, shared by its parts: sample_reader.c (rows, forwards) and
 * sample_newest.c (the newest ones, backwards). Nobody else includes it. */
#ifndef TIDEMILL_PS_ENGINE_SAMPLE_PARTS_H
#define TIDEMILL_PS_ENGINE_SAMPLE_PARTS_H

#include "ps/engine/sample_reader.h"
#include "ps/state/archive.h"

/* Where it stands in one shard. */
struct reading_place {
    bool wanted;
    uint64_t first, next, end; /* rows: of the shard, to read, behind the last one to read */
    uint64_t expected;         /* sequence of the next sample; 0: not known */
};

/* The newest samples so far: a heap by age, the oldest on top, until it is sorted to be handed out. */
struct newest_sample {
    int64_t decided_at;
    uint32_t shard;
    uint64_t sequence;
    struct buffer row; /* a row of this sample alone */
};
struct newest {
    struct newest_sample *heap;
    uint32_t count, max;
    size_t bytes;
    uint32_t shard;  /* being read, backwards */
    uint64_t row;    /* behind the row to read */
    uint32_t handed; /* out */
    bool begun;
};

struct sample_reader {
    struct engine *engine;
    struct sample_query query;
    struct reading_place *place;
    uint32_t shards, shard; /* shard: whose turn it is */
    uint64_t lost, done, total;
    struct newest newest;
    bool gathering; /* of the newest */
    struct buffer row;
    sample_visit *visit; /* of this step */
    void *context;
};

/* The row into r->row; *found: it is still there. */
enum tm_code sample_read_row(struct sample_reader *r, uint32_t shard, uint64_t row, bool *found, struct tm_error *err);
void sample_show(struct sample_reader *r, uint32_t shard, const struct kept_sample *s);

/* One row backwards, or some samples out; *done: all are out. */
enum tm_code newest_step(struct sample_reader *r, bool *done, struct tm_error *err);
void newest_close(struct newest *n);

#endif
