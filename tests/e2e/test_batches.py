"""Batches and learning by event time: two interleavings of the same events make the same bits, over kill -9."""

import random
import urllib.request

import harness
import pytest
from test_features import packed
from event_files import T0

CONFIG = """
shards: 2
threads: 2
commit: { interval: 100ms }
join: { key: [request, doc], window: 10s, allowed_lateness: 60s }
streams:
  - { name: impressions, kind: impression, out_of_orderness: 1h }
  - { name: clicks, kind: action, out_of_orderness: 1h }
labels:
  - { name: click, stream: clicks }
versions:
  - { name: X, model: lr, dimension: 2, order: event_time, batch: { samples: 6, positive_ratio: 0.6, age: 20s } }
  - { name: Y, model: lr, dimension: 2, order: event_time, batch: { samples: 6, positive_ratio: 0.6, age: 20s } }
  - { name: X-arrival, model: lr, dimension: 2, samples_from: [X] }
  - { name: Y-arrival, model: lr, dimension: 2, samples_from: [Y] }
  - { name: X-vectors, model: embedding, dimension: 2, order: event_time, batch: { samples: 4, age: 20s }, samples_from: [X] }
  - { name: Y-vectors, model: embedding, dimension: 2, order: event_time, batch: { samples: 4, age: 20s }, samples_from: [Y] }
  - { name: diagonal, model: lr, dimension: 2, covariance: diagonal, batch: { samples: 8 }, samples_from: [X], validate: on }
"""
SHOWN, SLICE = 120, 5_000


def story(version, seed):
    """Impressions and clicks of one version, by time. Another version's differ in their requests alone."""
    rng = random.Random(seed)
    events = []
    for n in range(SHOWN):
        time = T0 + 700 * n
        key = {"request": f"{version}{n}", "doc": f"d{rng.randrange(3)}"}
        features = [rng.randrange(-8, 9) / 4 for _ in range(2)]
        events.append({"stream": "impressions", "version": version, "time": time, "features": features, **key})
        if rng.random() < 0.4:  # half of them behind the window
            events.append({"stream": "clicks", "time": time + rng.randrange(20_000), "event": f"{version}{n}", **key})
    return sorted(events, key=lambda e: e["time"])


def feed(server, x, y, start, end):
    """X's events in their order, as time passes; Y's clicks half a minute early, its impressions newest first."""
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        for time in range(start, end, SLICE):
            events = [e for e in x if time <= e["time"] < time + SLICE]
            for stream, ahead in (("clicks", 30_000), ("impressions", 0)):
                first = time + ahead if time > T0 else T0
                mine = [e for e in y if e["stream"] == stream and first <= e["time"] < time + ahead + SLICE]
                events += reversed(mine)
            assert not call.batch(call.sequence + 1, [packed(e) for e in events]).rejected
            call.watermarks(time + SLICE)
        call.cancel()


def test_the_interleaving_changes_no_bit(make_server):
    x, y = story("X", 5), story("Y", 5)
    server = make_server(CONFIG)
    server.start()
    middle, end = T0 + 10 * SLICE, T0 + 40 * SLICE
    feed(server, x, y, T0, middle)
    status = server.settled_status()
    harness.assert_balanced(status)
    waiting = {v["name"]: v["new_samples"]["batched"] for v in status["versions"]}
    assert waiting["X"] > 0 and waiting["diagonal"] > 0 and waiting["X-arrival"] == 0
    server.kill9()
    server.start()
    feed(server, x, y, middle, end)
    server.drain()
    versions = {v["name"]: v for v in server.settled_status()["versions"]}
    harness.assert_balanced(server.status())
    for name in ("X", "Y", "X-vectors", "Y-vectors"):
        assert versions[name]["new_samples"]["learned"] == SHOWN
        assert versions[name]["corrections"]["batched"] == 0
    digests = server.digests()
    assert digests["X"] == digests["Y"]
    assert digests["X-vectors"] == digests["Y-vectors"]
    assert digests["X-arrival"] != digests["Y-arrival"]
    assert_shown(server)


def assert_shown(server):
    shown = server.run("version", "show", "diagonal").stdout
    assert "of 8 samples, positive ratio 0, age 0s" in shown
    assert "% of" in shown and "batches had as many positives as the 95 % interval foretold" in shown
    with urllib.request.urlopen(server.http + "/metrics") as reply:
        metrics = reply.read().decode()
    assert 'tidemill_version_batches_total{version="X",trigger="age"}' in metrics
    assert 'tidemill_validation_coverage{version="diagonal",kind="prequential",window="24h"}' in metrics
    refused = server.run("version", "create", "Z", "--model", "beta", "--batch-positive-ratio", "0.1", code=2)
    assert "batch.positive_ratio: got it alone" in refused.stderr
