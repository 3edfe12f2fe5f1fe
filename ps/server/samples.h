/* ps/server/samples.h - Admin.TailSamples and ExportSamples: samples that are kept, streamed as fast as each reader
 * takes them.
 *
 * One thread serves all these calls in turns: a piece is read for a call (ps/engine/sample_reader.h) only when fewer
 * than SAMPLES_UNSENT of its replies have not left, so a slow reader costs no memory and holds up nobody. Those that
 * follow are looked after every SAMPLES_POLL_MS.
 * Bounds   SAMPLES_CALLS at a time; more are RESOURCE_EXHAUSTED. A reader that takes nothing for SAMPLES_STALL_MS,
 *          while there is something to send, ends with DEADLINE_EXCEEDED.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_SAMPLES_H
#define TIDEMILL_PS_SERVER_SAMPLES_H

#include "ps/engine/engine.h"
#include "ps/server/rpc.h"

enum {
    SAMPLES_CALLS = 32,
    SAMPLES_UNSENT = 2,
    SAMPLES_TURN = 16, /* steps without anything wanted, until it is another call's turn */
    SAMPLES_POLL_MS = 50,
    SAMPLES_PROGRESS_MS = 1000,
    SAMPLES_STALL_MS = 30000,
    SAMPLES_TEXTS_MAX = 1000, /* of each list in a filter */
    SAMPLES_LAST = 10,
    SAMPLES_LAST_MAX = 10000,
};

struct samples;

struct samples *samples_open(struct engine *engine, struct rpc *rpc); /* adds its methods */
void samples_drain(struct samples *s);                                /* calls end with UNAVAILABLE */
void samples_close(struct samples *s);                                /* after rpc_stop() */

#endif
