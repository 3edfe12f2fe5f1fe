"""The learner beside Vowpal Wabbit's and River's on the same examples, and a decision among 100 documents.

usage: compare.py [-o json]     from the top of the repository, after ./run has built peer_learn, with the Python of
                                build/peers/venv

What is counted on each side, and whom each choice favours, is in bench/README.md, "Peers".
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import stream
import vowpal
import world
from rows import median, print_rows, read_flags, row, say

OURS = "build/release/peer_learn"
FOLDER = "build/peers"
WORLDS = {"own": (0, 0.2), "shared": (0.15, 0.15)}  # standard deviations: common weights, a document's around them
US, LOSS = "us CPU/example", "nats/example"
FORMS = ["one by one", "in batches", "full"]


def best_of_vowpal(world_name, text, folder):
    """The setting with the smallest loss, what it costs from the cache and parsed, and all settings' rows."""
    cached = vowpal.Cached(text, folder)
    rows, found = [], {}
    for setting in vowpal.SETTINGS:
        say(f"peers: Vowpal Wabbit, {setting}")
        cpu, loss = cached.learn(setting, world.EXAMPLES)
        found[setting] = (loss, median(cpu))
        rows.append(row(f"peers/{world_name}/VW {setting}", median(cpu), US))
        rows.append(row(f"peers/{world_name}/VW {setting}: loss", loss, LOSS))
    best = min(found, key=found.get)
    return {"name": best, "loss": found[best][0], "cached": found[best][1],
            "parsed": median(vowpal.learn_parsed(best, text))}, rows  # fmt: skip


def compare_learning(name, folder):
    """Ours scores and learns each example, as Vowpal Wabbit's pass does; the aim is over its cheapest way."""
    say(f"peers: making examples, {name} weights")
    records = world.make(*WORLDS[name])
    binary, text = world.write(records, folder)
    ours = json.loads(subprocess.run([OURS, binary], stdout=subprocess.PIPE, check=True).stdout)
    vw, rows = best_of_vowpal(name, text, folder)
    say("peers: River")
    river_us, river_loss = stream.learn(records)
    for form in FORMS:
        cost, place = ours[form], f"peers/{name}/{form}"
        factor = 3 if form == FORMS[0] else None
        rows.append(row(f"{place} v VW parsed", cost["cpu_us"], US, "VW parsed", vw["parsed"], factor))
        rows.append(row(f"{place} v VW cached", cost["cpu_us"], US, "VW cached", vw["cached"]))
        rows.append(row(f"{place} v River", cost["cpu_us"], US, "River", river_us))
        rows.append(row(f"{place}: learn alone", cost["learn_us"], US))
        rows.append(row(f"{place}: loss v VW", cost["log_loss"], LOSS, f"VW {vw['name']}", vw["loss"], factor and 1))
        rows.append(row(f"{place}: loss v River", cost["log_loss"], LOSS, "River", river_loss))
    return rows, ours


def compare_decisions(ours):
    say("peers: decisions")
    unit = "us CPU/decision"
    linear, interacting, river = (median(d) for d in (vowpal.decide(""), vowpal.decide("-q ua"), stream.decide()))
    features, beta = (ours[f"Thompson, {m}"]["cpu_us"] for m in ("diagonal", "Beta"))
    return [
        row("peers/100 arms, features v VW -q ua", features, unit, "VW -q ua", interacting, factor=20),
        row("peers/100 arms, features v VW linear", features, unit, "VW linear", linear),
        row("peers/100 arms, Beta v VW linear", beta, unit, "VW linear", linear, factor=20),
        row("peers/100 arms, Beta v River", beta, unit, "River ThompsonSampling", river),
    ]


def main():
    flags = read_flags(__doc__)
    rows = []
    for name in WORLDS:
        with tempfile.TemporaryDirectory(prefix="examples-", dir=os.path.abspath(FOLDER)) as folder:
            learned, ours = compare_learning(name, folder)
        rows += learned
    rows += compare_decisions(ours)
    print_rows(rows, flags.output == "json")


if __name__ == "__main__":
    main()
