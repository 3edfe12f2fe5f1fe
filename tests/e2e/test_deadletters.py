"""Dead letters: what is set aside or refused is kept with reason, stream and place, and survives whatever happens."""

import base64
import json
import struct
import time

import pytest

import harness

T0 = 1_700_000_000_000
SHOWN = T0 + 100_000  # impressions of the stories below
DOCS = (harness.ROOT / "docs" / "operating.md").read_text()
REASONS = {"late", "orphaned", "duplicate", "version_mismatch", "too_many_actions", "malformed", "rejected"}
JOINERS = REASONS - {"malformed", "rejected"}  # malformed: the door lets nothing through that a shard cannot read


def impression(n, time=SHOWN, **fields):
    return {"stream": "impressions", "request": f"r{n}", "doc": f"d{n}", "version": "A", "time": time, **fields}


def click(n, time=SHOWN, **fields):
    return {"stream": "clicks", "request": f"r{n}", "doc": f"d{n}", "time": time, "event": f"c{n}", **fields}


def letters(server, *arguments):
    return json.loads(server.run("deadletters", "list", "-o", "json", *arguments).stdout)


def show(server, name):
    return json.loads(server.run("deadletters", "show", name, "-o", "json").stdout)


def counts(server):
    return {(c.get("stream"), c["reason"]): (c["seen"], c["kept"]) for c in letters(server)["counts"]}


def tell_every_story(call):
    """One event of every reason that a joiner has. Returns stream and reason of each."""
    c = call("teller")
    orphan = click(5, time=SHOWN - 90_000)  # waits for an impression that never comes
    c.batch(1, [orphan, impression(1), impression(2), impression(3), impression(4)])
    c.batch(
        2,
        [
            impression(1, propensity=0.5),  # a second one of its key
            click(2),
            click(2),  # the same event
            click(3, version="B"),  # its impression is of A
            *(click(4, event=f"many{k}") for k in range(17)),  # one more than count
        ],
    )
    c.watermarks(SHOWN + 1)  # impressions before SHOWN - 60 s come too late from here on
    c.batch(4, [impression(6, time=SHOWN - 80_000)])
    c.end()
    return {
        ("impressions", "duplicate"): 1,
        ("clicks", "duplicate"): 1,
        ("clicks", "version_mismatch"): 1,
        ("clicks", "too_many_actions"): 1,
        ("clicks", "orphaned"): 1,
        ("impressions", "late"): 1,
    }


def test_every_reason_is_kept_and_shown(server, call):
    told = tell_every_story(call)
    server.drain()
    listed = letters(server)
    assert {(x["stream"], x["reason"]) for x in listed["letters"]} == set(told)
    assert counts(server) == {kind: (n, n) for kind, n in told.items()}
    assert {reason for _, reason in told} == JOINERS
    positions = [x["position"] for x in listed["letters"]]
    assert positions == sorted(positions, reverse=True) and "next_page" not in listed
    for letter in listed["letters"]:
        assert letter["id"].split("/")[1] == str(letter["position"])
        whole = show(server, letter["id"])
        assert whole["reply"]["meaning"] and whole["reply"]["hint"]
        assert whole["decoded"]["stream"] == letter["stream"] and whole["decoded"]["time"] == letter["time"]
        assert whole["reply"]["letter"]["event_bytes"] == len(whole["reply"]["letter"]["event"])
    late = next(x for x in listed["letters"] if x["reason"] == "late")
    assert show(server, late["id"])["decoded"] == impression(6, time=SHOWN - 80_000)
    fates = {s["name"]: s for s in server.settled_status()["streams"]}
    assert fates["clicks"]["filtered"] == 2 and fates["clicks"]["orphaned"] == 1 and fates["impressions"]["late"] == 1


def test_an_orphan_whose_marks_alone_were_kept_is_shown_from_the_log(server, call):
    tell_every_story(call)
    server.drain()
    (orphan,) = letters(server, "--reason", "orphaned")["letters"]
    assert orphan["time"] == SHOWN - 90_000 and "event" not in orphan
    assert show(server, orphan["id"])["decoded"] == click(5, time=SHOWN - 90_000)


def test_what_the_door_refuses_is_kept_with_its_producer(server, call):
    before = int(time.time() * 1000)
    c = call("shop", instance="7", lane="web")
    bad = [impression(1, version="Z"), impression(2, weight=float("inf")), b"\xff\xff\xff", impression(3, stream="views")]
    ack = c.batch(1, [impression(0), *bad])
    assert len(ack.rejected) == 4
    assert c.batch(1, [impression(0), *bad]).repeated_batch  # adds nothing
    listed = letters(server, "--reason", "rejected")["letters"]
    assert [x["id"] for x in listed] == ["door/3", "door/2", "door/1", "door/0"]
    assert counts(server) == {("impressions", "rejected"): (2, 2), (None, "rejected"): (2, 2)}
    for letter, told in zip(reversed(listed), ack.rejected):
        assert (letter["index"], letter["field"], letter["message"]) == (told.index, told.field, told.message)
        assert (letter["client"], letter["instance"], letter["lane"], letter["batch"]) == ("shop", "7", "web", 1)
        assert letter["position"] == ack.position and before <= letter["refused_at"] <= time.time() * 1000
    assert [x.get("stream") for x in reversed(listed)] == ["impressions", "impressions", None, None]
    assert show(server, "door/0")["decoded"] == impression(1, version="Z")
    text = server.run("deadletters", "show", "door/2").stdout
    assert "shop/7/web" in text and "ff ff ff" in text and "damaged at byte 0" in text
    assert server.stream("impressions")["consumed"] == 1


def test_a_long_event_is_kept_in_part_and_shown_whole(server, call):
    features = struct.pack("<300f", *range(300))
    c = call()
    c.batch(1, [impression(1), impression(1, features=features, payload=b"\x00\x01\x02\x03")])
    c.batch(2, [impression(2, version="Z", features=features)])
    server.drain()
    (twice,) = letters(server, "--reason", "duplicate")["letters"]
    assert len(twice["event"]) == 256 and twice["event_bytes"] > 1200
    whole = show(server, twice["id"])["decoded"]
    assert whole["features"] == list(range(300)) and base64.b64decode(whole["payload"]) == b"\x00\x01\x02\x03"
    refused = show(server, "door/0")
    assert refused["decoded"] == impression(2, version="Z")  # the features were cut off
    assert "the first 256 of" in server.run("deadletters", "show", "door/0").stdout


def test_filters_pages_and_mistakes(server, call):
    tell_every_story(call)
    call("other").batch(1, [click(9, time=0), click(9, version="Z")])
    server.drain()
    everything = letters(server)["letters"]
    assert len(everything) == 8
    for stream in ("impressions", "clicks"):
        for reason in sorted(REASONS):
            want = [x for x in everything if (x.get("stream"), x["reason"]) == (stream, reason)]
            assert letters(server, "--stream", stream, "--reason", reason)["letters"] == want
    since = letters(server, "--since", str(SHOWN), "--until", str(SHOWN))["letters"]
    assert since == [x for x in everything if x.get("time", int(time.time() * 1000)) == SHOWN]
    paged, page = [], []
    for _ in range(10):
        part = letters(server, "--limit", "3", *page)
        paged += part["letters"]
        if "next_page" not in part:
            break
        page = ["--page", part["next_page"]]
    assert paged == everything
    table = server.run("deadletters", "list", "--limit", "3")
    assert table.stdout.count("\n") == 4 + 1 + 1 + len(letters(server)["counts"])
    assert "deadletters show" in table.stderr and "--page" in table.stderr
    wrong = server.run("deadletters", "list", "--reason", "orphans", code=2).stderr
    assert all(reason in wrong and f"| {reason} |" in DOCS for reason in REASONS)
    assert "clicks, impressions" in server.run("deadletters", "list", "--stream", "views", code=2).stderr
    for arguments in (("--limit", "0"), ("--limit", "1001"), ("--page", "x"), ("--since", "yesterday")):
        server.run("deadletters", "list", *arguments, code=2)
    for name in ("0/999999", "65000/1", "door/99"):
        server.run("deadletters", "show", name, code=5)
    for name in ("door", "1", "1/2/3", "a/1", "door/-1", "99999999/1", ""):
        server.run("deadletters", "show", name, code=2)


def test_an_empty_list_says_so(server):
    assert "no dead letters" in server.run("deadletters", "list").stderr
    assert letters(server)["letters"] == []


@pytest.mark.parametrize("how", ("term", "kill9"))
def test_they_survive(server, call, how):
    tell_every_story(call)
    call("other").batch(1, [click(9, version="Z")])
    if how == "term":  # what a kill leaves uncommitted is made again from the log
        server.drain()
        before = letters(server)
    getattr(server, how)()
    server.start()
    server.drain()
    after = letters(server)
    assert len(after["letters"]) == 7
    if how == "term":
        assert after == before
    c = harness.Call(server.channel())
    c.open("other")
    assert c.batch(1, [click(9, version="Z")]).repeated_batch
    c.batch(2, [click(9, version="Y")])
    assert [x["id"] for x in letters(server, "--reason", "rejected")["letters"]] == ["door/1", "door/0"]


def test_a_flood_pushes_out_nothing_of_another_kind(make_server):
    server = make_server(harness.config(shards=1)).start()
    with server.channel() as channel:
        c = harness.Call(channel)
        c.open("flood")
        c.batch(1, [impression(1), click(1), click(1, version="B", event="other")])
        for sequence in range(2, 22):
            c.batch(sequence, [click(1)] * 1000)
        for sequence in range(22, 32):
            c.batch(sequence, [click(1, version="Z")] * 1000 + [click(1, time=0)])
        c.end()
        server.drain()
        assert counts(server) == {
            ("clicks", "version_mismatch"): (1, 1),
            ("clicks", "duplicate"): (20_000, 64),
            ("clicks", "rejected"): (10_010, 170),  # 16 of a batch for each field
        }
        newest = letters(server, "--reason", "duplicate", "--limit", "1000")["letters"]
        assert len(newest) == 64
        positions = [x["position"] for x in newest]
        assert positions == list(range(positions[0], positions[0] - 64, -1))
        for sequence in range(32, 332):
            c.batch(sequence, [click(1, version="Z")] * 16)
        assert counts(server)[("clicks", "rejected")] == (10_010 + 4800, 4096)
        server.run("deadletters", "show", "door/0", code=5)
        c.cancel()
    server.kill9()
    server.start()
    assert counts(server)[("clicks", "rejected")] == (10_010 + 4800, 4096)
    assert len(letters(server, "--reason", "rejected", "--limit", "1000")["letters"]) == 1000
