#include "client/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/print.h"

enum { BAR_WIDTH = 24, LINE_MAX_BYTES = 1024 };

static const int64_t draw_ns = 100000000, plain_ns = 5000000000, second_ns = 1000000000;

void progress_start(struct progress *p, bool quiet)
{
    int64_t now = clock_monotonic_ns();
    *p = (struct progress){
        .quiet = quiet, .terminal = isatty(STDERR_FILENO), .started_ns = now, .shown_ns = now, .unit = "events"};
}

void progress_clear(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}

static void say(struct progress *p, const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];
    vsnprintf(line, sizeof line, format, args);
    progress_clear(p);
    print_escaped(stderr, line);
    fputc('\n', stderr);
}

void progress_notice(struct progress *p, const char *format, ...)
{
    va_list args;
    if (p->quiet)
        return;
    va_start(args, format);
    say(p, format, args);
    va_end(args);
}

void progress_problem(struct progress *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(p, format, args);
    va_end(args);
}

static void draw_bar(double part)
{
    int full = (int)(part * BAR_WIDTH);
    fputc('[', stderr);
    for (int i = 0; i < BAR_WIDTH; i++)
        fputc(i < full ? '#' : '-', stderr);
    fprintf(stderr, "] %3.0f %%  ", part * 100);
}

void progress_show(struct progress *p, uint64_t bytes, uint64_t bytes_total, uint64_t count)
{
    int64_t now = clock_monotonic_ns();
    double elapsed = (double)(now - p->started_ns) / (double)second_ns;
    double part = bytes_total == 0 ? 0 : bytes < bytes_total ? (double)bytes / (double)bytes_total : 1;
    char counted[TEXT_NUMBER_SIZE], rate[TEXT_NUMBER_SIZE];
    if (p->quiet || now - p->shown_ns < (p->terminal ? draw_ns : plain_ns))
        return;
    p->shown_ns = now;
    progress_clear(p);
    if (p->terminal && bytes_total)
        draw_bar(part);
    fprintf(stderr, "%s %s, %s/s", text_count(count, counted), p->unit,
            text_count((uint64_t)((double)count / elapsed), rate));
    if (part > 0)
        fprintf(stderr, ", %.0f %% of %.1f MiB, %.0f s left", part * 100, (double)bytes_total / (1 << 20),
                elapsed / part - elapsed);
    p->drawn = p->terminal;
    if (!p->terminal)
        fputc('\n', stderr);
    fflush(stderr);
}
