"""Answers about PostgreSQL as the questions give them, to be shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from watchglass.api.activity_answers import (
    ActivityAnswer,
    ApplicationCount,
    Connections,
    LockNode,
    Pool,
    Role,
    Server,
    Session,
    StateCount,
)
from watchglass.api.postgresql_health_answers import HealthCheck, HealthChecksAnswer

AT = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
BEGAN = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
LISTS = ("running", "waiting", "blocking", "idle_in_transaction", "locks", "pool")


def session(pid: int, **known: Any) -> Session:
    """An active session of the shop's."""
    nothing = dict.fromkeys(Session.model_fields)
    usual = {"backend_start": BEGAN, "user": "app", "application": "shop", "client": "10.0.0.3", "state": "active"}
    empty = {"seconds": 0.5, "waits_for": [], "request_ended": False, "ours": False}
    return Session.model_validate({**nothing, **usual, **empty, **known, "pid": pid})


def node(one: Session, *waiters: LockNode, **known: Any) -> LockNode:
    """A session of the tree with those that wait for it."""
    beneath = sum(1 + waiter.waiters_total for waiter in waiters)
    usual = {"mode": None, "on": None, "granted": True, "cut": False, "waiters_total": beneath, "seconds": one.seconds}
    return LockNode(session=one, waiters=list(waiters), **{**usual, **known})


def pool(**known: Any) -> Pool:
    """A pool of ten of which three are used."""
    usual = {"name": "db:5432/shop", "size": 5, "max": 10, "idle": 2, "used": 3, "waiting": 0}
    return Pool.model_validate(
        {
            **usual,
            "wait_p95_seconds": 0.001,
            "timeouts": 0,
            "instance": "i1",
            "host": "web-1",
            "process_pid": 7,
            **known,
        }
    )


def now(**known: Any) -> ActivityAnswer:
    """A quiet moment."""
    usual = {
        "at": AT,
        "sentence": "Quiet.",
        "server": Server(version="18.1", standby=False, started=BEGAN, database="shop"),
        "role": Role(name="app", sees_all=True, would_add=None),
        "connections": connections(14),
        **dict.fromkeys(LISTS, ()),
        "left_off": dict.fromkeys(LISTS, 0),
        "pool_window_seconds": 300,
        "told": (),
    }
    return ActivityAnswer.model_validate({**usual, **known}, from_attributes=True)


def connections(used: int, limit: int = 100, reserved: int = 3) -> Connections:
    """So many, one in four active, the others idle."""
    active = used // 4
    states = [StateCount(state="active", count=active), StateCount(state="idle", count=used - active)]
    applications = [ApplicationCount(application="shop", user="app", count=used)]
    return Connections(limit=limit, reserved=reserved, used=used, ours=0, by_state=states, by_application=applications)


def check(**known: Any) -> HealthCheck:
    """A check that is good."""
    usual = {"name": "wraparound", "title": "Wraparound", "state": "good", "sentence": "It is far away."}
    manual = "https://www.postgresql.org/docs/current/routine-vacuuming.html"
    return HealthCheck.model_validate({**usual, "manual": manual, **known}, from_attributes=True)


def health(*checks: HealthCheck) -> HealthChecksAnswer:
    """These checks."""
    role = Role(name="app", sees_all=True, would_add=None)
    return HealthChecksAnswer(at=AT, sentence="Checked.", state="good", checks=list(checks), role=role, told=[])
