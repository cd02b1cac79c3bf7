"""Long loops let others go first."""

from __future__ import annotations

import time

import pytest

from watchglass.exporters.gently import EVERY, gently


def test_every_item_comes_in_order_with_a_pause_after_every_few(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    assert list(gently(iter(range(3 * EVERY + 1)))) == list(range(3 * EVERY + 1))
    assert len(pauses) == 3 and all(0 < pause < 0.001 for pause in pauses)
    assert list(gently([])) == []
