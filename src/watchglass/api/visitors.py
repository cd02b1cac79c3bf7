"""Who asks: a viewer, who sees everything, or an admin, who may also change things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

Role = Literal["viewer", "admin"]

STATE = "watchglass_visitor"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Someone who was let in. `seed` binds the token that guards changes to this visitor's browser."""

    name: str
    role: Role
    seed: str


def visitor_of(request: HTTPConnection) -> Visitor | None:
    """Who was let in with this request; None on what is open to anyone."""
    found = request.scope.get(STATE)
    return found if isinstance(found, Visitor) else None


def viewer(request: HTTPConnection) -> Visitor:
    """A dependency: anyone who was let in."""
    found = visitor_of(request)
    if found is None:
        raise HTTPException(401, "Log in first.")
    return found


def admin(request: HTTPConnection) -> Visitor:
    """A dependency: an admin."""
    found = viewer(request)
    if found.role != "admin":
        raise HTTPException(403, f"This needs the role admin; {found.name} is a viewer.")
    return found
