"""The Python half of draws and policies gives what the golden files say; the C half is held to them by
tests/unit/draw_test.c and policy_test.c."""

import doctest
import sys

import harness

sys.path.insert(0, str(harness.ROOT / "python"))
sys.path.insert(0, str(harness.ROOT / "tests/golden"))

import make_draws  # noqa: E402
import make_policy  # noqa: E402
import pytest  # noqa: E402
from tidemill import draws, policy  # noqa: E402


@pytest.mark.parametrize("writer", [make_draws, make_policy])
def test_the_golden_files_are_what_the_library_gives(writer):
    golden = harness.ROOT / "tests/golden" / writer.__name__.replace("make_", "")
    assert writer.text() == golden.with_suffix(".txt").read_text()


@pytest.mark.parametrize("module", [draws, policy])
def test_the_examples_of_the_library(module):
    assert doctest.testmod(module).failed == 0


def test_one_seed_ranks_the_same_way_whatever_the_order_of_the_candidates():
    beliefs = {f"d{i}": (1 + i % 7, 20 + i) for i in range(50)}

    def rank(docs):
        score = {d: draws.Draw(17, 1, draws.draw_key(d)).beta(*beliefs[d]) for d in docs}
        return sorted(docs, key=score.get)

    assert rank(list(beliefs)) == rank(list(reversed(beliefs)))
