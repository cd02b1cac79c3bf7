"""Entering structlog: its bound loggers run processors of ours, whatever chain they were configured with.

They read their chain from an attribute, `_processors`, which becomes a property of their base class: what the host
configures stays as it is, and loggers that were made and cached before, or with a chain of their own, run ours as well.
Ours stand before the renderer, where filters have dropped what they drop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
from structlog import dev, processors, stdlib
from structlog.testing import LogCapture as CapturedByTest

from watchglass import guard
from watchglass.instrumentation.log_capture import LogCapture
from watchglass.instrumentation.log_processors import (
    AfterRenderer,
    BeforeException,
    BeforeRenderer,
    Own,
    add_ids_of_record,
)
from watchglass.instrumentation.log_records import Ids

Processor = Callable[[Any, str, Any], Any]

_CHAIN: Final = (structlog.BoundLoggerBase, "_processors")
_FOREIGN_CHAIN: Final = (stdlib.ProcessorFormatter, "foreign_pre_chain")
_STANDARD: Final = (logging.Logger, logging.LoggerAdapter)
_FORMATTING: Final = (processors.ExceptionRenderer, processors.ExceptionPrettyPrinter)
_RENDERING: Final = (
    processors.EventRenamer,
    processors.JSONRenderer,
    processors.KeyValueRenderer,
    processors.LogfmtRenderer,
    dev.ConsoleRenderer,
)
_WRAPPING: Final = frozenset({"render_to_log_kwargs", "render_to_log_args_and_kwargs", "wrap_for_formatter"})
_MOST_CHAINS: Final = 256


class Chain(list[Processor]):
    """A chain of the host's with ours in it; `host` is that without."""

    host: Any


class StructuredLogs:
    """Enters structlog and leaves it; without `capture` its lines only get ids."""

    def __init__(self, current_ids: Callable[[], Ids], capture: LogCapture | None) -> None:
        self._current_ids = current_ids
        self._capture = capture
        self._chains: dict[tuple[int, bool], tuple[Any, Any]] = {}

    def enter(self) -> None:
        """Have every bound logger run our processors, and every formatter of records put ids on foreign ones."""
        _add_property(*_CHAIN, self._chain_of)
        _add_property(*_FOREIGN_CHAIN, _with_ids)

    @staticmethod
    def leave() -> None:
        """Undo `enter`."""
        for owner, name in (_CHAIN, _FOREIGN_CHAIN):
            delattr(owner, name)

    def _chain_of(self, bound_logger: Any) -> Any:
        """The host's chain with ours in it. Made once; anew when the host changed its list."""
        values = bound_logger.__dict__
        host = values["_processors"]
        key = id(host), isinstance(values.get("_logger"), _STANDARD)
        known = self._chains.get(key)
        if known is not None and known[0] == host:
            return known[1]
        if len(self._chains) >= _MOST_CHAINS:
            self._chains.clear()
        chain = self._new_chain(host, tuple(host), key[1])
        self._chains[key] = host.copy() if isinstance(host, list) else host, chain
        return chain

    def _new_chain(self, host: Iterable[Processor], present: tuple[Processor, ...], standard: bool) -> Any:
        others = [processor for processor in present if not isinstance(processor, Own)]
        if not others or isinstance(others[-1], CapturedByTest):
            return host
        chain = Chain(others)
        chain.host = host
        rendering = next((n for n, other in enumerate(others) if _renders(other)), len(others) - 1)
        formatting = next((n for n, other in enumerate(others[:rendering]) if isinstance(other, _FORMATTING)), None)
        chain.insert(rendering, BeforeRenderer(self._current_ids, self._capture, standard, formatting is not None))
        if self._capture is not None:
            if formatting is not None:
                chain.insert(formatting, BeforeException(self._capture))
            if standard:
                chain.append(AfterRenderer(self._capture))
        return chain


def _renders(processor: Processor) -> bool:
    return isinstance(processor, _RENDERING) or getattr(processor, "__name__", None) in _WRAPPING


def _with_ids(formatter: Any) -> list[Processor]:
    return [*(formatter.__dict__["foreign_pre_chain"] or ()), add_ids_of_record]


def _add_property(owner: type, name: str, make: Callable[[Any], Any]) -> None:
    """Have `name` of all objects of a class be what `make` makes of the object; its own value stays what it is."""

    def get(self: Any) -> Any:
        try:
            return make(self)
        except Exception:
            if name not in self.__dict__:
                raise AttributeError(name) from None
            guard.caught("structlog")
            return self.__dict__[name]

    def set(self: Any, value: Any) -> None:
        self.__dict__[name] = value.host if type(value) is Chain else value

    setattr(owner, name, property(get, set))
