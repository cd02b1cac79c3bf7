"""The figures of a run as Markdown: what was calculated, and not measured, says so."""

from __future__ import annotations

from bench.run import Answers, Figures
from bench.tables import mb, ms, table, times
from bench.timing import median, p95
from bench.traffic import HOUR
from watchglass.settings import Settings

DAY = 24 * HOUR
CALCULATED = "*"
"""Marks a figure that was calculated."""

_PARTITION_DAYS = {"metrics_10s": 1, "metrics_1m": 1, "metrics_1h": 7, "metrics_1d": 91}
_SECONDS = {"metrics_10s": "10 s", "metrics_1m": "1 m", "metrics_1h": "1 h", "metrics_1d": "1 d"}


def of(figures: Figures, minutes: float) -> str:
    plan = figures.plan
    head = (
        f"{plan.endpoints} endpoints, {plan.rate:g} requests/s in the mean, {plan.days:g} days, one process; "
        f"{figures.machine}, {figures.versions}; {minutes:.0f} minutes. "
        f"`{CALCULATED}` marks what was calculated from what was measured."
    )
    parts = [
        ("What it takes", _sizes(figures)),
        ("Tiers", _tiers(figures)),
        ("Answers, warm", _warm(figures)),
        ("Answers, cold", _cold(figures)),
        ("Writing", _writing(figures)),
        ("P95 beside the exact value", _errors(figures)),
        ("Goals", _goals(figures)),
    ]
    return "\n\n".join([head, *(f"### {title}\n\n{text}" for title, text in parts)])


def thirty_days(figures: Figures) -> float:
    """Bytes of a store that has run for 30 days at the moment it holds most: right before partitions are dropped."""
    settings = Settings()
    kept = {
        "metrics_10s": settings.retention_10s_hours / 24,
        "metrics_1m": float(settings.retention_1m_days),
        "metrics_1h": float(settings.retention_metrics_days),
        "metrics_1d": float(settings.retention_metrics_days),
    }
    total = float(figures.store_bytes - sum(tier.bytes for tier in figures.tiers.values()))
    for name, tier in figures.tiers.items():
        most = kept[name] if name == "metrics_1d" else kept[name] + _PARTITION_DAYS[name]
        total += tier.bytes_per_day * most
    return total


def _sizes(figures: Figures) -> str:
    plan, seed = figures.plan, figures.seed
    assert seed is not None
    ours, row = thirty_days(figures), seed.bytes / seed.rows * plan.rate * DAY
    prometheus = figures.prometheus_bytes / plan.prometheus_days
    day = figures.tiers["metrics_10s"].bytes_per_day
    rows = [
        [
            "**Watchglass**",
            mb(day),
            f"{mb(figures.store_bytes)} held after {plan.days:g} d",
            mb(ours) + CALCULATED,
            "1",
        ],
        [
            f"Prometheus, {figures.prometheus_series:,} series every 15 s",
            mb(prometheus),
            f"{mb(figures.prometheus_bytes)} held after {plan.prometheus_days:g} d",
            mb(prometheus * 30) + CALCULATED,
            times(prometheus * 30 / ours),
        ],
        [
            f"a row per request, {seed.bytes / seed.rows:.0f} bytes each",
            mb(row) + CALCULATED,
            f"{mb(seed.bytes)} held after {plan.seed_hours:g} h",
            mb(row * 30) + CALCULATED,
            times(row * 30 / ours),
        ],
    ]
    head = ["", "MB of a day as written", "MB measured", "MB for 30 days, at most", "ratio"]
    return table(head, rows)


def _tiers(figures: Figures) -> str:
    rows = [
        [_SECONDS[name], f"{tier.days:.1f}", mb(tier.bytes), mb(tier.bytes_per_day)]
        for name, tier in figures.tiers.items()
    ]
    note = f"Rolling up took {figures.roll_up_seconds_a_day:.1f} s of each day."
    return table(["rows of", "days held", "MB", "MB a day"], rows) + f"\n\n{note}"


def _warm(figures: Figures) -> str:
    rows = []
    for one in figures.answers:
        ours, theirs = median(one.ours.warm), median(one.theirs.warm)
        rows.append(
            [
                _title(one),
                f"{ms(ours)} / {ms(p95(one.ours.warm))}",
                f"{_scaled(one, theirs)} / {_scaled(one, p95(one.theirs.warm))}",
                times(theirs * one.factor / ours),
                f"{one.ours.values} / {one.theirs.values}",
            ]
        )
    return table(["question", "Watchglass, ms median / P95", "PromQL, ms median / P95", "ratio", "values"], rows)


def _cold(figures: Figures) -> str:
    rows = [
        [
            _title(one),
            ms(median(one.ours.cold)),
            _scaled(one, median(one.theirs.cold)),
            times(median(one.theirs.cold) * one.factor / median(one.ours.cold)),
        ]
        for one in figures.answers
        if one.ours.cold
    ]
    note = "Both servers restarted, their files dropped from the system's cache, a new reader that has yet to connect."
    return f"{note}\n\n" + table(["question", "Watchglass, ms median", "PromQL, ms median", "ratio"], rows)


def _scaled(one: Answers, value: float) -> str:
    return ms(value * one.factor) + (CALCULATED if one.factor != 1 else "")


def _title(one: Answers) -> str:
    short = one.stored < one.question.seconds
    return one.question.title + (f" (of which {one.stored / DAY:g} d are in the store)" if short else "")


def _writing(figures: Figures) -> str:
    rows = [
        [
            f"{one.processes}",
            f"{one.points_per_second:,.0f}",
            f"{one.points_per_flush:.0f}",
            f"{ms(one.median_ms)} / {ms(one.p95_ms)}",
        ]
        for one in figures.ingest
    ]
    head = ["processes", "points/s", "points of a flush (10 s)", "ms of a flush, median / P95"]
    assert figures.seed is not None
    asked = median(figures.seed.hour_ms)
    note = (
        f"A row per request: {figures.seed.rows / figures.seed.fill_seconds:,.0f} rows/s by COPY, "
        f"P95 of all endpoints over 1 h by percentile_cont in {ms(asked)} ms (24 h: {ms(asked * 24)}{CALCULATED})."
    )
    return table(head, rows) + f"\n\n{note}"


def _errors(figures: Figures) -> str:
    rows = [
        [title, f"{one.median:.2f}", f"{one.worst:.2f}", f"{one.endpoints}"] for title, one in figures.errors.items()
    ]
    return table(["", "percent, median", "worst", "endpoints"], rows)


def _goals(figures: Figures) -> str:
    slowest = max(figures.answers, key=lambda one: median(one.ours.warm))
    nearest = min(figures.answers, key=lambda one: one.factor * median(one.theirs.warm) / median(one.ours.warm))
    ratio = nearest.factor * median(nearest.theirs.warm) / median(nearest.ours.warm)
    error = max(one.median for title, one in figures.errors.items() if title.startswith("Watchglass"))
    worst = max(one.worst for title, one in figures.errors.items() if title.startswith("Watchglass"))
    size = thirty_days(figures) / 1e9
    rows = [
        ["every question under 50 ms", f"{ms(median(slowest.ours.warm))} ms: {slowest.question.title}"],
        ["ten times faster than PromQL", f"{ratio:.1f} times: {nearest.question.title}"],
        ["30 days in at most 1.2 GB", f"{size:.2f} GB{CALCULATED}"],
        ["P95 within 1 %", f"{error:.2f} % in the median, {worst:.2f} % at worst"],
    ]
    reached = [median(slowest.ours.warm) < 50, ratio >= 10, size <= 1.2, error < 1]
    return table(
        ["goal", "reached", ""], [[*row, "yes" if met else "**no**"] for row, met in zip(rows, reached, strict=True)]
    )
