/* tests/simulation/replay.h - a case that was made small, as a text that a test can keep: the seed, and which acts and
 * events of its world stay.
 *
 * Form     lines of words; '#' begins a comment. "seed 5", "of 250 acts 96 events" (what the world has: another number
 *          means that worlds are made otherwise today, and the case is gone), "acts 3 17 20", "events 4 5".
 * Kept     anywhere: test_simulation --replay FILE plays it again.
 * Errors   what cannot be read ends the program with words. */
#ifndef TIDEMILL_TESTS_SIMULATION_REPLAY_H
#define TIDEMILL_TESTS_SIMULATION_REPLAY_H

#include <stdio.h>

#include "tests/simulation/world.h"

void replay_print(const struct world *w, FILE *out);

/* The world of the file, without what was left out. The caller closes it. */
void replay_read(const char *path, struct world *w);

#endif
