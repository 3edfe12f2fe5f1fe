"""A real server under test, its command line, and a gRPC producer."""

import csv
import fcntl
import io
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import time

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
STUBS = ROOT / "build" / "e2e_stubs"
BINARY = pathlib.Path(os.environ.get("TIDEMILL_BINARY", ROOT / "build" / "release" / "tidemill"))
START_SECONDS = 30


def _make_stubs():
    from grpc_tools import protoc

    protos = sorted((ROOT / "proto").glob("tidemill/v1/*.proto")) + [
        ROOT / "proto" / "grpc" / "health" / "v1" / "health.proto"
    ]
    newest = max(p.stat().st_mtime for p in protos)
    stamp = STUBS / "stamp"
    STUBS.mkdir(parents=True, exist_ok=True)
    out = str(STUBS)
    with open(STUBS / "lock", "w") as lock:  # tests run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.stat().st_mtime > newest:
            return
        if protoc.main(
            ["protoc", f"-I{ROOT / 'proto'}", f"--python_out={out}", f"--grpc_python_out={out}", *map(str, protos)]
        ):
            raise RuntimeError("protoc failed")
        stamp.touch()


_make_stubs()
sys.path[:0] = [str(STUBS), str(ROOT / "tools")]

from ports import free_port  # noqa: E402
from tidemill.v1 import events_pb2, parameters_pb2  # noqa: E402
from tidemill.v1 import events_pb2_grpc, parameters_pb2_grpc  # noqa: E402

# Seconds and sizes are small, so that windows, commits and corrections happen often.
CONFIG = """
shards: {shards}
threads: 2
log: {{ sync: 5ms }}
commit: {{ interval: {commit} }}
join: {{ key: [request, doc], window: {window}, allowed_lateness: {lateness} }}
streams:
  - {{ name: impressions, kind: impression, out_of_orderness: 5s }}
  - {{ name: clicks, kind: action, out_of_orderness: 5s }}
labels:
  - {{ name: click, stream: clicks, aggregate: exists }}
versions:
  - {{ name: A, model: beta, prior: [1, 1] }}
  - {{ name: B, model: beta, prior: {prior} }}
  - {{ name: A-shadow, model: beta, prior: [2, 5], samples_from: [A] }}
"""
SHADOWS = {"A-shadow": "A"}
VERSIONS = ("A", "B", "A-shadow")


def wait_until(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def config(shards=8, commit="200ms", window="10s", lateness="60s", prior="[1, 20]"):
    return CONFIG.format(shards=shards, commit=commit, window=window, lateness=lateness, prior=prior)


class Server:
    """One server process at a time, on one data directory and one port."""

    def __init__(self, folder, text=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.config_file = self.folder / "tidemill.yaml"
        self.configure(text or config())
        self.port = free_port()
        self.http = None  # "http://127.0.0.1:PORT" of the running server
        self.process = None
        self.ready_seconds = None

    def configure(self, text):
        self.config_file.write_text(text)

    def command(self):
        return [
            str(BINARY),
            "serve",
            "--config",
            str(self.config_file),
            "--data",
            str(self.data),
            "--listen",
            f"127.0.0.1:{self.port}",
            "--http",
            "127.0.0.1:0",
        ]

    def launch(self, *strace):
        """Start without waiting. strace: its options; the server stays our own child."""
        command = (["strace", "-D", "-f", "-qq", "-o", "/dev/null", *strace] if strace else []) + self.command()
        self.screen, self.errors = self.folder / "stdout", self.folder / "stderr"
        self.launched = time.monotonic()
        with open(self.screen, "wb") as out, open(self.errors, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        return self

    def start(self, *strace):
        self.launch(*strace)
        if not self.wait_ready():
            raise AssertionError(f"the server did not start (exit code {self.process.returncode}): {self.stderr()}")
        return self

    def wait_ready(self):
        """False: it ended before it was ready."""
        while time.monotonic() - self.launched < START_SECONDS:
            text = self.screen.read_text()
            if "\nready\n" in text:
                self.ready_seconds = time.monotonic() - self.launched
                listen = next(line for line in text.splitlines() if line.startswith("listen "))
                self.port = int(listen.rsplit(":", 1)[1])
                http = next((line for line in text.splitlines() if line.startswith("http ")), None)
                self.http = f"http://127.0.0.1:{http.rsplit(':', 1)[1]}" if http else None
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.002)
        raise AssertionError(f"the server was not ready within {START_SECONDS} s: {self.stderr()}")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def stderr(self):
        return self.errors.read_text(errors="replace")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill9(self):
        if self.alive():
            self.process.kill()
        return self.process.wait(START_SECONDS)

    def term(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(START_SECONDS)

    def close(self):
        if self.alive():
            self.kill9()

    # ---- the command line ----

    def spawn(self, *arguments):
        return subprocess.Popen(
            [str(BINARY), *arguments, "--server", self.address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, code=0):
        """Run a client command that must end with this exit code; returns it with its output."""
        p = subprocess.run(
            [str(BINARY), *arguments, "--server", self.address],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert p.returncode == code, f"{' '.join(arguments)}: exit code {p.returncode}, expected {code}: {p.stderr}"
        return p

    def ingest(self, *paths, options=("--end",), code=0):
        return self.run("ingest", *map(str, paths), *options, code=code)

    def drain(self):
        self.run("drain")

    def status(self):
        return json.loads(self.run("status", "-o", "json").stdout)

    def settled_status(self):
        """Counters are those of the last commit: commit first."""
        self.drain()
        return self.status()

    def stream(self, name):
        return next(s for s in self.settled_status()["streams"] if s["name"] == name)

    def version(self, name):
        return next(v for v in self.settled_status()["versions"] if v["name"] == name)

    def export(self, version):
        """doc -> row; numbers as text, as they were printed."""
        text = self.run("params", "export", "--version", version, "-o", "csv").stdout
        return {row["doc"]: row for row in csv.DictReader(io.StringIO(text))}

    def counts(self, version):
        return {doc: (int(r["positives"]), int(r["negatives"])) for doc, r in self.export(version).items()}

    def digests(self):
        reply = json.loads(self.run("params", "digest", "-o", "json").stdout)
        return {d["version"]: d["digest"] for d in reply["digests"]}

    # ---- gRPC ----

    def channel(self):
        return grpc.insecure_channel(
            self.address,
            options=[
                ("grpc.use_local_subchannel_pool", 1),  # otherwise a new channel inherits the back-off of an old one
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
            ],
        )

    def pull(self, version, docs, timeout=10, **fields):
        with self.channel() as channel:
            request = parameters_pb2.PullRequest(version=version, docs=docs, **fields)
            return parameters_pb2_grpc.ParametersStub(channel).Pull(request, timeout=timeout)


def assert_balanced(status):
    assert status["imbalance"] == 0
    for s in status["streams"]:
        fates = ("matched", "applied", "late", "orphaned", "duplicate", "malformed", "filtered", "shed", "waiting")
        assert s["consumed"] == sum(s[f] for f in fates), s
        assert s["imbalance"] == 0, s
        assert max(s[f] for f in fates) <= s["consumed"], s  # none has run below 0
    for v in status["versions"]:
        for kind in ("new_samples", "corrections"):
            c = v[kind]
            assert c["samples"] == c["learned"] + c["batched"] + c["held"] + c["skipped"], v
            assert c["skipped"] == sum(n for reason, n in c.items() if reason.startswith("skipped_")), v
        assert v["imbalance"] == 0, v


def assert_equals_reference(server, expected):
    """Counts, samples, corrections and what became of the events. Returns the status."""
    status = server.settled_status()
    assert_balanced(status)
    for name in VERSIONS:
        assert server.counts(name) == expected.version(name), name
    for v in status["versions"]:
        assert v["new_samples"]["learned"] == expected.samples[v["name"]], v
        assert v["corrections"]["learned"] == expected.corrections[v["name"]], v
    for s in status["streams"]:
        assert s["matched"] == expected.matched[s["name"]], s
    return status


def encode(event):
    """An event as the dict that stands in a JSON line, packed."""
    return events_pb2.Event(**event).SerializeToString()


class Call:
    """One Ingest call: a lane of a producer."""

    def __init__(self, channel, timeout=None):
        self._requests = queue.SimpleQueue()
        self.sequence = 0
        self.replies = events_pb2_grpc.EventsStub(channel).Ingest(iter(self._requests.get, None), timeout=timeout)

    def send(self, **fields):
        self._requests.put(events_pb2.IngestRequest(**fields))

    def receive(self):
        return next(self.replies)

    def open(self, client="e2e", instance="1", lane="main", streams=()):
        self.send(open=events_pb2.Open(client=client, instance=instance, lane=lane, streams=streams))
        opened = self.receive().opened
        self.sequence = opened.last_sequence
        return opened

    def send_batch(self, sequence, events):
        packed = [e if isinstance(e, bytes) else encode(e) for e in events]
        self.sequence = sequence
        self.send(batch=events_pb2.Batch(sequence=sequence, events=packed))

    def batch(self, sequence, events):
        self.send_batch(sequence, events)
        return self.receive().ack

    def watermark(self, stream, time):
        self.send(watermark=events_pb2.Watermark(stream=stream, time=time))

    def watermarks(self, time, streams=("impressions", "clicks")):
        """Returns when they are taken: a watermark has no answer of its own, an empty batch behind it has."""
        for stream in streams:
            self.watermark(stream, time)
        self.batch(self.sequence + 1, [])

    def end(self):
        self.send(end=events_pb2.End())
        return self.receive().ended

    def leave(self):
        self.send(leave=events_pb2.Leave())
        self.close()

    def close(self):
        """No more from our side."""
        self._requests.put(None)

    def cancel(self):
        self.replies.cancel()
        self.close()
