/* tests/unit/shard_rig.h - one shard that gets blocks, with what the log and the disk would hold: what the tests of shards
 * share. */
#ifndef TIDEMILL_TESTS_UNIT_SHARD_RIG_H
#define TIDEMILL_TESTS_UNIT_SHARD_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/rcu.h"
#include "proto/event.h"
#include "ps/state/shard.h"
#include "tests/simulation/memory_store.h"

enum { IMPRESSIONS, CLICKS, STREAMS, HOUR_MS = 3600000 };
#define START_MS INT64_C(1700000000000)

struct rig {
    struct shard_options options; /* beside the store */
    struct shard *shard;
    struct memory_store disk;
    struct block_builder next;
    uint64_t position, shown;
    int64_t watermark[JOINER_STREAMS_MAX];
};

static inline void open_shard(struct rig *r)
{
    struct tm_error err;
    struct store store = memory_store_face(&r->disk);
    struct shard_options options = r->options;
    options.store = store;
    r->shard = shard_open(&options);
    if (shard_load(r->shard, &store, &err) != TM_OK)
        fail_msg("%s", err.message);
}

static inline enum tm_code step(struct rig *r, struct tm_error *err)
{
    CLEANUP(buffer_close) struct buffer bytes = {0};
    struct block b;
    int64_t after[JOINER_STREAMS_MAX], time;
    uint8_t stream;
    memcpy(after, r->watermark, sizeof after);
    r->position = block_seal(&r->next, r->position, &bytes);
    assert_int_equal(block_parse(buffer_view(&bytes), &b, err), TM_OK);
    struct reader punctuations = reader_of(b.punctuation_bytes);
    while (block_next_punctuation(&punctuations, &stream, &time))
        after[stream] = time;
    enum tm_code rc = shard_step(r->shard, &b, b.shards_named ? 0 : SHARD_NOT_NAMED, r->watermark, after, err);
    memcpy(r->watermark, after, sizeof after);
    return rc;
}

static inline void step_well(struct rig *r)
{
    struct tm_error err;
    if (step(r, &err) != TM_OK)
        fail_msg("%s", err.message);
}

static inline void control(struct rig *r, void (*pack)(struct buffer *out))
{
    CLEANUP(buffer_close) struct buffer record = {0};
    pack(&record);
    block_add_control(&r->next, buffer_view(&record));
}

static inline void pack_join(struct buffer *out)
{
    struct catalog c = {
        .joined = true,
        .key_fields = JOINER_KEY_REQUEST | JOINER_KEY_DOC,
        .stream_name = {"impressions", "clicks"},
        .label_name = {"click"},
        .join = {.stream = {{.kind = JOINER_IMPRESSION}, {.kind = JOINER_ACTION, .within_ms = HOUR_MS, .labels = 1}},
                 .streams = STREAMS,
                 .labels = 1,
                 .allowed_lateness_ms = HOUR_MS}};
    catalog_pack_join(&c, out);
}

/* A shard that knows nothing. */
static inline void rig_open_with(struct rig *r, const struct shard_options *options)
{
    *r = (struct rig){.options = *options};
    for (int i = 0; i < JOINER_STREAMS_MAX; i++)
        r->watermark[i] = WATERMARK_NONE;
    open_shard(r);
}

static inline void rig_open(struct rig *r) { rig_open_with(r, &(struct shard_options){0}); }

static inline void close_rig(struct rig *r)
{
    shard_close(r->shard);
    rcu_settle();
    memory_store_close(&r->disk);
    block_builder_close(&r->next);
}

static inline void commit(struct rig *r)
{
    struct store_batch batch = {0};
    struct shard_rows rows = shard_commit(r->shard, r->position, r->watermark, &batch);
    memory_store_commit(&r->disk, &batch);
    memory_store_sync(&r->disk);
    shard_written(r->shard, rows);
}

/* When all watermarks are there. */
static inline bool due_at(const struct rig *r, int64_t time)
{
    int64_t watermarks[JOINER_STREAMS_MAX];
    for (int i = 0; i < JOINER_STREAMS_MAX; i++)
        watermarks[i] = time;
    return shard_due(r->shard, watermarks);
}

/* Of the first version: nothing of it is lost. */
static inline struct shard_version_counts rig_counts(struct rig *r)
{
    CLEANUP(shard_counts_close) struct shard_counts c = {0};
    shard_count(r->shard, &c);
    assert_int_equal(sample_counts_imbalance(&c.version[0].fresh), 0);
    assert_int_equal(sample_counts_imbalance(&c.version[0].corrections), 0);
    return c.version[0];
}

static inline void restart(struct rig *r)
{
    shard_close(r->shard);
    open_shard(r);
}

#endif
