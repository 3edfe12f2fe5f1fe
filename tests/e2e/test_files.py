"""Event files through the command line: what comes out is what one naive pass over the file counts."""

import time

import pytest

import event_files
import harness
import reference

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
