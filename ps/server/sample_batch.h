/* ps/server/sample_batch.h - samples gathered as the columns of a SampleBatch.
 *
 * Memory   owns its columns; what is added is copied. Threads: one owner. */
#ifndef TIDEMILL_PS_SERVER_SAMPLE_BATCH_H
#define TIDEMILL_PS_SERVER_SAMPLE_BATCH_H

#include "ps/engine/sample_reader.h"

enum { SAMPLE_BATCH_TEXTS = 9, SAMPLE_BATCH_PACKED = 17 };

struct sample_batch {
    struct engine *engine;
    bool features;          /* also features, payload, rows of tables and what feature streams brought */
    uint32_t labels;        /* as they were when the call began */
    uint32_t versions_told; /* names sent so far */
    uint32_t rows;          /* gathered */
    struct buffer text[SAMPLE_BATCH_TEXTS];    /* fields with their tags */
    struct buffer packed[SAMPLE_BATCH_PACKED]; /* contents */
    struct buffer joined;                      /* features of the item at hand */
};

void sample_batch_open(struct sample_batch *b, struct engine *e, bool features);
void sample_batch_close(struct sample_batch *b);

void sample_batch_add(struct sample_batch *b, const struct engine_sample *s);

/* Append the message and begin a new one. first: with what only the first reply has. */
void sample_batch_pack(struct sample_batch *b, bool first, struct buffer *out);

#endif
