"""The folder of a host's processes is private."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from watchglass.errors import FolderNotWritable
from watchglass.exporters.folders import state_folder
from watchglass.settings import Settings


def settings(folder: Path) -> Settings:
    return Settings(state_dir=str(folder))


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    made = state_folder(settings(tmp_path / "state"), "spool")
    assert made == tmp_path / "state" / "spool"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert state_folder(settings(tmp_path / "state"), "spool") == made


@pytest.mark.parametrize("mode", [0o777, 0o750])
def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(FolderNotWritable, match="open to others"):
        state_folder(settings(folder), "spool")


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FolderNotWritable, match="not a folder"):
        state_folder(settings(tmp_path / "state"), "spool")


def test_a_file_in_its_place_is_named_and_the_variable_that_names_another(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(FolderNotWritable, match=r"cannot be used: .* WATCHGLASS_STATE_DIR"):
        state_folder(settings(tmp_path / "state"), "spool")


def test_without_a_setting_it_lies_in_the_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHGLASS_STATE_DIR")
    assert Settings().state_folder.name.startswith("watchglass-")
