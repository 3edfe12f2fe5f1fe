"""The Open Bandit data of data/obd as events: a log row is one impression, with a request id of its own."""

import csv

from local_server import ROOT

DATA = ROOT / "data" / "obd"
POLICIES = ("random", "bts")
LEVELS = (3, 5, 9, 10)  # of the user features uf0 to uf3


def one_hot(row):
    """The four user features, each level a feature of its own: the places of the ones among 27."""
    first, places = 0, []
    for i, levels in enumerate(LEVELS):
        places.append(first + int(row[f"uf{i}"]))
        first += levels
    return {"i": places, "v": [1] * len(places)}


def shown_by(policy, campaign):
    """(event, clicked) of each row; the version is the policy."""
    with open(DATA / f"{policy}-{campaign}.csv", newline="") as f:
        for row in csv.DictReader(f):
            event = {
                "stream": "impressions",
                "request": f"{policy}-{campaign}-{row['row']}",
                "doc": row["item_id"],
                "version": policy,
                "time": int(row["ts_us"]) // 1000,
                "propensity": float(row["propensity_score"]),
                "position": int(row["position"]),
                "features": one_hot(row),
            }
            yield event, row["click"] == "1"
