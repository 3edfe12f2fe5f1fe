"""Filters and negative sampling by configuration: what is dropped, mended and left out, and what the model makes of it."""

import harness

T0 = 1_700_000_000_000
PER_DOC, DOCS = 600, 10


def config(rules=""):
    return f"""
shards: 4
threads: 2
commit: {{ interval: 100ms }}
join: {{ window: 10s, allowed_lateness: 60s }}
streams:
  - {{ name: impressions, kind: impression }}
  - {{ name: clicks, kind: action, before: 5s }}
versions: [{{ name: A, model: beta, prior: [1, 1] }}]
{rules}
"""


def impression(n, **fields):
    event = {"stream": "impressions", "request": f"r{n}", "doc": f"d{n % DOCS}", "version": "A", "time": T0 + n}
    return {**event, **fields}


def click(n, **fields):
    return {"stream": "clicks", "request": f"r{n}", "doc": f"d{n % DOCS}", "time": T0 + n + 1000, **fields}


def send(server, events, instance="1"):
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open(instance=instance, streams=["impressions", "clicks"])
        for i in range(0, len(events), 1000):
            call.batch(i // 1000 + 1, events[i : i + 1000])
        call.end()
    return server.settled_status()


def test_what_rules_exclude_is_filtered_and_kept(tmp_path):
    rules = """
filters:
  - { name: seen,  stream: impressions, field: position, max: 50 }
  - { name: dwell, stream: clicks, field: value, min: 3 }
  - { name: heavy, stream: impressions, field: weight, do: clamp, max: 2 }
"""
    server = harness.Server(tmp_path, config(rules)).start()
    try:
        events = [impression(n, position=n, weight=9) for n in range(100)]
        events += [click(n, value=float(n % 10)) for n in range(50)]  # 3 of 10 are too short
        events += [click(0, time=T0 - 10_000, value=9.0, event="early")]  # before its impression
        status = send(server, events)
        harness.assert_balanced(status)
        streams = {s["name"]: s for s in status["streams"]}
        assert streams["impressions"]["filtered"] == 49 and streams["impressions"]["matched"] == 51
        assert streams["clicks"]["filtered"] == 15 + 1, streams["clicks"]
        assert streams["clicks"]["matched"] == 35, streams["clicks"]
        assert "precedes" in server.run("deadletters", "list", "--reason", "precedes").stdout
        rows = server.export("A").values()
        assert sum(float(r["alpha"]) - 1 for r in rows) == 2 * 35  # weight 9 counts as 2
        assert sum(float(r["beta"]) - 1 for r in rows) == 2 * (51 - 35)
    finally:
        server.close()


def test_no_rule_keeps_a_withdrawal_from_its_action(tmp_path):
    """A withdrawal brings no value of its own: `default`, then `drop`, would exclude it and leave the action counted."""
    rules = """
filters:
  - { name: mute,  stream: clicks, field: value, do: default, to: 0 }
  - { name: dwell, stream: clicks, field: value, min: 3 }
"""
    server = harness.Server(tmp_path, config(rules)).start()
    try:
        events = [impression(n) for n in range(20)]
        events += [click(n, value=5.0, event=f"c{n}") for n in range(10)]
        events += [click(n, time=T0 + 3000 + 20_000 * (n % 2), event=f"c{n}", withdraw=True) for n in range(10)]
        status = send(server, events)
        harness.assert_balanced(status)
        assert [(s["filtered"], s["matched"]) for s in status["streams"] if s["name"] == "clicks"] == [(0, 20)]
        assert sum(p for p, _ in server.counts("A").values()) == 0
    finally:
        server.close()


def test_filters_of_samples_follow_their_labels(tmp_path):
    """A click with a short stay is none, one that is too fast excludes its sample; what comes later moves both."""
    labels = """
labels:
  - { name: click, stream: clicks }
  - { name: stay, stream: stays, aggregate: sum }
sample_filters:
  - { name: robots, label: click, by: delay, min: 0.1 }
  - { name: short, label: stay, min: 2, do: zero, zero: click }
samples: { retain: 1h }
"""
    server = harness.Server(tmp_path, config(labels).replace("versions", "  - { name: stays, kind: action }\nversions", 1))
    server.start()
    try:
        events = [impression(n) for n in range(40)]
        events += [click(n, event=f"c{n}") for n in range(30)]
        events += [click(n, time=T0 + n + 50, event=f"fast{n}") for n in range(5)]  # excluded: 5
        events += [click(n, stream="stays", value=1.5) for n in range(10, 20)]  # short: 10
        events += [click(5, time=T0 + 5 + 20, event="late")]  # in time, too
        events += [click(30, time=T0 + 30, event="only")]  # its only action, and too fast
        later = [click(n, stream="stays", time=T0 + 20_000, value=1.0) for n in range(10, 14)]  # stays 2.5 in all: 4
        later += [click(0, time=T0 + 20_000, event="fast0", withdraw=True)]  # not excluded any more
        later += [click(20, time=T0 + 20 + 10, event="behind")]  # late, and too fast: excluded after it was learned
        streams = ["impressions", "clicks", "stays"]
        with server.channel() as channel:
            call = harness.Call(channel)
            call.open(instance="1", streams=streams)
            call.batch(1, events)
            call.watermarks(T0 + 15_000, streams)
            harness.wait_until("all is decided", lambda: server.version("A")["new_samples"]["samples"] == 40)
            call.batch(3, later)
            call.end()
        status = server.settled_status()
        harness.assert_balanced(status)
        version = status["versions"][0]
        assert version["new_samples"]["skipped_filtered"] == 7
        assert (version["corrections"]["samples"], version["corrections"]["learned"]) == (6, 6)
        positives, negatives = (sum(c[i] for c in server.counts("A").values()) for i in (0, 1))
        assert positives == 30 - 5 - 1 - (10 - 4)  # 1-5 and 20 are excluded, six stay short
        assert negatives == 40 - 30 - 1 + 6  # 30 is excluded
        assert "sample filters" in server.run("version", "show", "A").stdout
        kept = server.run("samples", "tail", "-n", "100", "-o", "json").stdout
        assert kept.count('"reward":null') >= 7, kept
        digests = server.digests()
        server.kill9()
        server.start()
        assert server.digests() == digests
        server.term()
        server.configure(server.config_file.read_text().replace("min: 2", "min: 3"))
        assert not server.launch().wait_ready()
        assert "sample_filters are others than in the data directory" in server.stderr()
    finally:
        server.close()


def test_sampling_leaves_rates_as_they_are(tmp_path):
    """A quarter of the negatives is learned, four times each; positives and those that come late count once."""
    impressions = [impression(n) for n in range(PER_DOC * DOCS)]
    clicks = [click(n) for n in range(0, len(impressions), 7)]
    late = [click(n, time=T0 + n + 30_000) for n in range(1, len(impressions), 7)]
    server = harness.Server(tmp_path, config("sampling: [{ name: some, keep: 0.25 }]")).start()
    try:
        status = send(server, impressions + clicks + late)
        harness.assert_balanced(status)
        version = status["versions"][0]
        left_out = version["new_samples"]["skipped_sampling"]
        learned = version["new_samples"]["learned"]
        assert 0.72 < left_out / (len(impressions) - len(clicks)) < 0.78
        rows = server.export("A").values()
        positives = sum(float(r["alpha"]) - 1 for r in rows)
        negatives = sum(float(r["beta"]) - 1 for r in rows)
        assert positives == len(clicks) + len(late)  # also those that were left out at first
        truth = len(impressions) - positives
        assert abs(negatives / truth - 1) < 0.1
        assert negatives % 4 == 0
        digests = server.digests()
        server.kill9()
        server.start()
        assert server.digests() == digests
        # Another rate holds for what comes from now on.
        server.term()
        server.configure(config())
        server.start()
        more = send(server, [impression(n, request=f"x{n}", time=T0 + 100_000 + n) for n in range(500)], "2")
        assert more["versions"][0]["new_samples"]["skipped_sampling"] == left_out
        assert more["versions"][0]["new_samples"]["learned"] == learned + 500
    finally:
        server.close()
