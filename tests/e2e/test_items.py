"""Request-level records: one record of many documents is the same as one event for each, and costs what they share once."""

import json
import struct

import harness
from test_http import Web

CONFIG = """
shards: 64
threads: 2
commit: { interval: 100ms }
samples: { retain: 1h }
join: { key: [request, doc], window: 10s, allowed_lateness: 60s }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
  - { name: users, kind: features, required: true }
labels:
  - { name: click, stream: clicks }
versions:
  - { name: lr, model: lr, dimension: 3, prior_sd: 0.7, representation: v1 }
  - { name: beta, model: beta, samples_from: [lr] }
"""
T0 = 1_700_000_000_000
STREAMS = ("impressions", "clicks", "users")
ITEMS, PAYLOAD = 200, bytes(1024)


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def record(n):
    """What a request shows: every third one brings its features, the others leave them to a stream of their own."""
    shared = {"stream": "impressions", "request": f"r{n}", "user": f"u{n}", "version": "lr", "time": T0 + n * 1000}
    shared.update(event=f"e{n}", payload=PAYLOAD, weight=2)
    if n % 3 == 0:
        shared.update(features=floats(n, 0.5), representation="v1")
    items = [{"doc": f"d{i * 7 % 300}", "position": i, "propensity": 0.25, "score": 0.125} for i in range(ITEMS)]
    for i, item in enumerate(items):
        if n % 3 == 0:
            item["features"] = floats(i / 128)
    return shared, items


def of_users(n):
    """The same documents once more, with the features of the request; half of an item's own are sparse."""
    shared = {"stream": "users", "request": f"r{n}", "time": T0 + n * 1000, "representation": "v1"}
    shared.update(features=floats(n, 0.5))
    items = [{"doc": item["doc"], "features": floats(i / 128)} for i, item in enumerate(record(n)[1])]
    for i, item in enumerate(items):
        if i % 2:
            item.update(features=struct.pack("<If", 0, i / 128), encoding=1)
    return shared, items


def records(n):
    return [record(n)] + ([of_users(n)] if n % 3 else [])


def whole(shared, items):
    return harness.encode({**shared, "items": items})


def split(shared, items):
    """The same as one event for each document."""
    for item in items:
        event = {**shared, **item}
        both = shared.get("features", b"") + item.get("features", b"")
        if item.get("encoding"):
            _, value = struct.unpack("<If", item["features"])
            count = len(shared["features"]) // 4
            both = struct.pack(f"<{count + 1}I", *range(count + 1)) + shared["features"] + floats(value)
        yield harness.encode({**event, "features": both} if both else event)


def clicks(n):
    for i in range(0, ITEMS, 9):
        doc = record(n)[1][i]["doc"]
        yield {"stream": "clicks", "request": f"r{n}", "doc": doc, "time": T0 + n * 1000 + 10 * i, "event": f"c{n}.{i}"}


class Producer:
    def __init__(self, server, instance):
        self.channel = server.channel()
        self.call = harness.Call(self.channel)
        self.call.open(instance=instance)

    def send(self, events):
        ack = self.call.batch(self.call.sequence + 1, events)
        assert not ack.rejected
        return ack

    def close(self, time=None):
        if time is not None:
            self.call.watermarks(time, STREAMS)
        self.call.cancel()
        self.channel.close()


def written(server):
    return Web(server).metrics()("tidemill_log_written_bytes_total")


def exported(server):
    """Samples as they are kept, but for what tells servers and positions apart."""
    lines = server.run("samples", "export", "--features", "--quiet").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        for field in ("sequence", "position", "corrects", "id"):
            row.pop(field, None)
    return sorted(rows, key=lambda r: (r["kind"], r["request"], r["doc"]))


def test_a_record_is_one_event_for_each_document(make_server):
    ours, theirs = make_server(CONFIG, "ours").start(), make_server(CONFIG, "theirs").start()
    told = {}
    for server, form in ((ours, lambda r: [whole(*r)]), (theirs, lambda r: list(split(*r)))):
        p = Producer(server, "1")
        before = written(server)
        p.send(form(record(0)))
        told[server] = written(server) - before
        for n in range(1, 4):
            p.send([e for r in records(n) for e in form(r)])
        p.send([whole(*record(0))])  # again, by somebody who does not know: every item is a duplicate
        p.close()
        server.drain()
        server.kill9()  # what waits comes back from the state and the log
        server.start()
        p = Producer(server, "2")
        for n in range(4):
            p.send(list(clicks(n)))
        p.close(T0 + 100_000)
    shared = len(harness.encode(record(0)[0]))
    assert told[ours] < shared + ITEMS * 64 + 2048  # once, although most of 64 shards have something of it
    assert told[ours] < told[theirs]  # blocks are packed, so copies that follow each other cost little, too
    for server in (ours, theirs):
        status = server.settled_status()
        harness.assert_balanced(status)
        consumed = {s["name"]: (s["consumed"], s["duplicate"]) for s in status["streams"]}
        assert consumed == {"impressions": (5 * ITEMS, ITEMS), "users": (2 * ITEMS, 0), "clicks": (4 * 23, 0)}
        assert all(v["new_samples"]["learned"] == 4 * ITEMS for v in status["versions"]), status
    assert ours.digests() == theirs.digests()
    rows = exported(ours)
    assert rows == exported(theirs) and len(rows) >= 4 * ITEMS
    mine = next(r for r in rows if r["request"] == "r0" and r["doc"] == "d14")  # the third item
    assert mine["features"] == [0, 0.5, 2 / 128] and mine["rank"] == 2 and mine["user"] == "u0"
    assert mine["weight"] == 2 and mine["propensity"] == 0.25 and mine["score"] == 0.125


def test_every_door_takes_them_and_names_a_bad_item(make_server, tmp_path):
    server = make_server(CONFIG).start()
    web = Web(server)
    good = {"stream": "impressions", "request": "r1", "version": "lr", "time": T0, "features": [1, 2]}
    good["items"] = [{"doc": f"d{i}", "position": i, "features": [i]} for i in range(5)]
    bad = {**good, "request": "r2", "items": [{"doc": f"d{i}", "propensity": 0.5 * (i + 1)} for i in range(4)]}
    twice = {**good, "request": "r3", "items": [{"doc": "d1"}, {"doc": "d1"}]}
    order = {"stream": "clicks", "request": "r1", "time": T0 + 1, "items": [{"doc": "d1"}]}
    body = {"client": "c", "instance": "1", "sequence": 1, "events": [good, bad, twice, order]}
    ack = web.json("POST", "/v1/ingest", json.dumps(body))
    assert [(r["index"], r["field"]) for r in ack["rejected"]] == [(1, "items"), (2, "items"), (3, "items")]
    messages = [r["message"] for r in ack["rejected"]]
    assert messages[0] == "items[2].propensity: 1.5; expected more than 0 and at most 1"
    assert messages[1] == 'items[1].doc: "d1" is in the record already; expected it once'
    assert "clicks is an action stream" in messages[2]
    lines = tmp_path / "events.jsonl"
    lines.write_text("".join(json.dumps({**e, "request": "f" + e["request"]}) + "\n" for e in (good, bad)))
    failed = server.ingest(lines, options=(), code=2)
    assert f"{lines}:2: items[2].propensity: 1.5; expected" in failed.stderr
    consumed = {s["name"]: s["consumed"] for s in server.settled_status()["streams"]}
    assert consumed == {"impressions": 10, "users": 0, "clicks": 0}
    letters = json.loads(server.run("deadletters", "list", "-o", "json", "--reason", "rejected").stdout)["letters"]
    shown = [server.run("deadletters", "show", letter["id"]).stdout for letter in letters]
    assert any('"items": [{"doc": "d0", "propensity": 0.5}, {"doc": "d1"' in text for text in shown), shown
