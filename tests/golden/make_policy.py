"""Writes tests/golden/policy.txt from python/tidemill/policy.py: tests/golden/make_policy.py >tests/golden/policy.txt

The C side must read the same numbers out of the file (tests/unit/policy_test.c).
"""

import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))

from tidemill.draws import MASK64, draw_key  # noqa: E402
from tidemill.policy import Arm, Policy, beats, rank  # noqa: E402

HEAD = """# What learner/policy.c and python/tidemill/policy.py must both give, bit for bit; written by make_policy.py.
#
# beats  family, a, b of both arms, then P(the first is above the second); nan: no closed form
# rank   kind, epsilon, width, reranks, seed, version, number of arms, places; the arms are random_arms(seed, number), as
#        policy_test.c makes them too; then index, score and propensity of every place"""

PAIRS = [
    ("beta", 21, 481, 13, 489), ("beta", 1, 1, 1, 1), ("beta", 1, 20, 2, 48), ("beta", 3, 0.25, 5, 7.5),
    ("beta", 200, 9000, 190, 9100), ("beta", 200, 2, 190, 1e9), ("beta", 1.5, 20, 1, 20), ("beta", 500, 600, 500, 600),
    ("normal", 0, 1, 0, 1), ("normal", -3, 0.5, -2.5, 0.25), ("normal", 5, 0.01, 4, 0.02), ("normal", 0, 1, 40, 1),
    ("normal", 1, 0, 1, 0), ("normal", 2, 0, 1, 0), ("normal", 1, 0, 2, 0), ("normal", 0, 2, 6, 2), ("normal", 3, 1, -3, 0.1),
]
POLICIES = [
    Policy("thompson"), Policy("thompson", 0.05, 0.0, 200), Policy("thompson", 1.0, 0.0, 200), Policy("ucb", 0.0, 1.5),
    Policy("ucb", 0.5, 0.0), Policy("greedy"), Policy("greedy", 0.1), Policy("greedy", 1.0),
]
SIZES = [(1, 1), (2, 2), (2, 1), (3, 0), (7, 3), (40, 40), (50, 9)]


def random_arms(seed, count):
    """Betas and normals, some of them equal, made of whole numbers so that C makes the same."""
    state, arms = seed, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK64
        kind, first, second = state >> 33 & 3, state >> 40 & 7, state >> 50 & 31
        if kind == 0 and count != 2:
            arms.append(Arm.of_score(state, -first / 2.0, second / 16.0))
        else:
            arms.append(Arm.of_beta(state, first + 1.0, 4.0 * second + (1.5 if kind == 1 else 1.0)))
    return arms


def lines():
    more = random.Random(3)
    for family, *numbers in PAIRS:
        a, b, c, d = map(float, numbers)
        value = beats(Arm(1, family, a, b), Arm(2, family, c, d))
        yield "beats", family, a.hex(), b.hex(), c.hex(), d.hex(), value.hex()
    for policy in POLICIES:
        for count, places in SIZES:
            seed, version = draw_key(f"request-{more.random()}"), more.randrange(2**32)
            choices = rank(policy, seed, version, random_arms(seed, count), places)
            yield ("rank", policy.kind, policy.epsilon.hex(), policy.width.hex(), f"{policy.reranks:x}", f"{seed:016x}",
                   f"{version:08x}", f"{count:x}", f"{places:x}",
                   *(word for c in choices for word in (f"{c.arm:x}", c.score.hex(), c.propensity.hex())))


def text():
    return "\n".join([HEAD, *(" ".join(words) for words in lines())]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
