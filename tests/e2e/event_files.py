"""Seeded event files with all that live traffic does: disorder, repeats, orphans, late clicks, other versions."""

import json
import random

T0 = 1_700_000_000_000  # ms
WINDOW, WITHIN = 10_000, 60_000  # of harness.config()
DISORDER = 4_000  # less than out_of_orderness


def generate(seed, requests=1500, spacing=150, docs=40):
    """Events in the order in which they arrive: by time, each delayed by up to DISORDER ms."""
    rng = random.Random(seed)
    arrivals = []

    def arrive(event, copies=1):
        for _ in range(copies):
            arrivals.append((event["time"] + rng.randrange(DISORDER), len(arrivals), event))

    for n in range(requests):
        time = T0 + n * spacing
        shown = rng.sample(range(docs), rng.randint(1, 3))
        version = rng.choice("AB")
        for doc in shown:
            arrive(_impression(rng, n, doc, version, time), 2 if rng.random() < 0.03 else 1)
            for k in range(rng.choice((0, 0, 0, 1, 1, 2))):
                click = _click(rng, n, doc, version, time, k)
                arrive(click, rng.choice((1, 1, 1, 3)) if click.get("version", version) == version else 1)
        if rng.random() < 0.05:  # a click on something nobody showed
            arrive(_click(rng, n, docs, version, time, 0), rng.choice((1, 2)))
    return [event for _, _, event in sorted(arrivals, key=lambda a: a[:2])]


def _impression(rng, n, doc, version, time):
    return {
        "stream": "impressions",
        "request": f"r{n}",
        "doc": f"d{doc}",
        "version": version,
        "time": time,
        "propensity": round(rng.uniform(0.01, 1), 4),
        "position": rng.randint(1, 3),
    }


def _click(rng, n, doc, version, time, k):
    """In the window, later (a correction), too late, or before the impression; a few are of another version."""
    delay = rng.choice(
        (
            rng.randint(0, WINDOW),
            rng.randint(0, WINDOW),
            rng.randint(WINDOW + 1, WITHIN),
            rng.randint(WITHIN + 1, 2 * WITHIN),
            rng.randint(-1500, -1),
        )
    )
    event = {"stream": "clicks", "request": f"r{n}", "doc": f"d{doc}", "time": time + delay, "event": f"c{n}-{doc}-{k}"}
    if rng.random() < 0.3:
        event["version"] = version if rng.random() < 0.8 else {"A": "B", "B": "A"}[version]
    return event


def write(path, events):
    path.write_text("".join(json.dumps(e) + "\n" for e in events))
    return path
