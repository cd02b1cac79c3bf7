"""Running the tests in environments of their own, as `./dev test` does: side by side, and alone what failed then."""

from __future__ import annotations

import faulthandler
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINUTES = 90
FAILED = 1
"""What pytest ends with where tests failed, and nothing else went wrong."""


def find_uv() -> str:
    """The program, of PATH or the one that ./dev keeps; skips the test where there is none."""
    found = shutil.which("uv") or shutil.which("uv", path=ROOT / ".dev" / "bin")
    if found is None:
        pytest.skip("uv is neither on PATH nor in .dev: run the tests with ./dev test --all")
    return found


def run(*command: str, **variables: str) -> str:
    """What the program prints; it has to end well."""
    done = _ended(command, variables)
    assert done.returncode == 0, _told(done)
    return done.stdout


def run_tests(python: str, *arguments: str) -> str:
    """Run tests by this Python: side by side, then once more alone those that failed for the load of the others."""
    faulthandler.cancel_dump_traceback_later()  # pytest's limit is for one test, and these are all
    with tempfile.TemporaryDirectory() as cache:
        command = (python, "-m", "pytest", "-q", "-o", f"cache_dir={cache}", *arguments)
        processes = os.environ.get("TEST_PROCESSES", "3")
        done = _ended((*command, "-n", processes, "--dist", "loadfile"))
        if done.returncode == FAILED:
            print(_told(done))
            done = _ended((*command, "--last-failed", "--last-failed-no-failures", "none"))
        assert done.returncode == 0, _told(done)
        return done.stdout


def _ended(command: tuple[str, ...], variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(variables or {})}
    limit = 60 * MINUTES
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit, check=False
    )


def _told(done: subprocess.CompletedProcess[str]) -> str:
    return f"{' '.join(done.args)}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
