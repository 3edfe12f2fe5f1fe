#include "base/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_MAX_BYTES = PIPE_BUF, ESCAPE_MAX = 4 }; /* up to PIPE_BUF, lines of threads do not mix in a pipe either */

/* Writes one character as it may stand in a line; returns its length. */
static size_t escape(char c, char out[static ESCAPE_MAX])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char u = (unsigned char)c;
    if (u >= 0x20 && u != 0x7f) {
        out[0] = c;
        return 1;
    }
    out[0] = '\\';
    out[1] = c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : 'x';
    if (out[1] != 'x')
        return 2;
    out[2] = hex[u >> 4];
    out[3] = hex[u & 15];
    return ESCAPE_MAX;
}

void log_line(const char *level, const char *event, const char *format, ...)
{
    static const char cut[] = "...";
    char values[LINE_MAX_BYTES], line[LINE_MAX_BYTES], when[CLOCK_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    int want = vsnprintf(values, sizeof values, format, args);
    va_end(args);
    CHECK(want >= 0);

    clock_text(clock_wall_ms(), when);
    int head = snprintf(line, sizeof line / 2, "ts=%s level=%s event=%s%s", when, level, event, want ? " " : "");
    CHECK(head > 0 && (size_t)head < sizeof line / 2); /* level and event are words of ours */
    size_t size = (size_t)head;
    const char *p = values;
    for (; *p && size + ESCAPE_MAX + sizeof cut <= sizeof line; p++)
        size += escape(*p, line + size);
    if (*p || (size_t)want >= sizeof values) {
        memcpy(line + size, cut, sizeof cut - 1);
        size += sizeof cut - 1;
    }
    line[size++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, size);
    (void)written; /* a log that cannot be written has no better place to complain */
}
