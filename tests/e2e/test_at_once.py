"""Positives are learned when they come, negatives at the window."""

import signal

import harness
from test_producers import T0
from test_samples import write_lines

CONFIG = """
shards: 4
samples: { retain: 1h }
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
OFF = CONFIG.replace("positive_at_once: true", "positive_at_once: false")
STREAMS = ("impressions", "clicks", "orders")


def impression(n):
    return {"stream": "impressions", "request": f"r{n}", "doc": f"d{n % 2}", "version": "A", "time": T0 + n}


def action(stream, n, **fields):
    key = {"request": f"r{n}", "doc": f"d{n % 2}", "event": f"{stream}{n}", "time": T0 + 500 + n}
    return {"stream": stream, **key, **fields}


def test_positives_are_learned_before_the_window_and_negatives_behind_it(make_server, tmp_path):
    server = make_server(OFF).start()
    server.configure(CONFIG)
    server.process.send_signal(signal.SIGHUP)
    harness.wait_until("positives are learned at once", lambda: "event=reloaded" in server.stderr())
    assert "level=warn event=join_positive_at_once" in server.stderr()
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        call.watermarks(T0, STREAMS)
        events = [impression(n) for n in range(20)] + [action("clicks", n) for n in range(6)]
        call.batch(call.sequence + 1, events)
        call.watermarks(T0 + 1000, STREAMS)
        call.close()
    server.drain()
    assert server.counts("A") == {"d0": (3, 0), "d1": (3, 0)}
    assert server.counts("buyers") == {"d0": (0, 3), "d1": (0, 3)}  # a click makes it a sample of everybody
    before = server.digests()
    server.kill9()
    server.start()
    assert "warning: join.positive_at_once" in server.stderr()
    assert server.digests() == before
    server.configure(CONFIG.replace("window: 10s", "window: 0s"))  # negatives are at once then, too
    told = server.stderr().count("event=join_positive_at_once")
    server.process.send_signal(signal.SIGHUP)
    harness.wait_until("the join is another", lambda: server.stderr().count("event=reloaded") == 1)
    assert "event=join_changed" in server.stderr()
    assert server.stderr().count("event=join_positive_at_once") == told
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        later = [action("orders", 1), action("clicks", 0, withdraw=True, time=T0 + 1200), impression(2), action("clicks", 3)]
        call.batch(call.sequence + 1, later)  # the last two once more
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
    path = write_lines(tmp_path / "events.jsonl", events + later)
    verdict = server.run("samples", "verify", "--recompute", str(path), "--from", str(T0), "--quiet").stdout
    assert verdict.startswith("20 samples here, 20 there") and verdict.endswith("\nidentical\n")


def test_not_beside_learning_by_event_time(make_server):
    by_time = ("version", "create", "T", "--model", "beta", "--order", "event_time")
    server = make_server(CONFIG).start()
    assert "order: got event_time; expected arrival with join.positive_at_once" in server.run(*by_time, code=2).stderr
    server.configure(OFF)
    server.process.send_signal(signal.SIGHUP)
    harness.wait_until("positives wait", lambda: "event=reloaded" in server.stderr())
    server.run(*by_time)
    server.configure(CONFIG)
    server.process.send_signal(signal.SIGHUP)
    harness.wait_until("it is refused", lambda: "event=reload_failed" in server.stderr())
    assert "expected false while there is version T with order: event_time" in server.stderr()
