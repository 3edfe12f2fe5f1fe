/* client/ingest.h - files of events into a server, each event once, whatever breaks on the way.
 *
 * One producer (client, instance, "main") sends numbered batches (batcher.h). The instance is a hash of the files
 * (names, sizes, times, heads), so the same command run again asks the server for its last number and goes on behind
 * it; a pipe's instance is random. When the server goes away, the call is opened again with growing pauses, and what
 * was not acknowledged is sent again.
 * Bound    INGEST_WINDOW batches are made but not acknowledged.
 * Threads  one. Messages go to standard error. */
#ifndef TIDEMILL_CLIENT_INGEST_H
#define TIDEMILL_CLIENT_INGEST_H

#include <stddef.h>

#include "base/error.h"
#include "client/progress.h"

enum { INGEST_WINDOW = 16, INGEST_PROBLEMS_SHOWN = 20 };

struct ingest_options {
    const char *server;
    const char *client; /* NULL: one of its own for these files, so that two ingests do not replace each other */
    const char *const *paths;
    size_t path_count;
    double rate;        /* events a second; 0: as fast as it goes */
    bool again;         /* a fresh instance: send what was taken before once more */
    bool end;           /* send the end mark and wait until every window is decided */
    int64_t timeout_ms; /* how long the server may be away, or silent */
};

struct ingest_result {
    uint64_t events; /* read and well-formed */
    uint64_t accepted, rejected, malformed;
    uint64_t blocked;          /* refused because of their user: no mistake in them */
    uint64_t taken_before;     /* events in batches not sent, because an earlier run did */
    uint64_t repeated_batches; /* sent again, and acknowledged as known */
};

/* *result is filled as far as it went, whatever is returned. */
enum tm_code ingest_run(const struct ingest_options *o, struct progress *progress, struct ingest_result *result,
                        struct tm_error *err);

#endif
