"""Parameters changed by hand: documents begin anew, priors are estimated and set, and whoever did it is on the list."""

import json
import re
import struct

import grpc
import pytest

import harness
from test_producers import T0
from test_versions import Feed, config

from tidemill.v1 import admin_pb2_grpc, versions_pb2


@pytest.fixture
def server(make_server):
    return make_server(config()).start()


def reset(server, *words, code=0):
    return server.run("params", "reset", "--version", "A", *words, code=code)


def test_a_reset_forgets_for_good_and_says_who_and_why(server):
    feed = Feed(server)
    shown = feed.samples(1500)
    docs = sorted({e["doc"] for e in shown})
    server.drain()
    before = server.pull("A", docs)
    target = next(i for i, d in enumerate(docs) if any(e["doc"] == d for e in feed.late))
    doc, n = docs[target], before.n[target]
    plan = reset(server, doc, "nobody")
    assert f"1 documents with parameters, {n} samples: would be forgotten" in plan.stdout and "--execute" in plan.stderr
    assert server.pull("A", [doc]).n[0] == n
    done = reset(server, doc, "nobody", "--reason", "bots", "--execute", "-o", "json")
    position = int(json.loads(done.stdout)["position"])
    pulled = server.pull("A", [doc], at_least=position, statistics=True)
    assert list(pulled.values) == [1, 3] and not pulled.known[0] and pulled.source == b"\0" and pulled.n[0] == 0
    others = [d for d in docs if d != doc]
    assert list(server.pull("A", others).n) == [n for d, n in zip(docs, before.n) if d != doc]

    late = [e for e in feed.late if e["doc"] == doc]
    feed.late = late
    feed.corrections(len(late))
    harness.assert_balanced(server.settled_status())
    assert server.version("A")["corrections"]["skipped_reset"] == len(late) > 0
    assert server.version("twin")["corrections"]["learned"] == len(late)
    server.kill9()
    server.start()
    assert server.pull("A", [doc]).n[0] == 0 and server.pull("twin", [doc]).n[0] == n
    assert doc not in server.export("A") and doc in server.export("twin")

    reset(server, "--all", "--reason", "again", "--execute")
    assert set(server.pull("A", docs).n) == {0}
    assert server.digests()["A"] == "0" * 32 != server.digests()["twin"]
    listed = json.loads(server.run("params", "changes", "-o", "json").stdout)["changes"]
    assert [(c["version"], c["what"], c["reason"]) for c in listed] == [
        ("A", "reset of all documents", "again"),
        ("A", f"reset of {doc}", "bots"),
    ]
    assert re.search(rf"A +reset of {doc} .* bots", server.run("params", "changes", "--version", "A").stdout)
    assert not json.loads(server.run("params", "changes", "--version", "twin", "-o", "json").stdout)["changes"]
    assert "nothing to forget" in reset(server, "--all").stdout
    for words, code, message in (
        ([], 2, "documents, or --all"),
        (["d1", "--all"], 2, "documents, or --all"),
        (["d1", "--execute"], 2, "needs a --reason"),
        (["x" * 257], 2, "docs: 257 bytes; expected 1 to 256"),
        (["d1", "--reason", "x" * 201], 2, "reason: 201 bytes"),
        (["d"] * 101, 2, "at most 100"),
    ):
        assert message in reset(server, *words, code=code).stderr, words


def prior(server, *words, code=0):
    p = server.run("version", "prior", "A", *words, "-o", "json", code=code)
    return json.loads(p.stdout) if code == 0 else p.stderr


def test_a_prior_that_documents_suggest_holds_for_all_of_them_and_stays(server):
    Feed(server).samples(4000)
    server.drain()
    docs = [f"d{i}" for i in range(500)]
    before = server.pull("A", docs + ["new"])
    plan = prior(server, "--estimate", "moments")
    assert plan["before"] == [1, 3] and 400 < int(plan["documents"]) <= 500
    assert 0.27 < plan["prior"][0] / sum(plan["prior"]) < 0.33  # what Feed clicks
    assert list(server.pull("A", ["new"]).values) == [1, 3]
    done = prior(server, "--estimate", "mle", "--reason", "first week", "--execute")
    a, b = done["prior"]
    for _ in range(2):
        after = server.pull("A", docs + ["new"], at_least=int(done["position"]))
        assert list(after.values[-2:]) == [a, b]
        for i in range(len(docs)):
            assert after.values[2 * i] - a == pytest.approx(before.values[2 * i] - 1, abs=1e-9)
        server.kill9()
        server.start()  # the configuration still says [1, 3]: it is what the version was made with
    assert list(server.pull("twin", ["new"]).values) == [1, 3]
    prior(server, "--set", "2.5,30.5", "--reason", "by hand", "--execute")
    assert "2.5, 30.5" in server.run("version", "show", "A").stdout
    changes = json.loads(server.run("params", "changes", "-o", "json").stdout)["changes"]
    assert changes[0]["what"].endswith("-> 2.5, 30.5 (given)") and "mle of 4" in changes[1]["what"]
    server.run("version", "create", "F", "--model", "lr", "--dimension", "2")
    server.run("version", "create", "E", "--model", "beta")
    for words, code, message in (
        (["A"], 2, "--estimate moments, --estimate mle or --set A,B is expected"),
        (["A", "--set", "1,2", "--execute"], 2, "needs a --reason"),
        (["A", "--set", "0,2"], 2, "prior[0]: 0 is not in"),
        (["A", "--set", "1,2,3"], 2, "takes 2 numbers"),
        (["A", "--estimate", "guess"], 2, "expected moments or mle"),
        (["E", "--estimate", "mle"], 6, "an estimate needs 10"),
        (["F", "--set", "1,2"], 6, "version F is of model lr"),
    ):
        assert message in server.run("version", "prior", *words, code=code).stderr, words


FEATURES = """
shards: 4
threads: 2
join: { key: [request, doc], window: 10s, allowed_lateness: 60s }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
labels:
  - { name: click, stream: clicks, aggregate: exists }
versions:
  - { name: L, model: lr, dimension: 2, intercept_mean: -1 }
  - { name: B, model: beta }
"""


def test_what_one_version_has_learned_is_the_prior_of_the_next(make_server):
    server = make_server(FEATURES).start()
    feed = Feed(server, version="L")
    x = [feed.rng.gauss(0, 1) for _ in range(3000)]
    impressions = [dict(feed.impression(n), doc=f"d{n % 50}", features=struct.pack("<2f", x[n], 1)) for n in range(3000)]
    clicks = [feed.click(e, 5) for n, e in enumerate(impressions) if feed.rng.random() < 1 / (1 + 2.718 ** (1 - x[n]))]
    feed.send(impressions + clicks)
    feed.pass_time(T0 + 3000 + 10_001)
    server.drain()
    create = ("version", "create", "--model", "lr", "--dimension", "2")
    made = json.loads(server.run(*create, "M", "--prior-from", "L", "-o", "json").stdout)["version"]
    means, covariance = made["weight_prior"][:3], made["weight_prior"][3:]
    sds = [covariance[i] ** 0.5 for i in (0, 2, 5)]
    assert re.fullmatch(r"\d+ documents of L", made["prior_source"])
    assert 0.7 < means[0] < 1.3 and -1.4 < means[1] + means[2] < -0.6 and all(0.009 < s <= 1 for s in sds)
    for _ in range(2):
        values = list(server.pull("M", ["new"]).values)
        assert values == means + covariance
        server.kill9()
        server.start()
    assert f"of {made['prior_source']}" in server.run("version", "list").stdout
    with server.channel() as channel:
        make = admin_pb2_grpc.AdminStub(channel).CreateVersion
        for prior, words in (
            ([0, 0, 0, 1, 0, 1], "prior sd of weight 1: 0 is not in"),
            ([0, float("nan"), 0, 1, 1, 1], "prior mean of weight 1: nan"),
            ([0, 0, 1, 1], "weight_prior: 4 values; expected 6"),
        ):
            with pytest.raises(grpc.RpcError) as e:
                make(versions_pb2.CreateVersionRequest(name="X", model="lr", dimension=2, weight_prior=prior), timeout=30)
            assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT and words in e.value.details()
        given = make(versions_pb2.CreateVersionRequest(name="X", model="linear", dimension=1, weight_prior=[2, 3, 0.5, 0.25]))
        assert list(given.version.weight_prior) == [2, 3, 0.5, 0.25]
    for words, code, message in (
        (["Y", "--prior-from", "B"], 2, "version B is of model beta"),
        (["Y", "--prior-from", "Z"], 5, 'no version "Z"'),
        (["Y", "--dimension", "3", "--prior-from", "L"], 2, "prior_from: 6 values; expected 8"),
        (["Y", "--prior-from", "X"], 2, "version X is of model linear, and weights of model lr are others"),
        (["Y", "--model", "linear", "--prior-from", "L"], 2, "version L is of model lr, and weights of model linear are others"),
        (["Y", "--representation", "e3", "--prior-from", "L"], 2, "weights of representation none; expected a version of the new one's, e3"),
        (["Y", "--prior-from", "M"], 6, "0 documents have learned something"),
    ):
        assert message in server.run(*create, *words, code=code).stderr, words
