"""Watchglass as it was at an earlier version of its schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from watchglass import sql
from watchglass.store import migrations


@contextmanager
def at_version(version: int) -> Iterator[pytest.MonkeyPatch]:
    """That is the latest there is, until the patch is undone."""
    known = {number: text for number, text in sql.migrations().items() if number <= version}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql, "migrations", lambda: known)
        patch.setattr(migrations, "LATEST", version)
        yield patch
