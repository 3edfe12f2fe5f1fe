"""Writes tests/golden/optimizers.txt, in numpy: tests/golden/make_optimizers.py >tests/golden/optimizers.txt

Every optimizer of learner/optimizer.h, written down again from its source with whole arrays: state in float32, computed
in float64, as the C side says it does.
"""

import numpy as np

HEAD = """# Written by make_optimizers.py; read by tests/unit/optimizer_test.c. One case after the other:
#   name size steps rate momentum beta1 beta2 epsilon beta l1 l2 clip
#   weights at the beginning; steps gradients; weights at the end; slots at the end"""

FIELDS = ["rate", "momentum", "beta1", "beta2", "epsilon", "beta", "l1", "l2", "clip"]
BASE = dict(rate=0.05, momentum=0.9, beta1=0.9, beta2=0.99, epsilon=1e-6, beta=1.0, l1=0.0, l2=0.0, clip=1e6)


def wide(*arrays):
    return [a.astype(np.float64) for a in arrays]


def narrow(*arrays):
    return [np.asarray(a, np.float64).astype(np.float32) for a in arrays]


def sgd(o, w, slots, g):
    return w - o["rate"] * g, slots


def momentum(o, w, slots, g):
    u = o["momentum"] * slots[0] + g
    return w - o["rate"] * u, [u]


def adagrad(o, w, slots, g):
    n = slots[0] + g**2
    return w - o["rate"] * g / (np.sqrt(n) + o["epsilon"]), [n]


def adagrad_row(o, w, slots, g):
    n = slots[0] + np.mean(g**2)
    return w - o["rate"] / (np.sqrt(n) + o["epsilon"]) * g, [n]


def adam(o, w, slots, g):
    m = o["beta1"] * slots[0] + (1 - o["beta1"]) * g
    v = o["beta2"] * slots[1] + (1 - o["beta2"]) * g**2
    t = slots[2] + 1
    step = (m / (1 - o["beta1"] ** t)) / (np.sqrt(v / (1 - o["beta2"] ** t)) + o["epsilon"])
    return w - o["rate"] * step, [m, v, t]


def ftrl(o, w, slots, g):
    z, n = slots
    z = z + g - (np.sqrt(n + g**2) - np.sqrt(n)) / o["rate"] * w
    n = n + g**2
    z, n = wide(*narrow(z, n))
    divisor = (o["beta"] + np.sqrt(n)) / o["rate"] + o["l2"]
    return np.where(np.abs(z) <= o["l1"], 0, -(z - np.sign(z) * o["l1"]) / divisor), [z, n]


KINDS = {
    "sgd": (sgd, lambda n: []),
    "momentum": (momentum, lambda n: [np.zeros(n)]),
    "adagrad": (adagrad, lambda n: [np.zeros(n)]),
    "adagrad_row": (adagrad_row, lambda n: [np.zeros(1)]),
    "adam": (adam, lambda n: [np.zeros(n), np.zeros(n), np.zeros(1)]),
    "ftrl": (ftrl, lambda n: [np.zeros(n), np.zeros(n)]),
}


def numbers(values):
    return " ".join(repr(float(v)) for v in np.concatenate([np.atleast_1d(v) for v in values]))


def case(random, name, size, steps, **changes):
    o = BASE | changes
    step, begin = KINDS[name]
    print(name, size, steps, *[repr(float(o[f])) for f in FIELDS])
    w, slots = np.zeros(size, np.float32), begin(size)
    if name != "ftrl":
        w = random.normal(0, 0.5, size).astype(np.float32)
    print(numbers([w]))
    for _ in range(steps):
        g = random.normal(0, 1, size)
        print(numbers([g]))
        w64, slots = wide(w, *slots)[0], wide(*slots)
        length = np.linalg.norm(g)
        g = g * min(1, o["clip"] / length)
        if name != "ftrl":
            g = g + o["l2"] * w64
        w64, slots = step(o, w64, slots, g)
        w, *slots = narrow(w64, *slots)
    print(numbers([w]))
    print(numbers(slots) if slots else "")


def main():
    random = np.random.default_rng(20260)
    print(HEAD)
    for name in KINDS:
        for size in (1, 3, 8, 17):
            case(random, name, size, 8)
        case(random, name, 5, 12, rate=0.3, l2=0.02, clip=1.5, momentum=0.5, beta1=0.8, beta2=0.9, l1=0.4, beta=0.5)


main()
