/* bench/bench.h - what every benchmark shares: rows, their table or JSON, and the clocks they are measured with.
 *
 * Row      name, value, unit; the floor or peer measured in the same run (reference, its value, ratio = value over it);
 *          the aim (at most so much) and whether it is met. Lower is better in every row that has an
 *          aim.
 * Flags    the same for all programs, because ./run hands them to each: -o json, --full (the sizes that take minutes or
 *          tens of GiB).
 * Memory   names are formatted into the row; a set of rows owns its array until bench_finish().
 * Threads  one owner. */
#ifndef TIDEMILL_BENCH_BENCH_H
#define TIDEMILL_BENCH_BENCH_H

#include <math.h>
#include <stdio.h>

#include "base/bytes.h"

enum { BENCH_NAME_SIZE = 64, BENCH_ROWS_MAX = 256 };

struct bench_row {
    char name[BENCH_NAME_SIZE];
    double value;
    const char *unit;
    const char *reference; /* NULL: none */
    double reference_value;
    double aim; /* 0: none */
};

struct bench {
    bool json, full;
    struct bench_row row[BENCH_ROWS_MAX];
    size_t rows;
};

/* Read the flags; a wrong one ends the program with exit code 2. */
void bench_open(struct bench *b, int argc, char **argv);

/* --curves FILE at the end of the arguments is taken off, and the file opened; NULL: it is not there. For programs that
 * also write what pictures.gp draws. */
FILE *bench_curves(int *argc, char **argv);

/* Append; the name is formatted, e.name is not used. */
void bench_add(struct bench *b, struct bench_row e, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Print all rows; returns the exit code of the program. */
int bench_finish(struct bench *b);

/* One line on standard error, while it runs. */
void bench_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The q-th part of the values from below (0.5: the median); sorts them. */
double bench_quantile(double *values, size_t count, double q);

double bench_process_cpu(void); /* seconds of this process, user and system, all threads */
size_t bench_rss(void);         /* bytes */

#endif
