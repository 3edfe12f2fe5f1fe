"""River on the same examples: logistic regression, a model per document, and Thompson sampling.

Features are dictionaries, made before the clock is started. CPU of predict_proba_one and learn_one together, because
neither tells the other what it found; log loss progressive.
"""

import math
import time

import river.bandit
import river.linear_model
import river.optim
import river.proba
import world

CHUNK = 10_000  # examples whose dictionaries are there at once
ARMS, DECISIONS, ROUNDS = 100, 1_000, 3


def new_model():
    """The best of a few tried: rates that fall with the square root of the examples."""
    falling = river.optim.schedulers.InverseScaling
    return river.linear_model.LogisticRegression(
        optimizer=river.optim.SGD(falling(0.1, 0.5)), intercept_lr=falling(1, 0.5)
    )


def learn(records):
    """Microseconds of CPU per example, and the log loss: a model per document."""
    models = [new_model() for _ in range(world.DOCUMENTS)]
    names = [str(i) for i in range(world.FEATURES)]
    cpu, loss = 0, 0
    for first in range(0, len(records), CHUNK):
        part = records[first : first + CHUNK]
        examples = [
            (models[doc], dict(zip(names, x)), bool(label))
            for doc, label, x in zip(part["document"].tolist(), part["label"].tolist(), part["x"].tolist())
        ]
        predicted = []
        began = time.thread_time()
        for model, x, y in examples:
            predicted.append(model.predict_proba_one(x)[y])
            model.learn_one(x, y)
        cpu += time.thread_time() - began
        loss -= sum(math.log(max(p, 1e-15)) for p in predicted)
    return cpu / len(records) * 1e6, loss / len(records)


def decide():
    """Microseconds of CPU per decision among 100 Beta arms, one value a round, after an update of each."""
    policy = river.bandit.ThompsonSampling(reward_obj=river.proba.Beta(), seed=1)
    arms = list(range(ARMS))
    for i in range(20 * ARMS):
        policy.update(i % ARMS, i % 8 == 0)
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(DECISIONS):
            policy.pull(arms)
        rounds.append((time.thread_time() - began) / DECISIONS * 1e6)
    return rounds
