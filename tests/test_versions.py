"""The same tests pass with the oldest packages that pyproject.toml allows and on the newest Python of this machine.

What runs in a service passes on every newer Python in between and with the newest OpenTelemetry, what speaks to
PostgreSQL on its other versions.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path

import pytest

from support.environments import find_uv, run, run_tests
from support.installations import binaries_of

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Not about the package's own behaviour: the repository, its set-up, the programs that check its files.
LEFT_OUT = ("test_house.py", "test_dev.py", "test_versions.py", "test_compose.py")

# What runs in the process of a service, less what is the same on every Python.
IN_THE_SERVICE = (
    *("tests/conformance", "tests/exporters", "tests/instrumentation", "tests/store"),
    *("tests/test_entry_points.py", "tests/test_one_request.py", "tests/test_settings.py", "tests/test_wiring.py"),
)
# What meets OpenTelemetry. Contrib's packages, which pin it, hold it back.
WITH_OPENTELEMETRY = (
    *("tests/exporters", "tests/instrumentation", "tests/test_entry_points.py", "tests/test_wiring.py"),
    "--ignore=tests/instrumentation/test_contrib_packages.py",
)

pytestmark = pytest.mark.slow


@pytest.fixture
def uv() -> str:
    return find_uv()


def newer_pythons(uv: str) -> dict[tuple[int, int], str]:
    """Every released Python here that is newer than this one, one of each minor version, oldest first.

    Those of pyenv are looked for in its folder: on PATH it has programs that know one of them at a time.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    path = os.pathsep.join([*map(str, sorted(pyenv.glob("3.*/bin"))), os.environ["PATH"]])
    found = json.loads(run(uv, "python", "list", "--only-installed", "--output-format", "json", PATH=path))
    usable = [
        (tuple(int(part) for part in python["version"].split(".")), python["path"])
        for python in found
        if python["implementation"] == "cpython" and python["variant"] == "default"
        if all(part.isdigit() for part in python["version"].split("."))
    ]
    return {version[:2]: path for version, path in sorted(usable) if version[:2] > sys.version_info[:2]}


def passes(uv: str, python: str, folder: Path, *requirements: str, tests: tuple[str, ...] = ("tests",)) -> None:
    """Make an environment of these requirements and what the tests need, and run the tests in it."""
    tools = [tool for tool in PROJECT["dependency-groups"]["dev"] if not tool.startswith("watchglass")]
    run(uv, "venv", "--python", python, str(folder / "env"))
    inside = str(folder / "env" / "bin" / "python")
    run(uv, "pip", "install", "--python", inside, *requirements, *tools)
    run(uv, "pip", "install", "--python", inside, "--no-deps", "--editable", ".")
    left_out = [f"--ignore=tests/{name}" for name in LEFT_OUT]
    print(run_tests(inside, *left_out, *tests))


def test_the_oldest_packages_that_are_allowed(uv: str, tmp_path: Path) -> None:
    oldest = tmp_path / "oldest.txt"
    extras = ("--extra", "contrib", "--extra", "demo", "--extra", "otlp")
    run(uv, "pip", "compile", "--resolution", "lowest-direct", *extras, "pyproject.toml", "-o", str(oldest))
    assert "fastapi==0.110.0" in oldest.read_text()
    passes(uv, sys.executable, tmp_path, "-r", str(oldest))


def test_the_newest_python_of_this_machine(uv: str, tmp_path: Path) -> None:
    newer = newer_pythons(uv)
    if not newer:
        pytest.skip("this machine has no Python newer than the one that runs the tests")
    passes(uv, newer[max(newer)], tmp_path, ".[contrib,demo,otlp]")


@pytest.mark.parametrize("minor", [12, 13, 14, 15])
def test_every_newer_python_in_between(minor: int, uv: str, tmp_path: Path) -> None:
    newer = newer_pythons(uv)
    if (3, minor) not in newer or (3, minor) == max(newer):
        pytest.skip(f"this machine has no Python 3.{minor}, or no newer one, or runs the tests on it anyway")
    passes(uv, newer[3, minor], tmp_path, ".[contrib,demo,otlp]", tests=IN_THE_SERVICE)


def test_the_newest_opentelemetry(uv: str, tmp_path: Path) -> None:
    passes(uv, sys.executable, tmp_path, ".[demo,otlp]", tests=WITH_OPENTELEMETRY)


# The rooms that speak to PostgreSQL.
STORE = ("tests/sql", "tests/store", "tests/jobs", "tests/exporters/test_weather.py", "tests/test_exact_counts.py")
# And what is told of the service's own.
OBSERVED = (
    *("tests/api/test_statements.py", "tests/api/test_plans.py", "tests/api/test_index_advice.py"),
    *("tests/api/test_activity.py", "tests/api/test_activity_ending.py", "tests/api/test_pool.py"),
    *("tests/api/test_postgresql_health.py", "tests/api/test_postgresql_health_history.py"),
    "tests/api/test_observed_databases.py",
)


@pytest.mark.parametrize("major", [14, 15, 16, 17])
def test_other_versions_of_postgresql(major: int) -> None:
    binaries = binaries_of(major)
    print(run_tests(sys.executable, f"--postgresql={binaries}", *STORE, *OBSERVED))
