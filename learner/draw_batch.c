/* Draws of many streams: blocks in which every step is a loop over all, without branches, and then the exceptions. */
#include "learner/draw_parts.h"

enum { BLOCK = 64 };

static uint32_t block_of(uint32_t left) { return left < BLOCK ? left : BLOCK; }

/* A candidate of Leva's for each of the streams. */
struct candidates {
    uint64_t bits[BLOCK];
    double u[BLOCK], v[BLOCK], q[BLOCK];
};

static void look(struct candidates *c, uint32_t n, double *restrict ratio)
{
    for (uint32_t i = 0; i < n; i++) {
        struct draw_leva x = draw_leva_of(c->bits[i]);
        c->u[i] = x.u;
        c->v[i] = x.v;
        c->q[i] = x.q;
        ratio[i] = x.v / x.u;
    }
}

static bool accepts(const struct candidates *c, uint32_t k)
{
    return draw_leva_accepts(&(struct draw_leva){c->u[k], c->v[k], c->q[k]});
}

/* Those that were rejected try again, round by round. waits: which of the streams, n of them. */
static void try_again(struct draw *d, struct candidates *c, uint8_t *waits, uint32_t n, double *out)
{
    double ratio[BLOCK];
    while (n > 0) {
        uint32_t left = 0;
        for (uint32_t k = 0; k < n; k++)
            c->bits[k] = draw_next(&d[waits[k]]);
        look(c, n, ratio);
        for (uint32_t k = 0; k < n; k++) {
            uint8_t i = waits[k];
            out[i] = ratio[k];
            waits[left] = i;
            left += !accepts(c, k);
        }
        n = left;
    }
}

/* n <= BLOCK */
static void normals(struct draw *d, uint32_t n, double *out)
{
    struct candidates c;
    uint8_t waits[BLOCK];
    uint32_t odd = 0, left = 0;
    for (uint32_t i = 0; i < n; i++)
        c.bits[i] = draw_next(&d[i]);
    look(&c, n, out);
    for (uint32_t i = 0; i < n; i++) {
        waits[odd] = (uint8_t)i;
        odd += !draw_leva_clear(c.q[i]);
    }
    for (uint32_t k = 0; k < odd; k++) {
        uint8_t i = waits[k];
        waits[left] = i;
        left += c.q[i] > DRAW_LEVA_OPEN || !accepts(&c, i);
    }
    try_again(d, &c, waits, left, out);
}

/* Gamma(shape, 1): a factor, and the logarithm of another. */
struct gammas {
    double factor[BLOCK], log_factor[BLOCK];
};

/* Marsaglia and Tsang's constants, and a candidate: the normal z, the uniform u, and t, which must be positive. */
struct trial {
    double third[BLOCK], c[BLOCK], z[BLOCK], u[BLOCK], t[BLOCK];
};

static void prepare(struct trial *x, const double *restrict shape, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        x->third[i] = draw_gamma_third(shape[i] + (shape[i] < 1 ? 1.0 : 0.0));
        x->c[i] = draw_gamma_scale(x->third[i]);
    }
}

static void candidates_of(struct trial *x, uint32_t n, double *restrict factor)
{
    for (uint32_t i = 0; i < n; i++) {
        double t = x->t[i] = 1 + x->c[i] * x->z[i];
        factor[i] = x->third[i] * (t * t * t);
    }
}

static void gammas(struct draw *d, const double *shape, uint32_t n, struct gammas *out)
{
    struct trial x;
    uint8_t odd[BLOCK];
    uint32_t count = 0;
    prepare(&x, shape, n);
    normals(d, n, x.z);
    for (uint32_t i = 0; i < n; i++) {
        x.u[i] = draw_unit(draw_next(&d[i]));
        out->log_factor[i] = 0;
    }
    candidates_of(&x, n, out->factor);
    for (uint32_t i = 0; i < n; i++) {
        odd[count] = (uint8_t)i;
        count += !((x.t[i] > 0) & draw_gamma_clear(x.u[i], x.z[i] * x.z[i]) & (shape[i] >= 1));
    }
    for (uint32_t k = 0; k < count; k++) {
        uint32_t i = odd[k];
        d[i].state -= DRAW_STEP; /* the uniform is taken again, or not at all */
        out->factor[i] = draw_gamma_from(&d[i], x.third[i], x.c[i], x.z[i]);
        if (shape[i] < 1)
            out->log_factor[i] = draw_gamma_small(&d[i], shape[i]);
    }
}

static void scores(const struct gammas *x, const struct gammas *y, uint32_t n, double *restrict out)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = (draw_log_of(x->factor[i] / y->factor[i]) + x->log_factor[i]) - y->log_factor[i];
}

void draw_normals_plain(struct draw *d, uint32_t n, double *out)
{
    for (uint32_t i = 0; i < n; i += BLOCK)
        normals(d + i, block_of(n - i), out + i);
}

void draw_betas_plain(struct draw *d, const double *a, const double *b, uint32_t n, double *out)
{
    struct gammas x, y;
    for (uint32_t from = 0; from < n; from += BLOCK) {
        uint32_t size = block_of(n - from);
        gammas(d + from, a + from, size, &x);
        gammas(d + from, b + from, size, &y);
        scores(&x, &y, size, out + from);
    }
}

/* The same once more for processors that take more numbers at once: every operation rounds alike, and none is fused, so
 * the bits are the same. */
#if defined(__x86_64__)
#define WIDE __attribute__((target("avx512f,avx512dq,avx512vl,prefer-vector-width=512"), flatten))
WIDE static void wide_normals(struct draw *d, uint32_t n, double *out) { draw_normals_plain(d, n, out); }
WIDE static void wide_betas(struct draw *d, const double *a, const double *b, uint32_t n, double *out)
{
    draw_betas_plain(d, a, b, n, out);
}
static bool is_wide(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#else
static void wide_normals(struct draw *d, uint32_t n, double *out) { draw_normals_plain(d, n, out); }
static void wide_betas(struct draw *d, const double *a, const double *b, uint32_t n, double *out)
{
    draw_betas_plain(d, a, b, n, out);
}
static bool is_wide(void) { return false; }
#endif

void draw_normals(struct draw *d, uint32_t n, double *out)
{
    (is_wide() ? wide_normals : draw_normals_plain)(d, n, out);
}

void draw_betas(struct draw *d, const double *a, const double *b, uint32_t n, double *out)
{
    (is_wide() ? wide_betas : draw_betas_plain)(d, a, b, n, out);
}
