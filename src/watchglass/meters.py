"""Every instrument: name, unit, description, attributes, in one table.

Names are those of the OpenTelemetry semantic conventions, of the OpenTelemetry Collector's `postgresql` and `redis`
receivers where the conventions have none, and `watchglass.*` where neither has one.

Attribute values are passed to the recorder as a plain tuple in the order of `Meter.attributes`; `None` and "" mean
"not set" and are left out of what is stored or exposed.
"""

from __future__ import annotations

from watchglass.instruments import Across, Kind, Meter

__all__ = ["ALL", "BY_NAME", "Across", "Kind", "Meter"]

HTTP_SERVER_REQUESTS = Meter(
    "watchglass.http.server.requests",
    "counter",
    "{request}",
    "HTTP requests by route, status and error.",
    ("http.request.method", "http.route", "http.response.status_code", "error.type"),
)
HTTP_SERVER_REQUEST_DURATION = Meter(
    "http.server.request.duration",
    "histogram",
    "s",
    "Duration of HTTP server requests; of a stream, until its first byte.",
    ("http.request.method", "http.route", "http.response.status_code", "error.type", "url.scheme"),
    stored=("http.request.method", "http.route"),
    breakdown=HTTP_SERVER_REQUESTS,
)
_DETAIL = ("db.query.summary", "db.query.text", "watchglass.cache.type", "server.address")
HTTP_SERVER_BUDGET = Meter(
    "watchglass.http.server.budget",
    "counter",
    "s",
    "Where the time of HTTP server requests went: own code and what it waited for; it adds up to their duration.",
    ("http.request.method", "http.route", "watchglass.budget.component", *_DETAIL),
    exposed=("http.request.method", "http.route", "watchglass.budget.component"),
)
HTTP_SERVER_ACTIVE_REQUESTS = Meter(
    "http.server.active_requests",
    "updown",
    "{request}",
    "Number of active HTTP server requests.",
    ("http.request.method", "url.scheme"),
)
HTTP_SERVER_STREAM_DURATION = Meter(
    "watchglass.http.server.stream.duration",
    "histogram",
    "s",
    "How long streamed responses and WebSocket connections stayed open.",
    ("http.request.method", "http.route", "network.protocol.name"),
)
DB_CLIENT_OPERATION_DURATION = Meter(
    "db.client.operation.duration",
    "histogram",
    "s",
    "Duration of database client operations.",
    (
        "db.system.name",
        "db.operation.name",
        "db.query.summary",
        "db.query.text",
        "watchglass.cache.type",
        "error.type",
    ),
    exposed=("db.system.name", "db.operation.name", "db.query.summary", "watchglass.cache.type", "error.type"),
)
CACHE_LOOKUPS = Meter(
    "watchglass.cache.lookups",
    "counter",
    "{lookup}",
    "Keys looked up in a cache, by cache type and result (hit or miss).",
    ("watchglass.cache.type", "watchglass.cache.result"),
)
DB_CLIENT_CONNECTION_WAIT_TIME = Meter(
    "db.client.connection.wait_time",
    "histogram",
    "s",
    "The time it took to obtain an open connection from the pool.",
    ("db.client.connection.pool.name",),
)
DB_CLIENT_CONNECTION_TIMEOUTS = Meter(
    "db.client.connection.timeouts",
    "counter",
    "{timeout}",
    "Connection timeouts while trying to obtain a connection from the pool.",
    ("db.client.connection.pool.name",),
)
DB_CLIENT_CONNECTION_COUNT = Meter(
    "db.client.connection.count",
    "gauge",
    "{connection}",
    "Connections of the pool that are in the state.",
    ("db.client.connection.pool.name", "db.client.connection.state"),
)
DB_CLIENT_CONNECTION_MAX = Meter(
    "db.client.connection.max",
    "gauge",
    "{connection}",
    "The maximum number of open connections allowed.",
    ("db.client.connection.pool.name",),
)
DB_CLIENT_CONNECTION_PENDING_REQUESTS = Meter(
    "db.client.connection.pending_requests",
    "gauge",
    "{request}",
    "Pending requests for an open connection.",
    ("db.client.connection.pool.name",),
)

# The process and its machine
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

# PostgreSQL's own figures, taken by the elected process
POSTGRESQL_BACKENDS = Meter(
    "postgresql.backends",
    "updown",
    "1",
    "The number of backends connected to the server, by state.",
    ("state",),
    across="latest",
)
POSTGRESQL_CONNECTION_MAX = Meter(
    "postgresql.connection.max", "gauge", "{connection}", "Maximum of client connections allowed.", across="latest"
)
POSTGRESQL_DB_SIZE = Meter("postgresql.db_size", "gauge", "By", "The database disk usage.", across="latest")
POSTGRESQL_BLKS_HIT = Meter(
    "postgresql.blks_hit", "counter", "{blk_hit}", "Disk blocks that were found already in the buffer cache."
)
POSTGRESQL_BLKS_READ = Meter(
    "postgresql.blks_read", "counter", "{blks_read}", "Disk blocks read from outside of the buffer cache."
)
POSTGRESQL_COMMITS = Meter("postgresql.commits", "counter", "1", "The number of commits.")
POSTGRESQL_ROLLBACKS = Meter("postgresql.rollbacks", "counter", "1", "The number of rollbacks.")
POSTGRESQL_DEADLOCKS = Meter("postgresql.deadlocks", "counter", "{deadlock}", "The number of deadlocks.")

# Redis' own figures, taken by the elected process
REDIS_MEMORY_USED = Meter(
    "redis.memory.used", "gauge", "By", "Bytes allocated by Redis using its allocator.", across="latest"
)
REDIS_MEMORY_MAX = Meter(
    "redis.maxmemory", "gauge", "By", "The value of the maxmemory directive; 0 is no limit.", across="latest"
)
REDIS_KEYS_EVICTED = Meter(
    "redis.keys.evicted", "counter", "{key}", "Number of evicted keys due to the maxmemory limit."
)
REDIS_KEYS_EXPIRED = Meter("redis.keys.expired", "counter", "{event}", "Total number of key expiration events.")
REDIS_KEYSPACE_HITS = Meter(
    "redis.keyspace.hits", "counter", "{hit}", "Number of successful lookups of keys in the main dictionary."
)
REDIS_KEYSPACE_MISSES = Meter(
    "redis.keyspace.misses", "counter", "{miss}", "Number of failed lookups of keys in the main dictionary."
)
REDIS_CLIENTS_CONNECTED = Meter(
    "redis.clients.connected", "gauge", "{client}", "Client connections (excluding replicas).", across="latest"
)
REDIS_KEYS = Meter("redis.db.keys", "gauge", "{key}", "Number of keyspace keys, of all databases.", across="latest")
REDIS_UPTIME = Meter("redis.uptime", "gauge", "s", "Number of seconds since Redis server start.", across="latest")

# Watchglass itself
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

ALL: tuple[Meter, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Meter))
BY_NAME: dict[str, Meter] = {meter.name: meter for meter in ALL}
