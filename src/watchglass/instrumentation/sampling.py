"""Whether the trace of a request is sampled, where no tracer provider of the host's decides: OTEL_TRACES_SAMPLER.

What is sampled may go to a collector, and those whom the service calls are told so. What is kept in the store is
decided of all requests, once they ended: see `tail`.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from watchglass.guard import logger
from watchglass.instrumentation.propagation import Parent

Sampler = Callable[[int, Parent | None], bool]
"""Decides on a trace id and the parent, if there is one."""

_BASED_ON_PARENT = "parentbased_"
_LOWER_HALF = (1 << 64) - 1


def sampler_of(variables: Mapping[str, str]) -> Sampler | None:
    """The sampler that the variables name; None is the default, which follows the parent and samples what has none."""
    name = variables.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    ratio = _ratio(name, variables.get("OTEL_TRACES_SAMPLER_ARG", "").strip())
    if ratio is None:
        if name:
            logger.warning("OTEL_TRACES_SAMPLER is %r, which is not known; it is taken as parentbased_always_on", name)
        return None
    below = round(ratio * (1 << 64))

    def by_ratio(trace_id: int, parent: Parent | None) -> bool:
        return trace_id & _LOWER_HALF < below

    def by_parent(trace_id: int, parent: Parent | None) -> bool:
        return by_ratio(trace_id, None) if parent is None else parent.sampled

    return by_parent if name.startswith(_BASED_ON_PARENT) else by_ratio


def _ratio(name: str, argument: str) -> float | None:
    """What part of the traces without a parent is sampled; None for a name that is not known."""
    match name.removeprefix(_BASED_ON_PARENT):
        case "always_on":
            return 1.0
        case "always_off":
            return 0.0
        case "traceidratio":
            return _number(argument)
        case _:
            return None


def _number(argument: str) -> float:
    try:
        number = float(argument or 1.0)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        logger.warning("OTEL_TRACES_SAMPLER_ARG is %r, which is no number from 0 to 1; it is taken as 1", argument)
        return 1.0
    return number
