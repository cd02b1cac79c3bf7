"""Numbers as people read them: two significant digits and a unit that fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from watchglass.api.models import Figure

NOTHING = "no data"

_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")


def number(value: float | None) -> str:
    """0.034, 3.4, 34, 340, 3,400: two significant digits below 100, whole above."""
    if value is None:
        return NOTHING
    if value and abs(value) < 99.5:
        text = f"{value:.2g}"
        return text if "e" not in text else f"{value:.1e}"
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """85 us, 8.5 ms, 1.2 s, 14 min, 3.2 h, 12 d."""
    if seconds is None:
        return NOTHING
    if seconds == 0:
        return "0 s"
    for unit, size, below in (("µs", 1e-6, 9.95e-4), ("ms", 1e-3, 0.995), ("s", 1, 99.5), ("min", 60, 5970)):
        if abs(seconds) < below:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds / 3600)} h" if abs(seconds) < 172_800 else f"{number(seconds / 86_400)} d"


def size(count: float | None) -> str:
    """340 B, 3.3 kB, 64 MB; a kB has 1,024 bytes, as PostgreSQL and Redis count: maxmemory 64mb reads as 64 MB."""
    if count is None:
        return NOTHING
    for unit in _BYTES:
        if abs(count) < 999.5 or unit == _BYTES[-1]:
            return f"{number(count)} {unit}"
        count /= 1024
    raise AssertionError


def size_between(least: float, most: float) -> str:
    """40 to 120 MB, 900 kB to 1.2 MB; one figure where both read nearly the same, the larger."""
    first, last = size(least), size(most)
    if most <= least * 1.2:
        return last
    return f"{first.split()[0]} to {last}" if first.split()[1] == last.split()[1] else f"{first} to {last}"


def percent(ratio: float | None) -> str:
    """0.034 is 3.4 %; between 99 % and 100 % one digit more, so that 99.95 % does not read as all."""
    if ratio is None:
        return NOTHING
    value = ratio * 100
    if 99 < value < 100:
        return f"{min(value, 99.99):.2f} %"
    return f"{number(value)} %"


def share(part: float) -> str:
    """A part of a whole; below 0.01 % how small it is says nothing."""
    return "< 0.01 %" if 0 < part < 0.0001 else percent(part)


def quantity(value: float | None, unit: str) -> str:
    """A value with its UCUM unit, as text: ("s", 0.085) is 85 ms, ("{request}/s", 15) is 15/s."""
    if value is None:
        return NOTHING
    if unit == "s":
        return duration(value)
    if unit == "By":
        return size(value)
    if unit == "1":
        return percent(value)
    _, _, per = unit.partition("/")
    return number(value) + (f"/{per}" if per else "")


def figure(one: Figure) -> str:
    """The value of a figure with its unit."""
    return quantity(one.value, one.unit)


def rate(one: Figure, thing: str) -> str:
    """15 requests/s: a rate, spoken; `thing` takes an s."""
    return f"{number(one.value)} {thing}{'' if one.value == 1 else 's'}/{one.unit.partition('/')[2]}"


def sentence(found: Mapping[str, Figure], *parts: tuple[str, Callable[[Figure], str]]) -> str:
    """One sentence of what is known: the text of each named figure that has a value, else why the first has none."""
    known = [say(found[name]) for name, say in parts if found[name].value is not None]
    if not known:
        return found[parts[0][0]].reason or NOTHING
    text = "; ".join((known[0], ", ".join(known[1:]))) if len(known) > 1 else known[0]
    return f"{text[0].upper()}{text[1:]}."


def plural(count: float, thing: str) -> str:
    """1 statement, 3 statements, 1,200 statements; `thing` takes an s."""
    return f"{number(count) if count != int(count) else f'{int(count):,}'} {thing}{'' if count == 1 else 's'}"


def change(one: Figure, than: str) -> str:
    """How a figure changed, to be appended (", 12 % above an hour ago"); empty where it is the same or not known."""
    if one.change is None or one.change.verdict == "same" or one.change.direction == "flat":
        return ""
    side = "above" if one.change.direction == "up" else "below"
    if one.change.relative is None or abs(one.change.relative) >= 10:
        return f", {side} {quantity(one.previous, one.unit)} {than}"
    return f", {percent(abs(one.change.relative))} {side} {than}"
