"""The pages keep to themselves: their headers, their assets, their door."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest

from support.past import Process, browser, request
from watchglass.api.app import create_app
from watchglass.api.cards import CARDS
from watchglass.api.context import Context
from watchglass.settings import Settings
from watchglass.ui import static
from watchglass.ui.app import add_pages
from watchglass.ui.cards import VIEWS

PAGE = "/ui/monitoring/advanced"
ASSETS = ("page.js", "charts.js", "page.css", "plain.css", "htmx.js", "favicon.svg", "licenses.txt")


def directives(answer: httpx.Response) -> dict[str, str]:
    policy = answer.headers["content-security-policy"]
    return {name: value for name, _, value in (part.strip().partition(" ") for part in policy.split(";"))}


async def test_the_page_names_the_service_and_has_every_card(client: httpx.AsyncClient) -> None:
    answer = await client.get(PAGE)
    assert answer.status_code == 200
    assert "<title>shop · Watchglass</title>" in answer.text
    polled = set(re.findall(r'data-card="(\w+)"', answer.text))
    assert polled == {"overview"} | {name for name in CARDS if not name.startswith("tile_")}


def test_every_card_has_a_view_and_a_template() -> None:
    assert set(VIEWS) == set(CARDS)
    folder = Path(static.__file__).parent / "templates"
    assert all((folder / template).is_file() for _, template in VIEWS.values())


async def test_the_policy_allows_this_host_and_marked_scripts_only(client: httpx.AsyncClient) -> None:
    answer = await client.get(PAGE)
    found = directives(answer)
    nonce = re.fullmatch(r"'self' 'nonce-([\w-]{20,})'", found["script-src"])
    assert nonce is not None
    assert found["default-src"] == "'none'"
    assert found["connect-src"] == found["font-src"] == found["form-action"] == "'self'"
    assert found["frame-ancestors"] == found["base-uri"] == "'none'"
    assert not [value for value in found.values() if "unsafe" in value or "http" in value]
    scripts = re.findall(r"<script([^>]*)>", answer.text)
    assert scripts and all(f'nonce="{nonce[1]}"' in script for script in scripts)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_nonce_is_never_used_again(client: httpx.AsyncClient) -> None:
    first, second = [directives(await client.get(PAGE))["script-src"] for _ in range(2)]
    assert first != second


@pytest.mark.parametrize(
    "path", [PAGE, "/ui/health", "/ui/monitoring/login", *(f"/ui/monitoring/cards/{n}" for n in CARDS)]
)
async def test_no_page_has_inline_styles_handlers_or_another_host(client: httpx.AsyncClient, path: str) -> None:
    text = (await client.get(path)).text
    assert not re.search(r"\sstyle\s*=", text)
    assert not re.search(r"\son\w+\s*=\s*[\"']", text)
    assert not re.search(r"(?:src|href|action)=[\"'](?:https?:)?//", text)


@pytest.mark.parametrize("name", ASSETS)
async def test_an_asset_lasts_for_ever_under_a_name_with_its_hash(stranger: httpx.AsyncClient, name: str) -> None:
    hashed = static.manifest()[name]
    assert re.fullmatch(r"\w+\.[0-9A-Z]{8}\.\w+", hashed)
    answer = await stranger.get(f"/ui/monitoring/static/{hashed}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_assets_are_sent_packed_to_who_takes_that(stranger: httpx.AsyncClient) -> None:
    path = f"/ui/monitoring/static/{static.manifest()['charts.js']}"
    plain = await stranger.get(path, headers={"accept-encoding": "identity"})
    async with stranger.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        packed = b"".join([part async for part in answer.aiter_raw()])
    assert gzip.decompress(packed) == plain.content
    assert len(packed) < len(plain.content) / 2


@pytest.mark.parametrize("name", ["manifest.json", "nothing.js", "..%2f..%2fapp.py", "%2e%2e/app.py"])
async def test_nothing_but_assets_is_served(stranger: httpx.AsyncClient, name: str) -> None:
    assert (await stranger.get(f"/ui/monitoring/static/{name}")).status_code in (303, 404)


async def test_a_stranger_is_led_to_the_login_and_back(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get(PAGE, params={"range": "6h"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/ui/monitoring/login?next=%2Fui%2Fmonitoring%2Fadvanced%3Frange%3D6h"


async def test_a_card_tells_a_page_that_it_is_logged_out(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/ui/monitoring/cards/latency", headers={"hx-request": "true"})
    assert answer.status_code == 401


async def test_a_login_link_logs_in_by_itself_and_by_hand(stranger: httpx.AsyncClient) -> None:
    text = (await stranger.get("/ui/monitoring/login", params={"token": "abc", "next": PAGE})).text
    assert '<input type="hidden" name="token" value="abc">' in text
    assert "requestSubmit()" in text and "<button" in text
    assert f'name="next" value="{PAGE}"' in text


async def test_without_a_link_the_login_asks_for_its_token_and_says_how_to_get_one(stranger: httpx.AsyncClient) -> None:
    text = (await stranger.get("/ui/monitoring/login")).text
    assert "requestSubmit()" not in text
    assert '<input id="token" name="token" required' in text
    assert "watchglass login" in text


async def test_the_status_is_public_and_has_no_figures(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/ui/health")
    assert answer.status_code == 200
    assert "Operational" in answer.text
    body = re.sub(r"<head>.*?</head>|<svg hidden.*?</svg>|<[^>]+>", "", answer.text, flags=re.S)
    assert not re.search(r"\d", body)


async def test_a_young_service_opens_with_a_short_range(
    client: httpx.AsyncClient, store_url: str, process: Process, now: float
) -> None:
    young = Process(store_url, now - 300)
    await young.live(now - 300, now, lambda recorder: request(recorder, "/search", 0.1))
    answer = await client.get(PAGE, params={"sort": "p95"})
    assert (answer.status_code, answer.headers["location"]) == (307, f"{PAGE}?sort=p95&range=15m")
    assert (await client.get(PAGE, params={"range": "1h"})).status_code == 200
    await young.close()

    await process.live(now - 600, now, lambda recorder: request(recorder, "/search", 0.1))
    assert (await client.get(PAGE)).status_code == 200


async def test_the_other_address_leads_to_the_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ui/monitoring")
    assert (answer.status_code, answer.headers["location"]) == (307, PAGE)


async def test_a_card_that_does_not_exist_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ui/monitoring/cards/<script>alert(1)</script>")
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text


async def test_logging_out_needs_the_page_s_own_token(client: httpx.AsyncClient) -> None:
    token = re.search(r'name="csrf_token" value="([^"]+)"', (await client.get(PAGE)).text)
    assert token is not None
    assert (await client.post("/ui/monitoring/logout")).status_code == 403
    assert (await client.post("/ui/monitoring/logout", data={"csrf_token": token[1]})).status_code == 303
    assert (await client.get(PAGE)).status_code == 303


async def test_under_a_prefix_every_address_has_it() -> None:
    context = Context(Settings(path_prefix="/ops"), authorize=lambda _: "viewer")
    async with browser(create_app(context, add_pages)) as client:
        answer = await client.get(f"/ops{PAGE}")
        assert answer.status_code == 200
        addresses = re.findall(r'(?:src|href|hx-get|action)="(/[^"]+)"', answer.text)
        assert len(addresses) > 10 and all(address.startswith("/ops/ui/") for address in addresses)
        script = next(address for address in addresses if "/page." in address)
        assert (await client.get(script)).status_code == 200
        assert (await client.get("/ops/ui/monitoring")).headers["location"] == f"/ops{PAGE}"


async def test_behind_a_proxy_every_address_has_its_root_path() -> None:
    context = Context(Settings(), authorize=lambda _: "viewer")
    transport = httpx.ASGITransport(create_app(context, add_pages), root_path="/shop")
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
        text = (await client.get(f"/shop{PAGE}")).text
    assert 'hx-get="/shop/ui/monitoring/cards/overview"' in text


async def test_without_a_database_the_page_says_what_to_set() -> None:
    context = Context(Settings(), authorize=lambda _: "viewer")
    async with browser(create_app(context, add_pages)) as client:
        assert (await client.get(PAGE)).status_code == 200
        card = await client.get("/ui/monitoring/cards/overview")
    assert card.status_code == 503
    assert "No database is set. Set DATABASE_URL" in card.text


async def test_where_the_host_decides_who_may_look_there_is_no_way_to_log_out() -> None:
    context = Context(Settings(), authorize=lambda _: "viewer")
    async with browser(create_app(context, add_pages)) as client:
        assert "logout" not in (await client.get(PAGE)).text
