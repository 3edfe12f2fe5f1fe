/* ps/server/http_pull.h - Pull as JSON: the PullRequest as the body of a POST, or field by field in the query of a GET.
 *
 *   GET  /v1/pull?version=A&docs=d1&docs=d2&statistics=true
 *   POST /v1/pull?timeout_ms=500   {"version": "A", "docs": ["d1"], "at_least": 17}
 *
 * The answer is the PullReply. timeout_ms is for what waits for its at_least, as a deadline is in gRPC. */
#ifndef TIDEMILL_PS_SERVER_HTTP_PULL_H
#define TIDEMILL_PS_SERVER_HTTP_PULL_H

#include "ps/server/http.h"
#include "ps/server/parameters.h"

void http_pull(struct parameters *p, struct http_request *r);

#endif
