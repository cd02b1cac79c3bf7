"""Worker processes that a test tells what to do, and the figures they show."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]

SCRIPT = f"""
import json, os, resource, socket, sys
sys.path.insert(0, {str(TESTS)!r})
from uuid import uuid4
from support.pipelines import answer
from watchglass import guard, meters
from watchglass.exporters.workers import asking
from watchglass.exporters.workers.worker import Worker
from watchglass.instrumentation.recorder import Recorder
from watchglass.records import State
from watchglass.settings import Settings

recorder = Recorder()
identity = str(uuid4())
worker = Worker(Settings(**json.loads(sys.argv[1])), lambda: identity, lambda: recorder.collect() + errors())

def errors():
    return [State(meters.WATCHGLASS_ERRORS, (where,), float(n)) for where, n in guard.errors.items()]

def listen(port):
    global listener
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()

def start(port=None):
    if port:
        listen(port)
    recorder.gauge(meters.PROCESS_THREADS).set(3)
    worker.start()
    return os.getpid()

def count(number, route="/a", seconds=0.1):
    for _ in range(number):
        answer(recorder, route, seconds=seconds)

def shown():
    target, totals = worker.totals()
    found = {{"target": target, "requests": 0, "sum": 0.0, "pids": [], "errors": {{}}}}
    for (meter, attributes), total in totals.items():
        if meter is meters.HTTP_SERVER_REQUEST_DURATION:
            found["requests"] += sum(total.bins.values())
            found["sum"] += total.sum
        elif meter is meters.PROCESS_THREADS:
            found["pids"].append(int(dict(attributes)["process.pid"]))
        elif meter is meters.WATCHGLASS_ERRORS:
            found["errors"][attributes[0][1]] = total.sum
    return found

def without_unix_sockets():
    asking.USABLE = False

def room_on_disk(there_is):
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY if there_is else 0, resource.RLIM_INFINITY))

def stop():
    worker.stop()

def refresh():
    worker._written()

def restart():
    worker.stop()
    worker.start()

def fork(number):
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        count(number)
        worker.start()
        count(number)
        shown()
        os.write(done, b".")
        signal.pause()
    os.read(ready, 1)
    return pid

import signal
for line in sys.stdin:
    name, *arguments = json.loads(line)
    print(json.dumps(globals()[name](*arguments)), flush=True)
"""


class WorkerProcess:
    """A process with a recorder and a worker that listens on a port beside others (SO_REUSEPORT)."""

    def __init__(self, **settings: Any) -> None:
        settings = {"service_name": "shop", "flush_interval": 1, **settings}
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Have the process run a function of the script; its result."""
        self.begin(name, *arguments)
        return self.result()

    def begin(self, name: str, *arguments: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the process has ended"
        return json.loads(line)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as SIGKILL does, whatever state it is in."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()


@contextmanager
def processes(number: int, port: int | None = None, **settings: Any) -> Iterator[list[WorkerProcess]]:
    """So many worker processes, started if a port is given; killed at the end."""
    made = [WorkerProcess(**settings) for _ in range(number)]
    try:
        for process in made if port else ():
            process("start", port)
            process("shown")  # it has joined by then
        yield made
    finally:
        for process in made:
            process.kill()
