"""Write the pages of docs that are made from the code: ./dev docs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from watchglass.knobs import PREFIX
from watchglass.settings import Settings

DOCS = Path(__file__).parent

HEAD = """\
# Settings

Each setting is an argument of `watchglass.Settings`, or an environment variable. Where several variables are named, the
first one that is set counts. A value out of range stops the start with a sentence that names the variable and what it
allows.

This page is made from `src/watchglass/knobs.py` by `./dev docs`.

| setting | environment | default | allowed | |
|---|---|---|---|---|
"""


def settings_page() -> str:
    """The page of all settings, in the order of the class."""
    return HEAD + "".join(row(name, field) for name, field in Settings.model_fields.items())


def row(name: str, field: FieldInfo) -> str:
    """One line of the table."""
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else []
    variables = [str(choice) for choice in choices if str(choice).isupper()]
    cells = [
        f"`{name}`",
        "<br>".join(f"`{variable}`" for variable in variables or [PREFIX + name.upper()]),
        default(field),
        allowed(field),
        " ".join((field.description or "").split()),
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def default(field: FieldInfo) -> str:
    """The default as one would write it in the environment; empty where there is none."""
    value = field.get_default()
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def allowed(field: FieldInfo) -> str:
    """The choices or the range of a setting, as its type and constraints say."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    if field.annotation is bool:
        return "`true`, `false`"
    limits = constraints(field)
    lowest = f"{limits['ge']:,}" if "ge" in limits else f"more than {limits['gt']:,}" if "gt" in limits else ""
    if lowest and "le" in limits:
        return f"{lowest} to {limits['le']:,}"
    if "min_length" in limits:
        most = f" to {limits['max_length']:,}" if "max_length" in limits else " or more"
        return f"{limits['min_length']:,}{most} characters"
    return lowest


def constraints(field: FieldInfo) -> dict[str, Any]:
    """Every bound that the field's constraints name."""
    names = ("ge", "gt", "le", "min_length", "max_length")
    return {
        name: getattr(constraint, name)
        for constraint in field.metadata
        for name in names
        if getattr(constraint, name, None) is not None
    }


if __name__ == "__main__":
    (DOCS / "settings.md").write_text(settings_page())
