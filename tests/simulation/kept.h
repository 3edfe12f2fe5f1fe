/* tests/simulation/kept.h - the samples that shards keep for people (ps/state/archive.h), compared with the oracle's. */
#ifndef TIDEMILL_TESTS_SIMULATION_KEPT_H
#define TIDEMILL_TESTS_SIMULATION_KEPT_H

#include "tests/simulation/mill.h"

/* Everything was kept from the beginning, and is committed: each sample of the oracle is there once, in order, with the
 * ids that its key and document are hashes of, and with what feature streams brought; corrections, too. Nothing is there
 * when nothing is kept. */
void kept_check(const struct mill *m);

#endif
