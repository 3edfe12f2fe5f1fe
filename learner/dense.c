#include "learner/dense.h"

#include <string.h>

void dense_pack(const float *weights, const float *bias, uint32_t in, uint32_t out, float *packed)
{
    memset(packed, 0, dense_size(in, out) * sizeof *packed);
    for (uint32_t i = 0; i < out; i++) {
        float *panel = packed + (i / DENSE_PANEL) * dense_size(in, DENSE_PANEL) + i % DENSE_PANEL;
        panel[0] = bias[i];
        for (uint32_t k = 0; k < in; k++)
            panel[((size_t)k + 1) * DENSE_PANEL] = weights[(size_t)i * in + k];
    }
}

/* ---- any processor: a row and a panel at a time ---- */

enum { QUADS = DENSE_PANEL / 4 };

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

static void run_panel(const float *panel, uint32_t in, const float *from, float *to)
{
    const quad *weight = (const quad *)panel;
    quad sum[QUADS] = {weight[0], weight[1], weight[2], weight[3]};
    for (uint32_t k = 0; k < in; k++) {
        weight += QUADS;
#pragma GCC unroll 4
        for (int i = 0; i < QUADS; i++)
            sum[i] += from[k] * weight[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < QUADS; i++)
        ((quad *)to)[i] = sum[i];
}

void dense_run_plain(const float *packed, uint32_t in, uint32_t out, const float *from, size_t stride, size_t rows,
                     float *to)
{
    const uint32_t width = dense_padded(out);
    for (size_t r = 0; r < rows; r++)
        for (uint32_t at = 0; at < width; at += DENSE_PANEL)
            run_panel(packed + dense_size(in, at), in, from + r * stride, to + r * width + at);
}

/* ---- AVX2: blocks of rows and panels, whose sums fit into its registers ---- */

#if defined(__x86_64__)
enum { LANES = 8, PARTS = DENSE_PANEL / LANES, PANELS_MAX = 4 };

typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE const lanes *part_of(const float *packed, size_t panel, int part)
{
    return (const lanes *)(packed + (part / PARTS) * panel + (part % PARTS) * LANES);
}

/* rows <= DENSE_ROWS through panels <= PANELS_MAX. Both are constants where it is inlined: sums stay in registers. */
INLINE void run_block(const float *packed, uint32_t in, const float *from, size_t stride, float *to, size_t width,
                      int rows, int panels)
{
    const size_t panel = dense_size(in, DENSE_PANEL);
    lanes sum[DENSE_ROWS][PANELS_MAX * PARTS], weight[PANELS_MAX * PARTS];
#pragma GCC unroll 8
    for (int p = 0; p < panels * PARTS; p++) {
        sum[0][p] = *part_of(packed, panel, p);
#pragma GCC unroll 8
        for (int r = 1; r < rows; r++)
            sum[r][p] = sum[0][p];
    }
    for (uint32_t k = 0; k < in; k++) {
        packed += DENSE_PANEL;
#pragma GCC unroll 8
        for (int p = 0; p < panels * PARTS; p++)
            weight[p] = *part_of(packed, panel, p);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int p = 0; p < panels * PARTS; p++)
                sum[r][p] += from[r * stride + k] * weight[p];
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int p = 0; p < panels * PARTS; p++)
            *(lanes *)(to + r * width + p * LANES) = sum[r][p];
}

/* Some rows through all panels. */
INLINE void run_rows(const float *packed, uint32_t in, uint32_t width, const float *from, size_t stride, float *to,
                     int rows, int panels)
{
    uint32_t done = 0;
    for (; done + panels * DENSE_PANEL <= width; done += panels * DENSE_PANEL)
        run_block(packed + dense_size(in, done), in, from, stride, to + done, width, rows, panels);
    for (; done < width; done += DENSE_PANEL)
        run_block(packed + dense_size(in, done), in, from, stride, to + done, width, rows, 1);
}

/* The fewer rows, the more panels at once: additions wait for each other, and these do not. */
__attribute__((target("avx2"))) static void run_wide(const float *packed, uint32_t in, uint32_t out, const float *from,
                                                     size_t stride, size_t rows, float *to)
{
    const uint32_t width = dense_padded(out);
    for (; rows >= DENSE_ROWS; rows -= DENSE_ROWS, from += DENSE_ROWS * stride, to += DENSE_ROWS * width)
        run_rows(packed, in, width, from, stride, to, DENSE_ROWS, 1);
    for (; rows >= 4; rows -= 4, from += 4 * stride, to += 4 * width)
        run_rows(packed, in, width, from, stride, to, 4, 1);
    for (; rows >= 2; rows -= 2, from += 2 * stride, to += 2 * width)
        run_rows(packed, in, width, from, stride, to, 2, 2);
    if (rows)
        run_rows(packed, in, width, from, stride, to, 1, PANELS_MAX);
}
#endif

void dense_run(const float *packed, uint32_t in, uint32_t out, const float *from, size_t stride, size_t rows, float *to)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        run_wide(packed, in, out, from, stride, rows, to);
        return;
    }
#endif
    dense_run_plain(packed, in, out, from, stride, rows, to);
}
