"""Models over features: what is learned from samples with features is what the formulas say, whatever crashes."""

import json
import random
import struct

import harness
import pytest
from event_files import T0, WITHIN, write
from regression import Linear, Logistic

CONFIG = """
shards: 4
threads: 2
commit: { interval: 100ms }
join: { key: [request, doc], window: 10s, allowed_lateness: 60s }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
  - { name: users, kind: features, required: true }
  - { name: context, kind: features }
labels:
  - { name: click, stream: clicks }
versions:
  - { name: lr, model: lr, dimension: 3, prior_sd: 0.7, intercept_mean: -1.5, intercept_sd: 0.5, representation: v1 }
  - { name: linear, model: linear, dimension: 3, noise_sd: 0.5, samples_from: [lr] }
  - { name: diagonal, model: lr, dimension: 3, covariance: diagonal, samples_from: [lr] }
  - { name: beta, model: beta, samples_from: [lr] }
"""
STREAMS = ("impressions", "clicks", "users", "context")
DOCS = ["d0", "d1", "d2"]


def number(rng):
    """Exact as a float32."""
    return rng.randrange(-64, 65) / 32


def vectors(rng, n):
    """Of one sample: the whole vector, and the features of its impression or of the two streams."""
    x = [number(rng) for _ in range(3)]
    if n % 3 == 0:
        return x, {"impressions": x}
    if n % 3 == 1:  # in the order of the streams' names: context, users
        return x, {"context": x[:1], "users": x[1:]}
    x[2] = 0.0
    return x, {"context": x[:1], "users": {"i": [0], "v": [x[1]]}}  # sparse, and the last


def story(seed, count):
    """Events by time, and for each impression (time, doc, features, clicked: never, in the window, later)."""
    rng = random.Random(seed)
    events, samples = [], []
    for n in range(count):
        time, doc = T0 + n * 500, rng.choice(DOCS)
        key = {"request": f"r{n}", "doc": doc}
        x, of_stream = vectors(rng, n)
        clicked = rng.choice(("never", "never", "in the window", "later"))
        events.append({"stream": "impressions", "version": "lr", "time": time, **key})
        for stream, features in of_stream.items():
            if stream == "impressions":
                events[-1].update(features=features, representation="v1")
            else:
                at = time + rng.choice((-300, 0))
                events.append({"stream": stream, "time": at, "features": features, "representation": "v1", **key})
        if clicked != "never":
            delay = 4000 if clicked == "in the window" else 30_000
            events.append({"stream": "clicks", "time": time + delay, "event": f"c{n}", **key})
        samples.append((time, doc, x, clicked))
    return sorted(events, key=lambda e: e["time"]), samples


def replay(steps, model, beliefs=None):
    """Each (time, before or behind its equals, doc, features, label or None for a correction)."""
    beliefs = {} if beliefs is None else beliefs
    for _, _, doc, x, positive in sorted(steps, key=lambda s: s[:2]):
        belief = beliefs.setdefault(doc, model())
        if positive is None:
            belief.correct(x)
        else:
            belief.learn(x, positive)
    return beliefs


def expected(samples, model):
    """Samples in the order of their decisions. A click 30 s later finds everything decided up to 10 s before it."""
    steps = [(time, 0, doc, x, clicked == "in the window") for time, doc, x, clicked in samples]
    steps += [(time + 20_000, -1, doc, x, None) for time, doc, x, clicked in samples if clicked == "later"]
    return {doc: belief.values() for doc, belief in replay(steps, model).items()}


def logistic():
    return Logistic([0, 0, 0, -1.5], [0.7, 0.7, 0.7, 0.5])


def linear():
    return Linear([1, 1, 1, 1], 0.5)


def packed(event):
    """The event with its features as a producer packs them."""
    features = event.get("features")
    if isinstance(features, dict):
        indices, values = features["i"], features["v"]
        return {**event, "encoding": 1, "features": struct.pack(f"<{len(indices)}I{len(values)}f", *indices, *values)}
    return {**event, "features": struct.pack(f"<{len(features)}f", *features)} if features else event


def feed(server, events, streams=STREAMS):
    """One by one, each behind its time: so samples and corrections come in the order of the story."""
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        for e in events:
            call.watermarks(e["time"], streams)
            assert not call.batch(call.sequence + 1, [packed(e)]).rejected
        call.cancel()


def finish(server, time):
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        call.watermarks(time + 2 * WITHIN, STREAMS)
        call.cancel()
    server.drain()


def values_of(server, version):
    reply = server.pull(version, DOCS)
    assert len(reply.values) == len(DOCS) * reply.width == len(DOCS) * len(reply.names)
    return {doc: list(reply.values[i * reply.width : (i + 1) * reply.width]) for i, doc in enumerate(DOCS)}


def assert_near(got, want):
    assert got.keys() == want.keys()
    for doc, values in want.items():
        assert got[doc] == pytest.approx(values, rel=1e-6, abs=1e-9), doc


def test_what_is_learned_is_what_the_formulas_say(make_server):
    events, samples = story(1, 150)
    server = make_server(CONFIG)
    server.start()
    for half in (events[: len(events) // 3], events[len(events) // 3 :]):
        feed(server, half)
        server.kill9()
        server.start()
    finish(server, samples[-1][0])
    assert_near(values_of(server, "lr"), expected(samples, logistic))
    assert_near(values_of(server, "linear"), expected(samples, linear))
    status = server.settled_status()
    harness.assert_balanced(status)
    later = sum(clicked == "later" for *_, clicked in samples)
    assert later > 20
    for v in status["versions"]:
        assert v["new_samples"]["learned"] == len(samples), v
        assert v["corrections"]["learned"] == later, v
    digests = server.digests()
    server.kill9()
    server.start()
    server.drain()
    assert server.digests() == digests
    for version in ("lr", "linear", "diagonal"):
        rows = server.export(version)
        for doc, values in values_of(server, version).items():
            assert [float(rows[doc][name]) for name in server.pull(version, [doc]).names] == pytest.approx(values)


def test_corrections_read_features_back_after_a_restart(make_server):
    """What was learned long before the crash is corrected with the features it was learned from."""
    events, samples = story(2, 40)
    early = [e for e in events if e["stream"] != "clicks"]
    late = [e for e in events if e["stream"] == "clicks"]
    server = make_server(CONFIG)
    server.start()
    feed(server, early)
    server.drain()
    server.kill9()
    server.start()
    with server.channel() as channel:  # all are decided, none of the clicks has come
        call = harness.Call(channel)
        call.open()
        call.watermarks(samples[-1][0] + 10_001, STREAMS)
        call.batch(call.sequence + 1, [packed(e) for e in late])
        call.watermarks(samples[-1][0] + 2 * WITHIN, STREAMS)
        call.cancel()
    server.drain()
    want = [(time, doc, x, "later" if clicked != "never" else clicked) for time, doc, x, clicked in samples]
    learned = [(time, 0, doc, x, False) for time, doc, x, _ in want]
    flipped = [(late_time, 1, doc, x, None) for late_time, doc, x, clicked in want if clicked == "later"]
    beliefs = replay(learned, linear)
    replay(flipped, linear, beliefs)
    assert_near(values_of(server, "linear"), {doc: b.values() for doc, b in beliefs.items()})
    beliefs = replay(flipped, logistic, replay(learned, logistic))
    assert_near(values_of(server, "lr"), {doc: b.values() for doc, b in beliefs.items()})
    assert server.version("lr")["corrections"]["learned"] == len(flipped)


def test_what_does_not_fit_is_set_aside(make_server):
    bad = [
        ("no_features", {}),
        ("wrong_dimension", {"features": [1.0, 2.0], "representation": "v1"}),
        ("wrong_dimension", {"features": {"i": [3], "v": [1.0]}, "representation": "v1"}),
        ("feature_range", {"features": [1.0, 2e6, 0.0], "representation": "v1"}),
        ("wrong_representation", {"features": [1.0, 2.0, 3.0], "representation": "v2"}),
        ("wrong_representation", {"features": [1.0, 2.0, 3.0]}),
    ]
    server = make_server(CONFIG)
    server.start()
    events = [{"stream": "impressions", "version": "lr", "features": [1, 2, 3], "representation": "v1"}]
    events += [{"stream": "impressions", "version": "lr", **fields} for _, fields in bad]
    for n, e in enumerate(events):
        e.update(request=f"r{n}", doc="d", time=T0 + n)
    clicks = [{"stream": "clicks", "request": e["request"], "doc": "d", "time": e["time"] + 30_000} for e in events]
    for name, part in (("shown", events), ("clicked", clicks)):
        feed(server, part[:1])
        server.ingest(write(server.folder / f"{name}.jsonl", part[1:]), options=())
    finish(server, T0)
    status = server.settled_status()
    harness.assert_balanced(status)
    lr = next(v for v in status["versions"] if v["name"] == "lr")
    c = lr["new_samples"]
    assert (c["learned"], c["skipped"]) == (1, len(bad))
    assert (c["skipped_no_features"], c["skipped_dimension"]) == (1, 2)
    assert (c["skipped_range"], c["skipped_representation"]) == (1, 2)
    assert (lr["corrections"]["learned"], lr["corrections"]["skipped_original"]) == (1, len(bad))
    beta = next(v for v in status["versions"] if v["name"] == "beta")
    assert beta["new_samples"]["learned"] == beta["corrections"]["learned"] == len(events)
    assert len(server.pull("lr", ["d"]).values) == 4 + 10 and server.pull("lr", ["d"]).n[0] == 1
    letters = json.loads(server.run("deadletters", "list", "-o", "json").stdout)["letters"]
    assert sorted(x["reason"] for x in letters) == sorted(reason for reason, _ in bad)
    assert "skipped: wrong dimension" in server.run("version", "show", "lr").stdout


def test_versions_over_features_at_run_time(make_server):
    server = make_server(CONFIG)
    server.start()
    flags = ("--model", "lr", "--dimension", "2", "--prior-sd", "0.5", "--intercept-mean", "-3", "--samples-from", "lr")
    server.run("version", "create", "new", *flags)
    assert "exactly" in server.run("version", "create", "new", *flags, code=6).stderr
    server.run("version", "create", "new", *flags, "--covariance", "diagonal", code=6)
    shown = server.run("version", "show", "new").stdout
    assert "dimension" in shown and "-3, sd 1" in shown and "full" in shown
    v = json.loads(server.run("version", "show", "new", "-o", "json").stdout)["version"]
    assert (v["model"], v["dimension"], v["covariance"], v["prior_sd"]) == ("lr", 2, "full", 0.5)
    for arguments, message in (
        (["--model", "lr"], "dimension: 0 is not in [1, 64]"),
        (["--model", "lr", "--dimension", "65"], "dimension: 65 is not in [1, 64]"),
        (["--model", "beta", "--dimension", "5"], "dimension: beta has no such option"),
        (["--model", "linear", "--dimension", "5", "--prior", "1,2"], "prior: linear has no such option"),
    ):
        assert message in server.run("version", "create", "x", *arguments, code=2).stderr
    reply = server.pull("new", ["nobody", "knows"])
    assert list(reply.names) == ["mean[0]", "mean[1]", "mean[2]"] + [
        f"covariance[{i}][{j}]" for i in range(3) for j in range(i + 1)
    ]
    assert list(reply.values) == [0, 0, -3, 0.25, 0, 0.25, 0, 0, 1] * 2
    people = server.run("pull", "--version", "new", "nobody").stdout
    assert "0 +- 0.5, 0 +- 0.5, -3 +- 1" in people
    server.term()
    server.start()  # a version made at run time needs no line in the configuration
    assert list(server.pull("new", ["nobody"]).values) == list(reply.values)[:9]


def test_features_that_come_late_leave_what_the_truth_would_have(make_server, tmp_path):
    """Samples learned with zeros for `context`, or not at all for want of `users`; then their features come."""
    config = CONFIG.replace("kind: features, required: true", "kind: features").replace(
        "name: context, kind: features", "name: context, kind: features, dimension: 1"
    )
    rng = random.Random(3)
    shown, late, truth = [], [], []
    for n in range(30):
        time, doc = T0 + n * 500, rng.choice(DOCS)
        key = {"request": f"r{n}", "doc": doc}
        x = [number(rng) for _ in range(3)]
        shown.append({"stream": "impressions", "version": "lr", "time": time, **key})
        users = {"stream": "users", "time": time, "features": x[1:], "representation": "v1", **key}
        (late if n % 3 == 0 else shown).append(users)
        late.append({"stream": "context", "time": time, "features": x[:1], "representation": "v1", **key})
        truth.append((time, 0, doc, x, n % 4 == 0))
    clicks = [
        {"stream": "clicks", "time": time + 30_000, "request": f"r{n}", "doc": doc}
        for n, (time, _, doc, _, positive) in enumerate(truth)
        if positive
    ]
    server = make_server(config + "samples: { retain: 1h }\n")
    server.start()
    feed(server, sorted(shown, key=lambda e: e["time"]))
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        call.watermarks(truth[-1][0] + 10_001, STREAMS)
        call.batch(call.sequence + 1, [packed(e) for e in clicks[:4] + late[:20]])
        call.cancel()
    server.drain()
    assert server.version("linear")["new_samples"]["skipped_no_features"] == 10
    server.kill9()
    server.start()
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        call.batch(call.sequence + 1, [packed(e) for e in late[20:] + late[:3] + clicks[4:]])
        call.cancel()
    server.drain()
    assert_near(values_of(server, "linear"), {doc: b.values() for doc, b in replay(truth, linear).items()})
    status = server.settled_status()
    harness.assert_balanced(status)
    assert next(s for s in status["streams"] if s["name"] == "context")["matched"] == len(truth)
    exported = [json.loads(line) for line in server.run("samples", "export", "--quiet", "--features").stdout.splitlines()]
    came = [s for s in exported if "corrects" in s and s.get("features")]
    assert len(came) == len(late)
    for features, code in ((came[7]["features"], 0), ([9.0], 2)):  # an export is a file to verify against
        came[7]["features"] = features
        (tmp_path / "export.jsonl").write_text("".join(json.dumps(s) + "\n" for s in exported))
        server.run("samples", "verify", "--against", str(tmp_path / "export.jsonl"), "--quiet", code=code)
