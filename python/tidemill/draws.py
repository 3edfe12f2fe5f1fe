"""Seeded draws for Thompson sampling: the same numbers, to the last bit, as the server's (learner/draw.h).

A stream of numbers is named by (seed, version, item): of one request, for one version, about one candidate. Who has the
name can repeat what the server drew, and rank as it did:

>>> from tidemill.draws import Draw, draw_key, probability
>>> score = Draw(draw_key("request 17"), 1, draw_key("d1")).beta(2.0, 48.0)
>>> score, probability(score)
(-3.248059815464188, 0.037396667759345664)

Scores are logits, ln(p / (1 - p)): compare those, because probabilities of tiny shapes all round to 0 or 1. The version
is its number, which never changes: `id` in `tidemill version show A`. To rank by what a Pull of it answered, here alpha
and beta of three documents:

>>> pulled = {"d1": (5, 58), "d2": (2, 57), "d4": (11, 54)}
>>> def drawn(doc):
...     return Draw(draw_key("request 17"), 1, draw_key(doc)).beta(*pulled[doc])
>>> sorted(pulled, key=drawn, reverse=True)
['d4', 'd1', 'd2']

The module needs Python 3 alone; PYTHONPATH=python in the repository's root finds it.
Only +, -, *, / and square roots of doubles are used, in the order of the C code, with an own logarithm and exponential:
no libm whose last bit might differ. Sources are named in learner/draw.h.
"""

from math import floor, frexp, ldexp, sqrt

LN2 = 0.6931471805599453
LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
SQRT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
SHAPE_MIN = 1e-100
EXP_MIN = -745.2
MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF
STEP = 0x9E3779B97F4A7C15


def log_of(x):
    """ln x of a normal positive x, within 2 ulp."""
    m, k = frexp(x)
    if m < SQRT_HALF:
        m, k = 2 * m, k - 1
    f = m - 1
    s = f / (2 + f)
    z = s * s
    z2 = z * z
    z4 = z2 * z2
    q0 = (2.0 / 3 + 2.0 / 5 * z) + (2.0 / 7 + 2.0 / 9 * z) * z2
    q1 = (2.0 / 11 + 2.0 / 13 * z) + (2.0 / 15 + 2.0 / 17 * z) * z2
    rest = s * z * (q0 + q1 * z4 + 2.0 / 19 * (z4 * z4))
    return k * LN2_HIGH + (2 * s + (rest + k * LN2_LOW))


def exp_of(x):
    """e^x of x <= 0, within 2 ulp."""
    if x < EXP_MIN:
        return 0.0
    k = float(floor(x / LN2 + 0.5))
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    total = 0.0
    for n in range(13, 1, -1):
        total = (total + 1) * r / n
    return ldexp(1 + (r + r * total), int(k))


def draw_key(text):
    """The number that a text (str or bytes) stands for, as a seed or an item: FNV-1a."""
    h = 0xCBF29CE484222325
    for byte in text.encode() if isinstance(text, str) else text:
        h = (h ^ byte) * 0x100000001B3 & MASK64
    return h


def mix(z):
    """SplitMix64's."""
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK64
    return z ^ z >> 31


def probability(score):
    """The probability of a score; 0 or 1 where nothing else is near."""
    e = exp_of(-abs(score))
    return (e if score < 0 else 1.0) / (1 + e)


class Draw:
    """One stream of numbers. Seed and item are integers of 64 bits, the version of 32, none negative."""

    def __init__(self, seed, version, item):
        state = mix(seed + STEP & MASK64)
        state = mix((state ^ version) + STEP & MASK64)
        self._state = mix((state ^ item) + STEP & MASK64)

    def _next(self):
        self._state = self._state + STEP & MASK64
        return mix(self._state)

    def uniform(self):
        """In (0, 1), both excluded."""
        return (float(self._next() >> 12) + 0.5) * 2.0**-52

    def normal(self):
        """Mean 0, variance 1."""
        while True:
            bits = self._next()
            u = (float(bits >> 32) + 0.5) * 2.0**-32
            v = 1.7156 * ((float(bits & MASK32) + 0.5) * 2.0**-32 - 0.5)
            x = u - 0.449871
            y = abs(v) + 0.386595
            q = x * x + y * (0.196 * y - 0.25472 * x)
            if q < 0.27597 or (q <= 0.27846 and v * v <= -4 * (u * u) * log_of(u)):
                return v / u

    def _gamma_large(self, shape):
        third = shape - 1.0 / 3
        c = 1 / sqrt(9 * third)
        while True:
            z = self.normal()
            t = 1 + c * z
            if t <= 0:
                continue
            v = t * t * t
            u = self.uniform()
            square = z * z
            if u < 1 - 0.0331 * (square * square) or log_of(u) < 0.5 * square + third * ((1 - v) + log_of(v)):
                return third * v

    def _gamma(self, shape):
        """A Gamma(shape, 1) variable, as a factor and the logarithm of another."""
        if shape >= 1:
            return self._gamma_large(shape), 0.0
        tiny = max(shape, SHAPE_MIN)
        factor = self._gamma_large(shape + 1)
        return factor, log_of(self.uniform()) / tiny

    def beta(self, a, b):
        """The score, ln(p / (1 - p)), of a Beta(a, b) variable; a, b > 0 and finite."""
        x, log_x = self._gamma(a)
        y, log_y = self._gamma(b)
        return (log_of(x / y) + log_x) - log_y
