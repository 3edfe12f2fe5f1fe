"""Samples that are kept: on real data verify finds what was planted and nothing else; readers, formats and retention."""

import csv
import importlib.machinery
import importlib.util
import io
import json
import random
import subprocess
import sys
import threading
import time

import fastavro
import grpc
import pytest

import event_files
import harness
from tidemill.v1 import admin_pb2_grpc, samples_pb2

EVERYTHING = "1000000"
RECOMPUTE = harness.ROOT / "tests" / "e2e" / "recompute.py"


def load_demo():
    loader = importlib.machinery.SourceFileLoader("demo", str(harness.ROOT / "tools" / "demo"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("demo", loader))
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    sys.path.append(str(harness.ROOT / "tools"))
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def kept(text, retain="3650d"):
    return f"samples: {{ retain: {retain} }}\n" + text


def recompute(folder, config, files, name="expected.jsonl", options=()):
    out = folder / name
    command = [sys.executable, str(RECOMPUTE), *map(str, files), "--config", str(config), "-o", str(out), *options]
    subprocess.run(command, check=True, capture_output=True)
    return out


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def verify(server, path, *options, code=0):
    """The verdict, with everything that differs as an example."""
    p = server.run("samples", "verify", "--against", str(path), "-o", "json", "--examples", EVERYTHING, *options, code=code)
    return json.loads(p.stdout)


def found(verdict, reason):
    """The samples that were found for a reason, as (version, request, doc)."""
    row = next(r for r in verdict["reasons"] if r["reason"] == reason)
    assert row["samples"] == len(row["examples"])
    return {(e["version"], e["request"], e["doc"]) for e in row["examples"]}


def names(rows):
    return {(r["version"], r["request"], r["doc"]) for r in rows}


def export(server, *options):
    return [json.loads(line) for line in server.run("samples", "export", "--quiet", *options).stdout.splitlines()]


# ---- real data ----


class Replay:
    """The log of the demo in a server that was killed in the middle, and what recompute makes of it."""

    def __init__(self, folder):
        demo = load_demo()
        self.folder = folder
        impressions, clicks = demo.read_log()
        self.files = [
            write_lines(folder / "impressions.jsonl", impressions),
            write_lines(folder / "clicks.jsonl", clicks),
        ]
        self.count = len(impressions)
        self.server = harness.Server(folder / "server", demo.CONFIG.read_text())
        self.server.start()
        self.ingest_with_a_kill(len(impressions) + len(clicks))
        self.server.drain()
        self.expected = recompute(folder, self.server.config_file, self.files)

    def ingest_with_a_kill(self, total):
        ingest = self.server.spawn("ingest", *map(str, self.files), "--end", "--rate", str(total // 4))
        harness.wait_until("half of it is in", lambda: self.server.status()["position"] > total // 2)
        self.server.kill9()
        self.server.start()
        _, errors = ingest.communicate(timeout=60)
        assert ingest.returncode == 0, errors


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    r = Replay(tmp_path_factory.mktemp("replay"))
    yield r
    r.server.close()


def test_real_data_through_a_kill_is_what_recompute_says(replay):
    assert replay.count >= 20_000
    verdict = verify(replay.server, replay.expected)
    assert verdict["identical"] and verdict["here"] == verdict["there"] == verdict["same"] == replay.count
    assert verdict["lost"] == verdict["stray_corrections"] == 0
    assert 600_000 <= verdict["delay_ms"]["p50"] <= verdict["delay_ms"]["max"]  # join.window, and later
    again = replay.server.run("samples", "verify", "--recompute", *map(str, replay.files), "-o", "json").stdout
    assert json.loads(again) == verdict
    first = recompute(replay.folder, replay.server.config_file, replay.files, "first.jsonl", ["--first"])
    assert verify(replay.server, first, "--first")["identical"]
    # The two differ in just the samples that were corrected.
    corrected = {(r["version"], r["request"], r["doc"]) for r in export(replay.server) if r["kind"] == "correction"}
    assert len(corrected) > 10
    assert found(verify(replay.server, first, code=2), "label click differs") == corrected


def test_wrong_labels_are_found_and_no_others(replay):
    rng = random.Random(20260801)
    rows = read_lines(replay.expected)
    wrong = rng.sample(range(len(rows)), len(rows) // 100)
    for i in wrong:
        rows[i]["labels"]["click"] = 1 - rows[i]["labels"]["click"]
    rng.shuffle(rows)
    planted = names(read_lines(replay.expected)[i] for i in wrong)
    assert len(planted) >= 200
    verdict = verify(replay.server, write_lines(replay.folder / "wrong.jsonl", rows), code=2)
    assert found(verdict, "label click differs") == planted
    assert verdict["same"] == replay.count - len(planted)
    for reason in ("only here", "only there", "repeated here", "repeated there", "weight differs"):
        assert found(verdict, reason) == set()


def test_missing_and_additional_rows_are_found(replay):
    rng = random.Random(5)
    rows = read_lines(replay.expected)
    removed = set(rng.sample(range(len(rows)), 150))
    added = [dict(rows[i], request=f"nobody-{i}") for i in rng.sample(range(len(rows)), 70)]
    heavier, twice = rows[next(i for i in range(len(rows)) if i not in removed)], rows[-1]
    removed.discard(len(rows) - 1)
    changed = [dict(r, weight=2) if r is heavier else r for i, r in enumerate(rows) if i not in removed]
    path = write_lines(replay.folder / "changed.jsonl", changed + added + [twice])
    verdict = verify(replay.server, path, code=2)
    assert found(verdict, "only here") == names(rows[i] for i in removed)
    assert found(verdict, "only there") == names(added)
    assert found(verdict, "weight differs") == names([heavier])
    assert found(verdict, "repeated there") == names([twice])
    assert found(verdict, "label click differs") == set()
    assert verdict["same"] == replay.count - len(removed) - 2


def test_part_of_it_by_version_and_time(replay):
    rows = read_lines(replay.expected)
    middle = sorted(r["impression_time"] for r in rows)[len(rows) // 2]
    verdict = verify(replay.server, replay.expected, "--version", "bts", "--from", str(middle))
    wanted = [r for r in rows if r["version"] == "bts" and r["impression_time"] >= middle]
    assert verdict["identical"] and verdict["here"] == len(wanted) > 1000
    p = replay.server.run("samples", "verify", "--against", str(replay.expected), "--memory", "1MiB", code=1)
    assert "--memory" in p.stderr


def test_a_file_that_is_none_says_where(replay):
    for text, words in (
        ('{"version":"bts","doc":"1","request":"a","labels":{"clik":1}}\n', 'bad.txt:1: labels: clik: unknown key "clik"'),
        ('{"version":"bts","doc":"1","request":"a"}\n', "no label is told"),
        ("version,request,doc,click\nbts,r,1,0\nbts,r,1\n", "bad.txt:3: 3 fields; expected 4"),
        ("version,request,doc,click\nbts,r,1,yes\n", 'bad.txt:2: got "yes"; expected a number'),
        ("version,request,doc,click,keep_probability\nbts,r,1,0,-3\n", "got -3; expected a number above 0, at most 1"),
        (
            '{"version":"bts","doc":"1","labels":{"click":1},"keep_probability":1.5}\n',
            "bad.txt:1: keep_probability: got number 1.5; expected a number above 0, at most 1",
        ),
        ("{", "bad.txt:1: "),
    ):
        path = replay.folder / "bad.txt"
        path.write_text(text)
        assert words in replay.server.run("samples", "verify", "--against", str(path), code=2).stderr


LABELS = """labels:
  - { name: click, stream: clicks }
  - { name: clicks, stream: clicks, aggregate: count }
  - { name: spend, stream: clicks, aggregate: sum, cap: 40 }
  - { name: price, stream: clicks, aggregate: mean }
  - { name: most, stream: clicks, aggregate: max, threshold: 15 }
  - { name: newest, stream: clicks, aggregate: last }
  - { name: delay, stream: clicks, aggregate: first_delay }
versions:"""


def test_every_aggregate_is_what_recompute_says(make_server, tmp_path):
    """Also of actions that are taken back."""
    rng = random.Random(6)
    before, _, rest = harness.config().partition("labels:")
    server = make_server(kept(before + LABELS + rest.partition("versions:")[2])).start()
    events = event_files.generate(17, requests=700)
    for e in list(events):
        if e["stream"] == "clicks":
            e["value"] = rng.randrange(80) / 4
            if rng.random() < 0.2:
                withdrawal = {**{k: e[k] for k in ("stream", "request", "doc", "event")}, "withdraw": True}
                events.append({**withdrawal, "time": e["time"] + rng.randrange(20_000)})
    events.sort(key=lambda e: e["time"])
    files = [event_files.write(tmp_path / "events.jsonl", events)]
    server.ingest(*files)
    server.drain()
    verdict = verify(server, recompute(tmp_path, server.config_file, files))
    assert verdict["identical"], verdict
    rows = export(server)
    assert {len(r["labels"]) for r in rows} == {7} and verdict["here"] > 1000
    assert len({r["labels"]["spend"] for r in rows}) > 20 and any(r["labels"]["delay"] > 1 for r in rows)
    lowered = [r for r in rows if r["kind"] == "correction" and r["labels"]["clicks"] < r["old_labels"]["clicks"]]
    assert lowered  # withdrawn after the decision


RULES = """filters:
  - { name: seen, stream: impressions, field: position, max: 2 }
  - { name: share, stream: impressions, field: weight, do: default, to: 0.1 }
  - { name: heavy, stream: impressions, field: weight, do: clamp, min: 0.3, max: 1.7 }
  - { name: mute, stream: clicks, field: value, do: default, to: 0 }
  - { name: dwell, stream: clicks, field: value, min: 0.5 }
sample_filters:
  - { name: small, label: spend, min: 2, do: zero, zero: clicks }
  - { name: soon, label: clicks, by: delay, min: 2, do: zero }
  - { name: dear, label: spend, max: 12 }
sampling: [{ name: top, keep: 1, to_position: 1 }, { name: rest, keep: 0.4 }]
users: { block: BLOCKED, max_events: 30, per: 40s }
"""


def with_numbers(rng, events):
    """Values, some of them at the end of what a double holds, weights, and withdrawals, which bring no value."""
    for e in list(events):
        if e["stream"] == "impressions":
            if rng.random() < 0.7:
                e["weight"] = rng.choice((0.1, 0.7, 2.3))
            continue
        e["value"] = rng.choice((1e308, -1e308, 0.2)) if rng.random() < 0.1 else rng.uniform(0, 20)
        if rng.random() < 0.2:
            withdrawal = {**{k: e[k] for k in ("stream", "request", "doc", "event")}, "withdraw": True}
            events.append({**withdrawal, "time": e["time"] + rng.randrange(20_000)})
    return sorted(events, key=lambda e: e["time"])


def test_filters_and_sampling_are_what_recompute_says(make_server, tmp_path):
    """Negatives that were left out are told, and are no difference; everything else is there, mended, and counted."""
    before, _, rest = harness.config().partition("labels:")
    before = before.replace("name: clicks, kind: action,", "name: clicks, kind: action, before: 1s,")
    (tmp_path / "blocked.txt").write_text("u3\n")
    rules = RULES.replace("BLOCKED", str(tmp_path / "blocked.txt"))
    server = make_server(kept(before + LABELS + rest.partition("versions:")[2]) + rules).start()
    events = with_numbers(random.Random(7), event_files.generate(18, requests=700))
    for n, e in enumerate(events):
        e["user"] = "busy" if n % 5 == 0 else f"u{n % 40}"
    files = [event_files.write(tmp_path / "events.jsonl", events)]
    server.ingest(*files)
    status = server.settled_status()
    harness.assert_balanced(status)
    assert all(s["filtered"] > 50 for s in status["streams"])
    assert all(v["new_samples"]["skipped_filtered"] > 0 for v in status["versions"] if v["name"] in "AB")
    assert "robot" in server.run("deadletters", "list", "--reason", "robot").stdout
    expected = recompute(tmp_path, server.config_file, files)
    verdict = verify(server, expected)
    assert verdict["identical"], verdict
    recomputed = server.run("samples", "verify", "--recompute", *map(str, files), "-o", "json", "--examples", EVERYTHING)
    assert json.loads(recomputed.stdout) == verdict and "of robots 0" not in recomputed.stderr
    left_out = sum(v["new_samples"]["skipped_sampling"] for v in status["versions"] if v["name"] in "AB")
    missing = found(verdict, "left out by sampling")
    assert left_out >= len(missing) > 50 and verdict["here"] == verdict["there"] - len(missing) > 500
    told = read_lines(expected)
    assert all(n["keep_probability"] == 0.4 for n in told if (n["version"], n["request"], n["doc"]) in missing)
    weights = {r["weight"] for r in export(server)}
    assert len(weights) == 3 and abs(min(weights) - 0.3) < 1e-7
    for n in told:
        n.pop("keep_probability", None)  # a file that expects every negative
    table = "".join(f"{n['version']},{n['request']},{n['doc']},{n['labels']['clicks']}\n" for n in told)
    (tmp_path / "all.csv").write_text("version,request,doc,clicks\n" + table)
    for every in (write_lines(tmp_path / "all.jsonl", told), tmp_path / "all.csv"):
        assert found(verify(server, every, code=2), "only there") == missing


# ---- readers and formats ----


def rich_events(seed):
    """With everything that a sample can carry."""
    rng = random.Random(seed)
    events = event_files.generate(seed, requests=400)
    for e in events:
        if e["stream"] == "impressions":
            e.update(user=f"u{rng.randrange(9)}", score=rng.choice((0.25, 0.5)), representation="tower-3", weight=2)
            e["features"] = rng.choice(([0.5, -1, 3], {"i": [3, 70000], "v": [1.5, 2]}))
            e["payload"] = "aGVsbG8="
    return events


@pytest.fixture
def rich(make_server, tmp_path):
    server = make_server(kept(harness.config())).start()
    events = rich_events(8)
    server.ingest(event_files.write(tmp_path / "events.jsonl", events))
    server.drain()
    return server, events


def test_a_sample_says_what_its_impression_said(rich):
    server, events = rich
    shown = {}
    for e in events:
        if e["stream"] == "impressions":
            shown.setdefault((e["version"], e["request"], e["doc"]), e)
    rows = export(server, "--features")
    new = [r for r in rows if r["kind"] == "new"]
    assert len(new) == len(shown) and len({r["id"] for r in new}) == len(new)
    for r in new:
        e = shown[r["version"], r["request"], r["doc"]]
        assert r["impression_time"] == e["time"] < r["decision_time"]
        for field in ("user", "score", "representation", "weight", "features", "payload"):
            assert r[field] == e[field], field
        assert r["propensity"] == e["propensity"] and r["rank"] == e["position"]
        assert r["reward"] == r["labels"]["click"] and r["keep_probability"] == 1
    originals = {(r["shard"], r["sequence"]): r for r in new}
    corrections = [r for r in rows if r["kind"] == "correction"]
    assert corrections
    for r in corrections:
        original = originals[r["shard"], r["corrects"]]
        for field in ("id", "version", "request", "doc", "impression_time"):
            assert r[field] == original[field], field
        assert r["old_labels"] == {"click": 0} and r["labels"] == {"click": 1}
    for shard in range(8):  # in the order of shard and sequence, without gaps
        assert [r["sequence"] for r in rows if r["shard"] == shard] == list(
            range(1, 1 + sum(r["shard"] == shard for r in rows))
        )
    assert [r["shard"] for r in rows] == sorted(r["shard"] for r in rows)


def test_the_formats_say_the_same(rich, tmp_path):
    server, _ = rich
    lines = export(server, "--features")
    p = server.run("samples", "export", "--features", "--format", "avro", "-o", str(tmp_path / "s.avro"))
    assert f"{len(lines):,} samples" in p.stderr
    with open(tmp_path / "s.avro", "rb") as f:
        reader = fastavro.reader(f)
        assert reader.codec == "deflate"
        avro = list(reader)
    table = list(csv.DictReader(io.StringIO(server.run("samples", "export", "--features", "--format", "csv").stdout)))
    assert len(lines) == len(avro) == len(table)
    for line, a, c in zip(lines, avro, table):
        for field in ("id", "kind", "version", "request", "doc", "shard", "sequence", "position", "impression_time"):
            assert str(line[field]) == str(a[field]) == c[field], field
        assert line["labels"] == a["labels"] == {"click": float(c["label.click"])}
        if line["kind"] == "correction":
            assert line["corrects"] == a["corrects"] == int(c["corrects"]) and a["old_labels"] == line["old_labels"]
            continue
        assert a["payload"] == b"hello" and c["payload"] == line["payload"]
        f = line["features"]
        if isinstance(f, list):
            assert a["features"] == f and a["feature_indices"] is None
            assert [float(v) for v in c["features"].split()] == f
        else:
            assert a["features"] == f["v"] and a["feature_indices"] == f["i"]
            assert c["features"] == "3:1.5 70000:2"
    for form in ("jsonl", "csv"):  # an export is a file to verify against, by id and with features
        path = tmp_path / f"again.{form}"
        server.run("samples", "export", "--features", "--format", form, "-o", str(path))
        verdict = verify(server, path)
        assert verdict["identical"] and verdict["key"] == "id"
    assert not list(tmp_path.glob("*.part"))


def test_filters(rich):
    server, _ = rich
    rows = export(server)
    row = rows[len(rows) // 2]
    times = sorted({r["decision_time"] for r in rows})  # few, when much is decided at once
    since, until = times[len(times) // 4], times[len(times) // 2] + 1
    for options, wanted in (
        (["--version", "A"], lambda r: r["version"] == "A"),
        (["--doc", "d3", "--doc", "d4"], lambda r: r["doc"] in ("d3", "d4")),
        (["--request", row["request"]], lambda r: r["request"] == row["request"]),
        (["--user", "u1", "--version", "B"], lambda r: r["user"] == "u1" and r["version"] == "B"),
        (["--from", str(since), "--to", str(until)], lambda r: since <= r["decision_time"] < until),
        (["--until-position", str(row["position"])], lambda r: r["position"] < row["position"]),
    ):
        expected = [r for r in rows if wanted(r)]
        assert export(server, *options) == expected and (expected or "--from" in options), options
    tail = server.run("samples", "tail", "-n", "20", "-o", "json", "--version", "B").stdout.splitlines()
    newest = sorted(
        (r for r in rows if r["version"] == "B"), key=lambda r: (r["decision_time"], r["shard"], r["sequence"])
    )
    assert [json.loads(line) for line in tail] == newest[-20:]
    assert server.run("samples", "export", "--version", "C", code=5).stderr.startswith("tidemill: version: no version")
    assert "expected a time" in server.run("samples", "export", "--from", "soon", code=2).stderr


def test_follow_shows_every_sample_once(make_server, tmp_path):
    server = make_server(kept(harness.config(commit="50ms"))).start()
    events = event_files.generate(9, requests=300)
    half = len(events) // 2
    server.ingest(event_files.write(tmp_path / "1.jsonl", events[:half]), options=())
    server.drain()
    follow = server.spawn("samples", "tail", "-n", "0", "--follow", "-o", "json")
    reader, got = None, []
    try:
        time.sleep(0.5)
        before = {(r["shard"], r["sequence"]) for r in export(server)}
        reader = threading.Thread(target=lambda: got.extend(json.loads(line) for line in follow.stdout))
        reader.start()
        server.ingest(event_files.write(tmp_path / "2.jsonl", events[half:]))
        server.drain()
        rows = export(server)
        harness.wait_until("all samples have come", lambda: len(got) >= len(rows) - len(before))
    finally:
        follow.terminate()
        follow.wait(10)
        if reader:
            reader.join(10)
    key = lambda r: (r["shard"], r["sequence"])  # noqa: E731
    assert len(before) > 10
    assert sorted(got, key=key) == [r for r in rows if key(r) not in before]
    assert follow.stderr.read() == ""


# ---- retention ----

STEP = 500


def send(server, first, count, step=1000):
    """Impressions one second apart, all decided. Returns the time of the last."""
    events = [
        {"stream": "impressions", "request": f"r{n}", "doc": f"d{n % 50}", "version": "A", "time": event_files.T0 + n * step}
        for n in range(first, first + count)
    ]
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open("retain")
        for at in range(0, count, 500):
            call.batch(call.sequence + 1, events[at : at + 500])
            call.watermarks(events[min(at + 500, count) - 1]["time"])
        call.watermarks(events[-1]["time"] + event_files.WINDOW + 1)
        call.close()
    server.drain()
    return events[-1]["time"]


def test_what_is_older_goes(make_server):
    server = make_server(kept(harness.config(commit="50ms"), retain="1h")).start()
    for at in range(0, 10_000, STEP):  # a commit does not reach over more
        newest = send(server, at, STEP)
    hour = 3_600_000
    rows = export(server)
    assert {r["request"] for r in rows} >= {f"r{n}" for n in range(10_000 - 3600 + 60, 10_000)}
    assert min(r["decision_time"] for r in rows) >= newest - hour - 2 * hour // 64 - 2 * 1000 * STEP
    server.kill9()
    server.configure(kept(harness.config(commit="50ms"), retain="10m"))
    server.start()
    for at in range(10_000, 13_000, STEP):
        newest = send(server, at, STEP)
    assert min(r["decision_time"] for r in export(server)) >= newest - 600_000 - 2 * 1000 * STEP
    server.kill9()
    server.configure(harness.config(commit="50ms"))  # not at all any more
    server.start()
    p = server.run("samples", "export", code=6)
    assert "samples.retain is 0s" in p.stderr
    server.run("samples", "tail", code=6)
    send(server, 13_000, STEP)
    assert server.version("A")["new_samples"]["learned"] == 13_000 + STEP


def test_a_reader_that_is_too_slow_is_told_what_it_has_missed(make_server):
    """It stops reading, retention goes on, and commits do, too."""
    server = make_server(kept(harness.config(commit="50ms", shards=1), retain="1m")).start()
    send(server, 0, 100)
    with server.channel() as channel:
        request = samples_pb2.TailSamplesRequest(last=1, follow=True)
        stream = admin_pb2_grpc.AdminStub(channel).TailSamples(request)
        seen = list(next(stream).sequence)
        send(server, 100, 40_000)
        expected, lost = seen[-1] + 1, 0
        for batch in stream:
            lost += batch.lost
            expected += batch.lost
            for sequence in batch.sequence:
                assert sequence == expected
                expected += 1
            if expected > 40_100:
                break
        assert expected == 40_101 and lost > 0
        stream.cancel()


def test_a_stalled_export_holds_up_nobody(make_server):
    server = make_server(kept(harness.config(commit="50ms", shards=2))).start()
    send(server, 0, 60_000, step=10)
    with server.channel() as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        stalled = [stub.ExportSamples(samples_pb2.ExportSamplesRequest()) for _ in range(3)]
        heads = [next(s) for s in stalled]
        committed = server.settled_status()["position"]
        send(server, 60_000, 1000)
        assert server.settled_status()["position"] > committed
        assert len(export(server)) == 61_000
        for head, s in zip(heads, stalled):  # what was there when they began, and nothing that came later
            assert len(head.sequence) + sum(len(b.sequence) for b in s) == 60_000


def test_too_many_readers_are_refused(make_server):
    server = make_server(kept(harness.config())).start()
    with server.channel() as channel:
        stub = admin_pb2_grpc.AdminStub(channel)
        follow = [stub.TailSamples(samples_pb2.TailSamplesRequest(follow=True)) for _ in range(32)]
        for s in follow:
            assert next(s).generation
        with pytest.raises(grpc.RpcError) as refused:
            next(stub.TailSamples(samples_pb2.TailSamplesRequest()))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        follow[0].cancel()
        harness.wait_until("there is room again", lambda: server.run("samples", "tail").returncode == 0)
        for s in follow:
            s.cancel()
    assert server.term() == 0
