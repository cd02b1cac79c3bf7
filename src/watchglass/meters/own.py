"""What Watchglass measures of itself."""

from __future__ import annotations

from watchglass.instruments import Meter

WATCHGLASS_ERRORS = Meter("watchglass.errors", "counter", "{error}", "Own errors, kept from the service.", ("where",))
WATCHGLASS_DROPPED = Meter(
    "watchglass.dropped", "counter", "{record}", "Records dropped, by signal and reason.", ("signal", "reason")
)
WATCHGLASS_FLUSH_DURATION = Meter(
    "watchglass.flush.duration", "histogram", "s", "Duration of a flush into the store.", ("signal",)
)
WATCHGLASS_ROWS_WRITTEN = Meter("watchglass.rows.written", "counter", "{row}", "Rows stored, by signal.", ("signal",))
WATCHGLASS_CLAMPED = Meter("watchglass.rows.clamped", "counter", "{row}", "Rows whose time had to be moved.")
WATCHGLASS_SERIES = Meter("watchglass.series", "gauge", "{series}", "Series held in memory.")
WATCHGLASS_SERIES_OVERFLOWED = Meter(
    "watchglass.series.overflowed", "counter", "{series}", "How often the overflow series stood in for another."
)
WATCHGLASS_QUEUE = Meter("watchglass.queue.size", "gauge", "{record}", "Records that wait to be stored.", ("signal",))
WATCHGLASS_BACKLOG = Meter("watchglass.backlog.size", "gauge", "{batch}", "Batches that wait for the store.")
WATCHGLASS_BACKLOG_USAGE = Meter("watchglass.backlog.usage", "gauge", "By", "Memory of batches that wait, about.")
WATCHGLASS_SPOOL_USAGE = Meter("watchglass.spool.usage", "gauge", "By", "Bytes on disk of batches that wait.")
WATCHGLASS_SPOOL_SET_ASIDE = Meter(
    "watchglass.spool.set_aside", "gauge", "{file}", "Spools that could not be read and were kept.", across="latest"
)
WATCHGLASS_STORE_SIZE = Meter(
    "watchglass.store.size", "gauge", "By", "Bytes of a table of the store, with indexes.", ("table",), across="latest"
)
WATCHGLASS_CPU_TIME = Meter("watchglass.cpu.time", "counter", "s", "CPU time of Watchglass's own threads.", ("thread",))
WATCHGLASS_QUERY_DURATION = Meter(
    "watchglass.query.duration",
    "histogram",
    "s",
    "Duration of a statement with which the page asks the store.",
    ("statement",),
)
TRACES_SEEN = Meter("watchglass.traces.seen", "counter", "{trace}", "Local roots that ended.")
TRACES_KEPT = Meter("watchglass.traces.kept", "counter", "{trace}", "Local roots kept, by the reason.", ("reason",))
TRACES_DROPPED = Meter(
    "watchglass.traces.dropped", "counter", "{trace}", "Local roots not kept, by the reason.", ("reason",)
)
INCIDENTS = Meter("watchglass.incidents", "counter", "{incident}", "Black boxes frozen, by the reason.", ("reason",))
