#include "ps/server/stamper.h"

#include <pthread.h>
#include <stdlib.h>

#include "proto/wire.h"
#include "ps/server/door.h"

struct stamper {
    struct engine *engine;
    struct ingest_counts *counts;
    pthread_mutex_t mutex;
    pthread_cond_t landed; /* on_the_way became 0 */
    uint32_t on_the_way;
};

struct stamped {
    struct submission submission;
    struct stamper *stamper;
    struct buffer wires;
    uint32_t capacity;
    struct caller caller; /* of a durable one */
    struct buffer body;
    bool durable, one_record;
    uint32_t position_field;
    struct submission_event events[]; /* wire.data: from when it is sent */
};

static void lock(struct stamper *s) { CHECK(pthread_mutex_lock(&s->mutex) == 0); }
static void unlock(struct stamper *s) { CHECK(pthread_mutex_unlock(&s->mutex) == 0); }

struct stamper *stamper_open(struct engine *engine, struct ingest_counts *counts)
{
    struct stamper *s = mem_new(1, sizeof *s);
    s->engine = engine;
    s->counts = counts;
    CHECK(pthread_mutex_init(&s->mutex, NULL) == 0 && pthread_cond_init(&s->landed, NULL) == 0);
    return s;
}

void stamper_close(struct stamper *s)
{
    lock(s);
    while (s->on_the_way > 0)
        pthread_cond_wait(&s->landed, &s->mutex);
    unlock(s);
    pthread_cond_destroy(&s->landed);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

struct stamped *stamped_new(struct stamper *s, uint32_t events_max, bool one_record)
{
    struct stamped *b = mem_new(1, sizeof *b + events_max * sizeof b->events[0]);
    b->stamper = s;
    b->capacity = events_max;
    b->one_record = one_record;
    return b;
}

void stamped_add(struct stamped *b, const struct event *e, uint8_t stream, uint32_t version)
{
    size_t before = b->wires.size;
    uint32_t number = b->submission.event_count++;
    uint64_t user;
    CHECK(number < b->capacity && !(e->has & EVENT_HAS_TIME));
    door_user(b->stamper->engine, stream, e->user, &user);
    event_encode(e, &b->wires);
    b->events[number] = (struct submission_event){
        .wire.size = b->wires.size - before,
        .shard = engine_shard(b->stamper->engine, e->doc),
        .version = version,
        .user = user,
        .stream = stream,
        .same_record = b->one_record && number > 0,
    };
}

void stamped_drop(struct stamped *b)
{
    if (!b)
        return;
    buffer_close(&b->wires);
    buffer_close(&b->body);
    free(b);
}

static void answer(struct stamped *b)
{
    struct submission *s = &b->submission;
    if (s->code != TM_OK) {
        s->error.code = s->code;
        b->caller.fail(b->caller.call, &s->error);
        return;
    }
    wire_put_integer(&b->body, b->position_field, s->position);
    wire_put_integer(&b->body, b->position_field + 1, true);
    b->caller.reply(b->caller.call, &b->body);
}

static void land(struct stamper *s)
{
    lock(s);
    if (--s->on_the_way == 0)
        pthread_cond_signal(&s->landed);
    unlock(s);
}

/* On the log writer's thread. */
static void done(struct submission *submission)
{
    struct stamped *b = submission->context;
    struct stamper *s = b->stamper;
    engine_release_batch(s->engine, submission);
    ingest_count(s->counts, INGEST_RANKING, submission, NULL);
    if (b->durable)
        answer(b);
    stamped_drop(b);
    land(s);
}

static void prepare(struct stamped *b)
{
    const uint8_t *at = b->wires.data;
    for (uint32_t i = 0; i < b->submission.event_count; at += b->events[i++].wire.size)
        b->events[i].wire.data = at;
    b->submission.kind = SUBMIT_STAMPED;
    b->submission.events = b->events;
    b->submission.context = b;
    b->submission.done = done;
}

static enum tm_code admit(struct stamped *b, struct tm_error *err)
{
    enum tm_code rc = engine_admit(b->stamper->engine, true, err);
    return rc == TM_OK ? engine_admit_batch(b->stamper->engine, &b->submission, err) : rc;
}

static enum tm_code hand_in(struct stamped *b, struct tm_error *err)
{
    struct stamper *s = b->stamper;
    enum tm_code rc = admit(b, err);
    if (rc != TM_OK)
        return rc;
    lock(s);
    s->on_the_way++;
    unlock(s);
    if (engine_try_submit(s->engine, &b->submission))
        return TM_OK;
    engine_release_batch(s->engine, &b->submission);
    land(s);
    return tm_error_set(err, TM_RESOURCE_EXHAUSTED,
                        "as many events wait for the log as memory.inbox allows; try again in a second");
}

void stamped_send(struct stamped *b, const struct caller *caller, struct buffer *body, bool durable,
                  uint32_t position_field)
{
    struct tm_error err;
    struct stamper *s = b->stamper;
    prepare(b);
    b->durable = durable;
    b->position_field = position_field;
    if (durable) {
        b->caller = *caller;
        b->body = *body;
        *body = (struct buffer){0};
    }
    if (hand_in(b, &err) != TM_OK) {
        ingest_count_refused(s->counts, err.code);
        stamped_drop(b);
        buffer_close(body);
        caller->fail(caller->call, &err);
    } else if (!durable) {
        caller->reply(caller->call, body);
    }
}
