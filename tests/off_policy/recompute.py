#!/usr/bin/python3
"""Off-policy estimates on the Open Bandit data: learner/off_policy.c against this file, and both against its reference.

usage: tests/off_policy/recompute.py PATH/TO/off_policy_rows

For every campaign the value of one of the two policies is estimated from the log of the other, with the plainest formulas
of the Open Bandit Pipeline over lists of rows. The C must agree to 1e-9, with and without clipping; IPS, SNIPS and what
they say of themselves must be the figures of data/obd/reference/ope.json. DR's model of the reward is the click rate of a
position, so it gives what IPS gives up to the chance in the weights: that is checked, too.
"""

import collections
import csv
import json
import math
import pathlib
import subprocess
import sys

DATA = pathlib.Path(__file__).resolve().parents[2] / "data/obd"
CAMPAIGNS = ["men", "women", "all"]
CLIPS = [math.inf, 5.0]
AGREE = 1e-9

Row = collections.namedtuple("Row", "item position click propensity")


def read_log(policy, campaign):
    with open(DATA / f"{policy}-{campaign}.csv", newline="", encoding="ascii") as file:
        return [
            Row(int(row["item_id"]), int(row["position"]), int(row["click"]), float(row["propensity_score"]))
            for row in csv.DictReader(file)
        ]


def frequencies(rows):
    """How often an item was shown at a position: the policy that made the log, as far as it can be seen."""
    shown = collections.Counter((row.position, row.item) for row in rows)
    at = collections.Counter(row.position for row in rows)
    return {key: count / at[key[0]] for key, count in shown.items()}


def rate_of_position(rows):
    shown = collections.Counter(row.position for row in rows)
    clicks = collections.Counter(row.position for row in rows if row.click)
    return {position: clicks[position] / shown[position] for position in shown}


def with_target(rows, target):
    """(propensity, target, reward, q of the target's choice, q of the logged one): q knows the position alone."""
    q = rate_of_position(rows)
    return [(row.propensity, target(row), row.click, q[row.position], q[row.position]) for row in rows]


def mean(values):
    return math.fsum(values) / len(values)


def error(values):
    """The standard error of their mean."""
    center = mean(values)
    return math.sqrt(math.fsum((x - center) ** 2 for x in values) / len(values) / (len(values) - 1))


def recompute(decisions, clip):
    weights = [target / propensity for propensity, target, *_ in decisions]
    kept = [min(weight, clip) for weight in weights]
    rewards = [decision[2] for decision in decisions]
    ips = [v * r for v, r in zip(kept, rewards)]
    snips = mean(ips) / mean(kept)
    dr = [q + v * (r - chosen) for v, (_, _, r, q, chosen) in zip(kept, decisions)]
    return {
        "ips": mean(ips),
        "ips_error": error(ips),
        "snips": snips,
        "snips_error": math.sqrt(math.fsum((v * (r - snips)) ** 2 for v, r in zip(kept, rewards))) / math.fsum(kept),
        "dr": mean(dr),
        "dr_error": error(dr),
        "weight": mean(weights),
        "weight_error": error(weights),
        "effective": math.fsum(weights) ** 2 / math.fsum(w * w for w in weights),
        "weight_max": max(weights),
        "clipped": mean([weight > clip for weight in weights]),
    }


def ask(program, decisions, clip):
    text = "\n".join(" ".join(map(repr, decision)) for decision in decisions)
    answer = subprocess.run([program, repr(clip)], input=text, text=True, check=True, stdout=subprocess.PIPE).stdout
    return {name: float(value) for name, value in (line.split() for line in answer.splitlines())}


def close(a, b, relative):
    return math.isclose(a, b, rel_tol=relative, abs_tol=1e-15)


def compare(label, got, want, relative):
    wrong = [name for name in want if not close(got[name], want[name], relative)]
    for name in wrong:
        print(f"{label}: {name} is {got[name]!r}, not {want[name]!r}")
    return not wrong


REFERENCE = {"ipw": "ips", "ipw_se": "ips_error", "snipw": "snips", "snipw_se": "snips_error",
             "mean_weight": "weight", "max_weight": "weight_max", "ess": "effective"}


def check(program, name, decisions, reference):
    good = True
    for clip in CLIPS:
        got, want = ask(program, decisions, clip), recompute(decisions, clip)
        good &= compare(f"{name}, clip {clip}: C", got, want, AGREE)
        if clip == math.inf:
            published = {ours: reference[theirs] for theirs, ours in REFERENCE.items()}
            good &= compare(f"{name}: against the reference", got, published, 1e-9)
            # q is at most 1 %, the same for all actions of a position: DR moves IPS by that times (1 - mean weight).
            good &= abs(got["dr"] - got["ips"]) <= 0.01 * max(0.1, abs(got["weight"] - 1))
            print(f"{name}: IPS {got['ips']:.5f}, SNIPS {got['snips']:.5f} +- {got['snips_error']:.5f}, "
                  f"DR {got['dr']:.5f} +- {got['dr_error']:.5f}, effective {got['effective']:.1f}")
    return good


def main(program):
    good = True
    reference = json.loads((DATA / "reference/ope.json").read_text())
    for campaign in CAMPAIGNS:
        random, bts = read_log("random", campaign), read_log("bts", campaign)
        shown, items = frequencies(bts), 1 + max(row.item for row in random)
        cases = {
            "bts_value_from_random_log": with_target(random, lambda row: shown.get((row.position, row.item), 0.0)),
            "random_value_from_bts_log": with_target(bts, lambda row: 1 / items),
        }
        for name, decisions in cases.items():
            good &= check(program, f"{campaign}: {name}", decisions, reference[campaign][name])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
