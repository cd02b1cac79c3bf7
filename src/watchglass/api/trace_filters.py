"""Which traces are meant, from a URL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field
from starlette.exceptions import HTTPException

from watchglass.analysis.fingerprints import is_fingerprint, of_statement
from watchglass.api.asking import Asked, Parameters
from watchglass.api.endpoint import identified
from watchglass.api.logs import SEARCHER
from watchglass.redaction import sql_shape
from watchglass.store import traces as store
from watchglass.store.logs import Place
from watchglass.store.traces import Wanted

if TYPE_CHECKING:
    from watchglass.store.database import Database

_STATUS = re.compile(r"[1-5]xx|[1-9]\d\d")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("NUL is in no text that is stored")
    return text


def _is_status(text: str) -> str:
    if text and not _STATUS.fullmatch(text):
        raise ValueError("a status is three digits, or a class of them such as 5xx")
    return text


Text = Annotated[str, Field(max_length=2_000), AfterValidator(_storable)]
Status = Annotated[str, AfterValidator(_is_status)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TracesParameters(Parameters):
    """Which traces. `statement` is a fingerprint, or a part of a statement's text; `error_type` is a whole name.

    `endpoint_id` goes before `method` and `route`; `trace_id` goes before all others, the range included. Durations are
    in seconds.
    """

    trace_id: Text = ""
    endpoint_id: Text = ""
    method: Text = ""
    route: Text = ""
    status: Status = ""
    error: bool = False
    error_type: Text = ""
    error_group: Text = ""
    statement: Text = ""
    reason: Text = ""
    service: Text = ""
    min_duration: Seconds | None = None
    max_duration: Seconds | None = None
    limit: int = Field(50, ge=1, le=200)
    before: Text = ""


async def wanted_of(asked: Asked, parameters: TracesParameters) -> Wanted:
    """What the parameters ask for; of this service where they name none. Raises HTTPException."""
    low, high = _statuses(parameters.status)
    method, route, unmatched = endpoint_of(parameters.endpoint_id, parameters.method, parameters.route)
    return Wanted(
        service=parameters.service or asked.reader.service,
        method=method,
        route=route,
        unmatched=unmatched,
        lowest_status=low,
        highest_status=high,
        errors=parameters.error,
        error_type=parameters.error_type or None,
        error_group=parameters.error_group or None,
        statements=await _statements(asked, parameters.statement),
        reason=parameters.reason or None,
        min_duration=parameters.min_duration,
        max_duration=parameters.max_duration,
    )


def endpoint_of(endpoint_id: str, method: str = "", route: str = "") -> tuple[str | None, str | None, bool]:
    """Method, route, and whether paths that no route matched are meant. Raises HTTPException."""
    if not endpoint_id:
        return method or None, route or None, False
    key = identified(endpoint_id)
    if key is None or "\x00" in f"{key[0]}{key[1]}":
        raise HTTPException(404, "There is no such endpoint. Take its endpoint_id from the list of endpoints.")
    return *key, key == (None, None)


def trace_id_of(text: str) -> bytes | None:
    """A trace id as W3C, or a UUID, spells it; None if it is none."""
    digits = text.strip().replace("-", "").lower()
    return bytes.fromhex(digits) if _TRACE_ID.fullmatch(digits) else None


def place_of(text: str) -> Place | None:
    """A cursor; None without one. Raises HTTPException."""
    try:
        return Place.parse(text) if text else None
    except ValueError:
        raise HTTPException(422, "before: Take it from `older` of the answer before.") from None


def searcher(asked: Asked) -> Database:
    """A connection that the figures of the page do not wait for."""
    return asked.reader.database.beside(SEARCHER)


def _statuses(text: str) -> tuple[int | None, int | None]:
    """The lowest and the highest: 404 is 404 to 404, 5xx is 500 to 599."""
    if not text:
        return None, None
    return int(text.replace("x", "0")), int(text.replace("x", "9"))


async def _statements(asked: Asked, text: str) -> list[str] | None:
    """The fingerprints of the statements that are meant: of one, of a whole text, or of all that hold it."""
    if not text:
        return None
    if is_fingerprint(text):
        return [text]
    known = await store.statements_with(searcher(asked), text)
    return sorted({of_statement(one) for one in (sql_shape(text), *known)})
