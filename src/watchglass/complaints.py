"""What is wrong with a setting, in a sentence that names its variable and what it allows."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from pydantic import AliasChoices, ValidationError
from pydantic.fields import FieldInfo

from watchglass.errors import SettingsError, UnknownSetting, WatchglassError

_ALLOWED = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
    "string_too_short": "at least {min_length} characters",
    "too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "float_parsing": "a number",
}


def explain(error: ValidationError, fields: Mapping[str, FieldInfo], prefix: str) -> WatchglassError:
    """Pydantic's first complaint about settings as an error that names the variable and what it allows."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    if first["type"] == "extra_forbidden":
        similar = get_close_matches(name, fields, n=1, cutoff=0)
        return UnknownSetting(name=name, similar=similar[0])
    field = fields.get(_field_of(name, fields, prefix))
    context = first.get("ctx", {})
    allowed = _ALLOWED.get(first["type"], "").format_map({**context}) if first["type"] in _ALLOWED else ""
    if first["type"] == "value_error":
        allowed = str(context.get("error", ""))
    bounds = _bounds(field)
    secret = field is not None and "Secret" in str(field.annotation)
    return SettingsError(
        variable=name if name.isupper() else prefix + name.upper(),
        value="(hidden)" if secret else repr(first.get("input")),
        reason=str(first["msg"]).removeprefix("Value error, "),
        allowed=bounds or allowed or "a valid value",
    )


def _field_of(name: str, fields: Mapping[str, FieldInfo], prefix: str) -> str:
    for field_name, field in fields.items():
        alias = field.validation_alias
        if name == field_name or (isinstance(alias, AliasChoices) and name in alias.choices):
            return field_name
    return name.removeprefix(prefix).lower()


def _bounds(field: FieldInfo | None) -> str:
    """The allowed range of a numeric setting, from its constraints."""
    limits = {}
    for constraint in getattr(field, "metadata", ()):
        for key in ("ge", "gt", "le"):
            if getattr(constraint, key, None) is not None:
                limits[key] = getattr(constraint, key)
    low = f"more than {limits['gt']:g}" if "gt" in limits else f"from {limits['ge']:g}" if "ge" in limits else ""
    return f"{low} to {limits['le']:g}".strip() if "le" in limits else ""
