"""The whole table passes on the oldest FastAPI that is allowed, on one in between, and on the newest there is.

Beside each the newest of all else. The environments are kept in `.dev/fastapi`, and made again when what they are made
from changes.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from support.environments import find_uv, run, run_tests

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".dev" / "fastapi"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSIONS = {"oldest": "fastapi==0.110.0", "between": "fastapi==0.128.0", "newest": "fastapi"}
TABLE = ("tests/conformance", "tests/instrumentation", f"--ignore={Path(__file__).relative_to(ROOT)}")

pytestmark = pytest.mark.slow


@pytest.fixture
def uv() -> str:
    return find_uv()


def environment(uv: str, name: str, *requirements: str) -> str:
    """The Python of an environment of these requirements, the project, and what its tests need."""
    tools = [tool for tool in PROJECT["dependency-groups"]["dev"] if not tool.startswith("watchglass")]
    made_from = "\n".join([sys.version, (ROOT / "pyproject.toml").read_text(), *requirements])
    folder = KEPT / f"{name}-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"
    python = str(folder / "bin" / "python")
    if not (folder / "made").exists():
        for old in KEPT.glob(f"{name}-*"):
            shutil.rmtree(old)
        run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
        run(uv, "pip", "install", "--quiet", "--python", python, *requirements, ".[contrib,demo]", *tools)
        run(uv, "pip", "uninstall", "--quiet", "--python", python, "watchglass")
        run(uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--editable", ".")
        (folder / "made").touch()
    if name == "newest":
        run(uv, "pip", "install", "--quiet", "--python", python, "--upgrade", *requirements)
    return python


@pytest.mark.parametrize("version", VERSIONS)
def test_the_table_on_other_versions_of_fastapi(version: str, uv: str) -> None:
    python = environment(uv, version, VERSIONS[version])
    print(run_tests(python, *TABLE))
