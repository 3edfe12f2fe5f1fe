"""Labels, rewards and withdrawals through the whole server: what people send, and what the parameters become."""

import json
import re
import subprocess

import pytest

import harness
from test_producers import T0

CONFIG = """
shards: 4
threads: 2
commit: { interval: 100ms }
join: { key: [request, doc], window: 10s, allowed_lateness: 60s }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
  - { name: orders, kind: action }
labels:
  - { name: click, stream: clicks }
  - { name: spend, stream: orders, aggregate: sum, cap: 100 }
  - { name: buyer, stream: orders, aggregate: count, threshold: 2 }
versions:
  - { name: A, model: beta, prior: [1, 1], reward: click }
  - { name: money, model: beta, prior: [1, 1], reward: "spend / 100", samples_from: [A] }
  - { name: mixed, model: beta, prior: [1, 1], reward: "0.5*click + buyer - 0.25", samples_from: [A] }
  - { name: ratio, model: beta, prior: [1, 1], reward: "click / (spend > 0)", samples_from: [A] }
"""


def impression(n, **fields):
    return {"stream": "impressions", "request": f"r{n}", "doc": "d", "version": "A", "time": T0 + n, **fields}


def action(stream, n, delay, **fields):
    return {"stream": stream, "request": f"r{n}", "doc": "d", "time": T0 + n + delay, **fields}


def send(server, sequence, events, time_ms=None):
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open("labels")
        ack = call.batch(call.sequence + 1, events)
        if time_ms:
            call.watermarks(time_ms, ("impressions", "clicks", "orders"))
        call.close()
    server.drain()
    return ack


def learned(server, version):
    """Successes and failures of the one document, without the prior."""
    alpha, beta = server.pull(version, ["d"]).values
    return pytest.approx((alpha - 1, beta - 1), abs=1e-12)


def test_a_story_of_orders(make_server):
    server = make_server(CONFIG).start()
    shown = [impression(n) for n in range(3)]
    first = [action("clicks", 0, 100), action("orders", 0, 200, event="o1", value=40)]
    send(server, 1, shown + first, T0 + 20_000)
    assert (1, 2) == learned(server, "A")
    assert (0.4, 2.6) == learned(server, "money")
    assert (0.25, 2.75) == learned(server, "mixed")  # those without a click would be below 0
    assert (1, 0) == learned(server, "ratio")  # the others have no reward
    assert server.version("mixed")["new_samples"]["clamped"] == 2
    counts = server.version("ratio")["new_samples"]
    assert (counts["learned"], counts["skipped"], counts["skipped_reward"]) == (1, 2, 2)
    letters = server.run("deadletters", "list", "--reason", "no_reward").stdout
    assert re.search(r"impressions +no_reward +2 +2\n", letters)  # what was cut is learned, and leaves none

    send(server, 2, [action("orders", 1, 15_000, event="o2", value=80)])
    assert (1.2, 1.8) == learned(server, "money")
    assert (1, 1) == learned(server, "ratio")
    assert (1, 2) == learned(server, "A")

    send(server, 3, [action("orders", 0, 30_000, event="o3", value=70)])
    assert (1.8, 1.2) == learned(server, "money")  # the cap
    assert (1, 2) == learned(server, "mixed")  # two orders, and cut to 1
    server.kill9()
    server.start()

    lines = server.folder / "withdrawn.jsonl"
    lines.write_text(json.dumps(action("orders", 0, 40_000, event="o1", withdraw=True)) + "\n")
    server.ingest(lines, options=())
    server.drain()
    assert (1.5, 1.5) == learned(server, "money")
    assert (0.25, 2.75) == learned(server, "mixed")

    rest = [action("orders", 0, 40_000, event="o3"), action("orders", 1, 40_000, event="o2")]
    again = action("orders", 1, 41_000, event="o2", withdraw=True)
    send(server, 4, [{**e, "withdraw": True} for e in rest] + [again])
    assert (0, 3) == learned(server, "money")
    assert (0, 0) == learned(server, "ratio")
    assert (1, 2) == learned(server, "A")
    status = server.settled_status()
    harness.assert_balanced(status)
    orders = next(s for s in status["streams"] if s["name"] == "orders")
    assert (orders["matched"], orders["duplicate"]) == (6, 1)


def test_what_is_refused(make_server):
    server = make_server(CONFIG).start()
    ack = send(
        server,
        1,
        [action("clicks", 1, 5, withdraw=True), impression(1, event="i", withdraw=True), impression(2)],
    )
    assert [(r.index, r.field) for r in ack.rejected] == [(0, "withdraw"), (1, "withdraw")]
    assert "only actions can be taken back" in ack.rejected[1].message
    create = ("version", "create", "new", "--model", "beta", "--reward")
    p = server.run(*create, "click + sped", code=2)
    assert "reward: column 9: sped is no label; expected one of: click, spend, buyer" in p.stderr
    server.run(*create, "max(click, buyer)")
    assert server.version("new")["reward"] == "max(click, buyer)"
    assert "max(click, buyer)" in server.run("version", "show", "new").stdout
    server.run(*create, "max(click, buyer)", code=6)  # it is there already


def test_a_label_that_changed_is_refused_at_the_start(make_server):
    server = make_server(CONFIG).start()
    assert server.term() == 0
    server.configure(CONFIG.replace("cap: 100", "cap: 200"))
    server.launch()
    assert not server.wait_ready()
    assert "labels.spend has another cap or threshold than in the data directory" in server.stderr()
    server.configure(CONFIG.replace("spend / 100", "spend / 50"))
    server.launch()
    assert not server.wait_ready()
    assert "version money differs" in server.stderr()
    server.configure(CONFIG)
    server.start()


def test_the_check_warns_of_rewards_that_are_cut(make_server):
    server = make_server(CONFIG)
    p = subprocess.run(
        [str(harness.BINARY), "config", "check", str(server.config_file)], capture_output=True, text=True, timeout=60
    )
    assert p.returncode == 0
    assert "warning: versions[2].reward: 0.5*click + buyer - 0.25 can be from -0.25 to 1.25" in p.stderr
