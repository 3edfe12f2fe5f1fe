/* tests/server/readers.h - everybody else who calls while producers send: Pull, Status, Drain, Digest, Export, Watch,
 * ExportSamples, TailSamples, CompareVersions.
 *
 * Each loops until told to stop, across a server that leaves and comes back, and counts what it was answered; an answer
 * that the service must not give is a CHECK. */
#ifndef TIDEMILL_TESTS_SERVER_READERS_H
#define TIDEMILL_TESTS_SERVER_READERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { READERS_ANSWERED = 12 };

enum reader_kind {
    READ_PULL,
    READ_PULL_LATE,
    READ_STATUS,
    READ_DRAIN,
    READ_DIGEST,
    READ_EXPORT,
    READ_WATCH,
    READ_SAMPLES,
    READ_COMPARISON,
    READ_KINDS
};

struct readers {
    int port;
    const atomic_uint_fast64_t *position; /* acknowledged: what Pulls wait for */
    atomic_bool stop;
    struct reader_thread {
        struct readers *readers;
        enum reader_kind kind;
        pthread_t thread;
        atomic_uint answered, refused;
    } thread[READ_KINDS];
};

void readers_start(struct readers *r, int port, const atomic_uint_fast64_t *position);
void readers_stop(struct readers *r); /* when each has been answered READERS_ANSWERED times; late Pulls never are */

#endif
