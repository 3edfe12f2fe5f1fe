#include "base/queue.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"

struct entry {
    void *item;
    size_t weight;
};

/* Everything is guarded by `mutex`. Pushers that wait are served in the order they came: else a heavy item would be
 * passed over by light ones for ever. */
struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t filled;  /* an item came, or the queue was shut */
    pthread_cond_t drained; /* room came, the next pusher's turn came, or the queue was shut */
    size_t capacity, weight_max;
    size_t first, length, weight;        /* of the ring of entries */
    uint64_t ticket_next, ticket_served; /* pushers between the two are waiting */
    bool shut;
    struct entry ring[];
};

struct queue *queue_open(size_t capacity, size_t weight_max)
{
    CHECK(capacity > 0);
    struct queue *q = mem_new(1, sizeof *q + capacity * sizeof q->ring[0]);
    q->capacity = capacity;
    q->weight_max = weight_max;
    CHECK(pthread_mutex_init(&q->mutex, NULL) == 0);
    condition_open(&q->filled);
    condition_open(&q->drained);
    return q;
}

void queue_close(struct queue *q)
{
    if (!q)
        return;
    CHECK(q->length == 0);
    pthread_cond_destroy(&q->drained);
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->mutex);
    free(q);
}

static void lock(struct queue *q) { CHECK(pthread_mutex_lock(&q->mutex) == 0); }
static void unlock(struct queue *q) { CHECK(pthread_mutex_unlock(&q->mutex) == 0); }

static bool has_room(const struct queue *q, size_t weight)
{
    if (q->length == q->capacity)
        return false;
    return q->weight_max == 0 || q->length == 0 || (q->weight <= q->weight_max && weight <= q->weight_max - q->weight);
}

static void append(struct queue *q, void *item, size_t weight)
{
    q->ring[(q->first + q->length) % q->capacity] = (struct entry){item, weight};
    q->length++;
    q->weight += weight;
    pthread_cond_signal(&q->filled);
}

bool queue_push(struct queue *q, void *item, size_t weight)
{
    CHECK(item);
    lock(q);
    uint64_t ticket = q->ticket_next++;
    while (!q->shut && (ticket != q->ticket_served || !has_room(q, weight)))
        pthread_cond_wait(&q->drained, &q->mutex);
    bool pushed = !q->shut;
    if (pushed) {
        append(q, item, weight);
        if (++q->ticket_served != q->ticket_next)
            pthread_cond_broadcast(&q->drained); /* there may be room for the next one too */
    }
    unlock(q);
    return pushed;
}

bool queue_try_push(struct queue *q, void *item, size_t weight)
{
    CHECK(item);
    lock(q);
    bool pushed = !q->shut && q->ticket_served == q->ticket_next && has_room(q, weight);
    if (pushed)
        append(q, item, weight);
    unlock(q);
    return pushed;
}

static void *take_first(struct queue *q)
{
    if (q->length == 0)
        return NULL;
    struct entry e = q->ring[q->first];
    q->first = (q->first + 1) % q->capacity;
    q->length--;
    q->weight -= e.weight;
    if (q->ticket_served != q->ticket_next)
        pthread_cond_broadcast(&q->drained); /* only one of the waiting has its turn, and we cannot name it */
    return e.item;
}

void *queue_pop_until(struct queue *q, int64_t deadline_ns)
{
    bool in_time = true;
    lock(q);
    while (q->length == 0 && !q->shut && in_time)
        in_time = condition_wait(&q->filled, &q->mutex, deadline_ns);
    void *item = take_first(q);
    unlock(q);
    return item;
}

void *queue_pop(struct queue *q, int64_t timeout_ms) { return queue_pop_until(q, clock_deadline_ns(timeout_ms)); }

void *queue_try_pop(struct queue *q)
{
    lock(q);
    void *item = take_first(q);
    unlock(q);
    return item;
}

void queue_shut(struct queue *q)
{
    lock(q);
    q->shut = true;
    pthread_cond_broadcast(&q->filled);
    pthread_cond_broadcast(&q->drained);
    unlock(q);
}

bool queue_is_shut(struct queue *q)
{
    lock(q);
    bool shut = q->shut;
    unlock(q);
    return shut;
}

size_t queue_length(struct queue *q)
{
    lock(q);
    size_t length = q->length;
    unlock(q);
    return length;
}

size_t queue_weight(struct queue *q)
{
    lock(q);
    size_t weight = q->weight;
    unlock(q);
    return weight;
}
