"""The kill test for MINUTES minutes, and at least 100 cycles: soak.py [MINUTES]"""

import pathlib
import sys
import tempfile
import time

import harness
import killing

CYCLES = 100


def main():
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    seed = int(time.time())
    end = time.monotonic() + 60 * minutes
    print(f"soak: seed {seed}, at least {minutes:g} minutes and {CYCLES} kills", flush=True)
    with tempfile.TemporaryDirectory(prefix="tidemill-soak-") as folder:
        server, fresh = (
            harness.Server(pathlib.Path(folder) / name, killing.CONFIG) for name in ("killed", "undisturbed")
        )
        try:
            more = lambda f: f.cycles < CYCLES or time.monotonic() < end  # noqa: E731
            producers, figures = killing.run_with_kills(server, seed, more, pause=0.3)
            killing.verify(server, fresh, producers, figures, seed)
        finally:
            server.close()
            fresh.close()
    print("soak: passed")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as e:
        sys.exit(f"soak: failed: {e}")
