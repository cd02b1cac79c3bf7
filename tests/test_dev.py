"""./dev needs Python and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def dev(*arguments: str, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ./dev with no more of the environment than a new account has."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "SSL_", "NODE_EXTRA"))}
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": os.environ["HOME"], **kept, **variables}
    command = ["sh", "dev", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_without_a_command_it_says_what_it_can_do() -> None:
    done = dev()
    assert done.returncode == 0
    assert "./dev test [--all]" in done.stderr
    assert "set -eu" not in done.stderr


def test_an_unknown_command_is_an_error() -> None:
    assert dev("tset").returncode == 1


def test_a_python_that_is_too_old_is_named() -> None:
    done = dev("lint", PYTHON="no-such-python")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed; none of no-such-python is." in done.stderr


def test_ci_runs_the_same_tests_and_skips_none() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "export CI=true" in script
    assert script.rstrip().endswith("exec ./dev test")


def test_the_versions_checked_are_those_promised() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["requires-python"] == ">=3.11"
    assert (project["tool"]["ruff"]["target-version"], project["tool"]["mypy"]["python_version"]) == ("py311", "3.11")


@pytest.mark.slow
def test_a_fresh_clone_sets_itself_up_once_without_uv(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    tell = ["run", "python", "-c", "import sys, typing_extensions, watchglass as w; print(sys.prefix, w.__file__)"]
    first = dev(*tell, folder=clone, HOME=str(tmp_path), PYTHON=sys.executable)
    assert first.returncode == 0, first.stderr
    assert "Installing uv into .dev" in first.stderr
    assert first.stdout.split() == [str(clone / ".venv"), str(clone / "src" / "watchglass" / "__init__.py")]
    assert (clone / "src" / "watchglass" / "ui" / "static" / "manifest.json").exists()
    again = dev(*tell, folder=clone, HOME=str(tmp_path), PYTHON=sys.executable)
    assert (again.returncode, again.stderr) == (0, "")
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert status.stdout == ""
