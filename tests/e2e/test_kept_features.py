"""What feature streams brought is kept with samples: read back as it came, and what a version is asked with later."""

import base64
import csv
import io
import json
import math
import random
import signal

import fastavro
import harness
import pytest
from event_files import T0, write
from test_compare_requests import DOCS, TASTE, by_hand, compare, number

BEFORE = """
shards: 4
threads: 2
commit: { interval: 100ms }
samples: { retain: 24h }
join: { key: [request, doc], window: 10s, allowed_lateness: 60s }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
  - { name: asked, kind: features }
  - { name: extra, kind: features }
labels:
  - { name: click, stream: clicks }
versions:
  - { name: served, model: beta }
  - { name: greedy, model: lr, dimension: 4, policy: greedy, epsilon: 0.1, samples_from: [served] }
"""
TABLE = "  - { name: tastes, kind: table, key: [user] }\n"
WIDER = "  - { name: wider, model: lr, dimension: 5, policy: greedy, epsilon: 0.1, samples_from: [served] }\n"
AFTER = BEFORE.replace("labels:", TABLE + "labels:") + WIDER
REQUESTS, PHASE, LATER = 100, 100_000, T0 + 50_000


def extra(request, more):
    """Sparse ones may only come last."""
    return {"i": [1], "v": [more]} if request.startswith("r0") else [0.0, more]


def make_log(folder, phase):
    """Every request asks for three documents in one record: of its user, and of each; two more numbers come alone."""
    rng = random.Random(phase)
    events, log = [], []
    for n in range(REQUESTS):
        time, request, user, picked = T0 + phase * PHASE + 100 * n, f"r{phase}-{n}", f"u{n % 7}", []
        about, items = number(rng), []
        for place, doc in enumerate(rng.sample(DOCS, 3)):
            own, more, key = number(rng), number(rng), {"request": request, "doc": doc}
            score = TASTE[doc][0] * about + TASTE[doc][1] * own - 0.5 * place
            clicked = rng.random() < 1 / (1 + math.exp(-score))
            items.append({"doc": doc, "features": [own]})
            events.append({"stream": "extra", **key, "time": time - 1, "features": extra(request, more), "payload": "eA=="})
            shown = {"version": "served", "position": place + 1, "propensity": 1 / 3, "user": user}
            events.append({"stream": "impressions", **key, "time": time, **shown})
            if clicked:
                events.append({"stream": "clicks", **key, "time": time + 50, "event": f"c{n}-{place}"})
            picked.append((doc, (about, own, 0.0, more) + ((n % 7 / 8,) if phase else ()), int(clicked)))
        events.append({"stream": "asked", "request": request, "time": time - 2, "features": [about], "items": items})
        log.append(picked)
    return write(folder / f"{phase}.jsonl", events), log


def assert_estimate(server, version, log, *arguments):
    """Ranked by hand with all that was joined, in all of the log's requests."""
    reply, estimates = compare(server, "served", version, *arguments)
    pulled = server.pull(version, DOCS)
    width, inputs = len(pulled.values) // len(DOCS), len(log[0][0][1])
    values = {doc: pulled.values[i * width : i * width + inputs + 1] for i, doc in enumerate(DOCS)}
    got = estimates[version, "served"]
    assert got.get("requests") == len(log), (got, reply["warnings"])
    for kind, (value, error) in by_hand(values, log).items():
        assert (got[kind]["value"], got[kind]["error"]) == pytest.approx((value, error), rel=1e-6), kind


def assert_formats(server, sent):
    """JSON lines say what was sent; CSV and Avro have the same."""
    kept = [json.loads(line) for line in server.run("samples", "export", "--features", "--quiet").stdout.splitlines()]
    table = csv.DictReader(io.StringIO(server.run("samples", "export", "--features", "--format", "csv").stdout))
    out = server.folder / "samples.avro"
    server.run("samples", "export", "--features", "--format", "avro", "-o", str(out))
    with open(out, "rb") as f:
        avro = list(fastavro.reader(f))
    assert len(kept) == len(sent)
    for line, row, a in zip(kept, table, avro, strict=True):
        asked, alone = line["feature_records"]
        about, own, _, more = sent[line["request"], line["doc"]][:4]
        time = line["impression_time"]
        assert (asked["stream"], asked["time"], asked["features"]) == ("asked", time - 2, [about, own])
        assert (alone["stream"], alone["time"]) == ("extra", time - 1)
        assert alone["features"] == extra(line["request"], more)
        assert (asked["payload"], alone["payload"], alone["representation"]) == (None, "eA==", None)
        assert json.loads(row["feature_records"]) == line["feature_records"]
        for part, other in zip(line["feature_records"], a["feature_records"], strict=True):
            sparse = isinstance(part["features"], dict)
            assert other["features"] == (part["features"]["v"] if sparse else part["features"])
            assert other["feature_indices"] == (part["features"]["i"] if sparse else None)
            assert other["payload"] == (part["payload"] and base64.b64decode(part["payload"]))
            assert (other["stream"], other["time"], other["representation"]) == (part["stream"], part["time"], "")
    tail = server.run("samples", "tail", "-n", "3", "-o", "json").stdout
    assert "feature_records" not in tail  # only when features are asked for


def test_samples_are_read_back_with_what_their_epoch_joined(make_server):
    server = make_server(BEFORE).start()
    (first, before), (second, after) = (make_log(server.folder, phase) for phase in (0, 1))
    server.ingest(first)
    server.drain()
    server.configure(AFTER)
    server.process.send_signal(signal.SIGHUP)
    harness.wait_until("there is a table", lambda: "event=reloaded" in server.stderr())
    rows = [{"stream": "tastes", "user": f"u{i}", "time": T0 + PHASE - 10, "features": [i / 8]} for i in range(7)]
    server.ingest(write(server.folder / "rows.jsonl", rows))
    server.ingest(second)
    server.drain()
    assert_estimate(server, "greedy", before, "--to", str(LATER))  # of before there was a table
    assert_estimate(server, "wider", after, "--from", str(LATER))
    sent = {(f"r{p}-{n}", d): x for p, log in enumerate((before, after)) for n, r in enumerate(log) for d, x, _ in r}
    assert_formats(server, sent)
    seen = {"stream": "impressions", "request": "w", "doc": "x", "user": "u0", "version": "greedy", "time": T0 + 3 * PHASE}
    server.ingest(write(server.folder / "seen.jsonl", [seen]))
    server.drain()
    reply, _ = compare(server, "served", "greedy")
    words = "described by how often it shows each document, because 300 of 600 samples have no features that it takes"
    assert any(words in w for w in reply["warnings"]), reply
    assert reply["versions"][1]["described_by"] == "frequency"
