"""The process: what it refuses to start with, how it stops, and what is there when it starts again."""

import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import grpc
import pytest

import event_files
import harness
from test_producers import click, impression


def refused(server, *words):
    """It ends at once with all these words in one line, and without having been ready."""
    server.launch()
    assert not server.wait_ready()
    assert server.process.returncode != 0
    lines = [line for line in server.stderr().splitlines() if all(w in line for w in words)]
    assert lines, server.stderr()


# ---- starting ----


def test_a_second_server_on_the_same_data(server, make_server):
    second = make_server(name="second")
    second.data = server.data
    refused(second, "in use", f"pid {server.process.pid}")
    assert server.alive() and server.run("health")


def test_a_port_that_is_taken(server, make_server):
    second = make_server(name="second")
    second.port = server.port
    refused(second, str(server.port), "in use")
    assert server.run("health")


def test_another_address_than_loopback(make_server):
    s = make_server()
    s.configure(harness.config() + "listen: 0.0.0.0:7070\n")
    p = subprocess.run(
        [harness.BINARY, "serve", "--config", s.config_file, "--data", s.data], capture_output=True, text=True
    )
    assert p.returncode == 2 and "loopback" in p.stderr


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"shards": 16}, ("shards", "8", "16")),
        ({"lateness": "2m"}, ("join.allowed_lateness",)),
        ({"prior": "[1, 30]"}, ("version B",)),
    ],
    ids=["shards", "allowed_lateness", "prior"],
)
def test_a_configuration_that_does_not_fit_the_data(server, call, changed, words):
    call().batch(1, [impression(1)])
    server.term()
    server.configure(harness.config(**changed))
    refused(server, *words)
    server.configure(harness.config())
    server.start()
    server.drain()
    assert server.run("health")


def test_every_problem_of_a_configuration_at_once(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("shards: 0\nwindow: 3\njoin: { window: 5 }\nversions:\n  - { name: A, model: gauss }\n")
    p = subprocess.run([harness.BINARY, "config", "check", path], capture_output=True, text=True)
    assert p.returncode == 2
    for place in (":1:", ":2:", ":3:", ":5:"):
        assert f"{path}{place}" in p.stderr, p.stderr


def test_examples_are_valid_configurations():
    examples = sorted((harness.ROOT / "examples").glob("*.yaml"))
    assert examples
    for path in examples:
        p = subprocess.run([harness.BINARY, "config", "check", path], capture_output=True, text=True)
        assert p.returncode == 0, p.stderr


# ---- stopping ----


def test_counters_and_parameters_are_the_same_after_a_restart(server, tmp_path):
    server.ingest(event_files.write(tmp_path / "events.jsonl", event_files.generate(51, requests=300)))
    before, counts, digests = server.settled_status(), server.counts("A"), server.digests()
    for stop in (server.term, server.kill9):
        stop()
        server.start()
        after = server.settled_status()
        assert server.counts("A") == counts and server.digests() == digests
        assert after["as_of"] == before["as_of"]
        strip = ("holder", "holder_silent_ms")
        assert [{k: v for k, v in s.items() if k not in strip} for s in after["streams"]] == [
            {k: v for k, v in s.items() if k not in strip} for s in before["streams"]
        ]
        assert after["versions"] == before["versions"]
        assert int(after["generation"].split(".")[1]) > int(before["generation"].split(".")[1])


class Load:
    """A producer that keeps sending one impression and its click a batch entry, and notes what was acknowledged."""

    def __init__(self, server):
        self.acked, self.batches, self.code = 0, 0, None
        self.thread = threading.Thread(target=self._run, args=(server,))
        self.thread.start()

    def _run(self, server):
        with server.channel() as channel:
            c = harness.Call(channel)
            try:
                c.open("load")
                while True:
                    first = self.batches * 50
                    c.batch(self.batches + 1, [e for n in range(first, first + 50) for e in (impression(n), click(n))])
                    self.batches += 1
                    self.acked += 100
            except grpc.RpcError as e:
                self.code = e.code()
                c.close()

    def wait(self, events):
        while self.acked < events and self.thread.is_alive():
            time.sleep(0.001)


def assert_acked_is_there(server, load):
    """Everything acknowledged, and at most one batch more: the one whose ack was lost."""
    with server.channel() as channel:
        c = harness.Call(channel)
        assert c.open("load").last_sequence in (load.batches, load.batches + 1)
        c.end()
    server.drain()
    positives = sum(p for p, _ in server.counts("A").values())
    assert positives in (load.acked // 2, load.acked // 2 + 50)
    assert all(n == 0 for _, n in server.counts("A").values())


def test_sigterm_under_load(server):
    load = Load(server)
    load.wait(2000)
    assert server.term() == 0
    load.thread.join()
    assert load.code == grpc.StatusCode.UNAVAILABLE
    assert "everything accepted is committed" in server.screen.read_text()
    server.start()
    assert server.status()["recovered_events"] == 0  # a clean stop leaves nothing to replay
    assert_acked_is_there(server, load)


@pytest.mark.parametrize("listening", [False, True], ids=["idle", "listening"])
def test_clients_that_stay_connected_do_not_delay_a_stop(server, call, listening):
    """Their calls are ended by the server, whether they read the end or not."""
    c = call()
    c.batch(1, [impression(1)])
    if listening:
        threading.Thread(target=lambda: pytest.raises(grpc.RpcError, c.receive), daemon=True).start()
    started = time.monotonic()
    assert server.term() == 0
    assert time.monotonic() - started < 2


def test_a_second_sigterm_does_not_wait(server):
    load = Load(server)
    load.wait(1000)
    started = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) in (0, 130) and time.monotonic() - started < 6
    load.thread.join()
    server.start()
    assert_acked_is_there(server, load)


def test_an_fsync_error_stops_at_once(make_server):
    """It is never retried: nobody knows what the disk still has."""
    server = make_server()
    server.start("-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=40+")
    load = Load(server)
    assert server.process.wait(60) == 70
    load.thread.join()
    last = server.stderr().strip().splitlines()[-1]
    assert re.search(r"stopped \(exit 70\): .*(I/O error|Input/output error)", last), last
    assert load.acked > 0
    server.start()
    assert_acked_is_there(server, load)


def test_a_sync_that_finds_no_room_stops_as_any_other(make_server):
    server = make_server()
    server.start("-e", "trace=fdatasync", "-e", "inject=fdatasync:error=ENOSPC:when=40+")
    load = Load(server)
    assert server.process.wait(60) == 70
    load.thread.join()
    assert "No space left" in server.stderr().strip().splitlines()[-1]
    server.start()
    assert_acked_is_there(server, load)


def test_no_file_is_written_outside_the_data_folder(server, call):
    call().batch(1, [impression(1)])
    assert {p.name for p in pathlib.Path(server.folder).iterdir()} == {"data", "stdout", "stderr", "tidemill.yaml"}


def test_a_connection_that_says_nothing_holds_nobody(server):
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert server.run("health")
        assert server.term() == 0


def data_of(server, name):
    return pathlib.Path(server.data) / name


def test_a_log_that_lost_its_tail_is_refused(server, call):
    """Shards that stand behind its end would skip what comes in the lost part's place."""
    call().batch(1, [impression(i) for i in range(50)])
    server.term()
    shutil.copytree(data_of(server, "log"), data_of(server, "log.older"))
    server.start()
    with server.channel() as channel:
        c = harness.Call(channel)
        c.open()
        c.batch(2, [impression(i) for i in range(50, 100)])
        c.cancel()
    server.term()
    shutil.rmtree(data_of(server, "log"))
    data_of(server, "log.older").rename(data_of(server, "log"))
    refused(server, "the log ends at position", "has applied it up to")


def test_the_state_of_another_directory_is_refused(server, make_server, call):
    call().batch(1, [impression(1)])
    other = make_server(name="other")
    other.start()
    for s in (server, other):
        s.term()
    shutil.rmtree(data_of(server, "state"))
    shutil.copytree(data_of(other, "state"), data_of(server, "state"))
    refused(server, "IDENTITY", "names cluster")


def test_somebody_elses_folder_is_not_filled(make_server):
    s = make_server()
    pathlib.Path(s.data).mkdir(parents=True, exist_ok=True)
    data_of(s, "thesis.tex").write_text("\\documentclass{article}\n")
    refused(s, "thesis.tex", "expected a new or empty folder")
    assert [p.name for p in pathlib.Path(s.data).iterdir()] == ["thesis.tex"]
