"""A metric by hand: it flows as all meters do, and takes no other's place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families
from starlette.exceptions import HTTPException

from support.past import Process, browser, log_in
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.api.recorded import MOST_NAMES, MOST_SERIES, RecordedMeters
from watchglass.api.recording import A_BATCH, AT_ONCE, Bucket, Measurement
from watchglass.errors import DatabaseUnavailable
from watchglass.exporters import prometheus
from watchglass.instrumentation.recorder import OVERFLOW, Recorder
from watchglass.meters import ALL
from watchglass.redaction import REDACTED
from watchglass.store.names import names

PATH = "/api/monitoring/metrics/record"
TOKEN = "a-token-of-a-program"
ORDER = {"metric_type": "counter", "metric_name": "shop.orders", "value": 2, "metadata": {"country": "CH"}}


@pytest_asyncio.fixture
async def made(context: Callable[..., Context]) -> Context:
    one = context(record_token=TOKEN)
    one.recorder = Recorder()
    return one


@pytest_asyncio.fixture
async def client(made: Context) -> AsyncIterator[httpx.AsyncClient]:
    """A program with the token."""
    async with browser(create_app(made), headers={"authorization": f"Bearer {TOKEN}"}) as one:
        yield one


async def record(client: httpx.AsyncClient, *measurements: Any, **more: Any) -> httpx.Response:
    body = list(measurements) if len(measurements) > 1 else measurements[0]
    return await client.post(PATH, json=body, **more)


def states(context: Context) -> dict[tuple[str, Any], float]:
    assert context.recorder is not None
    return {
        (state.meter.name, tuple(zip(state.meter.attributes, state.values, strict=False))): state.sum
        for state in context.recorder.collect()
    }


async def nothing_known() -> dict[str, tuple[str, str]]:
    """A store that has nothing yet."""
    return {}


def gauge(name: str) -> Measurement:
    return Measurement(metric_type="gauge", metric_name=name, value=1)


def counter(name: str) -> Measurement:
    return Measurement(metric_type="counter", metric_name=name, value=1)


async def test_each_kind_reaches_the_recorder(client: httpx.AsyncClient, made: Context) -> None:
    gauge = {"metric_type": "gauge", "metric_name": "shop.carts", "value": -3.5}
    timer = {"metric_type": "timer", "metric_name": "shop.import", "value": 0.25}
    assert (await record(client, ORDER, gauge, timer)).json() == {"recorded": 3}
    answer = await record(client, {**ORDER, "value": 1})
    assert answer.status_code == 202
    assert states(made) == {
        ("shop.orders", (("country", "CH"),)): 3.0,
        ("shop.carts", ()): -3.5,
        ("shop.import", ()): 0.25,
    }
    meters = {state.meter.name: state.meter for state in made.recorder.collect()}  # type: ignore[union-attr]
    assert (meters["shop.import"].kind, meters["shop.import"].unit) == ("histogram", "s")


async def test_curl_s_default_content_type_does_as_well(client: httpx.AsyncClient, made: Context) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await client.post(PATH, content=json.dumps(ORDER), headers=headers)
    assert answer.status_code == 202
    assert states(made) == {("shop.orders", (("country", "CH"),)): 2.0}


async def test_it_goes_into_the_store_and_is_listed_with_the_others(
    client: httpx.AsyncClient, made: Context, process: Callable[..., Process], now: float
) -> None:
    one = process(now - 120)
    one.recorder = made.recorder = Recorder()
    one._deltas._collect = one.recorder.collect
    async with browser(create_app(made), headers=client.headers) as fresh:
        await record(fresh, ORDER, {**ORDER, "metadata": {"country": "DE"}, "value": 5})
        await one.flush(now - 60)
        await log_in(fresh, made)
        listed = (await fresh.get("/performance/metrics", params={"range": "15m"})).json()
    assert listed["counters"]["shop.orders"]["total"] == 7.0
    assert made.reader is not None
    assert ("shop.orders", "counter", "") in await names(made.reader.database)


async def test_it_is_on_metrics_in_both_formats(client: httpx.AsyncClient, made: Context) -> None:
    await record(client, ORDER, {**ORDER, "metadata": {}}, {**ORDER, "metadata": {"shop": "b", "country": "CH"}})
    await record(client, {"metric_type": "histogram", "metric_name": "shop.parcel", "value": 3, "unit": "By"})
    assert made.recorder is not None
    text, _ = prometheus.render(made.recorder.collect())
    found = {sample.name: sample for family in plain_families(text.decode()) for sample in family.samples}
    assert found["shop_parcel_bytes_count"].value == 1
    opened, _ = prometheus.render(made.recorder.collect(), "application/openmetrics-text")
    orders = [one for one in text_string_to_metric_families(opened.decode()) if one.name == "shop_orders"]
    assert sorted(str(sorted(sample.labels.items())) for sample in orders[0].samples) == [
        "[('country', 'CH'), ('shop', 'b')]",
        "[('country', 'CH')]",
        "[]",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"metric_type": "api"}, "metric_type: "),
        ({"metric_name": "1st"}, "metric_name: "),
        ({"metric_name": "shop orders"}, "metric_name: "),
        ({"metric_name": "a" * 256}, "metric_name: "),
        ({"metric_name": "shop.orders\n"}, "metric_name: "),
        ({"value": "2"}, "value: "),
        ({"value": True}, "value: "),
        ({"value": 1e16}, "value: "),
        ({"value": -1}, "a counter takes no value below 0"),
        ({"unit": "é"}, "unit: "),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"metadata": {f"a{n}": "x" for n in range(17)}}, "metadata: "),
        ({"metadata": {"a": {"b": 1}}}, "nothing nested"),
        ({"metadata": {"a": "x" * 257}}, "at most 256 characters"),
        ({"metadata": {"otel.metric.overflow": "true"}}, "choose another name"),
        ({"metadata": {"le": "1"}}, "choose another name"),
        ({"metadata": {"service.instance.id": "1"}}, "choose another name"),
        ({"timestamp": 1}, "timestamp: "),
    ],
)
async def test_what_is_not_valid_is_refused_with_its_place(
    client: httpx.AsyncClient, made: Context, change: dict[str, Any], says: str
) -> None:
    answer = await record(client, {**ORDER, **change})
    assert answer.status_code == 422
    assert says in answer.json()["error"]
    assert states(made) == {}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"nul", b'{"value": NaN}', b"\xff", b"[" * 100_000])
async def test_what_is_no_measurement_is_a_sentence(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(PATH, content=body)
    assert answer.status_code == 422 and answer.json()["error"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_value_that_is_not_finite_is_refused(client: httpx.AsyncClient, value: str) -> None:
    body = f'{{"metric_type": "gauge", "metric_name": "shop.x", "value": {value}}}'
    assert (await client.post(PATH, content=body)).status_code == 422


@pytest.mark.parametrize("name", [meter.name for meter in ALL] + ["HTTP.server.thing", "otel.x", "watchglass"])
async def test_no_built_in_instrument_can_be_forged(client: httpx.AsyncClient, made: Context, name: str) -> None:
    answer = await record(client, {**ORDER, "metric_name": name})
    assert answer.status_code == 422
    assert "Begin with your own word" in answer.json()["error"]
    assert states(made) == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("counter", "shop.orders", ""), ("gauge", "shop.orders", "")),
        (("gauge", "shop.x", "s"), ("gauge", "shop.x", "By")),
        (("counter", "shop.orders", ""), ("counter", "shop_orders", "")),
        (("counter", "shop.orders", ""), ("counter", "Shop.Orders", "")),
        (("histogram", "shop.x", ""), ("gauge", "shop.x_sum", "")),
        (("gauge", "shop.x_total", ""), ("counter", "shop.x", "")),
        (("gauge", "shop.x", "s"), ("gauge", "shop.x_seconds", "")),
        (("gauge", "shop.a", ""), ("gauge", "http_server_active_requests", "")),
        (("gauge", "shop.a", ""), ("gauge", "target_info", "")),
    ],
)
async def test_no_name_takes_the_place_of_another(
    client: httpx.AsyncClient, made: Context, first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    one, other = (
        {"metric_type": kind, "metric_name": name, "value": 1, "unit": unit} for kind, name, unit in (first, second)
    )
    assert (await record(client, one)).status_code == 202
    answer = await record(client, other)
    assert answer.status_code == 409
    assert len(states(made)) == 1
    assert prometheus.render(made.recorder.collect())  # type: ignore[union-attr]


async def test_another_process_cannot_make_it_something_else(
    client: httpx.AsyncClient, made: Context, process: Callable[..., Process], now: float
) -> None:
    one = process(now - 120)
    await record(client, ORDER)
    one._deltas._collect = made.recorder.collect  # type: ignore[union-attr]
    await one.flush(now - 60)
    made.recorder = Recorder()
    async with browser(create_app(made), headers=client.headers) as after_a_restart:
        answer = await record(after_a_restart, {**ORDER, "metric_type": "gauge"})
        assert (answer.status_code, answer.json()["error"]) == (
            409,
            "shop.orders is a counter without a unit. Record it as that, or choose another name.",
        )
        assert (await record(after_a_restart, ORDER)).status_code == 202


async def test_of_a_batch_with_one_mistake_nothing_is_recorded(client: httpx.AsyncClient, made: Context) -> None:
    assert (await record(client, ORDER, {**ORDER, "metric_type": "gauge"})).status_code == 409
    assert (await record(client, ORDER, {**ORDER, "value": -1})).status_code == 422
    assert states(made) == {}
    assert (await record(client, {**ORDER, "metric_type": "gauge"})).status_code == 202, "its name is not taken either"


async def test_of_a_batch_with_one_mistake_no_attribute_is_kept(client: httpx.AsyncClient, made: Context) -> None:
    await record(client, ORDER)
    spoilt = {**ORDER, "metadata": {f"wrong{n}": "x" for n in range(15)}}
    wrong = {**ORDER, "metric_name": "shop.sold", "metadata": {"a.b": "1", "a_b": "2"}}
    assert (await record(client, spoilt, wrong)).status_code == 422
    right = {**ORDER, "metadata": {f"right{n}": "x" for n in range(15)}}
    assert (await record(client, right)).status_code == 202


async def test_refused_batches_take_no_names() -> None:
    meters = RecordedMeters(Recorder(), nothing_known, b"key")
    for attempt in range(3):
        made = [gauge(f"shop.g{attempt}.{n}") for n in range(A_BATCH - 1)]
        with pytest.raises(HTTPException, match="is a gauge"):
            await meters.record([*made, counter(made[0].metric_name)])
    assert await meters.record([counter("shop.g0.0")]) == ["shop.g0.0"]


async def test_the_store_is_asked_once_for_all_new_names_and_not_for_known_ones() -> None:
    asked = []

    async def known() -> dict[str, tuple[str, str]]:
        asked.append(True)
        raise DatabaseUnavailable(address="db", reason="it is silent")

    meters = RecordedMeters(Recorder(), known, b"key")
    batch = [gauge(f"shop.g{n}") for n in range(A_BATCH)]
    assert len(await meters.record(batch)) == A_BATCH
    assert await meters.record(batch) == []
    with pytest.raises(HTTPException):
        await meters.record([gauge("http.mine")])
    assert len(asked) == 1


async def test_what_another_request_recorded_while_the_store_was_asked_holds() -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def known() -> dict[str, tuple[str, str]]:
        asked.set()
        await answered.wait()
        return {}

    recorder = Recorder()
    meters = RecordedMeters(recorder, known, b"key")
    first, second = (asyncio.create_task(meters.record([make("shop.x")])) for make in (gauge, counter))
    await asked.wait()
    answered.set()
    assert await first == ["shop.x"]
    with pytest.raises(HTTPException, match="is a gauge"):
        await second
    assert [state.meter.kind for state in recorder.collect()] == ["gauge"]


async def test_new_names_are_noted_in_one_entry(client: httpx.AsyncClient, made: Context) -> None:
    await record(client, ORDER, {**ORDER, "metric_name": "shop.sold"})
    assert made.access is not None
    assert [one.target for one in await made.access.audit_entries() if one.action == "record metric"] == [
        "shop.orders, shop.sold"
    ]


async def test_attributes_keep_no_secret_and_no_address(client: httpx.AsyncClient, made: Context) -> None:
    metadata = {
        "password": "hunter2",
        "who": "ann@example.com",
        "from": "203.0.113.9",
        "ok": True,
        "n": 3,
        "none": None,
    }
    assert (await record(client, {**ORDER, "metadata": metadata})).status_code == 202
    [(_, attributes)] = states(made)
    found = dict(attributes)
    assert found["password"] == REDACTED and (found["ok"], found["n"]) == ("true", "3")
    assert "none" not in found
    assert not {"hunter2", "ann@example.com", "203.0.113.9"} & set(found.values())


async def test_attributes_that_prometheus_cannot_tell_apart_are_refused(client: httpx.AsyncClient) -> None:
    assert (await record(client, {**ORDER, "metadata": {"a.b": "1", "a_b": "2"}})).status_code == 422
    assert (await record(client, {**ORDER, "metadata": {"a.b": "1"}})).status_code == 202


async def test_names_are_bounded() -> None:
    meters = RecordedMeters(Recorder(), nothing_known, b"key")
    made = [gauge(f"shop.g{n}") for n in range(MOST_NAMES + 1)]
    await meters.record(made[:-1])
    with pytest.raises(Exception, match="Use attributes instead"):
        await meters.record(made[-1:])
    assert await meters.record(made[:1]) == []


async def test_series_beyond_the_bound_share_one() -> None:
    recorder = Recorder()
    meters = RecordedMeters(recorder, nothing_known, b"key")
    for n in range(MOST_SERIES + 5):
        one = Measurement(metric_type="counter", metric_name="shop.orders", value=1, metadata={"number": n})
        await meters.record([one])
    found = {state.values: state.sum for state in recorder.collect()}
    assert len(found) == MOST_SERIES + 1
    assert found[(OVERFLOW,)] == 5


def test_a_bucket_gives_what_it_has_and_says_when_there_is_more() -> None:
    now = 0.0
    bucket = Bucket(rate=10, burst=20, clock=lambda: now)
    assert bucket.take(20) == 0
    assert bucket.take(5) == 0.5
    now = 0.5
    assert bucket.take(5) == 0
    now = 100.0
    assert bucket.take(20) == 0 and bucket.take(1) > 0


async def test_too_many_measurements_are_turned_away_for_a_while(client: httpx.AsyncClient) -> None:
    batch = [ORDER] * A_BATCH
    answers = [await record(client, *batch) for _ in range(int(AT_ONCE) // A_BATCH + 5)]
    assert answers[0].status_code == 202
    turned_away = answers[-1]
    assert turned_away.status_code == 429 and int(turned_away.headers["retry-after"]) >= 1
    assert (await record(client, *batch, ORDER)).status_code == 422
    assert (await client.post(PATH, content=b" " * 300_000)).status_code == 413


# Who may


async def test_an_admin_may_with_the_token_of_the_page_and_is_noted(made: Context) -> None:
    async with browser(create_app(made)) as page:
        assert (await record(page, ORDER)).status_code == 401
        await log_in(page, made)
        assert (await record(page, ORDER)).status_code == 403
        guard = (await page.get("/api/monitoring/session")).json()["csrf_token"]
        for _ in range(2):
            assert (await record(page, ORDER, headers={"x-csrf-token": guard})).status_code == 202
        await log_in(page, made, "viewer")
        guard = (await page.get("/api/monitoring/session")).json()["csrf_token"]
        assert (await record(page, ORDER, headers={"x-csrf-token": guard})).status_code == 403
    assert made.access is not None
    entries = [(one.actor, one.action, one.target) for one in await made.access.audit_entries()]
    assert entries.count(("ann", "record metric", "shop.orders")) == 1


@pytest.mark.parametrize(
    "path", ["/api/monitoring/session", "/api/monitoring/advanced/summary", "/ui/monitoring/footprint"]
)
async def test_the_token_opens_nothing_else(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code in (401, 303)
    assert (await client.post("/ui/monitoring/logout")).status_code in (401, 303, 403)


async def test_a_wrong_token_or_another_site_is_refused(client: httpx.AsyncClient) -> None:
    for wrong in ("Bearer wrong", "Basic " + TOKEN, "Bearer", "Bearer " + TOKEN + "x"):
        assert (await record(client, ORDER, headers={"authorization": wrong})).status_code == 401
    assert (await record(client, ORDER, headers={"origin": "https://evil.test"})).status_code == 403


async def test_without_a_recorder_it_says_where_to_send_it(context: Callable[..., Context]) -> None:
    async with browser(create_app(context(record_token=TOKEN))) as client:
        answer = await client.post(PATH, json=ORDER, headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 503 and "the service itself" in answer.json()["error"]


async def test_many_at_once_make_one_meter(client: httpx.AsyncClient, made: Context) -> None:
    answers = await asyncio.gather(*(record(client, ORDER) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert states(made) == {("shop.orders", (("country", "CH"),)): 40.0}
