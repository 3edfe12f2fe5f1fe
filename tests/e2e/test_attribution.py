"""Action streams with a key of their own, through the whole server: orders know the user and the document, not the request."""

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
  - { name: orders, kind: action, key: [user, doc], attribute: RULE, within: 30s }
labels:
  - { name: click, stream: clicks }
  - { name: spend, stream: orders, aggregate: sum }
versions:
  - { name: A, model: beta, prior: [1, 1], reward: "spend / 100" }
  - { name: B, model: beta, prior: [1, 1], reward: "spend / 100" }
"""


def shown(request, version, delay, **fields):
    return {"stream": "impressions", "request": request, "doc": "d", "user": "u", "version": version,
            "time": T0 + delay, **fields}


def order(delay, value, **fields):
    return {"stream": "orders", "doc": "d", "user": "u", "time": T0 + delay, "value": value, **fields}


def send(server, events, time_ms=None):
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open("attribution")
        ack = call.batch(call.sequence + 1, events)
        if time_ms:
            call.watermarks(T0 + time_ms, ("impressions", "clicks", "orders"))
        call.close()
    server.drain()
    return ack


def learned(server):
    """Successes of both versions, without their priors: what was spent, in hundreds."""
    return [pytest.approx(server.pull(version, ["d"]).values[0] - 1, abs=1e-12) for version in ("A", "B")]


@pytest.mark.parametrize("rule, parts", [("last", (0, 0.5)), ("first", (0.5, 0)), ("all", (0.25, 0.25))])
def test_an_order_counts_for_impressions_by_rule(make_server, rule, parts):
    server = make_server(CONFIG.replace("RULE", rule)).start()
    send(server, [shown("r1", "A", 0), shown("r2", "B", 2000), order(5000, 50, event="o1")], 30000)
    assert learned(server) == list(parts)


def test_a_late_impression_moves_the_order_over_a_kill(make_server):
    server = make_server(CONFIG.replace("RULE", "last")).start()
    send(server, [shown("r1", "A", 0), order(5000, 50, event="o1")], 20000)
    assert learned(server)[0] == 0.5
    server.kill9()
    server.start()
    send(server, [shown("r2", "B", 3000)])
    assert learned(server) == [0, 0.5]
    send(server, [order(6000, 50, event="o1", withdraw=True)])
    assert learned(server) == [0, 0]


def test_what_an_order_needs(make_server):
    server = make_server(CONFIG.replace("RULE", "last")).start()
    nobody = order(5000, 50)
    del nobody["user"]
    ack = send(server, [shown("r1", "A", 0), nobody, order(-1, 50)], 10000)
    assert [(r.index, r.field, r.message) for r in ack.rejected] == [
        (1, "user", "user: missing; the key of its stream needs it")]
    assert learned(server)[0] == 0  # it came before the impression


def test_the_rule_belongs_to_the_data_directory(make_server):
    server = make_server(CONFIG.replace("RULE", "last")).start()
    server.term()
    server.configure(CONFIG.replace("RULE", "all"))
    server.launch()
    assert not server.wait_ready()
    assert "streams.orders.attribute is last in the data directory, and all now" in server.stderr()


def test_a_hot_user_starves_nobody(make_server):
    """One user has most of the impressions and orders, of one document, in a shard with little room."""
    server = make_server(CONFIG.replace("RULE", "last") + "memory: { join: 4MiB }\n").start()
    flood, people, events = 4000, 60, []
    for n in range(flood):
        hot = {"user": "hot", "doc": "hot"}
        events += [shown(f"hot{n}", "A", n, **hot), order(n, 100, event=f"hot{n}", **hot)]
        if n < people:
            own = {"user": f"u{n}", "doc": f"d{n % 5}"}
            events += [shown(f"r{n}", "A", n, **own), shown(f"s{n}", "A", n + 1, **own)]
            if n % 3 == 0:
                events.append(order(n + 2, 100, event=f"o{n}", **own))
    send(server, events, 60_000)
    counts = server.counts("A")
    positives, negatives = counts.pop("hot")
    assert positives + negatives == flood and positives <= 16
    want = {f"d{d}": [0, 0] for d in range(5)}
    for n in range(people):
        want[f"d{n % 5}"][0] += n % 3 == 0
        want[f"d{n % 5}"][1] += 2 - (n % 3 == 0)
    assert counts == {doc: tuple(c) for doc, c in want.items()}
    streams = {s["name"]: s for s in server.settled_status()["streams"]}
    assert streams["orders"]["filtered"] == flood - 16 and streams["impressions"]["matched"] == flood + 2 * people
