"""Closed by default: what an attacker tries, and what a person with a link sees."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest
import pytest_asyncio
from fastapi import Depends, FastAPI
from itsdangerous import URLSafeTimedSerializer
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.websockets import WebSocket

from support.past import browser, log_in
from watchglass import guard
from watchglass.api import ended, paths
from watchglass.api.app import create_app
from watchglass.api.context import Context
from watchglass.api.serving import OwnLoop
from watchglass.api.visitors import Visitor, admin, viewer
from watchglass.settings import Settings
from watchglass.store.access import Access

Contexts = Callable[..., Context]
LOGIN, LOGOUT, PAGE = paths.LOGIN, paths.LOGOUT, paths.PAGE
STATUS = "/api/monitoring/session"


def with_changes(app: FastAPI, _context: Context) -> None:
    """Routes such as later stations have: one that only an admin may use, one for any visitor, a WebSocket."""

    @app.post("/api/monitoring/thing")
    async def thing(who: Visitor = Depends(viewer)) -> str:  # noqa: B008
        return who.role

    @app.delete("/api/monitoring/thing")
    async def remove(who: Visitor = Depends(admin)) -> str:  # noqa: B008
        return who.role

    @app.get(PAGE)
    async def page() -> str:
        return "the page"

    @app.websocket("/api/monitoring/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("in")
        await socket.close()


@pytest_asyncio.fixture
async def made(context: Contexts) -> Context:
    return context()


@pytest_asyncio.fixture
async def client(made: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(create_app(made, with_changes)) as one:
        yield one


async def token_of(context: Context, **values: Any) -> str:
    return (await context.tokens.new(**values)).text


async def guard_header(client: httpx.AsyncClient) -> dict[str, str]:
    return {"x-csrf-token": (await client.get(STATUS)).json()["csrf_token"]}


@pytest.mark.parametrize(
    "path",
    [STATUS, "/api/monitoring/advanced/summary", "/performance/metrics", "/api/monitoring/openapi.json",
     "/api/monitoring/nothing", "/docs", "/redoc", "/openapi.json", "/health/../api/monitoring/session",
     "/ui/monitoring/staticx", "//health", "/HEALTH"],
)  # fmt: skip
async def test_an_anonymous_call_gets_401_and_a_sentence(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    if path.startswith("/ui/"):
        assert answer.status_code == 303
        return
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("Log in first")
    assert answer.headers["cache-control"] == "no-store"


async def test_an_anonymous_page_leads_to_the_login_and_back(client: httpx.AsyncClient, made: Context) -> None:
    answer = await client.get(PAGE + "?range=6h&x=%26")
    assert answer.status_code == 303
    target = urlsplit(answer.headers["location"])
    assert target.path == LOGIN and target.netloc == ""
    wanted = parse_qs(target.query)["next"][0]
    assert wanted == PAGE + "?range=6h&x=%26"
    answer = await client.post(LOGIN, data={"token": await token_of(made), "next": wanted})
    assert answer.status_code == 303 and answer.headers["location"] == wanted
    assert (await client.get(wanted)).text == '"the page"'


async def test_a_part_of_a_page_tells_the_page_to_go_to_the_login(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ui/monitoring/cards/latency", headers={"HX-Request": "true"})
    assert answer.status_code == 401 and answer.headers["hx-redirect"] == LOGIN


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", LOGIN])
async def test_the_public_paths_are_open(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200
    assert (await client.head(path)).content == b""


async def test_opening_the_link_does_not_use_it_up(client: httpx.AsyncClient, made: Context) -> None:
    token = await token_of(made)
    for _ in range(3):
        answer = await client.get(LOGIN, params={"token": token})
        assert answer.status_code == 200 and token in answer.text
        assert "set-cookie" not in answer.headers
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert (await client.post(LOGIN, data={"token": token})).status_code == 303


async def test_a_token_lets_in_once(client: httpx.AsyncClient, made: Context) -> None:
    token = await token_of(made)
    assert (await client.post(LOGIN, data={"token": token})).status_code == 303
    client.cookies.clear()
    again = await client.post(LOGIN, data={"token": token})
    assert again.status_code == 401 and "set-cookie" not in again.headers
    assert "watchglass login" in again.text


async def test_of_many_who_race_with_one_token_one_is_let_in(made: Context, context: Contexts) -> None:
    token = await token_of(made)
    apps = [create_app(made), create_app(context())]
    clients = [browser(app) for app in apps * 6]
    answers = await asyncio.gather(*(client.post(LOGIN, data={"token": token}) for client in clients))
    assert sorted(answer.status_code for answer in answers) == [303, *[401] * 11]
    for client in clients:
        await client.aclose()


async def test_an_expired_token_lets_nobody_in(client: httpx.AsyncClient, made: Context) -> None:
    token = await token_of(made, seconds=0.05)
    await asyncio.sleep(0.1)
    assert (await client.post(LOGIN, data={"token": token})).status_code == 401


@pytest.mark.parametrize("token", ["", "wrong", "\x00", "é" * 300, "' OR 1=1 --", "a" * 9000])
async def test_a_wrong_token_lets_nobody_in(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.post(LOGIN, data={"token": token})
    assert answer.status_code == 401 and "set-cookie" not in answer.headers


async def test_guessing_is_slowed_down(client: httpx.AsyncClient, made: Context) -> None:
    statuses = [(await client.post(LOGIN, data={"token": f"guess-{n}"})).status_code for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert (await client.post(LOGIN, data={"token": await token_of(made)})).status_code == 429


async def test_the_session_cookie_is_for_the_browser_alone(client: httpx.AsyncClient, made: Context) -> None:
    answer = await client.post(LOGIN, data={"token": await token_of(made)})
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=604800"):
        assert part in cookie
    assert "Secure" not in cookie
    client.cookies.clear()
    answer = await client.post(LOGIN, data={"token": await token_of(made)}, headers={"x-forwarded-proto": "https"})
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "wanted",
    ["//evil.test/ui/", "https://evil.test/ui/monitoring", "/\\evil.test/ui/", "\\\\evil.test", "/ui/\\evil.test",
     "javascript:alert(1)", "/ui/\r\nset-cookie: a=b", "/ui/../logout", "/api/monitoring/session", "/", "", "/ui/\t/x",
     "http:/ui/monitoring", "///ui/monitoring"],
)  # fmt: skip
async def test_the_login_leads_nowhere_but_to_our_pages(client: httpx.AsyncClient, made: Context, wanted: str) -> None:
    form = await client.get(LOGIN, params={"token": "x", "next": wanted})
    assert "evil" not in form.text and "javascript" not in form.text
    answer = await client.post(LOGIN, data={"token": await token_of(made), "next": wanted})
    assert answer.headers["location"] == PAGE


async def test_the_form_shows_what_it_was_given_as_text(client: httpx.AsyncClient) -> None:
    answer = await client.get(LOGIN, params={"token": '"><script>alert(1)</script>'})
    assert "<script" not in answer.text


def forged(context: Context, key: str, salt: str = "watchglass.session", **signer: Any) -> str:
    serializer = URLSafeTimedSerializer(key, salt=salt, signer_kwargs=signer)
    return str(serializer.dumps({"name": "eve", "role": "admin", "seed": "s"}))


async def test_a_forged_or_altered_cookie_is_nobody(client: httpx.AsyncClient, made: Context) -> None:
    await log_in(client, made, "viewer")
    name, value = next(iter(client.cookies.items()))
    head, _, tail = value.partition(".")
    assert made.access is not None
    stored = await made.access.secret("session")
    for cookie in (
        forged(made, "guess"),
        forged(made, stored),
        forged(made, stored, salt="itsdangerous"),
        head[:-2] + ("AA" if head[-2:] != "AA" else "BB") + "." + tail,
        value[:-5] + ("AAAAA" if value[-5:] != "AAAAA" else "BBBBB"),
        value + "x",
        head,
        "",
        "é",
        "." * 3,
        "a" * 5000,
    ):
        headers = {"cookie": f"{name}={cookie}".encode()}
        client.cookies.clear()
        assert (await client.get(STATUS, headers=headers)).status_code == 401, cookie
    assert (await client.get(STATUS, headers={"cookie": f"{name}={value}"})).json()["role"] == "viewer"


async def test_a_guard_token_is_no_session(client: httpx.AsyncClient, made: Context) -> None:
    await log_in(client, made)
    name = next(iter(client.cookies))
    token = (await guard_header(client))["x-csrf-token"]
    client.cookies.clear()
    assert (await client.get(STATUS, headers={"cookie": f"{name}={token}"})).status_code == 401


async def test_a_session_ends_with_its_lifetime(context: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    made = context(session_hours=1)
    async with browser(create_app(made)) as client:
        await log_in(client, made)
        cookies = {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        assert (await client.get(STATUS, headers=cookies)).status_code == 200
        later = time.time() + 3700
        monkeypatch.setattr("itsdangerous.timed.time.time", lambda: later)
        assert (await client.get(STATUS, headers=cookies)).status_code == 401


async def test_a_key_of_the_settings_is_shared_by_processes_without_a_store() -> None:
    def process() -> Context:
        return Context(Settings(service_name="shop", secret_key="0123456789abcdef"))

    one, other = process(), process()
    async with browser(create_app(one)) as client:
        await log_in(client, one)
        cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
    async with browser(create_app(other)) as client:
        assert (await client.get(STATUS, headers=cookie)).status_code == 200
    async with browser(create_app(Context(Settings(service_name="shop", secret_key="another-secret-key")))) as client:
        assert (await client.get(STATUS, headers=cookie)).status_code == 401


async def test_processes_on_one_store_share_sessions_and_tokens(made: Context, context: Contexts) -> None:
    async with browser(create_app(made)) as client:
        answer = await client.post(LOGIN, data={"token": await token_of(context())})
        assert answer.status_code == 303
        cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
    async with browser(create_app(context())) as client:
        assert (await client.get(STATUS, headers=cookie)).status_code == 200


async def test_while_the_store_is_away_a_link_works_in_the_process_that_printed_it(free_port: int) -> None:
    from watchglass.store.access import Access

    away = f"postgresql://app@127.0.0.1:{free_port}/app"
    made = Context(Settings(service_name="shop", app_database_url=away), access=Access(away))
    token = await made.tokens.new()
    assert token.trouble is not None and "does not answer" in token.trouble and "this" not in token.text
    async with browser(create_app(made)) as client:
        assert (await client.post(LOGIN, data={"token": token.text})).status_code == 303
        assert (await client.get(STATUS)).json()["role"] == "admin"
        wrong = await client.post(LOGIN, data={"token": token.text})
        assert wrong.status_code == 401 and "does not answer" in wrong.text


async def test_what_changes_something_needs_the_guard_token_of_this_very_session(
    client: httpx.AsyncClient, made: Context, context: Contexts
) -> None:
    await log_in(client, made)
    own = await guard_header(client)
    async with browser(create_app(context())) as other:
        await log_in(other, made)
        foreign = await guard_header(other)
    for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": "wrong"}, foreign):
        answer = await client.post("/api/monitoring/thing", headers=headers)
        assert answer.status_code == 403 and "X-CSRF-Token" in answer.json()["error"]
    assert (await client.post("/api/monitoring/thing", headers=own)).text == '"admin"'
    form = {"csrf_token": own["x-csrf-token"], "more": "x" * 1000}
    assert (await client.post("/api/monitoring/thing", data=form)).status_code == 200
    assert (await client.post("/api/monitoring/thing", json=form)).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "http://shop.test.evil.test"},
        {"origin": "http://shop.test:8080"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site", "origin": "http://shop.test"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_what_comes_from_another_site_changes_nothing(
    client: httpx.AsyncClient, made: Context, headers: dict[str, str]
) -> None:
    token = await token_of(made)
    answer = await client.post(LOGIN, data={"token": token}, headers=headers)
    assert answer.status_code == 403 and "set-cookie" not in answer.headers
    await log_in(client, made)
    own = await guard_header(client)
    assert (await client.post("/api/monitoring/thing", headers={**own, **headers})).status_code == 403
    assert (await client.post(LOGOUT, headers={**own, **headers})).status_code == 403
    assert (await client.get(STATUS)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://shop.test"},
        {"sec-fetch-site": "same-origin"},
        {"origin": "https://www.shop.test", "x-forwarded-host": "www.shop.test", "x-forwarded-proto": "https"},
        {"origin": "https://www.shop.test", "x-forwarded-host": "www.shop.test:443"},
    ],
)
async def test_what_comes_from_our_pages_is_taken_behind_a_proxy_too(
    client: httpx.AsyncClient, made: Context, headers: dict[str, str]
) -> None:
    answer = await client.post(LOGIN, data={"token": await token_of(made)}, headers=headers)
    assert answer.status_code == 303


async def test_a_viewer_sees_and_an_admin_changes(client: httpx.AsyncClient, made: Context) -> None:
    await log_in(client, made, "viewer")
    own = await guard_header(client)
    assert (await client.post("/api/monitoring/thing", headers=own)).status_code == 200
    answer = await client.delete("/api/monitoring/thing", headers=own)
    assert answer.status_code == 403 and "admin" in answer.json()["error"]
    await log_in(client, made, "admin")
    answer = await client.delete("/api/monitoring/thing", headers=await guard_header(client))
    assert answer.status_code == 200


async def test_logging_in_and_out_is_on_record(client: httpx.AsyncClient, made: Context) -> None:
    await log_in(client, made)
    answer = await client.post(LOGOUT, headers=await guard_header(client))
    assert answer.status_code == 303
    assert (await client.get(STATUS)).status_code == 401
    assert made.access is not None
    entries = await made.access.audit_entries()
    assert [(entry.actor, entry.action, entry.target) for entry in entries] == [
        ("ann", "logout", "admin"),
        ("ann", "login", "admin"),
    ]


async def test_a_copied_cookie_is_worth_nothing_after_the_log_out(
    client: httpx.AsyncClient, made: Context, context: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ended, "FRESH", 0.0)
    await log_in(client, made)
    copied = {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
    async with browser(create_app(context(), with_changes)) as another_process:
        assert (await another_process.get(STATUS, headers=copied)).status_code == 200
        assert (await client.post(LOGOUT, headers=await guard_header(client))).status_code == 303
        client.cookies.clear()
        assert (await client.get(STATUS, headers=copied)).status_code == 401
        assert (await another_process.get(STATUS, headers=copied)).status_code == 401
    async with browser(create_app(context(), with_changes)) as after_a_restart:
        assert (await after_a_restart.get(STATUS, headers=copied)).status_code == 401
        await log_in(client, made)
        another = {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        assert (await after_a_restart.get(STATUS, headers=another)).status_code == 200


async def test_logging_out_while_the_store_is_away_ends_the_session_in_this_process() -> None:
    unreachable = "postgresql://u:p@127.0.0.1:1/d"
    made = Context(Settings(app_database_url=unreachable), access=Access(unreachable))
    async with browser(create_app(made, with_changes)) as client:
        await log_in(client, made)
        copied = {"cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
        assert (await client.post(LOGOUT, headers=await guard_header(client))).status_code == 303
        client.cookies.clear()
        assert (await client.get(STATUS, headers=copied)).status_code == 401


async def test_no_token_is_kept_as_it_is(made: Context, store_url: str) -> None:
    token = await token_of(made)
    connection = await asyncpg.connect(store_url)
    rows = await connection.fetch("SELECT login_tokens::text AS row FROM watchglass.login_tokens")
    await connection.close()
    assert len(rows) == 1 and token not in rows[0]["row"]


async def test_a_client_cannot_say_who_it_is(client: httpx.AsyncClient) -> None:
    headers = {"x-forwarded-user": "admin", "x-forwarded-for": "127.0.0.1", "remote-user": "admin",
               "authorization": "Bearer admin", "watchglass_visitor": "admin"}  # fmt: skip
    assert (await client.get(STATUS, headers=headers)).status_code == 401


async def test_changing_the_address_header_does_not_reset_the_limit(client: httpx.AsyncClient) -> None:
    for number in range(10):
        await client.post(LOGIN, data={"token": "x"}, headers={"x-forwarded-for": f"10.0.0.{number}"})
    assert (await client.post(LOGIN, data={"token": "x"}, headers={"x-forwarded-for": "10.1.1.1"})).status_code == 429


async def test_a_websocket_of_a_stranger_or_another_site_is_refused(made: Context) -> None:
    app = create_app(made, with_changes)
    async with browser(app) as client:
        await log_in(client, made)
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    assert await dial(app, {}) == ["websocket.close"]
    assert await dial(app, {"cookie": cookie, "origin": "https://evil.test"}) == ["websocket.close"]
    inside = await dial(app, {"cookie": cookie, "origin": "http://shop.test"})
    assert inside == ["websocket.accept", "websocket.send", "websocket.close"]


async def dial(app: Any, headers: dict[str, str]) -> list[str]:
    sent: list[str] = []
    scope = {
        "type": "websocket", "path": "/api/monitoring/ws", "query_string": b"", "root_path": "", "scheme": "ws",
        "headers": [(name.encode(), value.encode()) for name, value in {"host": "shop.test", **headers}.items()],
        "client": ("127.0.0.1", 1), "server": ("shop.test", 80), "subprotocols": [],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize(
    ("verdict", "status"),
    [(None, 403), (False, 403), (0, 403), ("", 403), ("root", 403), (True, 200), ("viewer", 200), ("admin", 200)],
)
async def test_the_hosts_authorize_decides(made: Context, verdict: Any, status: int) -> None:
    made.authorize = lambda request: verdict
    async with browser(create_app(made, with_changes)) as client:
        answer = await client.get(STATUS)
        assert answer.status_code == status
        if status == 200:
            assert answer.json()["role"] == ("admin" if verdict == "admin" else "viewer")
            own = {"x-csrf-token": answer.json()["csrf_token"]}
            assert (await client.post("/api/monitoring/thing")).status_code == 403
            assert (await client.post("/api/monitoring/thing", headers=own)).status_code == 200
        else:
            assert "refused" in answer.json()["error"]
            assert (await client.get(PAGE)).status_code == 403
            assert (await client.get("/health/live")).status_code == 200


async def test_with_the_hosts_authorize_neither_link_nor_session_lets_in(made: Context) -> None:
    async with browser(create_app(made, with_changes)) as client:
        await log_in(client, made)
        cookies = dict(client.cookies)
    made.authorize = lambda request: None
    async with browser(create_app(made, with_changes), cookies=cookies) as client:
        assert (await client.get(STATUS)).status_code == 403
        assert (await client.post(LOGIN, data={"token": await token_of(made)})).status_code == 403


async def test_an_authorize_that_fails_or_hangs_lets_nobody_in(
    made: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("watchglass.api.auth._DECIDE_SECONDS", 0.2)

    def fails(request: Request) -> str:
        raise KeyError("user")

    async def hangs(request: Request) -> str:
        await asyncio.sleep(60)
        return "admin"

    async def redirects(request: Request) -> str:
        raise HTTPException(302, headers={"location": "https://sso.shop.test/"})

    for authorize, status in ((fails, 403), (hangs, 503), (redirects, 302)):
        made.authorize = authorize
        async with browser(create_app(made, with_changes)) as client:
            assert (await client.get(PAGE)).status_code == status
    assert "authorize of the service failed" in caplog.text


async def test_the_hosts_authorize_gets_its_own_request_on_its_own_loop(
    made: Context, serve: Callable[..., str]
) -> None:
    seen: dict[str, Any] = {}

    async def asks(request: Request) -> str | None:
        seen.update(thread=threading.current_thread().name, own_work=guard.own_work.get(), path=request.url.path)
        await asyncio.sleep(0)
        return "viewer" if request.cookies.get("host_session") == "ann" else None

    made.authorize, made.reader, made.access = asks, None, None
    own = OwnLoop()
    url = serve(own.bridge(create_app(made, with_changes)), lifespan="off")
    async with httpx.AsyncClient() as client:
        assert (await client.get(url + STATUS)).status_code == 403
        answer = await client.get(url + STATUS, headers={"cookie": "host_session=ann"})
    await asyncio.to_thread(own.stop, 3)
    assert answer.json()["role"] == "viewer"
    assert seen == {"thread": "served-by-test", "own_work": False, "path": STATUS}


async def test_metrics_ask_for_their_token_where_one_is_set(context: Contexts) -> None:
    made = context(metrics_token="scrape-me")
    made.render_metrics = lambda accept: (b"# EOF\n", "text/plain")
    async with browser(create_app(made)) as client:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic scrape-me"},
                        {"authorization": "Bearer scrape-me2"}, {"authorization": "scrape-me"}):  # fmt: skip
            answer = await client.get("/metrics", headers=headers)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert (await client.get("/metrics", headers={"authorization": "bearer scrape-me"})).text == "# EOF\n"
    open_one = context()
    open_one.render_metrics = lambda accept: (accept.encode(), "text/plain")
    async with browser(create_app(open_one)) as client:
        assert (await client.get("/metrics", headers={"accept": "application/openmetrics-text"})).status_code == 200


async def test_everything_moves_under_a_prefix_and_behind_a_root_path(context: Contexts) -> None:
    made = context(path_prefix="/ops")
    app = create_app(made, with_changes)
    async with browser(app) as client:
        assert (await client.get("/ops/health/live")).status_code == 200
        assert (await client.get("/health/live")).status_code == 401
        assert (await client.get("/opshealth/live")).status_code == 401
        assert (await client.get("/ops" + PAGE)).headers["location"].startswith("/ops" + LOGIN + "?next=%2Fops%2Fui")
        answer = await client.post("/ops" + LOGIN, data={"token": await token_of(made)})
        assert answer.headers["location"] == "/ops" + PAGE and "Path=/;" in answer.headers["set-cookie"]
        assert (await client.get("/ops" + STATUS)).status_code == 200
    proxied = httpx.ASGITransport(app, root_path="/shop")
    async with httpx.AsyncClient(transport=proxied, base_url="http://shop.test") as client:
        answer = await client.get("/shop/ops" + PAGE)
        assert answer.headers["location"].startswith("/shop/ops" + LOGIN)
        answer = await client.post(
            "/shop/ops" + LOGIN, data={"token": await token_of(made), "next": "/shop/ops" + PAGE}
        )
        assert answer.headers["location"] == "/shop/ops" + PAGE and "Path=/shop;" in answer.headers["set-cookie"]
        assert (await client.get("/shop/ops" + STATUS)).status_code == 200
