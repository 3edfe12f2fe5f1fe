/* ps/server/http_ranking.h - /v1/rank and /v1/reward: the calls of Ranking as JSON.
 *
 * Bodies and answers are the messages of ranking.proto, checked and answered by ps/server/ranking.h.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_HTTP_RANKING_H
#define TIDEMILL_PS_SERVER_HTTP_RANKING_H

#include "ps/server/http.h"
#include "ps/server/ranking.h"

void http_rank(struct ranking *ranking, struct http_request *r);
void http_reward(struct ranking *ranking, struct http_request *r);

#endif
