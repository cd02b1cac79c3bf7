"""What the faults' tests look for, during a fault and after it."""

from __future__ import annotations

import time
from collections import Counter

from support.counting import stored_durations, stored_lines, stored_requests
from support.databases import execute
from support.pipelines import fetch
from support.traffic import Traffic
from support.unruly import Unruly

WRITER = "SELECT pid FROM pg_stat_activity WHERE application_name = 'watchglass writer'"
ROLLED_UP_SECONDS = 60.0
"""What comes after its half hour was rolled up shows when the elected process, which may be a new one, rolls it up."""


def check(url: str, traffic: Traffic) -> None:
    """Every request was answered, and the store has each of them, and its line, once."""
    assert traffic.unanswered == []
    deadline = time.monotonic() + ROLLED_UP_SECONDS
    while (stored := stored_requests(url)) != traffic.counts and time.monotonic() < deadline:
        assert stored <= traffic.counts, "more than was sent"
        time.sleep(0.2)
    assert stored_requests(url) == traffic.counts
    assert stored_durations(url) == Counter(answer.key[:2] for answer in traffic.answered)
    assert stored_lines(url) == Counter(answer.number for answer in traffic.answered)


def set_standby(server: Unruly, name: str) -> None:
    execute(server.superuser_url, f"ALTER SYSTEM SET synchronous_standby_names = '{name}'", "SELECT pg_reload_conf()")


def committed_unanswered(server: Unruly) -> bool:
    return bool(fetch(server.superuser_url, f"{WRITER} AND wait_event = 'SyncRep'"))
