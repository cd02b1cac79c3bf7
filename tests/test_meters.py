"""The table of instruments is consistent, so that nothing downstream has to check."""

from __future__ import annotations

import re

import pytest

from watchglass import meters
from watchglass.meters import Meter


@pytest.mark.parametrize("meter", meters.ALL, ids=lambda meter: meter.name)
def test_an_instrument_is_named_and_described_as_opentelemetry_asks(meter: Meter) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", meter.name)
    assert meter.unit == "1" or meter.unit in ("s", "By") or re.fullmatch(r"\{[a-z_]+\}", meter.unit)
    assert meter.description.endswith(".")
    assert set(meter.stored or ()) <= set(meter.attributes)
    assert set(meter.exposed or ()) <= set(meter.attributes)


def test_no_two_instruments_share_a_name() -> None:
    assert len(meters.BY_NAME) == len(meters.ALL)


def test_a_breakdown_counts_by_attributes_that_its_histogram_has() -> None:
    for meter in meters.ALL:
        if meter.breakdown:
            assert meter.kind == "histogram"
            assert meter.breakdown.kind == "counter"
            assert set(meter.breakdown.attributes) <= set(meter.attributes)
