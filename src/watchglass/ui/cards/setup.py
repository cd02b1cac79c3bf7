"""What is missing: why it matters, and the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass

from watchglass.api.answers import SetupAnswer
from watchglass.api.models import Missing
from watchglass.jobs.doctor.findings import Finding
from watchglass.ui.levels import Level

LEVELS: dict[str, Level | None] = {"error": "critical", "warning": "warning", "missing": None, "ok": None}
ORDER = ("error", "warning", "missing")


@dataclass(frozen=True, slots=True)
class Item:
    """One finding. `word` says its state beside the sign."""

    id: str
    subject: str
    word: str
    level: Level | None
    sentence: str
    remedy: str
    command: str


@dataclass(frozen=True, slots=True)
class SetupView:
    """What is wrong, the worst first; what more there could be; `fine` names what is in order."""

    sentence: str
    items: list[Item]
    more: list[Item]
    fine: list[str]
    missing: Missing | None = None


def view(answer: SetupAnswer) -> SetupView:
    """Findings that ask for something, and the names of the rest."""
    open_ = sorted((one for one in answer.findings if one.state != "ok"), key=lambda one: ORDER.index(one.state))
    items = [_item(at, one) for at, one in enumerate(open_, start=1)]
    return SetupView(
        sentence=answer.sentence,
        items=[one for one in items if one.level],
        more=[one for one in items if not one.level],
        fine=[one.sentence for one in answer.findings if one.state == "ok"],
        missing=answer.missing,
    )


def _item(at: int, one: Finding) -> Item:
    return Item(
        id=f"finding-{at}",
        subject=one.subject,
        word=one.state,
        level=LEVELS[one.state],
        sentence=one.sentence,
        remedy=one.remedy or "",
        command=one.command or "",
    )
