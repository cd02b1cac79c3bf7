"""What Watchglass detected and what is missing: the findings of `watchglass doctor`."""

from __future__ import annotations

from watchglass.api import words
from watchglass.api.answers import SetupAnswer
from watchglass.api.asking import Asked, Parameters
from watchglass.api.models import Missing

NOT_ASKED = "This process has no findings to show."
BESIDE = "Not looked at from beside the service. Where the service runs:"


async def setup(asked: Asked, _parameters: Parameters) -> SetupAnswer:
    """Each finding, what needs attention first. Answers without the store, since it may be what is missing."""
    ask = asked.context.findings
    findings = sorted(await ask() if ask else (), key=lambda finding: _URGENCY[finding.state])
    open_ones = sum(finding.state != "ok" for finding in findings)
    sentence = f"{words.plural(open_ones, 'finding')} to look at." if open_ones else "Everything is set up."
    missing = None if findings else _unasked(asked)
    return SetupAnswer(**asked.head("setup", "Setup", sentence, missing), findings=findings)


def _unasked(asked: Asked) -> Missing:
    return Missing(reason=BESIDE if asked.context.aside else NOT_ASKED, command="watchglass doctor")


_URGENCY = {"error": 0, "missing": 1, "warning": 2, "ok": 3}
