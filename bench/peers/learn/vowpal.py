"""Vowpal Wabbit on the same examples: log loss and CPU from its cache, CPU of parsed examples, and decisions.

cached    the command line reads its own cache (the text parsed before), learns in one pass, and says its progressive
          loss; CPU of the process, less that of a run on nothing. Unpacking the cache is in it.
parsed    Python holds parsed examples and calls learn() for each; CPU of the passes behind the first, which over
          cold memory costs twice as much. No parsing is in it; the call from Python is.
decision  predict() of --cb_explore_adf for 100 actions that are parsed already; the choice by the probabilities that it
          returns is not in it.
"""

import os
import random
import re
import resource
import subprocess
import sys
import time

import vowpalwabbit

BASE = ["--loss_function", "logistic", "--link", "logistic", "-b", "18"]
# As published for logistic regression, and three that have a weight per (document, feature): the last is the best of
# the few rates of FTRL that were tried.
SETTINGS = {
    "no interactions": [],
    "-q fd": ["-q", "fd"],
    "-q fd --ignore_linear f": ["-q", "fd", "--ignore_linear", "f"],
    "-q fd --ftrl --ftrl_alpha 0.05": ["-q", "fd", "--ftrl", "--ftrl_alpha", "0.05"],
}
ROUNDS = 3
PARSED = 50_000
ARMS, SHARED, OF_ARM, DECISIONS = 100, 8, 8, 2_000


def run(arguments):
    """CPU seconds of the process, and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "vowpalwabbit", *BASE, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu, (done.stdout + done.stderr).decode()


class Cached:
    """The text's cache, and that of one example, which tells what starting up costs."""

    def __init__(self, text, folder):
        self.data = {}
        one = os.path.join(folder, "one.vw")
        with open(text) as f, open(one, "w") as out:
            out.write(f.readline())
        for name, path in (("all", text), ("one", one)):
            self.data[name] = ["-d", path, "--cache_file", os.path.join(folder, f"{name}.cache")]
            run([*self.data[name], "-k"])  # makes the cache anew; later runs read it instead of the text

    def learn(self, setting, examples):
        """Microseconds of CPU per example, one value a round, and the progressive log loss."""
        cpu = []
        for _ in range(ROUNDS):
            start, _ = run([*SETTINGS[setting], *self.data["one"]])
            whole, said = run([*SETTINGS[setting], *self.data["all"]])
            cpu.append((whole - start) / examples * 1e6)
        if int(re.search(r"number of examples = (\d+)", said)[1]) != examples:
            raise SystemExit(f"peers: Vowpal Wabbit did not read all examples: {said}")
        return cpu, float(re.search(r"average loss = (\S+)", said)[1])


def learn_parsed(setting, text):
    """Microseconds of CPU per example, one value a pass."""
    vw = vowpalwabbit.Workspace(" ".join(["--quiet", *BASE, *SETTINGS[setting]]))
    with open(text) as f:
        examples = [vw.parse(f.readline()) for _ in range(PARSED)]
    passes = []
    for _ in range(1 + ROUNDS):
        began = time.process_time()
        for example in examples:
            vw.learn(example)
        passes.append((time.process_time() - began) / len(examples) * 1e6)
    for example in examples:
        vw.finish_example(example)
    return passes[1:]


def number(of):
    return f"{of.uniform(-1.732, 1.732):.3f}"


def question(of, arms, labelled=None):
    """One decision as text: what is shared, then the arms; one of them labelled action:cost:probability."""
    lines = ["shared |u " + " ".join(f"{i}:{number(of)}" for i in range(SHARED))]
    for arm, features in enumerate(arms):
        label = f"0:{-(of.random() < 0.125):d}:{1 / ARMS} " if arm == labelled else ""
        lines.append(f"{label}|a id{arm} {features}")
    return lines


def decide(options):
    """Microseconds of CPU per decision, one value a round, after learning as many."""
    of = random.Random(1)
    vw = vowpalwabbit.Workspace(f"--quiet -b 18 --cb_explore_adf --epsilon 0.1 {options}")
    arms = [" ".join(f"{i}:{number(of)}" for i in range(OF_ARM)) for _ in range(ARMS)]
    for _ in range(DECISIONS):
        vw.learn(question(of, arms, labelled=of.randrange(ARMS)))
    questions = [vw.parse(question(of, arms)) for _ in range(DECISIONS // 4)]
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for parsed in questions:
            vw.predict(parsed)
        rounds.append((time.process_time() - began) / len(questions) * 1e6)
    return rounds
