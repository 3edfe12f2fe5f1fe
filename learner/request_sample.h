/* learner/request_sample.h - whole requests, chosen by their hash: what ranking quality within requests is measured on.
 *
 * The samples of a request lie on the shards of their documents, so no shard can rank them alone, and keeping all of
 * them takes memory without bound. But every shard can choose the same requests: at level L those whose mixed hash
 * begins with L zero bits, one in 2^L. When a shard's sample is full its level goes up, and what the new level does not
 * choose goes. Put together at the highest level of all shards, the chosen requests are complete, and a uniform sample
 * of all requests; at level 0 they are all of them.
 *
 * Order    what is chosen is a function of what was added, not of its order.
 * Bound    REQUEST_SAMPLE_MAX entries. A request of more samples than that on one shard raises the level until it is
 *          not chosen, whatever else goes with it.
 * Memory   a flat value without pointers, {0} when empty.
 * Threads  the owner's.
 * Source   coordinated ("bottom-k") sampling: Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC
 *          2007. */
#ifndef TIDEMILL_LEARNER_REQUEST_SAMPLE_H
#define TIDEMILL_LEARNER_REQUEST_SAMPLE_H

#include "base/bytes.h"
#include "base/error.h"

enum { REQUEST_SAMPLE_MAX = 64, REQUEST_SAMPLE_LEVEL_MAX = 64 };

struct request_entry {
    uint64_t request; /* hash of its id */
    float score;      /* what candidates were ranked by, on any increasing scale */
    uint32_t positive;
};

struct request_sample {
    uint32_t level, count;
    struct request_entry entry[REQUEST_SAMPLE_MAX];
};

bool request_chosen(uint64_t request, uint32_t level);

void request_sample_add(struct request_sample *s, struct request_entry e);
/* The label of an entry like e changed to the other one. */
void request_sample_flip(struct request_sample *s, struct request_entry e);

/* u32 level, u32 count, then u64 request, f32 score, u8 positive of each. Decoding refuses (TM_DATA_LOSS) what encoding
 * never writes. */
void request_sample_encode(const struct request_sample *s, struct buffer *out);
enum tm_code request_sample_decode(struct request_sample *s, struct reader *in, struct tm_error *err);

/* How well the samples of requests are ranked: mean over the requests with both labels of the probability that a
 * positive one scores above a negative one, ties counting half. */
struct request_ranking {
    uint64_t requests, samples;     /* with both labels; their samples */
    double by_samples, by_requests; /* each request counting as its samples, or once; NaN without a request */
};

/* Sorts the entries. */
struct request_ranking request_ranking(struct request_entry *entry, size_t count);

#endif
