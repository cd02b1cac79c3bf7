"""Every error Watchglass raises on purpose.

The docstring of a class is its message: it speaks to the person who will read it and says what to do next.
Fields in braces are filled from the keyword arguments.
"""

from __future__ import annotations

import inspect


class WatchglassError(Exception):
    """Something went wrong in Watchglass."""

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        super().__init__(inspect.cleandoc(type(self).__doc__ or "").replace("\n", " ").format(**fields))


class SettingsError(WatchglassError):
    """{variable} is {value}: {reason}. Set it to {allowed}."""


class UnknownSetting(WatchglassError):
    """There is no setting {name}; the nearest is {similar}. All are listed in docs/settings.md."""


class DatabaseNotConfigured(WatchglassError):
    """No database is set. Set DATABASE_URL (or WATCHGLASS_DATABASE_URL, to keep the telemetry elsewhere) to
    postgresql://user:password@host:port/database."""


class DatabaseUnavailable(WatchglassError):
    """PostgreSQL at {address} does not answer: {reason}. Telemetry is kept in memory until it is back."""

    @property
    def plainly(self) -> str:
        """Why, without what it means for telemetry."""
        return str(self).partition(" Telemetry is kept in memory")[0]


class DatabaseBusy(DatabaseUnavailable):
    """PostgreSQL at {address} answers, but {reason}. {remedy} Telemetry is kept in memory meanwhile."""


class RedisUnavailable(WatchglassError):
    """Redis at {address} cannot be used: {reason}."""


class SchemaMissing(WatchglassError):
    """The schema watchglass is missing from {address}, or older than this version needs ({found} < {needed}).
    Run `watchglass migrate` with the URL of a role that may make it (an owner of the database; --role names the
    service's own), or set WATCHGLASS_MIGRATIONS=auto where the service's role may."""


class SchemaForbidden(WatchglassError):
    """The role {role} lacks a right on the schema watchglass in {address}. Its owner, or an owner of the database,
    gives it with: {statement}"""


class RoleNotFound(WatchglassError):
    """There is no role {role} at {address}. Correct its name, or create it with: CREATE ROLE {role} LOGIN"""


class RoleExists(WatchglassError):
    """There is a role {role} at {address} already. Name another, or drop that one first: DROP OWNED BY {role};
    DROP ROLE {role}"""


class QueryTooSlow(WatchglassError):
    """The store did not answer within {seconds} s and the question was cancelled. Choose a shorter range, or ask again
    when the database is less busy."""


class WriterTooOld(WatchglassError):
    """The store needs writers of version {needed} or newer, this process writes version {found}.
    Upgrade watchglass in this service; its telemetry is not stored until then."""


class LeaseLost(WatchglassError):
    """Another process does the {name} now. Nothing has to be done: this one takes over when that one ends."""


class AlreadyObserving(WatchglassError):
    """This process observes the service {service} with other settings. Pass the same settings to each observe(), or
    undo the first with unobserve()."""


class ApplicationNotFound(WatchglassError):
    """{target} is not an ASGI application: {reason}. Name it as MODULE:ATTRIBUTE, for example shop.main:app."""


class ServerNotFound(WatchglassError):
    """{program} is not on this machine and the package that carries it is not installed. {remedy}"""


class ServerStartFailed(WatchglassError):
    """{program} did not start: {reason}."""


class ServerEnded(WatchglassError):
    """{program} ended by itself with exit code {code}. What it said last: {said}"""


class DataFolderInUse(WatchglassError):
    """The folder {folder} is in use by another run (process {pid}). Stop that one, or name another with --data."""


class FolderNotWritable(WatchglassError):
    """The folder {folder} cannot be used: {reason}. Name another on the command line, or in WATCHGLASS_STATE_DIR where
    it is the state folder or below it."""


class PortInUse(WatchglassError):
    """Port {port} is in use. Choose another with --port, or --port 0 for a free one."""


class AddressUnusable(WatchglassError):
    """Nothing can listen on {host}: {reason}. Name an address of this machine with --host, for example 127.0.0.1."""


class ExtraMissing(WatchglassError):
    """{feature} needs the package {package}. Install it with: pip install 'watchglass[{extra}]'"""


class InvalidRange(WatchglassError):
    """{value} is not a time range. Use one of {allowed}, or start and end as ISO 8601 with a zone, start before end."""


class AssetsMissing(WatchglassError):
    """The browser's assets are not built: {folder} has no manifest.json. Install the project with `pip install -e .`
    (it needs Node.js), or run `npm ci --ignore-scripts && node build.mjs ../static` in src/watchglass/ui/assets."""


class InvalidCache(WatchglassError):
    """The cache {name} cannot be named: {reason}. Call watchglass.cache("search", prefix="search:") once per cache."""
