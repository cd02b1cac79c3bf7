"""Which lines a viewer of the live tail wants: what the history takes as filters, decided line by line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from watchglass.store.logs import LogFilter

LEVELS = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}
"""The least severity number of each level."""

MOST_CHARACTERS = 500


def _trace_id(text: str | None) -> str | None:
    if text is not None and not re.fullmatch("[0-9a-f]{32}", text):
        raise ValueError("a trace id has 32 hexadecimal digits")
    return text


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _nothing(value: Any) -> Any:
    """A form sends what is not filled in as empty text."""
    return None if value == "" else value


_Text = Annotated[str | None, Field(max_length=MOST_CHARACTERS), BeforeValidator(_nothing)]


class LiveFilters(BaseModel):
    """The filters, as a URL or a command has them. A level is that level and above; text is looked for in any case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Annotated[
        Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None,
        BeforeValidator(_upper),
        BeforeValidator(_nothing),
    ] = None
    service: _Text = None
    instance: _Text = None
    logger: _Text = None
    text: _Text = None
    trace_id: Annotated[str | None, AfterValidator(_trace_id), BeforeValidator(_lower), BeforeValidator(_nothing)] = (
        None
    )

    @classmethod
    def of(cls, query: Mapping[str, str]) -> LiveFilters:
        """From a URL, which has other things as well. Raises `ValidationError`."""
        return cls.model_validate({name: query[name] for name in cls.model_fields if name in query})

    def within(self, service: str | None) -> LogFilter:
        """What is looked for: lines of `service` (None: of all) where no service is named."""
        return LogFilter(
            severity=LEVELS[self.level] if self.level else None,
            service=self.service or service,
            instance=self.instance,
            logger=self.logger,
            text=self.text,
            trace_id=bytes.fromhex(self.trace_id) if self.trace_id else None,
        )


def matches(wanted: LogFilter, row: Mapping[str, Any]) -> bool:
    """Whether a line, a row of `logs` with its process's fields, is one that is wanted."""
    return (
        (wanted.severity is None or row["severity"] >= wanted.severity)
        and (wanted.service is None or row["service_name"] == wanted.service)
        and (wanted.instance is None or row["service_instance_id"] == wanted.instance)
        and (wanted.logger is None or row["logger"] == wanted.logger)
        and (wanted.trace_id is None or row["trace_id"] == wanted.trace_id)
        and (not wanted.text or _holds(row, wanted.text.lower()))
    )


def _holds(row: Mapping[str, Any], text: str) -> bool:
    return text in row["message"].lower() or text in (row["exception"] or "").lower()
