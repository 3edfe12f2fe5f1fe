#include "tests/server/traffic.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/wire.h"

enum { SPACING_MS = 100, CLICK_AFTER_MS = 700 };
#define BEGINNING INT64_C(1700000000000)

const char *const traffic_streams[LANE_COUNT] = {"impressions", "clicks"};
const char *const traffic_versions[2] = {"A", "B"};

struct shown {
    uint32_t doc, version;
    bool clicked;
};

static struct shown shown_of(uint32_t client, uint32_t number)
{
    uint64_t h = (((uint64_t)client << 32) + number + 1) * 0x9E3779B97F4A7C15u;
    h ^= h >> 32;
    return (struct shown){(uint32_t)(h % TRAFFIC_DOCS), h >> 20 & 1, (h >> 24) % 3 == 0};
}

void traffic_doc(uint32_t doc, char out[static 16]) { snprintf(out, 16, "d%" PRIu32, doc); }

/* ---- messages ---- */

/* Fields of IngestRequest, Open, Batch and Event. */
enum { OPEN = 1, BATCH, END = 4 };
enum { CLIENT = 1, INSTANCE, LANE, STREAMS };
enum { SEQUENCE = 1, EVENTS };
enum { STREAM = 1, REQUEST, DOC, VERSION = 5, TIME };

static void wrap(uint32_t field, struct buffer *content, struct buffer *out)
{
    out->size = 0;
    wire_put_bytes(out, field, buffer_view(content));
    buffer_close(content);
}

void traffic_open(uint32_t client, enum traffic_lane lane, struct buffer *out)
{
    char name[16];
    struct buffer open = {0};
    snprintf(name, sizeof name, "client%" PRIu32, client);
    wire_put_bytes(&open, CLIENT, bytes_text(name));
    wire_put_bytes(&open, INSTANCE, bytes_text("1"));
    wire_put_bytes(&open, LANE, bytes_text(traffic_streams[lane]));
    wire_put_bytes(&open, STREAMS, bytes_text(traffic_streams[lane]));
    wrap(OPEN, &open, out);
}

void traffic_end(struct buffer *out)
{
    struct buffer end = {0};
    wrap(END, &end, out);
}

static void put_event(uint32_t client, enum traffic_lane lane, uint32_t number, struct buffer *batch)
{
    char request[32], doc[16];
    CLEANUP(buffer_close) struct buffer event = {0};
    struct shown s = shown_of(client, number);
    int64_t time = BEGINNING + (int64_t)SPACING_MS * number;
    snprintf(request, sizeof request, "%" PRIu32 "/%" PRIu32, client, number);
    traffic_doc(s.doc, doc);
    wire_put_bytes(&event, STREAM, bytes_text(traffic_streams[lane]));
    wire_put_bytes(&event, REQUEST, bytes_text(request));
    wire_put_bytes(&event, DOC, bytes_text(doc));
    if (lane == LANE_IMPRESSIONS)
        wire_put_bytes(&event, VERSION, bytes_text(traffic_versions[s.version]));
    wire_put_integer(&event, TIME, (uint64_t)(lane == LANE_CLICKS ? time + CLICK_AFTER_MS : time));
    wire_put_bytes(batch, EVENTS, buffer_view(&event));
}

void traffic_batch(uint32_t client, enum traffic_lane lane, uint64_t sequence, struct buffer *out)
{
    struct buffer batch = {0};
    uint32_t first = (uint32_t)(sequence - 1) * TRAFFIC_BATCH;
    wire_put_integer(&batch, SEQUENCE, sequence);
    for (uint32_t n = first; n < first + TRAFFIC_BATCH; n++)
        if (lane == LANE_IMPRESSIONS || shown_of(client, n).clicked)
            put_event(client, lane, n, &batch);
    wrap(BATCH, &batch, out);
}

/* ---- what must come of it ---- */

void traffic_count(struct traffic_counts *out)
{
    *out = (struct traffic_counts){0};
    for (uint32_t client = 0; client < TRAFFIC_CLIENTS; client++)
        for (uint32_t n = 0; n < TRAFFIC_NUMBERS; n++) {
            struct shown s = shown_of(client, n);
            (s.clicked ? out->positives : out->negatives)[s.version][s.doc]++;
            out->events[LANE_IMPRESSIONS]++;
            out->events[LANE_CLICKS] += s.clicked;
        }
}
