#include "joiner/counts.h"

/* The structs are nothing but u64 counters: the whole, its fates, reasons of one of the fates, then notes. */
static int64_t imbalance(uint64_t whole, const uint64_t *parts, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += parts[i];
    return (int64_t)(whole - sum);
}

static void add(uint64_t *sum, const uint64_t *counters, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += counters[i];
}

static void decode(struct reader *r, uint64_t *counters, size_t n)
{
    for (size_t i = 0; i < n; i++)
        counters[i] = reader_u64(r);
}

#define ONE(name, help) +1
enum {
    STREAM_N = sizeof(struct stream_counts) / 8,
    SAMPLE_N = sizeof(struct sample_counts) / 8,
    STREAM_FATES_N = 0 STREAM_FATES(ONE),
    FATES_N = 0 SAMPLE_FATES(ONE),
    REASONS_N = 0 SKIP_REASONS(ONE),
};
#undef ONE

int64_t stream_counts_imbalance(const struct stream_counts *c)
{
    return imbalance(c->consumed, &c->consumed + 1, STREAM_FATES_N);
}
int64_t sample_counts_imbalance(const struct sample_counts *c)
{
    int64_t vanished = imbalance(c->samples, &c->samples + 1, FATES_N);
    return vanished ? vanished : imbalance(c->skipped, &c->samples + 1 + FATES_N, REASONS_N);
}
void stream_counts_add(struct stream_counts *sum, const struct stream_counts *c)
{
    add(&sum->consumed, &c->consumed, STREAM_N);
}
void sample_counts_add(struct sample_counts *sum, const struct sample_counts *c)
{
    add(&sum->samples, &c->samples, SAMPLE_N);
}
void stream_counts_encode(const struct stream_counts *c, struct buffer *out) { buffer_put(out, c, sizeof *c); }
void sample_counts_encode(const struct sample_counts *c, struct buffer *out) { buffer_put(out, c, sizeof *c); }
void stream_counts_decode(struct reader *r, struct stream_counts *out) { decode(r, &out->consumed, STREAM_N); }
void sample_counts_decode(struct reader *r, struct sample_counts *out) { decode(r, &out->samples, SAMPLE_N); }
