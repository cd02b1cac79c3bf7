"""What requests, statements, commands and pools are measured by."""

from __future__ import annotations

from watchglass.instruments import Meter

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
