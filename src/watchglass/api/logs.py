"""Log lines that are stored: a page of them, with how far the search went and how far back they reach."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from watchglass.api import words
from watchglass.api.asking import Asked, Parameters
from watchglass.api.live.filters import LiveFilters
from watchglass.api.log_answers import LogsAnswer, LogSearched
from watchglass.api.log_lines import log_line
from watchglass.api.models import Missing
from watchglass.meters import WATCHGLASS_DROPPED
from watchglass.store.logs import LogFilter, LogPage, LogSearch, Place

SEARCHER = "watchglass searcher"
"""The application_name of the connection for searches."""

AHEAD = timedelta(minutes=5)
"""How far ahead of the database's clock a line may be dated."""

LIMIT = 500


def _place(text: str | None) -> str | None:
    if text is not None:
        try:
            Place.parse(text)
        except ValueError:
            raise ValueError("no cursor that an answer has given") from None
    return text


def _nothing(value: Any) -> Any:
    return None if value == "" else value


_Cursor = Annotated[str | None, AfterValidator(_place), BeforeValidator(_nothing)]


class LogsParameters(Parameters):
    """Which page. `before` and `after` take the cursors `older` and `newer` of an answer."""

    limit: int = Field(100, ge=1, le=LIMIT)
    before: _Cursor = None
    after: _Cursor = None

    @model_validator(mode="after")
    def _one_way(self) -> LogsParameters:
        if self.before and self.after:
            raise ValueError("before and after cannot be asked at once")
        return self


async def logs(asked: Asked, query: Mapping[str, str]) -> LogsAnswer:
    """The page that a URL asks for. Raises `ValidationError` for what makes no sense."""
    parameters = LogsParameters.model_validate(dict(query))
    wanted = wanted_of(asked, query)
    page = await _page(asked, wanted, parameters)
    reach, kept_note = await _reach(asked)
    search = _searched(page, wanted)
    older, newer = _cursors(page, parameters)
    sentence = " ".join(filter(None, (_counted(page, wanted), search.note, kept_note)))
    rows = page.rows if parameters.after is None else page.rows[::-1]
    return LogsAnswer(
        **{**asked.head("logs", "Logs", sentence, _missing(asked, page, sentence)), "resolution": None},
        records=[log_line(row) for row in rows],
        older=older,
        newer=newer,
        search=search,
        reach=reach,
        dropped=await _dropped(asked),
    )


def wanted_of(asked: Asked, query: Mapping[str, str]) -> LogFilter:
    """The filters of a URL; without a service, the lines of the service whose page it is."""
    return LiveFilters.of(query).within(asked.reader.service)


def search_of(asked: Asked, application_name: str = SEARCHER) -> LogSearch:
    """The search, on a connection of its own."""
    return LogSearch(asked.reader.database.beside(application_name))


def bounds_of(asked: Asked) -> tuple[datetime, datetime]:
    """The window; one that ends now takes in what clocks ahead of ours have dated into the next minutes."""
    start, end = (datetime.fromtimestamp(at, UTC) for at in (asked.window.start, asked.window.end))
    return start, end + AHEAD if asked.window.end >= asked.now else end


async def _page(asked: Asked, wanted: LogFilter, parameters: LogsParameters) -> LogPage:
    search, bounds = search_of(asked), bounds_of(asked)
    if parameters.after is not None:
        return await search.after(wanted, *bounds, parameters.limit, Place.parse(parameters.after))
    place = Place.parse(parameters.before) if parameters.before is not None else None
    return await search.before(wanted, *bounds, parameters.limit, place)


def _cursors(page: LogPage, parameters: LogsParameters) -> tuple[str | None, str | None]:
    """What lies beyond both ends of a page, the older side first."""
    first, last = (str(Place.of(page.rows[0])), str(Place.of(page.rows[-1]))) if page.rows else (None, None)
    beyond = (last if page.more else None) if page.complete else str(Place.at(page.reached))
    if parameters.after is not None:
        return first, beyond
    return beyond, first if parameters.before is not None else None


def _searched(page: LogPage, wanted: LogFilter) -> LogSearched:
    note = ""
    if not page.complete:
        note = f"Searched as far as {_moment(page.reached)} in the time there was: go on to search further."
    elif not page.indexed:
        note = "The text was looked for line by line where no index of PostgreSQL's pg_trgm serves it."
    return LogSearched(
        how="index" if page.indexed else "scan",
        scanned_from=None if page.complete else page.reached,
        complete=page.complete,
        note=note,
    )


def _counted(page: LogPage, wanted: LogFilter) -> str:
    what = " that match" if wanted != LogFilter(service=wanted.service) else ""
    if not page.rows:
        return f"No log lines{what} in this window." if page.complete else f"No log lines{what} found yet."
    times = sorted((page.rows[0]["time"], page.rows[-1]["time"]))
    more = " There are more." if page.more else ""
    return f"{words.plural(len(page.rows), 'log line')}{what}, from {_moment(times[0])} to {_moment(times[1])}.{more}"


async def _reach(asked: Asked) -> tuple[datetime | None, str]:
    """Since when lines are kept, and why, where the window begins before that."""
    trimmed = await search_of(asked).trimmed()
    days = asked.context.settings.retention_records_days
    kept = asked.now - days * 86_400
    if trimmed is None or trimmed[0] <= max(asked.window.start, kept):
        is_longer = asked.window.start < kept - 3600
        return None, f"Logs are kept for {words.plural(days, 'day')}." if is_longer else ""
    since = datetime.fromtimestamp(trimmed[0], UTC)
    return since, f"Logs reach back to {_moment(since)}, because {words.size(trimmed[1])} is their limit."


def _missing(asked: Asked, page: LogPage, sentence: str) -> Missing | None:
    if page.rows or not page.complete or asked.context.settings.capture_logs:
        return None
    return Missing(
        reason=sentence,
        remedy="This process keeps no log lines: set WATCHGLASS_CAPTURE_LOGS=true to keep them.",
        command="WATCHGLASS_CAPTURE_LOGS=true",
    )


async def _dropped(asked: Asked) -> int:
    groups = await asked.reader.select(WATCHGLASS_DROPPED.name, asked.window, by=("signal",))
    return round(sum(group.sum for group in groups if group.key == ("logs",)))


def _moment(moment: datetime) -> str:
    """Tue 24 Nov 14:00:05 UTC."""
    return f"{moment.astimezone(UTC):%a %d %b %H:%M:%S} UTC"
