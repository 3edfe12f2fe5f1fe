"""Streams as they should not be: sent twice, out of order, at impossible times, malformed, too large, all for one document,
in bursts and then silent. Nothing is lost, nothing counts twice, and nobody pays for what another does."""

import json
import random
import time
import urllib.request

import harness

T0 = 1_700_000_000_000
DOCS = 10
STREAMS = ("impressions", "clicks")


def impression(n, **fields):
    return {"stream": "impressions", "request": f"r{n}", "doc": f"d{n % DOCS}", "version": "A", "time": T0 + 10 * n, **fields}


def click(n, **fields):
    own = {"stream": "clicks", "request": f"r{n}", "doc": f"d{n % DOCS}", "time": T0 + 10 * n + 1000, "event": f"c{n}"}
    return {**own, **fields}


def send(call, events, first=1, size=2000):
    """Returns the sequence that comes next."""
    for at in range(0, len(events), size):
        call.batch(first, events[at : at + size])
        first += 1
    return first


def fates(server):
    status = server.settled_status()
    harness.assert_balanced(status)
    return {s["name"]: s for s in status["streams"]}


def truth(impressions, clicks):
    counts = {f"d{d}": [0, 0] for d in range(DOCS)}
    for n in range(impressions):
        counts[f"d{n % DOCS}"][0 if n in clicks else 1] += 1
    return {doc: tuple(c) for doc, c in counts.items()}


def test_order_and_repetition_change_nothing(server, call):
    """Clicks an hour of sending behind, impressions shuffled by up to a window, and then everything again."""
    n, rng = 3000, random.Random(4)
    clicked = {k for k in range(n) if k % 7 == 0}
    shown = sorted((impression(k) for k in range(n)), key=lambda e: e["time"] + rng.randrange(-10_000, 10_000))
    clicks = [click(k) for k in sorted(clicked)]
    rng.shuffle(clicks)
    late, early = call("behind", streams=["clicks"]), call("ahead", streams=["impressions"])
    send(early, shown)
    assert fates(server)["impressions"]["matched"] == 0  # all wait for the clicks
    send(late, clicks)
    early.end()
    late.end()
    before = fates(server)
    assert server.counts("A") == truth(n, clicked)
    assert before["impressions"]["matched"] == n and before["clicks"]["matched"] == len(clicked)
    again = call("again")
    send(again, shown + clicks)
    again.end()
    after = fates(server)
    assert server.counts("A") == truth(n, clicked)
    for stream, events in (("impressions", n), ("clicks", len(clicked))):
        assert after[stream]["matched"] == before[stream]["matched"]
        assert after[stream]["duplicate"] + after[stream]["late"] == events


def test_impossible_times_move_nothing(server, call):
    producer = call("clock")
    now = int(time.time() * 1000)
    wrong = [0, -1, 1, 2**63 - 1, -(2**63), now + 365 * 86_400_000, T0 - 30 * 365 * 86_400_000]
    ack = producer.batch(1, [impression(k, time=t) for k, t in enumerate(wrong)])
    assert [r.field for r in ack.rejected] == ["time"] * len(wrong)
    producer.batch(2, [impression(k) for k in range(1000)] + [impression(5000, time=now + 20 * 3_600_000)])  # a mad clock
    producer.batch(3, [impression(k) for k in range(1000, 2000)] + [click(k) for k in range(2000)])
    assert fates(server)["impressions"]["late"] == 0
    producer.batch(4, [impression(6000, time=T0 - 86_400_000)])  # a day behind: beyond allowed_lateness
    assert fates(server)["impressions"]["late"] == 1
    producer.watermarks(T0 + 100_000)
    counts = server.version("A")["new_samples"]
    assert counts["learned"] == 2000  # the one from tomorrow waits


def test_a_flood_of_garbage_and_a_hot_key_harm_nobody(server, call):
    quiet, flood = call("quiet"), call("flood")
    n, rng = 1000, random.Random(7)
    first = send(quiet, [impression(k) for k in range(n)])
    garbage = [rng.randbytes(40) for _ in range(10_000)]
    for sequence in (1, 2):
        assert len(flood.batch(sequence, garbage).rejected) == len(garbage)
    kept = json.loads(server.run("deadletters", "list", "-o", "json", "--limit", "1").stdout)["counts"]
    assert sum(c["seen"] for c in kept) == 20_000 and sum(c["kept"] for c in kept) <= 4096
    # One impression that a robot clicks under ever new ids, and one document with half of the traffic.
    flood.batch(3, [click(0, event=f"x{k}", time=T0 + 1) for k in range(10_000)])
    send(flood, [impression(k, request=f"hot{k}", doc="hot") for k in range(n)], 4)
    ack = flood.batch(5, [impression(0, request="large", payload=bytes(1_000_000)), bytes((1 << 20) + 1)])
    assert [r.index for r in ack.rejected] == [1]
    send(quiet, [click(k) for k in range(1, n, 5)], first)
    quiet.end()
    flood.end()
    streams = fates(server)
    assert streams["clicks"]["matched"] == 16 + n // 5
    assert streams["clicks"]["filtered"] == 10_000 - 16
    counts = server.counts("A")
    assert counts.pop("hot") == (0, n)
    want = truth(n, {0, *range(1, n, 5)})
    want["d0"] = (want["d0"][0], want["d0"][1] + 1)  # the large one
    assert counts == want


def test_a_burst_and_then_silence(make_server):
    """Nothing is decided by silence, and a metric says who holds; then every negative is made once."""
    server = make_server(harness.config(shards=4)).start()
    n = 10_000
    with server.channel() as channel:
        producer = harness.Call(channel)
        producer.open("burst", streams=STREAMS)
        sequence = send(producer, [impression(k) for k in range(n)], size=5000)
        waiting = fates(server)["impressions"]
        assert waiting["waiting"] == n and waiting["matched"] == 0
        metrics = lambda: urllib.request.urlopen(f"{server.http}/metrics", timeout=30).read().decode()
        holder = 'tidemill_stream_holder_info{stream="clicks",client="burst"'
        harness.wait_until("a metric says who holds", lambda: holder in metrics())
        assert f"tidemill_undecided_samples {n}\n" in metrics()
        server.kill9()
    server.start()
    with server.channel() as channel:
        producer = harness.Call(channel)
        assert producer.open("burst", streams=STREAMS).last_sequence == sequence - 1
        assert fates(server)["impressions"]["waiting"] == n
        for ahead in (1, 2):  # the second one finds nothing to do
            producer.watermarks(T0 + 10 * n + ahead * 20_000)
            assert fates(server)["impressions"]["matched"] == n
            assert server.version("A")["new_samples"]["learned"] == n
        assert server.counts("A") == truth(n, set())
