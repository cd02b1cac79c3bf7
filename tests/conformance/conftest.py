"""What every table needs: each of the modes in turn, and a folder of static files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.modes import MODES, Mode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file.txt").write_text("content")
    return tmp_path


@pytest.fixture(params=MODES, ids=lambda mode: mode.__name__)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mode]:
    made: Mode = request.param(monkeypatch)
    made.begin()
    yield made
    made.finish()
