/* tests/server/bandits.h - callers of Rank and Reward: a thread each, durable or not by turns, across a server that
 * leaves and comes back.
 *
 * Whoever was not answered asks again with the same request. What the service may not answer is a CHECK. */
#ifndef TIDEMILL_TESTS_SERVER_BANDITS_H
#define TIDEMILL_TESTS_SERVER_BANDITS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { BANDITS = 3, BANDIT_ROUNDS = 300, BANDIT_DOCS = 20, BANDIT_SLOTS = 2 };

struct bandits {
    int port;
    atomic_uint rounds, next; /* next: thread that begins */
    pthread_t thread[BANDITS];
};

void bandits_start(struct bandits *b, int port);
void bandits_join(struct bandits *b);
void bandits_check(const struct bandits *b); /* what the server has is what they showed and liked, each once */

#endif
