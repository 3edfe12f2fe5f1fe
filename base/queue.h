/* base/queue.h - a bounded queue of pointers between threads; full and empty are waited for.
 *
 * Bound    `capacity` items, and `weight_max` units of weight (bytes, say) unless it is 0. An item heavier than
 *          weight_max passes when the queue is empty.
 * Threads  any number push and pop. A mutex and two conditions: items are batches and blocks, never single events. */
#ifndef TIDEMILL_BASE_QUEUE_H
#define TIDEMILL_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_open(size_t capacity, size_t weight_max);
void queue_close(struct queue *q); /* the caller has emptied it; NULL is fine */

/* Waits while full. False: the queue was shut, the item is still the caller's. */
bool queue_push(struct queue *q, void *item, size_t weight);
/* False at once when full or shut. */
bool queue_try_push(struct queue *q, void *item, size_t weight);

/* Waits up to timeout_ms (negative: for ever) for an item. NULL: none came, or the queue is shut and empty. */
void *queue_pop(struct queue *q, int64_t timeout_ms);
/* Likewise up to a moment of clock_monotonic_ns() (INT64_MAX: for ever). */
void *queue_pop_until(struct queue *q, int64_t deadline_ns);
void *queue_try_pop(struct queue *q);

/* No more pushes; poppers get what is left, then NULL. */
void queue_shut(struct queue *q);
bool queue_is_shut(struct queue *q);
size_t queue_length(struct queue *q);
size_t queue_weight(struct queue *q);

#endif
