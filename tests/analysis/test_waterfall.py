"""A waterfall says where the time of a trace went, whatever its spans look like."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from watchglass.analysis.spans import Span
from watchglass.analysis.waterfall import SIMILAR, Waterfall, waterfall

SEEDS = range(60)


def span(name: str, parent: str | None, start: int, end: int, **more: object) -> Span:
    return Span(name, parent, start, end, **more)  # type: ignore[arg-type]


def shown(spans: Sequence[Span], found: Waterfall) -> list[tuple[str, int, int, int]]:
    """Each row's id, depth, start and self time."""
    return [(spans[row.number].span_id, row.depth, row.start, row.self_time) for row in found.rows]


def path(spans: Sequence[Span], found: Waterfall) -> list[tuple[str, int, int]]:
    return [(spans[one.number].span_id, one.start, one.end) for one in found.critical_path]


def nested(random: random.Random, parent: str | None, start: int, end: int, depth: int = 0) -> Iterator[Span]:
    """A span and children that lie within it, one after another, some of no length."""
    name = f"{random.getrandbits(64):016x}"
    yield span(name, parent, start, end)
    cursor = start
    for _ in range(random.randrange(0, 5) if depth < 5 else 0):
        first = random.randint(cursor, end)
        cursor = random.randint(first, end)
        yield from nested(random, name, first, cursor, depth + 1)


def anything(random: random.Random, number: int) -> list[Span]:
    """Spans with any parent, any times, of a few processes; ids that are there twice, cycles and all."""
    ids = [f"{number:016x}" for number in range(1, max(2, number * 3 // 4))]
    return [
        span(
            random.choice(ids),
            random.choice([None, "f" * 16, *ids]),
            (start := random.randrange(1000)),
            start + random.randrange(-5, 300),
            root=random.randrange(4),
            host=random.choice(["a", "b"]),
            kind=random.choice(["server", "client", "internal"]),
            alike=random.choice([None, ("statement", "1"), ("statement", "2")]),
        )
        for _ in range(number)
    ]


def check_path(found: Waterfall) -> int:
    """Segments follow each other, each within its span; the nanoseconds they cover."""
    rows = {row.number: row for row in found.rows}
    until, covered = 0, 0
    for segment in found.critical_path:
        row = rows[segment.number]
        assert until <= segment.start < segment.end
        assert row.start <= segment.start and segment.end <= row.start + row.duration
        assert row.on_critical_path
        until, covered = segment.end, covered + segment.end - segment.start
    return covered


@pytest.mark.parametrize("seed", SEEDS)
def test_self_times_add_up_to_the_root_where_each_child_lies_alone_within_its_parent(seed: int) -> None:
    spans = list(nested(random.Random(seed), None, 1_000_000, 1_000_000 + seed * 1000))
    found = waterfall(spans)
    assert len(found.rows) == len(spans)
    assert sum(row.self_time for row in found.rows) == found.duration == found.rows[0].duration
    assert check_path(found) == found.duration
    on_path: dict[int, int] = {}
    for segment in found.critical_path:
        on_path[segment.number] = on_path.get(segment.number, 0) + segment.end - segment.start
    assert on_path == {row.number: row.self_time for row in found.rows if row.self_time}


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_comes_in_each_span_is_there_once_below_its_parent(seed: int) -> None:
    generator = random.Random(seed)
    spans = anything(generator, generator.randrange(1, 40))
    spans += generator.choices(spans, k=3)
    found = waterfall(spans)
    numbers = [row.number for row in found.rows]
    assert len(set(numbers)) == len(numbers)
    distinct = {(s.span_id, s.parent_id, s.start_ns, s.end_ns, s.kind, s.host) for s in spans}
    assert len(numbers) == len(distinct)
    before: dict[int, int] = {}
    for row in found.rows:
        assert row.depth == (0 if row.parent is None else before[row.parent] + 1)
        assert 0 <= row.self_time <= row.duration and row.start >= 0
        before[row.number] = row.depth
    assert max(row.start + row.duration for row in found.rows) == found.duration
    assert check_path(found) <= found.duration


@pytest.mark.parametrize("seed", SEEDS)
def test_the_path_covers_each_moment_of_a_single_root(seed: int) -> None:
    """Also where siblings run beside each other, end after their parent, or begin before it."""
    generator = random.Random(seed)
    spans = [span("root", None, 100, 400)]
    for number in range(generator.randrange(30)):
        start = generator.randrange(50, 450)
        parent = generator.choice(spans).span_id
        spans.append(span(f"s{number}", parent, start, start + generator.randrange(200)))
    found = waterfall(spans)
    origin = 100 - found.start_ns
    inside = [one for one in found.critical_path if origin <= one.start and one.end <= origin + 300]
    assert sum(one.end - one.start for one in inside) == 300 and inside == found.critical_path


def test_rows_come_in_the_order_of_their_start_below_their_parent() -> None:
    spans = [span("r", None, 0, 100), span("b", "r", 50, 60), span("a", "r", 10, 40), span("c", "a", 20, 30)]
    found = waterfall(spans)
    assert shown(spans, found) == [("r", 0, 0, 60), ("a", 1, 10, 20), ("c", 2, 20, 10), ("b", 1, 50, 10)]


def test_what_runs_side_by_side_counts_once_in_the_time_of_the_parent() -> None:
    spans = [span("r", None, 0, 100), span("a", "r", 10, 60), span("b", "r", 30, 80), span("c", "r", 40, 50)]
    found = waterfall(spans)
    assert found.rows[0].self_time == 30
    assert path(spans, found) == [("r", 0, 30), ("b", 30, 80), ("r", 80, 100)]


def test_a_child_that_ends_after_its_parent_takes_only_what_lies_within() -> None:
    spans = [span("r", None, 0, 100), span("late", "r", 90, 300), span("after", "r", 150, 200)]
    found = waterfall(spans)
    assert (found.duration, found.rows[0].self_time) == (300, 90)
    assert path(spans, found) == [("r", 0, 90), ("late", 90, 100)]


def test_a_span_without_length_is_shown_and_takes_no_time() -> None:
    spans = [span("r", None, 5, 5), span("a", "r", 5, 5)]
    found = waterfall(spans)
    assert shown(spans, found) == [("r", 0, 0, 0), ("a", 1, 0, 0)] and found.critical_path == []


def test_a_span_that_ends_before_it_began_has_no_length() -> None:
    assert waterfall([span("r", None, 50, 10)]).rows[0].duration == 0


def test_nothing_is_an_empty_waterfall() -> None:
    found = waterfall([])
    assert (found.rows, found.duration, found.critical_path, found.gaps) == ([], 0, [], [])


def test_a_span_whose_parent_is_not_there_is_below_its_local_root_and_says_so() -> None:
    spans = [span("r", "caller", 0, 100), span("a", "lost", 10, 20), span("b", "r", 30, 40)]
    found = waterfall(spans)
    assert [(row.depth, row.missing_parent) for row in found.rows] == [(0, True), (1, True), (1, False)]
    assert found.missing_parents == ["caller", "lost"]


def test_several_local_roots_without_their_caller_stand_beside_each_other() -> None:
    spans = [span("x", "caller", 0, 10, root=0), span("y", "caller", 40, 90, root=1)]
    found = waterfall(spans)
    assert [row.depth for row in found.rows] == [0, 0]
    assert path(spans, found) == [("x", 0, 10), ("y", 40, 90)], "between them nobody is known to have worked"


def test_what_another_service_did_hangs_below_the_call_to_it() -> None:
    spans = [
        span("web", None, 0, 100, host="a"),
        span("call", "web", 10, 90, host="a", kind="client"),
        span("shop", "call", 20, 80, host="a", kind="server", root=1),
        span("sql", "shop", 30, 40, host="a", root=1),
    ]
    found = waterfall(spans)
    assert shown(spans, found) == [("web", 0, 0, 20), ("call", 1, 10, 20), ("shop", 2, 20, 50), ("sql", 3, 30, 10)]
    assert not any(row.shift for row in found.rows)


def test_a_clock_that_is_wrong_is_set_right_for_all_that_its_host_did() -> None:
    spans = [
        span("web", None, 0, 100, host="a"),
        span("call", "web", 10, 90, host="a", kind="client"),
        span("shop", "call", 5020, 5080, host="b", kind="server", root=1),
        span("sql", "shop", 5030, 5040, host="b", root=1),
        span("back", "sql", 5032, 5038, host="b", kind="server", root=2),
    ]
    found = waterfall(spans)
    assert [(row.start, row.shift) for row in found.rows] == [(0, 0), (10, 0), (20, -5000), (30, -5000), (32, -5000)]
    assert found.duration == 100


@pytest.mark.parametrize(
    ("start", "end", "shift"),
    [(20, 200, 0), (-50, 150, 60), (95, 300, -85), (5, 45, 25), (70, 110, -40)],
    ids=["who hung up", "longer, too early", "longer, too late", "early", "late"],
)
def test_only_what_cannot_be_is_shifted(start: int, end: int, shift: int) -> None:
    spans = [
        span("call", None, 10, 90, host="a", kind="client"),
        span("shop", "call", start, end, host="b", kind="server", root=1),
    ]
    assert waterfall(spans).rows[1].shift == shift


def test_the_clocks_of_one_host_agree() -> None:
    spans = [span("call", None, 10, 90, kind="client"), span("shop", "call", 0, 95, kind="server", root=1)]
    assert [row.shift for row in waterfall(spans).rows] == [0, 0]


def test_a_message_that_nobody_waits_for_stays_where_it_was() -> None:
    spans = [
        span("send", None, 10, 20, host="a", kind="producer"),
        span("work", "send", 500, 600, host="b", kind="consumer", root=1),
    ]
    assert [row.shift for row in waterfall(spans).rows] == [0, 0]


def test_what_came_twice_is_shown_once() -> None:
    spans = [span("r", None, 0, 100), span("a", "r", 10, 20), span("a", "r", 10, 20)]
    assert [row.number for row in waterfall(spans).rows] == [0, 1]


def test_two_spans_of_one_id_are_both_shown() -> None:
    """As with Zipkin's B3 headers, where the server's span has the id of the client's."""
    spans = [
        span("web", None, 0, 100),
        span("call", "web", 10, 90, kind="client"),
        span("call", "web", 20, 80, kind="server", root=1),
        span("sql", "call", 30, 40, root=1),
    ]
    found = waterfall(spans)
    assert [(row.number, row.depth) for row in found.rows] == [(0, 0), (1, 1), (2, 1), (3, 2)]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_cycle_is_cut_at_its_earliest_span(length: int) -> None:
    spans = [span(f"s{n}", f"s{(n + 1) % length}", 10 * n, 10 * n + 5, root=n) for n in range(length)]
    found = waterfall([*spans, span("leaf", "s0", 1, 2, root=9)])
    assert len(found.rows) == length + 1
    top = found.rows[0]
    assert (top.number, top.depth, top.missing_parent) == (0, 0, True)


def test_a_chain_of_thousands_and_a_parent_of_thousands_are_no_matter() -> None:
    chain = [span(f"s{n}", f"s{n - 1}" if n else None, n, 20_000 - n) for n in range(5000)]
    found = waterfall(chain)
    assert found.rows[-1].depth == 4999 and check_path(found) == 20_000
    wide = [span("r", None, 0, 100_000)]
    wide += [span(f"c{n}", "r", n * 10, n * 10 + 5, alike=("statement", "f")) for n in range(5000)]
    found = waterfall(wide)
    assert found.rows[0].self_time == 75_000 and check_path(found) == 100_000
    assert found.similar[0].total == 25_000 and found.rows[1].similar == 5000


def test_statements_that_are_alike_below_one_parent_are_a_group() -> None:
    def statement(number: int, parent: str, start: int, key: str = "f") -> Span:
        return span(f"{parent}{key}{number}", parent, start, start + 10, alike=("statement", key))

    spans = [span("r", None, 0, 1000), span("view", "r", 0, 900)]
    spans += [statement(n, "view", n * 20) for n in range(SIMILAR)]
    spans += [statement(n, "view", 500 + n * 5, "g") for n in range(SIMILAR)]
    spans += [statement(n, "r", 910 + n, "f") for n in range(SIMILAR - 1)]
    found = waterfall(spans)
    assert [(g.noun, len(g.numbers), g.total, g.sequential) for g in found.similar] == [
        ("statement", SIMILAR, 50, True),
        ("statement", SIMILAR, 50, False),
    ]
    by_id = {spans[row.number].span_id: row.similar for row in found.rows}
    assert (by_id["viewf0"], by_id["rf0"], by_id["r"]) == (SIMILAR, 0, 0)


def test_gaps_are_long_stretches_in_which_no_child_ran() -> None:
    spans = [
        span("r", None, 0, 1000),
        span("a", "r", 40, 300),
        span("b", "r", 500, 990),
        span("leaf", "b", 500, 980),
    ]
    gaps = [(spans[gap.number].span_id, gap.start, gap.end) for gap in waterfall(spans).gaps]
    assert gaps == [("r", 300, 500)], "not what is short, nor a span that has no children at all"
