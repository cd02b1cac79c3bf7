"""The line on top of PostgreSQL's page: whether PostgreSQL is the problem, and where, with what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from watchglass.api import words
from watchglass.api.activity_answers import ActivityAnswer, Pool, Session
from watchglass.api.postgresql_health_answers import HealthChecksAnswer
from watchglass.api.postgresql_share import PostgresqlShare
from watchglass.api.pressing import longest_wait
from watchglass.ui import format, postgresql
from watchglass.ui.cards.headline import ORDER
from watchglass.ui.levels import ENOUGH, Level
from watchglass.ui.postgresql_sessions import LONG, WAITS, WAITS_LONG, is_idle_in_transaction

MOST = 0.5
"""The share of the requests' time, or of a pool's connections, from which on PostgreSQL is where it goes."""

NOTABLE = 0.1
"""The share below which PostgreSQL's time does not matter, however it changed."""

TELLING = 0.2
"""The part of PostgreSQL's time from which on one statement is worth naming."""

RISE = 0.2
EVIDENCE = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """What is not as it should be. `link` is where it is seen: a part of this page (#), or a page below /ui/monitoring.

    `of_pool`: it is the application's pool, not PostgreSQL. `of_now`: it is felt now; what is not has time.
    """

    level: Level
    text: str
    link: str
    of_pool: bool = False
    of_now: bool = True


@dataclass(frozen=True, slots=True)
class HeadlineView:
    """`level` None is quiet. `evidence` is what else was found, `unknown` which parts of the answer are missing."""

    level: Level | None
    sentence: str
    link: str
    evidence: list[Finding]
    unknown: Sequence[str]

    @property
    def count(self) -> int:
        """How many things are not as they should be."""
        return len(self.evidence) + (self.level is not None)


def view(
    now: ActivityAnswer | None,
    share: PostgresqlShare | None,
    health: HealthChecksAnswer | None,
    than: str,
    unknown: Sequence[str] = (),
) -> HeadlineView:
    """One line from the three answers, None where one is not there (yet). `than` names the earlier window.

    `unknown` are those that failed.
    """
    found = sorted(_findings(now, share, health, than), key=lambda one: (not one.of_now, ORDER[one.level]))
    if not found:
        return HeadlineView(None, _quiet(now, share), "", [], unknown)
    first = found[0]
    return HeadlineView(first.level, _says(first), first.link, found[1 : EVIDENCE + 1], unknown)


def _says(first: Finding) -> str:
    if first.of_pool:
        return f"The application's pool is the problem, not PostgreSQL: {first.text}."
    if not first.of_now:
        when = "needs attention now" if first.level == "critical" else "is not the problem now; to see to later"
        return f"PostgreSQL {when}: {first.text}."
    verdict = "is the problem" if first.level == "critical" else "may be the problem"
    return f"PostgreSQL {verdict}: {first.text}."


def _findings(
    now: ActivityAnswer | None, share: PostgresqlShare | None, health: HealthChecksAnswer | None, than: str
) -> Iterator[Finding]:
    """Those of each level in the order in which they explain each other."""
    if now is not None:
        yield from _of_now(now)
    if share is not None:
        yield from _of_time(share, than)
    if health is not None and health.role is not None:
        yield from _of_health(health)


def _of_now(now: ActivityAnswer) -> Iterator[Finding]:
    if now.server is None:
        yield Finding("critical", "it does not answer", "#now")
    yield from _of_locks(now)
    if now.connections is not None:
        found = postgresql.connections_view(now.connections)
        if found.level:
            yield Finding(found.level, f"{found.used} of {found.usable} connections are used", "#connections")
    for pool in now.pool:
        yield from _of_pool(pool, now)
    held_up = {node.session.pid for node in now.locks}
    yield from _of_long(now.idle_in_transaction, "idle-in-transaction", "has been idle in a transaction for", held_up)
    yield from _of_long(now.running, "running", "has executed a statement for", held_up)


def _of_locks(now: ActivityAnswer) -> Iterator[Finding]:
    """One for each session that blocks and waits for nobody, with how long the longest has waited."""
    for root in sorted(now.locks, key=lambda one: -one.waiters_total):
        waited = longest_wait(root)
        if waited >= WAITS and root.waiters_total:
            level: Level = "critical" if waited >= WAITS_LONG else "warning"
            many = words.plural(root.waiters_total, "session")
            wait = f"{many} {'waits' if root.waiters_total == 1 else 'wait'} for locks of {named(root.session)}"
            yield Finding(level, f"{wait}, the longest for {words.duration(waited)}", f"#lock-{root.session.pid}")


def named(one: Session) -> str:
    """A session by what a person knows it by: its request, else its application or its user."""
    by = one.endpoint or one.application or (one.user and f"user {one.user}")
    return f"session {one.pid} ({by})" if by else f"session {one.pid}"


def _of_pool(pool: Pool, now: ActivityAnswer) -> Iterator[Finding]:
    """Requests that wait for a connection; where statements that take long have the others, it is not the pool."""
    level = postgresql.level_of(pool)
    if not level or not pool.waiting:
        return
    waits = f"{words.plural(pool.waiting, 'request')} {'waits' if pool.waiting == 1 else 'wait'} for a connection"
    full = f", and all {pool.max} are used" if level == "critical" else ""
    took = [
        one.seconds or 0.0 for one in (*now.running, *now.waiting) if one.instance and one.instance == pool.instance
    ]
    long = [seconds for seconds in took if seconds >= WAITS]
    if long and len(long) >= MOST * (pool.used or 0):
        by = f", {len(long)} of them by statements that take long, the longest for {words.duration(max(long))}"
        yield Finding(level, f"{waits} of {pool.name}{full}{by}", "#running")
    else:
        yield Finding(level, f"{waits} of {pool.name}{full}", "#pools", of_pool=True)


def _of_long(sessions: list[Session], name: str, does: str, held_up: set[int]) -> Iterator[Finding]:
    """The longest of a list; one that holds others up was named already."""
    long = [one for one in sessions if not one.ours and one.pid not in held_up and (one.seconds or 0.0) >= LONG]
    if long:
        more = f", and {words.plural(len(long) - 1, 'other')} for long" if len(long) > 1 else ""
        text = f"{named(long[0])} {does} {words.duration(long[0].seconds)}{more}"
        yield Finding("warning", text, f"#{name}-{long[0].pid}", of_now=not is_idle_in_transaction(long[0]))


def _of_time(share: PostgresqlShare, than: str) -> Iterator[Finding]:
    """Requests wait notably longer for PostgreSQL than before, and it is a notable part of their time."""
    figure = share.per_request
    change = figure.change
    if change is None or change.verdict != "worse" or (share.share or 0.0) < NOTABLE:
        return
    if min(figure.samples or 0, figure.previous_samples or 0) < ENOUGH:
        return
    if change.relative is None or change.relative >= RISE:
        how = format.compared(format.change(change, "s"), than)
        text = f"a request waits {words.duration(figure.value)} for PostgreSQL, {how}{_dearest(share)}"
        link = f"statements/{share.dearest.fingerprint}" if _is_telling(share) and share.dearest else "#statements"
        yield Finding("warning", text, link)


def _dearest(share: PostgresqlShare) -> str:
    most = share.dearest
    return f"; {words.percent(most.share)} of that is {most.summary}" if most and _is_telling(share) else ""


def _is_telling(share: PostgresqlShare) -> bool:
    return share.dearest is not None and share.dearest.share >= TELLING


def _of_health(health: HealthChecksAnswer) -> Iterator[Finding]:
    """What goes wrong slowly: bad ones are to be seen to now."""
    for one in health.checks:
        if one.state in ("bad", "attention"):
            level: Level = "critical" if one.state == "bad" else "warning"
            said = one.sentence.partition(". ")[0].rstrip(".")
            yield Finding(level, f"{one.title}: {said}", f"#health-{one.name}", of_now=False)


def _quiet(now: ActivityAnswer | None, share: PostgresqlShare | None) -> str:
    """That nothing was found, by figures; or that nothing is known."""
    said: list[str] = []
    if now is not None:
        waiting = len(now.waiting) + now.left_off["waiting"]
        said.append(f"{words.plural(waiting, 'session')} waiting" if waiting else "nothing waits for a lock")
        if now.connections is not None:
            found = postgresql.connections_view(now.connections)
            said.append(f"{found.used} of {found.usable} connections are used")
    if share is not None and share.share is not None:
        said.append(f"it takes {words.percent(share.share)} of the requests' time{_dearest(share)}")
    if not said:
        return "Not known whether PostgreSQL is the problem: nothing of it was read."
    most = share is not None and (share.share or 0.0) >= MOST
    verdict = (
        "PostgreSQL is where the time goes, and nothing is in its way" if most else "PostgreSQL is not the problem"
    )
    return f"{verdict}: {', '.join(said)}."
