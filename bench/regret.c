/* What waiting for labels costs, in clicks: regret of Thompson sampling on model_beta in two simulated worlds, with the
 * same rows whatever the machine. Values are means over seeds; the reference is an independent simulation of the same
 * worlds.
 *
 * Sizes     by default a tenth of the rounds (and of the reference, for batches); --full: all of them, some minutes.
 * --curves FILE   also writes regret and calibration over time as a table for pictures.gp; then --full is meant. */
#include <stdio.h>

#include "bench/bandit.h"
#include "bench/bench.h"

enum { BATCH_SEEDS = 20, LATE_SEEDS = 8, LATE_WINDOWS = 3 };

static const char *const rule_names[LATE_RULES] = {"retract", "add", "drop"};
static const uint32_t windows[LATE_WINDOWS] = {0, 300, 1000};

static void batch_rows(struct bench *b)
{
    static const struct {
        uint32_t batch;
        double reference; /* regret of a million rounds */
    } cases[] = {{1, 9626}, {10, 9528}, {100, 11132}, {1000, 34411}};
    double scale = b->full ? 1 : 0.1;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double sum = 0;
        bench_say("regret: batches of %u", cases[i].batch);
        for (uint64_t seed = 1; seed <= BATCH_SEEDS; seed++)
            sum += batch_world_regret(&(struct batch_world){.policy = {.kind = POLICY_THOMPSON},
                                                            .documents = 10,
                                                            .batch = cases[i].batch,
                                                            .rounds = (uint64_t)(1e6 * scale),
                                                            .seed = seed,
                                                            .rate_shape = {4, 4},
                                                            .replaced = 1e-3});
        bench_add(b,
                  (struct bench_row){.value = sum / BATCH_SEEDS,
                                     .unit = "clicks",
                                     .reference = "reference run",
                                     .reference_value = cases[i].reference * scale},
                  "regret/batches of %u", cases[i].batch);
    }
}

/* Means over seeds. */
static struct late_result late_mean(enum late_rule rule, uint32_t window, uint64_t rounds)
{
    struct late_result mean = {0}, one;
    for (uint64_t seed = 1; seed <= LATE_SEEDS; seed++) {
        late_world_run(&(struct late_world){.rule = rule,
                                            .documents = 50,
                                            .window = window,
                                            .mean_delay = 1000,
                                            .rounds = rounds,
                                            .seed = seed,
                                            .rate_shape = {2, 38}},
                       &one);
        mean.regret += one.regret / LATE_SEEDS;
        mean.calibration += one.calibration / LATE_SEEDS;
        for (int i = 0; i < LATE_POINTS; i++) {
            mean.curve[i].regret += one.curve[i].regret / LATE_SEEDS;
            mean.curve[i].calibration += one.curve[i].calibration / LATE_SEEDS;
        }
    }
    return mean;
}

/* One block of lines per rule and window, as gnuplot's index counts them. */
static void write_curve(FILE *curves, enum late_rule rule, uint32_t window, uint64_t rounds,
                        const struct late_result *r)
{
    fprintf(curves, "# %s %u\n# round regret calibration\n", rule_names[rule], window);
    for (int i = 0; i < LATE_POINTS; i++)
        fprintf(curves, "%.0f %.6g %.6g\n", (double)rounds * (i + 1) / LATE_POINTS, r->curve[i].regret,
                r->curve[i].calibration);
    fputs("\n\n", curves);
}

static void late_rows(struct bench *b, FILE *curves)
{
    static const double references[LATE_RULES][LATE_WINDOWS] = {{722, 635, 639}, {871, 763, 788}, {31102, 3138, 1233}};
    uint64_t rounds = b->full ? 300000 : 30000;
    for (int rule = 0; rule < LATE_RULES; rule++)
        for (int i = 0; i < LATE_WINDOWS; i++) {
            bench_say("regret: late clicks, %s, window %u", rule_names[rule], windows[i]);
            struct late_result r = late_mean(rule, windows[i], rounds);
            struct bench_row row = {.value = r.regret, .unit = "clicks"};
            if (b->full) {
                row.reference = "reference run";
                row.reference_value = references[rule][i];
            }
            bench_add(b, row, "regret/late clicks/%s/window %u", rule_names[rule], windows[i]);
            bench_add(b, (struct bench_row){.value = r.calibration, .unit = "served/true"},
                      "calibration/late clicks/%s/window %u", rule_names[rule], windows[i]);
            if (curves)
                write_curve(curves, rule, windows[i], rounds, &r);
        }
}

int main(int argc, char **argv)
{
    struct bench b;
    FILE *curves = bench_curves(&argc, argv);
    bench_open(&b, argc, argv);
    b.full |= curves != NULL;
    if (!curves)
        batch_rows(&b);
    late_rows(&b, curves);
    if (curves && fclose(curves) != 0) {
        perror("curves");
        return 1;
    }
    return bench_finish(&b);
}
