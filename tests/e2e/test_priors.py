"""Priors of all weights: out of files, of another version with its covariances, in a configuration and by command."""

import json
import math
import struct

import pytest
from network import tensor_file
from test_producers import T0
from test_versions import Feed

CONFIG = """
shards: 4
threads: 2
commit: {{ interval: 100ms }}
join: {{ key: [request, doc], window: 10s, allowed_lateness: 60s }}
versions:
  - {{ name: L, model: lr, dimension: 2, prior_from: {full} }}
  - {{ name: D, model: lr, dimension: 2, covariance: diagonal, prior_from: {sds}, samples_from: [L] }}
"""
MEAN, SD = [0.5, -0.25, -1.0], [0.5, 1.0, 0.25]
COVARIANCE = [1.0, 0.5, 0.0, 0.5, 1.0, 0.25, 0.0, 0.25, 0.5]
LOWER = [1.0, 0.5, 1.0, 0.0, 0.25, 0.5]


def write(path, **tensors):
    path.write_bytes(tensor_file({name: ((3, 3) if name == "covariance" else (len(v),), v) for name, v in tensors.items()}, {}))
    return path


def stopped_with(server):
    server.launch()
    assert not server.wait_ready()
    return server.stderr()


def learn(server, feed, first, count):
    x = [feed.rng.gauss(0, 1) for _ in range(count)]
    events = [dict(feed.impression(first + n), doc=f"d{n % 20}", features=struct.pack("<2f", x[n], 1)) for n in range(count)]
    clicks = [feed.click(e, 5) for n, e in enumerate(events) if feed.rng.random() < 1 / (1 + math.exp(1 - x[n]))]
    feed.send(events + clicks)
    feed.pass_time(T0 + first + count + 10_001)
    server.drain()


def test_files_and_versions_in_a_configuration(make_server):
    server = make_server()
    full, sds = server.folder / "full.safetensors", server.folder / "sds.safetensors"
    write(full, mean=MEAN, covariance=COVARIANCE)
    write(sds, mean=MEAN, sd=SD)
    config = CONFIG.format(full=full, sds=sds)
    server.configure(config)
    server.start()
    assert list(server.pull("L", ["new"]).values) == MEAN + LOWER
    assert list(server.pull("D", ["new"]).values) == MEAN + [s * s for s in SD]
    learn(server, Feed(server, version="L"), 0, 1000)
    # What was set when the version was made stays: the file may go, but not say something else.
    before = server.pull("L", ["d0", "new"]).values
    full.unlink()
    server.kill9()
    server.start()
    assert list(server.pull("L", ["d0", "new"]).values) == list(before)
    assert "prior_file_gone" in server.stderr()
    server.kill9()
    write(full, mean=[0.5, -0.25, -2.0], covariance=COVARIANCE)
    assert "the file has other values, but version L was made with that of file full.safetensors" in stopped_with(server)
    write(full, mean=MEAN, covariance=COVARIANCE)
    # Another version's documents, with their covariances, at the start that makes the version; the same ever after.
    later = config + "  - { name: N, model: lr, dimension: 2, prior_from: L }\n"
    server.configure(later)
    server.start()
    made = json.loads(server.run("version", "show", "N", "-o", "json").stdout)["version"]
    assert made["prior_source"] == "20 documents of L" and len(made["weight_prior"]) == 3 + 6
    assert made["weight_prior"][0] == pytest.approx(1, abs=0.3) and list(server.pull("N", ["new"]).values) == made["weight_prior"]
    learn(server, Feed(server, version="L"), 20_000, 200)
    server.kill9()
    server.start()
    assert list(server.pull("N", ["new"]).values) == made["weight_prior"]
    # By command: the file is read where the command runs.
    create = ("version", "create", "--model", "lr", "--dimension", "2")
    server.run(*create, "F", "--prior-file", str(full))
    assert list(server.pull("F", ["new"]).values) == MEAN + LOWER and "of file full.safetensors" in server.run("version", "list").stdout
    singular = write(server.folder / "singular.safetensors", mean=MEAN, covariance=[1, 1, 0, 1, 1, 0, 0, 0, 1])
    for words, code, message in (
        (["X", "--prior-file", str(singular)], 2, "weight_prior: prior covariance: it is"),
        (["X", "--covariance", "diagonal", "--prior-file", str(full)], 2, "covariances"),
        (["X", "--dimension", "3", "--prior-file", str(sds)], 2, "weight_prior: 6 values; expected 8"),
        (["X", "--prior-file", str(server.folder / "none")], 2, "--prior-file: "),
    ):
        assert message in server.run(*create, *words, code=code).stderr, words
    server.kill9()
    server.configure(later.replace("prior_from: L", "prior_from: D"))
    assert "version N was made with that of 20 documents of L" in stopped_with(server)


def test_configurations_that_cannot_be(make_server):
    server = make_server()
    full, sds = server.folder / "full.safetensors", server.folder / "sds.safetensors"
    write(sds, mean=MEAN, sd=SD)
    server.configure(CONFIG.format(full=full, sds=sds))
    for tensors, message in (
        ({"mean": MEAN, "covariance": [1, 1, 0, 1, 1, 0, 0, 0, 1]}, "prior covariance: it is"),
        ({"mean": MEAN, "covariance": [1, 0.5, 0, 0.25, 1, 0, 0, 0, 1]}, "expected a symmetric matrix"),
        ({"mean": [0, float("nan"), 0], "sd": SD}, "tensor mean: number 1 is nan"),
        ({"mean": MEAN[:2], "sd": SD[:2]}, "4 values; expected 6"),
    ):
        write(full, **tensors)
        assert message in stopped_with(server), tensors
    full.write_bytes(full.read_bytes()[:-4])  # a header that lies about the size
    assert "versions[0].prior_from: " in stopped_with(server)
    full.unlink()
    assert "version L: prior_from: " in stopped_with(server)
    server.configure(CONFIG.format(full="E", sds=sds))
    assert "there is no version E yet" in stopped_with(server)
