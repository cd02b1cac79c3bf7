"""Having our functions raise: whole ones, and the blocks inside those that are guards themselves, at each statement."""

from __future__ import annotations
import __future__

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from conformance.weather import MODULES

_RAISE = ast.parse("raise _ours()").body[0]


def replace(patch: Any, owner: Any, name: str, by: Callable[..., Any]) -> None:
    """Put another function in one's place, where it is defined and where it was imported to."""
    original = vars(owner)[name]
    for place in (owner, *MODULES):
        if vars(place).get(name) is original:
            patch.setattr(place, name, by)


def raising(calls: list[str]) -> Callable[..., Any]:
    """A function that raises, and notes that it was called."""

    def broken(*_: Any, **__: Any) -> Any:
        raise _error(calls)

    return broken


def broken_inside(owner: Any, name: str, calls: list[str]) -> Iterator[tuple[int, Callable[..., Any]]]:
    """The function with a statement that raises put into each of its guarded blocks, at each place in turn."""
    function = vars(owner)[name]
    source = textwrap.dedent(inspect.getsource(function))
    for number in range(len(list(_places(ast.parse(source))))):
        tree = ast.parse(source)
        block, place = list(_places(tree))[number]
        block.insert(place, ast.copy_location(_RAISE, block[min(place, len(block) - 1)]))
        yield number, _made(tree, owner, function, calls)


def _places(tree: ast.AST) -> Iterator[tuple[list[ast.stmt], int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Try | ast.With) and _is_guard(node):
            ends = isinstance(node.body[-1], ast.Return | ast.Raise)
            yield from ((node.body, place) for place in range(len(node.body) + (not ends)))


def _is_guard(node: ast.Try | ast.With) -> bool:
    parts: list[Any] = list(node.handlers if isinstance(node, ast.Try) else node.items)
    name = "caught(" if isinstance(node, ast.Try) else "protected("
    return any(name in ast.unparse(part) for part in parts)


def _made(tree: ast.Module, owner: Any, function: Any, calls: list[str]) -> Callable[..., Any]:
    """The function of a changed source; within another, so that `super()` finds its class."""
    [changed] = tree.body
    changed.decorator_list = []  # type: ignore[attr-defined]
    within = ast.parse("def _make(__class__):\n    return None").body[0]
    within.body = [changed, ast.Return(ast.Name(function.__name__, ast.Load()))]  # type: ignore[attr-defined]
    module = ast.fix_missing_locations(ast.Module([within], []))
    names = {**vars(sys.modules[function.__module__]), "_ours": lambda: _error(calls)}
    flags = __future__.annotations.compiler_flag
    exec(compile(module, f"<broken {function.__qualname__}>", "exec", flags, True), names)
    made: Callable[..., Any] = names["_make"](owner)
    return made


def _error(calls: list[str]) -> Exception:
    calls.append("called")
    return ZeroDivisionError("ours")
