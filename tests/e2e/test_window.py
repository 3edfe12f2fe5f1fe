"""How long actions take: delays with a known distribution go in, the same quantiles come out, whatever crashes."""

import bisect
import json
import random
import urllib.request

import pytest

import harness
from test_producers import T0

WINDOW, WITHIN = 60_000, 600_000
CONFIG = harness.config(window="60s", lateness="10m")
MEDIAN, SIGMA = 20_000, 1.0  # ms; log-normal
EARLY = 20  # ms by which a few clicks are before their impressions


def delays(seed, count):
    rng = random.Random(seed)
    drawn = [round(rng.lognormvariate(0, SIGMA) * MEDIAN) for _ in range(count)]
    return [-1 - rng.randrange(EARLY) if rng.random() < 0.02 else min(d, WITHIN) for d in drawn]


def traffic(seed, drawn, first=0):
    """Ten impressions a second, every one clicked after its delay; in the order of time."""
    events = []
    for n, delay in enumerate(drawn, first):
        key = {"request": f"{seed}-{n}", "doc": f"d{n % 50}", "time": T0 + 100 * n}
        events.append({"stream": "impressions", "version": "A", **key})
        events.append({"stream": "clicks", "event": f"{seed}-{n}", **key, "time": key["time"] + delay})
    return sorted(events, key=lambda e: e["time"])


def window(server, *options):
    server.drain()
    return json.loads(server.run("samples", "window", *options, "-o", "json").stdout)


def clicks(server):
    return next(s for s in window(server)["streams"] if s["stream"] == "clicks")


def histogram(drawn, bounds):
    """Naive: {bound: count}; -1 for those before their impression."""
    counts = {}
    for d in drawn:
        bound = -1 if d < 0 else bounds[bisect.bisect_left(bounds, d)]
        counts[bound] = counts.get(bound, 0) + 1
    return counts


def assert_is(stream, drawn):
    """Bucket by bucket, and quantile by quantile: the bound is not below it, and the one before is."""
    got = {b["up_to_ms"]: b["actions"] for b in stream["buckets"]}
    bounds = sorted(b for b in got if b >= 0)
    assert got == histogram(drawn, bounds)
    assert stream["actions"] == len(drawn) and stream["late"] == 0
    assert stream["before"] == sum(d < 0 for d in drawn)
    ordered = sorted(drawn)
    for share, field in ((0.5, "half_ms"), (0.8, "most_ms"), (0.999, "nearly_all_ms")):
        exact = ordered[-(-int(share * 1000) * len(drawn) // 1000) - 1]
        assert exact <= stream[field] <= max(exact * 4 / 3, exact + 1), field
    for w in stream["windows"]:
        exact = sum(d <= w["window_ms"] for d in drawn) / len(drawn)
        assert w["at_decision"] == pytest.approx(exact), w
        assert w["at_decision"] + w["corrections"] + w["late"] == pytest.approx(1)
        assert w["configured"] == (w["window_ms"] == WINDOW)


def send(server, events, lane):
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open("window", lane=lane)
        call.watermarks(events[0]["time"] - WITHIN)  # the first click may be before the first impression
        for at in range(0, len(events), 1000):
            call.batch(call.sequence + 1, events[at : at + 1000])
            call.watermarks(events[at]["time"] - EARLY)
        call.end()
        call.close()


def test_quantiles_are_those_of_the_traffic_through_restart_and_kill(make_server):
    server = make_server(CONFIG).start()
    drawn = delays(1, 4000)
    send(server, traffic(1, drawn), "1")
    assert_is(clicks(server), drawn)
    assert server.term() == 0
    server.start()
    assert_is(clicks(server), drawn)
    more = delays(2, 3000)
    send(server, traffic(2, more, first=10_000), "2")  # not drained: part of it is only in the log
    server.kill9()
    server.start()
    assert_is(clicks(server), drawn + more)
    server.kill9()
    server.start()
    assert_is(clicks(server), drawn + more)


def test_late_actions_are_not_forgotten(make_server):
    server = make_server(CONFIG).start()
    drawn = [1_000] * 60 + [WITHIN + 1] * 40
    send(server, traffic(3, drawn), "1")
    stream = clicks(server)
    assert (stream["actions"], stream["late"]) == (60, 40)
    assert stream["half_ms"] == 1_000
    assert "most_ms" not in stream and "nearly_all_ms" not in stream
    assert stream["windows"][-1]["at_decision"] == 0.6 and stream["windows"][-1]["late"] == 0.4
    text = server.run("samples", "window").stdout
    assert "suggested window: none" in text and "longer than 10m" in text


def test_memory_is_told_from_the_measured_rate(make_server):
    server = make_server(CONFIG).start()
    assert "memory_bytes" not in str(window(server))
    assert "no action has met its impression yet" in server.run("samples", "window").stdout
    send(server, traffic(4, delays(4, 6000)), "1")
    reply = window(server)
    assert reply["impressions_per_second"] == pytest.approx(10, rel=0.05)
    assert 100 < reply["bytes_per_undecided"] < 2000
    for w in reply["streams"][0]["windows"]:
        expected = reply["impressions_per_second"] * w["window_ms"] / 1000 * reply["bytes_per_undecided"]
        assert w["memory_bytes"] == int(expected)


LIVE, STEP = 160_000, 4_000  # ms of event time; of one commit: far less than a window, as in live traffic


def live(server, events):
    """As traffic comes: piece by piece, each committed; nothing says that it ends."""
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open("window")
        call.watermarks(events[0]["time"] - WITHIN)
        for time in range(T0, T0 + LIVE, STEP):
            call.batch(call.sequence + 1, [e for e in events if time <= e["time"] < time + STEP])
            call.watermarks(time + STEP)
            server.drain()
        reply = window(server)
        call.cancel()
    return reply


def told(reply, window_ms):
    return next(w for w in reply["streams"][0]["windows"] if w["window_ms"] == window_ms)


def test_another_window_takes_and_corrects_what_was_told(make_server):
    """What a server says of twice or half its window, a server that has it measures: memory and corrections."""
    drawn = [abs(d) for d in delays(7, LIVE // 100)]
    events = [e for e in traffic(7, drawn) if e["time"] < T0 + LIVE]
    replies, corrected = {}, {}
    for seconds in (30, 60):
        server = make_server(harness.config(window=f"{seconds}s", lateness="10m", shards=2), f"{seconds}s").start()
        replies[seconds] = live(server, events)
        assert replies[seconds]["undecided"] == pytest.approx(10 * seconds, rel=0.02)
        corrections = server.version("A")["corrections"]["learned"]
        corrected[seconds] = corrections / replies[seconds]["streams"][0]["actions"]
        server.term()
    for mine, other in ((30, 60), (60, 30)):
        choice = told(replies[mine], other * 1000)
        assert choice["memory_bytes"] == pytest.approx(replies[other]["undecided_bytes"], rel=0.2), (mine, other)
        assert choice["corrections"] == pytest.approx(corrected[other], rel=0.2), (mine, other)


def test_the_table_and_its_errors(make_server):
    server = make_server(CONFIG).start()
    send(server, traffic(5, delays(5, 1000)), "1")
    server.drain()
    text = server.run("samples", "window", "--stream", "clicks").stdout
    marked = [line for line in text.splitlines() if line.endswith("<- join.window")]
    assert len(marked) == 1 and marked[0].startswith("1m ")
    assert "suggested window: " in text and "1,000 actions matched" in text
    for wrong in ("impressions", "none"):
        message = server.run("samples", "window", "--stream", wrong, code=2).stderr
        assert f'stream: "{wrong}"; expected an action stream: clicks' in message


def test_the_metric_has_the_same_counts(make_server):
    server = make_server(CONFIG).start()
    drawn = delays(6, 2000)
    send(server, traffic(6, drawn), "1")
    server.drain()
    with urllib.request.urlopen(f"{server.http}/metrics") as reply:
        lines = dict(line.rsplit(" ", 1) for line in reply.read().decode().splitlines() if line[:1] != "#")
    name = "tidemill_join_delay_seconds"
    for bound in ("0.1", "5", "60", "300", "600", "2592000"):
        count = int(lines[f'{name}_bucket{{stream="clicks",le="{bound}"}}'])
        assert count == sum(d <= float(bound) * 1000 for d in drawn), bound
    assert int(lines[f'{name}_bucket{{stream="clicks",le="+Inf"}}']) == len(drawn)
    assert int(lines[f'{name}_count{{stream="clicks"}}']) == len(drawn)
    assert float(lines[f'{name}_sum{{stream="clicks"}}']) == pytest.approx(sum(max(d, 0) for d in drawn) / 1000)
    assert not [line for line in lines if line.startswith(name) and "impressions" in line]
    assert int(lines["tidemill_undecided_bytes"]) > 0
