"""Only the abnormal has colour: over a limit, or notably worse on enough events."""

from __future__ import annotations

import pytest

from watchglass.analysis.trends import change
from watchglass.api.models import Change, Figure
from watchglass.ui import levels


def figure(
    value: float | None, unit: str, previous: float | None = None, samples: int = 1000, worse: str = "up"
) -> Figure:
    difference = change(value, previous, worse)  # type: ignore[arg-type]
    return Figure(
        label="x",
        value=value,
        unit=unit,
        samples=samples,
        previous=previous,
        previous_samples=samples,
        change=Change.model_validate(difference, from_attributes=True) if difference else None,
    )


def judged(card: str, name: str, one: Figure, **others: Figure) -> levels.Judgement:
    return levels.judge(card, name, {name: one, **others}, "an hour ago")


@pytest.mark.parametrize(("value", "level"), [(0.24, "warning"), (0.21, "warning"), (0.19, None), (0.1, None)])
def test_a_latency_is_notable_from_a_fifth_more_than_before(value: float, level: str | None) -> None:
    assert judged("tile_api", "p95", figure(value, "s", 0.17)).level == level


def test_a_better_latency_is_grey() -> None:
    assert judged("tile_api", "p95", figure(0.05, "s", 0.17)).level is None


def test_a_change_on_a_handful_of_requests_is_chance() -> None:
    assert judged("tile_api", "p95", figure(0.9, "s", 0.1, samples=levels.ENOUGH - 1)).level is None
    assert judged("tile_api", "p95", figure(0.9, "s", 0.1, samples=levels.ENOUGH)).level == "warning"


@pytest.mark.parametrize(("value", "level"), [(0.004, None), (0.02, "warning"), (0.06, "critical")])
def test_errors_have_two_limits(value: float, level: str | None) -> None:
    found = judged("tile_api", "errors", figure(value, "1"))
    assert found.level == level
    assert found.verdict == {None: "", "warning": "over 1 %", "critical": "over 5 %"}[level]


def test_memory_is_measured_against_its_own_limit() -> None:
    limit = figure(100.0, "By")
    assert judged("tile_redis", "memory_used", figure(79.0, "By"), memory_max=limit).level is None
    found = judged("tile_redis", "memory_used", figure(81.0, "By"), memory_max=limit)
    assert (found.level, found.verdict, found.sentence) == ("critical", "over 80 %", "over 80 % of 100 B")


def test_memory_without_a_limit_is_not_judged() -> None:
    found = judged("tile_redis", "memory_used", figure(1e12, "By"), memory_max=figure(None, "By"))
    assert (found.level, found.share) == (None, None)


def test_a_hit_rate_is_worse_when_it_is_low() -> None:
    assert judged("tile_redis", "hit_rate", figure(0.71, "1", worse="down")).level is None
    found = judged("tile_redis", "hit_rate", figure(0.6, "1", worse="down"))
    assert (found.level, found.verdict) == ("warning", "below 70 %")


def test_evictions_from_nothing_are_notable_once_there_are_many() -> None:
    assert judged("tile_redis", "evictions", figure(99.0, "{key}/h", 0.0)).level is None
    assert judged("tile_redis", "evictions", figure(240.0, "{key}/h", 0.0)).sentence == "+240/h vs an hour ago"


def test_what_should_not_happen_is_notable_with_nothing_to_compare_with() -> None:
    found = judged("tile_postgresql", "slow_statements", figure(3.0, "{statement}/h"))
    assert (found.level, found.sentence) == ("warning", "with nothing earlier to compare with")
    assert judged("tile_postgresql", "slow_statements", figure(0.0, "{statement}/h")).level is None
    assert judged("tile_api", "p95", figure(9.0, "s")).level is None


def test_a_latency_beyond_what_is_slow_is_a_finding_compared_or_not() -> None:
    assert levels.latency_level(figure(1.2, "s"), slow=1.0) == "warning"
    assert levels.latency_level(figure(0.9, "s"), slow=1.0) is None
    assert levels.latency_level(figure(0.9, "s", 0.1), slow=1.0) == "warning"
    assert levels.latency_level(figure(None, "s"), slow=1.0) is None


def test_what_is_not_known_is_not_judged() -> None:
    assert judged("tile_api", "p95", figure(None, "s")).level is None
    assert judged("tile_api", "unheard_of", figure(9.9, "s")).rule is None


def test_every_rule_names_a_figure_that_a_tile_shows() -> None:
    from watchglass.ui.cards.tile import SHOWN

    shown = {f"{card}.{name}" for card, names in SHOWN.items() for name in names}
    assert set(levels.RULES) <= shown
