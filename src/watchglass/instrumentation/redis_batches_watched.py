"""A client's method that executes a pipeline, watched, without an object for each."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from watchglass.guard import caught, own_work
from watchglass.instrumentation.redis_commands import Arguments
from watchglass.instrumentation.redis_commands_watched import Method
from watchglass.instrumentation.redis_observer import Batch, RedisObserver

_PLACE = "instrumentation.redis"


Sent = tuple[Batch, Sequence[Arguments], float]
"""A pipeline that was sent, its commands, and when."""


def async_batch(observer: RedisObserver, method: Method) -> Method:
    """The coroutine function, its duration and outcome told to the observer."""

    @functools.wraps(method)
    async def watched(client: Any, *args: Any, **options: Any) -> Any:
        if own_work.get() or not observer.active:
            return await method(client, *args, **options)
        sent = _begun(observer, client)
        try:
            answers = await method(client, *args, **options)
        except BaseException as error:
            _failed(observer, sent, error)
            raise
        _answered(observer, sent, answers)
        return answers

    return watched


def batch(observer: RedisObserver, method: Method) -> Method:
    """The same of a function."""

    @functools.wraps(method)
    def watched(client: Any, *args: Any, **options: Any) -> Any:
        if own_work.get() or not observer.active:
            return method(client, *args, **options)
        sent = _begun(observer, client)
        try:
            answers = method(client, *args, **options)
        except BaseException as error:
            _failed(observer, sent, error)
            raise
        _answered(observer, sent, answers)
        return answers

    return watched


def stack_of(pipeline: Any) -> list[Arguments]:
    """The arguments of the commands that wait in a pipeline, wherever its version of redis-py keeps them."""
    queue = getattr(pipeline, "command_stack", None) or getattr(pipeline, "_command_stack", None)
    if not queue:
        strategy = getattr(pipeline, "_execution_strategy", None)
        queue = getattr(strategy, "_command_queue", None) or getattr(strategy, "command_queue", None) or ()
    return [command[0] if type(command) is tuple else command.args for command in queue]


def is_transaction(pipeline: Any) -> bool:
    """Whether its commands are sent as MULTI ... EXEC."""
    return (
        getattr(pipeline, "is_transaction", None) is True
        or getattr(pipeline, "explicit_transaction", None) is True
        or getattr(pipeline, "transaction", None) is True
        or getattr(pipeline, "_transaction", None) is True
    )


def _begun(observer: RedisObserver, client: Any) -> Sent | None:
    try:
        if stack := stack_of(client):
            return observer.batch(stack, is_transaction(client)), stack, observer.clock()
    except Exception:
        caught(_PLACE)
    return None


def _answered(observer: RedisObserver, sent: Sent | None, answers: Any) -> None:
    try:
        if sent is not None:
            known, stack, start = sent
            observer.batch_answered(known, start, stack, answers)
    except Exception:
        caught(_PLACE)


def _failed(observer: RedisObserver, sent: Sent | None, error: BaseException) -> None:
    try:
        if sent is not None:
            known, _, start = sent
            observer.batch_failed(known, start, error)
    except Exception:
        caught(_PLACE)
