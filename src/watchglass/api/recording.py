"""Metrics recorded by hand: what is taken, how much of it, and the way into this process's recorder.

From there they go where all meters go: into the store and to `/metrics`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from watchglass.api.models import Model

if TYPE_CHECKING:
    from watchglass.api.recorded import RecordedMeters

NAME = r"^[A-Za-z][A-Za-z0-9_./-]{0,254}$"
"""https://opentelemetry.io/docs/specs/otel/metrics/api/#instrument-name-syntax"""

MOST = 1e15
"""The largest value: sums of it stay finite, and counts exact."""

A_BATCH, A_BODY, ATTRIBUTES, LONGEST = 100, 262_144, 16, 256
A_SECOND, AT_ONCE = 100.0, 1000.0
"""Measurements a process takes: on average, and at once."""

RESERVED = ("otel.", "service.", "host.", "process.")
"""Attributes of the process or of OpenTelemetry itself begin like this."""

Kind = Literal["counter", "gauge", "histogram", "timer"]


def _attribute(name: str) -> str:
    if name.startswith(RESERVED) or name in ("le", "quantile"):
        raise ValueError(f"{name} says something else already; choose another name")
    return name


def _scalar(value: object) -> object:
    if value is not None and not isinstance(value, str | bool | int | float):
        raise ValueError("text, a number or true or false is expected, nothing nested")
    if len(str(value)) > LONGEST:
        raise ValueError(f"at most {LONGEST} characters are kept")
    return value


AttributeValue = Annotated[Any, BeforeValidator(_scalar)]
AttributeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$"), AfterValidator(_attribute)]


class Measurement(BaseModel):
    """One value of a metric. A counter takes what it grew by, a gauge what it is, a histogram one observation.

    A timer is a histogram in seconds. `unit` is UCUM's ("s", "By", "{order}"), `metadata` holds the attributes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric_type: Kind
    metric_name: Annotated[str, StringConstraints(pattern=NAME)]
    value: Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-MOST, le=MOST)]
    unit: Annotated[str, StringConstraints(pattern=r"^[!-~]{0,63}$")] = ""
    metadata: Annotated[dict[AttributeName, AttributeValue], Field(default_factory=dict, max_length=ATTRIBUTES)]

    def model_post_init(self, _context: Any) -> None:
        if self.value < 0 and self.metric_type != "gauge":
            raise ValueError(f"a {self.metric_type} takes no value below 0; a gauge does")


_ONE = TypeAdapter(Measurement)
_MANY = TypeAdapter(Annotated[list[Measurement], Field(min_length=1, max_length=A_BATCH)])

SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"anyOf": [_ONE.json_schema(), _MANY.json_schema()]}}},
    }
}
"""What the route takes, for OpenAPI."""


class RecordedAnswer(Model):
    """How many measurements were recorded. They are in the store after the next flush, on `/metrics` at once."""

    recorded: int


class Bucket:
    """A token bucket: `rate` a second on average, `burst` at once."""

    def __init__(
        self, rate: float = A_SECOND, burst: float = AT_ONCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._at = burst, clock()

    def take(self, number: int) -> float:
        """Take so many, or none; the seconds after which there will be enough, 0 when they were taken."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if number > self._left:
            return (number - self._left) / self._rate
        self._left -= number
        return 0.0


class Recording:
    """Takes what is recorded by hand in one process."""

    def __init__(self, meters: RecordedMeters | None, bucket: Bucket | None = None) -> None:
        self._meters = meters
        self._bucket = bucket or Bucket()

    async def take(self, request: Request, note: Callable[[Sequence[str]], Awaitable[None]]) -> RecordedAnswer:
        """Record the request's measurements, all of them or none; `note` is told the names that are new, if any.

        Raises pydantic's `ValidationError`, and HTTPException for too much (413, 429) and what collides (409, 422).
        """
        if self._meters is None:
            raise HTTPException(503, "This process is none of the service's. Send metrics to the service itself.")
        batch = await measurements(request)
        if wait := self._bucket.take(len(batch)):
            sentence = f"A process takes {A_SECOND:g} measurements a second, {AT_ONCE:g} at once. Try again later."
            raise HTTPException(429, sentence, {"retry-after": str(int(wait) + 1)})
        if new := await self._meters.record(batch):
            await note(new)
        return RecordedAnswer(recorded=len(batch))


async def measurements(request: Request) -> Sequence[Measurement]:
    """One measurement, or a list of them. Raises HTTPException for a body that is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > A_BODY:
            raise HTTPException(413, f"At most {A_BODY:,} bytes are taken at a time. Send fewer measurements.")
    return _MANY.validate_json(body) if body.lstrip()[:1] == b"[" else [_ONE.validate_json(body)]
