"""The spool holds what waits, within its bound, and no trouble with it is anybody else's."""

from __future__ import annotations

import fcntl
import random
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.pipelines import line, process
from watchglass import guard
from watchglass.exporters.backlog import Backlog, Frozen
from watchglass.exporters.spool import Spool, prefix
from watchglass.exporters.spool_records import current, decode, places
from watchglass.records import Batch, Point, Series
from watchglass.settings import Settings

DSN = "postgresql://app:secret@127.0.0.1:5432/shop"
ME = process()


def settings(**more: object) -> Settings:
    return Settings(app_database_url=DSN, service_name="shop", **more)  # type: ignore[arg-type]


def batch(sequence: int, lines: int = 0, noise: int = 0) -> Batch:
    """Noise is what does not become smaller when it is compressed."""
    text = random.Random(sequence).randbytes(noise).hex()
    return Batch(sequence, [Point(Series("c", "counter", "1", ()), 10, 1, 1.0)], [line(text)] * lines)


def frozen(*batches: Batch) -> list[Frozen]:
    return [Frozen(one, one.sequence) for one in batches]


@pytest.fixture
def spool() -> Iterator[Spool]:
    made = Spool(settings(), ME)
    yield made
    made.abandon()


def files() -> list[Path]:
    return sorted((Settings().state_folder / "spool").glob("*"))


def read() -> list[Batch]:
    """What the next process would find."""
    [path] = files()
    with path.open("rb") as file:
        found = []
        for place in current(places(file)):
            file.seek(place.offset)
            found.append(decode(file.read(place.length))[1])
        return found


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow beyond `size`: the system refuses as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_nothing_is_on_disk_while_nothing_waits(spool: Spool) -> None:
    spool.save([])
    assert not files()
    spool.save(frozen(batch(1)))
    assert (len(files()), spool.size) == (1, files()[0].stat().st_size)
    spool.clear()
    assert (files(), spool.size, spool.problem) == ([], 0, "")


def test_what_waits_is_there_for_its_owner_alone(spool: Spool) -> None:
    spool.save(frozen(batch(1, 2)))
    spool.save(frozen(batch(1, 2), batch(2)))
    assert [(one.sequence, len(one.logs)) for one in read()] == [(1, 2), (2, 0)]
    [path] = files()
    assert path.name == f"{prefix(settings())}-{ME.instance_id}.spool"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_its_file_is_locked_while_its_process_lives(spool: Spool) -> None:
    spool.save(frozen(batch(1)))
    with files()[0].open("rb") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        spool.abandon()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_two_stores_and_two_services_are_kept_apart() -> None:
    names = {
        prefix(settings()),
        prefix(Settings(app_database_url=DSN, service_name="till")),
        prefix(Settings(app_database_url=DSN + "2", service_name="shop")),
        prefix(Settings(app_database_url=DSN.replace("5432", "5433"), service_name="shop")),
    }
    assert len(names) == 4
    other_password = Settings(app_database_url=DSN.replace("secret", "changed"), service_name="shop")
    assert prefix(other_password) == prefix(settings())


def test_what_was_merged_is_there_once(spool: Spool) -> None:
    backlog = Backlog(100, most_batches=4)
    for sequence in range(1, 30):
        backlog.add(batch(sequence))
        spool.save(backlog)
    found = read()
    assert [one.sequence for one in found] == [one.sequence for one in backlog]
    assert sum(point.sum for one in found for point in one.points) == 29


def test_it_stays_within_its_bound_and_leaves_out_lines_before_metrics() -> None:
    small = Spool(settings(spool_bytes=20_000), ME)
    waiting: list[Frozen] = []
    for sequence in range(1, 30):
        waiting += frozen(batch(sequence, lines=1, noise=1_000))
        small.save(waiting)
        assert small.size == files()[0].stat().st_size <= 20_000
    found = read()
    assert [one.sequence for one in found] == list(range(1, 30)), "all metrics"
    assert 0 < sum(len(one.logs) for one in found) < 29
    assert found[-1].logs
    assert not found[0].logs
    assert small.left_out > 0
    assert "may not grow beyond 20000 bytes (spool_bytes)" in small.problem
    small.clear()
    small.save(frozen(batch(30)))
    assert small.problem == ""
    small.clear()


def test_beyond_its_bound_the_newest_metrics_are_kept() -> None:
    small = Spool(settings(spool_bytes=2_000), ME)
    waiting: list[Frozen] = []
    for sequence in range(1, 40):
        waiting += frozen(batch(sequence))
        small.save(waiting)
        assert small.size <= 2_000
    found = [one.sequence for one in read()]
    assert found[-1] == 39
    assert found == list(range(found[0], 40))
    assert found[0] > 1
    small.clear()


def test_what_was_written_meanwhile_makes_room_first() -> None:
    small = Spool(settings(spool_bytes=8_000), ME)
    for sequence in range(1, 60):
        small.save(frozen(batch(sequence, lines=1, noise=300)))
        assert small.size <= 8_000
    assert (small.left_out, small.problem) == (0, "")
    assert read()[-1].logs
    small.clear()


def test_none_is_none() -> None:
    none = Spool(settings(spool_bytes=0), ME)
    none.save(frozen(batch(1)))
    assert (files(), none.problem) == ([], "")


def test_a_folder_that_is_no_good_is_said_once(spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    Settings().state_folder.mkdir(mode=0o777)
    Settings().state_folder.chmod(0o777)
    before = guard.errors["exporters.spool"]
    for sequence in (1, 2):
        spool._not_before = 0.0
        spool.save(frozen(batch(sequence)))
    assert "open to others. Name another" in spool.problem and "WATCHGLASS_STATE_DIR" in spool.problem
    assert spool.problem.endswith("What cannot be stored waits in memory only.")
    assert guard.errors["exporters.spool"] - before == 2
    assert [record.message for record in caplog.records] == [spool.problem]


def test_a_full_disk_costs_nothing_that_is_there_already(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.save(frozen(batch(1)))
    waiting = frozen(batch(1), batch(2, lines=1, noise=20_000))
    with full_disk(10_000):
        spool.save(waiting)
        assert "File too large" in spool.problem
        assert [one.sequence for one in read()] == [1]
        assert spool.size == files()[0].stat().st_size
    spool.save(waiting)
    assert [one.sequence for one in read()] == [1], "it waits for a minute"
    monkeypatch.setattr(spool, "_not_before", 0.0)
    spool.save(waiting)
    assert [one.sequence for one in read()] == [1, 2]
    assert spool.problem == ""


def test_a_new_file_that_does_not_fit_leaves_nothing_behind(spool: Spool) -> None:
    with full_disk(100):
        spool.save(frozen(batch(1, lines=1, noise=2_000)))
    assert (files(), spool.size) == ([], 0)
    assert "File too large" in spool.problem


def test_parts_of_what_was_merged_do_not_stay_when_it_cannot_be_kept(spool: Spool) -> None:
    parts = frozen(batch(1), batch(2))
    spool.save(parts)
    with full_disk(spool.size + 10):
        spool.save([Frozen(batch(2), 1)])
    assert files() == [], "sent as one and then found as two they would be counted twice"
    spool._not_before = 0.0
    spool.save([Frozen(batch(2), 1)])
    assert [one.sequence for one in read()] == [2]


def test_a_disk_that_stays_full_is_not_written_to_at_every_flush(spool: Spool) -> None:
    before = guard.errors["exporters.spool"]
    with full_disk(100):
        for sequence in range(1, 20):
            spool.save(frozen(batch(sequence)))
    assert guard.errors["exporters.spool"] - before == 1
