"""The soak: a service with and one without Watchglass under the same load, and what is then in the store."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.slow
def test_a_short_soak_tells_lags_memory_and_that_nothing_is_missing() -> None:
    command = [sys.executable, str(SOAK), "--seconds", "6", "--rate", "50"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, 1), done.stderr  # whether it is flat and fast, six seconds do not tell
    assert re.search(r"^(PASSED|UNDECIDED.*|FAILED): loop lag P99 [\d.]+ ms", done.stdout, re.MULTILINE), (
        done.stdout + done.stderr
    )
    found = re.search(r"(\d+) of ([\d,]+) requests missing in the store", done.stdout)
    assert found
    assert found[1] == "0"
    assert 200 < int(found[2].replace(",", "")) < 400
    assert "without" in done.stdout
