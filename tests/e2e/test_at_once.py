"""Positives are learned when they come, negatives at the window."""

import harness
from test_producers import T0

CONFIG = """
shards: 4
threads: 2
commit: { interval: 100ms }
join: { window: 10s, allowed_lateness: 60s, positive_at_once: true }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
  - { name: orders, kind: action }
labels:
  - { name: click, stream: clicks }
  - { name: order, stream: orders }
versions:
  - { name: A, model: beta, prior: [1, 1], reward: click }
  - { name: buyers, model: beta, prior: [1, 1], reward: order, samples_from: [A] }
"""
STREAMS = ("impressions", "clicks", "orders")


def impression(n):
    return {"stream": "impressions", "request": f"r{n}", "doc": f"d{n % 2}", "version": "A", "time": T0 + n}


def action(stream, n, **fields):
    key = {"request": f"r{n}", "doc": f"d{n % 2}", "event": f"{stream}{n}", "time": T0 + 500 + n}
    return {"stream": stream, **key, **fields}


def test_positives_are_learned_before_the_window_and_negatives_behind_it(make_server):
    server = make_server(CONFIG).start()
    assert "warning: join.positive_at_once" in server.stderr()
    assert "level=warn event=join_positive_at_once" in server.stderr()
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        call.watermarks(T0, STREAMS)
        call.batch(call.sequence + 1, [impression(n) for n in range(20)])
        call.batch(call.sequence + 1, [action("clicks", n) for n in range(6)])
        call.watermarks(T0 + 1000, STREAMS)
        call.close()
    server.drain()
    assert server.counts("A") == {"d0": (3, 0), "d1": (3, 0)}
    assert server.counts("buyers") == {"d0": (0, 3), "d1": (0, 3)}  # a click makes it a sample of everybody
    before = server.digests()
    server.kill9()
    server.start()
    assert server.digests() == before
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        corrections = [action("orders", 1), action("clicks", 0, withdraw=True, time=T0 + 1200)]
        call.batch(call.sequence + 1, corrections + [impression(2), action("clicks", 3)])  # the last two: once more
        call.watermarks(T0 + 60_000, STREAMS)
        call.close()
    harness.wait_until("negatives are learned", lambda: server.version("A")["new_samples"]["samples"] == 20)
    status = server.settled_status()
    harness.assert_balanced(status)
    assert [s["duplicate"] for s in status["streams"]] == [1, 1, 0]
    assert server.counts("A") == {"d0": (2, 8), "d1": (3, 7)}
    assert server.counts("buyers") == {"d0": (0, 10), "d1": (1, 9)}
    before = server.digests()
    server.kill9()
    server.start()
    assert server.digests() == before
