"""Processes of one service that elect one of them, and a table in which whoever does the elected work notes it.

`python -m support.electorate DSN FOLDER` is one such process: pipeline and elected jobs as in production, in a hurry.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import psutil

from support.databases import execute
from support.pipelines import fetch, process, until
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.jobs import elected
from watchglass.jobs.elected import ElectedJobs
from watchglass.jobs.lease import Lease
from watchglass.jobs.retention import Begin
from watchglass.jobs.rollup import Borrow, roll_up_all
from watchglass.settings import Settings

LEASE_SECONDS = 2.0
TABLE = "CREATE TABLE work (pid integer, rightful boolean, epoch bigint, at timestamptz DEFAULT clock_timestamp())"
NOTE = "INSERT INTO work SELECT $1, holder = $2, epoch FROM watchglass.leases WHERE name = 'jobs of shop'"


class Work(NamedTuple):
    """Elected work: by whom, whether the lease was theirs as it was done, in which epoch."""

    pid: int
    rightful: bool
    epoch: int


class Worker:
    """One process; `pid` is its own."""

    def __init__(self, dsn: str, folder: Path) -> None:
        tests = str(Path(__file__).parent.parent)
        path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
        environment = {"PATH": os.defpath, "PYTHONPATH": path, "WATCHGLASS_STATE_DIR": str(folder)}
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.electorate", dsn, str(folder)], stdin=subprocess.PIPE, env=environment
        )
        self.pid = self._process.pid

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def freeze_at_work(self) -> None:
        """Have it freeze in the middle of its next elected work, and return once it has."""
        (self._folder / f"freeze-{self.pid}").touch()
        until(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        assert self._process.stdin is not None
        self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def prepare(dsn: str) -> None:
    """Have the table of work."""
    execute(dsn, TABLE)


def work_done(dsn: str) -> list[Work]:
    """In the order in which it was done."""
    return [Work(*row) for row in fetch(dsn, "SELECT pid, rightful, epoch FROM work ORDER BY at")]


def main(dsn: str, folder: Path) -> None:
    settings = Settings(app_database_url=dsn, service_name="shop")
    recorder, instance = Recorder(), process(os.getpid())

    async def note(connection: object, _settings: Settings, begin: Begin) -> None:
        async with begin(connection, seconds=3.0):
            await connection.execute(NOTE, os.getpid(), instance.instance_id)  # type: ignore[attr-defined]

    async def roll_up_or_freeze(borrow: Borrow) -> int:
        done, frozen = await roll_up_all(borrow), folder / f"freeze-{os.getpid()}"
        if frozen.exists():
            frozen.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        return done

    elected.SNAPSHOT_SECONDS, elected.MAINTAIN_SECONDS = 0.2, 0.0
    elected.Lease = partial(Lease, seconds=LEASE_SECONDS)  # type: ignore[misc, assignment]
    elected.maintain = note  # type: ignore[assignment]
    elected.roll_up_all = roll_up_or_freeze  # type: ignore[assignment]
    pipeline = Pipeline(settings, instance, recorder.collect)
    pipeline.run_on_loop(ElectedJobs(settings, pipeline, recorder).run)
    pipeline.start()
    os.read(0, 1)  # standard input closes when the test's process ends, however it does


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
