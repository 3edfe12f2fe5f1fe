"""The log is trimmed under load: nothing that is needed goes, and what is left is enough after any crash."""

import shutil
import time

import harness
from test_process import Load, assert_acked_is_there, data_of, refused
from test_producers import impression

KIB = 1 << 10
LIMIT = 256 * KIB
IDLE_SECONDS = 5  # a shard to which nothing happens writes down its place so often
STEP = 64 * KIB  # the log is cut in steps of so much, at least


def tiny(more="retain_size: 256KiB"):
    return harness.config(commit="50ms").replace("log: { sync: 5ms }", f"log: {{ sync: 5ms, {more} }}")


def test_a_trimmed_log_under_load_and_kill_9(make_server):
    server = make_server(tiny())
    server.start()
    load, first = Load(server), 0
    until = time.monotonic() + 4 * IDLE_SECONDS
    while first < 20_000 and time.monotonic() < until:
        time.sleep(0.05)
        status = server.status()
        assert status["log_first_position"] >= first
        first = status["log_first_position"]
        assert first <= min(s["committed_position"] for s in status["shards"])  # never past what a shard may need
    assert first >= 20_000
    server.kill9()
    load.thread.join()
    server.start()
    assert server.status()["log_first_position"] >= first
    assert_acked_is_there(server, load)
    server.drain()
    harness.wait_until("what is overdue is gone", lambda: server.status()["log_kept_bytes"] <= LIMIT + STEP)
    status = server.settled_status()
    assert status["log_overdue_bytes"] == 0
    assert status["log_first_position"] > 0 and status["log_oldest"] > 0
    harness.assert_balanced(status)


def test_old_blocks_go_with_time(make_server):
    server = make_server(tiny("retain: 2s"))
    server.start()
    with server.channel() as channel:
        c = harness.Call(channel)
        c.open()
        for n in range(1, 40):
            c.batch(n, [impression(n)])
            time.sleep(0.1)
        server.drain()  # all shards are behind everything
        harness.wait_until("old blocks are gone", lambda: 0 < server.status()["log_first_position"])
        status = server.status()
        assert status["log_first_position"] < status["position"]
        assert time.time() * 1000 - status["log_oldest"] > 1000
        c.cancel()
    server.kill9()
    server.start()
    assert server.stream("impressions")["consumed"] == 39


def test_a_state_that_is_older_than_the_log_is_refused(make_server):
    server = make_server(tiny())
    server.start()
    load = Load(server)
    load.wait(1000)
    server.kill9()
    load.thread.join()
    shutil.copytree(data_of(server, "state"), server.folder / "state.older")
    server.start()
    with server.channel() as channel:
        c = harness.Call(channel)
        c.open("more")
        for n in range(1, 100):
            c.batch(n, [impression(n * 100 + k, payload=b"x" * 100) for k in range(100)])
    before = server.status()["position"]
    deadline = time.monotonic() + 10
    while server.status()["log_first_position"] < before // 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    server.kill9()
    shutil.rmtree(data_of(server, "state"))
    shutil.move(server.folder / "state.older", data_of(server, "state"))
    refused(server, "the log is kept from position", "the state is older than the log")
    assert server.process.returncode == 8
