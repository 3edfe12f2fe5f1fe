"""What a person meets at the command line: help, hints behind results, tables that fit, slips that are explained."""

import json
import subprocess

import pytest

import event_files
import harness

COLUMNS = 100


def tidemill(*words, code=0):
    """What it prints, both outputs in one pipe as a person reads them in a log."""
    p = subprocess.run([harness.BINARY, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert p.returncode == code, p.stdout
    return p.stdout


def commands():
    listed = tidemill("help").split("\n\n")[1]
    return [line[2:20].split() for line in listed.splitlines()]


def test_every_command_helps_within_the_columns():
    assert ["version", "list"] in commands() and ["serve"] in commands()
    for words in commands():
        text = tidemill(*words, "--help")
        assert text == tidemill(*words, "-h") == tidemill("help", *words)
        assert "\nExample: tidemill " + " ".join(words) in text
        assert max(map(len, text.splitlines())) <= COLUMNS, text


@pytest.mark.parametrize("words, forms", [(["status"], "table or json"), (["params", "export"], "table, csv or json")])
def test_help_names_the_forms_a_command_has(words, forms):
    assert forms + " (default: " in tidemill(*words, "--help")


@pytest.mark.parametrize(
    "words, told",
    [
        (["serve", "--help-me"], 'unknown option "--help-me"'),
        (["serve", "--threads"], 'a value is missing behind "--threads"'),
        (["status", "--timeout", "3"], '--timeout: got "3"; expected a duration'),
        (["deadletters", "list", "--until", "now"], '--until: got "now"; expected a time'),
    ],
)
def test_slips_name_the_option(words, told):
    assert told in tidemill(*words, code=2)


def test_what_to_do_next_stands_behind_what_was_done(server):
    def said(*words):
        return tidemill(*words, "--server", server.address).splitlines()

    server.run("health")
    created = said("version", "create", "N", "--model", "beta")
    assert created[0].startswith("created version N") and created[-1].startswith("next: send impressions that name it")
    shadow = said("version", "create", "N-shadow", "--model", "beta", "--samples-from", "A")
    assert shadow[-1].startswith("a shadow: impressions that name A feed it")
    paused = said("version", "pause", "A")
    assert paused[0].startswith("paused version A") and "version resume A --apply" in paused[-1]


def test_tables_fit_the_columns(server, tmp_path):
    event = {"stream": "impressions", "request": "r", "doc": "d", "version": "A", "time": event_files.T0}
    path = event_files.write(tmp_path / "events.jsonl", [event, event])
    assert server.ingest(path, options=()).stderr.splitlines()[-1].startswith("next: windows that are still open wait")
    assert "next:" not in server.ingest(path).stderr
    server.drain()
    with server.channel() as channel:
        lane = harness.Call(channel)
        lane.open(client="a-producer-whose-name-is-long", streams=["impressions"])
        held = ""

        def named():  # who holds a stream back is looked up now and then, not at each call
            nonlocal held
            held = server.run("status").stdout
            return "a-producer-whose-...  " in held

        harness.wait_until("the producer is named", named)
        lane.leave()
    status = server.run("status")
    assert "tidemill deadletters list" in status.stderr
    for text in (held, status.stdout, server.run("version", "list").stdout, server.run("version", "show", "A").stdout):
        lines = [line for line in text.splitlines() if not line.startswith("data ")]  # as long as its path
        assert max(map(len, lines)) <= COLUMNS, text


def test_health_for_scripts(server):
    assert json.loads(server.run("health", "-o", "json").stdout) == {"serving": True, "taking_events": True}
