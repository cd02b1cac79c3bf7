"""What a process could not write before it ended, another writes for it: once, and nothing that is damaged stops it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

import watchglass
from support.pipelines import answer, fetch, line, process, select, trace, until
from watchglass.demo.servers import PostgreSQL
from watchglass.exporters import replay as replaying
from watchglass.exporters.backlog import Frozen
from watchglass.exporters.own import OwnMeters
from watchglass.exporters.pipeline import Pipeline
from watchglass.exporters.replay import Replay
from watchglass.exporters.spool import Spool
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import HTTP_SERVER_REQUESTS
from watchglass.records import Batch, Instance, Point, Series
from watchglass.settings import Settings
from watchglass.store.writer import Writer

Start = Callable[..., Pipeline]
PATHS = [str(Path(watchglass.__file__).parents[1]), str(Path(__file__).parents[1])]
REQUESTS = Series(HTTP_SERVER_REQUESTS.name, "counter", "{request}", ())


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "LOOK_SECONDS", 0.5)


def settings(dsn: str, **more: object) -> Settings:
    return Settings(app_database_url=dsn, service_name="shop", **more)  # type: ignore[arg-type]


def batch(sequence: int, lines: int = 1) -> Batch:
    now = int(time.time() // 10) * 10
    return Batch(sequence, [Point(REQUESTS, now, 1, 1.0)], [line(f"{sequence}") for _ in range(lines)], [trace()])


def left_behind(dsn: str, *batches: Frozen, instance: Instance | None = None) -> Path:
    """A spool whose process is gone."""
    instance = instance or process()
    spool = Spool(settings(dsn), instance)
    spool.save(batches)
    spool.abandon()
    [path] = (Settings().state_folder / "spool").glob(f"*-{instance.instance_id}.spool")
    return path


def frozen(*sequences: int) -> list[Frozen]:
    return [Frozen(batch(sequence), sequence) for sequence in sequences]


def replay(dsn: str, **more: object) -> Replay:
    return Replay(settings(dsn, **more), lambda instance: Writer(dsn, instance), OwnMeters())


def counts(dsn: str) -> float:
    return sum(group.sum for group in select(dsn, HTTP_SERVER_REQUESTS))


def lines(dsn: str) -> list[str]:
    return [row["message"] for row in fetch(dsn, "SELECT message FROM watchglass.logs ORDER BY message")]


def test_it_is_written_as_that_process_s_and_the_file_goes(store_url: str) -> None:
    instance = process()
    path = left_behind(store_url, *frozen(3, 4, 5), instance=instance)
    taken = replay(store_url)
    asyncio.run(taken.look())
    assert (counts(store_url), lines(store_url), path.exists(), taken.replayed) == (3, ["3", "4", "5"], False, 1)
    rows = fetch(
        store_url,
        "SELECT service_instance_id, sequence FROM watchglass.batches"
        " JOIN watchglass.instances ON instances.id = instance_id ORDER BY sequence",
    )
    assert [tuple(row) for row in rows] == [(instance.instance_id, sequence) for sequence in (3, 4, 5)]


def test_what_the_store_has_already_is_not_written_again(store_url: str) -> None:
    instance = process()

    async def write(*sequences: int) -> None:
        writer = Writer(store_url, instance)
        await writer.open()
        for sequence in sequences:
            await writer.write(batch(sequence))
        await writer.close()

    asyncio.run(write(1, 2))
    left_behind(store_url, *frozen(1, 2, 3), instance=instance)
    asyncio.run(replay(store_url).look())
    assert (counts(store_url), lines(store_url)) == (3, ["1", "2", "3"])


def test_parts_are_not_written_beside_what_they_were_merged_into(store_url: str) -> None:
    left_behind(store_url, *frozen(1, 2), Frozen(batch(2), 1))
    asyncio.run(replay(store_url).look())
    assert counts(store_url) == 1


def test_a_file_that_ends_in_the_middle_of_a_record_is_read_up_to_there(store_url: str) -> None:
    path = left_behind(store_url, *frozen(1, 2, 3))
    os.truncate(path, path.stat().st_size - 7)
    taken = replay(store_url)
    asyncio.run(taken.look())
    assert (counts(store_url), path.exists(), taken.set_aside) == (2, False, 0)


@pytest.mark.parametrize("where", [0, 4, -30])
def test_a_damaged_file_is_set_aside_and_said(
    store_url: str, start: Start, where: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = left_behind(store_url, *frozen(1))
    good = left_behind(store_url, *frozen(2))
    data = bytearray(path.read_bytes())
    data[where] ^= 255
    path.write_bytes(bytes(data))
    pipeline = start(store_url, service_name="shop")
    until(lambda: pipeline.status.set_aside == 1)
    until(lambda: not good.exists())
    assert lines(store_url) == ["2"]
    assert path.with_name(path.name + ".damaged").read_bytes() == data
    assert pipeline.status.state == "ok"
    assert any("was set aside" in record.message for record in caplog.records)
    states = {state.meter.name: state.sum for state in pipeline.collect()}
    assert states["watchglass.spool.set_aside"] == 1


def test_a_file_that_is_older_than_the_ledger_s_memory_is_set_aside(store_url: str) -> None:
    path = left_behind(store_url, *frozen(1))
    old = time.time() - 48 * 3600
    os.utime(path, (old, old))
    taken = replay(store_url)
    asyncio.run(taken.look())
    assert (counts(store_url), taken.set_aside) == (0, 1)


def test_a_process_that_lives_keeps_its_own(store_url: str) -> None:
    spool = Spool(settings(store_url), process())
    spool.save(frozen(1))
    asyncio.run(replay(store_url).look())
    assert counts(store_url) == 0
    assert spool.size > 0
    spool.clear()


def test_what_belongs_into_another_store_stays(store_url: str) -> None:
    path = left_behind(store_url + "_other", *frozen(1))
    asyncio.run(replay(store_url).look())
    assert counts(store_url) == 0
    assert path.exists()


def test_two_processes_that_find_one_file_write_it_once(store_url: str) -> None:
    for _ in range(3):
        left_behind(store_url, *frozen(*range(1, 20)))

    async def both() -> None:
        one, other = replay(store_url), replay(store_url)
        await asyncio.gather(one.look(), other.look())
        assert one.replayed + other.replayed == 3

    asyncio.run(both())
    assert (counts(store_url), len(lines(store_url))) == (57, 57)


def test_a_file_is_kept_while_the_store_is_away(server: PostgreSQL, start: Start) -> None:
    server.stop()
    path = left_behind(server.url, *frozen(1, 2))
    pipeline = start(server.url, service_name="shop", flush_interval=1)
    until(lambda: pipeline.status.state == "unavailable")
    assert path.exists()
    server.start()
    until(lambda: not path.exists())
    assert counts(server.url) == 2


def test_an_unfinished_file_is_removed_once_nobody_will_finish_it(store_url: str) -> None:
    path = left_behind(store_url, *frozen(1))
    path = path.rename(path.with_name(path.name + ".unfinished"))
    asyncio.run(replay(store_url).look())
    assert path.exists()
    os.utime(path, (time.time() - 100, time.time() - 100))
    asyncio.run(replay(store_url).look())
    assert (counts(store_url), path.exists()) == (0, False)


def test_what_ended_processes_leave_is_bounded(store_url: str) -> None:
    paths = [left_behind(store_url, *frozen(1)) for _ in range(6)]
    for age, path in enumerate(paths):
        os.utime(path, (time.time() - age, time.time() - age))
    pruned = replay(store_url, spool_bytes=paths[0].stat().st_size + 50)
    pruned.prune()
    assert [path.exists() for path in paths] == [True] * 4 + [False] * 2


def test_what_is_set_aside_is_bounded_with_the_rest(store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """While the store answers as well, and while it does not; the newest stay, whatever they are."""
    paths = [left_behind(store_url, *frozen(1)) for _ in range(6)]
    aside = [path.with_name(path.name + ".damaged") for path in paths]
    for age, path in enumerate(paths):
        os.utime(path, (time.time() - 48 * 3600 - age,) * 2)
    size = paths[0].stat().st_size
    own = OwnMeters()
    pruned = Replay(settings(store_url, spool_bytes=size + 50), lambda instance: Writer(store_url, instance), own)
    running(pruned, lambda: not any(path.exists() for path in (*paths, *aside[4:])))
    assert [path.exists() for path in aside] == [True] * 4 + [False] * 2
    assert (pruned.set_aside, own.dropped["spool", "spool_full"]) == (4, 2)
    assert sum("is removed: ended processes left more" in record.message for record in caplog.records) == 2
    newer = left_behind(store_url, *frozen(2))
    pruned.prune()
    assert newer.exists()
    assert ([path.exists() for path in aside], pruned.set_aside) == ([True] * 3 + [False] * 3, 3)


def running(replay: Replay, true: Callable[[], bool]) -> None:
    """Have it run, as it does while the store answers, until that is true."""
    with ThreadPoolExecutor(1) as thread, asyncio.Runner() as runner:
        task = runner.get_loop().create_task(replay.run(lambda: True))
        done = thread.submit(until, true)
        done.add_done_callback(lambda _: runner.get_loop().call_soon_threadsafe(task.cancel))
        with suppress(asyncio.CancelledError):
            runner.get_loop().run_until_complete(task)
        done.result()


CHILD = f"""
import sys; sys.path[:0] = {PATHS!r}
import time
from support.pipelines import answer, line, process
from watchglass.exporters.pipeline import Pipeline
from watchglass.instrumentation.recorder import Recorder
from watchglass.settings import Settings

recorder = Recorder()
settings = Settings(app_database_url=sys.argv[1], service_name="shop", flush_interval=1)
pipeline = Pipeline(settings, process(), recorder.collect)
pipeline.start()
sent = 0
while True:
    answer(recorder)
    pipeline.offer_log(line(str(sent)))
    sent += 1
    print(sent, flush=True)
    time.sleep(0.01)
"""


def test_a_process_killed_while_the_store_is_away_loses_one_interval_at_most(
    server: PostgreSQL, start: Start, recorder: Recorder
) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, server.url], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    sent = {0.0: 0}
    begin = time.monotonic()
    try:
        while time.monotonic() - begin < 9:
            sent[time.monotonic()] = int(child.stdout.readline())
            if len(sent) == 250:
                server.stop()
    finally:
        killed = time.monotonic()
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    everything = max(sent.values())
    kept = max(number for moment, number in sent.items() if moment < killed - 1.3)
    server.start()
    assert counts(server.url) < kept, "the store lacks what came while it was away"
    pipeline = start(server.url, service_name="shop", flush_interval=1)
    folder = Settings().state_folder / "spool"
    until(lambda: pipeline.status.state == "ok" and not list(folder.iterdir()))
    assert kept <= counts(server.url) <= everything
    stored = fetch(server.url, "SELECT count(*), count(DISTINCT message) AS different FROM watchglass.logs")
    assert stored[0]["count"] == stored[0]["different"] >= kept


def test_a_process_that_ends_while_the_store_is_away_leaves_everything(
    server: PostgreSQL, recorder: Recorder, start: Start
) -> None:
    server.stop()
    me = process()
    ended = Pipeline(settings(server.url, flush_interval=300), me, recorder.collect)
    ended.start()
    for number in range(12_000):
        answer(recorder)
        ended.offer_log(line(str(number)))
    ended.stop()
    assert ended.status.spooled_bytes > 0
    del ended
    gc.collect()  # as if its process ended, and its lock with it
    server.start()
    next_one = Pipeline(settings(server.url), replace(process(), pid=2), Recorder().collect)
    next_one.start()
    try:
        until(lambda: next_one.status.state == "ok")
        until(lambda: counts(server.url) == 12_000)
        until(lambda: len(lines(server.url)) == 12_000)
    finally:
        next_one.stop()
