"""The meters that people made by recording to them, beside the built-in ones and never in their place."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from starlette.exceptions import HTTPException

from watchglass import redaction
from watchglass.api.context import Context
from watchglass.api.recording import ATTRIBUTES, Measurement
from watchglass.errors import WatchglassError
from watchglass.exporters.prometheus import label, spelled
from watchglass.instrumentation.recorder import OVERFLOW, Recorder
from watchglass.meters import ALL, Across, Kind, Meter
from watchglass.records import Values
from watchglass.store.names import names

MOST_NAMES, MOST_SERIES = 200, 2000
"""Names, and series of all of them, that one process takes; more series share one overflow series per name."""

NAMESPACES = frozenset(meter.name.partition(".")[0] for meter in ALL) | {"otel", "target"}
"""Where the names of built-in instruments begin."""

DESCRIPTION = "Recorded by hand."

Known = Callable[[], Awaitable[Mapping[str, tuple[str, str]]]]
"""Kind and unit of each name that is in the store."""


class RecordedMeter(Meter):
    """A meter whose attributes are met one after another: new ones come last, so that older values keep their place."""

    __slots__ = ()

    def extend(self, attributes: tuple[str, ...]) -> None:
        """From now on these: its own, and others after them."""
        object.__setattr__(self, "attributes", attributes)  # frozen for everyone else


class Draft:
    """What a batch would make of the meters that there are, which stay as they are. Raises HTTPException, says why."""

    def __init__(self, meters: dict[str, RecordedMeter], taken: dict[str, str]) -> None:
        self.new: dict[str, RecordedMeter] = {}
        self.taken: dict[str, str] = {}
        """Names on `/metrics` that the new ones take, with the meter's."""
        self.attributes: dict[RecordedMeter, tuple[str, ...]] = {}
        self._meters = ChainMap(self.new, meters)
        self._all_taken = ChainMap(self.taken, taken)

    def meter(self, one: Measurement) -> RecordedMeter:
        """That of its name, which may be new."""
        kind: Kind = "histogram" if one.metric_type == "timer" else one.metric_type
        unit = one.unit or ("s" if one.metric_type == "timer" else "")
        known = self._meters.get(one.metric_name)
        if known is None:
            across: Across = "latest" if kind == "gauge" else "sum"
            known = RecordedMeter(one.metric_name, kind, unit, DESCRIPTION, across=across)
            self._check(known)
            self.new[known.name] = known
            self.taken.update(dict.fromkeys(families(known), known.name))
        _check_same(known.name, (known.kind, known.unit), (kind, unit))
        return known

    def values(self, meter: RecordedMeter, metadata: Mapping[str, str]) -> Values:
        """The values in the order of the attributes, without the unset ones at the end."""
        names = self.attributes.get(meter, meter.attributes)
        new = tuple(name for name in metadata if name not in names)
        if new:
            names = self.attributes[meter] = _attributes(meter, names + new)
        values = [metadata.get(name) for name in names]
        while values and values[-1] is None:
            values.pop()
        return tuple(values)

    def _check(self, meter: Meter) -> None:
        """Refuse what would take the place of another meter, here or to Prometheus."""
        if meter.name.partition(".")[0].lower() in NAMESPACES:
            spaces = ", ".join(sorted(NAMESPACES))
            raise HTTPException(
                422, f"{meter.name} lies where built-in metrics are named. Begin with your own word, none of {spaces}."
            )
        if redaction.text(meter.name) != meter.name:
            raise HTTPException(422, "The name of the metric holds something secret or personal. Choose another.")
        for name in families(meter):
            if name in self._all_taken:
                raise HTTPException(
                    409, f"{meter.name} reads as {self._all_taken[name]} to Prometheus. Choose another name."
                )
        if len(self._meters) >= MOST_NAMES:
            raise HTTPException(
                422,
                f"This process has {MOST_NAMES} metrics recorded by hand, the most it takes. Use attributes instead.",
            )


class RecordedMeters:
    """The meters of one process. All is done on one event loop."""

    def __init__(self, recorder: Recorder, known: Known, redaction_key: bytes) -> None:
        self._recorder, self._known, self._key = recorder, known, redaction_key
        self._meters: dict[str, RecordedMeter] = {}
        self._taken = {name: meter.name for meter in ALL for name in families(meter)} | {"target_info": "the resource"}
        self._series: set[tuple[Meter, Values]] = set()

    async def record(self, batch: Sequence[Measurement]) -> list[str]:
        """Record all of it, and return the names that are new. Raises HTTPException before anything is changed."""
        draft, ready = self._draft(batch)
        if draft.new:
            await self._check_store(draft.new.values())
            draft, ready = self._draft(batch)  # others may have been recorded meanwhile
        self._meters.update(draft.new)
        self._taken.update(draft.taken)
        for meter, attributes in draft.attributes.items():
            meter.extend(attributes)
        for meter, values, value in ready:
            self._add(meter, values, value)
        return list(draft.new)

    def _draft(self, batch: Sequence[Measurement]) -> tuple[Draft, list[tuple[RecordedMeter, Values, float]]]:
        draft = Draft(self._meters, self._taken)
        meters = [draft.meter(one) for one in batch]
        return draft, [
            (meter, draft.values(meter, self._shown(one)), one.value) for meter, one in zip(meters, batch, strict=True)
        ]

    def _shown(self, one: Measurement) -> dict[str, str]:
        kept = {name: value for name, value in one.metadata.items() if value not in (None, "")}
        return {name: _text(value) for name, value in redaction.fields(kept, self._key).items()}

    def _add(self, meter: RecordedMeter, values: Values, value: float) -> None:
        key = (meter, values)
        if key not in self._series:
            if len(self._series) >= MOST_SERIES:
                values = (OVERFLOW,)
            else:
                self._series.add(key)
        match meter.kind:
            case "counter":
                self._recorder.counter(meter, values).add(value)
            case "gauge":
                self._recorder.gauge(meter, values).set(value)
            case _:
                self._recorder.histogram(meter, values).record(value)

    async def _check_store(self, new: Iterable[RecordedMeter]) -> None:
        """Refuse another kind or unit than earlier processes recorded; a store that does not answer knows of none."""
        try:
            found = await self._known()
        except WatchglassError:
            return
        for meter in new:
            _check_same(meter.name, found.get(meter.name, (meter.kind, meter.unit)), (meter.kind, meter.unit))


def recorded_meters(context: Context) -> RecordedMeters | None:
    """Those of this process; None where it has no recorder."""
    if context.recorder is None:
        return None

    async def known() -> dict[str, tuple[str, str]]:
        found = await names(context.reader.database) if context.reader else []
        return {name: (kind, unit) for name, kind, unit in found}

    return RecordedMeters(context.recorder, known, context.settings.redaction_key)


def families(meter: Meter) -> set[str]:
    """The names that a meter takes on `/metrics`, in lower case: its family's and its samples'."""
    name = _spelled(meter).lower()
    if meter.kind == "counter":
        name = name.removesuffix("_total")
        return {name, f"{name}_total", f"{name}_created"}
    if meter.kind == "histogram":
        return {name, *(f"{name}_{suffix}" for suffix in ("bucket", "count", "sum", "created"))}
    return {name}


_spelled: Callable[[Meter], str] = getattr(spelled, "__wrapped__", spelled)
"""Without the memory of its answers: a meter that is refused is not to be remembered."""


def _check_same(name: str, known: tuple[str, str], recorded: tuple[str, str]) -> None:
    """Raise HTTPException when its kind or unit is another."""
    kind, unit = known
    if known != recorded:
        unit = f" in {unit}" if unit else " without a unit"
        raise HTTPException(409, f"{name} is a {kind}{unit}. Record it as that, or choose another name.")


def _attributes(meter: Meter, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, which a meter may have. Raises HTTPException for too many, and for what looks the same."""
    if len(names) > ATTRIBUTES:
        raise HTTPException(422, f"{meter.name} would have more than {ATTRIBUTES} attributes: {', '.join(names)}.")
    if len({label(name) for name in names}) < len(names):
        raise HTTPException(422, f"Attributes of {meter.name} look the same to Prometheus: {', '.join(names)}.")
    return names


def _text(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
