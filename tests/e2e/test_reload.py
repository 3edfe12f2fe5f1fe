"""A configuration that is read again while the server runs: what it changes, from when on; and whole or not at all."""

import signal

import harness
from test_epochs import T0, send

CONFIG = """
shards: 4
threads: 2
commit: { interval: 100ms }
samples: { retain: 24h }
join: { window: 10s, allowed_lateness: 60s }
users: { block: FOLDER/blocked.txt }
streams:
  - { name: impressions, kind: impression }
  - { name: clicks, kind: action }
labels: [{ name: click, stream: clicks }]
sample_filters: [{ name: fast, label: click, by: delay, min: 0.1 }]
versions: [{ name: A, model: beta, prior: [1, 1] }]
"""
RULES = """
filters: [{ name: seen, stream: impressions, field: position, max: 5 }]
sampling: [{ name: some, keep: 0.25, to_position: 3 }]
"""


def again(server, config):
    """Have the configuration read; returns the line that tells how that went."""
    lines = server.stderr().count("event=reload")
    server.configure(config)
    server.process.send_signal(signal.SIGHUP)
    harness.wait_until("it was read", lambda: server.stderr().count("event=reload") > lines)
    return [line for line in server.stderr().splitlines() if "event=reload" in line][-1]


def show(server, numbers):
    """Impressions without a click, at the places 0 to 7; all are decided."""
    events = [
        {"stream": "impressions", "request": f"r{n}", "doc": "d", "version": "A", "time": T0 + n, "position": n % 8}
        for n in numbers
    ]
    send(server, events)


def fates(server):
    send(server, [], ends=("impressions", "clicks"), at=100_000)
    status = server.settled_status()
    harness.assert_balanced(status)
    new = next(v for v in status["versions"] if v["name"] == "A")["new_samples"]
    filtered = next(s for s in status["streams"] if s["name"] == "impressions")["filtered"]
    return new["samples"], new["skipped_sampling"], filtered, status["window_ms"]


def test_rules_change_for_what_comes_and_all_of_a_file_or_nothing(make_server, tmp_path):
    config = CONFIG.replace("FOLDER", str(tmp_path))
    blocked = tmp_path / "blocked.txt"
    blocked.write_text("bad\n")
    server = make_server(config).start()
    show(server, range(400))
    blocked.write_bytes(b"\xff\n")
    wider = config.replace("window: 10s", "window: 20s")
    assert "blocked.txt:1: no user id" in again(server, wider + RULES)
    blocked.write_text("other\n")
    filters = "sample_filters are others than in the data directory"
    assert filters in again(server, wider.replace("min: 0.1", "min: 0.2") + RULES)
    show(server, range(400, 800))  # as before: of neither file anything holds
    assert server.status()["window_ms"] == 10_000
    assert "users_blocked=1" in again(server, wider + RULES)
    show(server, range(800, 1600))  # of these a quarter is beyond place 5, and half are thinned
    samples, left_out, filtered, window = fates(server)
    assert (samples, filtered, window) == (1400, 200, 20_000)
    assert 250 < left_out < 350  # of 400
    kept = server.run("samples", "export", "--quiet").stdout.splitlines()
    assert len(kept) == samples - left_out and sum('"keep_probability":0.25' in line for line in kept) == 400 - left_out
