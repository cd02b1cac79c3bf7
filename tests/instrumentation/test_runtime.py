"""The process and its machine are read where it costs the service nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from watchglass import guard, meters
from watchglass.instrumentation import runtime
from watchglass.instrumentation.lag import MeanLag
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.runtime import RuntimeInstrumentor
from watchglass.meters import Meter
from watchglass.records import State


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def instrumentor(recorder: Recorder) -> Iterator[RuntimeInstrumentor]:
    instrumentor = RuntimeInstrumentor()
    instrumentor.instrument(recorder=recorder)
    yield instrumentor
    instrumentor.uninstrument()


def states(recorder: Recorder, meter: Meter) -> list[State]:
    return [state for state in recorder.collect() if state.meter is meter]


def value(recorder: Recorder, meter: Meter) -> float:
    [state] = states(recorder, meter)
    return state.sum


def test_what_the_operating_system_says_is_read_when_the_meters_are(
    recorder: Recorder, instrumentor: RuntimeInstrumentor
) -> None:
    process, memory = psutil.Process(), psutil.virtual_memory()
    assert value(recorder, meters.PROCESS_MEMORY_USAGE) == pytest.approx(process.memory_info().rss, rel=0.2)
    assert value(recorder, meters.PROCESS_THREADS) == pytest.approx(process.num_threads(), abs=2)
    assert value(recorder, meters.PROCESS_OPEN_FILES) == pytest.approx(process.num_fds(), abs=8)
    assert value(recorder, meters.SYSTEM_MEMORY_LIMIT) == memory.total
    assert 0 < value(recorder, meters.SYSTEM_MEMORY_UTILIZATION) < 1
    [disk] = states(recorder, meters.SYSTEM_FILESYSTEM_UTILIZATION)
    mountpoint = disk.values[0]
    assert mountpoint
    assert os.path.ismount(mountpoint)
    assert disk.sum == pytest.approx(psutil.disk_usage(mountpoint).percent / 100, abs=0.05)


def test_a_busy_process_shows_as_busy_and_the_first_reading_claims_nothing(
    recorder: Recorder, instrumentor: RuntimeInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert states(recorder, meters.PROCESS_CPU_UTILIZATION) == []
    monkeypatch.setattr(runtime, "FRESH", 0.2)
    began = time.process_time()
    while time.process_time() - began < 0.3:
        pass
    assert 0.02 < value(recorder, meters.PROCESS_CPU_UTILIZATION) <= 1
    assert 0.02 < value(recorder, meters.SYSTEM_CPU_UTILIZATION) <= 1


def test_several_who_read_at_once_cost_one_reading(
    recorder: Recorder, instrumentor: RuntimeInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.collect()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: pytest.fail("read again within a second"))
    recorder.collect()


def test_collections_of_garbage_are_counted(recorder: Recorder, instrumentor: RuntimeInstrumentor) -> None:
    counted = {state.values[0]: state.sum for state in states(recorder, meters.GC_COLLECTIONS)}
    assert set(counted) == {"0", "1", "2"}
    assert counted["2"] <= gc.get_stats()[2]["collections"]


async def test_a_blocked_loop_shows_as_lag(recorder: Recorder, instrumentor: RuntimeInstrumentor) -> None:
    instrumentor.watch_loop()
    instrumentor.watch_loop()
    await asyncio.sleep(runtime.TICK / 2)
    time.sleep(0.3)  # noqa: ASYNC251 - what a careless handler does
    await asyncio.sleep(runtime.TICK)
    instrumentor.leave_loop()
    [lag] = states(recorder, meters.EVENT_LOOP_LAG)
    assert lag.max is not None
    assert 0.15 < lag.max < 2
    await asyncio.sleep(runtime.TICK * 2)
    [later] = states(recorder, meters.EVENT_LOOP_LAG)
    assert later.count == lag.count


async def test_an_error_of_ours_does_not_reach_the_loop_nor_end_the_watching(
    instrumentor: RuntimeInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    monkeypatch.setattr(guard, "strict", False)
    monkeypatch.setattr(guard, "errors", Counter())
    monkeypatch.setattr(MeanLag, "looked", lambda *_: 1 / 0)
    instrumentor.watch_loop()
    for _ in range(300):
        await asyncio.sleep(runtime.TICK)
        if guard.errors["runtime"] > 1:
            break
    instrumentor.leave_loop()
    assert guard.errors["runtime"] > 1
    assert reported == []


async def test_a_watched_loop_keeps_no_handle_after_uninstrumenting(
    recorder: Recorder, instrumentor: RuntimeInstrumentor
) -> None:
    instrumentor.watch_loop()
    instrumentor.uninstrument()
    await asyncio.sleep(runtime.TICK * 3)
    assert not [state for state in states(recorder, meters.EVENT_LOOP_LAG) if state.count]
    instrumentor.leave_loop()


def test_nothing_is_read_after_uninstrumenting(
    recorder: Recorder, instrumentor: RuntimeInstrumentor, monkeypatch: pytest.MonkeyPatch
) -> None:
    instrumentor.uninstrument()
    recorder.collect()
    assert states(recorder, meters.PROCESS_MEMORY_USAGE) == []
