"""Versions at run time: created, paused and resumed under load, across restarts and kills; nothing is lost or doubled.

A paused version has a twin here: a shadow with the same description that learns the same samples and is never paused.
Equal digests mean that both have learned the same, bit for bit.
"""

import json
import random
import re
import struct
import threading
import time

import grpc
import pytest

import harness
import reference
from test_producers import T0

from tidemill.v1 import admin_pb2_grpc, versions_pb2

WINDOW, LATENESS = 10_000, 60_000
CONFIG = """
shards: {shards}
threads: 2
commit: {{ interval: 100ms }}
join: {{ key: [request, doc], window: 10s, allowed_lateness: {lateness} }}
streams:
  - {{ name: impressions, kind: impression, out_of_orderness: 5s }}
  - {{ name: clicks, kind: action, out_of_orderness: 5s }}
labels:
  - {{ name: click, stream: clicks, aggregate: exists }}
versions:
  - {{ name: A, model: beta, prior: [1, 3], half_life: 1h }}
  - {{ name: twin, model: beta, prior: [1, 3], half_life: 1h, samples_from: [A] }}
"""


def config(shards=4, lateness="60s"):
    return CONFIG.format(shards=shards, lateness=lateness)


@pytest.fixture
def server(make_server):
    return make_server(config()).start()


def admin(server, method, **fields):
    """One call of the Admin service; the request's type follows from the method's name."""
    with server.channel() as channel:
        request = getattr(versions_pb2, f"{method}Request")(**fields)
        return getattr(admin_pb2_grpc.AdminStub(channel), method)(request, timeout=30)


def refused(server, method, **fields):
    with pytest.raises(grpc.RpcError) as e:
        admin(server, method, **fields)
    return e.value.code(), e.value.details()


def shown(server, name):
    return json.loads(server.run("version", "show", name, "-o", "json").stdout)["version"]


def held(version):
    return version["new_samples"]["held"] + version["corrections"]["held"]


def wait_caught_up(server, name="A"):
    """Returns the status, whose counters are exact."""
    harness.wait_until(f"version {name} has caught up", lambda: held(server.version(name)) == 0, 60)
    status = server.settled_status()
    harness.assert_balanced(status)
    return status


class Feed:
    """One producer: impressions a millisecond apart, their clicks, and late clicks on what was sent before."""

    def __init__(self, server, rng=None, version="A", client="feed"):
        self.server, self.version, self.client = server, version, client
        self.rng = rng or random.Random(1)
        self.next, self.events, self.late = 0, [], []
        self.sequence = 0
        self.features = 0  # of an impression

    def impression(self, n):
        shown = {
            "stream": "impressions",
            "request": f"{self.client}{n}",
            "doc": f"d{self.rng.randrange(500)}",
            "version": self.version,
            "time": T0 + n,
        }
        if self.features:
            shown["features"] = struct.pack(f"<{self.features}f", *(self.rng.gauss(0, 1) for _ in range(self.features)))
        return shown

    def click(self, shown, delay, k=0):
        return {
            "stream": "clicks",
            "request": shown["request"],
            "doc": shown["doc"],
            "time": shown["time"] + delay,
            "event": f"{shown['request']}-{k}",
        }

    def send(self, events):
        """All of them in batches on a new call; returns when they are durable."""
        with self.server.channel() as channel:
            call = harness.Call(channel)
            self.sequence = call.open(self.client).last_sequence
            for i in range(0, len(events), 5000):
                self.sequence += 1
                ack = call.batch(self.sequence, events[i : i + 5000])
                assert not ack.rejected
            call.close()
        self.events += events

    def pass_time(self, time_ms):
        with self.server.channel() as channel:
            call = harness.Call(channel)
            self.sequence = call.open(self.client).last_sequence
            call.watermarks(time_ms)
            call.close()

    def samples(self, count):
        """Impressions, a third of them clicked in the window, all decided when it returns."""
        impressions = [self.impression(n) for n in range(self.next, self.next + count)]
        self.next += count
        clicks = [self.click(e, self.rng.randrange(WINDOW)) for e in impressions if self.rng.random() < 0.3]
        self.late += [e for e in impressions if self.rng.random() < 0.2]
        self.send(impressions + clicks)
        self.pass_time(T0 + self.next + WINDOW + 1)
        return impressions

    def corrections(self, count):
        """Clicks behind the window on samples sent before, whatever became of them."""
        chosen = self.rng.sample(self.late, min(count, len(self.late)))
        self.late = [e for e in self.late if e not in chosen]
        self.send([self.click(e, WINDOW + 1 + self.rng.randrange(WINDOW), 1) for e in chosen])
        return chosen


# ---- create, list, show ----


def test_a_version_is_usable_right_after_its_reply(server):
    reply = admin(server, "CreateVersion", name="C", model="beta", prior=[2, 6], half_life_ms=86_400_000)
    assert (reply.version.name, reply.version.state) == ("C", "learning")
    assert list(reply.version.prior) == [2, 6] and reply.version.half_life_ms == 86_400_000
    assert reply.version.reward == "click" and list(reply.version.samples_from) == ["C"]
    pulled = server.pull("C", ["d1"], at_least=reply.position, statistics=True)
    assert list(pulled.values) == [2, 6] and not pulled.known[0] and pulled.mean[0] == 0.25
    Feed(server, version="C", client="c").samples(100)
    status = server.settled_status()
    harness.assert_balanced(status)
    assert server.version("C")["new_samples"]["learned"] == 100
    assert server.version("A")["new_samples"]["samples"] == 0


def test_versions_over_the_command_line(server):
    p = server.run("version", "create", "C", "--model", "beta", "--prior", "1,20", "--half-life", "14d")
    assert p.stdout.startswith("created version C at position ") and "next: " in p.stderr
    p = server.run("version", "create", "S", "--model", "beta", "--samples-from", "A,C", "--reward", "click", "-o", "json")
    made = json.loads(p.stdout)["version"]
    assert made["samples_from"] == ["A", "C"] and made["prior"] == [1, 1] and made["half_life_ms"] == 0
    names = [v["name"] for v in json.loads(server.run("version", "list", "-o", "json").stdout)["versions"]]
    assert names == ["A", "twin", "C", "S"]
    assert "14d" in server.run("version", "list").stdout
    assert shown(server, "C")["half_life_ms"] == 14 * 86_400_000
    assert re.search(r"^half life +never$", server.run("version", "show", "S").stdout, re.M)
    for words, code, message in (
        (["show", "Aa"], 5, 'no version "Aa"; expected one of: A, twin, C, S'),
        (["show", "twim"], 5, "did you mean twin?"),
        (["pause", "twim"], 5, "did you mean twin?"),
        (["create", "C", "--model", "beta", "--prior", "1,20", "--half-life", "14d"], 6, "exactly this description"),
        (["create", "C", "--model", "beta"], 6, "another description"),
        (["create", "D", "--model", "bta"], 2, "model: got bta"),
        (["create", "D", "--model", "beta", "--prior", "1"], 2, "prior: beta takes 2 numbers"),
        (["create", "D", "--model", "beta", "--prior", "0,1"], 2, "prior[0]"),
        (["create", "D", "--model", "beta", "--prior", "1;2"], 2, "expected numbers such as 1,20"),
        (["create", "D", "--model", "beta", "--half-life", "14"], 2, "expected a duration such as 14d"),
        (["create", "D", "--model", "beta", "--half-life", "9999d"], 2, "expected a duration from 0s to 3650d"),
        (["create", "D", "--model", "beta", "--reward", "clic"], 2, "did you mean click?"),
        (["create", "D", "--model", "beta", "--samples-from", "A,twim"], 2, "did you mean twin?"),
        (["create", "D", "--model", "beta", "--samples-from", "A,A"], 2, "got A twice"),
        (["create", "D", "--model", "newton"], 2, "model: got newton; expected one of the models"),
        (["create", "D"], 2, "NAME and --model are required"),
        (["pause"], 2, "NAME is required"),
        (["paus", "A"], 2, 'did you mean "version pause"?'),
    ):
        assert message in server.run("version", *words, code=code).stderr, words
    assert len(json.loads(server.run("version", "list", "-o", "json").stdout)["versions"]) == 4


def test_what_is_refused_has_its_code(server):
    code = grpc.StatusCode
    same = dict(name="twin", model="beta", prior=[1, 3], half_life_ms=3_600_000, samples_from=["A"])
    assert refused(server, "CreateVersion", **same) == (
        code.ALREADY_EXISTS,
        "name: there is a version twin already, with exactly this description",
    )
    for fields, words in (
        (dict(), "name: got nothing"),
        (dict(name="x" * 65, model="beta"), "expected a name"),
        (dict(name="D"), "model: got nothing"),
        (dict(name="D", model="beta", prior=[1] * 9), "a list of 1 to 8 numbers"),
        (dict(name="D", model="beta", prior=[float("nan"), 1]), "prior: got nan"),
        (dict(name="D", model="beta", half_life_ms=-1), "half_life: got -1ms"),
        (dict(name="D", model="beta", samples_from=["A,twin"]), "samples_from: got A,twin"),
        (dict(name="D", model="beta", samples_from=["A"] * 17), "a list of 1 to 16 versions"),
    ):
        got, message = refused(server, "CreateVersion", **fields)
        assert got == code.INVALID_ARGUMENT and words in message, (fields, message)
    for fields in (dict(), dict(apply=True, discard=True), dict(apply=False)):
        assert refused(server, "ResumeVersion", version="A", **fields)[0] == code.INVALID_ARGUMENT
    for method, fields in (("ShowVersion", {}), ("PauseVersion", {}), ("ResumeVersion", {"apply": True})):
        assert refused(server, method, version="Z", **fields)[0] == code.NOT_FOUND
        assert refused(server, method, **fields)[0] == code.INVALID_ARGUMENT
    assert [v.name for v in admin(server, "ListVersions").versions] == ["A", "twin"]


def test_of_concurrent_creates_of_one_name_one_wins(server):
    outcomes, lock, start = [], threading.Lock(), threading.Barrier(12)

    def create(k):
        start.wait()
        try:
            outcome = admin(server, "CreateVersion", name=f"N{k % 3}", model="beta", prior=[1, 1 + k]).version.id
        except grpc.RpcError as e:
            outcome = e.code()
        with lock:
            outcomes.append(outcome)

    threads = [threading.Thread(target=create, args=(k,)) for k in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(o for o in outcomes if isinstance(o, int)) == [3, 4, 5]
    assert outcomes.count(grpc.StatusCode.ALREADY_EXISTS) == 9
    assert sorted(v.name for v in admin(server, "ListVersions").versions) == ["A", "N0", "N1", "N2", "twin"]


def test_names_are_read_while_versions_come(server):
    """Readers and senders look names up all the time; none ever sees a version disappear or events refused."""
    problems, stop = [], threading.Event()

    def read():
        with server.channel() as channel:
            stub = harness.parameters_pb2_grpc.ParametersStub(channel)
            while not stop.is_set():
                try:
                    stub.Pull(harness.parameters_pb2.PullRequest(version="twin", docs=["d"]))
                except grpc.RpcError as e:
                    problems.append(e)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for t in readers:
        t.start()
    for k in range(50):
        admin(server, "CreateVersion", name=f"V{k}", model="beta", prior=[1, 1 + k])
        Feed(server, version=f"V{k}", client=f"v{k}").samples(5)
        assert list(server.pull(f"V{k}", ["nobody"]).values) == [1, 1 + k]
    stop.set()
    for t in readers:
        t.join()
    assert not problems
    status = server.settled_status()
    harness.assert_balanced(status)
    assert [v["new_samples"]["learned"] for v in status["versions"]] == [0, 0] + [5] * 50


def test_versions_made_at_run_time_survive(server, make_server):
    server.run("version", "create", "C", "--model", "beta", "--prior", "1,9")
    Feed(server, version="C", client="c").samples(50)
    server.kill9()
    server.start()
    assert "level=info event=versions_not_configured count=1 versions=C" in server.stderr()
    assert "level=warn" not in server.stderr()
    Feed(server, version="C", client="c2").samples(50)
    server.drain()
    assert server.version("C")["new_samples"]["learned"] == 100
    server.term()
    server.configure(config() + "  - { name: C, model: beta, prior: [1, 9] }\n")
    server.start()
    assert "versions_not_configured" not in server.stderr()
    assert server.version("C")["id"] == 3
    server.term()
    server.configure(config() + "  - { name: C, model: beta, prior: [1, 8] }\n")
    server.launch()
    assert not server.wait_ready() and server.process.returncode == 6
    assert "version C" in server.stderr()


FORMS = {
    "full": "model: lr, dimension: 3, half_life: 1h",
    "diagonal": "model: lr, dimension: 3, covariance: diagonal, half_life: 1h, batch: { samples: 2 }",
    "linear": "model: linear, dimension: 3, half_life: 1h",
    "embedding": "model: embedding, dimension: 3, optimizer: adam",
}


def test_two_of_one_description_learn_the_same_bits(make_server):
    """Of every model: new samples, corrections, a kill in between. Two that differ a little tell that digests see it."""
    pairs = "".join(f"  - {{ name: {n}{k}, {m}, samples_from: [A] }}\n" for n, m in FORMS.items() for k in "12")
    other = f"  - {{ name: other, {FORMS['full']}, prior_sd: 1.0000001, samples_from: [A] }}\n"
    server = make_server(config() + pairs + other).start()
    feed = Feed(server)
    feed.features = 3
    feed.samples(1500)
    feed.corrections(200)
    server.kill9()
    server.start()
    feed.samples(500)
    feed.corrections(100)
    harness.assert_balanced(server.settled_status())
    digests = server.digests()
    for name in FORMS:
        counts = server.version(f"{name}1")
        assert counts["new_samples"]["learned"] > 1000 and counts["corrections"]["learned"] > 0, name
        assert digests[f"{name}1"] == digests[f"{name}2"], name
    assert len({digests[f"{name}1"] for name in FORMS} | {digests["other"], digests["A"]}) == len(FORMS) + 2


# ---- pause and resume ----


def assert_twins(server):
    server.drain()
    digests = server.digests()
    assert digests["A"] == digests["twin"]


def test_a_paused_version_serves_on_and_holds_its_samples(server):
    feed = Feed(server)
    feed.samples(1000)
    server.drain()
    before, counts = server.digests()["A"], server.counts("A")
    assert not server.pull("A", ["d1"]).HasField("stale_reason")
    p = server.run("version", "pause", "A")
    assert p.stdout.startswith("paused version A at position ") and "--apply" in p.stderr
    assert server.run("version", "pause", "A").stdout == "version A is paused already: nothing was changed\n"
    again = admin(server, "PauseVersion", version="A")
    assert again.unchanged and again.version.state == "paused"
    feed.samples(500)
    feed.corrections(100)
    status = server.settled_status()
    harness.assert_balanced(status)
    a, twin = server.version("A"), server.version("twin")
    assert (a["state"], twin["state"]) == ("paused", "learning")
    assert a["new_samples"]["held"] == 500 and a["corrections"]["held"] == twin["corrections"]["learned"] > 0
    assert a["new_samples"]["learned"] == 1000 and twin["new_samples"]["learned"] == 1500
    assert server.digests()["A"] == before and server.counts("A") == counts
    pulled = server.pull("A", ["d1", "nobody"])
    assert pulled.stale_reason == "paused" and not server.pull("twin", ["d1"]).HasField("stale_reason")
    assert "paused" in server.run("pull", "--version", "A", "d1").stdout
    assert "paused" in server.run("version", "list").stdout
    p = server.run("version", "resume", "A", code=2)
    assert f"what becomes of the {held(a)} held samples" in p.stderr and "--apply" in p.stderr and "--discard" in p.stderr
    assert shown(server, "A")["state"] == "paused"
    server.run("version", "resume", "A", "--apply")
    assert server.run("version", "resume", "A", "--apply").stdout == "version A learns already: nothing was changed\n"
    wait_caught_up(server)
    assert_twins(server)


def test_catching_up_goes_on_by_itself_and_holds_up_nobody(make_server):
    server = make_server(config(shards=1)).start()
    feed = Feed(server)
    feed.samples(2000)
    server.run("version", "pause", "A")
    feed.samples(30_000)
    reply = admin(server, "ResumeVersion", version="A", apply=True)
    assert not reply.unchanged and reply.version.state == "learning"
    assert list(server.pull("twin", ["d1"], at_least=reply.position).known) == [True]
    feed.samples(1000)  # behind what is held, in order
    feed.corrections(500)
    status = wait_caught_up(server)
    assert server.version("A")["new_samples"]["learned"] == 33_000
    assert all(v["catching_up"] == 0 for v in status["versions"])
    assert_twins(server)


def test_kills_while_paused_and_while_catching_up(make_server):
    """Each sync takes 40 ms, so that catching up takes a while; the server dies again and again in the middle of it."""
    server = make_server(config(shards=1)).start()
    slow = ("-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=40000")
    feed, in_the_middle = Feed(server), 0
    feed.samples(1000)
    server.run("version", "pause", "A")
    feed.samples(20_000)
    server.kill9()
    server.start()
    assert server.version("A")["state"] == "paused"
    feed.samples(20_000)
    feed.corrections(1000)
    server.kill9()
    server.start(*slow)
    server.run("version", "resume", "A", "--apply")
    for delay in (0, 0, 0.03, 0.06, 0.1):
        time.sleep(delay)
        server.kill9()
        server.start(*slow)
        assert shown(server, "A")["state"] == "learning"
        in_the_middle += held(shown(server, "A")) > 0
    assert in_the_middle > 0
    wait_caught_up(server)
    assert server.version("A")["new_samples"]["learned"] == 41_000
    assert_twins(server)


def expected_of(events, learned):
    """Counts by document, of the impressions that A learned."""
    keys = {(e["request"], e["doc"]) for e in learned}
    mine = [e for e in events if (e["request"], e["doc"]) in keys]
    return reference.join(mine, WINDOW, LATENESS)


def test_discard_skips_new_samples_and_nothing_else(server):
    feed = Feed(server)
    learned = feed.samples(2000)
    server.run("version", "pause", "A")
    feed.corrections(100)  # of what was learned: they wait, and apply in the end
    discarded = feed.samples(1000)
    p = server.run("version", "resume", "A", "--discard", "-o", "json")
    assert json.loads(p.stdout)["version"]["state"] == "learning"
    assert admin(server, "ResumeVersion", version="A", apply=True).unchanged
    learned += feed.samples(1000)
    assert {e["request"] for e in discarded} & {e["request"] for e in feed.late}
    feed.corrections(len(feed.late))  # of all three stretches
    wait_caught_up(server)
    expected = expected_of(feed.events, learned)
    assert server.counts("A") == expected.version("A")
    a = server.version("A")
    assert a["new_samples"]["learned"] == 3000 and a["new_samples"]["skipped"] == 1000
    assert a["corrections"]["learned"] == expected.corrections["A"]
    assert a["corrections"]["skipped"] > 0
    server.kill9()
    server.start()
    assert server.counts("A") == expected.version("A")


def test_what_is_held_has_a_budget(make_server):
    """Beyond memory.samples the oldest are skipped, as if discarded; changing the budget is a matter of a restart."""
    server = make_server(config(shards=1) + "memory: { samples: 1MiB }\n").start()
    feed = Feed(server)
    feed.samples(1000)
    server.run("version", "pause", "A")
    feed.samples(20_000)
    harness.wait_until("held is bounded", lambda: server.version("A")["new_samples"]["skipped_limit"] > 0)
    server.term()
    server.configure(config(shards=1) + "memory: { samples: 1GiB }\n")
    server.start()
    skipped = server.version("A")["new_samples"]["skipped_limit"]
    feed.samples(20_000)
    assert server.version("A")["new_samples"]["skipped_limit"] == skipped
    server.run("version", "resume", "A", "--apply")
    status = wait_caught_up(server)
    a = next(v for v in status["versions"] if v["name"] == "A")["new_samples"]
    assert (a["samples"], a["learned"], a["skipped"]) == (41_000, 41_000 - skipped, skipped)
    assert "skipped: memory.samples" in server.run("version", "show", "A").stdout


def test_pauses_and_resumes_at_random_under_load(make_server):
    """Every resume applies, so the twin tells whether all was right; status balances whenever one looks."""
    rng = random.Random(7)
    server = make_server(config(shards=3)).start()
    feed = Feed(server, rng)
    for _ in range(12):
        act = rng.choice(["pause", "resume", "resume", "kill", "samples", "corrections"])
        if act == "pause":
            server.run("version", "pause", "A")
        elif act == "resume":
            server.run("version", "resume", "A", "--apply")
        elif act == "kill":
            server.kill9()
            server.start()
        elif act == "corrections":
            feed.corrections(rng.randrange(500))
        feed.samples(rng.randrange(1, 4000))
        harness.assert_balanced(server.status())
    server.run("version", "resume", "A", "--apply")
    wait_caught_up(server)
    assert_twins(server)
