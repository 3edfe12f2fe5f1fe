#include "base/histogram.h"

#include "base/check.h"

static const struct {
    int64_t ns;
    const char *seconds;
} bounds[HISTOGRAM_BOUNDS] = {
    {10000, "1e-05"},    {20000, "2e-05"},      {50000, "5e-05"},   {100000, "0.0001"},  {200000, "0.0002"},
    {500000, "0.0005"},  {1000000, "0.001"},    {2000000, "0.002"}, {5000000, "0.005"},  {10000000, "0.01"},
    {20000000, "0.02"},  {50000000, "0.05"},    {100000000, "0.1"}, {200000000, "0.2"},  {500000000, "0.5"},
    {1000000000, "1"},   {2000000000, "2"},     {5000000000, "5"},  {10000000000, "10"}, {20000000000, "20"},
    {50000000000, "50"}, {100000000000, "100"},
};

/* The first bucket whose bound is not below ns. */
static unsigned bucket_of(int64_t ns)
{
    unsigned low = 0, high = HISTOGRAM_BOUNDS;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (bounds[middle].ns < ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void histogram_observe(struct histogram *h, int64_t ns)
{
    if (ns < 0)
        ns = 0;
    atomic_fetch_add_explicit(&h->bucket[bucket_of(ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_ns, (uint64_t)ns, memory_order_relaxed);
}

void histogram_copy(const struct histogram *h, struct histogram_copy *out)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        out->cumulative[i] = count += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
    out->sum_seconds = (double)atomic_load_explicit(&h->sum_ns, memory_order_relaxed) / 1e9;
}

const char *histogram_bound(unsigned bucket)
{
    CHECK(bucket < HISTOGRAM_BUCKETS);
    return bucket < HISTOGRAM_BOUNDS ? bounds[bucket].seconds : "+Inf";
}
