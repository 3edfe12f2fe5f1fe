"""examples/client.py as a reader of the manual runs it: stubs by the line in its docstring, then against a server."""

import os
import re
import shlex
import subprocess
import sys

import harness

CLIENT = harness.ROOT / "examples" / "client.py"
CONFIG = harness.ROOT / "examples" / "quickstart.yaml"


def make_stubs(folder):
    """Run the docstring's protoc line, but for the folder it writes to."""
    line = re.search(r"^ *python (-m grpc_tools\.protoc .*)$", CLIENT.read_text(), re.MULTILINE).group(1)
    protos = [str(p.relative_to(harness.ROOT)) for p in sorted((harness.ROOT / "proto").glob("tidemill/v1/*.proto"))]
    words = [w.replace("build/stubs", str(folder)) for w in shlex.split(line)]
    assert words.pop() == "proto/tidemill/v1/*.proto"
    subprocess.run([sys.executable, *words, *protos], cwd=harness.ROOT, check=True)


def run_client(server, stubs):
    return subprocess.run(
        [sys.executable, CLIENT, server.address],
        env={**os.environ, "PYTHONPATH": str(stubs)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_example_client_reads_what_it_sent(make_server, tmp_path):
    make_stubs(tmp_path)
    server = make_server(CONFIG.read_text()).start()
    for runs in (1, 2):  # again: nothing of the first run is in the way
        p = run_client(server, tmp_path)
        assert p.returncode == 0, p.stderr
        assert p.stderr == ""
        learned = dict(re.findall(r"^(d\d)  learned from +(\d+)", p.stdout, re.MULTILINE))
        assert sorted(learned) == ["d1", "d2", "d3", "d4"], p.stdout
        assert sum(map(int, learned.values())) == 100 * runs, p.stdout
    harness.assert_balanced(server.settled_status())
    assert server.counts("A") == {"d1": (26, 24), "d2": (16, 34), "d3": (12, 38), "d4": (10, 40)}
