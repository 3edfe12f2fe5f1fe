"""Writes tests/golden/draws.txt from python/tidemill/draws.py: tests/golden/make_draws.py >tests/golden/draws.txt

The C side must read the same numbers out of the file, so both are wrong together or not at all; that what they make is
random and of the right distribution is tested elsewhere (tests/unit/draw_test.c).
"""

import pathlib
import random
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))

from tidemill.draws import MASK32, MASK64, STEP, Draw, draw_key, mix, probability  # noqa: E402

HEAD = """# What learner/draw.c and python/tidemill/draws.py must both give, bit for bit; written by make_draws.py.
#
# splitmix         state, the five numbers behind it; as other implementations of SplitMix64 give them
# key              text, result
# probability      score, result
# uniform, normal  seed, version, item, then the stream's first four numbers
# beta             seed, version, item, a, b, then the stream's first four scores
# many             a, b, n, then h: over the first scores of the streams (1, 2, item), item < n, and over their
#                  probabilities, each as 64 bits, h = 1000003 h + bits modulo 2^64: differences that few numbers show"""

MANY = 1000
STATES = [1234567, 0, MASK64]
SCORES = [0.0, -0.0, 1.0, -1.0, -1e-17, 36.7, -40.0, -700.0, -740.0, -745.1, -745.3, 800.0, -3.0, 2.5, -1e100]
STREAMS = [
    (0, 0, 0),
    (1, 2, 3),
    (MASK64, MASK32, MASK64),
    (draw_key("request-17"), 7, draw_key("d1")),
    (draw_key("request-17"), 7, draw_key("d2")),
    (draw_key("request-17"), 8, draw_key("d1")),
]
SHAPES = [(1, 1), (1, 20), (2, 48), (0.5, 0.7), (0.01, 0.02), (1e-3, 5), (5, 1e-3), (857, 12000), (1e6, 1e6), (1e6, 3),
          (1e12, 1e12), (1e-320, 1e-320), (0.999999, 1)]


def lines():
    more = random.Random(5)
    for state in STATES:
        yield "splitmix", *(f"{word:016x}" for word in (state, *(mix(state + i * STEP & MASK64) for i in range(1, 6))))
    for text in ["a", "d1", "request-17", "\u00e9\u00e8"]:
        yield "key", text, f"{draw_key(text):016x}"
    for x in SCORES + [more.uniform(-1, 1) * 10 ** more.randint(-3, 2) for _ in range(20)]:
        yield "probability", x.hex(), probability(x).hex()
    for kind, number in [("uniform", Draw.uniform), ("normal", Draw.normal)]:
        for name in STREAMS:
            draw = Draw(*name)
            yield kind, *stream_words(name), *(number(draw).hex() for _ in range(4))
    for shapes in SHAPES:
        a, b = map(float, shapes)
        for name in STREAMS[1:4:2]:
            draw = Draw(*name)
            yield "beta", *stream_words(name), a.hex(), b.hex(), *(draw.beta(a, b).hex() for _ in range(4))
        yield "many", a.hex(), b.hex(), f"{MANY:x}", f"{digest(a, b, MANY):016x}"


def bits(x):
    return struct.unpack("<Q", struct.pack("<d", x))[0]


def digest(a, b, count):
    h = 0
    for item in range(count):
        score = Draw(1, 2, item).beta(a, b)
        h = (1000003 * (1000003 * h + bits(score)) + bits(probability(score))) & MASK64
    return h


def stream_words(name):
    seed, version, item = name
    return f"{seed:016x}", f"{version:08x}", f"{item:016x}"


def text():
    return "\n".join([HEAD, *(" ".join(words) for words in lines())]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
