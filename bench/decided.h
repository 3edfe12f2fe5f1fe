/* bench/decided.h - what decided keys cost that left memory: a part of bench_join.
 *
 * One shard decides 10 M keys, at the pace that it would have as one of 64 at 10,000 impressions a second, and forgets
 * none of them: nearly the 13.5 M that it holds when corrections reach back 24 hours. Its runs lie in RocksDB.
 * Memory   what the joiner holds but for undecided keys, after all; and for the 864 M keys of all shards, worked out
 *          from it: what grows with the keys by their number, what does not 64 times.
 * CPU      of the thread that joins, merging included: reading runs through RocksDB is in it, its own threads are not.
 * First    correction of a key since it left memory: a block is read. Next: of the same key, which is in memory. */
#ifndef TIDEMILL_BENCH_DECIDED_H
#define TIDEMILL_BENCH_DECIDED_H

#include "bench/bench.h"

void bench_decided(struct bench *b);

#endif
