"""Rank and Reward: a bandit played through two calls, what it logs, and rankings that Python repeats bit for bit."""

import json
import math
import random
import re
import shlex
import struct
import subprocess
import sys
import urllib.error
import urllib.request

import grpc
import pytest

import harness
from network import Network, tensor_file
from test_tables import expected_click
from tidemill.v1 import ranking_pb2, ranking_pb2_grpc

sys.path.insert(0, str(harness.ROOT / "python"))

from tidemill import policy  # noqa: E402
from tidemill.draws import draw_key  # noqa: E402

ARMS = [f"arm{i}" for i in range(20)]
RATES = [0.05 + 0.01 * i for i in range(19)] + [0.6]
BEST, AVERAGE = max(RATES), sum(RATES) / len(RATES)
ROUNDS = 2000
CONFIG = """
shards: 4
threads: 2
samples: { retain: 3650d }
join: { key: [request, doc], window: 20ms, allowed_lateness: 1h }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
labels:
  - { name: click, stream: clicks, aggregate: exists }
versions:
  - { name: bandit, model: beta, prior: [1, 4], epsilon: 0.05, propensity_draws: 200 }
  - { name: careless, model: beta, prior: [1, 4], policy: greedy, epsilon: 0.3 }
  - { name: upper, model: beta, policy: ucb, width: 2 }
  - { name: lr, model: lr, dimension: 3, covariance: full }
"""


def float32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


@pytest.fixture
def ranking(make_server):
    server = make_server(CONFIG).start()
    with server.channel() as channel:
        yield server, ranking_pb2_grpc.RankingStub(channel)


class Player:
    """Shows the arm that Rank puts first, and tells when it was liked. Its users are the same in every run."""

    def __init__(self, version):
        self.version, self.rounds, self.clicks, self.regret = version, 0, 0, 0.0
        self.users = random.Random(version)

    def play(self, stub, rounds, durable_last=False):
        for i in range(rounds):
            durable = durable_last and i == rounds - 1
            request = f"{self.version}-{self.rounds}"
            reply = stub.Rank(
                ranking_pb2.RankRequest(version=self.version, request=request, docs=ARMS, durable=durable), timeout=10
            )
            (arm,) = reply.order
            self.rounds += 1
            self.regret += BEST - RATES[arm]
            if self.users.random() < RATES[arm]:
                self.clicks += 1
                stub.Reward(ranking_pb2.RewardRequest(request=request, docs=[ARMS[arm]], durable=durable), timeout=10)


def learned(server, version):
    counts = server.counts(version).values()
    return sum(p for p, _ in counts), sum(n for _, n in counts)


def samples(server, folder, version):
    path = folder / "samples.jsonl"
    server.run("samples", "export", "--version", version, "--format", "jsonl", "-o", str(path))
    return [json.loads(line) for line in path.read_text().splitlines()]


def merged(rows):
    """One row for each impression, with its newest labels: a correction says what has changed."""
    shown = {}
    for row in rows:
        old = shown.setdefault((row["request"], row["doc"]), {})
        old.update({k: v for k, v in row.items() if v is not None})
    return shown


def test_a_bandit_of_twenty_arms_survives_a_kill_in_the_middle(make_server, tmp_path):
    server = make_server(CONFIG).start()
    players = [Player("bandit"), Player("careless")]
    for half in range(2):
        with server.channel() as channel:
            stub = ranking_pb2_grpc.RankingStub(channel)
            for part in range(10):  # by turns: both have the same machine
                for p in players:
                    p.play(stub, ROUNDS // 20, durable_last=part == 9)
        if half == 0:
            server.kill9()  # what was answered as durable is there, and with it all that was queued before
            server.start()
    for p in players:
        harness.wait_until(
            f"{p.version}: every round is learned once",
            lambda p=p: learned(server, p.version) == (p.clicks, p.rounds - p.clicks),
        )
    status = server.settled_status()
    harness.assert_balanced(status)
    consumed = {s["name"]: (s["consumed"], s["matched"]) for s in status["streams"]}
    clicks = sum(p.clicks for p in players)
    assert consumed == {"impressions": (2 * ROUNDS, 2 * ROUNDS), "clicks": (clicks, clicks)}
    bandit, careless = (p.regret for p in players)
    assert bandit < 0.4 * ROUNDS * (BEST - AVERAGE) and bandit < 0.8 * careless, (bandit, careless)
    check_propensities(samples(server, tmp_path, "bandit"), 0.4)  # estimated ones
    check_propensities(samples(server, tmp_path, "careless"), 0.15)  # exact ones


def mean_and_error(values):
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values)) / len(values)


def check_propensities(rows, within):
    """What choosing at random would have earned, from what a policy showed: known here, and estimated from the log. Its
    weights are 1 on average, if the propensities are right; estimated ones lean to large weights."""
    shown = merged(rows)
    weights = [1 / row["propensity"] / len(ARMS) for row in shown.values()]
    earned = [w * row["labels"]["click"] for w, row in zip(weights, shown.values())]
    assert len(earned) == ROUNDS and {row["rank"] for row in shown.values()} == {1}
    mean, error = mean_and_error(weights)
    assert abs(mean - 1) < 3 * error + (0.3 if within > 0.2 else 0) and error < within, (mean, error)
    mean, error = mean_and_error(earned)
    assert abs(mean - AVERAGE) < 4 * error and error < within * AVERAGE, (mean, AVERAGE, error)


# ---- the same ranking in Python ----


def beta_arms(server, version, docs):
    reply = server.pull(version, docs)
    values = list(reply.values)
    return [policy.Arm.of_beta(draw_key(d), *values[2 * i : 2 * i + 2]) for i, d in enumerate(docs)]


def assert_same(reply, kind, version_id, arms):
    choices = policy.rank(kind, reply.seed, version_id, arms, len(reply.order))
    assert list(reply.order) == [c.arm for c in choices]
    assert list(reply.scores) == [policy.score(kind, reply.seed, version_id, a) for a in arms]
    wanted = [float32(c.propensity) for c in choices]
    assert list(reply.propensities) == (wanted if any(wanted) else [])


def test_python_repeats_a_ranking(ranking):
    server, stub = ranking
    docs = [f"d{i}" for i in range(30)]
    shown = stub.Rank(ranking_pb2.RankRequest(version="bandit", request="r", docs=docs, slots=30))
    stub.Reward(ranking_pb2.RewardRequest(request="r", docs=docs[:7], durable=True))
    harness.wait_until("all of it is learned, without another call", lambda: learned(server, "bandit") == (7, 23))
    assert shown.seed == draw_key("r") and not any(shown.known)
    ids = {v["name"]: v["id"] for v in server.status()["versions"]}
    arms = beta_arms(server, "bandit", docs)
    for seed in range(4):
        for kind, fields in (
            (policy.Policy("thompson", 0.05, 1, 200), {}),
            (policy.Policy("thompson", 0.0), {"epsilon": 0, "propensity_draws": 0}),
            (policy.Policy("ucb", 0.05, 1.5), {"policy": "UCB", "width": 1.5}),
            (policy.Policy("greedy", 0.9, 1), {"policy": "GREEDY", "epsilon": 0.9}),
        ):
            ask = ranking_pb2.RankRequest(version="bandit", docs=docs, seed=seed, slots=1 + 9 * seed, log=False, **fields)
            reply = stub.Rank(ask)
            assert reply == stub.Rank(ranking_pb2.RankRequest(**{**fields_of(ask), "request": reply.request}))
            assert_same(reply, kind, ids["bandit"], arms)
            assert list(reply.means) == [a.a / (a.a + a.b) for a in arms] and all(reply.known)
            assert reply.seed == seed and reply.position == 0 and not reply.durable


def fields_of(message):
    return {f.name: v for f, v in message.ListFields()}


def test_features_are_scored_logged_and_learned(ranking, tmp_path):
    server, stub = ranking
    docs, own = ["a", "b", "c"], [1.0, 0.5, -1.0]
    ask = dict(version="lr", docs=docs, context=[0.25, -0.5], features=own)
    reply = stub.Rank(ranking_pb2.RankRequest(**ask, request="q", user="u", slots=2, payload=b"here"))
    first = docs[reply.order[0]]
    stub.Reward(ranking_pb2.RewardRequest(request="q", docs=[first], values=[3], events=["click-1"]))
    harness.wait_until("the two that were shown are learned", lambda: len(server.export("lr")) == 2)
    after = stub.Rank(ranking_pb2.RankRequest(**ask, log=False))
    changed = [a - b for a, b in zip(after.means, reply.means)]
    assert changed[reply.order[0]] > 0 > changed[reply.order[1]]
    assert [after.known[i] for i in reply.order] == [True, True] and sum(after.known) == 2
    path = tmp_path / "samples.jsonl"
    server.run("samples", "export", "--features", "--format", "jsonl", "-o", str(path))
    rows = merged(map(json.loads, path.read_text().splitlines()))
    for place, arm in enumerate(reply.order):
        row = rows["q", docs[arm]]
        assert (row["user"], row["rank"], row["score"]) == ("u", place + 1, float32(reply.means[arm]))
        assert row["features"] == [0.25, -0.5, own[arm]]


def test_candidates_are_encoded_as_samples_are(make_server, tmp_path):
    """The encoder keeps two of three numbers, so documents that differ in the third alone have the same score."""
    file = tmp_path / "encoder.safetensors"
    layer = {"layers.0.weight": ((2, 3), [1, 0, 0, 0, 2, 0]), "layers.0.bias": ((2,), [0, 0])}
    file.write_bytes(tensor_file(layer, {"tidemill.encoder": "1", "tidemill.dense": "3", "tidemill.activations": "identity"}))
    server = make_server(CONFIG + f"  - {{ name: net, model: lr, dimension: 2, encoder: {file} }}\n").start()
    with server.channel() as channel:
        stub = ranking_pb2_grpc.RankingStub(channel)
        ask = dict(version="net", docs=["a", "a2"], context=[0.5, 1], features=[-1, 7])
        for i in range(3):
            stub.Rank(ranking_pb2.RankRequest(**ask, request=f"q{i}", slots=2))
            stub.Reward(ranking_pb2.RewardRequest(request=f"q{i}", docs=["a", "a2"], events=[f"a{i}", f"b{i}"]))
        harness.wait_until("both have learned", lambda: list(server.pull("net", ["a", "a2"]).n) == [3, 3])
        after = stub.Rank(ranking_pb2.RankRequest(**ask, log=False)).means
        assert after[0] == after[1] > 0.5
        ask["context"] = [0.5, -1]
        assert stub.Rank(ranking_pb2.RankRequest(**ask, log=False)).means[0] < after[0]
        ask["context"] = [0.5]
        with pytest.raises(grpc.RpcError) as e:
            stub.Rank(ranking_pb2.RankRequest(**ask))
        assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "expected 3 together, the encoder's numbers" in e.value.details()


def test_ids_of_candidates_are_encoded_as_samples_are(make_server, tmp_path):
    """What is logged names the numbers and ids of the request, and its sample has the score of the network as it is written."""
    net, docs, own = Network(5, 2, 30, 4, (16, 3)), ["a", "b", "c"], ([7, 20], [], [1])
    net.write(tmp_path / "encoder.safetensors")
    version = f"  - {{ name: net, model: lr, dimension: 3, covariance: full, encoder: {tmp_path}/encoder.safetensors }}\n"
    server = make_server(CONFIG + version).start()
    ids = {"context_ids": [2 + 4], "ids": [2 + i for i in sum(own, [])], "id_counts": list(map(len, own))}
    ask = {"version": "net", "docs": docs, "context": [0.5], "features": [-1.0, 0.0, 2.0], **ids}
    with server.channel() as channel:
        stub = ranking_pb2_grpc.RankingStub(channel)
        for i in range(3):
            stub.Rank(ranking_pb2.RankRequest(**ask, request=f"q{i}", slots=3))
            stub.Reward(ranking_pb2.RewardRequest(request=f"q{i}", docs=docs[: i + 1], durable=True))
        harness.wait_until("all have learned", lambda: list(server.pull("net", docs).n) == [3, 3, 3])
        server.drain()
        looked = json.loads(server.run("rank", "--version", "net", "--candidates", json.dumps(ask), "-o", "json").stdout)
        there = post(server, "/v1/rank", {**ask, "log": False})[1]["means"]
        before = {doc: list(server.pull("net", [doc]).values) for doc in docs}
        reply = stub.Rank(ranking_pb2.RankRequest(**ask, request="last", slots=3))
        assert list(reply.means) == there and {c["doc"]: c["mean"] for c in looked["candidates"]} == dict(zip(docs, there))
        for change, message in (
            ({"ids": [2 + 30], "id_counts": [0, 0, 1]}, "docs[2]: id 32; the encoder's numbers and tables end before 32"),
            ({"context_ids": [6, 33]}, "context_ids[1]: 33; expected less than 32, the end of the encoder's tables"),
            ({"context_ids": [1]}, "context_ids[0]: 1; expected 2 or more, behind the numbers"),
            ({"version": "lr", "context": [1, 2]}, "expected none, version lr takes numbers alone"),
        ):
            with pytest.raises(grpc.RpcError) as e:
                stub.Rank(ranking_pb2.RankRequest(**{**ask, **change}))
            assert (e.value.code(), message in e.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, True), e.value.details()

    def last():
        kept = map(json.loads, server.run("samples", "export", "--features", "--quiet").stdout.splitlines())
        return {s["doc"]: s for s in kept if s["request"] == "last" and s["kind"] == "new"}

    harness.wait_until("the samples of the last one", lambda: len(last()) == 3)
    for doc, third, bag, mean in zip(docs, ask["features"], own, reply.means):
        sample, numbers, all_ids = last()[doc], [0.5, third], sorted([4, *bag])
        assert sample["features"] == net.raw(numbers, all_ids) and float32(sample["score"]) == float32(mean)
        assert mean == pytest.approx(expected_click(before[doc], net.encode(numbers, all_ids)), abs=1e-6)


def post(server, path, body):
    request = urllib.request.Request(server.http + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_same_over_http_and_on_the_command_line(ranking, tmp_path):
    server, stub = ranking
    ask = {"version": "bandit", "docs": ["a", "b", "c"], "seed": 7, "slots": 2, "request": "r"}
    reply = stub.Rank(ranking_pb2.RankRequest(**ask, log=False))
    looked = json.loads(
        server.run(
            *("rank", "--version", "bandit", "--slots", "2", "--seed", "7", "-o", "json"),
            *("--context", '{"request": "r"}', "--candidates", '{"docs": ["a", "b", "c"]}'),
        ).stdout
    )
    shown_there = [c["doc"] for c in looked["candidates"]][:2]
    assert {c["doc"]: c["score"] for c in looked["candidates"]} == dict(zip(ask["docs"], reply.scores))
    code, shown = post(server, "/v1/rank", {**ask, "durable": True})
    assert (code, shown["order"], shown["scores"]) == (200, list(reply.order), list(reply.scores))
    assert shown["propensities"] == pytest.approx(list(reply.propensities)) and shown["durable"]
    assert post(server, "/v1/rank", {**ask, "docs": []})[0] == 400
    first, second = (ask["docs"][i] for i in shown["order"])
    assert shown_there == [first, second]
    code, told = post(server, "/v1/reward", {"request": "r", "docs": [first]})
    assert (code, told) == (200, {})

    features = tmp_path / "candidates.json"
    features.write_text('{"docs": ["x", "y"], "features": [1, 2]}')
    context = '{"user": "u", "context": [0.5, 1]}'
    p = server.run("rank", "--version", "lr", "--context", context, "--candidates", str(features), "--log")
    assert "reward --request" in p.stderr
    p = server.run("rank", "--version", "lr", "a", code=2)
    assert "features: 0 of each candidate" in p.stderr
    server.run("reward", "--request", "r", first)  # told before: it counts once
    server.run("reward", "--request", "r", second, "--value", "2")
    harness.wait_until("both were liked, once", lambda: server.counts("bandit") == {first: (1, 0), second: (1, 0)})
    streams = {s["name"]: s for s in server.settled_status()["streams"]}
    assert (streams["clicks"]["consumed"], streams["clicks"]["duplicate"]) == (3, 1)
    assert streams["impressions"]["consumed"] == 3  # looking is not showing


def test_the_two_calls_of_the_readme(make_server):
    server = make_server((harness.ROOT / "examples" / "quickstart.yaml").read_text()).start()
    text = (harness.ROOT / "README.md").read_text()
    calls = re.findall(r"^curl .*/v1/(?:rank|reward)$", text, re.MULTILINE)
    rank, reward = (
        subprocess.run(
            shlex.split(call.replace("localhost:7071", server.http)), capture_output=True, text=True, check=True
        ).stdout
        for call in calls
    )
    reply = json.loads(rank)
    assert (reply["request"], len(reply["order"]), len(reply["scores"])) == ("page-1", 1, 3)
    assert json.loads(reward) == {}
    consumed = {s["name"]: s["consumed"] for s in server.settled_status()["streams"]}
    assert consumed == {"impressions": 1, "clicks": 1}


def test_a_version_says_how_it_ranks(ranking):
    server, stub = ranking
    server.run("version", "create", "new", "--model", "beta", "--policy", "ucb", "--width", "3", "--epsilon", "0.5")
    refused = server.run("version", "create", "bad", "--model", "beta", "--propensity-draws", "50", code=2)
    assert "propensity_draws: got 50; expected 0, or 200 to 1000" in refused.stderr
    p = server.run("version", "create", "bad", "--model", "beta", "--propensity-draws", "500", code=2)
    assert "epsilon: 0 is below 0.01" in p.stderr
    for start in range(2):
        shown = json.loads(server.run("version", "show", "new", "-o", "json").stdout)["version"]
        assert (shown["policy"], shown["width"], shown["epsilon"]) == ("ucb", 3, 0.5)
        arm = policy.Arm.of_beta(draw_key("a"), 1, 1)
        with server.channel() as channel:
            ask = ranking_pb2.RankRequest(version="new", docs=["a", "b"], log=False, epsilon=0.5 * start)
            reply = ranking_pb2_grpc.RankingStub(channel).Rank(ask, timeout=10)
        assert reply.scores[0] == policy.score(policy.Policy("ucb", width=3), reply.seed, shown["id"], arm)
        assert list(reply.propensities) == [0.5]
        server.term()
        server.start()


# ---- what is refused ----


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"version": "nobody"}, 'version: no version "nobody"'),
        ({"docs": []}, "docs: none; expected 1 to 1000"),
        ({"docs": [f"d{i}" for i in range(1001)]}, "docs: more than 1000"),
        ({"docs": ["a", "b", "a"]}, "docs[2]: the same as docs[0]"),
        ({"docs": ["a", "x" * 257]}, "docs[1]: 257 bytes; expected 1 to 256"),
        ({"request": "x" * 257}, "request: 257 bytes"),
        ({"slots": 0}, "slots: got 0; expected 1 to 2"),
        ({"slots": 3}, "slots: got 3; expected 1 to 2"),
        ({"epsilon": 1.5}, "epsilon: 1.5 is not in [0, 1]"),
        ({"epsilon": math.nan}, "epsilon: nan is not in [0, 1]"),
        ({"policy": "UCB", "width": -1.0}, "width: -1 is not in [0, 100]"),
        ({"propensity_draws": 100}, "propensity_draws: got 100; expected 0, or 200 to 1000"),
        ({"epsilon": 0, "propensity_draws": 300}, "epsilon: 0 is below 0.01"),
        ({"docs": [f"d{i}" for i in range(1000)], "propensity_draws": 251}, "expected at most 250000 together"),
        ({"stream": "clicks"}, 'stream: "clicks"; expected the name of an impression stream'),
        ({"payload": b"x" * 4097}, "payload: 4097 bytes; expected at most 4096"),
        ({"version": "lr"}, "features: 0 of each candidate behind 0 of context; expected 3 together"),
        ({"version": "lr", "features": [1, 2, 3]}, "features: 3 numbers of 2 candidates"),
        ({"version": "lr", "context": [1, 2], "features": [1, math.nan]}, "docs[1]: features[2]"),
        ({"version": "lr", "context": [1, math.inf], "features": [1, 2]}, "docs[0]: features[1]"),
        ({"features": [math.nan, math.nan]}, "features"),
    ],
)
def test_what_cannot_be_ranked_is_refused(refused, fields, message):
    error = refused("Rank", ranking_pb2.RankRequest(**{"version": "bandit", "docs": ["a", "b"], **fields}))
    code = "NOT_FOUND" if "no version" in message else "INVALID_ARGUMENT"
    assert (error.code().name, message in error.details()) == (code, True), error.details()


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"docs": []}, "docs: 0; expected 1 to 1000"),
        ({"request": None}, "docs[0]: request: missing; the join key needs it"),
        ({"values": [1.0]}, "values: 1 of 2 docs"),
        ({"values": [1.0, math.nan]}, "docs[1]: value"),
        ({"events": ["a"]}, "events: 1 of 2 docs"),
        ({"events": ["a", "x" * 300]}, "docs[1]: event: 300 bytes"),
        ({"stream": "impressions"}, 'stream: "impressions"; expected the name of an action stream: clicks'),
    ],
)
def test_what_is_no_reward_is_refused(refused, fields, message):
    error = refused("Reward", ranking_pb2.RewardRequest(**{"request": "r", "docs": ["a", "b"], **fields}))
    assert (error.code().name, message in error.details()) == ("INVALID_ARGUMENT", True), error.details()


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """One server for everything that it refuses; nothing of it may be logged."""
    server = harness.Server(tmp_path_factory.mktemp("refused"), CONFIG).start()
    with server.channel() as channel:

        def call(method, request):
            with pytest.raises(grpc.RpcError) as failed:
                getattr(ranking_pb2_grpc.RankingStub(channel), method)(request, timeout=10)
            return failed.value

        yield call
        assert [s["consumed"] for s in server.settled_status()["streams"]] == [0, 0]
    server.close()
