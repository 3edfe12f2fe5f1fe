"""The join of a live data directory changes: impressions keep the streams, labels and window under which they came."""

import json
import signal

import pytest

import harness
from test_producers import T0
from test_samples import write_lines

BEFORE = """
shards: 4
threads: 2
commit: { interval: 100ms }
join: { window: 10s, allowed_lateness: 60s }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
labels: [{ name: click, stream: clicks }]
versions: [{ name: A, model: beta, prior: [1, 1], reward: click }]
"""
AFTER = """
shards: 4
threads: 2
commit: { interval: 100ms }
join: { window: 20s, allowed_lateness: 60s }
streams:
  - { name: buys, kind: action }
  - { name: clicks, kind: action }
  - { name: impressions, kind: impression }
labels:
  - { name: bought, stream: buys }
  - { name: click, stream: clicks }
versions:
  - { name: A, model: beta, prior: [1, 1], reward: click }
  - { name: buyers, model: beta, prior: [1, 1], reward: "max(bought, click)", samples_from: [A] }
"""
OLD, NEW = range(100), range(100, 200)


def impression(n):
    return {"stream": "impressions", "request": f"r{n}", "doc": f"d{n // 100}", "version": "A", "time": T0 + 10 * n}


def action(stream, n, delay):
    return {"stream": stream, "request": f"r{n}", "doc": f"d{n // 100}", "time": T0 + 10 * n + delay}


def send(server, events, ends=(), at=0):
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open("epochs")
        if events:
            call.batch(call.sequence + 1, events)
        if ends:
            call.watermarks(T0 + at, ends)
        call.close()
    server.drain()


def test_an_impression_keeps_the_join_under_which_it_came(make_server):
    server = make_server(BEFORE).start()
    send(server, [impression(n) for n in OLD])
    server.configure(AFTER)
    server.process.send_signal(signal.SIGHUP)
    harness.wait_until("the join is another", lambda: "event=reloaded" in server.stderr())
    send(server, [impression(n) for n in NEW])
    send(server, [action("clicks", n, 15_000) for n in (*OLD[:30], *NEW[:30])])  # in time for the new window alone
    send(server, [action("buys", n, 1000) for n in (*OLD[:50], *NEW[:50])])
    send(server, [], ends=("impressions", "clicks"), at=16_000)
    assert server.version("A")["new_samples"]["samples"] == 100  # the old ones: they wait for no buys
    send(server, [], ends=("impressions", "clicks", "buys"), at=120_000)
    status = server.settled_status()
    harness.assert_balanced(status)
    corrections = {v["name"]: v["corrections"]["samples"] for v in status["versions"]}
    assert corrections == {"A": 30, "buyers": 30}  # clicks of the old ones came behind their window
    assert server.counts("A") == {"d0": (30, 70), "d1": (30, 70)}
    assert server.counts("buyers") == {"d0": (30, 70), "d1": (50, 50)}
    server.configure(BEFORE)
    server.process.send_signal(signal.SIGHUP)
    harness.wait_until("the old join is refused", lambda: "event=reload_failed" in server.stderr())
    assert "streams.buys is in the data directory, and not in the configuration" in server.stderr()
    server.configure(AFTER)
    before = server.digests()
    server.kill9()
    server.start()
    assert server.digests() == before


@pytest.mark.parametrize("again", (False, True), ids=("by a signal", "by a restart"))
def test_end_marks_close_the_windows_of_before_a_shorter_one(make_server, tmp_path, again):
    server = make_server(harness.config(window="60s")).start()
    events = [{"stream": "impressions", "request": f"r{n}", "doc": "d", "version": "A", "time": T0 + n} for n in range(40)]
    clicks = [{"stream": "clicks", "request": "r1", "doc": "d", "time": T0 + 100}]
    old, new = (write_lines(tmp_path / f"{i}.jsonl", part) for i, part in enumerate((events[:20] + clicks, events[20:])))
    server.ingest(old, options=())
    server.configure(harness.config(window="10s"))
    if again:
        server.term()
        server.start()
    else:
        server.process.send_signal(signal.SIGHUP)
        harness.wait_until("the window is another", lambda: "event=reloaded" in server.stderr())
    status = server.status()
    assert status["window_ms"] == 10_000 and status["end_window_ms"] == 60_000
    server.ingest(new)
    status = server.settled_status()
    harness.assert_balanced(status)
    assert server.counts("A") == {"d": (1, 39)}
    server.term()
    server.start()
    assert server.status()["end_window_ms"] == 10_000  # nothing of before waits


def test_events_are_recomputed_by_the_rules_of_now(make_server, tmp_path):
    retain = "samples: { retain: 3650d }\n"
    server = make_server(retain + BEFORE).start()
    seen = "filters: [{ name: seen, stream: impressions, field: position, max: 5 }]\n"
    server.configure(retain + seen + AFTER)
    server.process.send_signal(signal.SIGHUP)
    harness.wait_until("the join is another", lambda: "event=reloaded" in server.stderr())
    shown = [{**impression(n), "position": n % 8} for n in NEW]
    acted = [action("buys", n, 1000) for n in NEW[:50]] + [action("clicks", n, 15_000) for n in NEW[:30]]
    events = write_lines(tmp_path / "events.jsonl", shown + acted)
    server.ingest(events)
    server.drain()
    verdict = server.run("samples", "verify", "--recompute", str(events), "--quiet").stdout
    assert verdict.startswith("74 samples here, 74 there") and verdict.endswith("\nidentical\n")
    old = tmp_path / "before.yaml"
    old.write_text(seen + BEFORE)
    p = server.run("samples", "verify", "--recompute", str(events), "--config", str(old), "--quiet", code=2)
    assert "not compared: 50 records that were refused" in p.stdout and "not compared: label bought" in p.stdout
    assert p.stdout.endswith("\nthe same in what was compared\n")
    p = server.run("samples", "verify", "--recompute", str(events), "--config", str(old), "--quiet", "-o", "json", code=2)
    verdict = json.loads(p.stdout)
    assert (verdict["identical"], verdict["refused"], verdict["labels_not_compared"]) == (False, 50, ["bought"])


def test_what_cannot_change_is_refused_with_the_way(server):
    server.term()
    server.configure(harness.config(lateness="120s"))
    server.launch()
    assert not server.wait_ready()
    assert "join.allowed_lateness is 60000ms in the data directory, and 120000ms now" in server.stderr()
    assert "new data directory" in server.stderr()
    server.configure(harness.config(window="20s"))
    server.start()
    assert server.status()["window_ms"] == 20_000
