"""PostgreSQL's and Redis' own figures, taken by the elected process."""

from __future__ import annotations

from typing import Final

from watchglass.instruments import Meter

TABLE: Final = "postgresql.table.name"

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
POSTGRESQL_TEMP_FILES = Meter(
    "postgresql.temp_files", "counter", "{temp_file}", "The number of temporary files that statements needed."
)
POSTGRESQL_TEMP_IO = Meter("postgresql.temp.io", "counter", "By", "Bytes written to temporary files by statements.")
POSTGRESQL_CHECKPOINTS = Meter(
    "postgresql.bgwriter.checkpoint.count",
    "counter",
    "{checkpoint}",
    "The number of checkpoints, by type: scheduled or requested.",
    ("type",),
)
POSTGRESQL_TABLE_SIZE = Meter(
    "postgresql.table.size",
    "gauge",
    "By",
    "Disk space used by a table and its TOAST, of the largest tables.",
    (TABLE,),
    across="latest",
)
POSTGRESQL_INDEX_SIZE = Meter(
    "postgresql.index.size",
    "gauge",
    "By",
    "Disk space used by the indexes of a table, of the largest tables.",
    (TABLE,),
    across="latest",
)

# Redis
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
