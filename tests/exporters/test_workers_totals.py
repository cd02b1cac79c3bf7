"""Several processes' values become one: exactly, in any order, and never less than before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import inf, isnan, nan

import pytest

from watchglass import meters
from watchglass.exporters.workers.sheets import Sheet, across
from watchglass.exporters.workers.totals import Key, Total, Totals, added, bounded, exposed, lasting, since
from watchglass.instrumentation.recorder import Recorder
from watchglass.meters import Meter

COUNTED: Key = (meters.CACHE_LOOKUPS, (("watchglass.cache.result", "hit"),))
TIMED: Key = (meters.EVENT_LOOP_LAG, ())


def sheet(pid: int, totals: Totals, written: float = 1.0) -> Sheet:
    return Sheet(id=f"{pid:08x}", life="a", pid=pid, written=written, totals=totals)


def sums(source: random.Random) -> Iterator[float]:
    while True:
        yield source.lognormvariate(-3, 2)


def test_a_sum_is_the_same_in_any_order() -> None:
    source = random.Random(1)
    for _ in range(300):
        terms = [next(sums(source)) for _ in range(7)]
        found = set()
        for _ in range(10):
            source.shuffle(terms)
            found.add(added((TIMED, Total(term)) for term in terms)[TIMED].sum)
        assert len(found) == 1


def test_folding_the_dead_never_makes_a_sum_smaller() -> None:
    """Rounded to the nearest it would, by one unit in the last place, which Prometheus takes for a restart."""
    source = random.Random(2)
    nearest = 0
    for _ in range(3000):
        one, other, live = (next(sums(source)) for _ in range(3))
        before = added((TIMED, Total(term)) for term in (one, other, live))[TIMED].sum
        past = added(((TIMED, Total(term)) for term in (one, other)), up=True)[TIMED]
        assert before <= added([(TIMED, past), (TIMED, Total(live))])[TIMED].sum <= before * (1 + 1e-15)
        nearest += added([(TIMED, Total(one + other)), (TIMED, Total(live))])[TIMED].sum < before
    assert nearest > 0, "the test does not reach what it is about"


@pytest.mark.parametrize(("terms", "expected"), [([1e308, 1e308], inf), ([inf, 1.0], inf), ([inf, -inf], nan)])
def test_any_values_can_be_added(terms: list[float], expected: float) -> None:
    found = added(((COUNTED, Total(term)) for term in terms), up=True)[COUNTED].sum
    assert found == expected or (isnan(found) and isnan(expected))


def test_counts_and_buckets_add_up() -> None:
    parts = [sheet(1, {TIMED: Total(1.5, {-20: 1, 0: 2})}), sheet(2, {TIMED: Total(2.0, {0: 3, 10: 1})})]
    assert across(parts, []) == {TIMED: Total(3.5, {-20: 1, 0: 5, 10: 1})}


def test_what_each_process_has_is_told_apart_by_its_id() -> None:
    threads: Key = (meters.PROCESS_THREADS, ())
    found = across([sheet(11, {threads: Total(4)}), sheet(12, {threads: Total(5)})], [])
    assert found == {
        (meters.PROCESS_THREADS, (("process.pid", "11"),)): Total(4),
        (meters.PROCESS_THREADS, (("process.pid", "12"),)): Total(5),
    }


def test_of_one_thing_that_several_measure_the_newest_reading_holds() -> None:
    memory: Key = (meters.SYSTEM_MEMORY_UTILIZATION, ())
    parts = [sheet(1, {memory: Total(0.7)}, 20.0), sheet(2, {memory: Total(0.5)}, 10.0), sheet(3, {}, 30.0)]
    assert across(parts, []) == {memory: Total(0.7)}


def test_gauges_add_up_where_the_table_says_so() -> None:
    size: Key = (meters.DB_CLIENT_CONNECTION_COUNT, (("db.client.connection.state", "used"),))
    active: Key = (meters.HTTP_SERVER_ACTIVE_REQUESTS, ())
    parts = [sheet(1, {size: Total(2), active: Total(1)}), sheet(2, {size: Total(3), active: Total(2)})]
    assert across(parts, []) == {size: Total(5), active: Total(3)}


def test_of_the_dead_what_was_counted_stays_and_nothing_else() -> None:
    totals: Totals = {
        COUNTED: Total(3),
        TIMED: Total(1.0, {0: 1}),
        (meters.HTTP_SERVER_ACTIVE_REQUESTS, ()): Total(2),
        (meters.PROCESS_THREADS, ()): Total(4),
        (meters.POSTGRESQL_BACKENDS, ()): Total(9),
    }
    assert across([], [sheet(1, totals)]) == {COUNTED: Total(3), TIMED: Total(1.0, {0: 1})}


@pytest.mark.parametrize("meter", meters.ALL, ids=lambda meter: meter.name)
def test_what_counts_adds_up_and_what_belongs_to_one_process_or_server_does_not(meter: Meter) -> None:
    if meter.kind in ("counter", "histogram"):
        assert meter.across == "sum"
    elif meter.name.startswith("process."):
        assert meter.across == "process"
    elif meter.name.startswith(("system.", "postgresql.", "redis.")):
        assert meter.across == "latest"


def test_a_meter_that_is_not_of_the_table_is_one_meter_in_every_process() -> None:
    for _ in range(2):
        made = Meter("shop.sold", "counter", "{book}", "Books sold.", ("shelf",))
        recorder = Recorder()
        recorder.counter(made, ("a",)).add(2)
        found = exposed(recorder.collect())
        [(meter, attributes)] = found
        assert (meter.name, meter.across, attributes) == ("shop.sold", "sum", (("shelf", "a"),))
        assert added([*found.items(), *exposed(recorder.collect()).items()]) == {(meter, attributes): Total(4.0)}


def test_what_a_forked_child_inherited_is_not_its_own() -> None:
    start = {COUNTED: Total(3), TIMED: Total(1.0, {0: 2})}
    now = {COUNTED: Total(5), TIMED: Total(1.5, {0: 3, 4: 1}), (meters.PROCESS_THREADS, ()): Total(4)}
    assert since(now, dict(lasting(start))) == {
        COUNTED: Total(2),
        TIMED: Total(0.5, {0: 1, 4: 1}),
        (meters.PROCESS_THREADS, ()): Total(4),
    }


def test_series_beyond_the_bound_are_counted_in_the_overflow_series_of_their_meter() -> None:
    totals: Totals = {(meters.WATCHGLASS_ERRORS, (("where", str(n)),)): Total(1) for n in range(10)}
    totals |= {TIMED: Total(0.5, {0: 1})}
    found = bounded(totals, 4)
    assert found[meters.WATCHGLASS_ERRORS, (("otel.metric.overflow", "true"),)] == Total(6)
    assert found[meters.EVENT_LOOP_LAG, (("otel.metric.overflow", "true"),)] == Total(0.5, {0: 1})
    assert len(found) == 6
    assert bounded(totals, 11) is totals
