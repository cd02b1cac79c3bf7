"""A client's method that executes a pipeline, watched; written out as `redis_commands_watched` is for one command."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from watchglass.guard import caught, own_work
from watchglass.instrumentation.redis_commands import Arguments
from watchglass.instrumentation.redis_commands_watched import Method
from watchglass.instrumentation.redis_observer import Batch, RedisObserver

_PLACE = "instrumentation.redis"


def async_batch(observer: RedisObserver, method: Method) -> Method:
    """The coroutine function, its duration and outcome told to the observer."""
    clock = observer.clock

    @functools.wraps(method)
    async def watched(client: Any, *args: Any, **options: Any) -> Any:
        if own_work.get() or not observer.active:
            return await method(client, *args, **options)
        sent: Batch | None = None
        stack: Sequence[Arguments] = ()
        start = 0.0
        try:
            if stack := stack_of(client):
                sent, start = observer.batch(stack, is_transaction(client)), clock()
        except Exception:
            caught(_PLACE)
        try:
            answers = await method(client, *args, **options)
        except BaseException as error:
            _failed(observer, sent, start, error)
            raise
        try:
            if sent is not None:
                observer.batch_answered(sent, start, stack, answers)
        except Exception:
            caught(_PLACE)
        return answers

    return watched


def batch(observer: RedisObserver, method: Method) -> Method:
    """The same of a function."""
    clock = observer.clock

    @functools.wraps(method)
    def watched(client: Any, *args: Any, **options: Any) -> Any:
        if own_work.get() or not observer.active:
            return method(client, *args, **options)
        sent: Batch | None = None
        stack: Sequence[Arguments] = ()
        start = 0.0
        try:
            if stack := stack_of(client):
                sent, start = observer.batch(stack, is_transaction(client)), clock()
        except Exception:
            caught(_PLACE)
        try:
            answers = method(client, *args, **options)
        except BaseException as error:
            _failed(observer, sent, start, error)
            raise
        try:
            if sent is not None:
                observer.batch_answered(sent, start, stack, answers)
        except Exception:
            caught(_PLACE)
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


def _failed(observer: RedisObserver, sent: Batch | None, start: float, error: BaseException) -> None:
    try:
        if sent is not None:
            observer.batch_failed(sent, start, error)
    except Exception:
        caught(_PLACE)
