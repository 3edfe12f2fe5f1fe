#include "client/ingest_call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "proto/wire.h"
#include "tidemill/v1/events.pb-c.h"

void ingest_tell(struct ingest *in, uint64_t n, const char *kind, const struct merge_place *place, const char *field,
                 const char *message)
{
    bool named = *field && strncmp(message, field, strlen(field)) != 0; /* some messages begin with their field */
    if (n == INGEST_PROBLEMS_SHOWN + 1)
        progress_problem(in->progress, "more %s are only counted", kind);
    if (n <= INGEST_PROBLEMS_SHOWN)
        progress_problem(in->progress, "%s:%" PRIu64 ": %s%s%s", merge_name(in->merge, place->file), place->line,
                         named ? field : "", named ? ": " : "", message);
}

/* ---- sending ---- */

static void send_request(struct ingest *in, Tidemill__V1__IngestRequest *request)
{
    in->message.size = 0;
    wire_pack(&request->base, &in->message);
    duplex_send(in->call, buffer_view(&in->message));
}

/* Up to where a stream is complete; INT64_MIN: nothing can be said. While events come, that is a matter of the streams
 * they are of: others may hold themselves back for a producer yet to come. At the end nobody is to wait for a stream
 * of which these files have nothing. */
static int64_t complete_up_to(const struct ingest *in, const struct ingest_mark *w)
{
    if (in->assert_time == INT64_MIN)
        return INT64_MIN;
    if (w->seen)
        return in->assert_time - w->out_of_orderness_ms;
    return in->phase == INGEST_SAYING_END && ingest_has_taken(in) ? in->assert_time + in->window_ms + 1 : INT64_MIN;
}

/* Assert the next stream's progress. False: nothing moved. */
static bool send_watermark(struct ingest *in)
{
    Tidemill__V1__Watermark mark = TIDEMILL__V1__WATERMARK__INIT;
    Tidemill__V1__IngestRequest request = TIDEMILL__V1__INGEST_REQUEST__INIT;
    for (uint32_t i = 0; i < in->stream_count; i++) {
        struct ingest_mark *w = &in->watermarks[i];
        int64_t time = complete_up_to(in, w);
        if (time <= w->sent)
            continue;
        w->sent = time;
        mark.stream = w->name;
        mark.has_time = true;
        mark.time = time;
        request.watermark = &mark;
        send_request(in, &request);
        return true;
    }
    return false;
}

static bool is_due(const struct ingest *in)
{
    double elapsed = (double)(clock_monotonic_ns() - in->started_ns) * 1e-9;
    return in->o->rate <= 0 || in->sent < in->ever_sent || elapsed * in->o->rate >= (double)in->paced;
}

static void send_batch(struct ingest *in)
{
    const struct batch *b = ingest_batch(in, in->sent);
    if (in->acked == in->sent)
        in->heard_ns = clock_monotonic_ns(); /* silence counts from the first question */
    duplex_send(in->call, buffer_view(&b->request));
    in->assert_time = b->newest;
    in->sent++;
    if (in->sent > in->ever_sent) {
        in->ever_sent = in->sent;
        in->paced += b->events;
    }
}

/* Behind the last ack: the end mark or a farewell, then no more. */
static void send_farewell(struct ingest *in)
{
    Tidemill__V1__End end = TIDEMILL__V1__END__INIT;
    Tidemill__V1__Leave leave = TIDEMILL__V1__LEAVE__INIT;
    Tidemill__V1__IngestRequest request = TIDEMILL__V1__INGEST_REQUEST__INIT;
    in->heard_ns = clock_monotonic_ns();
    if (in->phase == INGEST_FEEDING) {
        in->phase = in->o->end ? INGEST_SAYING_END : INGEST_LEAVING;
    } else if (in->phase == INGEST_SAYING_END) {
        request.end = &end;
        send_request(in, &request);
        in->phase = INGEST_AWAITING_ENDED;
    } else if (in->phase == INGEST_LEAVING) {
        request.leave = &leave;
        send_request(in, &request);
        in->phase = INGEST_FINISHING;
    } else if (in->phase == INGEST_FINISHING) {
        duplex_finish(in->call);
        in->phase = INGEST_CLOSING;
    }
}

void ingest_call_send(struct ingest *in)
{
    if (!duplex_can_send(in->call) || in->phase >= INGEST_CLOSING || in->phase == INGEST_AWAITING_ENDED)
        return;
    if (in->phase <= INGEST_SAYING_END && send_watermark(in))
        return;
    if (in->sent < in->made) {
        if (is_due(in))
            send_batch(in);
    } else if (in->read_all && in->acked == in->made) {
        send_farewell(in);
    }
}

/* ---- hearing ---- */

static enum tm_code stale_server(struct ingest *in, uint64_t last, struct tm_error *err)
{
    in->fatal = true;
    return tm_error_set(
        err, TM_FAILED_PRECONDITION,
        "server %s stands at batch %" PRIu64 ", but has acknowledged %" PRIu64
        ": its data is older than that, or another instance of client \"%s\" took over; run the command again",
        in->o->server, last, in->server_sequence, in->client);
}

struct ingest_mark *ingest_mark_of(struct ingest *in, const char *stream)
{
    for (uint32_t i = 0; i < in->stream_count; i++)
        if (strcmp(in->watermarks[i].name, stream) == 0)
            return &in->watermarks[i];
    return NULL;
}

static void learn_streams(struct ingest *in, const Tidemill__V1__Opened *m)
{
    uint32_t count = m->n_streams < INGEST_STREAMS_MAX ? (uint32_t)m->n_streams : INGEST_STREAMS_MAX;
    struct ingest_mark *marks = mem_new(INGEST_STREAMS_MAX, sizeof *marks);
    for (uint32_t i = 0; i < count; i++) {
        const Tidemill__V1__StreamInfo *info = m->streams[i];
        const char *name = info->name ? info->name : "", *kind = info->kind ? info->kind : "";
        const struct ingest_mark *known = ingest_mark_of(in, name);
        marks[i] = (struct ingest_mark){.impression = strcmp(kind, "impression") == 0,
                                        .action = strcmp(kind, "action") == 0,
                                        .seen = known && known->seen,
                                        .out_of_orderness_ms = info->out_of_orderness_ms,
                                        .sent = INT64_MIN};
        snprintf(marks[i].name, sizeof marks[i].name, "%s", name);
    }
    free(in->watermarks);
    in->watermarks = marks;
    in->stream_count = count;
    in->window_ms = m->window_ms;
}

static enum tm_code hear_opened(struct ingest *in, const Tidemill__V1__Opened *m, struct tm_error *err)
{
    if (in->started_ns == 0) {
        in->started_ns = clock_monotonic_ns();
        in->resume_sequence = in->server_sequence = m->last_sequence;
    } else if (m->last_sequence < in->server_sequence) {
        return stale_server(in, m->last_sequence, err);
    }
    if (in->told_ns && !in->refused)
        progress_notice(in->progress, "server %s: connected again, %" PRIu64 " batches to send again", in->o->server,
                        in->ever_sent - in->acked);
    if (!in->refused) /* else only an ack proves that it takes events again */
        in->told_ns = 0;
    if (in->acked == in->made && !in->read_all) /* otherwise only an ack proves that it works again */
        in->attempts = 0;
    in->opened = true;
    learn_streams(in, m);
    return TM_OK;
}

static void hear_rejected(struct ingest *in, const struct batch *b, const Tidemill__V1__Rejected *r)
{
    if (r->field && strcmp(r->field, "blocked") == 0) {
        in->result->blocked++;
        return;
    }
    in->result->rejected++;
    ingest_tell(in, in->result->rejected, "rejected events", &b->places[r->index], r->field ? r->field : "",
                r->message ? r->message : "rejected");
}

/* A batch has been answered as a whole: which events of it were refused. */
static bool is_ack_of(const struct batch *b, const Tidemill__V1__Ack *m)
{
    bool fits = m->sequence == b->sequence && m->n_rejected <= b->events;
    for (size_t i = 0; fits && i < m->n_rejected; i++)
        fits = m->rejected[i]->index < b->events;
    return fits;
}

static enum tm_code hear_ack(struct ingest *in, const Tidemill__V1__Ack *m, struct tm_error *err)
{
    const struct batch *b = ingest_batch(in, in->acked);
    if (in->acked == in->sent || !is_ack_of(b, m)) {
        in->fatal = true;
        return tm_error_set(err, TM_IO, "server %s acknowledged batch %" PRIu64 ", which does not fit batch %" PRIu64,
                            in->o->server, m->sequence, b->sequence);
    }
    for (size_t i = 0; i < m->n_rejected; i++)
        hear_rejected(in, b, m->rejected[i]);
    in->result->accepted += b->events - m->n_rejected;
    in->result->repeated_batches += m->repeated_batch;
    in->server_sequence = m->sequence;
    in->acked_newest = b->newest;
    in->acked++;
    in->attempts = 0;
    if (in->refused && in->told_ns)
        progress_notice(in->progress, "server %s takes events again", in->o->server);
    if (in->refused)
        in->told_ns = 0;
    in->refused = false;
    return TM_OK;
}

static void hear_ended(struct ingest *in, const Tidemill__V1__Ended *m)
{
    in->has_end_time = m->has_watermark;
    in->end_time = m->watermark - in->window_ms - 1;
    in->phase = INGEST_FINISHING;
}

static enum tm_code hear(struct ingest *in, const Tidemill__V1__IngestReply *m, struct tm_error *err)
{
    in->heard_ns = clock_monotonic_ns();
    if (m->opened)
        return hear_opened(in, m->opened, err);
    if (m->ack)
        return hear_ack(in, m->ack, err);
    if (m->ended && in->phase == INGEST_AWAITING_ENDED)
        hear_ended(in, m->ended);
    return TM_OK;
}

static enum tm_code check_silence(struct ingest *in, struct tm_error *err)
{
    bool asked =
        !in->opened || in->acked < in->sent || in->phase == INGEST_AWAITING_ENDED || in->phase == INGEST_CLOSING;
    if (!asked || clock_ms_since(in->heard_ns) <= in->o->timeout_ms)
        return TM_OK;
    return tm_error_set(err, TM_DEADLINE_EXCEEDED, "server %s has not answered for %" PRId64 " s", in->o->server,
                        in->o->timeout_ms / 1000);
}

enum tm_code ingest_call_listen(struct ingest *in, int64_t timeout_ms, struct tm_error *err)
{
    ProtobufCMessage *message = NULL;
    enum duplex_event event;
    enum tm_code rc = duplex_next(in->call, timeout_ms, &event, &message, err);
    if (rc == TM_OK && event == DUPLEX_MESSAGE) {
        rc = hear(in, (const Tidemill__V1__IngestReply *)message, err);
        wire_free(message);
    } else if (rc == TM_OK && event == DUPLEX_ENDED) {
        if (in->phase != INGEST_CLOSING)
            return tm_error_set(err, TM_UNAVAILABLE, "server %s: ended the call early", in->o->server);
        in->phase = INGEST_DONE;
    }
    return rc == TM_OK ? check_silence(in, err) : rc;
}

/* ---- the call ---- */

void ingest_call_open(struct ingest *in)
{
    Tidemill__V1__Open open = TIDEMILL__V1__OPEN__INIT;
    Tidemill__V1__IngestRequest request = TIDEMILL__V1__INGEST_REQUEST__INIT;
    in->connection = connection_open(in->o->server);
    in->call = duplex_open(in->connection, "/tidemill.v1.Events/Ingest", &tidemill__v1__ingest_reply__descriptor, -1);
    in->opened = false;
    in->phase = INGEST_FEEDING;
    in->sent = in->acked;
    in->assert_time = in->acked > 0 ? in->acked_newest : in->read_all && in->made == 0 ? in->skipped_newest : INT64_MIN;
    in->heard_ns = clock_monotonic_ns();
    open.client = in->client;
    open.instance = in->instance;
    open.lane = "main";
    request.open = &open;
    send_request(in, &request);
}

void ingest_call_close(struct ingest *in)
{
    duplex_close(in->call);
    connection_close(in->connection);
    in->call = NULL;
    in->connection = NULL;
}
