/* How long actions take, and what it costs to wait for them: added up over the shards, as of their last commits. */
#include <stdlib.h>

#include "ps/engine/parts.h"

void engine_window(struct engine *e, struct engine_window *out)
{
    struct committer *c = &e->committer;
    uint64_t taken = 0, bytes = 0;
    *out = (struct engine_window){.stream = mem_new(JOINER_STREAMS_MAX, sizeof *out->stream)};
    pthread_mutex_lock(&c->mutex);
    for (uint32_t i = 0; i < e->options.shards; i++) {
        const struct shard_counts *counts = &c->counts[i];
        for (uint32_t k = 0; k < JOINER_STREAMS_MAX; k++) {
            if (counts->delays[k])
                delays_merge(&out->stream[k].delays, counts->delays[k]);
            out->stream[k].late += counts->streams[k].late;
        }
        out->undecided += counts->undecided;
        out->undecided_bytes += counts->undecided_entries + counts->undecided_payload;
        out->impressions_per_second += waiting_rate(&c->waiting[i]);
        taken += c->waiting[i].taken;
        bytes += c->waiting[i].bytes;
    }
    pthread_mutex_unlock(&c->mutex);
    if (taken)
        out->bytes_per_undecided = (double)bytes / (double)taken;
}

void engine_window_close(struct engine_window *w)
{
    free(w->stream);
    *w = (struct engine_window){0};
}
