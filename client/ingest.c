#include "client/ingest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "client/aside.h"
#include "client/ingest_call.h"
#include "client/settle.h"
#include "proto/wire.h"

enum { WAIT_MS = 100, BACK_OFF_MIN_MS = 100, BACK_OFF_MAX_MS = 2000, NOTICE_MS = 5000 };

/* ---- making batches ---- */

static void report_malformed(void *context, const struct merge_place *place, const char *message)
{
    struct ingest *in = context;
    in->result->malformed++;
    ingest_tell(in, in->result->malformed, "malformed records", place, "", message);
}

static void event_taken(void *context, const char *stream)
{
    struct ingest_mark *mark = ingest_mark_of(context, stream);
    if (mark)
        mark->seen = true;
}

static void batch_made(struct ingest *in, struct batch *b)
{
    batcher_seal(&in->batcher, b);
    in->result->events += b->events;
    if (b->sequence > in->resume_sequence) {
        in->made++;
        return;
    }
    in->result->taken_before += b->events; /* the slot is free again */
    in->skipped_newest = b->newest;
}

/* Make at most one batch, if the window has room. */
static enum tm_code make_batch(struct ingest *in, struct tm_error *err)
{
    struct batch *b = ingest_batch(in, in->made);
    in->waiting = false;
    if (in->read_all || in->made - in->acked == INGEST_WINDOW)
        return TM_OK;
    switch (batcher_fill(&in->batcher, b, err)) {
    case MERGE_FAILED: in->fatal = true; return err->code;
    case MERGE_WAIT:
        in->waiting = true;
        if (in->resumable) /* a batch that time cuts would be another one next time */
            return TM_OK;
        break;
    case MERGE_END: in->read_all = true; break;
    case MERGE_RECORD:
    case MERGE_MALFORMED: break;
    }
    if (b->events > 0)
        batch_made(in, b);
    if (in->read_all && in->made == 0) /* an earlier run may have stopped between its last batch and this */
        in->assert_time = in->skipped_newest;
    return TM_OK;
}

/* ---- one call after the other ---- */

/* How long there is nothing to do but listen. */
static int64_t idle_ms(const struct ingest *in)
{
    bool can_make = !in->read_all && !in->waiting && in->made - in->acked < INGEST_WINDOW;
    return can_make || in->phase == INGEST_LEAVING || in->phase == INGEST_SAYING_END ? 0
           : in->o->rate > 0 || in->waiting                                          ? WAIT_MS / 10
                                                                                     : WAIT_MS;
}

/* For what is said at the end. It is worth one attempt, and nothing fails for it. */
static void look_before(struct ingest *in)
{
    if (in->o->end && !in->looked)
        aside_look(in->o->server, in->o->timeout_ms, &in->before);
    in->looked = true;
}

static enum tm_code run_call(struct ingest *in, struct tm_error *err)
{
    enum tm_code rc = TM_OK;
    ingest_call_open(in);
    while (rc == TM_OK && !in->opened)
        rc = ingest_call_listen(in, WAIT_MS, err);
    if (rc == TM_OK)
        look_before(in);
    while (rc == TM_OK && in->phase != INGEST_DONE) {
        rc = make_batch(in, err);
        if (rc == TM_OK) {
            ingest_call_send(in);
            rc = ingest_call_listen(in, idle_ms(in), err);
        }
        progress_show(in->progress, merge_bytes_read(in->merge), merge_bytes_total(in->merge),
                      in->result->accepted + in->result->rejected + in->result->blocked + in->result->taken_before);
    }
    ingest_call_close(in);
    return rc;
}

static bool may_pass(const struct ingest *in, enum tm_code rc)
{
    return !in->fatal && (rc == TM_UNAVAILABLE || rc == TM_RESOURCE_EXHAUSTED || rc == TM_IO || rc == TM_ABORTED);
}

/* Pause before the next attempt, longer each time, and not in step with others that lost the same server. */
static void back_off(struct ingest *in)
{
    int64_t pause = BACK_OFF_MIN_MS << (in->attempts < 5 ? in->attempts : 5);
    pause = pause < BACK_OFF_MAX_MS ? pause : BACK_OFF_MAX_MS;
    pause = pause / 2 + clock_monotonic_ns() / 1000 % pause; /* 50 % to 150 % */
    in->attempts++;
    clock_sleep_ms(pause);
}

/* A server that is full is there, and says when it takes events again: that is worth any wait. One that does not answer
 * is worth the time-out. */
static void tell_waiting(struct ingest *in, const struct tm_error *why)
{
    if (clock_ms_since(in->told_ns) < NOTICE_MS)
        return;
    if (why->code == TM_RESOURCE_EXHAUSTED)
        progress_notice(in->progress, "%s (waiting; the same command goes on later if you stop it)", why->message);
    else
        progress_notice(in->progress, "%s (trying again for %" PRId64 " s)", why->message,
                        (in->o->timeout_ms - clock_ms_since(in->lost_ns) + 999) / 1000);
    in->told_ns = clock_monotonic_ns();
}

static enum tm_code run_until_done(struct ingest *in, struct tm_error *err)
{
    for (;;) {
        enum tm_code rc = run_call(in, err);
        if (rc == TM_OK || !may_pass(in, rc))
            return rc;
        in->refused = rc == TM_RESOURCE_EXHAUSTED;
        if (in->attempts == 0 || in->refused)
            in->lost_ns = clock_monotonic_ns();
        if (clock_ms_since(in->lost_ns) >= in->o->timeout_ms)
            return rc;
        tell_waiting(in, err);
        back_off(in);
    }
}

/* ---- identity ---- */

static uint64_t random_u64(void)
{
    uint64_t v = 0;
    CHECK(getrandom(&v, sizeof v, 0) == (ssize_t)sizeof v);
    return v;
}

/* Files are known again: the same client sends them after whatever happened, and goes on where the same files stopped.
 * A pipe is somebody new each time. The rate sets the size of batches, so it is a part of the instance. */
static void choose_identity(struct ingest *in)
{
    struct hash128 names, content, fresh = {random_u64(), random_u64()};
    bool files = merge_identity(in->merge, &content);
    merge_names(in->merge, &names);
    in->resumable = files && !in->o->again;
    if (!in->resumable)
        content = fresh;
    if (in->o->client)
        snprintf(in->client, sizeof in->client, "%s", in->o->client);
    else
        snprintf(in->client, sizeof in->client, "ingest-%08" PRIx32, (uint32_t)(files ? names.lo : fresh.lo));
    snprintf(in->instance, sizeof in->instance, "%016" PRIx64 "%016" PRIx64 "-%" PRIu32, content.hi, content.lo,
             in->batcher.events_max);
}

/* A tenth of a second's worth, so that a slow rate is a steady one. */
static uint32_t batch_events(double rate)
{
    double wanted = rate / 10;
    return rate <= 0 || wanted > BATCH_EVENTS ? BATCH_EVENTS : wanted < 1 ? 1 : (uint32_t)wanted;
}

/* ---- the end ---- */

static void tell_unseen(const struct ingest *in)
{
    CLEANUP(buffer_close) struct buffer names = {0};
    bool impressions = false;
    for (uint32_t i = 0; i < in->stream_count; i++) {
        const struct ingest_mark *w = &in->watermarks[i];
        impressions |= w->impression && w->seen;
        if (!w->action || w->seen)
            continue;
        buffer_put(&names, names.size ? ", \"" : "\"", names.size ? 3 : 1);
        buffer_put(&names, w->name, strlen(w->name));
        buffer_put(&names, "\"", 1);
    }
    if (impressions && names.size)
        progress_notice(in->progress,
                        "no event of %.*s was in these files: their impressions were decided without any. Files that "
                        "belong together go into one ingest.",
                        (int)names.size, (const char *)names.data);
}

static void tell_set_aside(const struct ingest *in)
{
    ProtobufCMessage *after = NULL;
    if (!in->before)
        return;
    aside_look(in->o->server, in->o->timeout_ms, &after);
    if (after)
        aside_tell(in->before, after, in->progress);
    wire_free(after);
}

static enum tm_code settle_end(struct ingest *in, struct tm_error *err)
{
    struct settle s = {
        .server = in->o->server,
        .client = in->client,
        .decided = in->has_end_time,
        .newest = in->end_time,
        .timeout_ms = in->o->timeout_ms,
        .progress = in->progress,
    };
    if (!ingest_has_taken(in)) /* there is nothing to wait for */
        return TM_OK;
    enum tm_code rc = settle_wait(&s, err);
    if (rc == TM_OK) {
        tell_unseen(in);
        tell_set_aside(in);
    }
    return rc;
}

static void ingest_close(struct ingest *in)
{
    for (uint32_t i = 0; i < INGEST_WINDOW; i++)
        batch_close(&in->window[i]);
    buffer_close(&in->message);
    batcher_close(&in->batcher);
    merge_close(in->merge);
    wire_free(in->before);
    free(in->window);
    free(in->watermarks);
}

enum tm_code ingest_run(const struct ingest_options *o, struct progress *progress, struct ingest_result *result,
                        struct tm_error *err)
{
    struct ingest in = {
        .o = o, .result = result, .progress = progress, .acked_newest = INT64_MIN, .skipped_newest = INT64_MIN};
    enum tm_code rc = merge_open(o->paths, o->path_count, &in.merge, err);
    if (rc != TM_OK)
        return rc;
    in.batcher = (struct batcher){.merge = in.merge,
                                  .events_max = batch_events(o->rate),
                                  .report = report_malformed,
                                  .taken = event_taken,
                                  .context = &in,
                                  .newest = INT64_MIN};
    in.window = mem_new(INGEST_WINDOW, sizeof *in.window);
    choose_identity(&in);
    rc = run_until_done(&in, err);
    if (rc == TM_OK && o->end)
        rc = settle_end(&in, err);
    progress_clear(progress);
    ingest_close(&in);
    return rc;
}
