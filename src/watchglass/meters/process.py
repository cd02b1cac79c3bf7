"""What the process and its machine are measured by."""

from __future__ import annotations

from watchglass.instruments import Meter

EVENT_LOOP_LAG = Meter(
    "watchglass.event_loop.lag",
    "histogram",
    "s",
    "How much later than asked the event loop of the service ran a timer.",
)
EVENT_LOOP_BLOCKED = Meter(
    "watchglass.event_loop.blocked", "counter", "{block}", "Callbacks that held the event loop for too long."
)
PROCESS_CPU_UTILIZATION = Meter(
    "process.cpu.utilization", "gauge", "1", "CPU time of the process over elapsed time and CPUs.", across="process"
)
PROCESS_MEMORY_USAGE = Meter(
    "process.memory.usage", "gauge", "By", "The amount of physical memory in use.", across="process"
)
PROCESS_OPEN_FILES = Meter(
    "process.open_file_descriptor.count", "gauge", "{file_descriptor}", "Open file descriptors.", across="process"
)
PROCESS_THREADS = Meter("process.thread.count", "gauge", "{thread}", "Process threads count.", across="process")
GC_COLLECTIONS = Meter(
    "cpython.gc.collections",
    "counter",
    "{collection}",
    "The number of times a generation was collected since interpreter start.",
    ("cpython.gc.generation",),
)
SYSTEM_CPU_UTILIZATION = Meter(
    "system.cpu.utilization", "gauge", "1", "Time the CPUs of the machine were busy over elapsed time.", across="latest"
)
SYSTEM_MEMORY_UTILIZATION = Meter(
    "system.memory.utilization", "gauge", "1", "Memory in use over memory installed.", across="latest"
)
SYSTEM_MEMORY_LIMIT = Meter(
    "system.memory.limit", "gauge", "By", "Total memory available in the system.", across="latest"
)
SYSTEM_FILESYSTEM_UTILIZATION = Meter(
    "system.filesystem.utilization",
    "gauge",
    "1",
    "Space in use over space of the file system the service runs on.",
    ("system.filesystem.mountpoint",),
    across="latest",
)
SYSTEM_FILESYSTEM_LIMIT = Meter(
    "system.filesystem.limit",
    "gauge",
    "By",
    "The total storage capacity of the filesystem.",
    ("system.filesystem.mountpoint",),
    across="latest",
)
