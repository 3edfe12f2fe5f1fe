/* tests/server/traffic.h - what the producers of this test send, and what must have been learned from it.
 *
 * Each client has a lane of impressions and a lane of clicks. Everything is a function of (client, number), so a batch
 * can be made again and counted. Every impression's number is an instant of its own; a third of them are clicked, all
 * within the window: nothing is late, whatever the order in which lanes come along. */
#ifndef TIDEMILL_TESTS_SERVER_TRAFFIC_H
#define TIDEMILL_TESTS_SERVER_TRAFFIC_H

#include "base/bytes.h"

enum {
    TRAFFIC_CLIENTS = 3,
    TRAFFIC_BATCHES = 250, /* of each lane; sequence s holds the numbers (s - 1) x TRAFFIC_BATCH ... */
    TRAFFIC_BATCH = 40,
    TRAFFIC_NUMBERS = TRAFFIC_BATCHES * TRAFFIC_BATCH,
    TRAFFIC_DOCS = 20000, /* so that an export takes several replies, and must wait for its reader */
    TRAFFIC_WINDOW_MS = 2000,
};

enum traffic_lane { LANE_IMPRESSIONS, LANE_CLICKS, LANE_COUNT };

extern const char *const traffic_streams[LANE_COUNT];
extern const char *const traffic_versions[2];

/* Packed IngestRequests; *out is replaced. */
void traffic_open(uint32_t client, enum traffic_lane lane, struct buffer *out);
void traffic_batch(uint32_t client, enum traffic_lane lane, uint64_t sequence, struct buffer *out);
void traffic_end(struct buffer *out);

struct traffic_counts {
    uint64_t positives[2][TRAFFIC_DOCS], negatives[2][TRAFFIC_DOCS]; /* by version and document */
    uint64_t events[LANE_COUNT];
};

/* Of everything that all lanes send. */
void traffic_count(struct traffic_counts *out);

void traffic_doc(uint32_t doc, char out[static 16]);

#endif
