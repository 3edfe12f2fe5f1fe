/* client/ingest_call.h - one call of client/ingest.c: what it sends, and what it makes of the answers.
 *
 * Everything that outlives a call (the window of batches, what is acknowledged) lies in struct ingest too, because the
 * next call goes on from there. Only ingest.c and ingest_call.c look inside. Threads: one. */
#ifndef TIDEMILL_CLIENT_INGEST_CALL_H
#define TIDEMILL_CLIENT_INGEST_CALL_H

#include "client/batcher.h"
#include "client/connection.h"
#include "client/ingest.h"
#include "proto/event.h"

enum { INGEST_STREAMS_MAX = 256, INGEST_CLIENT_SIZE = 64, INGEST_INSTANCE_SIZE = 64 };

/* A stream of the server, and what was asserted of its progress. */
struct ingest_mark {
    char name[EVENT_ID_MAX + 1];
    bool impression, action;
    bool seen; /* an event of it was read, in this call or before */
    int64_t out_of_orderness_ms;
    int64_t sent; /* in this call; INT64_MIN: none */
};

/* What is said to the server in order; a new call starts again at INGEST_FEEDING. */
enum ingest_phase {
    INGEST_FEEDING,
    INGEST_SAYING_END,
    INGEST_AWAITING_ENDED,
    INGEST_LEAVING,
    INGEST_FINISHING,
    INGEST_CLOSING,
    INGEST_DONE
};

struct ingest {
    const struct ingest_options *o;
    struct ingest_result *result;
    struct progress *progress;
    struct merge *merge;
    struct batcher batcher;
    char client[INGEST_CLIENT_SIZE + 1], instance[INGEST_INSTANCE_SIZE + 1];
    bool resumable; /* batches are the same in every run */
    bool fatal;     /* the error is not the connection's: trying again will not help */

    /* Batch n (from 0, of those to send) lies in window[n % INGEST_WINDOW].
     * acked <= sent <= made <= acked + INGEST_WINDOW */
    struct batch *window;
    uint64_t acked, sent, made;
    bool read_all, waiting;               /* the source is at its end; has nothing for now */
    int64_t skipped_newest, acked_newest; /* largest event time of what the server has */

    /* The call under way. */
    struct connection *connection;
    struct duplex *call;
    enum ingest_phase phase;
    bool opened;
    struct ingest_mark *watermarks;
    uint32_t stream_count;
    int64_t window_ms;
    int64_t assert_time; /* every event before it is sent: out-of-orderness is taken off per stream */
    struct buffer message;

    uint64_t resume_sequence; /* the server's last one when the first call was opened */
    uint64_t server_sequence; /* the largest acknowledged */
    uint64_t paced;           /* events sent for the first time, for the rate */
    uint64_t ever_sent;       /* batches sent at least once */
    int64_t started_ns, heard_ns, lost_ns;
    int64_t told_ns; /* when a notice said that the server is away; 0: it is not, or nobody was told */
    bool refused;    /* the last call ended because the server takes no events for now */
    uint32_t attempts;
    bool looked;              /* `before` was asked for */
    ProtobufCMessage *before; /* the server's status when this began; NULL: not known */
    bool has_end_time;
    int64_t end_time; /* newest event time that must be decided */
};

void ingest_call_open(struct ingest *in);
void ingest_call_close(struct ingest *in);

/* Start the next message that is due, if the one before is out. */
void ingest_call_send(struct ingest *in);

/* Wait up to timeout_ms for one thing to happen, and deal with it. An error ends the call. */
enum tm_code ingest_call_listen(struct ingest *in, int64_t timeout_ms, struct tm_error *err);

/* NULL: the server has no such stream. Streams are known once a call was opened. */
struct ingest_mark *ingest_mark_of(struct ingest *in, const char *stream);

/* The server has taken an event, now or from an earlier run. */
static inline bool ingest_has_taken(const struct ingest *in)
{
    return in->result->accepted + in->result->taken_before > 0;
}

static inline struct batch *ingest_batch(struct ingest *in, uint64_t n) { return &in->window[n % INGEST_WINDOW]; }

/* Tell of the n-th record or event that went wrong: the first INGEST_PROBLEMS_SHOWN of a kind, then that more come. */
void ingest_tell(struct ingest *in, uint64_t n, const char *kind, const struct merge_place *place, const char *field,
                 const char *message);

#endif
