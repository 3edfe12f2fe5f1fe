/* base/log.h - what the server tells its operator: one line per thing, logfmt, to standard error.
 *
 * log_line("warn", "producer_timeout", "client=%s silent_s=%d", ...) writes
 * ts=2026-01-02T03:04:05.678Z level=warn event=producer_timeout client=web-1 silent_s=130
 * Control characters in values are escaped. Threads: any; a line is one write. */
#ifndef TIDEMILL_BASE_LOG_H
#define TIDEMILL_BASE_LOG_H

void log_line(const char *level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
