/* learner/dense.h - a dense layer over some rows: out := W in + b, the one product of an encoder.
 *
 * Own loops, because a library's product of few rows mostly moves them about. ns a row of a network of 64-64-32 numbers
 * (of 128-256-128-64), one core, against tiles of 8 rows by OpenBLAS 0.3.21: alone 235 : 1,600 (2,800 : 19,000), in
 * batches 155 : 232 (1,450 : 2,400). Processors without AVX2: 400 (4,300), alone and in batches.
 * Bits     every sum begins with the bias and adds the products in the order of `in`, each rounded, none fused. So
 *          equal rows have equal bits, however many go at once and whatever the processor.
 * Packed   panels of DENSE_PANEL outputs, filled up with zeros: the panel's biases, then its weights, input by input.
 * Shapes   weights: out x in by rows. A row that comes out is dense_padded(out) wide, with zeros at its end.
 * Memory   the caller's; nothing overlaps. Faster where `packed` begins at a multiple of DENSE_ALIGNMENT bytes.
 * Threads  pure functions. */
#ifndef TIDEMILL_LEARNER_DENSE_H
#define TIDEMILL_LEARNER_DENSE_H

#include <stddef.h>
#include <stdint.h>

enum {
    DENSE_PANEL = 16,
    DENSE_ROWS = 6, /* as many at once cost the least */
    DENSE_ALIGNMENT = 64,
};

static inline uint32_t dense_padded(uint32_t out) { return (out + DENSE_PANEL - 1) / DENSE_PANEL * DENSE_PANEL; }

/* Floats of a packed layer. */
static inline size_t dense_size(uint32_t in, uint32_t out) { return ((size_t)in + 1) * dense_padded(out); }

void dense_pack(const float *weights, const float *bias, uint32_t in, uint32_t out, float *packed);

/* stride: from one row of `from` to the next. */
void dense_run(const float *packed, uint32_t in, uint32_t out, const float *from, size_t stride, size_t rows,
               float *to);

/* The same on any processor: what others are compared with. */
void dense_run_plain(const float *packed, uint32_t in, uint32_t out, const float *from, size_t stride, size_t rows,
                     float *to);

#endif
