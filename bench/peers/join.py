"""The join beside Apache Flink's: bench_join and bench_durable, and the job of bench/peers/flink, in one run.

usage: join.py [-o json]     from the top of the repository, after ./run has built both sides

What is counted on each side, and whom each choice favours, is in bench/README.md, "Peers".
"""

import collections
import json
import math
import os
import shutil
import subprocess
import tempfile

from rows import median, print_rows, read_flags, row, say

OURS = "build/release"
FLINK = "build/peers/flink"
PAYLOAD = 128
LABELLED = 0.06 * (1 - math.exp(-4))  # clicks that come inside the window: delays of mean window / 4

Cell = collections.namedtuple("Cell", "name mode backend live heap")
CELLS = [
    Cell("source", "source", "hashmap", 200_000, "2g"),
    Cell("shuffle", "shuffle", "hashmap", 200_000, "2g"),
    Cell("200k/heap", "join", "hashmap", 200_000, "2g"),
    Cell("200k/RocksDB", "join", "rocksdb", 200_000, "2g"),
    Cell("1M/heap, 4 GiB", "join", "hashmap", 1_000_000, "4g"),
    Cell("1M/heap, 8 GiB", "join", "hashmap", 1_000_000, "8g"),
    Cell("1M/RocksDB", "join", "rocksdb", 1_000_000, "2g"),
]
CELL_SECONDS_MAX = 1200


def command(cell, folder):
    """Flink's own flags for Java 17; Parallel, because G1 took 1.4 times the CPU on this workload."""
    return [
        "java", f"-Xms{cell.heap}", f"-Xmx{cell.heap}", "-XX:+UseParallelGC",
        "--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.util=ALL-UNNAMED",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp", f"{FLINK}/flink-join-1.jar:{FLINK}/lib/*", "tidemill.peers.Main",
        cell.mode, cell.backend, str(cell.live), str(PAYLOAD), folder,
    ]  # fmt: skip


def check(cell, told):
    """A join that found other labels, or took no checkpoints, is not the rival."""
    wrong = None
    if told["checkpoints"] < 2:
        wrong = f"{told['checkpoints']} checkpoints in 30 s, expected at least 2"
    elif abs(told["positives"] / told["samples"] - LABELLED) > 0.02 * LABELLED:
        wrong = f"{told['positives']} of {told['samples']} samples have a label, expected {LABELLED:.4f} of them"
    if wrong:
        raise SystemExit(f"peers: Flink, {cell.name}: {wrong}")


def run_flink(cell):
    """CPU of the whole JVM per event, in us: the median of its stretches."""
    say(f"peers: Flink, {cell.name}")
    folder = tempfile.mkdtemp(prefix="state-", dir=os.path.abspath(FLINK))
    log = f"{FLINK}/last.log"
    try:
        with open(log, "w") as errors:
            done = subprocess.run(
                command(cell, folder), stdout=subprocess.PIPE, stderr=errors, timeout=CELL_SECONDS_MAX
            )
    finally:
        shutil.rmtree(folder)
    if done.returncode != 0:
        raise SystemExit(f"peers: Flink, {cell.name}: exit code {done.returncode}; what it said is in {log}")
    told = json.loads(done.stdout)
    say(f"peers: Flink, {cell.name}: {told}")
    if cell.mode == "join":
        check(cell, told)
    return median(told["cpu_us"])


def run_ours(program):
    """Values of one of our benchmarks by name."""
    say(f"peers: {program}")
    done = subprocess.run([f"{OURS}/{program}", "-o", "json"], stdout=subprocess.PIPE, check=True)
    return {r["name"]: r["value"] for r in json.loads(done.stdout)}


def compare(join, durable, flink):
    """Both sides without the making of the events: ours never counts it, Flink's is what its source alone costs."""
    unit = "us CPU/event"
    result = [row(f"peers/Flink/{name}", flink[name], unit) for name in ("source", "shuffle")]

    def beside(name, ours, cell, factor=None, less="source"):
        result.append(row(f"peers/{name}", ours, unit, f"Flink {cell}", flink[cell] - flink[less], factor))

    few, many = join["join/200k/128B/cpu"], join["join/1M/128B/cpu"]
    beside("join/200k v heap", few, "200k/heap")
    beside("join/200k v RocksDB", few, "200k/RocksDB")
    beside("join/1M v heap, 4 GiB", many, "1M/heap, 4 GiB", factor=4)
    beside("join/1M v heap, 8 GiB", many, "1M/heap, 8 GiB", factor=4)
    beside("join/1M v heap, 8 GiB, less shuffle", many, "1M/heap, 8 GiB", less="shuffle")
    beside("join/1M v RocksDB", many, "1M/RocksDB", factor=20)
    beside("durable/1M v RocksDB", durable["durable/cpu"], "1M/RocksDB", factor=10)
    return result


def main():
    """In turn: our joiner before, between and behind the rival's cells, so that a busier hour strikes both."""
    flags = read_flags(__doc__)
    half = len(CELLS) // 2
    rounds = [run_ours("bench_join")]
    flink = {cell.name: run_flink(cell) for cell in CELLS[:half]}
    rounds.append(run_ours("bench_join"))
    durable = run_ours("bench_durable")
    flink |= {cell.name: run_flink(cell) for cell in CELLS[half:]}
    rounds.append(run_ours("bench_join"))
    join = {name: median([r[name] for r in rounds]) for name in rounds[0]}
    print_rows(compare(join, durable, flink), flags.output == "json")


if __name__ == "__main__":
    main()
