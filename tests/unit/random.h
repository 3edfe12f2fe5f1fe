/* tests/unit/random.h - repeatable random numbers for tests against a model: splitmix64 (Steele, Lea, Flood 2014). */
#ifndef TIDEMILL_TESTS_UNIT_RANDOM_H
#define TIDEMILL_TESTS_UNIT_RANDOM_H

#include <stdint.h>

static inline uint64_t draw(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint64_t below(uint64_t *seed, uint64_t limit) { return draw(seed) % limit; }

#endif
