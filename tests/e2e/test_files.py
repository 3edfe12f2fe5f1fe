"""Event files through the command line: what comes out is what one naive pass over the file counts."""

import re
import subprocess
import time

import pytest

import event_files
import harness
import reference

DAY = 86_400_000  # ms
CLICK = {"stream": "clicks", "request": "x", "doc": "d", "event": "last"}
RATE = 4000  # events a second; a file takes about two seconds


def expected_of(events):
    return reference.join(events, event_files.WINDOW, event_files.WITHIN, harness.SHADOWS)


@pytest.mark.parametrize("seed", range(1, 5))
def test_counts_of_a_file_equal_the_naive_count(server, tmp_path, seed):
    events = event_files.generate(seed)
    expected = expected_of(events)
    server.ingest(event_files.write(tmp_path / "events.jsonl", events))
    status = harness.assert_equals_reference(server, expected)
    assert {s["name"]: s["consumed"] for s in status["streams"]} == expected.consumed
    assert expected.corrections["A"] > 0  # or the file tests little


def test_several_files_are_merged_by_time(server, tmp_path):
    events = event_files.generate(11, requests=500)
    paths = []
    for stream in ("impressions", "clicks"):
        of_stream = sorted((e for e in events if e["stream"] == stream), key=lambda e: e["time"])
        paths.append(event_files.write(tmp_path / f"{stream}.jsonl", of_stream))
    server.ingest(*paths)
    harness.assert_equals_reference(server, expected_of(events))


def long_story():
    """Impressions and clicks of three days, each in the order of time; the last event is a click."""
    events = event_files.generate(15, requests=600, spacing=3 * DAY // 600)
    last = next(e for e in reversed(events) if e["stream"] == "impressions")
    events.append({**CLICK, "request": last["request"], "doc": last["doc"], "time": last["time"] + 5000})
    return [
        sorted((e for e in events if e["stream"] == stream), key=lambda e: e["time"])
        for stream in ("impressions", "clicks")
    ]


def test_impressions_wait_for_the_clicks_of_a_later_ingest(server, tmp_path):
    impressions, clicks = long_story()
    server.ingest(event_files.write(tmp_path / "impressions.jsonl", impressions), options=())
    assert all(v["new_samples"]["samples"] == 0 for v in server.settled_status()["versions"])
    p = server.ingest(event_files.write(tmp_path / "clicks.jsonl", clicks))
    assert "no event of" not in p.stderr
    harness.assert_equals_reference(server, expected_of([*impressions, *clicks]))


def test_a_file_without_any_click_is_decided(server, tmp_path):
    impressions, clicks = long_story()
    p = server.ingest(event_files.write(tmp_path / "impressions.jsonl", impressions))
    assert p.stderr.count('no event of "clicks" was in these files') == 1
    status = harness.assert_equals_reference(server, expected_of(impressions))
    assert sum(s["undecided"] for s in status["shards"]) == 0
    p = server.ingest(event_files.write(tmp_path / "clicks.jsonl", clicks))  # too late by days
    late = server.stream("clicks")["late"]
    assert late > 0 and f"clicks: {late:,} late since this began: " in p.stderr


@pytest.mark.parametrize(
    "text, code, words",
    [
        ("", 0, "0 records"),
        ("{\nnonsense\n", 2, "2 records"),
        ('{"stream":"views","request":"x","doc":"d","time":1700000000000}\n', 2, "0 accepted, 1 rejected, 0 malformed"),
    ],
    ids=["empty", "malformed", "rejected"],
)
def test_an_end_without_any_event_waits_for_nothing(server, tmp_path, text, code, words):
    path = tmp_path / "events.jsonl"
    path.write_text(text)
    started = time.monotonic()
    p = server.ingest(path, code=code)
    assert time.monotonic() - started < 5
    assert words in p.stderr.splitlines()[-1]
    assert not re.search(r"-?\d{17}", p.stderr) and "waiting" not in p.stderr


def test_the_last_line_counts_every_record(server, tmp_path):
    path = event_files.write(tmp_path / "events.jsonl", [{**CLICK, "time": event_files.T0}] * 3)
    with open(path, "a") as f:
        f.write("nonsense\n")
    p = server.ingest(path, options=("--quiet",), code=2)
    assert re.fullmatch(r"4 records in \d+\.\d s: 3 accepted, 0 rejected, 1 malformed", p.stderr.splitlines()[-1])


def test_ingest_outlives_a_killed_server(server, tmp_path):
    events = event_files.generate(21)
    path = event_files.write(tmp_path / "events.jsonl", events)
    ingest = server.spawn("ingest", str(path), "--end", "--rate", str(RATE))
    for _ in range(2):
        time.sleep(0.5)
        server.kill9()
        server.start()
    _, errors = ingest.communicate(timeout=60)
    assert ingest.returncode == 0, errors
    harness.assert_equals_reference(server, expected_of(events))


@pytest.mark.parametrize("again", [False, True], ids=["resumed", "all_of_it_again"])
def test_a_file_sent_again_after_both_were_killed(server, tmp_path, again):
    events = event_files.generate(31)
    path = event_files.write(tmp_path / "events.jsonl", events)
    ingest = server.spawn("ingest", str(path), "--end", "--rate", str(RATE))
    time.sleep(1)
    server.kill9()
    ingest.kill()
    ingest.communicate()
    server.start()
    assert 0 < server.status()["position"] < len(events)
    p = server.ingest(
        path, options=("--end", "--rate", str(4 * RATE if again else RATE), *(("--again",) if again else ()))
    )
    status = harness.assert_equals_reference(server, expected_of(events))
    total = sum(s["consumed"] for s in status["streams"])
    assert total > len(events) if again else total == len(events)
    assert again or "went on behind" in p.stderr


def test_malformed_lines_are_named_and_the_rest_is_taken(server, tmp_path):
    events = event_files.generate(41, requests=100)
    path = event_files.write(tmp_path / "events.jsonl", events)
    impression = '{"stream":"impressions","request":"x","doc":"d","version":"A","time":1700000000000}'
    bad = {
        1: ("{", "expected one JSON object"),
        7: (impression.replace("1700000000000", '"yesterday"'), "time: "),
        8: (impression.replace("time", "tiem"), 'did you mean "time"?'),
        20: (impression.replace('"d"', f'"{"d" * 257}"'), "doc: 257 bytes"),
        30: (impression.replace('"doc":"d",', ""), "doc: missing"),
        40: (impression.replace("impressions", "views"), "expected one of"),
        41: (impression.replace('"A"', '"Z"'), 'version: "Z"; expected one of A, B'),
    }
    lines = path.read_text().splitlines()
    for number in sorted(bad):
        lines.insert(number - 1, bad[number][0])
    path.write_text("\n".join(lines))
    errors = server.ingest(path, code=2).stderr
    for number, (_, expectation) in bad.items():
        named = [line for line in errors.splitlines() if f"{path}:{number}: " in line]
        assert len(named) == 1 and expectation in named[0], errors
    harness.assert_equals_reference(server, expected_of(events))


@pytest.mark.parametrize(
    "address, code, words",
    [
        ("localhost", 2, 'got "localhost"; expected HOST:PORT'),
        ("localhost:0", 2, "expected HOST:PORT"),
        ("127.0.0.1:1", 3, "nothing listens at 127.0.0.1:1: is `tidemill serve` running?"),
    ],
)
def test_a_server_that_is_not_there(address, code, words):
    p = subprocess.run(
        [harness.BINARY, "ingest", "--server", address, "--timeout", "300ms"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert p.returncode == code and words in p.stderr, p.stderr
