/* ps/engine/sample_filter.h - which of the kept samples somebody wants, asked as early as possible: by shard, by row,
 * by sample.
 *
 * Memory   the lists and their texts are the asker's as long as the filter is used; they are sorted in place.
 * Threads  one. */
#ifndef TIDEMILL_PS_ENGINE_SAMPLE_FILTER_H
#define TIDEMILL_PS_ENGINE_SAMPLE_FILTER_H

#include "ps/engine/engine.h"
#include "ps/state/sample_row.h"

struct text_list {
    struct bytes *text;
    size_t count; /* 0: any will do */
};

enum sample_kinds { SAMPLES_ALL, SAMPLES_NEW, SAMPLES_CORRECTIONS };

struct sample_filter {
    const struct version **version;
    size_t versions; /* 0: any will do */
    struct text_list docs, users, requests;
    int64_t since, until; /* decided at: inclusive, exclusive */
    enum sample_kinds kinds;
    uint64_t until_position; /* made by records before it */
};

void sample_filter_prepare(struct sample_filter *f); /* before the others are asked */

bool sample_filter_shard(const struct sample_filter *f, uint32_t shard, uint32_t shards);
bool sample_filter_time(const struct sample_filter *f, int64_t oldest, int64_t newest); /* may anything in it do? */
bool sample_filter_sample(const struct sample_filter *f, const struct kept_sample *s);

#endif
