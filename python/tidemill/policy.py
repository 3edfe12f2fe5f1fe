"""Rankings of candidates and their propensities: the same bits as the server's (learner/policy.h, which explains them).

>>> from tidemill.draws import draw_key
>>> from tidemill.policy import Arm, Policy, rank
>>> arms = [Arm.of_beta(draw_key(doc), a, b) for doc, a, b in [("d1", 5, 58), ("d2", 2, 57), ("d4", 11, 54)]]
>>> [choice.arm for choice in rank(Policy("thompson"), draw_key("request 17"), 1, arms)]
[2, 0, 1]
>>> best = rank(Policy("thompson", epsilon=0.02, reranks=1000), draw_key("request 17"), 1, arms)[0]
>>> best.arm, best.propensity
(2, 0.9288466666666666)

The module needs Python 3 alone; PYTHONPATH=python in the repository's root finds it.
"""

from math import floor, isnan, nan, sqrt
from typing import NamedTuple

from tidemill.draws import MASK64, STEP, Draw, exp_of, log_of, mix

TIES = 0x7469657300000000
SHUFFLE = 0x73687566666C6500
RERANK = 0x726572616E6B0000
SHAPE_MIN = 1e-100
TERM_MIN = 1e-290
EXACT_SHAPES = 512
ERF_SERIES_MAX = 2
ERF_TERMS = 40
ERF_LEVELS = 60
SQRT_PI = float.fromhex("0x1.c5bf891b4ef6ap+0")
SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")


class Policy(NamedTuple):
    """kind: thompson, ucb or greedy. reranks: 0, no estimated propensities; else 200 to 1000, and epsilon >= 0.01."""

    kind: str
    epsilon: float = 0.0
    width: float = 0.0
    reranks: int = 0


class Arm(NamedTuple):
    """A candidate: item is draw_key of its name; beta: shapes a, b; normal: mean and variance of the score."""

    item: int
    family: str
    a: float
    b: float

    @classmethod
    def of_beta(cls, item, a, b):
        return cls(item, "beta", float(a), float(b))

    @classmethod
    def of_score(cls, item, mean, variance):
        return cls(item, "normal", float(mean), float(variance))


class Choice(NamedTuple):
    """A place of a ranking. arm: index of the candidate; propensity: of it at this place, 0.0 if not asked for."""

    arm: int
    score: float
    propensity: float


def mean_of(arm):
    if arm.family == "normal":
        return arm.a
    return log_of(max(arm.a, SHAPE_MIN)) - log_of(max(arm.b, SHAPE_MIN))


def deviation_of(arm):
    if arm.family == "normal":
        return sqrt(arm.b)
    return sqrt(1 / max(arm.a, SHAPE_MIN) + 1 / max(arm.b, SHAPE_MIN))


def score(policy, seed, version, arm):
    """The score of one candidate, as rank() compares it."""
    if policy.kind == "thompson":
        draw = Draw(seed, version, arm.item)
        return draw.beta(arm.a, arm.b) if arm.family == "beta" else arm.a + sqrt(arm.b) * draw.normal()
    if policy.kind == "ucb":
        return mean_of(arm) + policy.width * deviation_of(arm)
    return mean_of(arm)


def erf_near(x):
    square = x * x
    term = total = x
    for n in range(1, ERF_TERMS):
        term = term * (2 * square) / (2 * n + 1)
        total += term
    return 2 / SQRT_PI * exp_of(-square) * total


def erfc_far(x):
    below = x
    for k in range(ERF_LEVELS, 0, -1):
        below = x + 0.5 * k / below
    return exp_of(-(x * x)) / SQRT_PI / below


def normal_cdf(z):
    x = abs(z) * SQRT_HALF
    tail = 0.5 - 0.5 * erf_near(x) if x <= ERF_SERIES_MAX else 0.5 * erfc_far(x)
    return tail if z < 0 else 1 - tail


def is_whole(x):
    return 1 <= x <= EXACT_SHAPES and floor(x) == x


def beta_beats(a, b, c, d):
    if not is_whole(a) or not is_whole(c) or a + c > EXACT_SHAPES:
        return nan
    term, total = 1.0, 0.0
    for j in range(int(c)):
        term = term * ((d + j) / (b + d + j))
    if term < TERM_MIN:
        return nan
    for i in range(int(a)):
        total += term
        term = term * ((c + i) / (c + i + b + d)) * ((b + i) / (1 + i))
    return min(total, 1.0)


def beats(first, second):
    """P(a draw of the first is above one of the second), where it has a closed form; nan where not."""
    if first.family != second.family:
        return nan
    if first.family == "beta":
        return beta_beats(first.a, first.b, second.a, second.b)
    ahead, variance = first.a - second.a, first.b + second.b
    if variance > 0:
        return normal_cdf(ahead / sqrt(variance))
    return 1.0 if ahead > 0 else 0.0 if ahead < 0 else 0.5


def chance(seed, purpose, version, item):
    return Draw(seed ^ purpose, version, item).uniform()


def order(policy, seed, version, arms, shuffled):
    """Indices of the arms, best first, and their scores."""
    scores = [score(policy, seed, version, arm) for arm in arms]
    key = [
        (0.0 if shuffled else -scores[i], -chance(seed, TIES, version, arm.item), arm.item, i)
        for i, arm in enumerate(arms)
    ]
    return sorted(range(len(arms)), key=key.__getitem__), scores


def fixed_propensities(scores, chosen):
    result = []
    for place, arm in enumerate(chosen):
        above = sum(other > scores[arm] for other in scores)
        equal = scores.count(scores[arm])
        result.append(1.0 / equal if above <= place < above + equal else 0.0)
    return result


def thompson_propensities(policy, seed, version, arms, chosen):
    """None: not asked for, and no closed form."""
    if len(arms) == 1:
        return [1.0]
    ahead = beats(*arms) if len(arms) == 2 else nan
    if not isnan(ahead):
        return [ahead if arm == place else 1 - ahead for place, arm in enumerate(chosen)]
    if policy.reranks == 0:
        return None
    hits = [0.0] * len(chosen)
    for i in range(policy.reranks):
        again, _ = order(policy, mix((seed ^ RERANK) + i * STEP & MASK64), version, arms, False)
        for place, arm in enumerate(chosen):
            hits[place] += again[place] == arm
    return [count / policy.reranks for count in hits]


def rank(policy, seed, version, arms, places=None):
    """The first `places` (None: all) of the ranking: a list of Choice."""
    shuffled = chance(seed, SHUFFLE, version, 0) < policy.epsilon
    indices, scores = order(policy, seed, version, arms, shuffled)
    chosen = indices[:places]
    if policy.kind == "thompson":
        propensities = thompson_propensities(policy, seed, version, arms, chosen) if chosen else []
    else:
        propensities = fixed_propensities(scores, chosen)
    if propensities is None:
        return [Choice(arm, scores[arm], 0.0) for arm in chosen]
    floor_of_all = policy.epsilon / len(arms) if arms else 0.0
    return [
        Choice(arm, scores[arm], (1 - policy.epsilon) * propensity + floor_of_all)
        for arm, propensity in zip(chosen, propensities)
    ]
