from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from fastapi import FastAPI, Request

from watchglass.demo.acts import ACTS, ERRORS, SLOW_STATEMENT, STEADY, paced
from watchglass.demo.requests import KINDS, Memory
from watchglass.demo.traffic import Traffic, plan


def test_every_act_is_made_of_kinds_that_exist_and_the_acts_come_in_order() -> None:
    assert all(set(act.mix) <= set(KINDS) for act in ACTS)
    assert ACTS == (STEADY, SLOW_STATEMENT, ERRORS)


def test_the_plan_of_an_act_is_the_same_for_the_same_seed_and_keeps_its_rate() -> None:
    first, again, other = (list(plan(STEADY, Random(seed))) for seed in (1, 1, 2))
    assert first == again != other
    assert abs(len(first) - STEADY.rate * STEADY.seconds) < 4 * (STEADY.rate * STEADY.seconds) ** 0.5
    assert all(0 < moment < STEADY.seconds for moment, _ in first)


def test_the_rate_suits_two_cores() -> None:
    assert all(10 <= act.rate <= 20 for act in ACTS)


def test_requests_are_the_same_for_the_same_seed() -> None:
    for kind in KINDS.values():
        assert kind(Random(3), Memory()) == kind(Random(3), Memory())


def test_the_kinds_of_a_plan_come_in_the_shares_of_the_mix() -> None:
    seconds = 2_000.0
    kinds = Counter(kind for _, kind in plan(paced((ERRORS,), seconds=seconds, rate=10)[0], Random(4)))
    total = sum(ERRORS.mix.values())
    for kind, share in ERRORS.mix.items():
        expected = seconds * 10 * share / total
        assert abs(kinds[kind] - expected) < 5 * expected**0.5


async def test_the_traffic_announces_its_acts_with_their_time_and_sends_what_was_planned(
    serve: Callable[..., str],
) -> None:
    seen: Counter[str] = Counter()
    app = FastAPI()

    @app.middleware("http")
    async def count(request: Request, call_next):  # type: ignore[no-untyped-def]
        seen[request.method] += 1
        return await call_next(request)

    lines: list[str] = []
    acts = paced((STEADY, ERRORS), seconds=1, rate=60)
    traffic = Traffic(serve(app), lines.append, seed=7)
    await traffic.play(acts, rounds=1)
    assert [line.split("  ", 1)[1].partition(",")[0] for line in lines] == ["steady", "errors"]
    assert all(line[2] == line[5] == ":" for line in lines)
    answered = sum(traffic.answers.values())
    assert 80 < answered <= sum(len(list(plan(act, Random(7)))) for act in acts) * 1.5
    assert seen["GET"] > seen["POST"] > 0


async def test_a_service_that_is_away_ends_nothing(free_port: int) -> None:
    traffic = Traffic(f"http://127.0.0.1:{free_port}", lambda _: None)
    await traffic.play(paced((STEADY,), seconds=0.5, rate=40), rounds=1)
    assert traffic.answers["failed"] > 0
