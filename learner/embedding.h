/* learner/embedding.h - a learned vector and bias per document: score = x'v + b + offset, by stochastic gradients.
 *
 * Loss      logistic (rewards in [0, 1]): ln(1 + e^a) - y a; squared: (a - y)^2 / 2. Both have the gradient
 *           c (p - y) (x, 1) with p = logistic(a) or a, c the sample's weight. Vector and bias are two rows of the same
 *           optimizer (learner/optimizer.h), the bias without l1 and l2, because 0 is no base rate.
 * Batch     the samples of one call of learn are one mini-batch: one step along the sum of their gradients, each at the
 *           weights in front of the batch, cut to `clip` as a whole; l2 pulls once a step. So a hundred in one step
 *           move a vector less than a hundred steps: clip and rate want to be larger.
 * Start     v ~ N(prior_mean, prior_sd^2), drawn of (seed, item): the same on every machine, and never all 0, where two
 *           factors that are learned from each other would stay for ever; sd 0.01 is usual. The bias starts at
 *           intercept_mean: the log-odds of the base rate, or the mean reward. (intercept_sd is not used.)
 * Bounds    features at most feature_max, gradients cut to `clip`, vectors to norm_max (counted in repairs), the bias
 *           to EMBEDDING_BIAS_MAX: nothing that is computed can overflow, and a block is finite whatever it learns.
 * Forgets   by its learning rate, and as a whole by expiry; decay_per_ms must be 0.
 * Certainty none: variances are 0, so draws are greedy. To explore, learn `lr` (learner/lr.h) on features made of the
 *           other side's embedding, [e_u; 1]: its posterior over the last layer is what Thompson sampling and upper
 *           bounds need (Riquelme, Tucker and Snoek, "Deep Bayesian bandits showdown", 2018).
 * Values    the vector, then the bias. A document that is not admitted, or has expired at `now`, reads as the prior.
 *
 * Memory is bounded by two rules, functions of records alone. What the shard does for them:
 * Admission the first admit_at - 1 samples of a document, and then each with probability 1 - admit_share, are only
 *           counted in `seen`. Until embedding_admitted() the block is its first sizeof(struct embedding_block) bytes
 *           (32) and zeros: no more need be kept of it. When learn admits it, nothing older has been learned: the
 *           shard sets the block's base there, so that corrections of samples that were only counted do not apply.
 * Expiry    counts from the newest sample, learned or only seen. Before a shard lets a sample or a correction reach a
 *           block it asks embedding_expired() with its watermark as `now`; if so the block begins again with init and
 *           the base is set. A sweep that drops expired blocks by the same watermark changes no result, whenever it
 *           comes.
 *
 * Correction one step along the gradient that the right label has at the weights of today minus that of the wrong
 *           one; without l2. With equal features, weight and offset that is c (y0 - y1) (x, 1), whatever the weights.
 *           What it leaves, in excess log-loss x 1000 over the true weights (tests/unit/embedding_test.c: 4,000
 *           samples, 8 features, 30 % of the positives late by 150 samples); "at the end": the stream has stopped and
 *           all late ones have come, to weights that nothing pulls back any more, which SGD, that forgets fastest,
 *           overshoots:
 *                                  sgd   momentum   adagrad   adagrad_row   adam   ftrl
 *             right at first       6.0     6.0        2.1         4.3        3.4    2.5
 *             mended               6.1     6.2        2.1         3.8        3.4    2.7
 *             mended, at the end   9.7     8.7        2.1         4.9        3.4    2.7
 *             ignored             22.1    22.1       17.4        21.1       18.4   17.3
 * Source    Y. Koren, R. Bell, C. Volinsky, "Matrix factorization techniques for recommender systems" (2009), with
 *           the other side's factors given. */
#ifndef TIDEMILL_LEARNER_EMBEDDING_H
#define TIDEMILL_LEARNER_EMBEDDING_H

#include "learner/features.h"

#define EMBEDDING_BIAS_MAX 1e6

struct embedding_block {
    struct block_head head; /* counts what was learned; its time is that of the newest sample seen */
    uint32_t seen;          /* samples before it was admitted, and the one that did it; sticks at UINT32_MAX */
    uint32_t admitted;      /* 0 or 1 */
    float value[];          /* vector: n, its slots; bias, its slots; to a multiple of 8 bytes */
};

extern const struct model model_embedding;

bool embedding_admitted(const void *block);
/* As of event time `now`: nothing was seen for longer than expire_after. False for a block that saw no sample yet. */
bool embedding_expired(const struct model_config *config, const void *block, int64_t now);

#endif
