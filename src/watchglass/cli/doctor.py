"""`watchglass doctor`: what was detected, what is missing, and what to do about it."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from watchglass.cli.parsing import add_command
from watchglass.settings import Settings

if TYPE_CHECKING:
    from watchglass.cli.parsing import Commands
    from watchglass.jobs.doctor import Finding

_WORDS = {"ok": "ok", "missing": "note", "warning": "WARNING", "error": "ERROR"}


def add(commands: Commands) -> None:
    text = "say what was detected, what is missing, and the statement or setting that helps"
    epilog = "Exit status: 0 when all is well, notes aside; 1 with warnings or errors."
    parser = add_command(commands, "doctor", _run, help=text, epilog=epilog)
    parser.add_argument("--json", action="store_true", help="the findings as JSON")


def _run(options: argparse.Namespace) -> int:
    from watchglass.jobs.doctor import diagnose

    findings = asyncio.run(diagnose(Settings()))
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(line for finding in findings for line in _lines(finding)))
    return int(any(finding.state in ("warning", "error") for finding in findings))


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{_WORDS[finding.state]:<8} {finding.sentence}"
    if finding.remedy:
        yield f"{'':<8} {finding.remedy}"
    if finding.command:
        yield f"{'':<12} {finding.command}"
