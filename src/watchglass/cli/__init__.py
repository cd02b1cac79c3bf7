"""The command `watchglass`: one module per subcommand, each with `add` (its arguments) and the function they run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from watchglass import __version__
from watchglass.cli import demo, doctor, grafana, login, migrate, run, serve
from watchglass.errors import WatchglassError

FAILED = 2
INTERRUPTED = 130

_DESCRIPTION = "Observability inside a FastAPI service that uses PostgreSQL and Redis."
_EPILOG = (
    "Settings come from the environment: WATCHGLASS_*, DATABASE_URL, REDIS_URL and OTEL_*; docs/settings.md has all."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand. Returns 0, or 2 after a sentence on standard error that says what to do."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    own, _, passed_on = _partition(given)
    options = _parser().parse_args(own)
    if passed_on and options.command != "run":
        _parser().error("only `run` takes options after --")
    options.passed_on = passed_on
    try:
        return int(options.run(options) or 0)
    except WatchglassError as error:
        print(f"watchglass: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough; Python would complain again when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _partition(given: list[str]) -> tuple[list[str], str, list[str]]:
    """Split at the first `--`."""
    if "--" not in given:
        return given, "", []
    position = given.index("--")
    return given[:position], "--", given[position + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="watchglass", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"watchglass {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for module in (demo, run, serve, doctor, migrate, login, grafana):
        module.add(commands)
    return parser
