#include "bench/bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

void bench_open(struct bench *b, int argc, char **argv)
{
    *b = (struct bench){0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--full") == 0) {
            b->full = true;
        } else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc && strcmp(argv[i + 1], "json") == 0) {
            b->json = true;
            i++;
        } else {
            fprintf(stderr, "%s: got \"%s\"; expected [-o json] [--full]\n", argv[0], argv[i]);
            exit(2);
        }
    }
}

FILE *bench_curves(int *argc, char **argv)
{
    if (*argc < 3 || strcmp(argv[*argc - 2], "--curves") != 0)
        return NULL;
    FILE *f = fopen(argv[*argc - 1], "we");
    if (!f) {
        perror(argv[*argc - 1]);
        exit(1);
    }
    *argc -= 2;
    return f;
}

void bench_add(struct bench *b, struct bench_row e, const char *format, ...)
{
    va_list arguments;
    CHECK(b->rows < BENCH_ROWS_MAX);
    va_start(arguments, format);
    vsnprintf(e.name, sizeof e.name, format, arguments);
    va_end(arguments);
    b->row[b->rows++] = e;
}

void bench_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static double ratio(const struct bench_row *r) { return r->value / r->reference_value; }
static bool met(const struct bench_row *r) { return r->value <= r->aim; }

/* A number that JSON knows, or null. */
static void print_number(const char *key, bool there, double value)
{
    if (there && isfinite(value))
        printf(", \"%s\": %.6g", key, value);
    else
        printf(", \"%s\": null", key);
}

/* Names, units and references are ours and need no escapes. */
static void print_json(const struct bench *b)
{
    for (size_t i = 0; i < b->rows; i++) {
        const struct bench_row *r = &b->row[i];
        printf("%s{\"name\": \"%s\"", i ? ",\n " : "[", r->name);
        print_number("value", true, r->value);
        printf(", \"unit\": \"%s\"", r->unit);
        if (r->reference) {
            printf(", \"reference\": {\"name\": \"%s\"", r->reference);
            print_number("value", true, r->reference_value);
            putchar('}');
        } else {
            printf(", \"reference\": null");
        }
        print_number("ratio", r->reference != NULL, r->reference ? ratio(r) : 0);
        print_number("aim", r->aim > 0, r->aim);
        printf(", \"met\": %s}", r->aim > 0 ? (met(r) ? "true" : "false") : "null");
    }
    printf("%s]\n", b->rows ? "" : "[");
}

static void print_table(const struct bench *b)
{
    printf("%-44s %10s  %-16s %-38s %7s %9s  %s\n", "NAME", "VALUE", "UNIT", "REFERENCE", "RATIO", "AIM", "MET");
    for (size_t i = 0; i < b->rows; i++) {
        const struct bench_row *r = &b->row[i];
        char reference[BENCH_NAME_SIZE] = "", quotient[32] = "", aim[32] = "";
        if (r->reference) {
            snprintf(reference, sizeof reference, "%s %.4g", r->reference, r->reference_value);
            snprintf(quotient, sizeof quotient, "%.2f", ratio(r));
        }
        if (r->aim > 0)
            snprintf(aim, sizeof aim, "<= %g", r->aim);
        printf("%-44s %10.4g  %-16s %-38s %7s %9s  %s\n", r->name, r->value, r->unit, reference, quotient, aim,
               r->aim > 0 ? (met(r) ? "yes" : "NO") : "");
    }
}

int bench_finish(struct bench *b)
{
    if (b->json)
        print_json(b);
    else
        print_table(b);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

double bench_quantile(double *values, size_t count, double q)
{
    CHECK(count > 0);
    qsort(values, count, sizeof *values, by_size);
    return values[(size_t)(q * (double)(count - 1) + 0.5)];
}

double bench_process_cpu(void)
{
    struct rusage u;
    CHECK(getrusage(RUSAGE_SELF, &u) == 0);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

size_t bench_rss(void)
{
    size_t total, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    CHECK(f && fscanf(f, "%zu %zu", &total, &resident) == 2);
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}
