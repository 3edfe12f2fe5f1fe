"""HTTP: metrics, health, and the JSON mirror of gRPC; what slow, wrong and many clients get."""

import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import grpc
import pytest
from google.protobuf import json_format
from prometheus_client.parser import text_string_to_metric_families

import harness
from harness import events_pb2, parameters_pb2
from test_producers import T0, click, impression

from tidemill.v1 import admin_pb2, admin_pb2_grpc  # noqa: E402

FATES = ("matched", "applied", "late", "orphaned", "duplicate", "malformed", "filtered", "shed")
BODY_MAX = 4 << 20


class Web:
    """The HTTP side of a server."""

    def __init__(self, server):
        self.host = server.http.removeprefix("http://")

    def ask(self, method, path, body=None, headers=None, timeout=20):
        """(status, headers, bytes)"""
        connection = http.client.HTTPConnection(self.host, timeout=timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            if body is not None and headers is None:
                headers = {"Content-Type": "application/json"}
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, status=200, **more):
        got, headers, text = self.ask(method, path, body, **more)
        assert got == status, text
        assert headers["Content-Type"] == "application/json"
        return json.loads(text)

    def refused(self, status, code, method, path, body=None, **more):
        """The message of a refusal."""
        reply = self.json(method, path, body, status, **more)
        assert sorted(reply) == ["code", "message"] and reply["code"] == code, reply
        return reply["message"]

    def metrics(self):
        """Both what it says and that it is said right: name and labels -> value."""
        status, headers, text = self.ask("GET", "/metrics")
        assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = text.decode()
        if shutil.which("promtool"):
            p = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
            assert p.returncode == 0 and not p.stdout + p.stderr, p.stdout + p.stderr
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        values = {(s.name, *sorted(s.labels.items())): s.value for s in samples}
        assert len(values) == len(samples), "a sample is there twice"
        return lambda name, **labels: values.get((name, *sorted(labels.items())))


@pytest.fixture
def web(server):
    return Web(server)


def batch(sequence, events, client="curl", **more):
    return {"client": client, "instance": "1", "sequence": sequence, "events": events, **more}


# ---- health ----


def test_health_readiness_and_version(server, web):
    assert web.ask("GET", "/healthz")[::2] == (200, b"ok\n")
    assert web.ask("GET", "/readyz")[::2] == (200, b"ready\n")
    status, _, text = web.ask("GET", "/readyz?verbose")
    names = [line.split(":")[0] for line in text.decode().splitlines()]
    assert status == 200 and names == ["[+] recovered", "[+] log", "[+] state", "[+] caught_up", "[+] disk", "ready"]
    reply = web.json("GET", "/version")
    assert reply["generation"] == "1.1" and reply["version"] in server.run("--version").stdout
    status, headers, text = web.ask("HEAD", "/healthz")
    assert status == 200 and text == b"" and headers["Content-Length"] == "3"


def test_it_is_not_ready_while_it_leaves(server, web, call):
    """Readiness goes first, and what waits is answered before the end."""
    answers = []
    waiting = {"version": "A", "docs": ["d1"], "at_least": 10**9}
    thread = threading.Thread(target=lambda: answers.append(web.ask("POST", "/v1/pull", waiting)))
    thread.start()
    harness.wait_until("the Pull is parked", lambda: web.metrics()("tidemill_pull_parked_calls"))
    server.process.send_signal(signal.SIGTERM)
    thread.join(10)
    status, headers, text = answers[0]
    assert status == 503 and headers["Retry-After"] == "1" and json.loads(text)["code"] == "UNAVAILABLE"
    assert server.process.wait(10) == 0
    assert "everything accepted is committed" in server.screen.read_text()


def test_the_port_of_another(server, make_server):
    second = make_server(name="second")
    command = second.command()
    command[-1] = server.http.removeprefix("http://")
    p = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert p.returncode == 3 and "http: " in p.stderr and "in use" in p.stderr


def test_off_is_off(make_server):
    server = make_server()
    server.command = lambda original=server.command: [*original()[:-1], "off"]
    server.start()
    assert server.http is None and "http" not in server.screen.read_text()
    assert server.run("health")
    assert server.term() == 0


# ---- metrics ----


def test_the_identities_add_up(server, web, call):
    c = call()
    c.batch(1, [impression(n) for n in range(40)] + [impression(3)])
    c.batch(2, [click(n) for n in range(0, 40, 4)] + [click(99), {**click(0), "version": "B"}])
    c.watermarks(T0 + 30_000)
    c.batch(4, [click(n, delay=12_000) for n in range(1, 10, 4)])  # corrections
    c.end()
    status = server.settled_status()
    m = web.metrics()
    for s in status["streams"]:
        name = s["name"]
        assert m("tidemill_stream_consumed_events_total", stream=name) == s["consumed"]
        fates = [m("tidemill_stream_events_total", stream=name, fate=f) for f in FATES]
        assert fates == [s[f] for f in FATES]
        assert m("tidemill_stream_waiting_events", stream=name) == s["waiting"]
        assert sum(fates) + s["waiting"] == s["consumed"]
        assert m("tidemill_stream_imbalance_events", stream=name) == 0
        assert m("tidemill_stream_watermark_timestamp_seconds", stream=name) == s["watermark"] / 1e3
        assert m("tidemill_stream_watermark_lag_seconds", stream=name) > 1e6
    for v in status["versions"]:
        for kind, counts in (("new", v["new_samples"]), ("correction", v["corrections"])):
            labels = {"version": v["name"], "kind": kind}
            assert m("tidemill_version_samples_total", **labels) == counts["samples"]
            settled = [m("tidemill_version_settled_samples_total", fate=f, **labels) for f in ("learned", "skipped")]
            pending = [m("tidemill_version_pending_samples", fate=f, **labels) for f in ("batched", "held")]
            assert sum(settled) + sum(pending) == counts["samples"] and settled[0] == counts["learned"]
        assert m("tidemill_version_imbalance_samples", version=v["name"]) == 0
        assert m("tidemill_version_documents", version=v["name"]) == v["documents"]
        assert m("tidemill_version_bytes", version=v["name"]) >= 58 * v["documents"]
    assert m("tidemill_version_settled_samples_total", version="A", kind="new", fate="learned") == 40
    assert m("tidemill_version_settled_samples_total", version="A", kind="correction", fate="learned") == 3
    assert m("tidemill_conservation_imbalance") == 0
    assert m("tidemill_gate_timestamp_seconds") == status["as_of"] / 1e3
    assert m("tidemill_log_durable_position") == m("tidemill_log_applied_position") == status["position"]
    assert m("tidemill_log_committed_lag_records") == 0 == m("tidemill_log_applied_lag_seconds")
    assert m("tidemill_commits_total") >= 8 == m("tidemill_commit_seconds_count") - m("tidemill_commits_total") + 8
    assert m("tidemill_state_sync_seconds_count") > 0


def test_doors_and_calls_are_counted(server, web, call):
    c = call("alice", lane="web")
    c.batch(1, [impression(1), {**impression(2), "version": "Z"}, b"\xff"])
    c.batch(1, [impression(1), {**impression(2), "version": "Z"}, b"\xff"])
    web.json("POST", "/v1/ingest", batch(1, [impression(5), impression(6)]))
    with pytest.raises(grpc.RpcError):
        server.pull("nobody", ["d1"])
    server.pull("A", ["d1"])
    m = web.metrics()
    assert m("tidemill_ingest_open_calls") == 1
    assert [m("tidemill_ingest_batches_total", door=d) for d in ("grpc", "http")] == [1, 1]
    assert [m("tidemill_ingest_events_total", door=d) for d in ("grpc", "http")] == [1, 2]
    assert m("tidemill_ingest_repeated_batches_total", door="grpc") == 1
    assert m("tidemill_ingest_rejected_events_total", field="version") == 1
    assert m("tidemill_ingest_rejected_events_total", field="unreadable") == 1
    assert m("tidemill_producers") == 2
    pull = {"grpc_service": "tidemill.v1.Parameters", "grpc_method": "Pull"}
    assert m("grpc_server_started_total", **pull) == 2
    assert m("grpc_server_handled_total", grpc_code="OK", **pull) == 1
    assert m("grpc_server_handled_total", grpc_code="NotFound", **pull) == 1
    assert m("grpc_server_handling_seconds_count", **pull) == 2
    ingest = {"grpc_service": "tidemill.v1.Events", "grpc_method": "Ingest"}
    assert m("grpc_server_started_total", **ingest) == 1
    assert not m("grpc_server_handled_total", grpc_code="OK", **ingest)  # it is still open
    assert m("tidemill_freshness_seconds_count") >= 2
    assert m("tidemill_log_append_seconds_count") >= m("tidemill_log_sync_seconds_count") > 0
    c.cancel()
    deadline = time.monotonic() + 5
    while web.metrics()("grpc_server_handled_total", grpc_code="Canceled", **ingest) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_machine_is_measured(server, web):
    m = web.metrics()
    assert abs(m("process_start_time_seconds") - time.time()) < 120
    assert m("process_resident_memory_bytes") > 1e6 and m("process_open_fds") > 10
    assert m("tidemill_disk_free_bytes") <= m("tidemill_disk_size_bytes")
    for db in ("log", "state"):
        assert m("tidemill_rocksdb_background_errors_total", db=db) == 0
        assert m("tidemill_rocksdb_memtable_bytes", db=db) > 0
        assert m("tidemill_rocksdb_block_cache_capacity_bytes", db=db) >= 8 << 20
    assert m("tidemill_build_info", version=server.run("--version").stdout.split()[1]) == 1


def test_label_values_are_escaped(server, web, call):
    call('a"b\\c\nd').batch(1, [impression(1)])
    deadline = time.monotonic() + 5
    labels = {"stream": "impressions", "client": 'a"b\\c\nd', "instance": "1", "lane": "main"}
    while web.metrics()("tidemill_stream_holder_info", **labels) != 1:  # holders are looked for ten times a second
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ---- the mirror ----


def same(message_type, text, reply, but=()):
    """JSON of ours is field by field a reply of gRPC."""
    ours = json_format.Parse(json.dumps(text), message_type())
    for field in but:
        ours.ClearField(field)
        reply.ClearField(field)
    assert ours == reply


def test_pull_equals_grpc(server, web, call):
    c = call()
    c.batch(1, [impression(n) for n in range(30)])
    c.batch(2, [click(n) for n in range(0, 30, 3)])
    c.end()
    server.drain()
    docs = [f"d{n}" for n in range(10)] + ["none", "d\u00e9j\u00e0 \"vu\"\\"]
    reply = server.pull("A", docs, statistics=True)
    assert sum(reply.known) == 10
    body = {"version": "A", "docs": docs, "statistics": True}
    same(parameters_pb2.PullReply, web.json("POST", "/v1/pull", body), reply)
    query = urllib.parse.urlencode([("version", "A"), ("statistics", "true"), *(("docs", d) for d in docs)])
    same(parameters_pb2.PullReply, web.json("GET", "/v1/pull?" + query), reply)
    bare = web.json("GET", "/v1/pull?version=A")
    assert bare["values"] == [] == bare["mean"] and bare["model"] == "beta"


def test_status_equals_grpc(server, web, call):
    call().batch(1, [impression(n) for n in range(30)])
    server.drain()
    with server.channel() as channel:
        reply = admin_pb2_grpc.AdminStub(channel).Status(admin_pb2.StatusRequest(), timeout=10)
    ours = web.json("GET", "/v1/status")
    moving = ("commits", "commit_bytes", "log_syncs", "log_sync_ms_mean", "log_sync_ms_max", "log_bytes", "disk_free")
    for s in ours["streams"]:
        s.pop("holder_silent_ms", None)
    for s in reply.streams:
        s.ClearField("holder_silent_ms")
    same(admin_pb2.StatusReply, ours, reply, but=moving)


def test_errors_have_the_words_of_grpc(server, web):
    for version, docs in (("Z", ["d1"]), ("", ["d1"]), ("A", [""]), ("A", ["x" * 257]), ("A", ["d"] * 10001)):
        with pytest.raises(grpc.RpcError) as e:
            server.pull(version, docs)
        status = {grpc.StatusCode.NOT_FOUND: 404, grpc.StatusCode.INVALID_ARGUMENT: 400}[e.value.code()]
        body = {"version": version, "docs": docs}
        assert web.refused(status, e.value.code().name, "POST", "/v1/pull", body) == e.value.details()


def test_read_your_writes(server, web):
    ack = web.json("POST", "/v1/ingest", batch(1, [impression(n) for n in range(10)]))
    assert ack["durable"] and ack["sequence"] == 1
    reply = web.json("GET", f"/v1/pull?version=A&docs=d1&at_least={ack['position']}")
    assert reply["position"] >= ack["position"]
    began = time.monotonic()
    late = "/v1/pull?version=A&at_least=18446744073709551615&timeout_ms=300"
    message = web.refused(504, "DEADLINE_EXCEEDED", "GET", late)
    assert 0.2 < time.monotonic() - began < 3 and "18446744073709551615" in message


def test_ingest_is_the_same_door(server, web, call):
    events = [impression(1), {**impression(2), "version": "Z"}, {"stream": "impressions"}]
    c = call("grpc")
    over_grpc = c.batch(1, [e if isinstance(e, bytes) else harness.encode(e) for e in events])
    ours = json_format.Parse(json.dumps(web.json("POST", "/v1/ingest", batch(1, events))), events_pb2.Ack())
    assert list(ours.rejected) == list(over_grpc.rejected) and len(ours.rejected) == 2
    again = web.json("POST", "/v1/ingest", batch(1, events))
    assert again["repeated_batch"] and again["rejected"] == json_format.MessageToDict(ours)["rejected"]
    assert "sequence 7; expected 2" in web.refused(
        400, "FAILED_PRECONDITION", "POST", "/v1/ingest", batch(7, events)
    )
    assert call("curl", instance="1").sequence == 1  # a lane is a lane: gRPC goes on where HTTP stopped
    times = [{**impression(8), "time": "2023-11-14T22:13:20.008Z"}, {**click(8), "value": 2, "features": [0.5, 1]}]
    assert "rejected" not in {k: v for k, v in web.json("POST", "/v1/ingest", batch(2, times)).items() if v}
    status = server.settled_status()
    harness.assert_balanced(status)
    assert {s["name"]: s["consumed"] for s in status["streams"]} == {"impressions": 3, "clicks": 1}
    letters = json.loads(server.run("deadletters", "list", "--reason", "rejected", "-o", "json").stdout)["letters"]
    assert len(letters) == 4  # two of each door; the repeated batch adds none


@pytest.mark.parametrize(
    "body, words",
    [
        ("{}", ("client, instance, sequence, events", "missing")),
        ('{"client":"c","events":[]}', ("instance, sequence: missing",)),
        ('{"client":"","instance":"i","sequence":1,"events":[]}', ("open.client", "1 to 64")),
        ('{"client":"c","instance":"i","sequence":0,"events":[]}', ("batch.sequence",)),
        ('{"client":"c","instance":"i","sequence":1,"events":[{"time":"soon"}]}', ("events[0]", "time", "soon")),
        ('{"client":"c","instance":"i","sequence":1,"events":[{"dco":"d"}]}', ("events[0]", 'mean "doc"')),
        ('{"client":"c","instance":"i","sequence":1,"streams":["carts"],"events":[]}', ("carts", "clicks")),
        ('{"client":"c","instance":"i","sequence":1,"events":[NaN]}', ("byte",)),
        ('{"client":"c"', ("byte", "expected one JSON object")),
        ("", ("byte 0",)),
        ("[" * 100000, ("expected one JSON object",)),
        ('{"client":"\\ud800","instance":"i","sequence":1,"events":[]}', ("byte",)),
        (b'{"client":"\xff"}', ("byte",)),
    ],
)
def test_malformed_ingest(server, web, body, words):
    message = web.refused(400, "INVALID_ARGUMENT", "POST", "/v1/ingest", body)
    assert all(w in message for w in words), message
    assert web.json("GET", "/v1/status")["position"] == server.status()["position"]


@pytest.mark.parametrize(
    "path, word",
    [
        ("/v1/pull?vresion=A", "version"),
        ("/v1/pull?version=A&statistics=maybe", "true or false"),
        ("/v1/pull?version=A&at_least=-1", "at_least"),
        ("/v1/pull?version=A&timeout_ms=soon", "timeout_ms"),
        ("/v1/pull?version=A&docs=%ff", "docs"),
        ("/v1/pull?version=A&docs=", "docs[0]"),
        ("/v1/pull", "version"),
    ],
)
def test_malformed_queries(web, path, word):
    assert word in web.refused(400, "INVALID_ARGUMENT", "GET", path)


# ---- limits ----


def test_paths_methods_and_types(web):
    message = web.refused(404, "NOT_FOUND", "GET", "/v1/nothing")
    assert "/v1/pull" in message and "/metrics" in message
    web.refused(404, "NOT_FOUND", "POST", "/", {})
    web.refused(405, "UNIMPLEMENTED", "GET", "/v1/ingest")
    web.refused(405, "UNIMPLEMENTED", "DELETE", "/v1/pull")
    assert web.ask("PUT", "/v1/pull", b"{}")[1]["Allow"] == "GET, POST"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        web.refused(415, "INVALID_ARGUMENT", "POST", "/v1/pull", b"{}", headers={"Content-Type": kind})
    web.json("POST", "/v1/pull", b'{"version":"A"}', headers={"Content-Type": "Application/JSON; charset=utf-8"})
    m = web.metrics()
    assert m("tidemill_http_requests_total", path="other", code="404") == 2
    assert m("tidemill_http_requests_total", path="/v1/pull", code="415") == 3


def test_bodies_are_bounded(server, web):
    within = b'{"version":"A"}'.ljust(BODY_MAX)
    assert web.json("POST", "/v1/pull", within)["version"] == "A"
    web.refused(413, "RESOURCE_EXHAUSTED", "POST", "/v1/pull", within + b" ")
    web.refused(413, "RESOURCE_EXHAUSTED", "POST", "/v1/pull", iter([within, b"   "]))  # in chunks, without a length
    asked = {"Content-Type": "application/json", "Content-Length": str(1 << 40), "Expect": "100-continue"}
    connection = http.client.HTTPConnection(web.host, timeout=5)
    connection.putrequest("POST", "/v1/ingest")
    for name, value in asked.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    status = web.ask("GET", "/healthz", headers={"X-Long": "x" * 100000})[0]
    assert status in (413, 431)
    assert web.ask("GET", "/healthz")[0] == 200


def endless():
    while True:
        yield b" " * 65536


def test_a_body_without_end_is_cut_off(web):
    began = time.monotonic()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        web.ask("POST", "/v1/pull", endless())
    assert time.monotonic() - began < 10
    assert web.ask("GET", "/healthz")[0] == 200


def test_slow_clients_hold_up_nobody(server, web):
    """Half requests, half bodies, readers who do not read, and Pulls that wait: more than there are threads."""
    host, port = web.host.split(":")
    sockets = []
    parked = {"version": "A", "docs": ["d1"], "at_least": 10**9}
    text = json.dumps(parked).encode()
    head = b"POST /v1/pull?timeout_ms=20000 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    docs = json.dumps({"version": "A", "docs": [f"doc-{n:08}" for n in range(10000)], "statistics": True}).encode()
    for n in range(40):
        s = socket.create_connection((host, int(port)))
        sockets.append(s)
        s.sendall(
            [
                b"GET /metrics HTTP/1.1\r\nHo",
                head % 1000 + b'{"version',
                head % len(text) + text,
                head % len(docs) + docs,
            ][n % 4]
        )
    deadline = time.monotonic() + 10
    while web.metrics()("tidemill_pull_parked_calls") < 10:
        assert time.monotonic() < deadline
    for _ in range(50):
        began = time.monotonic()
        assert web.json("GET", "/v1/pull?version=A&docs=d1")["version"] == "A"
        assert time.monotonic() - began < 2
    m = web.metrics()
    assert m("tidemill_http_connections") >= 40
    for s in sockets:
        s.close()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0, server.stderr()


def test_requests_that_trickle_are_cut_off(server, web):
    """As many as there may be connections, each with a byte now and then: in the end the others get their turn."""
    host, port = web.host.split(":")
    sockets = [socket.create_connection((host, int(port))) for _ in range(300)]
    stop = threading.Event()

    def trickle():
        while not stop.wait(0.5):
            for s in sockets:
                with contextlib.suppress(OSError):
                    s.sendall(b"x")

    for s in sockets:
        s.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            web.ask("GET", "/healthz", timeout=2)
        assert web.ask("GET", "/healthz", timeout=30)[0] == 200
    finally:
        stop.set()
        thread.join()
        for s in sockets:
            s.close()
    assert server.term() == 0


def test_many_at_once(server, web):
    """Producers and readers side by side; everything counts once."""
    producers, batches = 8, 20
    problems = []

    def produce(k):
        try:
            for sequence in range(1, batches + 1):
                n = 1000 * k + sequence
                body = {**batch(sequence, [impression(n), click(n)], client=f"p{k}")}
                for repeated in (False, True):  # each one twice
                    ack = web.json("POST", "/v1/ingest", body)
                    assert ack["repeated_batch"] == repeated and ack["sequence"] == sequence
                reply = web.json("GET", f"/v1/pull?version=A&docs=d1&at_least={ack['position']}")
                assert reply["position"] >= ack["position"]
        except BaseException as e:  # noqa: BLE001 - told below
            problems.append(e)

    threads = [threading.Thread(target=produce, args=(k,)) for k in range(producers)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        web.metrics()
        web.json("GET", "/v1/status")
    for t in threads:
        t.join()
    assert not problems, problems
    status = server.settled_status()
    harness.assert_balanced(status)
    assert {s["name"]: s["consumed"] for s in status["streams"]} == {
        "impressions": producers * batches,
        "clicks": producers * batches,
    }
    m = web.metrics()
    assert m("tidemill_ingest_batches_total", door="http") == producers * batches
    assert m("tidemill_ingest_repeated_batches_total", door="http") == producers * batches


@contextlib.contextmanager
def hanging_syncs(server):
    """No fdatasync returns as long as this lasts."""
    hang = ["-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=60s"]
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", *hang, "-p", str(server.process.pid)])
    try:
        while "TracerPid:\t0\n" in open(f"/proc/{server.process.pid}/status").read():
            assert tracer.poll() is None
            time.sleep(0.01)
        yield
    finally:
        tracer.terminate()
        tracer.wait()


def later(function):
    """(thread, list of its one result)"""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    return thread, results


def test_a_log_that_hangs_is_not_ready(server, web):
    """A sync that does not return: /readyz says so while everything else answers, and takes it back."""
    with hanging_syncs(server):
        thread, acks = later(lambda: web.json("POST", "/v1/ingest", batch(1, [impression(1)]), timeout=60))
        harness.wait_until("not ready", lambda: web.ask("GET", "/readyz")[0] == 503)
        text = web.ask("GET", "/readyz")[2].decode()
        assert text.startswith("[-] log: the log's writer moved ") and text.endswith("not ready\n")
        assert b"[+] recovered" in web.ask("GET", "/readyz?verbose")[2]
        assert web.json("GET", "/v1/pull?version=A&docs=d1")["known"] == [False]
    thread.join(60)
    assert acks[0]["durable"]
    harness.wait_until("ready again", lambda: web.ask("GET", "/readyz")[0] == 200)


def test_it_is_not_ready_while_it_drains(server, web):
    """What the log owes an answer keeps the server a while; it says that it leaves, and the answer comes."""
    with hanging_syncs(server):
        thread, acks = later(lambda: web.json("POST", "/v1/ingest", batch(1, [impression(1)]), timeout=60))
        harness.wait_until("the connection is counted", lambda: web.metrics()("tidemill_http_connections") >= 2)
        harness.wait_until("it is in the log's hands", lambda: b"[-] log: " in web.ask("GET", "/readyz")[2])
        server.process.send_signal(signal.SIGTERM)
        harness.wait_until("draining", lambda: b"[-] serving: the server is shutting down" in web.ask("GET", "/readyz")[2])
        assert web.ask("GET", "/readyz")[0] == 503 and web.ask("GET", "/healthz")[0] == 200
        web.refused(503, "UNAVAILABLE", "POST", "/v1/ingest", batch(2, [impression(2)]))
    thread.join(60)
    assert acks[0]["durable"]
    assert server.process.wait(20) == 0, server.stderr()
