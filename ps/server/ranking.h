/* ps/server/ranking.h - tidemill.v1.Ranking: a contextual bandit in two calls.
 *
 * Rank     scored, ordered and packed on the thread of its connection: about what a Pull of the same documents costs,
 *          and a draw for each. Propensities by re-ranking cost propensity_draws times as many draws, 55 to 80 ns
 *          each, on that thread; their standard error is at most 1 / (2 sqrt(propensity_draws)).
 *          Rows of tables that are not cached are read from the disk there, too (ps/server/rank_tables.h).
 * Logged   an impression of each candidate shown: the first `slots` places. What was not shown was not refused by
 *          anybody, so it is no negative. Its position counts from 1; its score is the mean, the prediction that can be
 *          judged; the draw follows from the seed.
 * Users    who is on the block list gets its ranking, marked `blocked`, and nothing is logged; its Reward is refused.
 *          For the limit of robots what a Rank shows is one event of its user, and each action of a Reward is one.
 * Again    the same request id ranks with the same draws, and an impression of it that is there already is a duplicate:
 *          a Rank that was not answered may be sent again. If parameters have moved meanwhile another candidate may be
 *          shown; the one that nobody saw stays a negative of that request.
 * Bounds   RANK_DOCS_MAX candidates, RANK_DRAWS_MAX draws for propensities, REWARD_DOCS_MAX actions a call. Calls that
 *          wait for the sync lie in the log's queue and are bounded by it.
 * Threads  any. */
#ifndef TIDEMILL_PS_SERVER_RANKING_H
#define TIDEMILL_PS_SERVER_RANKING_H

#include "ps/engine/engine.h"
#include "ps/server/caller.h"
#include "ps/server/ingest_counts.h"
#include "ps/server/rpc.h"

enum { RANK_DRAWS_MAX = 250000, REWARD_DOCS_MAX = 1000 };

struct ranking;

/* Packed requests, which live until the answer. */
void ranking_rank(struct ranking *r, const struct caller *caller, struct bytes request);
void ranking_reward(struct ranking *r, const struct caller *caller, struct bytes request);

struct ranking *ranking_open(struct engine *engine, struct ingest_counts *counts, struct rpc *rpc); /* adds methods */
void ranking_close(struct ranking *r); /* after rpc_stop(), and http_stop() */

#endif
