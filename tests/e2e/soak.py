"""The long tests: soak.py [MINUTES]

Four proofs share the time: the kill test (and never fewer than CYCLES kills, however long that takes), the simulation
on seeds that nobody has run before, stories for the joiner that nobody has told, and the failure loops in an order of
their own. All of their figures are one table
at the end. Every seed is printed: what fails can be run again.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

import harness
import killing

CYCLES = 100
SHARES = {"kills": 0.55, "simulation": 0.2, "stories": 0.05, "failures": 0.2}
SIMULATION_CASES = 500  # of one run
STORIES = 20_000  # of one run
BUILD = harness.BINARY.parent


def kills(seconds, seed, rows):
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="tidemill-soak-") as folder:
        server, fresh = (
            harness.Server(pathlib.Path(folder) / name, killing.CONFIG) for name in ("killed", "undisturbed")
        )
        try:
            more = lambda f: f.cycles < CYCLES or time.monotonic() < end  # noqa: E731
            producers, figures = killing.run_with_kills(server, seed, more, pause=0.3)
            try:
                killing.verify(server, fresh, producers, figures, seed)
            finally:
                rows += figures.rows()
        finally:
            server.close()
            fresh.close()


def run(command, timeout, cwd=None):
    """What it prints. A failure is told with all of it."""
    p = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=timeout, cwd=cwd)
    assert p.returncode == 0, f"{' '.join(map(str, command))}: exit code {p.returncode}\n{p.stdout}{p.stderr}"
    return p.stdout


def simulation(seconds, seed, rows):
    end, first, totals = time.monotonic() + seconds, seed, {}
    try:
        while not totals or time.monotonic() < end:
            text = run([BUILD / "test_simulation", "--first", first, "--cases", SIMULATION_CASES], timeout=1800)
            for number, what in re.findall(r"(\d+) (cases|crashes|events|samples)\b", text):
                totals[what] = totals.get(what, 0) + int(number)
            first += SIMULATION_CASES
    finally:
        done = ", ".join(f"{n:,} {what}" for what, n in totals.items())
        rows.append(("simulation", f"seeds from {seed}: {done or 'none'}"))


def stories(seconds, seed, rows):
    end, told = time.monotonic() + seconds, 0
    corpus = pathlib.Path(__file__).parents[1] / "fuzz" / "corpus" / "joiner"
    with tempfile.TemporaryDirectory(prefix="tidemill-soak-") as folder:
        while told == 0 or time.monotonic() < end:
            run([BUILD / "fuzz_joiner", corpus, STORIES, seed + told], timeout=1800, cwd=folder)
            told += STORIES
    rows.append(("joiner stories", f"seeds from {seed}: {told:,}, the identity held after every step"))


def failures(seconds, seed, rows):
    command = [BUILD / "test_failures", "--all", "--seconds", max(10, int(seconds)), "--seed", seed]
    text = run(command, timeout=seconds + 600)
    summary = text.strip().splitlines()[-1]
    kinds = [line.split() for line in text.splitlines() if re.match(r"\w+ +\d+ +\d+ ", line) and " runs," not in line]
    per_kind = ", ".join(f"{k[0]} {k[2]} of {k[1]}" for k in kinds)
    rows.append(("failure loops", summary))
    rows.append(("", per_kind))


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    seed, rows, failed = int(time.time()), [], []
    print(f"soak: seed {seed}, {minutes:g} minutes and at least {CYCLES} kills", flush=True)
    for proof in (kills, simulation, stories, failures):
        began = time.monotonic()
        print(f"soak: {proof.__name__}", flush=True)
        try:
            proof(60 * minutes * SHARES[proof.__name__], seed, rows)
        except (AssertionError, subprocess.TimeoutExpired) as e:
            failed.append(proof.__name__)
            print(f"soak: {proof.__name__} failed: {e}", flush=True)
        rows.append((f"{proof.__name__} took", f"{time.monotonic() - began:.0f} s"))
    print("\n".join(f"{name:16} {figure}" for name, figure in rows))
    if failed:
        sys.exit(f"soak: failed: {', '.join(failed)}")
    print("soak: passed")


if __name__ == "__main__":
    main()
