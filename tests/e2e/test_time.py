"""When samples are decided: never before the clicks that belong to them had their chance."""

import time

import harness
from test_producers import T0, click, impression

HOUR = 3_600_000


def wait_for_holder(server, stream, seconds=5):
    """Who holds a stream back is looked up now and then, not at each call."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        s = server.stream(stream)
        if "holder" in s:
            return s
        time.sleep(0.05)
    raise AssertionError(f"nobody is named who holds {stream}")


def test_a_stalled_click_stream_makes_no_negatives(server, call):
    shown, clicked = call("shown", streams=["impressions"]), call("clicked", streams=["clicks"])
    for sequence in range(1, 11):
        shown.batch(
            sequence, [impression(n, time=T0 + sequence * HOUR) for n in range(sequence * 100, sequence * 100 + 100)]
        )
    shown.watermarks(T0 + 20 * HOUR, ["impressions"])
    status = server.settled_status()
    harness.assert_balanced(status)
    assert sum(v["new_samples"]["samples"] for v in status["versions"]) == 0
    assert sum(s["undecided"] for s in status["shards"]) == 1000
    assert "as_of" not in status and server.counts("A") == {}
    clicks = wait_for_holder(server, "clicks")
    assert "watermark" not in clicks and clicks["holder"].startswith("clicked/")
    clicked.batch(1, [click(100, time=T0 + HOUR + 500)])
    clicked.watermarks(T0 + 5 * HOUR, ["clicks"])  # windows of the first four hours are over
    assert server.version("A")["new_samples"]["learned"] == 400
    clicked.watermarks(T0 + 20 * HOUR, ["clicks"])
    assert server.version("A")["new_samples"]["learned"] == 1000
    assert server.counts("A")["d0"] == (1, 99)


def test_a_stream_that_nobody_opened_holds_everything(server, call):
    shown = call("shown", streams=["impressions"])
    shown.batch(1, [impression(n) for n in range(10)])
    shown.watermarks(T0 + HOUR, ["impressions"])
    status = server.settled_status()
    assert sum(s["undecided"] for s in status["shards"]) == 10


def test_shards_that_never_see_a_click_are_decided(make_server):
    server = make_server(harness.config(shards=64), "wide").start()
    with server.channel() as channel:
        c = harness.Call(channel)
        c.open()
        c.batch(1, [impression(n, doc=f"d{n}") for n in range(640)] + [click(0)])
        c.watermarks(T0 + HOUR)
        status = server.settled_status()
        assert sum(s["undecided"] for s in status["shards"]) == 0
        assert all(s["samples"] > 0 for s in status["shards"])
        counts = server.counts("A")
        assert counts.pop("d0") == (1, 0)
        assert len(counts) == 639 and set(counts.values()) == {(0, 1)}


def test_samples_become_due_without_any_event(server, call):
    """A watermark alone decides; the next one does not decide again."""
    c = call()
    c.batch(1, [impression(n) for n in range(100)])
    for watermark in (T0 + 10_050, T0 + 10_050, T0 + 10_100):
        c.watermarks(watermark)
        assert server.version("A")["new_samples"]["learned"] == watermark - T0 - 10_000


def test_an_end_mark_closes_every_window(server, call):
    c = call()
    c.batch(1, [impression(n) for n in range(10)] + [click(3)])
    ended = c.end()
    assert ended.watermark == T0 + 9 + 10_000 + 1
    status = server.settled_status()
    assert status["as_of"] == T0 + 10 and sum(s["undecided"] for s in status["shards"]) == 0
    c.batch(2, [impression(100, time=T0 + 60_000)])  # ordinary again
    assert server.stream("impressions")["waiting"] == 1


def test_watermarks_survive_a_crash(server, call):
    c = call()
    c.batch(1, [impression(n) for n in range(10)])
    c.watermark("impressions", T0 + HOUR)
    c.watermarks(T0 + 10_005, ["clicks"])
    assert server.version("A")["new_samples"]["learned"] == 5
    server.kill9()
    server.start()
    with server.channel() as channel:
        c = harness.Call(channel)
        assert c.open().last_sequence == 2
        c.watermarks(T0 + HOUR, ["clicks"])
        assert server.version("A")["new_samples"]["learned"] == 10


def test_what_was_decided_and_forgotten_in_one_go_is_not_decided_again(server):
    """A watermark jumps behind the horizon of corrections; younger impressions keep the records of the older ones."""
    with server.channel() as channel:
        c = harness.Call(channel)
        c.open()
        c.batch(
            1, [*(impression(n) for n in range(100)), *(impression(n, time=T0 + 2 * HOUR) for n in range(100, 200))]
        )
        server.drain()
        c.watermarks(T0 + HOUR)
        assert server.version("A")["new_samples"]["learned"] == 100
    server.kill9()
    server.start()
    with server.channel() as channel:
        c = harness.Call(channel)
        c.open()
        c.watermarks(T0 + 3 * HOUR)
        assert server.version("A")["new_samples"]["learned"] == 200
        assert server.counts("A") == {f"d{d}": (0, 20) for d in range(10)}
