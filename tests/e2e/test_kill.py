"""Killed over and over under load, the server ends up exactly where an undisturbed one does."""

import killing

CYCLES = 20  # of which two fifths at a system call, the others at any time
SEED = 2024


def test_kill_9_loses_nothing_and_counts_nothing_twice(make_server):
    server, fresh = make_server(killing.CONFIG, "killed"), make_server(killing.CONFIG, "undisturbed")
    producers, figures = killing.run_with_kills(server, SEED, lambda f: f.cycles < CYCLES, pause=0.05)
    killing.verify(server, fresh, producers, figures, SEED)
    assert figures.cycles >= CYCLES and figures.least_between >= killing.EVENTS_BETWEEN_KILLS
