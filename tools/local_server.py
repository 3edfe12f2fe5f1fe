"""A Tidemill server for a script: on a free port, in a folder of its own, and gone when the script is."""

import contextlib
import csv
import json
import pathlib
import signal
import subprocess
import time

from ports import free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "build" / "release" / "tidemill"


class ServerError(Exception):
    pass


def spawn(command, **streams):
    """In a session of its own: a Ctrl-C is for us, and we tell the others."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **streams)


class Server:
    def __init__(self, folder, config):
        self.folder, self.config, self.address, self.process = folder, config, f"127.0.0.1:{free_port()}", None

    def start(self):
        """Returns what it said when it was ready."""
        screen = self.folder / "server.out"
        command = [BINARY, "serve", "--config", self.config, "--data", self.folder / "data", "--listen", self.address,
                   "--http", "off"]
        with open(screen, "w") as out, open(self.folder / "server.err", "a") as err:
            self.process = spawn(command, stdout=out, stderr=err)
        end = time.monotonic() + 20
        while "\nready\n" not in screen.read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise ServerError("the server did not start:\n" + (self.folder / "server.err").read_text())
            time.sleep(0.01)
        return screen.read_text().splitlines()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def run(self, *arguments):
        command = [BINARY, *arguments, "--server", self.address]
        p = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if p.returncode:
            raise ServerError(f"tidemill {' '.join(map(str, arguments))}: {p.stderr.strip()}")
        return p.stdout

    def status(self):
        return json.loads(self.run("status", "-o", "json"))

    def pull(self, version, docs):
        return json.loads(self.run("pull", "--version", version, *docs, "-o", "json"))["docs"]

    def export(self, version):
        return list(csv.DictReader(self.run("params", "export", "--version", version, "-o", "csv").splitlines()))


@contextlib.contextmanager
def children_of(*processes):
    """Whatever happens, they do not outlive us."""
    try:
        yield
    finally:
        for process in (make() for make in processes):
            if process and process.poll() is None:
                process.kill()
                process.wait()
