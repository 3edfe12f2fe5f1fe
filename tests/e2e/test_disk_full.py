"""A disk that fills up, to the very last byte: ingest is refused with words, reads go on, nothing is lost or counted
twice, and it goes on by itself when there is space again."""

import contextlib
import os
import subprocess
import time

import grpc
import pytest

import event_files
import harness
from test_files import expected_of
from test_process import Load, assert_acked_is_there, refused
from test_producers import click, code_of, impression
from test_versions import Feed, assert_twins, config, wait_caught_up

from tidemill.v1 import admin_pb2, admin_pb2_grpc

MIB = 1 << 20
SIZE, RESERVE = 256 * MIB, 64 * MIB  # RESERVE: what disk.reserve is for a file system of this size
AGAIN = RESERVE + RESERVE // 4


class Disk:
    """A file system of its own, with a ballast file."""

    def __init__(self, path):
        self.path, self.ballast = path, path / "ballast"

    def free(self):
        s = os.statvfs(self.path)
        return s.f_bavail * s.f_frsize

    def fill(self):
        """To the very last byte, whatever is freed meanwhile; most of it at once, so that what the server has taken and
        not yet committed finds no room."""
        with contextlib.suppress(OSError):  # the server was quicker
            self.leave(0)
        with open(self.ballast, "ab", buffering=0) as f:
            for size in (MIB, 4096, 1):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError:
                    pass

    def leave(self, bytes):
        """So much, and no more, in one step."""
        with open(self.ballast, "ab") as f:
            size = os.fstat(f.fileno()).st_size
            wanted = size + self.free() - bytes
            os.posix_fallocate(f.fileno(), 0, wanted) if wanted > size else os.truncate(f.fileno(), wanted)

    def clear(self):
        self.ballast.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    p = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path], capture_output=True, text=True
    )
    if p.returncode:
        pytest.skip(f"a file system of its own cannot be mounted here: {p.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def small(disk, make_server):
    """A server on that disk, its screens elsewhere."""
    s = make_server()
    s.data = disk.path / "data"
    return s


def fill_until_full(disk, server):
    """It is full for the server when a write fails. If it had nothing to write just then, it gets room and events again."""
    says_full = lambda: (disk.fill(), server.status()["disk_state"] == "full")[1]
    for _ in range(20):
        try:
            return harness.wait_until("the server says that its disk is full", says_full, seconds=2)
        except AssertionError:
            disk.clear()
            harness.wait_until("there is room again", lambda: server.status()["disk_state"] == "room")
    raise AssertionError("whenever the disk was full, the server had nothing to write")


def refusal(server, client):
    """Send nothing but an empty batch: how it is refused, code and words; None: it is taken."""
    with server.channel() as channel:
        c = harness.Call(channel, timeout=10)
        try:
            c.open(client)
            c.batch(c.sequence + 1, [])
            return None
        except grpc.RpcError as e:
            return e.code(), e.details()
        finally:
            c.cancel()


def assert_says_full(server, state):
    status = server.status()
    assert status["disk_state"] == state, status
    assert "no events are taken" in server.run("health").stdout
    code, words = refusal(server, "somebody")
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED, words
    assert "MiB are free" in words and "try again" in words or "disk is full" in words


def test_a_full_disk_is_survived(disk, small, tmp_path):
    events = event_files.generate(71, requests=4000)
    path = event_files.write(tmp_path / "events.jsonl", events)
    small.start()
    sender = small.spawn("ingest", str(path), "--rate", "6000", "--end")
    harness.wait_until("2,000 events are consumed", lambda: sum(int(s["consumed"]) for s in small.status()["streams"]) > 2000)

    disk.fill()
    fill_until_full(disk, small)
    assert_says_full(small, "full")
    before = small.pull("A", ["d1", "d2"])
    assert all(before.known) and before.position > 0
    time.sleep(2)
    after = small.pull("A", ["d1", "d2"])
    assert (after.position, list(after.values)) == (before.position, list(before.values))  # frozen, and still served
    assert small.alive() and sender.poll() is None

    disk.clear()
    out, err = sender.communicate(timeout=60)
    assert sender.returncode == 0, err
    assert "disk" in err and "takes events again" in err
    harness.assert_equals_reference(small, expected_of(events))
    assert small.status()["disk_state"] == "room" and "no events" not in small.run("health").stdout
    digests = small.digests()
    assert small.term() == 0
    small.start()
    assert small.digests() == digests


def test_killed_and_started_again_while_the_disk_is_full(disk, small):
    small.start()
    load = Load(small)
    load.wait(3000)
    disk.fill()
    fill_until_full(disk, small)
    load.thread.join()
    assert load.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    small.kill9()
    disk.fill()
    for _ in range(2):
        refused(small, "MiB are free", "Free some space")
        assert small.process.returncode == 1
    disk.clear()
    small.start()
    assert_acked_is_there(small, load)


def test_sigterm_while_the_disk_is_full(disk, small):
    small.start()
    load = Load(small)
    load.wait(3000)
    disk.fill()
    fill_until_full(disk, small)
    load.thread.join()
    drain = small.spawn("drain")  # waits for a commit that waits for room
    time.sleep(0.3)
    assert small.term() == 1
    drain.communicate(timeout=30)
    assert "no space left on the disk" in small.stderr().strip().splitlines()[-1]
    disk.clear()
    small.start()
    assert_acked_is_there(small, load)


def test_below_the_reserve_what_was_taken_is_committed(disk, small):
    small.start()
    with small.channel() as channel:
        c = harness.Call(channel)
        c.open("early")
        c.batch(1, [e for n in range(100) for e in (impression(n), click(n))])
        disk.leave(RESERVE - 20 * MIB)
        c.send_batch(2, [impression(200)])
        assert code_of(c)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
        c = harness.Call(channel)
        assert c.open("early").last_sequence == 1
        c.end()  # time goes on: everything is decided, committed and synced
    small.drain()
    assert sum(positives for positives, _ in small.counts("A").values()) == 100
    assert_says_full(small, "low")
    assert small.term() == 0
    small.start()
    disk.leave(RESERVE - 20 * MIB)  # of what the start has given back: files are allocated ahead
    assert_says_full(small, "low")
    disk.leave((RESERVE + AGAIN) // 2)
    time.sleep(0.5)
    assert_says_full(small, "low")  # not at the edge: once shut, it opens when there is a quarter more
    disk.clear()
    harness.wait_until("the disk has room", lambda: small.status()["disk_state"] == "room")
    assert small.run("health").stdout == "serving\n"


@pytest.mark.parametrize("database", ["log", "state/1"])
@pytest.mark.parametrize("when", [61, "100..140"])
def test_a_write_that_finds_no_room_is_written_later(make_server, database, when):
    """Whatever was said of free space before: somebody else was quicker."""
    server = make_server(harness.config(commit="50ms"))
    files = [f"-P{server.data}/{database}/{n:06}.log" for n in range(1, 60)]
    server.start(*files, "-e", "trace=write,pwrite64", "-e", f"inject=write,pwrite64:error=ENOSPC:when={when}")
    load = Load(server)
    load.thread.join(20)
    assert load.code == grpc.StatusCode.RESOURCE_EXHAUSTED  # nobody is kept waiting
    harness.wait_until("events are taken", lambda: refusal(server, "later") is None)  # the same process takes events again
    server.kill9()
    server.start()
    assert_acked_is_there(server, load)


def test_what_rocksdb_says_for_itself_needs_no_room(make_server):
    """Its own log asserts on the line behind one that found none."""
    server = make_server(harness.config(commit="50ms"))
    files = [f"-P{server.data}/{database}/LOG" for database in ("log", "state/1")]
    server.start(*files, "-e", "trace=write,pwrite64", "-e", "inject=write,pwrite64:error=ENOSPC:when=1+")
    load = Load(server)
    load.wait(5000)
    assert server.run("health")
    server.kill9()
    load.thread.join()
    server.start()
    assert_acked_is_there(server, load)


def finding_no_room(server, when, database="state/1"):
    """strace options: these writes of a thread to the database's log files find none, whatever is free."""
    files = [f"-P{server.data}/{database}/{n:06}.log" for n in range(1, 200)]
    return (*files, "-e", "trace=write,pwrite64", "-e", f"inject=write,pwrite64:error=ENOSPC:when={when}")


def test_sigterm_while_a_start_waits_for_room(make_server):
    """It says what it waits for, and does not wait when it is to end."""
    server = make_server()
    server.launch(*finding_no_room(server, "1+", "log"))
    harness.wait_until("it says that the disk is full", lambda: "event=disk_full" in server.stderr())
    assert "ready" not in server.screen.read_text()
    assert server.term() == 1
    assert "no space left on the disk" in server.stderr().strip().splitlines()[-1]
    server.start()


def test_a_version_that_catches_up_waits_for_the_state(make_server):
    """It reads what it held from a database that is closed just then."""
    server = make_server(config(shards=1).replace("interval: 100ms", "interval: 10ms")).start()
    feed = Feed(server)
    feed.samples(1000)
    server.run("version", "pause", "A")
    feed.samples(100_000)
    assert server.term() == 0
    server.start(*finding_no_room(server, 1))
    server.run("version", "resume", "A", "--apply")
    wait_caught_up(server)
    assert_twins(server)
    assert "event=disk_full" in server.stderr()


def test_a_slow_reader_of_an_export_holds_up_no_commit(make_server):
    """The state's database is opened again although somebody is in the middle of reading all of it."""
    server = make_server(config(shards=1)).start()
    with server.channel() as channel:
        c = harness.Call(channel)
        c.open("docs", streams=["impressions", "clicks"])
        for k in range(12):
            c.batch(k + 1, [impression(n, doc=f"{n:064}") for n in range(k * 5000, (k + 1) * 5000)])
        c.end()
    assert server.term() == 0
    server.start(*finding_no_room(server, 3))
    narrow = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536)]
    with grpc.insecure_channel(server.address, narrow) as channel:
        replies = admin_pb2_grpc.AdminStub(channel).Export(admin_pb2.ExportRequest(version="A"))
        rows = len(next(replies).docs)
        load = Load(server)
        harness.wait_until("it says that the disk is full", lambda: "event=disk_full" in server.stderr())
        load.thread.join(20)  # until it is refused
        harness.wait_until("events are taken", lambda: refusal(server, "later") is None)
        position = server.status()["position"]
        harness.wait_until("all is committed", lambda: all(s["committed_position"] >= position for s in server.status()["shards"]))
        rows += sum(len(r.docs) for r in replies)  # what was not read until now
    assert rows == 60_000
