#include "client/settle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client/connection.h"
#include "proto/wire.h"
#include "tidemill/v1/admin.pb-c.h"

enum { POLL_MS = 50, NOTICE_FIRST_MS = 1000, NOTICE_MS = 5000 };

struct watch {
    const struct settle *s;
    struct connection *connection;
    int64_t as_of; /* INT64_MIN: none yet */
    uint64_t applied;
    int64_t moved_ns, told_ns; /* when something moved last; when a notice may have been given last */
};

/* A call that outlives a restart of the server. */
static enum tm_code call(struct watch *w, const char *method, const ProtobufCMessage *request,
                         const ProtobufCMessageDescriptor *type, ProtobufCMessage **reply, struct tm_error *err)
{
    int64_t started = clock_monotonic_ns();
    for (;;) {
        enum tm_code rc = connection_call(w->connection, method, request, type, w->s->timeout_ms, reply, err);
        if ((rc != TM_UNAVAILABLE && rc != TM_IO) || clock_ms_since(started) >= w->s->timeout_ms)
            return rc;
        clock_sleep_ms(POLL_MS * 4);
    }
}

static enum tm_code drain(struct watch *w, struct tm_error *err)
{
    Tidemill__V1__DrainRequest request = TIDEMILL__V1__DRAIN_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    enum tm_code rc =
        call(w, "/tidemill.v1.Admin/Drain", &request.base, &tidemill__v1__drain_reply__descriptor, &reply, err);
    wire_free(reply);
    return rc == TM_OK ? TM_OK : tm_error_wrap(err, "drain");
}

static bool is_ours(const struct settle *s, const char *holder)
{
    size_t size = strlen(s->client);
    return strncmp(holder, s->client, size) == 0 && holder[size] == '/';
}

/* The stream that lags most, if somebody else holds it. */
static const Tidemill__V1__StreamStatus *laggard(const struct settle *s, const Tidemill__V1__StatusReply *m)
{
    const Tidemill__V1__StreamStatus *worst = NULL;
    for (size_t i = 0; i < m->n_streams; i++) {
        const Tidemill__V1__StreamStatus *t = m->streams[i];
        if (t->has_watermark && t->watermark > s->newest + m->end_window_ms)
            continue;
        if (t->holder && *t->holder && is_ours(s, t->holder))
            continue;
        if (!worst || !t->has_watermark || (worst->has_watermark && t->watermark < worst->watermark))
            worst = t;
    }
    return worst;
}

static void tell(const struct watch *w, const Tidemill__V1__StatusReply *m)
{
    char at[CLOCK_TEXT_SIZE] = "no time yet", held[512] = "";
    const Tidemill__V1__StreamStatus *t = laggard(w->s, m);
    if (!t) {
        progress_notice(w->s->progress, "waiting: decided up to %s", m->has_as_of ? clock_text(m->as_of, at) : at);
        return;
    }
    if (t->holder && *t->holder)
        snprintf(held, sizeof held, "; held by %s, silent for %" PRId64 " s", t->holder, t->holder_silent_ms / 1000);
    progress_notice(w->s->progress, "waiting: stream \"%s\" stands at %s%s", t->name ? t->name : "",
                    t->has_watermark ? clock_text(t->watermark, at) : at, held);
}

/* One look. *done: every window is decided. */
static enum tm_code look(struct watch *w, bool *done, struct tm_error *err)
{
    Tidemill__V1__StatusRequest request = TIDEMILL__V1__STATUS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    enum tm_code rc =
        call(w, "/tidemill.v1.Admin/Status", &request.base, &tidemill__v1__status_reply__descriptor, &reply, err);
    if (rc != TM_OK)
        return tm_error_wrap(err, "status");
    const Tidemill__V1__StatusReply *m = (const Tidemill__V1__StatusReply *)reply;
    int64_t as_of = m->has_as_of ? m->as_of : INT64_MIN;
    if (as_of != w->as_of || m->applied_position != w->applied)
        w->moved_ns = clock_monotonic_ns();
    w->as_of = as_of;
    w->applied = m->applied_position;
    *done = m->has_as_of && as_of > w->s->newest;
    if (!*done && clock_ms_since(w->told_ns) >= NOTICE_MS) {
        tell(w, m);
        w->told_ns = clock_monotonic_ns();
    }
    wire_free(reply);
    return TM_OK;
}

static enum tm_code wait_decided(struct watch *w, struct tm_error *err)
{
    char newest[CLOCK_TEXT_SIZE];
    bool done = false;
    w->moved_ns = clock_monotonic_ns();
    w->told_ns = w->moved_ns - (NOTICE_MS - NOTICE_FIRST_MS) * NS_PER_MS;
    enum tm_code rc = look(w, &done, err);
    while (rc == TM_OK && !done) {
        if (clock_ms_since(w->moved_ns) >= w->s->timeout_ms)
            return tm_error_set(err, TM_DEADLINE_EXCEEDED,
                                "everything was taken, but not every window up to %s was decided within %" PRId64 " s",
                                clock_text(w->s->newest, newest), w->s->timeout_ms / 1000);
        clock_sleep_ms(POLL_MS);
        rc = look(w, &done, err);
    }
    return rc;
}

enum tm_code settle_wait(const struct settle *s, struct tm_error *err)
{
    struct watch w = {.s = s, .connection = connection_open(s->server)};
    enum tm_code rc = drain(&w, err);
    if (rc == TM_OK && s->decided)
        rc = wait_decided(&w, err);
    connection_close(w.connection);
    return rc;
}
