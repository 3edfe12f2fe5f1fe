/* ps/engine/logged_requests.h - the samples of one log by request, with the features that another version would score
 * them by: as many whole requests as there is room for.
 *
 * Chosen   by the request's hash, so that a request is there whole or not at all, wherever its samples lie. When the
 *          room is full, half of the hashes go: what stays is a uniform sample of the requests, a share of 2^-halvings.
 * Bounds   LOGGED_REQUESTS_BYTES of samples, numbers and ids.
 * Memory   owned. Threads: one owner; pure. */
#ifndef TIDEMILL_PS_ENGINE_LOGGED_REQUESTS_H
#define TIDEMILL_PS_ENGINE_LOGGED_REQUESTS_H

#include "base/bytes.h"
#include "base/hash.h"

enum { LOGGED_REQUESTS_BYTES = 64 << 20 };

struct logged_sample {
    uint64_t request;  /* draw_key() of its id: the seed of its draws, too */
    int32_t position;  /* as in struct policy_decision */
    uint32_t row;      /* which numbers are its */
    double propensity; /* 0: not told */
    double reward;     /* NaN: it has none; it was a candidate, and no decision */
    double times;
    struct hash128 doc;
    size_t text; /* of its document, in the log's */
    uint32_t text_size;
};

struct logged_requests {
    uint32_t width; /* numbers of a sample */
    struct logged_sample *sample;
    float *x; /* `width` of each row */
    struct buffer text;
    size_t samples, capacity, bytes_max;
    uint64_t seen; /* samples offered */
    uint32_t halvings;
};

void logged_requests_open(struct logged_requests *l, uint32_t width, size_t bytes_max);
void logged_requests_close(struct logged_requests *l); /* {0} is fine */

/* row, doc's hash and text are filled in here; x: `width` numbers. */
void logged_requests_add(struct logged_requests *l, const struct logged_sample *s, struct bytes doc, const float *x);

/* In the order of requests, positions and documents; nothing can be added behind it. */
void logged_requests_sort(struct logged_requests *l);
size_t logged_requests_end(const struct logged_requests *l, size_t first); /* of the request that begins there */

static inline const float *logged_x(const struct logged_requests *l, const struct logged_sample *s)
{
    return l->x ? l->x + (size_t)s->row * l->width : NULL;
}
static inline struct bytes logged_doc(const struct logged_requests *l, const struct logged_sample *s)
{
    return bytes_of(l->text.data + s->text, s->text_size);
}

#endif
