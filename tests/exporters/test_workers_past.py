"""The dead are counted once: before they are folded, while they are, when it is cut short, and after."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from watchglass import meters
from watchglass.exporters.workers import gathering
from watchglass.exporters.workers import past as past_module
from watchglass.exporters.workers.files import Files
from watchglass.exporters.workers.gathering import gather
from watchglass.exporters.workers.past import fold, folded
from watchglass.exporters.workers.sheets import Sheet, across, decode, encode
from watchglass.exporters.workers.totals import Key, Total, Totals
from watchglass.settings import Settings

LIFE = "00112233-4455"
COUNTED: Key = (meters.WATCHGLASS_ERRORS, (("where", "here"),))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(Settings(state_dir=str(tmp_path / "state")))


def sheet(number: int, counted: float = 1.0) -> Sheet:
    totals: Totals = {COUNTED: Total(counted), (meters.PROCESS_THREADS, ()): Total(4)}
    return Sheet(id=f"{number:08x}", life=LIFE, pid=number, written=float(number), listening=("a:1",), totals=totals)


def leave_behind(files: Files, *sheets: Sheet) -> None:
    for one in sheets:
        files.write(files.path(LIFE, one.id, "sheet"), encode(one))


def counted(files: Files) -> float:
    found = gather(files, LIFE)
    return across(found.alive, found.dead)[COUNTED].sum


def names(files: Files) -> set[str]:
    return {path.name for path in files.folder.iterdir()} - {"lock"}


def test_folding_changes_no_answer(files: Files) -> None:
    leave_behind(files, *(sheet(number, 0.1) for number in range(10)))
    before = counted(files)
    fold(files, LIFE, 1000)
    assert names(files) == {"00112233.past"}
    assert before <= counted(files) == pytest.approx(1.0)
    fold(files, LIFE, 1000)
    assert counted(files) == pytest.approx(1.0)


def test_the_dead_that_come_later_are_added(files: Files) -> None:
    for number in range(5):
        leave_behind(files, sheet(number, 2.0))
        assert counted(files) == 2.0 * (number + 1)
        fold(files, LIFE, 1000)
        assert counted(files) == 2.0 * (number + 1)


def test_a_fold_that_was_cut_short_is_not_repeated(files: Files) -> None:
    """Killed after the past was written and before the sheet was removed."""
    leave_behind(files, sheet(1, 3.0))
    fold(files, LIFE, 1000)
    leave_behind(files, sheet(1, 3.0))
    assert counted(files) == 3.0
    fold(files, LIFE, 1000)
    assert counted(files) == 3.0
    assert names(files) == {"00112233.past"}


def test_many_fold_at_once_and_each_of_the_dead_counts_once(files: Files) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            leave_behind(files, sheet(number))
            answers = [pool.submit(counted, files) for _ in range(2)]
            folds = [pool.submit(fold, files, LIFE, 1000) for _ in range(4)]
            answers += [pool.submit(counted, files) for _ in range(2)]
            assert [answer.result() for answer in answers] == [number + 1.0] * 4
            for done in folds:
                done.result()
    fold(files, LIFE, 1000)
    assert counted(files) == 40
    assert names(files) == {"00112233.past"}


def test_one_that_is_folded_while_somebody_gathers_is_counted_once(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_behind(files, sheet(1, 3.0), sheet(2, 4.0))
    lock = files.hold(files.path(LIFE, sheet(2).id, "lock"))

    def answer_and_die(paths: dict[str, Path]) -> dict[str, bytes]:
        """The live one answers, dies, and another process folds it and the dead one before the answer is read."""
        assert list(paths) == [sheet(2).id]
        files.let_go(lock)
        fold(files, LIFE, 1000)
        return {sheet(2).id: encode(sheet(2, 4.0))}

    monkeypatch.setattr(gathering, "ask", answer_and_die)
    assert counted(files) == 7.0
    assert names(files) == {"00112233.past"}


def test_while_another_folds_nobody_waits_and_the_answer_is_the_same(files: Files) -> None:
    leave_behind(files, sheet(1, 3.0))
    with files.alone() as alone:
        assert alone
        fold(files, LIFE, 1000)
        assert names(files) == {f"00112233.{1:08x}.sheet"}
        assert counted(files) == 3.0


def test_a_live_process_is_not_folded(files: Files) -> None:
    leave_behind(files, sheet(1, 3.0))
    lock = files.hold(files.path(LIFE, sheet(1).id, "lock"))
    fold(files, LIFE, 1000)
    assert names(files) == {f"00112233.{1:08x}.sheet", f"00112233.{1:08x}.lock"}
    files.let_go(lock)
    fold(files, LIFE, 1000)
    assert names(files) == {"00112233.past"}


def test_who_was_folded_is_forgotten_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Sheet(id="past", life=LIFE)
    first = folded(empty, [sheet(1)], 1000)
    later = time.time() + 4000
    monkeypatch.setattr(past_module.time, "time", lambda: later)
    second = folded(first, [sheet(2)], 1000)
    assert list(second.folded) == [sheet(2).id]
    assert second.totals[COUNTED].sum == 2.0


def test_the_past_is_bounded() -> None:
    many: Totals = {(meters.WATCHGLASS_ERRORS, (("where", str(n)),)): Total(1) for n in range(50)}
    past = folded(Sheet(id="past", life=LIFE), [Sheet(id="b", life=LIFE, totals=many)], 10)
    assert len(past.totals) == 11
    assert sum(total.sum for total in past.totals.values()) == 50


def test_a_damaged_past_is_set_aside(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchglass.guard.strict", False)
    leave_behind(files, sheet(1, 3.0))
    files.path_of_past(LIFE).write_bytes(b"rubbish")
    assert counted(files) == 3.0
    fold(files, LIFE, 1000)
    assert counted(files) == 3.0
    assert "00112233.damaged" in names(files)


def test_what_is_left_of_a_target_without_a_live_process_goes_after_an_hour(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_behind(files, sheet(1))
    files.sweep(set())
    assert len(names(files)) == 1
    later = time.time() + 4000
    monkeypatch.setattr("watchglass.exporters.workers.files.time.time", lambda: later)
    files.sweep(set())
    assert names(files) == set()


def test_a_sheet_of_another_version_is_neither_read_nor_removed(files: Files) -> None:
    leave_behind(files, sheet(1))
    path = files.path(LIFE, sheet(1).id, "sheet")
    from watchglass.exporters.workers import sheets

    ours, others = (f'"format": {number}'.encode() for number in (sheets.FORMAT, sheets.FORMAT + 1))
    other = encode(sheet(1)).replace(ours, others)
    body = other.rpartition(b"\n")[0].rpartition(b"\n")[0] + b"\n"
    path.write_bytes(body + sheets._digest(body) + b"\n")
    assert decode(path.read_bytes()) is None
    fold(files, LIFE, 1000)
    assert names(files) == {path.name}
    assert gather(files, LIFE).dead == []
