"""Versions that look at the request, compared by what they would have done in each: against a recomputation by hand."""

import json
import math
import random
import struct

import harness
import pytest
from event_files import T0, write
from network import tensor_file

CONFIG = """
shards: 4
threads: 2
commit: { interval: 100ms }
samples: { retain: 24h }
join: { key: [request, doc], window: 10s, allowed_lateness: 60s }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
  - { name: users, kind: table, key: [user] }
labels:
  - { name: click, stream: clicks }
versions:
  - { name: served, model: beta }
  - { name: greedy, model: lr, dimension: 2, policy: greedy, epsilon: 0.1, samples_from: [served] }
  - { name: thompson, model: lr, dimension: 2, epsilon: 0.1, samples_from: [served] }
  - { name: narrow, model: lr, dimension: 5, samples_from: [served] }
  - { name: encoded, model: lr, dimension: 2, policy: greedy, epsilon: 0.1, encoder: FILE, samples_from: [served] }
"""
DOCS, REQUESTS, EPSILON = ["x", "y", "z"], 300, 0.1
TASTE = {"x": (2, 0), "y": (-2, 1), "z": (0, -1)}
IDENTITY = tensor_file(
    {"layers.0.weight": ((2, 2), [1.0, 0.0, 0.0, 1.0]), "layers.0.bias": ((2,), [0.0, 0.0])},
    {"tidemill.encoder": "1", "tidemill.dense": "2", "tidemill.activations": "identity"},
)

SINGLE_THIRD = struct.unpack("<f", struct.pack("<f", 1 / 3))[0]


def number(rng):
    return rng.randrange(-32, 33) / 32


def make_log(folder):
    """Each request shows all three documents in any order; what they are scored by is theirs, and its user's row."""
    rng = random.Random(7)
    users = {f"u{i}": number(rng) for i in range(10)}
    rows = [{"stream": "users", "user": u, "time": T0, "features": [x]} for u, x in users.items()]
    shown, clicks, log = [], [], []
    for n in range(REQUESTS):
        time, user, request = T0 + 1000 + 100 * n, rng.choice(list(users)), []
        for place, doc in enumerate(rng.sample(DOCS, 3)):
            own = number(rng)
            score = TASTE[doc][0] * users[user] + TASTE[doc][1] * own - 0.5 * place
            clicked = rng.random() < 1 / (1 + math.exp(-score))
            key = {"request": f"r{n}", "doc": doc, "user": user}
            event = {"stream": "impressions", **key, "version": "served", "time": time, "position": place + 1}
            shown.append({**event, "propensity": 1 / 3, "features": [own]})
            if clicked:
                clicks.append({"stream": "clicks", **key, "time": time + 50, "event": f"c{n}-{place}"})
            request.append((doc, (own, users[user]), int(clicked)))
        log.append(request)
    return [write(folder / f"{n}.jsonl", e) for n, e in (("u", rows), ("s", shown), ("c", clicks))], log


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("requests")
    files, log = make_log(folder)
    encoder = folder / "identity.safetensors"
    encoder.write_bytes(IDENTITY)
    server = harness.Server(folder / "server", CONFIG.replace("FILE", str(encoder))).start()
    server.ingest(files[0])
    server.ingest(*files[1:])
    server.drain()
    yield server, log
    server.close()


def compare(server, *arguments):
    p = server.run("version", "compare", *arguments, "-o", "json")
    reply = json.loads(p.stdout)
    return reply, {(e["version"], e["log"]): e for e in reply["estimates"]}


def greedy_chances(values, request):
    """chances[place][index]: the ranking by the scores, or any with epsilon."""
    score = [sum(w * x for w, x in zip(values[doc], (*features, 1))) for doc, features, _ in request]
    order = sorted(range(3), key=lambda i: -score[i])
    return [[(1 - EPSILON) * (order[k] == i) + EPSILON / 3 for i in range(3)] for k in range(3)]


def ratio(r, n, whole=True):
    value, m = sum(r) / sum(n), len(r)
    squares = sum((a - value * b) ** 2 for a, b in zip(r, n))
    return value, math.sqrt((m / (m - 1) if whole else 1) * squares) / sum(n)


def by_hand(values, log):
    """IPS, SNIPS and DR with their errors, requests as units; q as learner/policy_comparison.h has it."""
    places = [[r[k] for r in log] for k in range(3)]
    mean = [sum(c for _, _, c in p) / len(p) for p in places]

    def q(doc, k):
        mine = [c for d, _, c in places[k] if d == doc]
        return (sum(mine) + 100 * mean[k]) / (len(mine) + 100)

    w, wr, dr = [], [], []
    for request in log:
        chances = greedy_chances(values, request)
        weights = [chances[k][k] / SINGLE_THIRD for k in range(3)]
        w.append(sum(weights))
        wr.append(sum(a * c for a, (_, _, c) in zip(weights, request)))
        expected = sum(chances[k][i] * q(request[i][0], k) for k in range(3) for i in range(3))
        dr.append(expected + sum(weights[k] * (request[k][2] - q(request[k][0], k)) for k in range(3)))
    threes = [3] * len(log)
    return {"ips": ratio(wr, threes), "snips": ratio(wr, w, False), "dr": ratio(dr, threes), "mean_weight": ratio(w, threes)}


def test_a_greedy_version_is_weighed_as_by_hand(played):
    server, log = played
    reply, estimates = compare(server, "served", "greedy")
    pulled = server.pull("greedy", DOCS)
    width = len(pulled.values) // len(DOCS)
    values = {doc: pulled.values[i * width : i * width + 3] for i, doc in enumerate(DOCS)}
    got = estimates["greedy", "served"]
    for kind, (value, error) in by_hand(values, log).items():
        assert (got[kind]["value"], got[kind]["error"]) == pytest.approx((value, error), rel=1e-6), kind
        assert got[kind]["any_time_lower"] < got[kind]["lower"] < value < got[kind]["upper"] < got[kind]["any_time_upper"]
    assert (got["candidates"], got["requests"], got["request_share"]) == ("together", REQUESTS, 1)
    assert reply["versions"][1]["described_by"] == "requests"
    assert got["snips"]["lower"] > reply["versions"][0]["mean"]["value"]  # it orders better than chance did
    assert any("learns from these samples" in w for w in reply["warnings"])


def test_an_encoder_that_changes_nothing_changes_no_estimate(played):
    server, _ = played
    plain = compare(server, "served", "greedy")[1]["greedy", "served"]
    encoded = compare(server, "served", "encoded")[1]["encoded", "served"]
    kinds = ("ips", "snips", "dr", "mean_weight")
    got, want = ([e[kind][of] for kind in kinds for of in ("value", "error")] for e in (encoded, plain))
    assert got == pytest.approx(want, rel=1e-6)


def test_draws_repeat_and_lie_near_the_greedy_one(played):
    server, _ = played
    first, estimates = compare(server, "served", "thompson")
    assert compare(server, "served", "thompson")[0] == first
    got = estimates["thompson", "served"]
    assert got["mean_weight"]["value"] == pytest.approx(1, abs=4 * got["mean_weight"]["error"])
    assert got["snips"]["value"] > first["versions"][0]["mean"]["value"]


def test_what_is_not_known_is_said(played):
    server, _ = played
    reply, estimates = compare(server, "served", "narrow")
    assert "is not known: 900 of 900 samples have no features that it takes" in estimates["narrow", "served"]["refused"]
    assert "described_by" not in reply["versions"][1] and not any("described" in w for w in reply.get("warnings", []))
    reply, estimates = compare(server, "served", "greedy", "--candidates", "any")
    assert estimates["greedy", "served"]["candidates"] == "any"
    shown = server.run("version", "compare", "served", "greedy")
    assert "ranking the documents kept under the request in 300 requests" in shown.stdout
