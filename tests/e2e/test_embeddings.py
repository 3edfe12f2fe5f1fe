"""Embeddings: documents are admitted, learned, corrected and forgotten as the formulas say, whatever crashes."""

import json
import random

import harness
import pytest
from descent import AdaGrad, Adam, Embedding, Sgd
from event_files import T0
from test_features import feed, number, packed

N, SPACING, WINDOW, LATER, LATE = 3, 1000, 10_000, 30_000, 45_000
STREAMS = ("impressions", "clicks")
DOCS = ["d0", "d1", "d2", "d3", "d4", "always"]
CONFIG = """
shards: 4
threads: 2
commit: { interval: 100ms }
join: { key: [request, doc], window: 10s, allowed_lateness: 60s }
versions:
  - { name: plain, model: embedding, dimension: 3, intercept_mean: -1 }
  - { name: mortal, model: embedding, dimension: 3, optimizer: adam, admit_at: 3, expire_after: 30s, samples_from: [plain] }
  - { name: squared, model: embedding, dimension: 3, optimizer: sgd, loss: squared, reward: 2 * click - 0.5, samples_from: [plain] }
"""
MODELS = {
    "plain": lambda doc: Embedding(doc, N, AdaGrad, 0.1, bias=-1.0),
    "mortal": lambda doc: Embedding(doc, N, Adam, 0.01, admit_at=3, expire_after=30_000),
    "squared": lambda doc: Embedding(doc, N, Sgd, 0.1, squared=True),
}


def story(seed, count):
    """A document is shown for 20 s and again 80 s later, one always. A click comes 4, 30 or, for the second half of a
    showing, 45 s later: then its document has been away for more than 30 s when it is corrected, or else for less."""
    rng = random.Random(seed)
    events, samples = [], []
    for n in range(count):
        time, doc = T0 + n * SPACING, "always" if rng.random() < 0.3 else f"d{n // 20 % 5}"
        key = {"request": f"r{n}", "doc": doc}
        x = [number(rng) for _ in range(N)]
        delay = rng.choice((None, 4000, LATER, LATE if n % 20 > 10 and n < count - 20 and doc != "always" else LATER))
        events.append({"stream": "impressions", "version": "plain", "time": time, "features": x, **key})
        if delay:
            events.append({"stream": "clicks", "time": time + delay, "event": f"c{n}", **key})
        samples.append((n, time, doc, x, delay))
    return sorted(events, key=lambda e: e["time"]), samples


def truth(samples, version):
    """A sample is decided with the first event behind its window; its correction when its click comes."""
    docs = {doc: MODELS[version](doc) for doc in DOCS}
    high, low = (1.5, -0.5) if version == "squared" else (1.0, 0.0)
    steps = [(time + WINDOW + SPACING, False, n) for n, time, *_ in samples]
    steps += [(time + delay, True, n) for n, time, _, _, delay in samples if delay and delay > WINDOW]
    for at, clicked, n in sorted(steps):
        _, time, doc, x, delay = samples[n]
        if clicked:
            docs[doc].correct(n, at - WINDOW, x, low, high)
        else:
            docs[doc].learn(n, time, at - WINDOW, x, high if delay == 4000 else low)
    return docs


def fates(docs):
    return {name: sum(d.fates[name] for d in docs.values()) for name in ("learned", "admission", "corrected", "gone")}


def test_what_is_learned_is_what_the_formulas_say(make_server):
    events, samples = story(1, 200)
    end = samples[-1][1] + LATER + 1000
    server = make_server(CONFIG)
    server.start()
    for part in (events[:100], events[100:]):
        feed(server, part, STREAMS)
        server.kill9()
        server.start()
    feed(server, [{**events[0], "request": "end", "doc": "end", "time": end}], STREAMS)
    server.drain()
    status = server.settled_status()
    harness.assert_balanced(status)
    gone = {"plain": 0, "mortal": 5, "squared": 0}
    for v in status["versions"]:
        docs = truth(samples, v["name"])
        want = fates(docs)
        assert want["gone"] > gone[v["name"]] if gone[v["name"]] else want["gone"] == 0
        new, corrections = v["new_samples"], v["corrections"]
        assert (new["learned"], new["skipped_admission"]) == (want["learned"], want["admission"])
        assert (corrections["learned"], corrections["skipped_gone"]) == (want["corrected"], want["gone"])
        reply = server.pull(v["name"], DOCS)
        known = [d.vector is not None and not d.expired(end - WINDOW) for d in docs.values()]
        assert list(reply.names) == ["vector[0]", "vector[1]", "vector[2]", "bias"]
        assert [bool(k) for k in reply.known] == known
        want_values = [value for d in docs.values() for value in d.values(end - WINDOW)]
        assert list(reply.values) == pytest.approx(want_values, rel=1e-6, abs=1e-9), v["name"]
        rows = server.export(v["name"])
        assert sorted(rows) == sorted(doc for doc, there in zip(DOCS, known) if there)
    assert 0 < sum(server.pull("mortal", DOCS).known) < len(DOCS)
    digests = server.digests()
    server.kill9()
    server.start()
    server.drain()
    assert server.digests() == digests


def test_memory_follows_the_documents_that_live(make_server):
    """4,000 documents, each for a moment, and hardly more than 200 at a time; their names go, too."""
    server = make_server(CONFIG.replace("samples_from: [plain] }", "samples_from: [plain], seed: 1 }"))
    server.configure(server.config_file.read_text().replace("expire_after: 30s", "expire_after: 20s"))
    server.start()
    lines = []
    for n in range(4000):
        event = {"stream": "impressions", "request": f"r{n}", "doc": f"doc{n}", "version": "plain"}
        lines.append({**event, "time": T0 + n * 100, "features": [1.0, 0.5, -1.0]})
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open()
        for k in range(0, 4000, 100):
            call.watermarks(lines[k]["time"], STREAMS)
            call.batch(call.sequence + 1, [packed(e) for e in lines[k : k + 100]])
        call.watermarks(lines[-1]["time"] + 11_000, STREAMS)
        call.cancel()
    documents = {v["name"]: v["documents"] for v in server.settled_status()["versions"]}
    assert documents["plain"] == documents["squared"] > 3500 and documents["mortal"] < 1000
    harness.assert_balanced(server.settled_status())
    server.kill9()
    server.start()
    server.drain()
    assert {v["name"]: v["documents"] for v in server.status()["versions"]} == documents


def test_versions_at_run_time(make_server):
    server = make_server(CONFIG)
    server.start()
    server.run("version", "create", "two", "--model", "embedding", "--dimension", "2", "--damping", "0.5", "--epsilon", "0.25")
    two = json.loads(server.run("version", "show", "two", "-o", "json").stdout)["version"]
    assert (two["embedding"]["damping"], two["epsilon"]) == (0.5, 0.25)  # of the optimizer, and of the policy
    flags = ("--model", "embedding", "--dimension", "4", "--optimizer", "ftrl", "--l1", "0.5", "--expire-after", "30d")
    server.run("version", "create", "new", *flags, "--admit-at", "5", "--seed", "7", "--validate")
    v = json.loads(server.run("version", "show", "new", "-o", "json").stdout)["version"]["embedding"]
    assert (v["optimizer"], v["loss"], v["l1"], v["beta"], v["rate"]) == ("ftrl", "logistic", 0.5, 1, 0.1)
    assert (v["admit_at"], v["seed"], int(v["expire_after_ms"])) == (5, 7, 30 * 86_400_000) and "momentum" not in v
    shown = server.run("version", "show", "new").stdout
    assert "ftrl" in shown and "30d" in shown and "admitted at sample" in shown
    for arguments, message in (
        (["--dimension", "4", "--momentum", "0.5"], "momentum: optimizer adagrad has no such option"),
        (["--dimension", "4", "--optimizer", "newton"], "optimizer: got newton; expected one of sgd, momentum"),
        (["--dimension", "4", "--loss", "hinge"], "loss: got hinge; expected logistic or squared"),
        (["--dimension", "4", "--half-life", "1h"], "half_life: embedding has no such option"),
        (["--dimension", "4096"], "dimension: got 4096"),
        (["--dimension", "4", "--admit-share", "1.5"], "admit_share: got 1.5"),
    ):
        assert message in server.run("version", "create", "x", "--model", "embedding", *arguments, code=2).stderr
    assert "momentum: lr has" in server.run(
        "version", "create", "x", "--model", "lr", "--dimension", "4", "--momentum", "0.5", code=2
    ).stderr
    server.term()
    server.start()
    assert list(server.pull("new", ["nobody"]).values) == [0, 0, 0, 0, 0]
