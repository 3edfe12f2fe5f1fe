/* ps/server/server_metrics.h - a whole scrape: the engine's part, and what the doors have to say. Threads: any. */
#ifndef TIDEMILL_PS_SERVER_SERVER_METRICS_H
#define TIDEMILL_PS_SERVER_SERVER_METRICS_H

#include "ps/server/http_api.h"

/* Append the text of all metrics. */
void server_metrics(const struct http_services *services, struct http *http, struct buffer *out);

#endif
