"""A small memory.join: senders of impressions wait at the door, nobody is locked out, nothing is lost."""

import json
import threading

import grpc

import harness

T0 = 1_700_000_000_000
STEP_MS = 1000
DOCS = 40


def config(room="2MiB", timeout="60s"):
    return f"""
shards: 4
threads: 2
memory: {{ join: {room}, inbox: 1MiB }}
commit: {{ interval: 100ms }}
join: {{ window: 10s, allowed_lateness: 60s, door_timeout: {timeout} }}
versions: [{{ name: A, model: beta }}]
"""


def impression(n):
    return {
        "stream": "impressions",
        "request": f"r{n}",
        "doc": f"d{n % DOCS}",
        "version": "A",
        "time": T0 + n * STEP_MS,
    }


def click(n):
    return {"stream": "clicks", "request": f"r{n}", "doc": f"d{n % DOCS}", "time": T0 + n * STEP_MS + 500}


class Lane:
    """One stream in batches, each with its watermark; begins again where it was refused."""

    def __init__(self, server, stream, client="e2e"):
        self.server, self.stream, self.client = server, stream, client
        self.refused = threading.Event()
        self.refusals = 0

    def send(self, batches):
        """batches: lists of events. Returns when all are taken."""
        done = 0
        while done < len(batches):
            with self.server.channel() as channel:
                call = harness.Call(channel)
                first = call.open(client=self.client, lane=self.stream, streams=[self.stream])
                done = first.last_sequence
                try:
                    for i in range(done, len(batches)):
                        call.batch(i + 1, batches[i])
                        call.watermark(self.stream, batches[i][-1]["time"] + 1)
                        done = i + 1
                    call.close()
                except grpc.RpcError as e:
                    assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e
                    assert "memory.join" in e.details()
                    self.refusals += 1
                    self.refused.set()
                    self.refused.wait(0.05)


def cut(events, size=100):
    return [events[i : i + size] for i in range(0, len(events), size)]


def test_impressions_hours_ahead_of_their_clicks(tmp_path):
    """The clicks come hours later, and are what makes room; everything becomes a sample, nothing is shed."""
    impressions = [impression(n) for n in range(25000)]
    clicks = [click(n) for n in range(0, 25000, 10)]
    server = harness.Server(tmp_path, config()).start()
    try:
        shows, acts = Lane(server, "impressions"), Lane(server, "clicks")
        sender = threading.Thread(target=shows.send, args=(cut(impressions),))
        sender.start()
        assert shows.refused.wait(60), "the door never closed"
        ahead = server.stream("impressions")
        assert ahead["waiting"] * STEP_MS > 3600 * 1000, ahead  # more than an hour
        assert ahead["matched"] == 0
        acts.send(cut(clicks, 50))
        sender.join(120)
        assert not sender.is_alive()
        with server.channel() as channel:
            call = harness.Call(channel)
            call.open(lane="impressions", streams=["impressions"])
            call.end()
        status = server.settled_status()
        harness.assert_balanced(status)
        streams = {s["name"]: s for s in status["streams"]}
        assert acts.refusals == 0  # actions always pass
        assert streams["impressions"]["matched"] == len(impressions), streams
        assert streams["clicks"]["matched"] == len(clicks), streams
        assert sum(s["shed"] for s in streams.values()) == 0
        counts = server.counts("A").values()
        assert sum(p for p, _ in counts) == len(clicks)
        assert sum(n for _, n in counts) == len(impressions) - len(clicks)
    finally:
        server.close()


def test_a_gate_that_waits_for_what_is_refused(tmp_path):
    """One sender is far ahead and fills the room; the other's older impressions are what time waits for."""
    server = harness.Server(tmp_path, config(timeout="300ms")).start()
    try:
        with server.channel() as channel:
            late = harness.Call(channel)
            late.open(client="late", lane="impressions", streams=["impressions"])
            late.batch(1, [impression(0)])
            acts = harness.Call(channel)
            acts.open(client="clicks", lane="clicks", streams=["clicks"])
            acts.watermark("clicks", T0 + 30000 * STEP_MS)
            acts.batch(1, [])
            ahead = Lane(server, "impressions", client="ahead")
            sender = threading.Thread(target=ahead.send, args=(cut([impression(n) for n in range(1000, 8000)]),))
            sender.start()
            assert ahead.refused.wait(60), "the door never closed"
            late.cancel()
        Lane(server, "impressions", client="late").send(cut([impression(n) for n in range(1000)], 10))
        sender.join(120)
        assert not sender.is_alive()
        status = server.settled_status()
        harness.assert_balanced(status)
        shows = next(s for s in status["streams"] if s["name"] == "impressions")
        assert shows["shed"] == 0 and shows["late"] == 0, shows
        assert shows["consumed"] == 7991 and shows["matched"] > 900, shows  # time went on
    finally:
        server.close()


def test_files_that_are_merged_need_room_for_a_window_only(tmp_path):
    """`tidemill ingest` sends both streams in the order of time, so little waits and nothing is shed. The quarter of a
    shard's room that the door keeps free takes a batch of 1,000 events; all events together need more than the room."""
    path = tmp_path / "events.json"
    events = [impression(n) for n in range(20000)] + [click(n) for n in range(0, 20000, 10)]
    events.sort(key=lambda e: e["time"])
    path.write_text("".join(json.dumps(e) + "\n" for e in events))
    server = harness.Server(tmp_path, config(room="4MiB")).start()
    try:
        server.ingest(path)
        status = server.settled_status()
        harness.assert_balanced(status)
        assert {s["name"]: s["matched"] for s in status["streams"]} == {"impressions": 20000, "clicks": 2000}
    finally:
        server.close()
