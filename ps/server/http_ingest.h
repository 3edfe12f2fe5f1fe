/* ps/server/http_ingest.h - one batch of one producer as JSON (proto/json_ingest.h): Open and Batch of an Ingest call,
 * through the same door, answered with the Ack.
 *
 * Threads  one of its own reads the JSON and waits for the log's queue, so that neither holds up other requests; the
 *          log's writer answers.
 * Bounds   HTTP_INGEST_WAITING requests wait for that thread; more are RESOURCE_EXHAUSTED. Their bodies count against
 *          HTTP_BODIES_MAX. */
#ifndef TIDEMILL_PS_SERVER_HTTP_INGEST_H
#define TIDEMILL_PS_SERVER_HTTP_INGEST_H

#include "ps/server/http.h"
#include "ps/server/ingest_counts.h"

enum { HTTP_INGEST_WAITING = 64 };

struct http_ingest;

struct http_ingest *http_ingest_open(struct engine *engine, struct ingest_counts *counts);
void http_ingest(struct http_ingest *service, struct http_request *r);
void http_ingest_drain(struct http_ingest *service); /* what is not in the log yet is refused with UNAVAILABLE */
void http_ingest_close(struct http_ingest *service); /* after http_stop(); NULL is fine */

#endif
