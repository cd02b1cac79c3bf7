"""What is known of the commands that a process sends to Redis: durations, hits and misses, by cache type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from watchglass.instrumentation.caches import CacheTypes, cache_types
from watchglass.instrumentation.operations import Operation
from watchglass.instrumentation.recorder import Counter, Recorder
from watchglass.instrumentation.redis_commands import Arguments, Command, Commands
from watchglass.instrumentation.request import Flat, attributes_of, flat
from watchglass.meters import CACHE_LOOKUPS

SYSTEM: Final = "redis"
MAX_SUMMARIES: Final = 100
"""Different mixes of commands in pipelines; more are just "PIPELINE"."""

MAX_BATCHES: Final = 500
"""Pipelines that are remembered by their commands and cache types; what is in others is looked up each time."""

MAX_REMEMBERED: Final = 20
"""Commands in a pipeline that is remembered."""

_NAMED_COMMANDS = 3

Lookups = tuple[Counter, Counter] | Command | None
"""What an answer counts as: a hit or a miss, in the one or the other, as its command says, or nothing."""


class Batch(NamedTuple):
    """What all pipelines of the same commands on keys of the same types share; look-ups in their order, or none."""

    operation: Operation
    attributes: Flat
    lookups: Sequence[Lookups]


class CommandOperation(Operation):
    """One command on keys of one cache type, and its span's attributes when it found something and when not."""

    __slots__ = ("command", "found", "hits", "missed", "misses")

    def __init__(self, recorder: Recorder, command: Command, cache_type: str | None, pattern: str | None) -> None:
        super().__init__(recorder, SYSTEM, command.name, command.name, None, cache_type)
        self.command = command
        if pattern is not None:
            self.attributes["db.query.text"] = f"{command.name} {pattern}"
        self.flat = flat(self.attributes)
        self.found = (*self.flat, "watchglass.cache.result", "hit")
        self.missed = (*self.flat, "watchglass.cache.result", "miss")
        self.hits = self.misses = Counter()


class RedisObserver:
    """Finds the operation of a command and takes note of what came of it."""

    def __init__(self, recorder: Recorder, types: CacheTypes = cache_types) -> None:
        self.clock = recorder.clock
        self.active = True
        self._recorder = recorder
        self._types = types
        self._commands = Commands()
        self._known: dict[Any, tuple[Command, dict[str | None, CommandOperation]]] = {}
        self._operations: defaultdict[str, dict[str | None, CommandOperation]] = defaultdict(dict)
        self._batches: dict[tuple[str, str, str | None], Operation] = {}
        self._lookups: dict[str, tuple[Counter, Counter]] = {}
        self._known_batches: dict[tuple[Any, ...], Batch] = {}
        self._summaries: set[str] = set()

    def operation(self, args: Arguments) -> CommandOperation:
        """The operation that a command is, by its arguments."""
        if len(args) == 1 and isinstance(args[0], str):  # redis-py splits "GET key", too
            args = args[0].split()
        command, operations = self._known.get(args[0]) or self._know(args)
        cache_type = self._types.type_of(args[1]) if command.keyed and len(args) > 1 else None
        operation = operations.get(cache_type)
        return operation if operation is not None else self._new_operation(command, cache_type)

    def answered(
        self,
        operation: CommandOperation,
        start: float,
        args: Arguments,
        answer: Any,
        noted: dict[str, Any] | None = None,
    ) -> None:
        """A command was answered: how long it took, and whether it found what it looked for."""
        attributes: Flat | None = None
        command = operation.command
        if command.single:
            if answer is None:
                attributes = operation.missed
                operation.misses.add()
            else:
                attributes = operation.found
                operation.hits.add()
        elif command.lookups is not None:
            self._count(command, args, answer)
        of_span = {**attributes_of(attributes or operation.flat), **noted} if noted else attributes
        operation.ended(start, None, of_span)

    def batch(self, stack: Sequence[Arguments], transaction: bool) -> Batch:
        """What a pipeline is, by the commands in it; a transaction is "MULTI"."""
        kinds: list[Any] = [transaction]
        of, type_of = self._commands.of, self._types.type_of
        for args in stack:
            command = of(args)
            kinds += command.name, type_of(args[1]) if command.keyed and len(args) > 1 else None
        key = tuple(kinds)
        batch = self._known_batches.get(key)
        if batch is None:
            batch = self._new_batch(transaction, [of(args) for args in stack], kinds[2::2])
            if len(stack) <= MAX_REMEMBERED and len(self._known_batches) < MAX_BATCHES:
                self._known_batches[key] = batch
        return batch

    def batch_answered(
        self,
        batch: Batch,
        start: float,
        stack: Sequence[Arguments],
        answers: Any,
        attributes: dict[str, Any] | None = None,
    ) -> None:
        """A pipeline was answered, one answer a command; those that failed are exceptions among them."""
        if isinstance(answers, list) and len(answers) == len(stack):
            for lookups, args, answer in zip(batch.lookups, stack, answers, strict=False):
                if lookups is None or isinstance(answer, BaseException):
                    continue
                if isinstance(lookups, Command):
                    self._count(lookups, args, answer)
                else:
                    lookups[answer is None].add()
        batch.operation.ended(start, None, attributes or batch.attributes)

    def batch_failed(self, batch: Batch, start: float, error: BaseException) -> None:
        """A pipeline was not answered. That someone else was faster is what WATCH is for, and no error."""
        watched = type(error).__name__ == "WatchError"
        batch.operation.ended(start, None if watched else error, batch.attributes)

    def _new_batch(self, transaction: bool, commands: Sequence[Command], types: Sequence[str | None]) -> Batch:
        operation = self._operation_of_batch("MULTI" if transaction else "PIPELINE", commands, set(types))
        attributes = (*operation.flat, "db.operation.batch.size", len(commands))
        lookups: list[Lookups] = []
        for command, cache_type in zip(commands, types, strict=True):
            if command.single:
                lookups.append(None if cache_type is None else self._counters(cache_type))
            else:
                lookups.append(command if command.lookups else None)
        return Batch(operation, attributes, lookups if any(lookups) else ())

    def _operation_of_batch(self, name: str, commands: Iterable[Command], types: set[str | None]) -> Operation:
        """By the names of the commands, each once, and the cache type that all their keys have in common."""
        names = list(dict.fromkeys(command.name for command in commands))
        more = " ..." if len(names) > _NAMED_COMMANDS else ""
        summary = self._bounded(f"{name} {' '.join(names[:_NAMED_COMMANDS])}{more}", name)
        key = (name, summary, types.pop() if len(types) == 1 else None)
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches.setdefault(key, Operation(self._recorder, SYSTEM, *key[:2], None, key[2]))
        return batch

    def _count(self, command: Command, args: Arguments, answer: Any) -> None:
        for key, found in command.lookups(args, answer) if command.lookups else ():
            hits, misses = self._counters(self._types.type_of(key))
            (hits if found else misses).add()

    def _counters(self, cache_type: str) -> tuple[Counter, Counter]:
        counters = self._lookups.get(cache_type)
        if counters is None:
            counter = self._recorder.counter
            counters = counter(CACHE_LOOKUPS, (cache_type, "hit")), counter(CACHE_LOOKUPS, (cache_type, "miss"))
            self._lookups[cache_type] = counters
        return counters

    def _know(self, args: Arguments) -> tuple[Command, dict[str | None, CommandOperation]]:
        """The command and its operations by cache type, remembered by the word that was sent."""
        command = self._commands.of(args)
        known = command, self._operations[command.name]
        if self._commands.holds(args[0]):
            self._known[args[0]] = known
        return known

    def _new_operation(self, command: Command, cache_type: str | None) -> CommandOperation:
        pattern = None if cache_type is None else self._types.pattern_of(cache_type)
        operation = CommandOperation(self._recorder, command, cache_type, pattern)
        if command.single and cache_type is not None:
            operation.hits, operation.misses = self._counters(cache_type)
        return self._operations[command.name].setdefault(cache_type, operation)

    def _bounded(self, summary: str, otherwise: str) -> str:
        if summary in self._summaries:
            return summary
        if len(self._summaries) >= MAX_SUMMARIES:
            return otherwise
        self._summaries.add(summary)
        return summary
