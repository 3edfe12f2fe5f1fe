/* What a draw for Thompson sampling costs: CPU per candidate, as Rank would pay it, each candidate with its own stream.
 *
 * Floor    the random bits alone: the uniforms that these draws took from their streams, made one after the other.
 * Rounds   ROUNDS of DRAWS each; the fastest counts, for draws and floor alike. */
#include "base/clock.h"
#include "bench/bench.h"
#include "learner/draw.h"

enum { DRAWS = 1000000, BATCH = 100, ROUNDS = 5 };

static double sink; /* keeps what is measured */

static double ns_per_draw(int64_t began) { return (double)(clock_thread_cpu_ns() - began) / DRAWS; }

/* A stream's state counts in steps: times this it counts in ones. */
#define STEP_INVERSE UINT64_C(0xf1de83e19937733d)

/* Nanoseconds per draw, and how many numbers the draws of a round took from their streams. */
static double measure(double a, double b, uint64_t *numbers)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began = clock_thread_cpu_ns();
        *numbers = 0;
        for (int i = 0; i < DRAWS; i++) {
            struct draw d = draw_begin(1, 2, (uint64_t)i);
            uint64_t before = d.state;
            sink += b > 0 ? draw_beta(&d, a, b) : draw_normal(&d);
            *numbers += (d.state - before) * STEP_INVERSE;
        }
        best = fmin(best, ns_per_draw(began));
    }
    return best;
}

/* The same draws, as a request makes them: for many candidates at once. */
static double measure_batch(double a, double b)
{
    static struct draw d[BATCH];
    static double shape[2][BATCH], out[BATCH];
    double best = INFINITY;
    for (int i = 0; i < BATCH; i++) {
        shape[0][i] = a;
        shape[1][i] = b;
    }
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began = clock_thread_cpu_ns();
        uint64_t family = draw_family(1, 2);
        for (int from = 0; from < DRAWS; from += BATCH) {
            for (int i = 0; i < BATCH; i++)
                d[i] = draw_of_family(family, (uint64_t)(from + i));
            if (b > 0)
                draw_betas(d, shape[0], shape[1], BATCH, out);
            else
                draw_normals(d, BATCH, out);
            sink += out[0];
        }
        best = fmin(best, ns_per_draw(began));
    }
    return best;
}

/* As many numbers, of one stream. */
static double measure_bits(uint64_t numbers)
{
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t began = clock_thread_cpu_ns();
        struct draw d = draw_begin(1, 2, 3);
        for (uint64_t i = 0; i < numbers; i++)
            sink += draw_uniform(&d);
        best = fmin(best, ns_per_draw(began));
    }
    return best;
}

int main(int argc, char **argv)
{
    /* Shapes: a fresh document, tiny ones, a much seen one; aim: the table of bench/README.md. */
    static const struct {
        const char *name;
        double a, b, aim;
    } cases[] = {
        {"normal", 0, 0, 0},
        {"Beta(1.5, 40)", 1.5, 40, 60},
        {"Beta(0.5, 0.7)", 0.5, 0.7, 60},
        {"Beta(857, 12000)", 857, 12000, 60},
    };
    struct bench b;
    bench_open(&b, argc, argv);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t numbers;
        double ns = measure(cases[i].a, cases[i].b, &numbers), floor = measure_bits(numbers);
        bench_add(&b,
                  (struct bench_row){.value = ns,
                                     .unit = "ns CPU/draw",
                                     .reference = "its random bits",
                                     .reference_value = floor,
                                     .aim = cases[i].aim},
                  "draw: %s, %.2f numbers", cases[i].name, (double)numbers / DRAWS);
        bench_add(&b,
                  (struct bench_row){.value = measure_batch(cases[i].a, cases[i].b),
                                     .unit = "ns CPU/draw",
                                     .reference = "its random bits",
                                     .reference_value = floor},
                  "draw: %s, 100 at once", cases[i].name);
    }
    CHECK(isfinite(sink));
    return bench_finish(&b);
}
