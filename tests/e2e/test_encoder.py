"""Encoders: raw features become the representation that a version learns from; another one never mixes with it."""

import json
import random
import threading

import grpc
import harness
import pytest
from event_files import T0
from network import Network, tensor_file
from regression import Logistic
from test_features import feed, number, packed
from tidemill.v1 import ranking_pb2, ranking_pb2_grpc

STREAMS, DENSE, ROWS, N = ("impressions", "clicks"), 12, 40, 32
CONFIG = """
shards: 4
threads: 2
commit: {{ interval: 100ms }}
join: {{ key: [request, doc], window: 10s, allowed_lateness: 60s }}
versions:
  - {{ name: explore, model: lr, dimension: 32, encoder: {file}, on_new_representation: {change}, prior_sd: 0.5 }}
  - {{ name: vectors, model: embedding, dimension: 32, encoder: {file}, on_new_representation: reset, samples_from: [explore] }}
  - {{ name: rate, model: beta, samples_from: [explore] }}
"""
LATER = 30_000


BIAS = tensor_file({"layers.0.bias": ((1,), [0.0])}, {"tidemill.encoder": "1"})


def configured(folder, change="refuse"):
    return CONFIG.format(file=folder / "encoder.safetensors", change=change)


def network(seed):
    return Network(seed, DENSE, ROWS, 8, (64, N))


def story(net, first, count, seed=1):
    """Impressions a second apart with raw features; the click comes in the window, later, or never."""
    rng = random.Random(seed)
    events, samples = [], []
    for n in range(first, first + count):
        time, doc = T0 + n * 1000, rng.choice(("d0", "d1"))
        numbers = [number(rng) for _ in range(DENSE)]
        ids = sorted(rng.sample(range(ROWS), rng.randrange(3)))
        delay = rng.choice((None, 4000, LATER))
        key = {"request": f"r{n}", "doc": doc}
        events.append({"stream": "impressions", "version": "explore", "time": time, **key})
        events[-1]["features"] = net.raw(numbers, ids)
        if delay:
            events.append({"stream": "clicks", "time": time + delay, "event": f"c{n}", **key})
        samples.append((time, doc, net.encode(numbers, ids), delay))
    return sorted(events, key=lambda e: e["time"]), samples


def beliefs(samples):
    steps = [(time + 11_000, False, n) for n, (time, *_) in enumerate(samples)]
    steps += [(time + LATER, True, n) for n, (time, _, _, delay) in enumerate(samples) if delay == LATER]
    docs = {}
    for _, clicked, n in sorted(steps):
        _, doc, x, delay = samples[n]
        belief = docs.setdefault(doc, Logistic([0.0] * (N + 1), [0.5] * N + [1.0]))
        belief.correct(x) if clicked else belief.learn(x, delay == 4000)
    return docs


def move_time(server, time):
    feed(server, [{"stream": "impressions", "version": "explore", "request": "end", "doc": "end", "time": time}], STREAMS)
    server.drain()


def assert_learned(server, samples):
    reply = server.pull("explore", ["d0", "d1"])
    want = beliefs(samples)
    assert_near(list(reply.values), want["d0"].values() + want["d1"].values())


def assert_near(got, want):
    assert got == pytest.approx(want, rel=1e-4, abs=1e-5)


def refused(server):
    server.launch()
    assert not server.wait_ready()
    return server.process.returncode, server.stderr()


def test_the_last_layer_is_learned_on_the_representation(make_server):
    net = network(1)
    server = make_server()
    net.write(server.folder / "encoder.safetensors")
    server.configure(configured(server.folder))
    server.start()
    events, samples = story(net, 0, 50)
    for part in (events[:40], events[40:]):
        feed(server, part, STREAMS)
        server.kill9()
        server.start()
    move_time(server, samples[-1][0] + LATER + 1000)
    assert_learned(server, samples)
    shown = {v["name"]: v for v in server.status()["versions"]}
    encoder = json.loads(server.run("version", "show", "explore", "-o", "json").stdout)["version"]["encoder"]
    assert server.pull("explore", ["d0"]).representation == encoder and len(encoder) == 32
    assert [p.name for p in (server.data / "encoders").iterdir()] == [f"{encoder}.safetensors"]
    assert shown["vectors"]["new_samples"]["learned"] == len(samples)
    with server.channel() as channel:  # what is ranked is encoded, too, and says so
        stub, ask = ranking_pb2_grpc.RankingStub(channel), {"version": "explore", "docs": ["d0", "d1"], "log": False}
        x = net.encode([0.25] * DENSE, [3])
        reply = stub.Rank(ranking_pb2.RankRequest(context=x, representation=encoder, **ask))
        assert len(reply.means) == 2 and all(reply.known)
        with pytest.raises(grpc.RpcError) as wrong:
            stub.Rank(ranking_pb2.RankRequest(context=x, representation="other", **ask))
        assert f"representation: expected {encoder}" in wrong.value.details()
        with pytest.raises(grpc.RpcError) as wrong:
            stub.Rank(ranking_pb2.RankRequest(context=x, **ask))
        assert "32 of context; expected 12 together, the encoder's numbers of version explore" in wrong.value.details()
    # What was encoded elsewhere names the representation; what names another is set aside.
    late = samples[-1][0] + 60_000
    x = net.encode([0.5] * DENSE, [])
    for n, (features, representation) in enumerate(
        ((x, encoder), (x, "0" * 32), ([0.5] * DENSE, "raw"), ([0.5] * 3, None), ({"i": [12], "v": [2.0]}, None))
    ):
        event = {"stream": "impressions", "version": "explore", "request": f"s{n}", "doc": "d2", "time": late + n}
        event.update(features=features, **({"representation": representation} if representation else {}))
        feed(server, [event], STREAMS)
    move_time(server, late + 20_000)
    c = server.version("explore")["new_samples"]
    assert (c["learned"], c["skipped_representation"], c["skipped_dimension"], c["skipped_range"]) == (51, 2, 1, 1)
    letters = json.loads(server.run("deadletters", "list", "-o", "json").stdout)["letters"]
    assert {"feature_range", "wrong_dimension", "wrong_representation"} <= {x["reason"] for x in letters}
    harness.assert_balanced(server.settled_status())


def test_another_encoder_begins_anew(make_server):
    old, new = network(1), network(2)
    server = make_server()
    file = server.folder / "encoder.safetensors"
    old.write(file)
    server.configure(configured(server.folder))
    server.start()
    shown, before = story(old, 0, 30)
    cut = before[-1][0] + 12_000  # all of them are decided
    feed(server, [e for e in shown if e["time"] <= cut], STREAMS)
    move_time(server, cut)
    first = server.pull("explore", ["d0"]).representation
    server.term()

    new.write(file)
    code, message = refused(server)
    assert code == 6 and "explore" in message and "on_new_representation: reset" in message
    server.configure(configured(server.folder, "reset"))
    server.start()
    reply = server.pull("explore", ["d0", "d1"])
    assert reply.representation != first and list(reply.n) == [0, 0]
    events, samples = story(new, 60, 30, seed=2)
    feed(server, [e for e in shown if e["time"] > cut] + events, STREAMS)
    server.kill9()  # the log is read again: both files must be there
    server.start()
    move_time(server, samples[-1][0] + LATER + 1000)
    want = beliefs(samples)
    reply = server.pull("explore", ["d0", "d1"])
    got = list(reply.values)
    assert_near(got[: len(got) // 2], want["d0"].values())
    assert_near(got[len(got) // 2 :], want["d1"].values())
    assert server.version("explore")["corrections"]["skipped_reset"] == sum(
        delay == LATER and time + delay > cut for time, _, _, delay in before
    )
    harness.assert_balanced(server.settled_status())
    digests = server.digests()

    kept = server.data / "encoders" / f"{server.pull('explore', ['d0']).representation}.safetensors"
    content = kept.read_bytes()
    server.term()
    file.write_bytes(content)
    kept.write_bytes(content[:-4] + b"\x00\x00\x80\x3f")
    server.configure(configured(server.folder, "reset").replace(f"encoder: {file}", f"encoder: {server.folder}/gone"))
    assert refused(server)[0] == 2
    file.write_bytes(content)
    server.configure(configured(server.folder, "reset"))
    server.start()  # the configuration's own file mends the copy
    server.drain()
    assert server.digests() == digests


def test_another_encoder_while_the_server_runs(make_server):
    old, new = network(1), network(2)
    server = make_server()
    file, other = server.folder / "encoder.safetensors", server.folder / "other.safetensors"
    old.write(file)
    new.write(other)
    Network(3, DENSE, ROWS, 8, (64, N - 1)).write(server.folder / "narrow.safetensors")
    server.configure(configured(server.folder))
    server.start()
    shown, before = story(old, 0, 30)
    cut = before[-1][0] + 12_000  # all of them are decided
    feed(server, [e for e in shown if e["time"] <= cut], STREAMS)
    move_time(server, cut)
    first = server.pull("explore", ["d0", "d1"])
    change = ["version", "encoder", "explore", "--file", str(other)]
    assert "31 numbers; expected 32" in server.run(*change[:4], str(server.folder / "narrow.safetensors"), code=2).stderr
    assert "takes features as they come" in server.run("version", "encoder", "rate", *change[3:], code=6).stderr
    assert "30 samples begin anew" in server.run(*change).stdout
    assert server.pull("explore", ["d0"]).representation == first.representation  # that was a plan

    seen, stop = [], threading.Event()
    watcher = threading.Thread(target=watch, args=(server, seen, stop))
    watcher.start()
    done = json.loads(server.run(*change, "--reason", "better", "--execute", "-o", "json").stdout)
    stop.set()
    watcher.join()
    assert done["before"] == first.representation and int(done["samples"]) == sum(first.n) == 30
    reply = server.pull("explore", ["d0", "d1"])
    assert reply.representation == done["encoder"] and list(reply.n) == [0, 0]
    assert {representation for representation, _ in seen} == {first.representation, done["encoder"]}
    for representation, learned in seen:  # never the numbers of the one under the name of the other
        assert learned == 0 or representation == first.representation
    assert "nothing is to be changed" in server.run(*change).stdout
    assert f"encoder {first.representation} -> {done['encoder']}" in server.run("params", "changes").stdout

    events, samples = story(new, 60, 30, seed=2)
    feed(server, [e for e in shown if e["time"] > cut] + events, STREAMS)
    server.kill9()
    server.start()  # the configuration still names the first file: it does not take the second one's place
    move_time(server, samples[-1][0] + LATER + 1000)
    assert_learned(server, samples)
    assert server.pull("explore", ["d0"]).representation == done["encoder"]
    assert "encoder_superseded" in server.stderr()
    assert len(server.export("explore")) == 2
    assert server.version("explore")["corrections"]["skipped_reset"] == sum(
        delay == LATER and time + delay > cut for time, _, _, delay in before
    )
    harness.assert_balanced(server.settled_status())


def test_a_prior_of_weights_stays_with_its_encoder(make_server):
    """Weights of one representation are no prior of another's: not after a change of encoders, not of a new version."""
    server = make_server()
    file, other = server.folder / "encoder.safetensors", server.folder / "other.safetensors"
    prior = server.folder / "prior.safetensors"
    network(1).write(file)
    network(2).write(other)
    prior.write_bytes(tensor_file({"mean": ((N + 1,), [0.5] * (N + 1)), "sd": ((N + 1,), [0.25] * (N + 1))}, {}))
    text = configured(server.folder, "reset")
    own = f"  - {{ name: own, model: lr, dimension: 32, encoder: {file}, on_new_representation: reset, prior_from: {prior} }}\n"
    server.configure(text + own)
    server.start()
    feed(server, story(network(1), 0, 30)[0], STREAMS)
    move_time(server, T0 + 100_000)
    before = list(server.pull("own", ["d0"]).values)
    assert before[0] == 0.5
    change = ("version", "encoder", "own", "--file", str(other))
    for words in (change, (*change, "--reason", "better", "--execute")):
        said = server.run(*words, code=6).stderr
        assert "version own was made with a prior of every weight (file prior.safetensors)" in said and "a version of its own" in said
    assert "nothing is to be changed" in server.run(*change[:-1], str(file)).stdout
    assert list(server.pull("own", ["d0"]).values) == before
    create = ("version", "create", "Y", "--model", "lr", "--dimension", "32", "--prior-from", "explore")
    encoder = server.pull("explore", ["d0"]).representation
    assert f"weights of representation {encoder}; expected a version of the new one's, none" in server.run(*create, code=2).stderr
    assert "created version Y" in server.run(*create, "--representation", encoder).stdout
    server.term()
    server.configure(text + own.replace(str(file), str(other)))
    code, said = refused(server)
    assert code == 6 and "version own was made with a prior of every weight" in said
    later = f"  - {{ name: later, model: lr, dimension: 32, encoder: {other}, prior_from: explore }}\n"
    server.configure(text + own + later)
    code, said = refused(server)
    assert code == 2 and f"version later: prior_from: explore: version explore has weights of representation {encoder}" in said
    server.configure(text + own + later.replace(str(other), str(file)))
    server.start()
    assert server.pull("later", ["d0"]).representation == encoder


def watch(server, seen, stop):
    while not stop.is_set():
        reply = server.pull("explore", ["d0", "d1"])
        seen.append((reply.representation, sum(reply.n)))


def test_the_dimension_is_what_the_encoder_makes(make_server):
    server = make_server()
    network(1).write(server.folder / "encoder.safetensors")
    server.configure(configured(server.folder).replace("dimension: 32", "dimension: 31"))
    code, said = refused(server)
    assert code == 2 and "versions[0].dimension: 31, but the encoder makes 32 features" in said


@pytest.mark.parametrize(
    "content, message",
    [
        (b"\xff" * 64, "header"),
        (BIAS, "the metadata has places for 0"),
        (BIAS.replace(b"[0, 4]", b"[0, 8]"), "layers.0.bias"),
        (BIAS.replace(b'"shape": [1]', b'"shape": [9]'), "layers.0.bias"),
        (tensor_file({}, {"tidemill.encoder": "2"}), "tidemill.encoder"),
        (b"", "0 bytes"),
    ],
)
def test_a_file_that_is_no_encoder_is_refused_by_name(make_server, content, message):
    server = make_server()
    (server.folder / "encoder.safetensors").write_bytes(content)
    server.configure(configured(server.folder))
    code, said = refused(server)
    assert code == 2 and "versions[0].encoder" in said and message in said, said
    assert not (server.data / "log").exists()


HUGE = 1e155  # a number whose square is none


def huge_numbers(server):
    """As text, which says what the floats of a feature or a weight cannot. A value is taken: it is a double."""
    shown = [{"stream": "impressions", "version": "explore", "request": f"h{n}", "doc": "d0", "time": T0 + n} for n in range(3)]
    odd = ({"features": [HUGE, 1, 1]}, {"features": [1, 1, 1], "weight": HUGE}, {"features": [1, 1, 1]})
    events = [{**e, **o} for e, o in zip(shown, odd)]
    events.append({"stream": "clicks", "request": "h2", "doc": "d0", "time": T0 + 50, "value": HUGE})
    path = server.folder / "huge.jsonl"
    path.write_text("".join(json.dumps(e) + "\n" for e in events))
    said = server.ingest(path, options=(), code=2).stderr
    assert "huge.jsonl:1: features" in said and "huge.jsonl:2: weight: got number 1e155" in said
    assert "2 accepted, 0 rejected, 2 malformed" in said


def test_nothing_that_is_no_number_gets_into_a_table(make_server):
    net = network(1)
    server = make_server()
    net.write(server.folder / "encoder.safetensors")
    models = ["model: lr, dimension: 3", "model: lr, dimension: 3, covariance: diagonal", "model: linear, dimension: 3"]
    models += [f"model: embedding, dimension: 3, optimizer: {o}" for o in ("sgd", "adam", "ftrl", "adagrad_row")]
    models += ["model: embedding, dimension: 3, loss: squared, rate: 1000", "model: beta"]
    models += ["model: linear, dimension: 3, reward: spend"]
    labels = "labels:\n" + "".join(f"  - {{ name: {n}, stream: clicks, aggregate: {a} }}\n" for n, a in (("click", "exists"), ("spend", "sum")))
    text = configured(server.folder) + "".join(
        f"  - {{ name: v{i}, {m}, samples_from: [explore] }}\n" for i, m in enumerate(models)
    )
    server.configure(text + labels)
    server.start()
    hostile = [float("nan"), float("inf"), -float("inf"), 1e38, -1e6, 1e6, 1e-45, 0.0, 1.0]
    rng = random.Random(3)
    taken = 0
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        for n in range(120):
            size = rng.choice((3, 3, DENSE))
            event = {"stream": "impressions", "version": "explore", "request": f"r{n}", "doc": f"d{n % 3}"}
            event.update(time=T0 + n * 100, features=[rng.choice(hostile[5:] if n % 3 else hostile) for _ in range(size)])
            event.update(weight=rng.choice((1.0, 0.0, 1e6, 1e-30) * 4 + (-1.0,)))
            event.update(propensity=rng.choice((0.5, 1.0) * 8 + (0.0,)))
            batch = [packed(event)]
            if n % 2:
                click = {"stream": "clicks", "request": f"r{n}", "doc": f"d{n % 3}", "time": T0 + n * 100 + 50}
                batch.append({**click, "value": rng.choice((1.0, -1.0, HUGE))})
            taken += not call.batch(call.sequence + 1, batch).rejected
        huge_numbers(server)
        call.watermarks(T0 + 200_000, STREAMS)
        call.cancel()
    server.drain()
    status = server.settled_status()
    harness.assert_balanced(status)
    assert taken > 60
    learned = 0
    for v in status["versions"]:
        learned += v["new_samples"]["learned"]
        for row in server.export(v["name"]).values():
            assert not any(word in str(value).lower() for value in row.values() for word in ("nan", "inf")), (v, row)
    assert learned > 200
