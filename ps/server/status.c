#include "ps/server/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/wire.h"
#include "ps/server/fill.h"
#include "ps/server/version_message.h"
#include "tidemill/v1/admin.pb-c.h"

enum { HOLDER_MAX = 3 * (SEQUENCER_ID_MAX + 1) };

/* The message lies beside what it points to, so that a list of them is one piece of memory and a list of pointers. */
struct stream_message {
    Tidemill__V1__StreamStatus message;
    char holder[HOLDER_MAX];
};

static void fill_stream(const struct catalog *schema, const struct engine_status *s, uint32_t i,
                        struct stream_message *out)
{
    static const char *const kinds[] = {[JOINER_FEATURES] = "features",
                                        [JOINER_IMPRESSION] = "impression",
                                        [JOINER_ACTION] = "action",
                                        [JOINER_TABLE] = "table"};
    const struct stream_counts *c = &s->streams[i];
    Tidemill__V1__StreamStatus *m = &out->message;
    tidemill__v1__stream_status__init(m);
    m->name = fill_text(schema->stream_name[i]);
    m->kind = fill_text(kinds[schema->join.stream[i].kind]);
    FILL(m, consumed, c->consumed);
#define F(name, help) FILL(m, name, c->name);
    STREAM_FATES(F)
    STREAM_NOTES(F)
#undef F
    FILL(m, imbalance, stream_counts_imbalance(c));
    if (i >= s->log.streams)
        return;
    if (s->log.stream[i].watermark != WATERMARK_NONE)
        FILL(m, watermark, s->log.stream[i].watermark);
    if (s->log.stream[i].held) {
        const struct producer_id *who = &s->log.stream[i].holder;
        if (who->client[0])
            snprintf(out->holder, sizeof out->holder, "%s/%s/%s", who->client, who->instance, who->lane);
        else
            snprintf(out->holder, sizeof out->holder, "%s", who->lane); /* nobody's: the server's own */
        m->holder = out->holder;
        FILL(m, holder_silent_ms, s->log.stream[i].holder_silent_ms);
    }
}

static void fill_shard(const struct engine_shard_status *s, uint32_t shard, Tidemill__V1__ShardStatus *m)
{
    tidemill__v1__shard_status__init(m);
    FILL(m, shard, shard);
    FILL(m, thread, s->thread);
    FILL(m, committed_position, s->committed_position);
    FILL(m, samples, s->samples);
    FILL(m, undecided, s->undecided);
    FILL(m, decided, s->decided);
}

static void fill_room(const struct engine_status *s, Tidemill__V1__StatusReply *m)
{
    static const char *const states[] = {[DISK_ROOM] = "room", [DISK_LOW] = "low", [DISK_FULL] = "full"};
    const struct log_retention_status *kept = &s->log.retained;
    FILL(m, log_first_position, kept->first);
    FILL(m, log_kept_bytes, kept->bytes);
    if (kept->bytes > 0)
        FILL(m, log_oldest, kept->oldest_ms);
    FILL(m, log_overdue_bytes, kept->overdue_bytes);
    m->disk_state = fill_text(states[s->disk.state]);
    FILL(m, disk_free, s->disk.free);
    FILL(m, disk_reserve, s->disk.reserve);
    FILL(m, disk_size, s->disk.size);
}

static void fill_node(struct engine *engine, const struct engine_status *s, Tidemill__V1__StatusReply *m)
{
    const struct input_log_status *log = &s->log;
    m->generation = fill_text(engine_generation(engine));
    m->data = fill_text(engine_options(engine)->data);
    FILL(m, position, log->head);
    FILL(m, applied_position, s->applied);
    if (s->as_of != INT64_MIN)
        FILL(m, as_of, s->as_of);
    FILL(m, imbalance, s->imbalance);
    FILL(m, recovery_ms, s->recovery_ms);
    FILL(m, recovered_events, s->recovered_events);
    FILL(m, producers, log->producers);
    FILL(m, commits, s->commits);
    FILL(m, commit_bytes, s->commit_bytes);
    FILL(m, log_bytes, log->bytes_written);
    FILL(m, log_syncs, log->syncs);
    FILL(m, log_sync_ms_mean, log->syncs ? log->sync_ms_sum / (double)log->syncs : 0);
    FILL(m, log_sync_ms_max, log->sync_ms_max);
    FILL(m, window_ms, engine_schema(engine)->join.window_ms);
    FILL(m, end_window_ms, engine_end_window(engine));
    FILL(m, pid, (uint32_t)getpid());
}

static void fill_tables(const struct lookup_rows_counts *c, Tidemill__V1__StatusReply *m)
{
    FILL(m, table_rows_written, c->written);
    FILL(m, table_rows_removed, c->removed);
    FILL(m, table_lookups, c->cache.lookups);
    FILL(m, table_cache_misses, c->cache.misses);
    FILL(m, table_cache_bytes, c->cache.bytes);
}

void status_pack(struct engine *engine, struct buffer *out)
{
    struct engine_status s;
    Tidemill__V1__StatusReply reply = TIDEMILL__V1__STATUS_REPLY__INIT;
    engine_status(engine, &s);
    const struct catalog *schema = engine_schema(engine);
    uint32_t streams = schema->join.streams, versions = s.version_count, shards = engine_options(engine)->shards;
    struct stream_message *stream = mem_new(streams + 1, sizeof *stream);
    struct version_message *version = mem_new(versions + 1, sizeof *version);
    Tidemill__V1__ShardStatus *shard = mem_new(shards + 1, sizeof *shard);
    void **lists = mem_new(streams + versions + shards + 1, sizeof *lists);
    fill_node(engine, &s, &reply);
    fill_room(&s, &reply);
    if (s.tables)
        fill_tables(&s.lookups, &reply);
    reply.n_streams = streams;
    reply.streams = (Tidemill__V1__StreamStatus **)lists;
    for (uint32_t i = 0; i < streams; i++) {
        fill_stream(schema, &s, i, &stream[i]);
        lists[i] = &stream[i].message;
    }
    reply.n_versions = versions;
    reply.versions = (Tidemill__V1__VersionStatus **)(lists + streams);
    for (uint32_t i = 0; i < versions; i++) {
        version_message_fill(engine, &s.versions[i], &version[i]);
        lists[streams + i] = &version[i].message;
    }
    reply.n_shards = shards;
    reply.shards = (Tidemill__V1__ShardStatus **)(lists + streams + versions);
    for (uint32_t i = 0; i < shards; i++) {
        fill_shard(&s.shards[i], i, &shard[i]);
        lists[streams + versions + i] = &shard[i];
    }
    wire_pack(&reply.base, out);
    free(lists);
    free(shard);
    free(version);
    free(stream);
    engine_status_close(&s);
}
