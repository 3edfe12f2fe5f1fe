"""Reading: what Pull answers, and when."""

import math
import threading
import time

import grpc
import pytest

import harness
from test_producers import T0, click, impression


def learn(call, docs=10, impressions=100):
    """Each doc is shown impressions / docs times and clicked once. Returns the position of the end."""
    c = call()
    c.batch(1, [impression(n) for n in range(impressions)] + [click(n) for n in range(docs)])
    return c.end().position


def test_arrays_are_parallel_and_unknown_documents_have_the_prior(server, call):
    position = learn(call)
    docs = ["d3", "nobody", "d0", "d3"]
    r = server.pull("A", docs, at_least=position, statistics=True)
    assert (r.version, r.model, r.width, list(r.names)) == ("A", "beta", 2, ["alpha", "beta"])
    assert list(r.known) == [True, False, True, True]
    assert list(r.values) == [2, 10, 1, 1, 2, 10, 2, 10]
    assert list(r.n) == [10, 0, 10, 10]
    assert list(r.source) == [1, 0, 1, 1]
    assert list(r.updated_at)[1] == 0 and list(r.updated_at)[0] == T0 + 93
    assert r.position >= position and r.durable_position >= position
    assert r.generation == server.status()["generation"] == "1.1"
    for array in (r.mean, r.sd, r.lower, r.upper):
        assert len(array) == len(docs)
    unasked = server.pull("A", docs)
    assert not unasked.mean and not unasked.sd and not unasked.lower and not unasked.upper
    assert list(server.pull("A-shadow", ["nobody", "d3"]).values) == [2, 5, 3, 14]


def test_statistics_agree_with_alpha_and_beta(server, call):
    position = learn(call)
    r = server.pull("B", ["d0", "nobody"], at_least=position, statistics=True)
    for i in range(2):
        a, b = r.values[2 * i : 2 * i + 2]
        assert r.mean[i] == pytest.approx(a / (a + b), rel=1e-12)
        assert r.sd[i] == pytest.approx(math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1))), rel=1e-12)
        assert beta_mass(a, b, r.lower[i]) == pytest.approx(0.025, abs=1e-6)
        assert beta_mass(a, b, r.upper[i]) == pytest.approx(0.975, abs=1e-6)


def beta_mass(a, b, x, steps=20_000):
    """Distribution function of Beta(a, b) by Simpson's rule; good enough for a, b >= 1."""
    f = [t ** (a - 1) * (1 - t) ** (b - 1) for t in (x * i / steps for i in range(steps + 1))]
    integral = (f[0] + f[-1] + 4 * sum(f[1:-1:2]) + 2 * sum(f[2:-1:2])) * x / steps / 3
    return integral * math.gamma(a + b) / math.gamma(a) / math.gamma(b)


def test_an_unknown_version_is_not_found(server):
    with pytest.raises(grpc.RpcError) as e:
        server.pull("Z", ["d"])
    assert e.value.code() == grpc.StatusCode.NOT_FOUND and '"Z"' in e.value.details()


def test_limits_of_a_pull(server):
    assert len(server.pull("A", ["d"] * 10_000).known) == 10_000
    assert len(server.pull("A", []).known) == 0
    for docs in (["d"] * 10_001, [""], ["d" * 257]):
        with pytest.raises(grpc.RpcError) as e:
            server.pull("A", docs)
        assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "docs" in e.value.details()


def test_what_was_acknowledged_can_be_read_at_once(server, call):
    """Read your writes: each round decides one sample, corrects it, and asks right after the ack."""
    c = call()
    sequence = 0
    for n in range(50):
        time_ms = T0 + n * 100_000
        c.watermark("impressions", time_ms + 1)
        c.watermark("clicks", time_ms + 10_001)
        shown = {"stream": "impressions", "request": f"q{n}", "doc": "d", "version": "A", "time": time_ms}
        ack = c.batch(sequence := sequence + 1, [shown])
        assert list(server.pull("A", ["d"], at_least=ack.position).values) == [1 + n, 2]
        late = {"stream": "clicks", "request": f"q{n}", "doc": "d", "time": time_ms + 10_002, "event": f"k{n}"}
        ack = c.batch(sequence := sequence + 1, [late])
        assert list(server.pull("A", ["d"], at_least=ack.position).values) == [2 + n, 1]


def test_a_position_that_does_not_come(server, call):
    position = learn(call)
    started = time.monotonic()
    with pytest.raises(grpc.RpcError) as e:
        server.pull("A", ["d"], at_least=position + 1_000_000, timeout=0.5)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - started < 2


def test_readers_never_see_half_a_parameter(server, call):
    """alpha - 1 clicks and beta - 1 others belong together: their sum is n + 2, and n never shrinks."""
    torn, stop = [], threading.Event()

    def read():
        last = 0
        with server.channel() as channel:
            stub = harness.parameters_pb2_grpc.ParametersStub(channel)
            while not stop.is_set():
                r = stub.Pull(harness.parameters_pb2.PullRequest(version="A", docs=["d0"]))
                if sum(r.values) != r.n[0] + 2 or r.n[0] < last:
                    torn.append((list(r.values), r.n[0], last))
                last = r.n[0]

    readers = [threading.Thread(target=read) for _ in range(2)]
    for t in readers:
        t.start()
    c = call()
    for sequence in range(1, 101):
        first = sequence * 1000
        c.batch(
            sequence,
            [impression(n * 10, time=T0 + first) for n in range(first, first + 100)]
            + [click(n * 10, time=T0 + first) for n in range(first, first + 50)],
        )
        c.watermark("impressions", T0 + first + 10_001)
        c.watermark("clicks", T0 + first + 10_001)
    c.end()
    stop.set()
    for t in readers:
        t.join()
    server.drain()
    assert not torn
    assert server.counts("A")["d0"] == (5000, 5000)
