"""Commands and pipelines of redis-py, of both its kinds of clients, measured as the application sends them.

In place of `opentelemetry-instrumentation-redis`, with its options, at a tenth of its price. A cluster's client is
measured too. Publishing is a command; waiting for messages is not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from watchglass.guard import caught, own_work
from watchglass.instrumentation.hooks import Hook, NotedSpan, call
from watchglass.instrumentation.patching import Patches
from watchglass.instrumentation.recorder import Recorder
from watchglass.instrumentation.redis_batches_watched import async_batch, batch, is_transaction, stack_of
from watchglass.instrumentation.redis_commands import Arguments
from watchglass.instrumentation.redis_commands_watched import async_command, command
from watchglass.instrumentation.redis_observer import RedisObserver
from watchglass.instrumentation.request import attributes_of

_PLACE = "instrumentation.redis"

Method = Callable[..., Any]
Begin = Callable[[Any, Any, Any], "SentCommand | SentBatch | None"]
Watched = Callable[..., Method]
Wrap = Callable[[Method], Method]


class RedisInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Measures redis-py, if it is there: `instrument(recorder=...)`, `uninstrument()`. One object for a process.

    `request_hook(span, instance, args, kwargs)` and `response_hook(span, instance, response)` add attributes to the
    spans of commands and pipelines.
    """

    _patches: Patches | None = None
    _observer: RedisObserver | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return ("redis >= 5.0",)

    def _check_dependency_conflicts(self) -> None:
        """A service without Redis is nothing to complain of."""

    def _instrument(
        self,
        recorder: Recorder | None = None,
        request_hook: Hook | None = None,
        response_hook: Hook | None = None,
        **_: Any,
    ) -> None:
        self._patches = Patches()
        self._observer = observer = RedisObserver(Recorder() if recorder is None else recorder)
        if find_spec("redis") is None:
            return
        import redis
        import redis.asyncio.cluster
        import redis.cluster

        hooks = Hooks(request_hook, response_hook) if request_hook or response_hook else None
        for module in (redis.client, redis.cluster):
            self._watch(module, *_watchers(observer, hooks, _watched, command, batch))
        for module in (redis.asyncio.client, redis.asyncio.cluster):
            self._watch(module, *_watchers(observer, hooks, _async_watched, async_command, async_batch))

    def _watch(self, module: Any, of_command: Wrap, of_batch: Wrap) -> None:
        """Watch the clients and pipelines that the module defines."""
        for name, attribute, wrapper in (
            ("Redis", "execute_command", of_command),
            ("RedisCluster", "execute_command", of_command),
            ("Pipeline", "immediate_execute_command", of_command),
            ("Pipeline", "execute", of_batch),
            ("ClusterPipeline", "execute", of_batch),
        ):
            owner = getattr(module, name, None)
            if self._patches and owner is not None and owner.__module__ == module.__name__:
                self._patches.replace(owner, attribute, wrapper)

    def _uninstrument(self, **_: Any) -> None:
        if self._patches and self._observer:
            self._patches.restore()
            self._observer.active = False
        self._patches = self._observer = None


class Hooks(NamedTuple):
    """The application's hooks, as contrib calls them."""

    request: Hook | None
    response: Hook | None


class SentCommand:
    """A command on its way, until its answer or error, where the application has hooks."""

    __slots__ = ("_args", "_client", "_hooks", "_observer", "_operation", "_span", "_start")

    def __init__(self, observer: RedisObserver, hooks: Hooks, client: Any, args: Any, options: Any) -> None:
        self._observer = observer
        self._args = args
        self._operation = observer.operation(args)
        self._hooks = hooks
        self._client = client
        self._span = NotedSpan()
        call(hooks.request, self._span, client, args, options)
        self._start = observer.clock()

    def answered(self, answer: Any) -> None:
        call(self._hooks.response, self._span, self._client, answer)
        self._observer.answered(self._operation, self._start, self._args, answer, self._span.noted)

    def failed(self, error: BaseException) -> None:
        self._operation.ended(self._start, error, {**self._operation.attributes, **self._span.noted})


class SentBatch:
    """A pipeline on its way, where the application has hooks."""

    __slots__ = ("_batch", "_client", "_hooks", "_observer", "_span", "_stack", "_start")

    def __init__(self, observer: RedisObserver, hooks: Hooks, client: Any, stack: Sequence[Arguments]) -> None:
        self._observer = observer
        self._client = client
        self._stack = stack
        self._hooks = hooks
        self._batch = observer.batch(stack, is_transaction(client))
        self._span = NotedSpan()
        call(hooks.request, self._span, client, stack, {})
        self._start = observer.clock()

    def answered(self, answers: Any) -> None:
        call(self._hooks.response, self._span, self._client, answers)
        attributes = {**attributes_of(self._batch.attributes), **self._span.noted}
        self._observer.batch_answered(self._batch, self._start, self._stack, answers, attributes)

    def failed(self, error: BaseException) -> None:
        self._observer.batch_failed(self._batch, self._start, error)


def _sent_batch(observer: RedisObserver, hooks: Hooks, client: Any, args: Any, options: Any) -> SentBatch | None:
    """A pipeline that is executed; None where it has no commands and sends nothing."""
    stack = stack_of(client)
    return SentBatch(observer, hooks, client, stack) if stack else None


def _watchers(
    observer: RedisObserver, hooks: Hooks | None, hooked: Watched, of_command: Watched, of_batch: Watched
) -> tuple[Wrap, Wrap]:
    """What replaces the methods that send a command and a pipeline."""
    if hooks is None:
        return functools.partial(of_command, observer), functools.partial(of_batch, observer)
    return (
        functools.partial(hooked, observer, functools.partial(SentCommand, observer, hooks)),
        functools.partial(hooked, observer, functools.partial(_sent_batch, observer, hooks)),
    )


def _async_watched(observer: RedisObserver, begin: Begin, method: Method) -> Method:
    """A coroutine function of a client, with a note made before and told of the end."""

    @functools.wraps(method)
    async def watched(client: Any, *args: Any, **options: Any) -> Any:
        sent = _begun(observer, begin, client, args, options)
        if sent is None:
            return await method(client, *args, **options)
        try:
            answer = await method(client, *args, **options)
        except BaseException as error:
            _safely(sent.failed, error)
            raise
        _safely(sent.answered, answer)
        return answer

    return watched


def _watched(observer: RedisObserver, begin: Begin, method: Method) -> Method:
    """The same of a function."""

    @functools.wraps(method)
    def watched(client: Any, *args: Any, **options: Any) -> Any:
        sent = _begun(observer, begin, client, args, options)
        if sent is None:
            return method(client, *args, **options)
        try:
            answer = method(client, *args, **options)
        except BaseException as error:
            _safely(sent.failed, error)
            raise
        _safely(sent.answered, answer)
        return answer

    return watched


def _begun(
    observer: RedisObserver, begin: Begin, client: Any, args: Any, options: Any
) -> SentCommand | SentBatch | None:
    if own_work.get() or not observer.active:
        return None
    try:
        return begin(client, args, options)
    except Exception:
        caught(_PLACE)
        return None


def _safely(function: Callable[[Any], None], outcome: Any) -> None:
    try:
        function(outcome)
    except Exception:
        caught(_PLACE)
