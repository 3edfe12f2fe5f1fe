"""Tables: a sample learns from what was known of its user and its document at its time, whatever crashes."""

import base64
import csv
import io
import json
import math
import random
import urllib.request

import fastavro
import grpc
import harness
import pytest
from event_files import T0, write
from regression import SHARES, SLOPES, dot
from test_features import assert_near, logistic, number, packed, replay, values_of
from tidemill.v1 import ranking_pb2, ranking_pb2_grpc

WINDOW = 10_000
CONFIG = """
shards: 4
threads: 2
commit: { interval: 100ms }
memory: { lookup: 1MiB }
samples: { retain: 24h }
join: { key: [request, doc], window: 10s, allowed_lateness: 60s }
streams:
  - { name: users, kind: table, key: [user] }
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
  - { name: notes, kind: table, key: [user], payload_only: true }
  - { name: items, kind: table, key: [doc] }
labels:
  - { name: click, stream: clicks }
versions:
  - { name: lr, model: lr, dimension: 3, prior_sd: 0.7, intercept_mean: -1.5, intercept_sd: 0.5 }
"""
DOCS, USERS = ["d0", "d1", "d2"], ["u0", "u1", "u2", "u3"]


def row(rng, time):
    """A row of users or items; some come late, some too late, and some delete."""
    stream, about = rng.choice((("users", {"user": rng.choice(USERS)}), ("items", {"doc": rng.choice(DOCS)})))
    event = {"stream": stream, "time": time, **about}
    event.update({"withdraw": True} if rng.random() < 0.1 else {"features": [number(rng)]})
    return time + rng.choice((0, 0, 4_000, 10_000, 10_001, 20_000)), event


def story(seed, count):
    """(arrival, event), by arrival."""
    rng = random.Random(seed)
    arrivals = [(T0, {"stream": "users", "time": T0, "user": u, "features": [number(rng)]}) for u in USERS]
    arrivals += [(T0, {"stream": "items", "time": T0, "doc": d, "features": [number(rng)]}) for d in DOCS]
    for n in range(count):
        time = T0 + 500 + n * 500
        shown = {"request": f"r{n}", "doc": rng.choice(DOCS), "user": rng.choice(USERS), "time": time}
        if rng.random() < 0.5:
            arrivals.append(row(rng, time))  # as old as the impression: it counts
        arrivals.append((time, {"stream": "impressions", "version": "lr", "features": [number(rng)], **shown}))
        if rng.random() < 0.4:
            arrivals.append((time + 4000, {"stream": "clicks", **shown, "time": time + 4000, "event": f"c{n}"}))
        arrivals.append((time, {"stream": "notes", "user": shown["user"], "time": time, "payload": b"x"}))
    return sorted(arrivals, key=lambda a: a[0])


def known(arrivals, stream, about, time):
    """The newest row of that time or before that came before the impression was decided. None: there is none."""
    rows = [
        (e["time"], n, e)
        for n, (arrival, e) in enumerate(arrivals)
        if e["stream"] == stream and e["time"] <= time and arrival <= time + WINDOW
        if all(e[field] == value for field, value in about.items())
    ]
    return max(rows)[2].get("features") if rows else None


def lessons(arrivals):
    """Of the impressions that have features, in the order of their decisions; and how many have none."""
    clicked = {e["request"] for _, e in arrivals if e["stream"] == "clicks"}
    steps, without = [], 0
    for _, e in arrivals:
        if e["stream"] != "impressions":
            continue
        item = known(arrivals, "items", {"doc": e["doc"]}, e["time"])
        user = known(arrivals, "users", {"user": e["user"]}, e["time"])
        if item and user:
            steps.append((e["time"], 0, e["doc"], e["features"] + item + user, e["request"] in clicked))
        else:
            without += 1
    return steps, without


def feed(server, arrivals):
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        for arrival, e in arrivals:
            call.watermarks(arrival)
            assert not call.batch(call.sequence + 1, [packed(e)]).rejected
        call.cancel()


def assert_other_formats(server, kept):
    """CSV and Avro have the rows of tables that JSON lines have."""
    table = csv.DictReader(io.StringIO(server.run("samples", "export", "--features", "--format", "csv").stdout))
    out = server.folder / "samples.avro"
    server.run("samples", "export", "--features", "--format", "avro", "-o", str(out))
    with open(out, "rb") as f:
        avro = list(fastavro.reader(f))
    for line, row, a in zip(kept, table, avro, strict=True):
        tables = line.get("tables", [])
        assert json.loads(row["tables"] or "[]") == tables
        assert [t["stream"] for t in a["tables"]] == [t["stream"] for t in tables]
        for t, other in zip(tables, a["tables"]):
            payload = t["payload"] and base64.b64decode(t["payload"])
            assert (other["features"], other["payload"], other["time"]) == (t["features"], payload, t["time"])



def test_samples_learn_what_was_known_at_their_time(make_server):
    arrivals = story(7, 120)
    steps, without = lessons(arrivals)
    assert len(steps) > 60 and without > 10
    server = make_server(CONFIG)
    server.start()
    for part in (arrivals[: len(arrivals) // 3], arrivals[len(arrivals) // 3 :]):
        feed(server, part)
        server.kill9()
        server.start()
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        call.watermarks(arrivals[-1][0] + 2 * WINDOW)
        call.cancel()
    status = server.settled_status()
    harness.assert_balanced(status)
    beliefs = replay(steps, logistic)
    assert_near(values_of(server, "lr"), {doc: belief.values() for doc, belief in beliefs.items()})
    new = next(v for v in status["versions"] if v["name"] == "lr")["new_samples"]
    assert (new["learned"], new["skipped_no_features"]) == (len(steps), without)
    for s in status["streams"]:
        rows = [(arrival, e) for arrival, e in arrivals if e["stream"] == s["name"]]
        if s["kind"] == "table":
            assert s["applied"] == s["consumed"] == len(rows), s
            assert s["table_late"] == sum(e["time"] < arrival - WINDOW for arrival, e in rows), s
    assert status["table_lookups"] > 0 and status["table_rows_removed"] <= 3 * len(arrivals)
    kept = [json.loads(line) for line in server.run("samples", "export", "--features").stdout.splitlines()]
    assert len(kept) == len(steps) + without
    for sample in kept:
        tables = {t["stream"]: t for t in sample.get("tables", [])}
        time, user = sample["impression_time"], {"user": sample["user"]}
        for stream, about in (("items", {"doc": sample["doc"]}), ("users", user)):
            assert tables.get(stream, {}).get("features") == known(arrivals, stream, about, time), sample
        notes = [n["time"] for _, n in arrivals if n["stream"] == "notes" and n["user"] == sample["user"]]
        note = max(t for t in notes if t <= time)
        assert (tables["notes"]["payload"], tables["notes"]["time"]) == ("eA==", note)
    assert_other_formats(server, kept)
    shown = server.run("status").stdout
    assert "table cache misses" in shown and "table late" in shown
    with urllib.request.urlopen(server.http + "/metrics") as reply:
        assert b"tidemill_table_lookups_total " in reply.read()


def test_rows_are_refused_that_no_sample_could_find(make_server):
    server = make_server(CONFIG)
    server.start()
    rows = [
        {"stream": "users", "time": T0, "doc": "d0", "features": [1.0]},
        {"stream": "items", "time": T0, "user": "u0", "features": [1.0]},
        {"stream": "users", "time": T0, "user": "u0", "withdraw": True},  # deletes: needs no event id
        {"stream": "impressions", "time": T0, "user": "u0", "request": "r", "version": "lr"},
    ]
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        ack = call.batch(call.sequence + 1, [packed(e) for e in rows])
        call.cancel()
    assert [(r.index, r.field) for r in ack.rejected] == [(0, "user"), (1, "doc"), (3, "doc")]
    row = {"stream": "users", "time": T0, "user": "u1", "features": [1.0]}
    server.ingest(write(server.folder / "rows.jsonl", [row]), options=())
    assert server.stream("users")["applied"] == 2
    server.term()
    server.configure(CONFIG.replace("key: [doc] }", "key: [user, doc] }"))
    server.launch()
    assert not server.wait_ready()
    assert "streams.items.key is [doc] in the data directory, and [user, doc] now" in server.stderr()


def lessons_before(rng):
    """Rows of every user and of two documents, and impressions that the version learns from."""
    rows = [{"stream": "users", "time": T0, "user": u, "features": [number(rng)]} for u in USERS]
    rows += [{"stream": "items", "time": T0, "doc": d, "features": [number(rng)]} for d in DOCS[:2]]
    shown, clicks = [], []
    for n in range(40):
        key = {"request": f"r{n}", "doc": rng.choice(DOCS[:2]), "user": rng.choice(USERS), "time": T0 + 1000 * (n + 1)}
        shown.append({"stream": "impressions", "version": "lr", "features": [number(rng)], **key})
        if rng.random() < 0.4:
            clicks.append({"stream": "clicks", **key, "time": key["time"] + 5, "event": f"c{n}"})
    return rows, shown, clicks


def expected_click(values, x):
    """Of a full covariance, by the mixture that stands for the logistic function."""
    x, n = [*x, 1.0], len(x) + 1
    covariance = iter(values[n:])
    mean = dot(values[:n], x)
    variance = sum((1 if i == j else 2) * next(covariance) * x[i] * x[j] for i in range(n) for j in range(i + 1))
    scaled = [slope * mean / math.sqrt(1 + slope**2 * variance) for slope in SLOPES]
    return sum(share * (1 + math.erf(t / math.sqrt(2))) / 2 for share, t in zip(SHARES, scaled))


def test_rank_scores_by_what_its_sample_will_be_given(make_server):
    """Rank looks tables up, and the sample of what it logs has the same features, so the same score."""
    server = make_server(CONFIG.replace("window: 10s", "window: 20ms"))
    server.start()
    rows, shown, clicks = lessons_before(random.Random(3))
    server.ingest(write(server.folder / "rows.jsonl", rows))
    server.ingest(write(server.folder / "shown.jsonl", shown), write(server.folder / "clicks.jsonl", clicks))
    server.drain()
    before = {doc: values for doc, values in values_of(server, "lr").items() if doc != "d2"}
    assert server.counts("lr").keys() == before.keys()
    with server.channel() as channel:
        stub = ranking_pb2_grpc.RankingStub(channel)
        ask = {"version": "lr", "docs": DOCS[:2], "context": [0.25], "slots": 2, "user": "u0"}
        for wanted, code, change in (
            ("docs[2]: table items has no row", grpc.StatusCode.FAILED_PRECONDITION, {"docs": DOCS[:2] + ["d9"]}),
            ("table users has no row", grpc.StatusCode.FAILED_PRECONDITION, {"user": "nobody"}),
            ("do not fit the version's dimension", grpc.StatusCode.INVALID_ARGUMENT, {"context": [1, 2]}),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                stub.Rank(ranking_pb2.RankRequest(**{**ask, **change}), timeout=10)
            assert (refused.value.code(), wanted in refused.value.details()) == (code, True), refused.value.details()
        means = {}
        for user in USERS:
            reply = stub.Rank(ranking_pb2.RankRequest(**{**ask, "request": f"rank-{user}", "user": user}), timeout=10)
            means.update({(f"rank-{user}", doc): mean for doc, mean in zip(DOCS, reply.means)})
        stub.Reward(ranking_pb2.RewardRequest(request="rank-u0", docs=["d0"]), timeout=10)

    def ranked():
        kept = map(json.loads, server.run("samples", "export", "--features", "--quiet").stdout.splitlines())
        return {(s["request"], s["doc"]): s for s in kept if s["request"].startswith("rank-") and s["kind"] == "new"}

    harness.wait_until("the samples of Rank", lambda: ranked().keys() == means.keys())
    for (request, doc), sample in ranked().items():
        row = {t["stream"]: t["features"] for t in sample["tables"]}
        assert means[request, doc] == pytest.approx(sample["score"], abs=1e-6)
        wanted = expected_click(before[doc], sample["features"] + row["items"] + row["users"])
        assert means[request, doc] == pytest.approx(wanted, abs=1e-6)
