"""The machine and the processes: the tile, and the figures of /performance/system."""

from __future__ import annotations

from watchglass.analysis.windows import Window
from watchglass.api import words
from watchglass.api.asking import Asked, Parameters, Reading, Readings, Spec, figures
from watchglass.api.models import Figure, Tile
from watchglass.api.series import mean, newest, percentile_lines, total
from watchglass.meters import (
    EVENT_LOOP_LAG,
    PROCESS_CPU_UTILIZATION,
    PROCESS_MEMORY_USAGE,
    PROCESS_OPEN_FILES,
    PROCESS_THREADS,
    SYSTEM_CPU_UTILIZATION,
    SYSTEM_FILESYSTEM_LIMIT,
    SYSTEM_FILESYSTEM_UTILIZATION,
    SYSTEM_MEMORY_LIMIT,
    SYSTEM_MEMORY_UTILIZATION,
    Meter,
)

UNREAD = "The machine was not read in this window."

SPECS = {
    "cpu": Spec("CPU", "1", "mean", "up"),
    "memory": Spec("Memory", "1", "last", "up"),
    "disk": Spec("Disk", "1", "last", "up"),
}
DETAILS = {
    **SPECS,
    "memory_limit": Spec("Memory installed", "By", "last"),
    "disk_limit": Spec("Disk size", "By", "last"),
    "process_cpu": Spec("CPU of a process", "1", "mean", "up"),
    "process_memory": Spec("Memory of the largest process", "By", "last", "up"),
    "open_files": Spec("Open files of a process, at most", "{file_descriptor}", "last", "up"),
    "threads": Spec("Threads of a process, at most", "{thread}", "last", "up"),
    "loop_lag": Spec("Event-loop lag, P99", "s", "p99", "up"),
}


async def read(asked: Asked, window: Window) -> Readings:
    """CPU, memory and disk of the machines, of one window; of several machines, the fullest."""
    return {
        "cpu": await _mean(asked, window, SYSTEM_CPU_UTILIZATION),
        "memory": await _most(asked, window, SYSTEM_MEMORY_UTILIZATION),
        "disk": await _most(asked, window, SYSTEM_FILESYSTEM_UTILIZATION),
    }


async def read_details(asked: Asked, window: Window) -> Readings:
    """What the tile shows, and the processes."""
    return {
        **await read(asked, window),
        "memory_limit": await _most(asked, window, SYSTEM_MEMORY_LIMIT),
        "disk_limit": await _most(asked, window, SYSTEM_FILESYSTEM_LIMIT),
        "process_cpu": await _mean(asked, window, PROCESS_CPU_UTILIZATION),
        "process_memory": await _most(asked, window, PROCESS_MEMORY_USAGE),
        "open_files": await _most(asked, window, PROCESS_OPEN_FILES),
        "threads": await _most(asked, window, PROCESS_THREADS),
        "loop_lag": await _lag(asked, window),
    }


async def tile(asked: Asked, _parameters: Parameters) -> Tile:
    """CPU, memory and disk."""
    return _answer(asked, "tile_system", await figures(asked, SPECS, read))


async def detailed(asked: Asked, _parameters: Parameters) -> Tile:
    """The machine, the processes and the event loop."""
    return _answer(asked, "system", await figures(asked, DETAILS, read_details))


def _answer(asked: Asked, card: str, found: dict[str, Figure]) -> Tile:
    sentence = words.sentence(
        found,
        ("cpu", lambda cpu: f"CPU {words.figure(cpu)}"),
        ("memory", lambda memory: f"memory {words.figure(memory)}"),
        ("disk", lambda disk: f"disk {words.figure(disk)}"),
    )
    return Tile(**asked.head(card, "System", sentence), figures=found)


async def _mean(asked: Asked, window: Window, meter: Meter) -> Reading:
    groups = await asked.reader.select(meter.name, window, step=asked.step)
    return mean(groups, window.slots(asked.step), UNREAD)


async def _most(asked: Asked, window: Window, meter: Meter) -> Reading:
    """The largest reading of the newest slot."""
    groups = await asked.reader.select(meter.name, window, step=asked.step)
    return newest(groups, window.slots(asked.step), UNREAD, lambda group: group.max)


async def _lag(asked: Asked, window: Window) -> Reading:
    groups = await asked.reader.select(EVENT_LOOP_LAG.name, window, step=asked.step)
    whole = total(groups)
    lines, _ = percentile_lines(groups, window.slots(asked.step))
    return Reading(
        whole.percentile(0.99), whole.count, None if whole.count else UNREAD, lines[2] if whole.count else None
    )
