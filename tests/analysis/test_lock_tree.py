"""A forest of those who wait for locks: whole, finite, and small enough to be read."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from watchglass.analysis.lock_tree import Node, forest


def shape(node: Node) -> Any:
    """A node as its pid, or as (pid, what is beneath it); one that is cut as its pid below zero."""
    pid = -node.pid if node.cut else node.pid
    return (pid, [shape(one) for one in node.waiters]) if node.waiters else pid


def nodes(trees: list[Node]) -> Iterator[Node]:
    for tree in trees:
        yield tree
        yield from nodes(list(tree.waiters))


def depth(node: Node) -> int:
    return 1 + max(map(depth, node.waiters), default=0)


def test_without_anybody_waiting_there_is_no_tree() -> None:
    assert forest({}) == []
    assert forest({1: []}) == []


def test_a_chain_stands_beneath_the_one_that_waits_for_nobody() -> None:
    (tree,) = forest({2: [1], 3: [2]})
    assert shape(tree) == (1, [(2, [3])])
    assert [one.total for one in nodes([tree])] == [2, 1, 0]


def test_those_that_wait_for_the_same_stand_side_by_side_in_their_order() -> None:
    assert [shape(tree) for tree in forest({5: [1], 3: [1], 4: [1]})] == [(1, [5, 3, 4])]


def test_the_tree_for_which_the_most_wait_is_first() -> None:
    assert [shape(tree) for tree in forest({2: [1], 11: [10], 12: [11], 13: [10]})] == [
        (10, [(11, [12]), 13]),
        (1, [2]),
    ]


def test_a_queue_is_not_a_tree_of_all_its_paths() -> None:
    queue = {pid: list(range(pid)) for pid in range(1, 101)}
    (tree,) = forest(queue)
    assert shape(tree) == (0, list(range(1, 101)))
    assert tree.total == 100


def test_one_that_waits_for_two_who_wait_for_nobody_stands_beneath_both() -> None:
    first, second = forest({3: [1, 2], 4: [3]})
    assert shape(first) == (1, [(3, [4])])
    assert shape(second) == (2, [-3])
    assert (first.total, second.total) == (2, 2)


def test_a_circle_is_cut_where_it_closes() -> None:
    (tree,) = forest({1: [2], 2: [1]})
    assert shape(tree) == (1, [(2, [-1])])
    assert tree.total == 1


def test_those_that_wait_for_a_circle_stand_beneath_it() -> None:
    (tree,) = forest({9: [7], 1: [2], 2: [3], 3: [1], 7: [3]})
    assert {one.pid for one in nodes([tree])} == {1, 2, 3, 7, 9}
    assert sum(one.cut for one in nodes([tree])) == 1


def test_one_that_is_said_to_wait_for_itself_does_not() -> None:
    assert [shape(tree) for tree in forest({1: [1], 2: [2, 1]})] == [(1, [2])]


def test_depth_is_bounded_and_says_where_it_is_cut() -> None:
    chain = {pid: [pid - 1] for pid in range(1, 101)}
    (tree,) = forest(chain, deepest=5)
    assert depth(tree) == 6
    deepest = list(nodes([tree]))[-1]
    assert (deepest.pid, deepest.cut, deepest.total) == (5, True, 95)
    assert tree.total == 100


def test_the_number_of_nodes_is_bounded() -> None:
    trees = forest({pid: [1, 2, 3] for pid in range(10, 1_000)}, most=100)
    assert len(list(nodes(trees))) <= 103  # each root is shown, with what waits for it
    assert [tree.total for tree in trees] == [990, 990, 990]
    assert all(tree.cut for tree in trees)


@pytest.mark.parametrize("seed", range(50))
def test_whoever_waits_for_whom_everyone_is_shown_and_stands_whole_only_once(seed: int) -> None:
    choose = random.Random(seed)
    pids = range(1, choose.randint(3, 30))
    waits = {pid: choose.choices(pids, k=choose.randint(0, 4)) for pid in pids if choose.random() < 0.7}
    shown = list(nodes(forest(waits, most=10_000)))
    waiting = {pid for pid, blockers in waits.items() if set(blockers) - {pid}}
    blocking = {blocker for pid, blockers in waits.items() for blocker in blockers if blocker != pid}
    assert {one.pid for one in shown} == waiting | blocking
    whole = [one.pid for one in shown if not one.cut]
    assert len(whole) == len(set(whole))
