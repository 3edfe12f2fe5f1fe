"""Producers over gRPC: what is acknowledged, what is refused, and what hostile bytes can do (nothing)."""

import random
import threading
import time

import grpc
import pytest

import harness

T0 = 1_700_000_000_000
METHODS = (
    "Events/Ingest",
    "Parameters/Pull",
    "Admin/Status",
    "Admin/Drain",
    "Admin/Export",
    "Admin/Digest",
    "Admin/ListDeadLetters",
    "Admin/ShowDeadLetter",
    "Admin/SampleWindow",
    "Admin/CreateVersion",
    "Admin/ListVersions",
    "Admin/ShowVersion",
    "Admin/PauseVersion",
    "Admin/ResumeVersion",
)
STATUS_CODES = {  # the only ones there are
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNIMPLEMENTED,
}


def impression(n, **fields):
    return {"stream": "impressions", "request": f"r{n}", "doc": f"d{n % 10}", "version": "A", "time": T0 + n, **fields}


def click(n, delay=1, **fields):
    return {
        "stream": "clicks",
        "request": f"r{n}",
        "doc": f"d{n % 10}",
        "time": T0 + n + delay,
        "event": f"c{n}",
        **fields,
    }


def code_of(call):
    with pytest.raises(grpc.RpcError) as e:
        call.receive()
    return e.value.code(), e.value.details()


def raw(channel, method, requests, timeout=10):
    """Bytes to a method as they are; the status code it ends with (OK is None)."""
    path = f"/tidemill.v1.{method}"
    try:
        if method == "Events/Ingest":
            list(channel.stream_stream(path)(iter(requests), timeout=timeout))
        else:
            list(channel.unary_stream(path)(requests[0], timeout=timeout))
    except grpc.RpcError as e:
        return e.code()
    return None


@pytest.fixture
def survives(server, call):
    """Whatever the test does to it, the server lives, is balanced, and a producer loses nothing before and after."""
    producer = call("witness")
    assert producer.batch(1, [impression(n) for n in range(100)]).durable
    pid = server.status()["pid"]
    yield
    assert producer.batch(2, [click(n) for n in range(100)] + [impression(n) for n in range(100, 110)]).sequence == 2
    producer.end()
    status = server.settled_status()
    assert status["pid"] == pid and server.alive()
    harness.assert_balanced(status)
    consumed = {s["name"]: s["consumed"] for s in status["streams"]}
    assert consumed == {"impressions": 110, "clicks": 100}
    assert server.counts("A") == {f"d{d}": (10, 1) for d in range(10)}


def test_acks_are_durable_and_in_order(server, call):
    c = call()
    for sequence in range(1, 51):
        c.send_batch(sequence, [impression(sequence)])
    acks = [c.receive().ack for _ in range(50)]
    assert [a.sequence for a in acks] == list(range(1, 51))
    assert all(a.durable and not a.repeated_batch for a in acks)
    positions = [a.position for a in acks]
    assert positions == sorted(positions) and positions[0] > 0


def test_a_repeated_batch_is_acknowledged_and_not_counted_again(server, call):
    c = call()
    first = c.batch(1, [impression(1), impression(2, version="Z")])
    again = c.batch(1, [impression(1), impression(2, version="Z")])
    assert again.repeated_batch and not first.repeated_batch
    assert again.position == first.position
    assert [r.field for r in again.rejected] == [r.field for r in first.rejected] == ["version"]
    c.cancel()
    c = harness.Call(server.channel())
    assert c.open().last_sequence == 1
    assert c.batch(1, [impression(1)]).repeated_batch
    assert server.stream("impressions")["consumed"] == 1
    server.kill9()
    server.start()
    c = harness.Call(server.channel())
    assert c.open().last_sequence == 1
    again = c.batch(1, [impression(1)])
    assert again.repeated_batch and again.position == first.position
    assert not c.batch(2, [click(1)]).repeated_batch
    assert server.stream("impressions")["consumed"] == 1


def test_a_gap_ends_the_call(call):
    c = call()
    c.batch(1, [impression(1)])
    c.send_batch(3, [impression(2)])
    code, details = code_of(c)
    assert code == grpc.StatusCode.FAILED_PRECONDITION and "2" in details and "3" in details


def test_the_first_message_must_open(call):
    c = call(None)
    c.send_batch(1, [impression(1)])
    assert code_of(c)[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_bad_events_are_rejected_by_name_and_the_rest_counts(server, call):
    c = call()
    now = int(time.time() * 1000)
    bad = [
        ("stream", impression(1, stream="views"), "views"),
        ("version", impression(2, version="Z"), "expected one of A, B, A-shadow"),
        ("version", {k: v for k, v in impression(3).items() if k != "version"}, "missing"),
        ("time", impression(4, time=now + 2 * 86_400_000), ""),
        ("time", impression(5, time=0), ""),
        ("value", click(6, value=float("nan")), "nan"),
        ("weight", impression(7, weight=float("inf")), "inf"),
        ("propensity", impression(8, propensity=1.5), "1.5"),
        ("doc", impression(9, doc="d" * 257), "257 bytes"),
        ("request", impression(10, request="r" * 300), "300 bytes"),
        ("doc", {k: v for k, v in impression(11).items() if k != "doc"}, "missing"),
        ("request", {k: v for k, v in impression(12).items() if k != "request"}, "missing"),
        ("features", impression(13, features=b"\x00\x00\xc0\x7f"), "not finite"),
    ]
    events = [e for i, (_, e, _) in enumerate(bad) for e in (impression(100 + i), e)]
    ack = c.batch(1, [*events, b"\xff\xff\xff"])
    assert [r.index for r in ack.rejected] == [*range(1, 2 * len(bad), 2), 2 * len(bad)]
    for r, (field, _, words) in zip(ack.rejected, bad):
        assert r.field == field and words in r.message, r
    assert server.stream("impressions")["consumed"] == len(bad)
    assert c.batch(2, [impression(200)]).sequence == 2


def test_two_lanes_have_sequences_of_their_own(server, call):
    shown, clicked = (
        call("p", lane="impressions", streams=["impressions"]),
        call("p", lane="actions", streams=["clicks"]),
    )
    assert shown.batch(1, [impression(1)]).sequence == clicked.batch(1, [click(1)]).sequence == 1
    ack = shown.batch(2, [click(2)])
    assert [r.field for r in ack.rejected] == ["stream"]


@pytest.mark.usefixtures("survives")
def test_a_message_of_64_MiB_is_refused(server):
    with server.channel() as channel:
        for method in METHODS:
            assert raw(channel, method, [bytes(64 << 20)]) == grpc.StatusCode.RESOURCE_EXHAUSTED, method


@pytest.mark.usefixtures("survives")
def test_deep_nesting_is_no_danger(server):
    nested = b""
    for _ in range(10_000):
        nested = b"\x7a" + _varint(len(nested)) + nested  # field 15, a message in a message
    with server.channel() as channel:
        for method in METHODS:
            for deep in (nested, b"\x0b" * 10_000, b"\x7b" * 10_000 + b"\x7c" * 10_000):  # groups, open and closed
                code = raw(channel, method, [deep])
                assert code is None or code in STATUS_CODES, method


@pytest.mark.usefixtures("survives")
def test_random_bytes_to_every_method(server):
    rng = random.Random(7)
    with server.channel() as channel:
        for method in METHODS:
            for _ in range(100):
                code = raw(
                    channel,
                    method,
                    [rng.randbytes(rng.choice((1, 2, 10, 100, 10_000))) for _ in range(rng.randint(1, 3))],
                )
                assert code is None or code in STATUS_CODES, (method, code)


@pytest.mark.usefixtures("survives")
def test_damaged_requests(server, call):
    """Well-formed requests with bytes changed, dropped or added get further than noise."""
    rng = random.Random(8)
    opening = harness.events_pb2.IngestRequest(
        open=harness.events_pb2.Open(client="fuzz", instance="1")
    ).SerializeToString()
    batch = harness.events_pb2.IngestRequest(
        batch=harness.events_pb2.Batch(
            sequence=1, events=[harness.encode(impression(n, stream="fuzz")) for n in range(3)]
        )
    ).SerializeToString()
    with server.channel() as channel:
        for _ in range(200):
            damaged = bytearray(batch)
            for _ in range(rng.randint(1, 3)):
                at = rng.randrange(1, len(damaged))
                damaged[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
            code = raw(channel, "Events/Ingest", [opening, bytes(damaged)])
            assert code is None or code in STATUS_CODES, code
    call("fuzz").leave()


@pytest.mark.usefixtures("survives")
def test_calls_cut_off_in_the_middle(server, call):
    def cut(n):
        with server.channel() as channel:
            c = harness.Call(channel)
            c.open(f"cut{n}", streams=["clicks"])
            for sequence in range(1, 20):
                c.send_batch(sequence, [])
            time.sleep(0.002 * n)
            c.cancel()

    threads = [threading.Thread(target=cut, args=(n,)) for n in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for n in range(20):
        call(f"cut{n}").leave()


def _varint(n):
    out = b""
    while n > 127:
        out += bytes((n & 127 | 128,))
        n >>= 7
    return out + bytes((n,))
