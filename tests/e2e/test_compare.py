"""Two versions compared from kept samples: the Open Bandit data against the figures that came with it, and by hand."""

import csv
import json
import math

import pytest

import harness

DATA = harness.ROOT / "data" / "obd"
CAMPAIGNS = ("men", "women")
REFERENCE = {"ipw": "ips", "snipw": "snips"}
CONFIG = """
shards: 8
threads: 2
commit: { interval: 200ms }
samples: { retain: 3650d }
join: { key: [request, doc], window: 10s, allowed_lateness: 2h }
streams:
  - { name: impressions, kind: impression, out_of_orderness: 5s }
  - { name: clicks, kind: action, out_of_orderness: 5s }
labels:
  - { name: click, stream: clicks, aggregate: exists }
versions:
  - { name: random, model: beta }
  - { name: bts, model: beta }
  - { name: other, model: beta, reward: 2 * click }
"""


def write_lines(path, events):
    path.write_text("".join(json.dumps(e) + "\n" for e in sorted(events, key=lambda e: e["time"])))
    return path


def read_campaign(folder, campaign):
    """The log has no click times: every other click comes at once, the others after the window, as corrections."""
    impressions, clicks = [], []
    for policy in ("random", "bts"):
        with open(DATA / f"{policy}-{campaign}.csv", newline="") as f:
            for row in csv.DictReader(f):
                key = {"request": f"{policy}-{row['row']}", "doc": row["item_id"]}
                shown = int(row["ts_us"]) // 1000
                event = {"stream": "impressions", **key, "version": policy, "time": shown}
                event.update(propensity=float(row["propensity_score"]), position=int(row["position"]))
                impressions.append(event)
                if row["click"] == "1":
                    delay = 1_000 if len(clicks) % 2 else 3_600_000
                    clicks.append({"stream": "clicks", **key, "time": shown + delay, "event": key["request"]})
    return [write_lines(folder / f"{campaign}-{n}.jsonl", e) for n, e in (("shown", impressions), ("clicks", clicks))]


def compare(server, a, b, *options):
    """The reply, and what was said beside it."""
    p = server.run("version", "compare", a, b, "-o", "json", *options)
    reply = json.loads(p.stdout)
    estimates = {(e["version"], e["log"]): e for e in reply["estimates"]}
    assert all(w in p.stderr for w in reply["warnings"])
    return reply, estimates


@pytest.fixture(scope="module", params=CAMPAIGNS)
def campaign(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    s = harness.Server(folder / "server", CONFIG).start()
    s.ingest(*read_campaign(folder, request.param))
    s.drain()
    yield s, json.loads((DATA / "reference" / "ope.json").read_text())[request.param], request.param
    s.close()


def assert_is_reference(estimate, wanted):
    for theirs, ours in REFERENCE.items():
        got = estimate[ours]
        assert got["value"] == pytest.approx(wanted[theirs], rel=1e-6)
        assert got["error"] == pytest.approx(wanted[theirs + "_se"], rel=1e-6)
        assert [got["lower"], got["upper"]] == pytest.approx(wanted[theirs + "_ci95"], rel=1e-4)
        assert got["any_time_lower"] < got["lower"] < got["value"] < got["upper"] < got["any_time_upper"]
    assert estimate["mean_weight"]["value"] == pytest.approx(wanted["mean_weight"], rel=1e-6)
    assert estimate["max_weight"] == pytest.approx(wanted["max_weight"], rel=1e-6)
    assert estimate["effective_samples"] == pytest.approx(wanted["ess"], rel=1e-6)


def test_open_bandit_data_is_what_its_reference_says_over_a_kill(campaign):
    server, reference, name = campaign
    for attempt in range(2):
        reply, estimates = compare(server, "random", "bts")
        assert [v["samples"] for v in reply["versions"]] == [10_000, 10_000]
        assert [v["mean"]["value"] for v in reply["versions"]] == [reference[p]["ctr"] for p in ("random", "bts")]
        assert [v["described_by"] for v in reply["versions"]] == ["propensity", "frequency"]
        assert_is_reference(estimates["bts", "random"], reference["bts_value_from_random_log"])
        assert_is_reference(estimates["random", "bts"], reference["random_value_from_bts_log"])
        if name == "women":  # the random policy shows what bts hardly ever showed
            assert any("random from the log of bts" in w and "2.08 samples" in w for w in reply["warnings"])
        else:
            assert not any("effective size" in w for w in reply["warnings"])
        assert not any("bts from the log of random" in w for w in reply["warnings"])
        if attempt:
            assert reply == before
        before = reply
        server.kill9()
        server.start()


def test_people_see_the_figures_and_the_warning(campaign):
    server, reference, name = campaign
    p = server.run("version", "compare", "random", "bts")
    assert f"{reference['bts_value_from_random_log']['snipw']:.6g}" in p.stdout
    assert f"{reference['random_value_from_bts_log']['ess']:.6g}" in p.stdout
    assert ("do not rely on it" in p.stderr) == (name == "women")


def test_time_reward_and_what_cannot_be_compared(campaign):
    server, _, _ = campaign
    whole, _ = compare(server, "random", "bts", "--reward", "1 - 3 * click")
    clicks = [1e4 * v["mean"]["value"] for v in compare(server, "random", "bts")[0]["versions"]]
    for v, n in zip(whole["versions"], clicks):
        assert v["mean"]["value"] == pytest.approx(1 - 3e-4 * n)
    middle = "2019-11-27T00:00:00Z"
    parts = [compare(server, "random", "bts", option, middle)[0] for option in ("--from", "--to")]
    for i in range(2):
        assert sum(p["versions"][i]["samples"] for p in parts) == 10_000
        got = sum(p["versions"][i]["samples"] * p["versions"][i]["mean"]["value"] for p in parts)
        assert got == pytest.approx(clicks[i])
    divided, _ = compare(server, "random", "bts", "--reward", "1 / click")
    assert [v["samples"] for v in divided["versions"]] == pytest.approx(clicks)
    assert [v["without_reward"] for v in divided["versions"]] == pytest.approx([1e4 - n for n in clicks])
    for arguments, code, words in (
        (("random", "other"), 2, "different ones"),
        (("random", "bts", "--from", "2030-01-01T00:00:00Z"), 6, "no sample of that time"),
        (("random", "bts", "--candidates", "all"), 2, "together or any"),
        (("random", "random"), 2, "another version"),
        (("random", "bts", "--reward", "clik"), 2, "reward"),
        (("random", "nobody"), 5, "nobody"),
        (("random",), 2, "two versions"),
    ):
        assert words in server.run("version", "compare", *arguments, code=code).stderr


def test_a_version_that_was_never_served_is_ranked_in_the_requests_of_the_log(campaign):
    """It has learned nothing, so it draws as the random policy does, and must be worth as much."""
    server, _, _ = campaign
    reply, estimates = compare(server, "random", "other", "--reward", "click", "--from", "2019-11-30T00:00:00Z")
    random, other = reply["versions"]
    got = estimates["other", "random"]
    assert other["described_by"] == "requests" and "value" not in other["mean"]
    assert (got["candidates"], got["requests"], got["request_share"]) == ("any", random["samples"], 1)
    assert got["mean_weight"]["value"] == pytest.approx(1, abs=0.05)
    for kind in ("ips", "snips", "dr"):
        assert got[kind]["value"] == pytest.approx(random["mean"]["value"], abs=2 * got[kind]["error"])
    assert "no sample of other" in estimates["random", "other"]["refused"]


def test_kept_negatives_stand_for_those_that_were_left_out(make_server, tmp_path):
    server = make_server(CONFIG + "sampling: [{ name: most, keep: 0.3 }]\n").start()
    server.ingest(*read_campaign(tmp_path, "men"))
    server.drain()
    final = {}  # folded here by the ids that samples and corrections share
    for line in server.run("samples", "export", "--quiet").stdout.splitlines():
        s = json.loads(line)
        final[s["id"]] = (s["version"], s["reward"], s["keep_probability"])
    reply, estimates = compare(server, "random", "bts")
    # A negative that was left out and is clicked later comes without the impression's propensity: few, but clicks.
    assert all("of what they earned" in e["refused"] for e in estimates.values())
    for v in reply["versions"]:
        assert 0 < v["without_propensity"] < 50
        mine = [(r, k) for version, r, k in final.values() if version == v["version"]]
        assert 2_800 <= len(mine) == v["samples"] <= 3_300
        assert v["mean"]["value"] == pytest.approx(sum(r / k for r, k in mine) / sum(1 / k for _, k in mine), rel=1e-12)
        assert v["mean"]["value"] == pytest.approx({"random": 46e-4, "bts": 69e-4}[v["version"]], rel=0.05)


# ---- by hand ----


def small(server, folder, rows):
    """rows: (version, doc, position, propensity or None, clicked)"""
    shown, clicks = [], []
    for i, (version, doc, position, propensity, clicked) in enumerate(rows):
        key = {"request": f"r{i}", "doc": doc}
        event = {"stream": "impressions", **key, "version": version, "time": 1_600_000_000_000 + i, "position": position}
        shown.append(event if propensity is None else {**event, "propensity": propensity})
        if clicked:
            clicks.append({"stream": "clicks", **key, "time": event["time"] + 5, "event": f"c{i}"})
    server.ingest(write_lines(folder / "s.jsonl", shown), write_lines(folder / "c.jsonl", clicks))
    server.drain()


def test_doubly_robust_by_hand(make_server, tmp_path):
    server = make_server(CONFIG).start()
    a = [("random", d, 1, 0.5, i < n) for d, n in (("x", 4), ("y", 8)) for i in range(20)]
    b = [("bts", d, 1, p, i == 0) for d, p, n in (("x", 0.25, 10), ("y", 0.75, 30)) for i in range(n)]
    small(server, tmp_path, a + b)
    reply, estimates = compare(server, "random", "bts")
    assert [v["described_by"] for v in reply["versions"]] == ["propensity", "propensity"]
    mean, weight = 12 / 40, {"x": 0.5, "y": 1.5}
    q = {d: (n + 100 * mean) / (20 + 100) for d, n in (("x", 4), ("y", 8))}
    expected = 0.25 * q["x"] + 0.75 * q["y"]
    values = [expected + weight[d] * (clicked - q[d]) for _, d, _, _, clicked in a]
    dr = math.fsum(values) / 40
    error = math.sqrt(math.fsum((v - dr) ** 2 for v in values) / 40 / 39)
    got = estimates["bts", "random"]["dr"]
    assert (got["value"], got["error"]) == pytest.approx((dr, error), rel=1e-12)
    assert reply["difference"]["value"] == pytest.approx(2 / 40 - 12 / 40)


def test_rewards_beyond_what_sums_hold_are_left_out(make_server, tmp_path):
    server = make_server(CONFIG).start()
    small(server, tmp_path, [("random", d, 1, 0.5, i < 5) for d in "xy" for i in range(20)])
    for beyond in ("1.7e308 * click", "1.7e308 * click + 1.7e308 * click"):
        reply, _ = compare(server, "random", "bts", "--reward", beyond)
        assert reply["versions"][0]["without_reward"] == 10 and reply["versions"][0]["mean"]["value"] == 0
        assert any("beyond 1e100" in w for w in reply["warnings"])


def test_samples_without_propensity_are_refused_with_words(make_server, tmp_path):
    server = make_server(CONFIG).start()
    rows = [("random", d, 1, 0.5, False) for d in "xy" for _ in range(20)]
    small(server, tmp_path, rows + [("bts", d, 1, None, True) for d in "xy" for _ in range(20)])
    reply, estimates = compare(server, "random", "bts")
    assert "40 of the 40 samples of bts have no propensity" in estimates["random", "bts"]["refused"]
    assert "ips" not in estimates["random", "bts"] and estimates["bts", "random"]["ips"]["value"] == 0
    assert [v["without_propensity"] for v in reply["versions"]] == [0, 40]


def test_without_kept_samples_it_says_what_to_do(make_server):
    server = make_server(CONFIG.replace("samples: { retain: 3650d }\n", "")).start()
    assert "samples.retain" in server.run("version", "compare", "random", "bts", code=6).stderr
