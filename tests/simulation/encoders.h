/* tests/simulation/encoders.h - the two encoders of all worlds: 3 numbers to 3. */
#ifndef TIDEMILL_TESTS_SIMULATION_ENCODERS_H
#define TIDEMILL_TESTS_SIMULATION_ENCODERS_H

#include "learner/encoder.h"

enum { WORLD_ENCODERS = 2, WORLD_ENCODED = 3 };

const struct encoder *world_encoder(uint32_t i);
const char *world_encoder_name(uint32_t i); /* its representation */
/* As shards ask for it. */
const struct encoder *world_encoder_find(void *nobody, const struct encoder_id *id, struct tm_error *err);

#endif
