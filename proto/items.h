/* proto/items.h - a record for many documents, cut into one event for each.
 *
 * {"stream":"impressions","request":"r17","version":"A","time":1574553612345,"features":[0.5,1],
 *  "items":[{"doc":"d4","position":1,"features":[0.25]},{"doc":"d9","position":2,"features":[0]}]}
 * Parts    of each event: `own`, an Event with one item and nothing else; and `shared`, the record without its items.
 *          event_scan_parts() reads the two as one event.
 * Bounds   ITEMS_MAX items; ITEMS_SPLIT_MAX bytes if each had a copy of what they share: a reader may make one of it.
 * Memory   `own` points into the record; `shared` does, too, unless something stands behind an item, then it is a copy.
 *          Arrays are used again by the next items_read(); items_close() ends them.
 * Errors   TM_INVALID_ARGUMENT names field, value and expectation: "items[3].propensity: 2; expected ...". One bad item
 *          refuses the record.
 * Threads  one a struct. */
#ifndef TIDEMILL_PROTO_ITEMS_H
#define TIDEMILL_PROTO_ITEMS_H

#include "proto/event.h"

enum { ITEMS_MAX = 1000, ITEMS_SPLIT_MAX = 16 << 20 };

struct item {
    struct bytes own, doc;
};

struct items {
    struct event event; /* what they share, read */
    struct bytes shared;
    struct item *item;
    uint32_t count;
    /* private */
    uint32_t capacity;
    struct buffer rest; /* the shared part of a record that has it in pieces */
    uint32_t *seen;     /* hash table: where among the items a document is, + 1 */
};

/* A record of which event_scan() found items, cut and judged. *field (never NULL) names the offender for the ack: one
 * that is shared, or "items". now_ms: see event_validate(). */
enum tm_code items_read(struct bytes wire, int64_t now_ms, struct items *out, const char **field, struct tm_error *err);
void items_close(struct items *i); /* {0} is fine */

/* All features of an event as one vector: of an item those that are shared, and behind them its own. Where it has both
 * they are written into *joined, which is emptied first. */
struct bytes items_features(const struct event *e, uint32_t *encoding, struct buffer *joined);

#endif
