"""What does keeping it cost, and how fast is it asked? The store beside Prometheus and beside a row per request.

Generated traffic of 200 endpoints, 100 requests a second, 30 days, in a real PostgreSQL by way of the writer and the
roll-ups, the same series in a real Prometheus, and the requests themselves in the seed's table. The dashboard's
questions are asked of both in turns. What was not measured but calculated says so.

    python benchmarks/store.py                             # the whole report, in Markdown
    python benchmarks/store.py --quick                     # a fraction of it, to see that it works
    python benchmarks/store.py --days 30 --prometheus-days 8
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import replace

from bench import ingest, report
from bench.run import Plan, measure

FULL = Plan()
QUICK = Plan(
    days=0.25, written_hours=1, prometheus_days=0.25, seed_hours=0.5, ingest_hours=0.5, rounds=3, cold_rounds=1
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few hours instead of days")
    parser.add_argument("--days", type=float, help=f"days of traffic in the store ({FULL.days:g})")
    written = f"hours of it that go through the writer; the rest is copied ({FULL.written_hours:g})"
    parser.add_argument("--written-hours", type=float, help=written)
    parser.add_argument("--prometheus-days", type=float, help=f"days of it in Prometheus ({FULL.prometheus_days:g})")
    parser.add_argument("--seed-hours", type=float, help=f"hours of it as a row per request ({FULL.seed_hours:g})")
    parser.add_argument("--ingest-hours", type=float, help=f"hours of it each process writes ({FULL.ingest_hours:g})")
    parser.add_argument("--endpoints", type=int, help=f"({FULL.endpoints})")
    parser.add_argument("--rate", type=float, help=f"requests a second, in the mean ({FULL.rate:g})")
    parser.add_argument("--rounds", type=int, help=f"rounds of each question ({FULL.rounds})")
    parser.add_argument("--cold-rounds", type=int, help=f"rounds with everything restarted ({FULL.cold_rounds})")
    parser.add_argument("--writer", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--hours", type=float, default=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.writer:
        asyncio.run(ingest.write(arguments.writer, arguments.number, arguments.hours))
        return
    given = {name: value for name, value in vars(arguments).items() if value is not None and hasattr(FULL, name)}
    plan = replace(QUICK if arguments.quick else FULL, **given)
    began = time.perf_counter()
    figures = asyncio.run(measure(plan, lambda said: print(f"  {said}", file=sys.stderr, flush=True)))
    print(report.of(figures, minutes=(time.perf_counter() - began) / 60))


if __name__ == "__main__":
    main()
