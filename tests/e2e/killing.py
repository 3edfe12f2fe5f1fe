"""Kill the server again and again under load; then prove that nothing was lost and nothing counted twice.

Producers retry until everything is acknowledged. Each event is a pure function of (seed, client, number), so the same
events can be made again for a run without kills and for the naive count.
"""

import random
import statistics
import threading
import time
import zlib
from dataclasses import dataclass, field

import grpc

import harness
import reference

T0 = 1_700_000_000_000
WINDOW, LATENESS = 10_000, 60_000
CONFIG = harness.config(commit="300ms", window="10s", lateness="60s")  # short, so that keys are forgotten all the time
CLIENTS = 3
EARLY = 200  # ms by which a click's clock may be behind
SPACING = 300  # ms of event time between impressions: a commit covers whole lives of keys, from impression to oblivion
IN_FLIGHT = 8
EVENTS_BETWEEN_KILLS = 500
# At which of a thread's calls. RocksDB writes its logs by write(2), syncs them by fdatasync(2), and has no use for
# pwrite(2).
STRACE_KILLS = (("fdatasync", 4, 60), ("write", 20, 150))


class Traffic:
    """One client's impressions and clicks: number n is an impression, about every third is clicked."""

    def __init__(self, seed, client):
        self.prefix = f"{seed}/{client}"

    def _hash(self, n):
        return zlib.crc32(f"{self.prefix}/{n}".encode()) * 0x9E3779B1 & 0xFFFFFFFF

    def impression(self, n):
        h = self._hash(n)
        return {
            "stream": "impressions",
            "request": f"{self.prefix}/{n}",
            "doc": f"d{min(h % 211, (h >> 8) % 211)}",
            "version": "AB"[h >> 16 & 1],
            "time": T0 + SPACING * n,
        }

    def click(self, n):
        """None: not clicked. Most come in the window, some later as corrections, some just before: clocks differ."""
        h = self._hash(n)
        if (h >> 17) % 3:
            return None
        shown = self.impression(n)
        delay = (3, 900, 9_999, 10_001, 40_000, 60_000, -EARLY, 20_000)[h >> 27 & 7]
        return {
            "stream": "clicks",
            "request": shown["request"],
            "doc": shown["doc"],
            "time": shown["time"] + delay,
            "event": f"{self.prefix}/{n}",
        }


def floor(n):
    """Nothing with number n or above is older than this."""
    return T0 + SPACING * n - EARLY


@dataclass
class Pace:
    """Batch sizes and pauses; total: how many numbers to send, None: until stopped."""

    rng: random.Random = None
    pause: float = 0
    total: int = None

    def batch_size(self):
        return self.rng.randint(1, 200) if self.rng else 1000

    def wait(self):
        if self.rng and self.pause:
            time.sleep(self.rng.uniform(0, 2 * self.pause))


class Lane(threading.Thread):
    """A producer's lane that sends until it is stopped, and everything that it ever made until it is acknowledged."""

    def __init__(self, server, client, stream, make, pace, stop):
        super().__init__(daemon=True)
        self.server, self.client, self.stream = server, client, stream
        self.make, self.pace, self.stop = make, pace, stop
        self.numbers = 0  # made so far
        self.events, self.acked_events, self.acked = 0, 0, 0
        self.unacked = []  # (sequence, packed events, numbers made up to their end)
        self.passed = 0  # numbers acknowledged
        self.sequence = 0
        self.problems = []

    def run(self):
        while not self._finished():
            try:
                with self.server.channel() as channel:
                    self._session(harness.Call(channel))
            except grpc.RpcError as e:
                if e.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    self.problems.append(f"{e.code()}: {e.details()}")
                time.sleep(0.01)

    def _session(self, call):
        try:
            last = call.open(self.client, instance="1", lane=self.stream, streams=[self.stream]).last_sequence
            if not self.acked <= last <= self.sequence:
                self.problems.append(f"{self.client}/{self.stream}: server at batch {last}, acknowledged {self.acked}")
            call.watermark(self.stream, floor(self.passed))
            for batch in list(self.unacked):  # all of them again: known ones are acknowledged again
                self._send(call, batch)
            while not self._finished():
                while len(self.unacked) < IN_FLIGHT and not self._made_all():
                    self._send(call, self._next())
                    self.pace.wait()
                self._hear(call.receive().ack)
        finally:
            call.cancel()

    def _send(self, call, batch):
        sequence, events, numbers = batch
        call.send_batch(sequence, events)
        call.watermark(self.stream, floor(numbers))

    def _next(self):
        size, events = self.pace.batch_size(), []
        while len(events) < size and not self._made_all():
            event = self.make(self.numbers)
            self.numbers += 1
            if event:
                events.append(harness.encode(event))
        self.sequence += 1
        self.unacked.append((self.sequence, events, self.numbers))
        self.events += len(events)
        return self.unacked[-1]

    def _hear(self, ack):
        sequence, events, self.passed = self.unacked.pop(0)
        if ack.sequence != sequence or not ack.durable or ack.rejected:
            self.problems.append(f"{self.client}/{self.stream}: batch {sequence}: {ack}")
        self.acked = sequence
        self.acked_events += len(events)

    def _made_all(self):
        return self.stop.is_set() if self.pace.total is None else self.numbers >= self.pace.total

    def _finished(self):
        return self._made_all() and not self.unacked


class Producers:
    """A lane for impressions and a lane for clicks of each client."""

    def __init__(self, server, seed, make_pace):
        self.server, self.stop, self.lanes = server, threading.Event(), []
        for k in range(CLIENTS):
            traffic = Traffic(seed, k)
            for stream, make in (("impressions", traffic.impression), ("clicks", traffic.click)):
                self.lanes.append(Lane(server, f"client{k}", stream, make, make_pace(len(self.lanes)), self.stop))
        self._open_all()
        for lane in self.lanes:
            lane.start()

    def _open_all(self):
        """All are known before the first one sends: a stream's watermark waits for nobody it has not heard of, and what
        an unknown producer sends behind it is late."""
        with self.server.channel() as channel:
            for lane in self.lanes:
                call = harness.Call(channel)
                call.open(lane.client, instance="1", lane=lane.stream, streams=[lane.stream])
                call.cancel()

    def acked_events(self):
        return sum(lane.acked_events for lane in self.lanes)

    def finish(self):
        """Send what is left, end, and wait until everything is decided and committed."""
        self.stop.set()
        for lane in self.lanes:
            lane.join(120)
            assert not lane.is_alive(), f"{lane.client}/{lane.stream} never got its acknowledgements"
        with self.server.channel() as channel:
            for lane in self.lanes:
                call = harness.Call(channel)
                call.open(lane.client, instance="1", lane=lane.stream, streams=[lane.stream])
                call.end()
                call.cancel()
        self.server.drain()


@dataclass
class Figures:
    cycles: int = 0
    kills: dict = field(default_factory=dict)
    events: int = 0
    least_between: int = 1 << 60
    recovery_ms: list = field(default_factory=list)
    ready_ms: list = field(default_factory=list)
    lost: int = 0
    doubled: int = 0

    def rows(self):
        """(name, figure): a table for people."""
        ready, recovery = self.ready_ms, self.recovery_ms
        kills = ", ".join(f"{n} at {what}" for what, n in sorted(self.kills.items()))
        return [
            ("kill cycles", f"{self.cycles} ({kills})"),
            ("events", f"{self.events:,} acknowledged; at least {self.least_between:,} before a timed kill"),
            ("lost, doubled", f"{self.lost}, {self.doubled}"),
            ("recovery ms", f"p50 {quantile(recovery, 0.5):.1f}, p99 {quantile(recovery, 0.99):.1f}"),
            ("start to ready", f"p50 {quantile(ready, 0.5):.0f} ms, p99 {quantile(ready, 0.99):.0f} ms"),
        ]


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else statistics.nan


def strace_options(rng):
    """Die at the N-th call of one thread: in the middle of a sync, or with a block half written."""
    calls, least, most = rng.choice(STRACE_KILLS)
    return calls, ("-e", f"trace={calls}", "-e", f"inject={calls}:signal=SIGKILL:when={rng.randint(least, most)}")


def kill_once(server, producers, rng, by_strace, figures):
    """One life of the server: start, serve, be killed."""
    what, options = strace_options(rng) if by_strace else ("any time", ())
    server.launch(*options)
    if server.wait_ready():
        figures.ready_ms.append(server.ready_seconds * 1000)
        figures.recovery_ms.append(server.status()["recovery_ms"] if server.alive() and not by_strace else None)
        acked = producers.acked_events()
        while server.alive() and producers.acked_events() - acked < EVENTS_BETWEEN_KILLS:
            time.sleep(0.002)
        end = time.monotonic() + (2 if by_strace else rng.uniform(0, 0.3))
        while server.alive() and time.monotonic() < end:
            time.sleep(0.001)
        if server.alive():
            what = "any time"
            figures.least_between = min(figures.least_between, producers.acked_events() - acked)
    server.kill9()
    figures.kills[what] = figures.kills.get(what, 0) + 1
    figures.cycles += 1


def run_with_kills(server, seed, more, pause):
    """more(figures): another cycle? Returns the producers and the figures; the server is up and everything is in."""
    rng, figures = random.Random(seed), Figures()
    server.start()
    producers = Producers(server, seed, lambda i: Pace(random.Random(seed * 100 + i), pause))
    while producers.acked_events() < EVENTS_BETWEEN_KILLS:
        time.sleep(0.002)
    server.kill9()
    while more(figures):
        kill_once(server, producers, rng, figures.cycles % 5 in (1, 3), figures)
    server.start()
    producers.finish()
    figures.recovery_ms = [ms for ms in figures.recovery_ms if ms is not None]
    figures.events = producers.acked_events()
    return producers, figures


def expected_of(producers, seed):
    """The naive count, client by client: no key is in two of them. Returns (counts by version, events by stream)."""
    counts, events = {}, {"impressions": 0, "clicks": 0}
    for k in range(CLIENTS):
        traffic = Traffic(seed, k)
        shown, clicked = (lane.numbers for lane in producers.lanes[2 * k : 2 * k + 2])
        sent = [traffic.impression(n) for n in range(shown)]
        sent += [c for n in range(clicked) if (c := traffic.click(n))]
        expected = reference.join(sent, WINDOW, LATENESS, harness.SHADOWS)
        for key, (positives, negatives) in expected.counts.items():
            before = counts.get(key, (0, 0))
            counts[key] = (before[0] + positives, before[1] + negatives)
        for stream in events:
            events[stream] += expected.consumed[stream]
    return counts, events


def compare(got, expected, figures):
    """Samples per (version, doc): what is missing is lost, what is too much was doubled."""
    for key in got.keys() | expected.keys():
        more = sum(got.get(key, (0, 0))) - sum(expected.get(key, (0, 0)))
        figures.lost += max(0, -more)
        figures.doubled += max(0, more)


def verify(server, fresh, producers, figures, seed):
    """Against the naive count, against the identities, and against an uninterrupted run on a fresh server."""
    problems = [p for lane in producers.lanes for p in lane.problems]
    expected, events = expected_of(producers, seed)
    status = server.settled_status()
    for s in status["streams"]:
        figures.lost += max(0, events[s["name"]] - s["consumed"])
        figures.doubled += max(0, s["consumed"] - events[s["name"]]) + s["duplicate"]
    got = {(name, doc): c for name in harness.VERSIONS for doc, c in server.counts(name).items()}
    compare(got, expected, figures)
    assert not problems, problems[:10]
    assert (figures.lost, figures.doubled) == (0, 0), figures.rows()
    assert got == expected, "labels"
    harness.assert_balanced(status)
    fresh.start()
    again = Producers(fresh, seed, lambda i: Pace(total=producers.lanes[i].numbers))
    again.finish()
    for name in harness.VERSIONS:
        assert server.counts(name) == fresh.counts(name), name
    assert server.digests() == fresh.digests()
