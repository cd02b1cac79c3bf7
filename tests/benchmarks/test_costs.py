"""The benchmarks of what watching costs run to their table, and say what they need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments]
    changed = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=changed)


def table(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """The cells of each row of the table."""
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    return rows[1:]


@pytest.mark.slow
def test_the_cost_of_a_request_is_told_beside_others() -> None:
    rows = table(run("request_cost", "--rounds", "2", "--requests", "50", "--routes", "20"))
    assert [row[0].split(":")[0] for row in rows] == ["plain", "watchglass", "instrumentator", "contrib"]
    assert all(re.fullmatch(r"\+-?[\d.]+", row[1]) for row in rows[1:])


@pytest.mark.slow
def test_the_cost_of_statements_and_commands_is_told_as_a_share_of_contribs() -> None:
    rows = table(run("client_cost", "--rounds", "2", "--requests", "3"))
    assert len(rows) == 5
    assert all(re.fullmatch(r"-?[\d.]+", row[4]) for row in rows)
    assert {row[5] for row in rows} <= {"reached", "**missed**"}


@pytest.mark.slow
def test_the_memory_of_series_is_told_and_is_bounded() -> None:
    done = run("memory", "--series", "50")
    assert len(table(done)) == 7
    assert "Of 100 series 51 are held" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_the_throughput_of_a_real_server_is_told_beside_others() -> None:
    done = run("throughput", "--rounds", "2", "--seconds", "1", "--connections", "4")
    rows = table(done)
    assert [row[0].split(":")[0] for row in rows] == ["plain", "watchglass", "instrumentator", "contrib"]
    assert all(int(row[1].replace(",", "")) > 10 for row in rows)
    assert re.search(r"Goal, at least the rate of instrumentator: [\d.]+, (reached|MISSED)\.", done.stdout)


def test_without_wrk_it_says_how_to_get_it(tmp_path: Path) -> None:
    done = run("throughput", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "apt-get install wrk" in done.stderr


@pytest.mark.slow
def test_what_a_database_of_many_tables_takes_is_told_beside_its_limits() -> None:
    rows = table(run("catalogues", "--tables", "200", "--rounds", "2"))
    assert {"statements, once a minute", "all indexes", "health: sizes"} <= {row[0] for row in rows}
    assert all(float(row[1].replace(",", "")) > 0 and row[3] in ("2,000", "3,000") for row in rows)
