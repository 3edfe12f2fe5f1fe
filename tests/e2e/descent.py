"""What must be believed of a document after a list of samples: a vector and a bias by stochastic gradients, as plainly as
it can be written. Weights and what the optimizers keep are rounded to float32, everything computed is double."""

import math
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))

from tidemill.draws import Draw, draw_key  # noqa: E402

FOR_VECTOR = 1  # what first vectors are drawn for, in the place of a version


def single(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


class AdaGrad:
    def __init__(self, size, rate):
        self.rate, self.squares = rate, [0.0] * size

    def step(self, weights, gradient):
        for i, g in enumerate(gradient):
            squares = self.squares[i] + g * g
            weights[i] = single(weights[i] - self.rate * g / (math.sqrt(squares) + 1e-6))
            self.squares[i] = single(squares)


class Adam:
    def __init__(self, size, rate):
        self.rate, self.steps = rate, 0
        self.mean, self.square = [0.0] * size, [0.0] * size

    def step(self, weights, gradient):
        self.steps += 1
        for i, g in enumerate(gradient):
            mean = 0.9 * self.mean[i] + (1 - 0.9) * g
            square = 0.999 * self.square[i] + (1 - 0.999) * g * g
            root = math.sqrt(square / (1 - 0.999**self.steps))
            weights[i] = single(weights[i] - self.rate * mean / (1 - 0.9**self.steps) / (root + 1e-6))
            self.mean[i], self.square[i] = single(mean), single(square)


class Sgd:
    def __init__(self, size, rate):
        self.rate = rate

    def step(self, weights, gradient):
        for i, g in enumerate(gradient):
            weights[i] = single(weights[i] - self.rate * g)


class Embedding:
    """One document; lives again when it has expired. clip 1, l2 0."""

    def __init__(self, doc, size, optimizer, rate, bias=0.0, admit_at=1, expire_after=None, squared=False):
        self.doc, self.size, self.optimizer, self.rate, self.bias = doc, size, optimizer, rate, bias
        self.admit_at, self.expire_after, self.squared = admit_at, expire_after, squared
        self.newest, self.fates = None, {"learned": 0, "admission": 0, "corrected": 0, "gone": 0}
        self._begin()

    def _begin(self):
        self.seen, self.learned, self.vector = 0, set(), None

    def _admit(self):
        draw = Draw(0, FOR_VECTOR, draw_key(self.doc))
        self.vector = [single(0.01 * draw.normal()) for _ in range(self.size)]
        self.offset = [single(self.bias)]
        self.of_vector, self.of_offset = self.optimizer(self.size, self.rate), self.optimizer(1, self.rate)

    def expired(self, now):
        return self.expire_after is not None and self.newest is not None and now - self.newest > self.expire_after

    def _move(self, x, slope):
        gradient = [slope * v for v in x]
        for optimizer, weights, g in ((self.of_vector, self.vector, gradient), (self.of_offset, self.offset, [slope])):
            length = math.sqrt(sum(v * v for v in g))
            optimizer.step(weights, [v / length for v in g] if length > 1 else g)

    def _expected(self, x):
        score = sum(a * b for a, b in zip(x, self.vector)) + self.offset[0]
        return score if self.squared else 1 / (1 + math.exp(-score))

    def learn(self, sample, time, now, x, reward):
        if self.expired(now):
            self._begin()
        self.newest = time if self.newest is None else max(time, self.newest)
        self.seen += 1
        if self.vector is None:
            if self.seen < self.admit_at:
                self.fates["admission"] += 1
                return
            self._admit()
        self.learned.add(sample)
        self.fates["learned"] += 1
        self._move(x, self._expected(x) - reward)

    def correct(self, sample, now, x, before, after):
        if sample not in self.learned or self.expired(now):
            self.fates["gone"] += 1
            return
        self.fates["corrected"] += 1
        self._move(x, before - after)

    def values(self, now):
        if self.vector is None or self.expired(now):
            return [0.0] * self.size + [self.bias]
        return self.vector + self.offset
