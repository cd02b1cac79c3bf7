"""The page on OpenTelemetry names variables that are read: here, or by OpenTelemetry's own packages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "opentelemetry.md"
PACKAGE = ROOT / "src" / "watchglass"
NAME = re.compile(r"`(OTEL_[A-Z_]+[A-Z])`")


def rows() -> Iterator[tuple[str, str]]:
    """Every variable that the table has alone in its first cell, and whether it holds."""
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `OTEL_"):
            names, holds = line.split("|")[1:3]
            yield from ((name, holds.strip()) for name in NAME.findall(names))


def sources(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.rglob("*.py"))


@pytest.fixture(scope="module")
def ours() -> str:
    """What names a variable itself, and what puts a signal's name into it."""
    return sources(PACKAGE)


@pytest.fixture(scope="module")
def theirs() -> str:
    found = find_spec("opentelemetry.sdk.environment_variables"), find_spec("opentelemetry.environment_variables")
    return "".join(Path(spec.origin).read_text() for spec in found if spec is not None and spec.origin)


def test_what_the_table_says_holds_is_read(ours: str, theirs: str) -> None:
    found = dict(rows())
    assert len(found) > 25
    for name, holds in found.items():
        exists = name in theirs or name.startswith(("OTEL_PYTHON_", "OTEL_INSTRUMENTATION_", "OTEL_SEMCONV_"))
        assert exists, f"there is no {name}"
        by_signal = re.sub(r"TRACES|METRICS|LOGS", "{signal.upper()}", name)
        if holds == "yes" and name != "OTEL_PROPAGATORS":  # which the API reads
            assert name in ours or by_signal in ours, f"{name} is not read"
        if holds == "no":
            assert name not in ours, f"{name} is read"


def test_every_variable_that_is_read_is_in_the_table(ours: str) -> None:
    read = set(re.findall(r"OTEL_[A-Z_]+[A-Z](?![A-Z_{])", ours))
    assert read - dict(rows()).keys() == set()
