#include "joiner/delays.h"

#define S *1000
#define M *60000
#define H *3600000
#define D *INT64_C(86400000)

/* clang-format off */
const int64_t delay_bounds[DELAY_BOUNDS + DELAY_OCTAVE_MAX] = {
    1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80,
    100, 120, 150, 200, 250, 300, 400, 500, 600, 800,
    1 S, 1200, 1500, 2 S, 2500, 3 S, 4 S, 5 S, 6 S, 8 S, 10 S, 12 S, 15 S, 20 S, 25 S, 30 S, 40 S, 50 S,
    1 M, 72 S, 90 S, 2 M, 150 S, 3 M, 4 M, 5 M, 6 M, 8 M, 10 M, 12 M, 15 M, 20 M, 25 M, 30 M, 40 M, 50 M,
    1 H, 72 M, 90 M, 2 H, 150 M, 3 H, 4 H, 5 H, 6 H, 8 H, 10 H, 12 H, 15 H, 20 H,
    1 D, 28 H, 36 H, 2 D, 60 H, 3 D, 4 D, 5 D, 6 D, 7 D, 8 D, 10 D, 12 D, 14 D, 17 D, 21 D, 25 D, 30 D,
    INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
};
/* clang-format on */

#undef S
#undef M
#undef H
#undef D

/* The number of bounds below 2^k: where the search for a delay of k + 1 bits begins. */
static const uint8_t octave[32] = {0,  1,  3,  6,  10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40, 43,
                                   46, 49, 52, 55, 58, 61, 64, 67, 70, 73, 76, 80, 83, 86, 90, 93};

/* The number of bounds below `ms`, 0 or more. No branch depends on it: delays cannot be predicted. */
static unsigned bounds_below(int64_t ms)
{
    unsigned k = 63 - (unsigned)__builtin_clzll((uint64_t)ms | 1);
    const int64_t *b = delay_bounds + octave[k < 31 ? k : 31];
    unsigned below = 0;
    for (unsigned i = 0; i < DELAY_OCTAVE_MAX; i++)
        below += b[i] < ms;
    return (unsigned)(b - delay_bounds) + below;
}

static unsigned bucket_of(int64_t ms) { return ms < 0 ? DELAY_BEFORE : 1 + bounds_below(ms); }

void delays_add(struct delays *d, int64_t delay_ms)
{
    d->bucket[bucket_of(delay_ms)]++;
    d->sum_ms += delay_ms < 0 ? 0 : (uint64_t)delay_ms;
}

void delays_merge(struct delays *sum, const struct delays *d)
{
    for (unsigned i = 0; i < DELAY_BUCKETS; i++)
        sum->bucket[i] += d->bucket[i];
    sum->sum_ms += d->sum_ms;
}

uint64_t delays_count(const struct delays *d)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < DELAY_BUCKETS; i++)
        n += d->bucket[i];
    return n;
}

double delays_within(const struct delays *d, int64_t ms)
{
    unsigned last = bucket_of(ms);
    uint64_t n = 0;
    for (unsigned i = 0; i < last; i++)
        n += d->bucket[i];
    if (last == DELAY_BEFORE || last == DELAY_LONGER) /* no place inside of either is known */
        return (double)n;
    int64_t from = last > 1 ? delay_bounds[last - 2] : -1, to = delay_bounds[last - 1];
    return (double)n + (double)d->bucket[last] * (double)(ms - from) / (double)(to - from);
}

int64_t delays_quantile(const struct delays *d, uint64_t unseen, double share)
{
    double all = (double)delays_count(d) + (double)unseen;
    uint64_t n = d->bucket[DELAY_BEFORE];
    if (all == 0)
        return DELAY_UNKNOWN;
    if (n > 0 && (double)n >= share * all)
        return 0;
    for (unsigned i = 1; i < DELAY_LONGER; i++) {
        n += d->bucket[i];
        if (n > 0 && (double)n >= share * all)
            return delay_bounds[i - 1];
    }
    return DELAY_UNKNOWN;
}

void delays_encode(const struct delays *d, struct buffer *out)
{
    static_assert(DELAY_BUCKETS <= UINT8_MAX, "a bucket's number is one byte");
    uint8_t used = 0;
    for (unsigned i = 0; i < DELAY_BUCKETS; i++)
        used += d->bucket[i] != 0;
    buffer_put_u8(out, used);
    for (unsigned i = 0; i < DELAY_BUCKETS; i++)
        if (d->bucket[i]) {
            buffer_put_u8(out, (uint8_t)i);
            buffer_put_u64(out, d->bucket[i]);
        }
    buffer_put_u64(out, d->sum_ms);
}

void delays_decode(struct reader *r, struct delays *out)
{
    unsigned used = reader_u8(r), next = 0;
    *out = (struct delays){0};
    for (unsigned i = 0; i < used && !r->bad; i++) {
        unsigned number = reader_u8(r);
        uint64_t count = reader_u64(r);
        if (number < next || number >= DELAY_BUCKETS || count == 0) {
            r->bad = true;
            return;
        }
        out->bucket[number] = count;
        next = number + 1;
    }
    out->sum_ms = reader_u64(r);
}
