/* The durable half of the joiner: what a commit carries, and how a joiner comes back from it. */
#include "joiner/joiner_state.h"

/* A run begins with how long the commit's chunk is held, so that a restart needs to read only the chunks that still
 * have something waiting. */
bool joiner_freeze(struct joiner *j, uint64_t commit, struct joiner_delta *out)
{
    struct chunk *c = chunks_at(&j->chunks, j->chunks.open);
    CHECK(commit == j->chunks.open && commit < UINT32_MAX);
    j->frozen_run.size = 0;
    buffer_put_i64(&j->frozen_run, 0);
    int64_t newest = decided_write(&j->decided, &j->frozen_run);
    if (newest > c->newest)
        c->newest = newest;
    if (j->attribution.logged_until > c->newest)
        c->newest = j->attribution.logged_until;
    memcpy(j->frozen_run.data, &c->newest, sizeof c->newest);
    bool used = c->bytes.size > 0 || j->frozen_run.size > sizeof c->newest || j->attribution.log.size > 0;
    *out = (struct joiner_delta){0};
    if (used) {
        out->chunk = chunks_seal(&j->chunks);
        out->run = buffer_view(&j->frozen_run);
        out->attribution = attribution_take_log(&j->attribution);
    }
    if (j->expiry != WATERMARK_NONE)
        chunks_trim(&j->chunks, j->expiry);
    out->keep_from = j->chunks.first;
    out->waiting_from = chunks_waiting_from(&j->chunks);
    return used;
}

void joiner_load_begin(struct joiner *j, uint64_t first_commit, uint64_t last_commit)
{
    CHECK(first_commit >= 1 && last_commit + 1 >= first_commit);
    j->loading = true;
    chunks_close(&j->chunks);
    chunks_open(&j->chunks, first_commit);
    while (j->chunks.open <= last_commit)
        chunks_seal(&j->chunks);
}

enum tm_code joiner_load_run(struct joiner *j, uint64_t commit, struct bytes run, struct tm_error *err)
{
    struct reader r = reader_of(run);
    struct chunk *c = chunks_at(&j->chunks, commit);
    int64_t newest = INT64_MIN;
    c->newest = reader_i64(&r);
    enum tm_code rc = r.bad ? TM_OK : decided_load(&j->decided, bytes_of(r.at, reader_left(&r)), &newest, err);
    if (r.bad || newest > c->newest)
        return tm_error_set(err, TM_DATA_LOSS, "a run of decided keys is damaged");
    return rc;
}

enum tm_code joiner_load_attribution(struct joiner *j, struct bytes stored, struct tm_error *err)
{
    return attribution_load(&j->attribution, stored, err);
}

/* The record waits no more: it was set aside, as an orphan or shed, after it had been stored. */
static void load_removed(struct joiner *j, const struct joiner_record *r)
{
    uint32_t number = pending_find(&j->pending, r->key);
    if (number == PENDING_NONE)
        return;
    const struct pending_key *k = &j->pending.keys[number];
    if (k->chunk && k->position == r->position) {
        joiner_drop_impression(j, number);
        return;
    }
    for (uint32_t i = k->notes; i != PENDING_NONE; i = j->pending.notes[i].next)
        if (j->pending.notes[i].position == r->position) {
            joiner_drop_early(j, i);
            return;
        }
}

/* Does the record belong to a sample that was made, or to an impression that nobody can correct any more? */
static bool is_past(struct joiner *j, const struct joiner_record *r)
{
    const struct decided_key *k = decided_find(&j->decided, r->key, INT64_MIN);
    return k && r->position <= k->settled;
}

enum tm_code joiner_load_chunk(struct joiner *j, uint64_t commit, struct bytes stored, struct tm_error *err)
{
    struct chunk *c = chunks_at(&j->chunks, commit);
    struct reader r = reader_of(stored);
    struct joiner_record record;
    enum chunk_record_kind kind;
    buffer_put(&c->bytes, stored.data, stored.size);
    j->chunks.memory += c->bytes.capacity;
    j->chunks.used += c->bytes.size;
    c->waiting++; /* the chunk stays whole until all of it was read */
    c->bodies++;
    for (size_t offset = 0; chunk_next(stored, &r, &record, &kind); offset = (size_t)(r.at - stored.data)) {
        if (kind == CHUNK_SHARED)
            continue;
        if (record.stream >= j->config.streams) {
            r.bad = true;
            break;
        }
        enum joiner_stream_kind stream_kind = j->config.stream[record.stream].kind;
        if (kind == CHUNK_REMOVED) {
            load_removed(j, &record);
            continue;
        }
        if (is_past(j, &record))
            continue;
        c->waiting++;
        c->bodies += stream_kind != JOINER_ACTION;
        if (stream_kind == JOINER_IMPRESSION)
            joiner_hold_impression(j, &record, commit, (uint32_t)offset);
        else
            joiner_hold_note(j, &record, commit, (uint32_t)offset);
    }
    if (r.bad)
        return tm_error_set(err, TM_DATA_LOSS, "chunk %llu is damaged", (unsigned long long)commit);
    chunks_release(&j->chunks, commit, true);
    return TM_OK;
}

void joiner_load_delays(struct joiner *j, uint32_t stream, const struct delays *delays)
{
    CHECK(!j->delays[stream]);
    j->delays[stream] = mem_new(1, sizeof *delays);
    *j->delays[stream] = *delays;
}

/* What waits was counted once more while it was loaded: a lost chunk or run shows. */
enum tm_code joiner_load_done(struct joiner *j, uint64_t position, const int64_t *watermarks, uint64_t sequence,
                              const struct stream_counts *counts, struct tm_error *err)
{
    joiner_set_watermarks(j, watermarks);
    if (j->expiry != WATERMARK_NONE)
        decided_expire(&j->decided, j->expiry);
    joiner_attributed_loaded(j);
    j->position = position ? position - 1 : 0;
    j->sequence = sequence;
    j->loading = false;
    for (uint32_t i = 0; i < j->config.streams; i++) {
        if (j->counts[i].waiting != counts[i].waiting)
            return tm_error_set(err, TM_DATA_LOSS, "%llu records of stream %u wait; the last commit counted %llu",
                                (unsigned long long)j->counts[i].waiting, i, (unsigned long long)counts[i].waiting);
        j->counts[i] = counts[i];
    }
    return TM_OK;
}
