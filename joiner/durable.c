/* The durable half of the joiner: what a commit carries, and how a joiner comes back from it. */
#include <stdlib.h>

#include "joiner/joiner_state.h"

enum { RUN_HEAD = 2 * sizeof(int64_t) }; /* how long it is held, and the attribution of its commit */

/* Decided keys leave memory when there are enough of them for a run. */
static void seal(struct joiner *j, uint64_t commit)
{
    size_t count;
    if (!runs_on(&j->runs) || j->runs.failure || decided_count(&j->decided) < j->runs.options.tuning.seal_keys)
        return;
    CLEANUP(buffer_close) struct buffer bytes = {0};
    struct run_entry *entries = decided_sorted(&j->decided, j->expiry, &bytes, &count);
    runs_seal(&j->runs, commit, entries, count);
    free(entries);
    decided_clear(&j->decided);
    j->frozen_run.size = RUN_HEAD; /* what it says is in the sorted run */
}

static void keep_runs(struct joiner *j, uint64_t commit, uint64_t decided)
{
    CLEANUP(buffer_close) struct buffer held = {0};
    if (!runs_on(&j->runs) || j->runs.failure)
        return;
    runs_keep(&j->runs, commit, decided, j->expiry);
    chunks_encode_held(&j->chunks, &held);
    runs_write(&j->runs, buffer_view(&held), j->chunks.regrouped && j->runs.sealed);
    j->chunks.regrouped = false;
}

/* Runs of commits that were sealed are not needed; but without any seal the list of what is held was never written,
 * and follows from all of them. */
uint64_t joiner_runs_from(const struct joiner *j)
{
    const struct chunks *c = &j->chunks;
    if (!j->runs.sealed)
        return chunks_first(c);
    uint64_t from = j->runs.sealed + 1 < c->live ? j->runs.sealed + 1 : c->live;
    return from > c->runs.first ? from : c->runs.first;
}

uint64_t joiner_attribution_from(const struct joiner *j) { return j->chunks.attributed.first; }

void joiner_encode_remembered(const struct joiner *j, struct buffer *out)
{
    buffer_put_i64(out, j->floor.gate);
    buffer_put_i64(out, j->floor.front);
    buffer_put_i64(out, j->floor.expiry);
    buffer_put_i64(out, j->floor.action_horizon);
    buffer_put_i64(out, j->told_at);
    buffer_put_i64(out, j->ahead);
    remembered_encode(&j->remembered, out);
}

void joiner_load_remembered(struct joiner *j, struct reader *r)
{
    j->floor.gate = reader_i64(r);
    j->floor.front = reader_i64(r);
    j->floor.expiry = reader_i64(r);
    j->floor.action_horizon = reader_i64(r);
    j->told_at = reader_i64(r);
    j->ahead = reader_i64(r);
    remembered_decode(&j->remembered, r);
}

static void write_run(struct joiner *j, struct chunk *c)
{
    j->frozen_run.size = 0;
    buffer_put_i64(&j->frozen_run, 0);
    buffer_put_i64(&j->frozen_run, j->attribution.logged_until);
    c->newest = decided_write(&j->decided, &j->frozen_run);
    c->attributed = j->attribution.logged_until;
    memcpy(j->frozen_run.data, &c->newest, sizeof c->newest);
}

bool joiner_freeze(struct joiner *j, uint64_t commit, struct joiner_delta *out)
{
    struct chunk *c = chunks_at(&j->chunks, j->chunks.open);
    uint64_t decided = j->decided.changed_count;
    CHECK(commit == j->chunks.open && commit < UINT32_MAX);
    write_run(j, c);
    bool used = c->bytes.size > 0 || j->frozen_run.size > RUN_HEAD || j->attribution.log.size > 0;
    *out = (struct joiner_delta){0};
    if (used) {
        seal(j, commit);
        out->chunk = chunks_seal(&j->chunks);
        out->run = buffer_view(&j->frozen_run);
        out->attribution = attribution_take_log(&j->attribution);
    }
    out->waiting_from = chunks_waiting_from(&j->chunks);
    if (j->expiry != WATERMARK_NONE) /* what was given up is before expiry, but actions may still wait from that time */
        chunks_trim(&j->chunks, j->expiry, joiner_smaller(j->action_horizon, j->expiry));
    if (used)
        keep_runs(j, commit, decided);
    out->keep_from = chunks_first(&j->chunks);
    out->runs_from = joiner_runs_from(j);
    out->attribution_from = joiner_attribution_from(j);
    return used;
}

void joiner_written(struct joiner *j, uint64_t commit) { runs_written(&j->runs, commit); }

enum tm_code joiner_failure(const struct joiner *j, struct tm_error *err)
{
    if (!j->runs.failure)
        return TM_OK;
    *err = *j->runs.failure;
    return err->code;
}

void joiner_load_begin(struct joiner *j, const int64_t *watermarks)
{
    j->loading = true;
    joiner_set_watermarks(j, watermarks);
}

static enum tm_code load_manifest(struct joiner *j, struct bytes row, struct tm_error *err)
{
    struct bytes held;
    enum tm_code rc = runs_load_manifest(&j->runs, row, &held, err);
    if (rc != TM_OK)
        return rc;
    struct reader r = reader_of(held);
    chunks_decode_held(&j->chunks, &r);
    return r.bad || reader_left(&r)
               ? tm_error_set(err, TM_DATA_LOSS, "what the list of runs says of commits is damaged")
               : TM_OK;
}

enum tm_code joiner_load_row(struct joiner *j, struct bytes key, struct bytes row, struct tm_error *err)
{
    if (key.size != RUN_KEY || !runs_on(&j->runs))
        return tm_error_set(err, TM_DATA_LOSS, "a row of decided keys that belongs to nothing");
    switch (key.data[0]) {
    case RUN_MANIFEST: return load_manifest(j, row, err);
    case RUN_FILTER: return runs_load_filter(&j->runs, key, row, err);
    default: return TM_ABORTED;
    }
}

/* Without a list of runs nothing was ever sealed, and every commit that is kept has its run. */
enum tm_code joiner_load_commits(struct joiner *j, uint64_t first_commit, uint64_t last_commit, struct tm_error *err)
{
    struct chunks *c = &j->chunks;
    CHECK(first_commit >= 1 && last_commit + 1 >= first_commit);
    if (!j->runs.sealed) {
        chunks_close(c);
        chunks_open(c, first_commit, joiner_span(j));
    }
    if (chunks_first(c) > first_commit || c->open < first_commit || c->open > last_commit + 1)
        return tm_error_set(err, TM_DATA_LOSS, "the list of runs of decided keys is of another commit");
    while (c->open <= last_commit)
        chunks_seal(c);
    return runs_load_done(&j->runs, err);
}

enum tm_code joiner_load_run(struct joiner *j, uint64_t commit, struct bytes run, struct tm_error *err)
{
    struct reader r = reader_of(run);
    int64_t held = reader_i64(&r), attributed = reader_i64(&r), newest = INT64_MIN;
    enum tm_code rc = TM_OK;
    if (!r.bad && commit > j->runs.sealed)
        rc = decided_load(&j->decided, bytes_of(r.at, reader_left(&r)), &newest, err);
    if (r.bad || newest > held)
        return tm_error_set(err, TM_DATA_LOSS, "a run of decided keys is damaged");
    if (commit >= j->chunks.live) {
        chunks_at(&j->chunks, commit)->newest = held;
        chunks_at(&j->chunks, commit)->attributed = attributed;
    }
    return rc;
}

enum tm_code joiner_load_attribution(struct joiner *j, struct bytes stored, struct tm_error *err)
{
    return attribution_load(&j->attribution, stored, err);
}

/* The record waits no more: it was settled, or set aside, after it had been stored. False: it makes no sense, because
 * notes of an impression that waits are its own. */
static bool load_removed(struct joiner *j, const struct joiner_record *r)
{
    uint32_t number = pending_find(&j->pending, r->key);
    if (number == PENDING_NONE)
        return true;
    const struct pending_key *k = &j->pending.keys[number];
    if (k->chunk && k->position == r->position) {
        joiner_drop_impression(j, number);
        return true;
    }
    for (uint32_t i = k->notes; i != PENDING_NONE; i = j->pending.notes[i].next)
        if (j->pending.notes[i].position == r->position) {
            if (k->chunk)
                return false;
            joiner_drop_early(j, i);
            return true;
        }
    return true;
}

/* Everything in front of its epoch's gate is decided, and all of an epoch that is gone. */
static bool is_past(const struct joiner *j, const struct joiner_record *r)
{
    if (j->config.stream[r->stream].kind != JOINER_IMPRESSION)
        return false;
    uint32_t epoch = joiner_epoch_of(j, r->position);
    return epoch == JOINER_EPOCHS_MAX || r->time < j->gate[epoch];
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
            if (!load_removed(j, &record)) {
                r.bad = true;
                break;
            }
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
enum tm_code joiner_load_done(struct joiner *j, uint64_t position, uint64_t sequence,
                              const struct stream_counts *counts, struct tm_error *err)
{
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
