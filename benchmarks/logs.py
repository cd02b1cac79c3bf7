"""What do log lines cost the service that writes them?

python benchmarks/logs.py cost                # microseconds a line, by library, renderer and fields
python benchmarks/logs.py search              # milliseconds of a page, by filter, among ten million lines
python benchmarks/logs.py live                # milliseconds until a line is shown, with 1 and 200 viewers
"""

from __future__ import annotations

import argparse

from bench import log_cost, log_live, log_search

PARTS = {"cost": log_cost, "search": log_search, "live": log_live}
"""Each has `add(parser)`, its options, and `run(arguments)`, which prints Markdown."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True, metavar="PART")
    for name, part in PARTS.items():
        description = (part.__doc__ or "").partition("\n")[0]
        added = parts.add_parser(name, help=description, description=part.__doc__)
        part.add(added)
        added.set_defaults(run=part.run)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
