"""Validation: what `version show` tells of predictions, against the definitions in plain Python, over kill -9."""

import json
import math
import random
import time
import urllib.request

import pytest

import harness
from regression import Linear
from test_producers import T0

CONFIG = """
shards: 4
threads: 2
commit: { interval: 100ms }
join: { key: [request, doc], window: 10s, allowed_lateness: 4h }
streams:
  - { name: impressions, kind: impression, out_of_orderness: 5s }
  - { name: clicks, kind: action, out_of_orderness: 5s }
labels:
  - { name: click, stream: clicks, aggregate: exists }
versions:
  - { name: A, model: beta, prior: [1, 3], validate: on }
  - { name: shadow, model: beta, prior: [2, 2], samples_from: [A], validate: on }
  - { name: plain, model: beta, samples_from: [A] }
"""
REQUESTS, DOCS, ITEMS = 60, 9, 4
WINDOW_MS, STEP_MS = 10_000, 70_000


def make_log(seed):
    """Impressions, of which half say the score that was served; clicks, of which some come after their window. Requests
    are far apart, so that the order of decisions is that of the impressions' times."""
    rng = random.Random(seed)
    impressions, clicks = [], []
    for n in range(REQUESTS):
        for k, doc in enumerate(rng.sample(range(DOCS), ITEMS)):
            shown = T0 + n * STEP_MS + k
            key = {"request": f"r{n}", "doc": f"d{doc}"}
            score = {"score": rng.randrange(1, 1000) / 1000} if rng.random() < 0.5 else {}
            impressions.append({"stream": "impressions", **key, "version": "A", "time": shown, **score})
            if rng.random() < (doc + 1) / (DOCS + 4):
                clicked = shown + (rng.randrange(1, 9_000) if rng.random() < 0.6 else 15_000)
                clicks.append({"stream": "clicks", **key, "time": clicked, "event": f"c{n}-{k}"})
    return impressions, clicks


def predictions(impressions, clicks, prior):
    """[(time, request, prequential, served, clicked in the end)]: a late click corrects before the next request."""
    clicked = {(c["request"], c["doc"]): c["time"] for c in clicks}
    belief = {}
    judged, late = [], []
    for e in impressions:
        key = (e["request"], e["doc"])
        while late and late[0][0] != e["request"]:  # what was clicked late of the requests before
            _, doc = late.pop(0)
            belief[doc] = (belief[doc][0] + 1, belief[doc][1] - 1)
        a, b = belief.get(e["doc"], prior)
        at = clicked.get(key)
        judged.append((e["time"], e["request"], a / (a + b), e.get("score"), at is not None))
        in_time = at is not None and at <= e["time"] + WINDOW_MS
        belief[e["doc"]] = (a + in_time, b + (not in_time))
        if at is not None and not in_time:
            late.append((e["request"], e["doc"]))
    return judged


def auc(scored):
    pairs = [(p > q) + (p == q) / 2 for p, y in scored if y for q, z in scored if not z]
    return sum(pairs) / len(pairs) if pairs else None


def grouped_auc(rows):
    groups = {}
    for request, p, y in rows:
        groups.setdefault(request, []).append((p, y))
    both = [(auc(g), len(g)) for g in groups.values() if auc(g) is not None]
    return sum(a * n for a, n in both) / sum(n for _, n in both)


def expect(shown, judged, kind, panes_ms, panes):
    newest = max(j[0] for j in judged) // panes_ms
    rows = [
        (request, prequential if kind == "prequential" else served, y)
        for at, request, prequential, served, y in judged
        if newest - at // panes_ms < panes and (kind == "prequential" or served is not None)
    ]
    losses = [-math.log(p if y else 1 - p) for _, p, y in rows]
    base = sum(y for _, _, y in rows) / len(rows)
    assert shown["samples"] == len(rows)
    assert shown["positives"] == sum(y for _, _, y in rows)
    assert shown["base_rate"] == pytest.approx(base, abs=1e-6)
    assert shown["log_loss"] == pytest.approx(sum(losses) / len(rows), abs=1e-6)
    entropy = -base * math.log(base) - (1 - base) * math.log(1 - base)
    assert shown["normalised_entropy"] == pytest.approx(sum(losses) / len(rows) / entropy, abs=1e-5)
    assert abs(shown["auc"] - auc([(p, y) for _, p, y in rows])) <= shown["auc_error"] + 1e-9
    if shown["requests_share"] == 1:
        assert shown["grouped_auc"] == pytest.approx(grouped_auc(rows), abs=1e-6)
    assert shown["calibration"] == pytest.approx(sum(p for _, p, _ in rows) / sum(y for _, _, y in rows), abs=1e-5)
    assert sum(b["weight"] for b in shown["bins"]) == pytest.approx(len(rows))


def show(server, name):
    return json.loads(server.run("version", "show", name, "-o", "json").stdout)


def windows(server, name):
    return {(v["kind"], v["window_ms"]): v for v in show(server, name).get("validations", [])}


def send(server, folder, impressions, clicks, options=()):
    for name, events in (("impressions", impressions), ("clicks", clicks)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    return server.ingest(folder / "impressions.jsonl", folder / "clicks.jsonl", options=("--end", *options))


def test_equals_the_definitions(make_server, tmp_path):
    server = make_server(CONFIG).start()
    impressions, clicks = make_log(3)
    assert any(c["time"] % STEP_MS > WINDOW_MS for c in clicks)  # corrections
    send(server, tmp_path, impressions, clicks)
    for crashed in (False, True):
        if crashed:
            server.kill9()
            server.start()
        harness.assert_balanced(server.settled_status())
        for name, prior in (("A", (1, 3)), ("shadow", (2, 2))):
            judged = predictions(impressions, clicks, prior)
            got = windows(server, name)
            kinds = ("prequential", "served") if name == "A" else ("prequential",)  # A's scores are not the shadow's
            assert set(got) == {(k, w) for k in kinds for w in (3_600_000, 86_400_000)}
            for kind in kinds:
                expect(got[kind, 3_600_000], judged, kind, 300_000, 12)
                expect(got[kind, 86_400_000], judged, kind, 3_600_000, 24)
            assert show(server, name)["version"]["unjudged_corrections"] == 0
    assert show(server, "plain").get("validations", []) == []


def test_paused_is_judged_when_it_learns(make_server, tmp_path):
    server = make_server(CONFIG).start()
    server.run("version", "pause", "A")
    impressions, clicks = make_log(4)
    send(server, tmp_path, impressions, clicks)
    assert windows(server, "A") == {} and windows(server, "shadow") != {}
    server.run("version", "resume", "A", "--apply")
    harness.wait_until("A has caught up", lambda: server.version("A")["new_samples"]["held"] == 0)
    server.settled_status()
    judged = predictions(impressions, clicks, (1, 3))
    for kind in ("prequential", "served"):
        expect(windows(server, "A")[kind, 86_400_000], judged, kind, 3_600_000, 24)


def test_a_score_that_is_no_probability_is_counted(make_server, tmp_path):
    server = make_server(CONFIG).start()
    impressions, clicks = make_log(5)
    scored = [e for e in impressions if "score" in e]
    for e in scored[:7]:
        e["score"] = 1.5
    send(server, tmp_path, impressions, clicks)
    server.settled_status()
    assert show(server, "A")["version"]["unjudged_served"] == 7
    assert windows(server, "A")["served", 86_400_000]["samples"] == len(scored) - 7


def test_metrics_and_table(make_server, tmp_path):
    server = make_server(CONFIG).start()
    assert "no prediction was judged yet" in server.run("version", "show", "A").stdout
    impressions, clicks = make_log(6)
    send(server, tmp_path, impressions, clicks)
    server.settled_status()
    table = server.run("version", "show", "A").stdout
    assert "log-loss" in table and "prequential" in table and "served" in table
    with urllib.request.urlopen(server.http + "/metrics", timeout=30) as reply:
        text = reply.read().decode()
    labels = 'version="A",kind="prequential",window="24h"'
    values = {line.split("{")[0]: float(line.split()[-1]) for line in text.splitlines() if labels in line}
    want = windows(server, "A")["prequential", 86_400_000]
    assert values["tidemill_validation_samples"] == want["samples"]
    assert values["tidemill_validation_log_loss"] == pytest.approx(want["log_loss"])
    assert values["tidemill_validation_auc"] == pytest.approx(want["auc"])
    assert 'tidemill_validation_samples{version="plain"' not in text


def foretold(belief, x):
    """Mean, scale and degrees of freedom of the next reward: Student's t."""
    values, x = belief.values(), [*x, 1.0]
    n, noise, freedom = len(x), values[-1], belief.noise_samples + belief.samples
    rows, at = [], n
    for i in range(n):
        rows.append(values[at : at + i + 1])
        at += i + 1
    variance = sum(rows[max(i, j)][min(i, j)] * x[i] * x[j] for i in range(n) for j in range(n)) + noise
    return sum(m * xi for m, xi in zip(values, x)), math.sqrt(variance * (freedom - 2) / freedom), freedom


def surprise(reward, mean, scale, freedom):
    t = (reward - mean) / scale
    top = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - (freedom + 1) / 2 * math.log1p(t * t / freedom)
    return math.log(scale) + 0.5 * math.log(freedom * math.pi) - top


def test_a_linear_version_is_judged_by_errors_and_widths(make_server, tmp_path):
    """Late clicks replace the loss of what was predicted then, over kill -9."""
    versions = "versions:\n  - { name: A, model: linear, dimension: 1, noise_sd: 0.5, validate: on }\n"
    server = make_server(CONFIG[: CONFIG.index("versions:")] + versions).start()
    impressions, clicks = make_log(7)
    for n, e in enumerate(impressions):
        e["features"] = [(n % 7) / 4 - 0.75]
    when = {(c["request"], c["doc"]): c["time"] - e["time"] for c in clicks for e in impressions
            if (c["request"], c["doc"]) == (e["request"], e["doc"])}
    beliefs, late, rows = {}, [], []
    for e in impressions:
        while late and late[0][0] != e["request"]:
            _, doc, x = late.pop(0)
            beliefs[doc].correct(x)
        belief = beliefs.setdefault(e["doc"], Linear([1.0, 1.0], 0.5))
        delay = when.get((e["request"], e["doc"]))
        rows.append((*foretold(belief, e["features"]), float(delay is not None), e.get("score")))
        belief.learn(e["features"], float(delay is not None and delay <= WINDOW_MS))
        if delay is not None and delay > WINDOW_MS:
            late.append((e["request"], e["doc"], e["features"]))
    send(server, tmp_path, impressions, clicks)
    server.settled_status()
    server.kill9()
    server.start()
    for kind in ("prequential", "served"):
        shown = windows(server, "A")[kind, 86_400_000]
        judged = [(m if kind == "prequential" else s, y) for m, _, _, y, s in rows if kind == "prequential" or s is not None]
        mean = sum(y for _, y in judged) / len(judged)
        error = sum((y - p) ** 2 for p, y in judged) / len(judged)
        assert shown["samples"] == len(judged) and shown["base_rate"] == pytest.approx(mean, abs=1e-6)
        assert shown["mean_squared_error"] == pytest.approx(error, abs=1e-5)
        assert shown["mean_absolute_error"] == pytest.approx(sum(abs(y - p) for p, y in judged) / len(judged), abs=1e-5)
        assert shown["explained_variance"] == pytest.approx(1 - error / (mean * (1 - mean)), abs=1e-4)
        assert "log_loss" not in shown and ("log_density" in shown) == (kind == "prequential")
    shown = windows(server, "A")["prequential", 86_400_000]
    density = sum(surprise(y, m, s, f) for m, s, f, y, _ in rows) / len(rows)
    assert shown["log_density"] == pytest.approx(density, abs=1e-5) and 0.8 < shown["interval_coverage"] <= 1
    assert "explained" in server.run("version", "show", "A").stdout
    with urllib.request.urlopen(server.http + "/metrics", timeout=30) as reply:
        assert 'tidemill_validation_log_density{version="A",kind="prequential",window="24h"}' in reply.read().decode()


def test_what_cannot_be_judged_is_refused(make_server):
    server = make_server(CONFIG).start()
    server.run("version", "create", "B", "--model", "beta", "--samples-from", "A", "--validate")
    assert show(server, "B")["version"]["validate"] is True
    squared = ("--model", "embedding", "--dimension", "2", "--loss", "squared")
    refused = server.run("version", "create", "C", *squared, "--validate", code=2)
    assert "validate: model embedding predicts no probability and no width" in refused.stderr
    refused = server.run("version", "create", "D", "--model", "beta", "--reward", "click / click", "--validate", code=2)
    assert "validate: the reward divides by what can be 0" in refused.stderr
