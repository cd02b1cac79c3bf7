"""The URLs of which nothing is recorded, by OpenTelemetry's list of patterns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from watchglass.errors import SettingsError


def pattern_of(excluded: str) -> re.Pattern[str] | None:
    """The list of excluded URLs as one pattern, to be searched in `url_of` a request; None excludes none.

    Raises `SettingsError`.
    """
    parts = [part.strip() for part in excluded.split(",") if part.strip()]
    try:
        return re.compile("|".join(parts)) if parts else None
    except re.error as error:
        raise SettingsError(
            variable="WATCHGLASS_EXCLUDED_URLS",
            value=repr(excluded),
            reason=str(error),
            allowed="regular expressions separated by commas, for example ^https?://[^/]+/internal/",
        ) from None


def url_of(scope: Mapping[str, Any]) -> str:
    """The URL of a request, without its query."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    return f"{scope.get('scheme', 'http')}://{host}{scope['path']}"
