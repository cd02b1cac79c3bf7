"""Processes that listen on one address show one sum, whichever is asked, however the others end."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from support.pipelines import until
from support.workers import WorkerProcess, processes
from watchglass import guard, meters
from watchglass.exporters.prometheus import write
from watchglass.exporters.workers.accounts import Accounts
from watchglass.exporters.workers.gathering import of_host
from watchglass.instrumentation.recorder import Recorder
from watchglass.records import State
from watchglass.settings import Settings


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state" / "workers"


def kinds(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.rglob("*.*"))


def test_whoever_is_asked_shows_the_sum_of_all(free_port: int) -> None:
    with processes(3, free_port) as made:
        for number, process in enumerate(made):
            process("count", 10 + number)
        shown = [process("shown") for _ in range(3) for process in made]
    assert {one["requests"] for one in shown} == {33}
    assert len({one["sum"] for one in shown}) == 1
    assert len({one["target"] for one in shown}) == 1
    assert all(sorted(one["pids"]) == sorted(process.pid for process in made) for one in shown)
    assert not any(one["errors"] for one in shown)


def test_what_was_shown_is_never_taken_back_when_a_process_is_killed(free_port: int) -> None:
    with processes(3, free_port) as made:
        first, second, third = made
        second("count", 5)
        third("count", 7)
        before = first("shown")
        second("count", 100)  # after its last sheet: nobody has seen these
        second.kill()
        after = [process("shown") for process in (first, third, first)]
        assert {one["requests"] for one in after} == {12}
        assert all(one["sum"] >= before["sum"] for one in after)
        assert {one["target"] for one in after} == {before["target"]}
        assert sorted(after[0]["pids"]) == sorted([first.pid, third.pid])
        with processes(1, free_port) as [fourth]:
            fourth("count", 3)
            assert [process("shown")["requests"] for process in (first, third, fourth)] == [15, 15, 15]


def test_the_one_who_was_asked_last_is_killed_and_nothing_it_showed_is_lost(free_port: int) -> None:
    with processes(2, free_port) as [first, second]:
        second("count", 9)
        assert second("shown")["requests"] == 9
        second.kill()
        assert first("shown")["requests"] == 9


def test_a_process_that_is_killed_loses_at_most_what_came_after_its_last_flush_interval(free_port: int) -> None:
    with processes(2, free_port) as [first, second]:
        second("count", 4)
        time.sleep(1.5)  # nobody asks, and the interval is a second
        second.kill()
        assert first("shown")["requests"] == 4


def test_a_process_that_is_frozen_is_represented_by_its_last_sheet(free_port: int) -> None:
    with processes(2, free_port) as [first, second]:
        second("count", 6)
        assert first("shown")["requests"] == 6
        second.send(signal.SIGSTOP)
        began = time.monotonic()
        frozen = first("shown")
        assert time.monotonic() - began < 10  # it waits for half a second; the rest is a busy machine's
        second.send(signal.SIGCONT)
        assert (frozen["requests"], second.pid in frozen["pids"]) == (6, True)
        second("count", 1)
        assert first("shown")["requests"] == 7


def test_processes_on_two_ports_are_two_targets(free_port: int) -> None:
    from watchglass.demo.servers.process import free_port as another_port

    with processes(1, free_port) as [first], processes(1, another_port()) as [second]:
        first("count", 1)
        second("count", 2)
        one, other = first("shown"), second("shown")
    assert (one["requests"], other["requests"]) == (1, 2)
    assert one["target"] != other["target"]


def test_another_service_on_the_host_is_another_target(free_port: int) -> None:
    with processes(1, free_port) as [first], processes(1, free_port, service_name="other") as [second]:
        first("count", 1)
        second("count", 2)
        assert [first("shown")["requests"], second("shown")["requests"]] == [1, 2]


def test_one_that_leaves_in_order_leaves_what_it_counted(free_port: int, state: Path) -> None:
    with processes(2, free_port) as [first, second]:
        second("count", 5)
        second("stop")
        assert first("shown")["requests"] == 5
        until(lambda: kinds(state) == [".lock", ".past", ".sheet", ".sock"], 30)
        assert first("shown")["requests"] == 5


def test_the_last_one_that_leaves_takes_all_with_it(free_port: int, state: Path) -> None:
    with processes(1, free_port) as [first]:
        first("count", 5)
        old = first("shown")
        first("stop")
        assert kinds(state) == []
        with processes(1, free_port) as [second]:
            new = second("shown")
    assert (new["requests"], new["target"] != old["target"]) == (0, True)


def test_when_all_were_killed_the_counters_begin_anew_and_nothing_is_left_of_the_old(
    free_port: int, state: Path
) -> None:
    with processes(2, free_port) as made:
        for process in made:
            process("count", 5)
        old = made[0]("shown")
        for process in made:
            process.send(signal.SIGKILL)
    with processes(1, free_port) as [process]:
        new = process("shown")
        assert (new["requests"], new["target"] != old["target"]) == (0, True)
        assert {path.name[:8] for path in state.rglob("*.*")} == {new["target"][:8]}


def test_a_process_that_starts_again_counts_nothing_twice(free_port: int) -> None:
    with processes(2, free_port) as [first, second]:
        second("count", 5)
        second("restart")
        second("count", 2)
        assert [second("shown")["requests"], first("shown")["requests"]] == [7, 7]


def test_a_forked_child_counts_for_itself_and_does_not_keep_its_parent_alive(free_port: int) -> None:
    with processes(2, free_port) as [first, second]:
        second("count", 5)
        child = second("fork", 3)  # three before the child starts, which are nobody's, and three after
        try:
            shown = first("shown")
            assert (shown["requests"], sorted(shown["pids"])) == (8, sorted([first.pid, second.pid, child]))
            second.kill()
            shown = first("shown")
            assert (shown["requests"], sorted(shown["pids"])) == (8, sorted([first.pid, child]))
        finally:
            os.kill(child, signal.SIGKILL)
        until(lambda: first("shown")["pids"] == [first.pid], 30)
        assert first("shown")["requests"] == 8


def test_a_process_that_listens_nowhere_shows_itself_and_writes_nothing(state: Path) -> None:
    with processes(1) as [process]:
        process("start")
        process("count", 2)
        assert process("shown")["requests"] == 2
        assert kinds(state) == []


def test_it_joins_once_it_listens(free_port: int) -> None:
    with processes(1, free_port) as [first], processes(1) as [second]:
        second("start")
        second("count", 2)
        assert (first("shown")["requests"], second("shown")["requests"]) == (0, 2)
        second("listen", free_port)
        assert (second("shown")["requests"], first("shown")["requests"]) == (2, 2)


def test_a_damaged_sheet_is_set_aside_and_counted(free_port: int, state: Path) -> None:
    with processes(3, free_port) as [first, second, third]:
        second("count", 4)
        third("count", 8)
        second("refresh")
        second.kill()
        [sheet] = [path for path in state.rglob("*.sheet") if f'"pid": {second.pid}'.encode() in path.read_bytes()]
        sheet.write_bytes(sheet.read_bytes()[:-50])
        shown = [first("shown"), first("shown"), third("shown")]
        assert [one["requests"] for one in shown] == [8, 8, 8]
        until(lambda: first("shown")["errors"] == {"workers.sheet": 1.0}, 30)
        assert kinds(state).count(".damaged") == 1


def test_rubbish_in_the_folder_harms_nothing(free_port: int, state: Path) -> None:
    with processes(2, free_port) as [first, second]:
        [folder] = state.iterdir()
        life = first("shown")["target"][:8]
        for name in ("x.sheet", "x.y.z.sheet", f"{life}.00000000.sheet", f"{life}.sheet", "a.lock", "b.past", ".sock"):
            (folder / name).write_bytes(b"\x00\xff")
        second("count", 2)
        assert [first("shown")["requests"], second("shown")["requests"]] == [2, 2]


def test_without_a_usable_folder_each_shows_itself_and_says_so(free_port: int, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    with processes(2, free_port) as [first, second]:
        first("count", 1)
        second("count", 2)
        one = first("shown")
        assert (one["requests"], one["pids"]) == (1, [first.pid])
        assert one["errors"]["workers.folder"] >= 1


def test_a_path_that_is_too_long_for_a_socket_is_none_on_linux(free_port: int, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    with processes(2, free_port, state_dir=str(folder)) as [first, second]:
        second("count", 5)
        assert first("shown")["requests"] == 5
        assert kinds(folder).count(".sock") == 2


def test_where_there_are_no_unix_sockets_the_sheets_are_read(free_port: int, state: Path) -> None:
    with processes(2) as [first, second]:
        for process in (first, second):
            process("without_unix_sockets")
            process("start", free_port)
        second("count", 5)
        assert second("shown")["requests"] == 5
        assert first("shown")["requests"] == 5
        second("count", 1)
        until(lambda: first("shown")["requests"] == 6, 30)  # with the next flush interval
        assert ".sock" not in kinds(state)


def test_on_a_full_disk_the_answers_are_exact_and_the_fault_is_counted(free_port: int) -> None:
    with processes(2, free_port) as [first, second]:
        second("room_on_disk", False)
        second("count", 5)
        assert [first("shown")["requests"], second("shown")["requests"]] == [5, 5]
        assert first("shown")["errors"]["workers.write"] >= 1
        second("room_on_disk", True)
        assert second("shown")["requests"] == 5
        second.kill()
        assert first("shown")["requests"] == 5


def test_a_folder_that_was_cleared_is_filled_again_and_nobody_is_counted_twice(free_port: int, state: Path) -> None:
    with processes(2, free_port) as [first, second]:
        first("count", 3)
        second("count", 4)
        for path in state.rglob("*"):
            if path.is_file() or path.is_socket():
                path.unlink()
        until(lambda: first("shown")["requests"] == 7 == second("shown")["requests"], 30)


def test_a_process_whose_lock_was_removed_and_that_was_folded_is_not_counted_twice(free_port: int, state: Path) -> None:
    with processes(2, free_port, flush_interval=3) as [first, second]:
        second("count", 4)
        [sheet] = [path for path in state.rglob("*.sheet") if f'"pid": {second.pid}'.encode() in path.read_bytes()]
        second("refresh")
        sheet.with_suffix(".lock").unlink()
        assert first("shown")["requests"] == 4
        second("count", 2)
        until(lambda: second.pid in first("shown")["pids"], 30)
        assert [first("shown")["requests"], second("shown")["requests"]] == [6, 6]


def test_a_process_that_is_none_of_them_shows_them_all(free_port: int) -> None:
    settings = Settings(service_name="shop")
    assert of_host(settings) == {}
    with processes(2, free_port) as [first, second]:
        first("count", 3)
        second("count", 4)
        text = write(of_host(settings))[0].decode()
        assert 'http_server_request_duration_seconds_count{http_request_method="GET"' in text
        assert next(line for line in text.splitlines() if "_duration_seconds_count{" in line).endswith(" 7.0")
        assert f'process_threads{{process_pid="{second.pid}"}} 3.0' in text
    assert of_host(settings) == {}


def test_many_ask_at_once_while_processes_die_and_nothing_goes_backwards(free_port: int) -> None:
    """An answer to a question that was put after another was answered is never less than that other answer."""
    answers: list[tuple[float, float, int, float]] = []
    ended = threading.Event()

    def ask(process: WorkerProcess) -> None:
        while not ended.is_set():
            process("count", 1, "/a", 0.1)
            began = time.monotonic()
            shown = process("shown")
            answers.append((began, time.monotonic(), shown["requests"], shown["sum"]))

    with processes(2, free_port) as lasting:
        threads = [threading.Thread(target=ask, args=(process,)) for process in lasting]
        for thread in threads:
            thread.start()
        for _ in range(8):
            with processes(1, free_port) as [short]:
                for _ in range(5):
                    short("count", 3, "/a", 0.3)
                    began = time.monotonic()
                    shown = short("shown")
                    answers.append((began, time.monotonic(), shown["requests"], shown["sum"]))
        ended.set()
        for thread in threads:
            thread.join()
        total = [process("shown") for process in lasting]
    asked = sum(1 for _ in answers) - 8 * 5
    assert [one["requests"] for one in total] == [asked + 8 * 5 * 3] * 2
    assert _backwards(answers) == []


def _backwards(answers: list[tuple[float, float, int, float]]) -> list[object]:
    finished = sorted(answers, key=lambda answer: answer[1])
    return [
        (earlier, later)
        for later in answers
        for earlier in finished
        if earlier[1] < later[0] and (earlier[2] > later[2] or earlier[3] > later[3])
    ]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(idle_seconds=0.0)


def requests(accounts: Accounts) -> float:
    return sum(
        sum((total.bins or {}).values())
        for (meter, _), total in accounts.totals().items()
        if meter is meters.HTTP_SERVER_REQUEST_DURATION
    )


def test_what_an_idle_series_counted_stays_when_it_leaves_and_when_it_returns(recorder: Recorder) -> None:
    accounts = Accounts(recorder.collect, 1000)
    recorder.before_retire(accounts.retire)
    for number in range(1, 4):
        recorder.histogram(meters.HTTP_SERVER_REQUEST_DURATION, ("GET", "/a", "200", None, "http")).record(0.1)
        assert requests(accounts) == number
        until(lambda: bool(recorder.retire()) or not recorder.collect(), 30)
        assert recorder.collect() == []
        assert requests(accounts) == number


def test_a_series_that_is_just_leaving_is_waited_for(recorder: Recorder) -> None:
    """It is in no collection and not retired yet, for a moment."""
    recorder.histogram(meters.HTTP_SERVER_REQUEST_DURATION, ("GET", "/a", "200", None, "http")).record(0.1)
    states: list[State] = recorder.collect()
    present = [states]
    accounts = Accounts(lambda: present[0], 1000)
    assert requests(accounts) == 1
    present[0] = []
    threading.Timer(0.005, lambda: accounts.retire(states)).start()
    assert requests(accounts) == 1


def test_own_errors_are_counted_where_the_folder_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchglass.exporters.workers.files import Files

    monkeypatch.setattr(guard, "strict", False)
    files = Files(Settings(state_dir=str(tmp_path / "state")))
    path = files.path("life0000", "id", "sheet")
    path.write_bytes(b"rubbish")
    before = guard.errors["workers.sheet"]
    assert files.read(path) is None
    assert guard.errors["workers.sheet"] == before + 1
    assert path.with_suffix(".damaged").read_bytes() == b"rubbish"
    assert files.read(path) is None
    assert guard.errors["workers.sheet"] == before + 1
