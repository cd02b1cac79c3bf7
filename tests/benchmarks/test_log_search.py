"""The lines that the benchmark searches are those that it says, and each of its questions has its answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
from bench.log_search import PAGE, cases, fill

from watchglass.store.database import Database
from watchglass.store.logs import LogSearch, Place


async def test_each_question_has_its_answer(store_url: str) -> None:
    connection = await asyncpg.connect(store_url)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=2)
    await fill(connection, start, 2, 30_000)
    asked = await cases(connection, start, end)
    await connection.close()
    database = Database(store_url)
    found = {}
    for case in asked:
        place = Place.at(start + (end - start) / 2) if case.deep else None
        page = await LogSearch(database).before(case.asked, start, end, PAGE, place, seconds=30)
        assert page.complete
        found[case.title] = len(page.rows)
    await database.close()
    few = {"ERROR and above (0.1 %)": 60, "ERROR and above, a page in the middle": 30, "a service (0.005 %)": 4}
    few |= {"a logger (0.01 %)": 6, "a trace": 20, "text in one line of all": 1, "text in no line": 0}
    few |= {"a service and ERROR": found["a service and ERROR"]}
    assert found == {case.title: few.get(case.title, PAGE) for case in asked}
