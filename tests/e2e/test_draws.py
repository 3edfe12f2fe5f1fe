"""The Python half of the draws gives what the golden file says; the C half is held to it by tests/unit/draw_test.c."""

import doctest
import sys

import harness

sys.path.insert(0, str(harness.ROOT / "python"))
sys.path.insert(0, str(harness.ROOT / "tests/golden"))

import make_draws  # noqa: E402
from tidemill import draws  # noqa: E402


def test_the_golden_file_is_what_the_library_draws():
    assert make_draws.text() == (harness.ROOT / "tests/golden/draws.txt").read_text()


def test_the_examples_of_the_library():
    assert doctest.testmod(draws).failed == 0


def test_one_seed_ranks_the_same_way_whatever_the_order_of_the_candidates():
    beliefs = {f"d{i}": (1 + i % 7, 20 + i) for i in range(50)}

    def rank(docs):
        score = {d: draws.Draw(17, 1, draws.draw_key(d)).beta(*beliefs[d]) for d in docs}
        return sorted(docs, key=score.get)

    assert rank(list(beliefs)) == rank(list(reversed(beliefs)))
