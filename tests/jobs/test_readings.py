"""A server's own figures are counted from reading to reading, whatever of it begins to count anew."""

from __future__ import annotations

from watchglass.instrumentation.recorder import Recorder
from watchglass.jobs.readings import Readings
from watchglass.meters import POSTGRESQL_CHECKPOINTS, POSTGRESQL_COMMITS, POSTGRESQL_TABLE_SIZE, Meter
from watchglass.records import Values


def shown(recorder: Recorder, meter: Meter) -> dict[Values, float]:
    return {state.values: state.sum for state in recorder.collect() if state.meter is meter}


def test_the_first_reading_only_begins() -> None:
    recorder = Recorder()
    readings = Readings(recorder)
    readings.total(POSTGRESQL_COMMITS, 1000)
    assert shown(recorder, POSTGRESQL_COMMITS) == {}
    readings.total(POSTGRESQL_COMMITS, 1005)
    assert shown(recorder, POSTGRESQL_COMMITS) == {(): 5}


def test_figures_of_one_meter_are_told_apart_by_their_values() -> None:
    recorder = Recorder()
    readings = Readings(recorder)
    for timed, requested in ((10, 100), (11, 103)):
        readings.total(POSTGRESQL_CHECKPOINTS, timed, ("scheduled",))
        readings.total(POSTGRESQL_CHECKPOINTS, requested, ("requested",))
    assert shown(recorder, POSTGRESQL_CHECKPOINTS) == {("scheduled",): 1, ("requested",): 3}


def test_a_part_that_counts_on_is_not_counted_anew_when_another_is_reset() -> None:
    recorder = Recorder()
    readings = Readings(recorder)
    checkpoints = readings.beside()
    for reset, commits, requested in (("monday", 1000, 100), ("tuesday", 7, 102)):
        readings.counting_since(reset)
        readings.total(POSTGRESQL_COMMITS, commits)
        checkpoints.counting_since("sunday")
        checkpoints.total(POSTGRESQL_CHECKPOINTS, requested, ("requested",))
    assert shown(recorder, POSTGRESQL_COMMITS) == {(): 7}
    assert shown(recorder, POSTGRESQL_CHECKPOINTS) == {("requested",): 2}


def test_what_is_read_beside_is_absent_and_forgotten_with_the_rest() -> None:
    recorder = Recorder()
    readings = Readings(recorder)
    beside = readings.beside()
    beside.gauge(POSTGRESQL_TABLE_SIZE, 8192.0, ("public.orders",))
    beside.total(POSTGRESQL_CHECKPOINTS, 5, ("requested",))
    assert shown(recorder, POSTGRESQL_TABLE_SIZE) == {("public.orders",): 8192.0}
    readings.forget()
    assert shown(recorder, POSTGRESQL_TABLE_SIZE) == {}
    beside.total(POSTGRESQL_CHECKPOINTS, 9, ("requested",))
    assert shown(recorder, POSTGRESQL_CHECKPOINTS) == {}
