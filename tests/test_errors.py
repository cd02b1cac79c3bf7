"""Every error speaks to the person who reads it."""

from __future__ import annotations

import inspect

import pytest

from watchglass import errors
from watchglass.errors import SettingsError, WatchglassError

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, WatchglassError)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_the_docstring_is_the_message(error: type[WatchglassError]) -> None:
    class Anything(dict[str, object]):
        def __missing__(self, key: str) -> str:
            return f"<{key}>"

    message = inspect.cleandoc(error.__doc__ or "").format_map(Anything())
    assert message[0].isupper() or message.startswith("<")
    assert not message.endswith("!")


def test_the_fields_are_filled_in_and_kept() -> None:
    error = SettingsError(variable="X", value="'y'", reason="not a number", allowed="a number")
    assert str(error) == "X is 'y': not a number. Set it to a number."
    assert error.fields["variable"] == "X"
