/* bench/encode.h - made-up events (bench/events.h) as they lie on the wire, and the configuration they are made for.
 *
 * An impression has a 16-byte request, 8-byte document and user, a version (A or B) and ENCODE_PAYLOAD bytes of
 * payload; a features event has as many bytes of features; a click names request and document.
 * Payload  matters where bytes are packed (base/pack.h). ENCODE_TEXT is the context of an impression as JSON: 60 of its 128
 *          bytes are the same in all, 28 are random digits, the rest is room. ENCODE_NOISE are random bytes: the worst case.
 * Memory   views and buffers are the caller's. Threads: pure functions. */
#ifndef TIDEMILL_BENCH_ENCODE_H
#define TIDEMILL_BENCH_ENCODE_H

#include "bench/events.h"

enum { ENCODE_PAYLOAD = 128, ENCODE_EVENT_MAX = 512, ENCODE_DOC_SIZE = 9 };

enum encode_filling { ENCODE_TEXT, ENCODE_NOISE };

extern const char *const encode_streams[MADE_KINDS]; /* by enum made_kind */
extern const char *const encode_versions[2];

/* YAML but for the line `join:`. A forgets, B does not. */
extern const char encode_configuration[];

void encode_doc(uint32_t doc, char text[static ENCODE_DOC_SIZE]);
void encode_event(const struct made *m, enum encode_filling filling, struct buffer *out);
/* The impressions of one request as one record: request, user, version and payload (text) of the first, a document of
 * each. */
void encode_record(const struct made *m, uint32_t count, struct buffer *out);

#endif
