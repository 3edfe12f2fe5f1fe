"""Users: who is blocked or allowed by list, read again on SIGHUP, and robots by the rate of what they send."""

import json
import signal
import subprocess
import urllib.request

import grpc
import pytest

import harness
from tidemill.v1 import ranking_pb2, ranking_pb2_grpc

T0 = 1_700_000_000_000


def config(folder):
    return f"""
shards: 4
threads: 2
commit: {{ interval: 100ms }}
join: {{ window: 10s, allowed_lateness: 60s }}
users: {{ block: {folder}/blocked.txt, allow: {folder}/allowed.txt, max_events: 20, per: 8s }}
versions: [{{ name: A, model: beta }}]
"""


def impression(n, user):
    return {"stream": "impressions", "request": f"{user}r{n}", "doc": "d", "user": user, "version": "A", "time": T0 + n}


def metric(server, name):
    text = urllib.request.urlopen(f"{server.http}/metrics").read().decode()
    return float(next(line for line in text.splitlines() if line.startswith(name)).rsplit(" ", 1)[1])


def letters(server, *arguments):
    return json.loads(server.run("deadletters", "list", "-o", "json", *arguments).stdout)["letters"]


def test_lists_and_robots(tmp_path):
    blocked, allowed = tmp_path / "blocked.txt", tmp_path / "allowed.txt"
    blocked.write_text("bad\n")
    allowed.write_text("tester\n")
    server = harness.Server(tmp_path, config(tmp_path)).start()
    try:
        with server.channel() as channel:
            call = harness.Call(channel)
            call.open(streams=["impressions", "clicks"])
            users = ["good"] * 20 + ["bad"] * 3 + ["robot"] * 50 + ["tester"] * 100
            events = [impression(n, user) for n, user in enumerate(users)]
            ack = call.batch(1, events)
            assert [(r.field, r.index) for r in ack.rejected] == [("blocked", 20 + i) for i in range(3)]
            assert call.batch(1, events).repeated_batch  # sent again it counts for nobody
            call.batch(2, [impression(1000, "good")])  # just too many
            impressions = server.stream("impressions")
            assert impressions["consumed"] == 171
            assert impressions["filtered"] == 30 + 1
            assert len(letters(server, "--reason", "robot", "--limit", "100")) == 31
            assert {r["field"] for r in letters(server, "--reason", "rejected")} == {"blocked"}
            assert metric(server, 'tidemill_ingest_rejected_events_total{field="blocked"}') == 3
            assert metric(server, 'tidemill_users_listed{list="block"}') == 1

            # Another list holds from the signal on; one that cannot be read changes nothing.
            blocked.write_text("robot\n")
            server.process.send_signal(signal.SIGHUP)
            harness.wait_until("the list is read", lambda: "event=reloaded" in server.stderr())
            ack = call.batch(3, [impression(2000, "robot"), impression(2001, "bad")])
            assert [(r.field, r.index) for r in ack.rejected] == [("blocked", 0)]
            blocked.write_bytes(b"\xff\n")
            server.process.send_signal(signal.SIGHUP)
            harness.wait_until("the list is refused", lambda: "event=reload_failed" in server.stderr())
            assert metric(server, "tidemill_config_last_reload_successful") == 0
            ack = call.batch(4, [impression(3000, "robot")])
            assert [r.index for r in ack.rejected] == [0]
            call.end()
        status = server.settled_status()
        harness.assert_balanced(status)
        assert status["streams"][1]["matched"] == 171 - 31 + 1, status["streams"]
        digests = server.digests()
        server.kill9()
        blocked.write_text("robot\nbad\n")
        server.start()
        assert server.digests() == digests
    finally:
        server.close()


def test_rank_and_reward_ask_who_it_is(tmp_path):
    (tmp_path / "blocked.txt").write_text("bad\n")
    (tmp_path / "allowed.txt").write_text("tester\n")
    server = harness.Server(tmp_path, config(tmp_path)).start()
    try:
        with server.channel() as channel:
            stub = ranking_pb2_grpc.RankingStub(channel)

            def rank(user, n):
                ask = ranking_pb2.RankRequest(
                    version="A", request=f"{user}{n}", user=user, docs=["a", "b", "c"], slots=3, durable=True
                )
                return stub.Rank(ask, timeout=10)

            reply = rank("bad", 0)
            assert reply.blocked and len(reply.order) == 3 and not reply.durable and not reply.HasField("position")
            with pytest.raises(grpc.RpcError) as refused:
                stub.Reward(ranking_pb2.RewardRequest(request="bad0", user="bad", docs=["a"]), timeout=10)
            assert refused.value.details() == "user: it is on the list of blocked users"
            # Three impressions a call are one event of their user: 20 are no robot's.
            for user in ("good", "tester"):
                assert not any(rank(user, n).blocked for n in range(20))
            for user in ("good", "tester"):
                rank(user, 20)
                reward = ranking_pb2.RewardRequest(request=f"{user}1", user=user, docs=["a", "b"], durable=True)
                stub.Reward(reward, timeout=10)
        harness.wait_until("all is committed", lambda: server.stream("impressions")["consumed"] == 126)
        harness.wait_until("the actions, too", lambda: server.stream("clicks")["consumed"] == 4)
        assert [server.stream(name)["filtered"] for name in ("impressions", "clicks")] == [3, 2]
        assert {letter["stream"] for letter in letters(server, "--reason", "robot")} == {"impressions", "clicks"}
    finally:
        server.close()


def test_a_client_is_told_of_blocked_users_and_goes_on(tmp_path):
    (tmp_path / "blocked.txt").write_text("bad\n")
    (tmp_path / "allowed.txt").write_text("")
    server = harness.Server(tmp_path, config(tmp_path)).start()
    try:
        path = tmp_path / "events.jsonl"
        path.write_text("".join(json.dumps(impression(n, "bad" if n % 5 == 0 else f"u{n}")) + "\n" for n in range(20)))
        told = server.ingest(path).stderr
        assert "4 events of blocked users were not taken" in told and "16 accepted, 0 rejected" in told
    finally:
        server.close()


def test_another_path_is_taken_on_sighup(make_server, tmp_path):
    for name in ("blocked", "other", "allowed"):
        (tmp_path / f"{name}.txt").write_text("".join(f"{name}{n}\n" for n in range(len(name))))
    server = make_server(config(tmp_path)).start()
    server.configure(config(tmp_path).replace("blocked.txt", "other.txt"))
    server.process.send_signal(signal.SIGHUP)
    harness.wait_until("the configuration is read", lambda: "event=reloaded" in server.stderr())
    assert "users_blocked=5 users_allowed=7" in server.stderr()
    with server.channel() as channel:
        call = harness.Call(channel)
        call.open(streams=["impressions"])
        ack = call.batch(1, [impression(0, "blocked1"), impression(1, "other1")])
        assert [(r.field, r.index) for r in ack.rejected] == [("blocked", 1)]


def test_a_list_that_is_missing_is_told_at_the_start_and_by_config_check(tmp_path):
    server = harness.Server(tmp_path, config(tmp_path))
    assert not server.launch().wait_ready()
    assert "blocked.txt: there is no such file" in server.stderr()
    (tmp_path / "allowed.txt").write_text("a\n" + "x" * 300)
    check = [str(harness.BINARY), "config", "check", str(server.config_file)]
    p = subprocess.run(check, capture_output=True, text=True)
    told = p.stderr
    assert f"users.block: {tmp_path}/blocked.txt: there is no such file" in told
    assert f"users.allow: {tmp_path}/allowed.txt:2: no user id: got 300 bytes; expected one of 1 to 256" in told
    assert p.returncode == 2 and "2 problems" in told
    for name in ("blocked", "allowed"):
        (tmp_path / f"{name}.txt").write_text("a\n")
    assert subprocess.run(check).returncode == 0
