"""Forked children are processes of their own, and a process that ends has its last numbers stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import watchglass
from support.pipelines import fetch, select
from watchglass.meters import HTTP_SERVER_REQUEST_DURATION

PATHS = [str(Path(watchglass.__file__).parents[1]), str(Path(__file__).parents[1])]
BEGIN = """
import atexit, os, sys, threading
from support.pipelines import answer, line, process
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.settings import Settings

recorder = Recorder()
pipeline = Pipeline(Settings(app_database_url=sys.argv[1]), process(), recorder.collect)

def in_a_child(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0, "the child failed"

def answers(number):
    for _ in range(number):
        answer(recorder)
"""


def run_script(dsn: str, script: str) -> None:
    begin = f"import sys; sys.path[:0] = {PATHS!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", begin + BEGIN + script, dsn], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def by_process(dsn: str) -> list[int]:
    groups = select(dsn, HTTP_SERVER_REQUEST_DURATION, by=("service.instance.id",))
    return sorted(group.count for group in groups)


def test_a_child_of_a_process_that_exports_counts_for_itself(store_url: str) -> None:
    run_script(
        store_url,
        """
pipeline.start()
answers(5)
pipeline.offer_log(line("of the parent"))
pipeline.flush_now()
answers(1)
pipeline.offer_log(line("of the parent too"))
parent = pipeline.instance

def child():
    assert threading.active_count() == 1
    assert pipeline.instance.instance_id != parent.instance_id
    assert pipeline.instance.pid == os.getpid()
    assert pipeline.status.state == "starting"
    assert pipeline.status.queued == {"logs": 0, "traces": 0}
    pipeline.start()
    answers(3)
    pipeline.offer_log(line("of the child"))
    pipeline.flush_now()
    answers(1)
    pipeline.stop()

in_a_child(child)
answers(2)
pipeline.flush_now()
pipeline.stop()
""",
    )
    assert by_process(store_url) == [4, 8]
    lines = [row["message"] for row in fetch(store_url, "SELECT message FROM watchglass.logs ORDER BY 1")]
    assert lines == ["of the child", "of the parent", "of the parent too"]


def test_workers_forked_from_a_parent_that_serves_nothing_count_from_zero(store_url: str) -> None:
    """As gunicorn --preload does."""
    run_script(
        store_url,
        """
answers(4)

def child():
    answers(1)
    pipeline.start()
    answers(2)
    pipeline.stop()

for _ in range(2):
    in_a_child(child)
assert threading.active_count() == 1
""",
    )
    assert by_process(store_url) == [2, 2]


def test_a_child_that_serves_nothing_exports_nothing(store_url: str) -> None:
    run_script(
        store_url,
        """
pipeline.start()
answers(1)
pipeline.flush_now()
in_a_child(lambda: answers(10))
pipeline.stop()
""",
    )
    assert by_process(store_url) == [1]


def test_the_last_numbers_are_stored_at_exit(store_url: str) -> None:
    run_script(
        store_url,
        """
atexit.register(pipeline.stop)
pipeline.start()
pipeline.flush_now()
answers(7)
""",
    )
    assert by_process(store_url) == [7]


def test_a_process_that_ends_at_once_still_ends(store_url: str) -> None:
    run_script(store_url, "atexit.register(pipeline.stop)\npipeline.start()\nanswers(1)\n")


def test_a_child_asks_the_store_on_a_connection_of_its_own(store_url: str) -> None:
    run_script(
        store_url,
        """
import asyncio
from watchglass.store.database import Database

database = Database(sys.argv[1])
loop = asyncio.new_event_loop()

def backend():
    return loop.run_until_complete(database.fetch("SELECT pg_backend_pid() AS pid"))[0]["pid"]

first = backend()

def child():
    global loop
    loop = asyncio.new_event_loop()
    assert backend() != first
    loop.run_until_complete(database.close())

in_a_child(child)
assert backend() == first
loop.run_until_complete(database.close())
loop.close()
""",
    )


def test_a_child_spools_into_a_file_of_its_own(free_port: int) -> None:
    run_script(
        f"postgresql://app@127.0.0.1:{free_port}/shop",
        """
import fcntl, time

def files():
    folder = pipeline.settings.state_folder / "spool"
    return {path.name for path in folder.glob("*.spool")} if folder.exists() else set()

def spooled():
    deadline = time.monotonic() + 30
    while not pipeline.status.spooled_bytes:
        assert time.monotonic() < deadline, pipeline.status
        time.sleep(0.02)

pipeline.settings = pipeline.settings.model_copy(update={"flush_interval": 1.0})
pipeline._fresh()
answers(1)
pipeline.start()
spooled()
[mine] = files()
size = pipeline.status.spooled_bytes

def child():
    assert pipeline.status.spooled_bytes == 0
    answers(1)
    pipeline.start()
    spooled()
    assert len(files()) == 2
    pipeline.stop()

in_a_child(child)
with open(pipeline.settings.state_folder / "spool" / mine, "rb") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        raise AssertionError("the child gave up the parent's lock")
assert pipeline.status.spooled_bytes >= size
pipeline.stop()
""",
    )


def test_a_child_does_not_keep_the_lock_of_a_parent_that_is_gone(free_port: int) -> None:
    run_script(
        f"postgresql://app@127.0.0.1:{free_port}/shop",
        """
import fcntl
from watchglass.exporters.backlog import Frozen
from watchglass.records import Batch

pipeline._spool.save([Frozen(Batch(1), 1)])
[path] = (pipeline.settings.state_folder / "spool").iterdir()
ready, go = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    os.write(ready[1], b"x")
    os.close(go[1])
    os.read(go[0], 1)
    os._exit(0)
os.read(ready[0], 1)
pipeline._spool._file.close()  # as the parent's end does
with path.open("rb") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(go[1])
        os.waitpid(pid, 0)
""",
    )
