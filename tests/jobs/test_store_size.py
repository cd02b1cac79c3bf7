"""The elected process reads how large the store is, for `/metrics`, and leaves nothing stale behind."""

from __future__ import annotations

from watchglass.exporters import prometheus
from watchglass.instrumentation.recorder import Recorder
from watchglass.jobs import store_size
from watchglass.jobs.store_size import StoreSize
from watchglass.meters import WATCHGLASS_STORE_SIZE
from watchglass.store.connection import connect
from watchglass.store.reader import Reader


def sizes(recorder: Recorder) -> dict[str | None, float]:
    return {state.values[0]: state.sum for state in recorder.collect() if state.meter is WATCHGLASS_STORE_SIZE}


async def test_each_table_s_bytes_are_a_meter_until_somebody_else_is_elected(store_url: str) -> None:
    recorder, reader, connection = Recorder(), Reader(store_url), await connect(store_url)
    size = StoreSize(recorder)
    await size.read(connection)
    assert sizes(recorder) == {table.name: table.bytes for table in await reader.sizes()}
    text, _ = prometheus.render(recorder.collect())
    assert b'watchglass_store_size_bytes{table="series"}' in text
    size.forget()
    assert sizes(recorder) == {}
    await reader.close()
    await connection.close()


async def test_it_is_not_read_at_every_turn(store_url: str) -> None:
    recorder, connection = Recorder(), await connect(store_url)
    size = StoreSize(recorder)
    await size.read(connection)
    before = sizes(recorder)["audit"]
    await connection.execute(
        "INSERT INTO watchglass.audit (actor, action, target, detail)"
        " SELECT 'a', 'b', repeat('c', 1000), '{}' FROM generate_series(1, 1000)"
    )
    await size.read(connection)
    assert sizes(recorder)["audit"] == before
    size._read_at -= store_size.EVERY
    await size.read(connection)
    assert sizes(recorder)["audit"] > before + 500_000
    await connection.close()
