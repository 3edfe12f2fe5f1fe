import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402


@pytest.fixture
def make_server(tmp_path):
    """make_server(text, name): servers that are not started yet; all are killed at the end."""
    servers = []

    def make(text=None, name="server"):
        servers.append(harness.Server(tmp_path / name, text))
        return servers[-1]

    yield make
    for s in servers:
        s.close()


@pytest.fixture
def server(make_server):
    return make_server().start()


@pytest.fixture
def call(server):
    """A function that opens an Ingest call: call(client, lane...) after Open, or call(None) before it."""
    channel = server.channel()
    calls = []

    def make(client="e2e", **fields):
        calls.append(harness.Call(channel))
        if client is not None:
            calls[-1].open(client, **fields)
        return calls[-1]

    yield make
    for c in calls:
        c.cancel()
    channel.close()
