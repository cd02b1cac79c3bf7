"""What is known of the commands that a process sends to Redis: durations, hits and misses, by cache type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from watchglass.instrumentation.caches import CacheTypes, cache_types
from watchglass.instrumentation.operations import Operation
from watchglass.instrumentation.recorder import Counter, Recorder
from watchglass.instrumentation.redis_commands import Arguments, Command, Commands
from watchglass.meters import CACHE_LOOKUPS

SYSTEM: Final = "redis"
MAX_SUMMARIES: Final = 100
"""Different mixes of commands in pipelines; more are just "PIPELINE"."""

_NAMED_COMMANDS = 3


class CommandOperation(Operation):
    """One command on keys of one cache type, and its span's attributes when it found something and when not."""

    __slots__ = ("command", "found", "hits", "missed", "misses")

    def __init__(self, recorder: Recorder, command: Command, cache_type: str | None, pattern: str | None) -> None:
        super().__init__(recorder, SYSTEM, command.name, command.name, None, cache_type)
        self.command = command
        if pattern is not None:
            self.attributes["db.query.text"] = f"{command.name} {pattern}"
        self.found = {**self.attributes, "watchglass.cache.result": "hit"}
        self.missed = {**self.attributes, "watchglass.cache.result": "miss"}
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
        attributes = None
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
        if noted:
            attributes = {**(attributes or operation.attributes), **noted}
        operation.ended(start, None, attributes)

    def batch(self, stack: Sequence[Arguments], transaction: bool) -> Operation:
        """The operation that a pipeline is; a transaction is "MULTI"."""
        operation = "MULTI" if transaction else "PIPELINE"
        names, cache_type = self._mix(stack)
        more = " ..." if len(names) > _NAMED_COMMANDS else ""
        summary = self._bounded(f"{operation} {' '.join(names[:_NAMED_COMMANDS])}{more}", operation)
        key = (operation, summary, cache_type)
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches.setdefault(key, Operation(self._recorder, SYSTEM, *key[:2], None, key[2]))
        return batch

    def batch_answered(
        self, batch: Operation, start: float, stack: Sequence[Arguments], answers: Any, attributes: dict[str, Any]
    ) -> None:
        """A pipeline was answered, one answer a command; those that failed are exceptions among them."""
        if isinstance(answers, list | tuple) and len(answers) == len(stack):
            for args, answer in zip(stack, answers, strict=True):
                command = self._commands.of(args)
                if command.lookups is None or isinstance(answer, BaseException):
                    continue
                if command.single:
                    self._counters(self._types.type_of(args[1]))[answer is None].add()
                else:
                    self._count(command, args, answer)
        batch.ended(start, None, attributes)

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

    def _mix(self, stack: Iterable[Arguments]) -> tuple[list[str], str | None]:
        """The names of the commands in a pipeline, each once, and the cache type that all their keys have in common."""
        names: dict[str, None] = {}
        types: set[str | None] = set()
        for args in stack:
            command = self._commands.of(args)
            names[command.name] = None
            types.add(self._types.type_of(args[1]) if command.keyed and len(args) > 1 else None)
        return list(names), types.pop() if len(types) == 1 else None

    def _bounded(self, summary: str, otherwise: str) -> str:
        if summary in self._summaries:
            return summary
        if len(self._summaries) >= MAX_SUMMARIES:
            return otherwise
        self._summaries.add(summary)
        return summary
