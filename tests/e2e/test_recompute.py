"""samples verify --recompute: everything that decides a label, in one world, against a server that was killed; three
joins that share no code (the server's, the command's, recompute.py) agree, and each planted error is found."""

import json
import random
import subprocess
import sys

import pytest

import event_files
import harness
from test_samples import RECOMPUTE, found, verify, write_lines

T0 = event_files.T0
CONFIG = """
shards: 4
threads: 2
log: { sync: 5ms }
commit: { interval: 100ms }
samples: { retain: 3650d }
join: { key: [request, doc], window: 10s, allowed_lateness: 10m }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action, within: 40s, before: 1s }
  - { name: reads, kind: action, within: 45s }
  - { name: orders, kind: action, key: [user, doc], attribute: last, within: 30s }
  - { name: carts, kind: action, key: [user, doc], attribute: first, within: 60s }
  - { name: shares, kind: action, key: [doc], attribute: all, within: 10s }
  - { name: profiles, kind: table, key: [user] }
  - { name: looks, kind: features, dimension: 2 }
labels:
  - { name: click, stream: clicks }
  - { name: clicks, stream: clicks, aggregate: count }
  - { name: dwell, stream: reads, aggregate: mean, cap: 12 }
  - { name: longest, stream: reads, aggregate: max, threshold: 8 }
  - { name: spend, stream: orders, aggregate: sum, cap: 300 }
  - { name: cart, stream: carts, aggregate: last }
  - { name: shared, stream: shares, aggregate: sum }
  - { name: soon, stream: orders, aggregate: first_delay }
filters:
  - { name: seen, stream: impressions, field: position, max: 5 }
  - { name: weight, stream: impressions, field: weight, do: clamp, max: 2 }
  - { name: mute, stream: reads, field: value, do: default, to: 2 }
  - { name: odd, stream: orders, field: value, max: 95 }
sample_filters:
  - { name: slow, label: spend, by: delay, max: 25, do: zero }
  - { name: bot, label: clicks, max: 2, do: zero, zero: click }
users: { block: BLOCKED, allow: ALLOWED }
versions:
  - { name: A, model: beta, prior: [1, 20], reward: click }
  - { name: B, model: beta, prior: [1, 20], reward: click }
"""


def withdrawal(rng, action):
    kept = {k: action[k] for k in ("stream", "request", "doc", "user", "event") if k in action}
    return {**kept, "withdraw": True, "time": action["time"] + rng.randrange(-500, 15_000)}


def actions_on(rng, shown, n):
    """What somebody does with one document that he was shown."""
    key = {k: shown[k] for k in ("request", "doc", "user")}
    for stream, most in (("clicks", 45_000), ("reads", 50_000), ("orders", 40_000), ("carts", 55_000), ("shares", 6000)):
        for k in range(rng.choice((0, 0, 0, 1, 2)) if stream != "shares" else rng.random() < 0.1):
            time = shown["time"] + rng.randrange(-1500, most)
            action = {**key, "stream": stream, "time": time, "event": f"{stream}-{n}-{k}", "value": rng.randrange(100)}
            if rng.random() < 0.2:
                del action["event"]
            if rng.random() < 0.2:
                del action["value"]
            if rng.random() < 0.2:
                action["version"] = rng.choice("AB")
            yield action
            if rng.random() < 0.1:
                yield dict(action)
            if "event" in action and rng.random() < 0.2:
                yield withdrawal(rng, action)


def impressions_of(rng, n):
    """A request for some documents: single impressions, or one record with items."""
    user = n % 40
    docs = rng.sample(range(8 * user, 8 * user + 10), rng.randint(1, 6))  # the same ones again and again
    shared = {"stream": "impressions", "request": f"r{n}", "user": f"u{user}", "version": rng.choice("AB"), "time": T0 + 120 * n}
    own = [{"doc": f"d{d}", "position": i + 1, "features": [n % 7, d]} for i, d in enumerate(docs)]
    if rng.random() < 0.5:
        return [{**shared, "features": [0.5], "items": own}]
    return [{**shared, **o, "weight": rng.choice((0.5, 1, 3))} for o in own]


def look_at(rng, shown, delay):
    key = {k: shown[k] for k in ("request", "doc", "user")}
    return {**key, "stream": "looks", "time": shown["time"] + delay, "features": [rng.randrange(1000), 1]}


def late_looks(seed, events):
    """Features for what is decided, or not for the first time; some more than a minute behind their impression."""
    rng = random.Random(seed)
    before = {(e["request"], e["doc"]): e["time"] for e in events if e["stream"] == "looks"}
    looks = []
    for record in (e for e in events if e["stream"] == "impressions"):
        for one in [{**record, **item} for item in record.get("items", [{}])]:
            seen = before.get((one["request"], one["doc"]), one["time"])
            if rng.random() < 0.2:
                delay = max(seen - one["time"], 0) + rng.randrange(1, 40_000)
                looks += [look_at(rng, one, delay + again) for again in range(rng.choice((1, 1, 2)))]
            elif rng.random() < 0.05:
                looks.append(look_at(rng, one, 60_001))
    return sorted(looks, key=lambda e: e["time"])


def world(seed, requests=700):
    rng = random.Random(seed)
    events = []
    for n in range(requests):
        records = impressions_of(rng, n)
        events += records
        if rng.random() < 0.05:
            events.append({**records[0], "time": records[0]["time"] + 700})  # shown again: a repetition
        if rng.random() < 0.1:
            events.append({"stream": "profiles", "user": f"u{n % 40}", "time": T0 + 120 * n, "features": [n % 5]})
        for record in records:
            for one in [{**record, **item} for item in record.get("items", [{}])]:
                events += actions_on(rng, one, f"{n}-{one['doc']}")
                if rng.random() < 0.2:
                    events.append(look_at(rng, one, rng.randrange(-30_000, 9000)))
    return sorted(events, key=lambda e: e["time"])


def recomputed(server, files, *options, code=0):
    p = server.run("samples", "verify", "--recompute", *map(str, files), "--quiet", "-o", "json", "--examples", "1000000",
                   *options, code=code)
    return json.loads(p.stdout)


class World:
    def __init__(self, folder):
        self.folder = folder
        (folder / "blocked.txt").write_text("u7\n\nnobody\n")
        (folder / "allowed.txt").write_text("u0\r\n")
        config = CONFIG.replace("BLOCKED", str(folder / "blocked.txt")).replace("ALLOWED", str(folder / "allowed.txt"))
        self.server = harness.Server(folder / "server", config)
        self.events = world(4)
        streams = sorted({e["stream"] for e in self.events})
        self.files = [write_lines(folder / f"{s}.jsonl", [e for e in self.events if e["stream"] == s]) for s in streams]
        self.late = late_looks(5, self.events)
        late = write_lines(folder / "late.jsonl", self.late)
        self.server.start()
        ingest = self.server.spawn("ingest", *map(str, self.files), "--end", "--rate", str(len(self.events)))
        harness.wait_until("half of it is in", lambda: self.server.status()["position"] > len(self.events) // 2)
        self.server.kill9()
        self.server.start()
        _, errors = ingest.communicate(timeout=60)
        assert ingest.returncode in (0, 2), errors  # 2: blocked users
        self.server.drain()
        self.server.run("ingest", str(late))
        self.server.drain()
        self.files.append(late)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("recompute"))
    yield w
    w.server.close()


def test_everything_that_decides_a_label_is_what_the_command_recomputes(everything):
    server, files = everything.server, everything.files
    status = server.settled_status()
    harness.assert_balanced(status)
    verdict = recomputed(server, files)
    assert verdict["identical"], verdict
    assert verdict["here"] == verdict["there"] > 1500 and verdict["lost"] == verdict["stray_corrections"] == 0
    text = server.run("samples", "verify", "--recompute", *map(str, files)).stderr
    assert "records read" in text and "features differ" not in text
    by_file = recomputed(server, files, "--config", str(server.config_file))  # a configuration is as good as its server
    assert by_file["identical"]
    for version, count in (("A", None), ("B", None)):
        part = recomputed(server, files, "--version", version)
        assert part["identical"] and 500 < part["here"] < verdict["here"]
    came_late = [json.loads(line) for line in server.run("samples", "export", "--quiet", "--features").stdout.splitlines()]
    came_late = [s for s in came_late if "corrects" in s and s.get("features")]
    assert len(came_late) > 200 and all(s["labels"] == s["old_labels"] for s in came_late)
    middle = T0 + 120 * 350
    part = recomputed(server, files, "--from", str(middle), "--to", str(middle + 10_000))
    assert part["identical"] and 200 < part["here"] < 600


def test_a_program_in_another_language_says_the_same(everything):
    out = everything.folder / "expected.jsonl"
    command = [sys.executable, str(RECOMPUTE), *map(str, everything.files), "--config", str(everything.server.config_file)]
    subprocess.run([*command, "-o", str(out)], check=True, capture_output=True)
    assert verify(everything.server, out)["identical"]
    told = [json.loads(line) for line in out.read_text().splitlines()]
    for label in told[0]["labels"]:  # the world has all of it
        assert len({row["labels"][label] for row in told}) > 1, label


def test_each_planted_error_is_found(everything):
    """Actions that a pipeline lost, impressions that it made up, features that it mixed up."""
    rng = random.Random(9)
    rows = [dict(e) for e in everything.events]
    reads = {}
    for e in rows:
        if e["stream"] == "reads":
            reads.setdefault((e["request"], e["doc"]), []).append(e)
    alone = [k for k, events in reads.items() if len(events) == 1 and 0 < events[0].get("value", 2) and "version" not in events[0]]
    shown = {(e["request"], o.get("doc", e.get("doc"))): (e["version"], e["request"], o.get("doc", e.get("doc")))
             for e in rows if e["stream"] == "impressions" for o in e.get("items", [{}])}
    before = recomputed(everything.server, everything.files, "--examples", "0")
    lost = set(rng.sample(sorted(k for k in alone if k in shown), 20))
    kept = [e for e in rows if not (e["stream"] == "reads" and (e["request"], e["doc"]) in lost)]
    mixed = [e for e in kept if e["stream"] == "impressions" and "items" not in e][100]
    kept = [{**e, "features": [9]} if e is mixed else e for e in kept]
    early = {(e["request"], e["doc"]) for e in rows if e["stream"] == "looks"}
    late = next(e for e in everything.late if (e["request"], e["doc"]) not in early and e["user"] != "u7")
    kept += [{**e, "features": [9, 9]} if e is late else e for e in everything.late]
    kept.append({"stream": "impressions", "request": "made-up", "doc": "d1", "user": "u1", "version": "A", "time": T0 + 50_000})
    verdict = recomputed(everything.server, [write_lines(everything.folder / "lossy.jsonl", sorted(kept, key=lambda e: e["time"]))], code=2)
    assert before["identical"]
    differ = found(verdict, "label dwell differs")
    assert len(differ) > 10 and differ <= {shown[k] for k in lost}  # some were of robots, or late
    assert found(verdict, "only there") == {("A", "made-up", "d1")}
    assert found(verdict, "features differ") == {shown[e["request"], e["doc"]] for e in (mixed, late)}
    assert found(verdict, "only here") == set()


def test_what_cannot_be_recomputed_says_why(everything, tmp_path):
    server = everything.server
    p = server.run("samples", "verify", "--recompute", str(everything.files[0]), "--memory", "1MiB", code=1)
    assert "more than" in p.stderr and "--memory" in p.stderr and "--from" in p.stderr
    assert "--first" in server.run("samples", "verify", "--recompute", "x", "--first", code=2).stderr
    assert "absent.jsonl" in server.run("samples", "verify", "--recompute", str(tmp_path / "absent.jsonl"), code=5).stderr
    odd = write_lines(tmp_path / "odd.jsonl", [{"stream": "unknown", "request": "r", "doc": "d", "time": T0}, {"stream": "impressions"}])
    p = server.run("samples", "verify", "--recompute", str(odd), code=2)
    assert "odd.jsonl:1: no server takes it: stream" in p.stderr and "odd.jsonl:2: malformed" in p.stderr
    (tmp_path / "other.yaml").write_text(server.config_file.read_text().replace("blocked.txt", "gone.txt"))
    p = server.run("samples", "verify", "--recompute", str(odd), "--config", str(tmp_path / "other.yaml"), code=5)
    assert "users.block" in p.stderr and "gone.txt" in p.stderr
