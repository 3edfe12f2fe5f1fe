/* ps/engine/readiness.h - may this server be sent traffic? A list of checks, each with its reason.
 *
 * They say whether the server does its work now, not whether it did well: a check that fails now may pass in a second.
 * Threads  any. */
#ifndef TIDEMILL_PS_ENGINE_READINESS_H
#define TIDEMILL_PS_ENGINE_READINESS_H

#include <stdbool.h>

struct engine;

enum {
    READY_LOG_SILENT_MS = 5000,    /* its writer has a round every 100 ms; a sync may take long, but not so long */
    READY_STATE_SILENT_MS = 10000, /* likewise what commits, which also waits for stalled writes */
    READY_BEHIND_MS = 10000,       /* a synced block that is not applied for so long */
    READY_CHECKS = 5,
};

struct ready_check {
    const char *name;
    bool ok;
    char reason[160];
};

/* Returns whether all are. */
bool engine_ready(struct engine *e, struct ready_check checks[static READY_CHECKS]);

#endif
