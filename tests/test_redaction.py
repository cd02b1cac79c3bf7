from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from watchglass.redaction import (
    attributes,
    fields,
    headers,
    is_secret_name,
    looks_like_id,
    mark_with,
    query_string,
    redis_key_shape,
    sql_shape,
    text,
)

KEY = b"a key of the service"
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

PLANTED_IN_TEXT = {
    "bearer": ("upstream said no to Bearer 5f4dcc3b5aa765d61d83", "5f4dcc3b5aa765d61d83"),
    "bearer of letters only": ("sent Bearer abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz"),
    "basic": ("header was basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
    "authorization header": ("Authorization: Bearer s3cr3t-value", "s3cr3t-value"),
    "authorization of an unknown scheme": ("authorization: Custom one two three", "two"),
    "cookie header": ("Cookie: theme=dark; sid=abc123; x=hunter2", "hunter2"),
    "set-cookie header": ("Set-Cookie: session=q9w8e7r6; Path=/; HttpOnly", "q9w8e7r6"),
    "a JWT on its own": (f"got {JWT} from the client", JWT[30:60]),
    "a JWT as a cookie's value": (f"x-thing={JWT};", JWT[-20:]),
    "DSN of PostgreSQL": ("cannot reach postgresql://shop:hunter2@db:5432/shop", "hunter2"),
    "DSN with an at sign in the password": ("postgres://u:p@ss-hunter2@db/x", "hunter2"),
    "DSN with a slash in the password": ("postgres://u:hunt/er2@db/x", "er2@"),
    "DSN of Redis without a user": ("redis://:hunter2@cache:6379/0", "hunter2"),
    "DSN with a token as user": ("https://ghost5f4dcc3b@example.com/x.git", "ghost5f4dcc3b"),
    "DSN with encoded password": ("amqp://u:hunt%40er2@mq//", "er2"),
    "libpq keywords": ("host=db user=shop password=hunter2 dbname=shop", "hunter2"),
    "quoted keyword": ("connect(password='hun ter2', timeout=3)", "ter2"),
    "quoted keyword with an escape": (r'{"password": "hun\"ter2", "a": 1}', "ter2"),
    "dict as text": ("{'api_key': 'k-1234567', 'n': 1}", "k-1234567"),
    "JSON": ('{"client_secret": "zzz-top-9"}', "zzz-top-9"),
    "JSON inside a string": (r'"{\"access_token\": \"abc-def-1\"}"', "abc-def-1"),
    "list of secrets": ("passwords: ['one1', 'two2']", "two2"),
    "bytes": ("secret=b'\\x00raw-bytes-9'", "raw-bytes-9"),
    "raw headers": ("[(b'authorization', b'Bearer zzz999zzz'), (b'host', b'x')]", "zzz999zzz"),
    "environment": ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI"),
    "access key id": ("using AKIAIOSFODNN7EXAMPLE for s3", "AKIAIOSFODNN7EXAMPLE"),
    "GitHub token": ("clone with ghp_16C7e42F292c6912E7710c838347Ae178B4a", "16C7e42F292c6912"),
    "Stripe key": ("charging with sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39HqLyjWDarjt"),
    "private key": ("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----", "MIIEpAIB"),
    "query string in a log line": ('GET /login?user=a&token=abc123def HTTP/1.1" 200', "abc123def"),
    "camel case": ("refreshToken: rt-778899", "rt-778899"),
    "dashes": ("X-Api-Key: 99-bottles-1", "99-bottles-1"),
    "shouted": ("PASSWORD = HUNTER2", "HUNTER2"),
    "e-mail": ("reset mail sent to jane.doe+shop@example.co.uk", "jane.doe"),
    "IPv4": ("connection from 203.0.113.77 refused", "203.0.113.77"),
    "IPv4 with a port": ("peer 203.0.113.77:51234 closed", "203.0.113.77"),
    "IPv4 in a URL": ("calling http://203.0.113.77/x", "203.0.113.77"),
    "IPv6": ("connection from 2001:db8::ff00:42:8329 refused", "ff00:42:8329"),
    "IPv6 in brackets": ("peer [2001:db8:0:1:1:1:1:1]:443", "db8:0:1:1"),
    "an i that lower-cases to two characters": ("İİİ password=hunter2", "hunter2"),
    "said": ("the password is hunter22", "hunter22"),
    "said in quotes": ("invalid token 'abc123def'", "abc123def"),
    "said of somebody": ("password for bob: hunter2", "hunter2"),
    "said of somebody in a sentence": ("the token for bob@shop is abc123def", "abc123def"),
    "said like a version": ("the password is 1.2.3x-hunter2", "hunter2"),
    "said behind a method": ("POST /oauth/token hunter2/1", "hunter2"),
    "said with a protocol in it": ("token HTTP/1.1-hunter2", "hunter2"),
    "said with a method's name in it": ("password sha256hunter2", "hunter2"),
    "said with a measure in it": ("secret 12mshunter2", "hunter2"),
    "bearer that ends like a protocol": ("Bearer hunter2xHTTP/1.1", "hunter2"),
    "said of an API key": ("api key: abc123def4", "abc123def4"),
    "flag of a command": ("mysql --password hunter2 -h db", "hunter2"),
    "flag of curl": ("curl -u ann:hunter2 https://x", "hunter2"),
    "arrow": ("password -> hunter2", "hunter2"),
    "markup": ("<login><password>hunter2</password></login>", "hunter2"),
    "YAML over lines": ("password:\n  hunter2", "hunter2"),
    "YAML block": ("password: |\n  hunter2", "hunter2"),
    "index": ("config['password'] = 'hunter2'", "hunter2"),
    "field of a form": ("user[password]=hunter2", "hunter2"),
    "comparison": ("password != hunter2", "hunter2"),
    "full-width colon": ("password\uff1ahunter2", "hunter2"),
    "coloured": ("\x1b[36mpassword\x1b[0m=\x1b[35mhunter2\x1b[0m", "hunter2"),
    "many spaces": ("password       =       hunter2", "hunter2"),
    "comma in it": ("password=ab,hunter2", "hunter2"),
    "semicolon in it": ("password=ab;hunter2", "hunter2"),
    "parenthesis in it": ("password=ab)hunter2", "hunter2"),
    "quote in it": ("password=ab'hunter2", "hunter2"),
    "ampersand in it": ("password=ab&hunter2", "hunter2"),
    "nested structure": ("secret: {'a': {'b': 'x'}, 'c': 'hunter2'}", "hunter2"),
    "nested lists": ("tokens=[['a'], ['hunter2']]", "hunter2"),
    "tuple": ("password=('hunter2', 1)", "hunter2"),
    "JSON in JSON in JSON": (json.dumps(json.dumps(json.dumps({"password": "hunter2"}))), "hunter2"),
    "long hexadecimal after a key": ("key=5f4dcc3b5aa765d61d8327deb882cf99", "5aa765d61d83"),
    "code of OAuth": ("GET /callback?code=4a0AX4XfWh1s8Kd83js HTTP/1.1", "AX4XfWh1"),
    "percent-encoded name": ("GET /x?api%5Fkey=k-12345 HTTP/1.1", "k-12345"),
    "percent-encoded letter": ("GET /x?pass%77ord=hunter2", "hunter2"),
    "percent-encoded JSON": ("body=%7B%22password%22%3A%22hunter2%22%7D", "hunter2"),
    "percent-encoded URL": ("next=%2Flogin%3Ftoken%3Dhunter2", "hunter2"),
    "percent-encoded twice": ("next=%252Flogin%253Ftoken%253Dhunter2", "hunter2"),
    "percent-encoded DSN": ("url=postgres%3A%2F%2Fu%3Ahunter2%40h%2Fx", "hunter2"),
    "percent-encoded JWT": (JWT.replace(".", "%2E"), JWT[-20:]),
    "percent-encoded e-mail": ("GET /u/jane%40example.com", "jane"),
    "percent-encoded IPv6": ("ip=2001%3Adb8%3A%3Aff00%3A42", "ff00"),
    "session of PHP": ("PHPSESSID=hunter2", "hunter2"),
    "session of Express": ("connect.sid=s%3Ahunter2", "hunter2"),
    "signature": ("X-Amz-Signature=hunter2&X-Amz-Date=20260101", "hunter2"),
    "signed request": ("AWS4-HMAC-SHA256 Credential=AKIA/s3, Signature=abc123", "abc123"),
    "digest": ('Digest username="ann", response="abc123"', "abc123"),
    "bearer with a colon": ("Bearer: abc123def", "abc123def"),
    "cookie in a dump of a request": ("GET / HTTP/1.1\\r\\nCookie: a=b; c=hunter2\\r\\nHost: x", "hunter2"),
    "cookie with quotes": ('Cookie: a="b"; c=hunter2', "hunter2"),
    "jar of cookies": ("<RequestsCookieJar[<Cookie a=hunter2 for x/>]>", "hunter2"),
    "EC key with a dash in it": ("-----BEGIN EC PRIVATE KEY-----\nMHc-IBAA\n-----END EC PRIVATE KEY-----", "IBAA"),
    "key with headers": ("-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: AES,A\n\nIBAA\n-----END RSA", "IBAA"),
    "key of PGP": ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nIBAA\n-----END PGP PRIVATE KEY BLOCK-----", "IBAA"),
    "key without its beginning": ("MHcCAQEEIBAA\nabc=\n-----END PRIVATE KEY-----", "IBAA"),
    "key in one line": ("-----BEGIN PRIVATE KEY-----\\nMHcIBAA\\n-----END PRIVATE KEY-----", "IBAA"),
    "Slack webhook": ("https://hooks.slack.com/services/T00000000/B000/XXXXabcdXXXX", "XXXXabcd"),
    "Google token": ("ya29.a0AfH6SMBx-abcdefghijkl", "a0AfH6"),
    "PyPI token": ("upload with pypi-AgEIcHlwaS5vcmcCJDk", "AgEIcHlw"),
    "Hugging Face token": ("hf_AbCdEfGhIjKlMnOpQrStUvWx", "AbCdEf"),
    "Vault token": ("hvs.CAESIAbCdEfGhIjKlMnOpQrSt", "CAESI"),
    "DSN of JDBC": ("jdbc:postgresql://h/db?user=a&password=hunter2", "hunter2"),
    "DSN of ODBC": ("Server=h;Uid=sa;Pwd=hunter2;", "hunter2"),
    "DSN with a quote in the password": ("postgres://u:hun't er2".replace(" ", "") + "@h/x", "er2"),
    "name of an address with a space": ('to "jane doe"@example.com', "jane"),
    "e-mail of another alphabet": ("to jane@例え.テスト", "jane"),
    "e-mail at an address": ("to jane@[203.0.113.77]", "jane"),
    "IPv4 in a path": ("GET /by-ip/203.0.113.77", "203.0.113.77"),
    "IPv4 behind an underscore": ("peer_203.0.113.77", "203.0.113.77"),
    "IPv4 with noughts": ("from 203.000.113.077", "113.077"),
    "IPv4 in IPv6": ("from ::ffff:203.0.113.77", "203.0.113.77"),
    "IPv6 with uvicorn's port": ('2001:db8::ff00:42:51234 - "GET / HTTP/1.1" 200', "ff00"),
    "whole IPv6 with a port": ("2001:db8:1:2:3:4:ff00:42:51234 closed", "ff00"),
    "IPv6 behind a colon": ("from:2001:db8::ff00:42: closed", "ff00"),
    "a unique constraint": ("DETAIL:  Key (name, token)=(ann, hunter2) already exists.", "hunter2"),
    "a not-null constraint": ("DETAIL:  Failing row contains (1, null, hunter2).", "hunter2"),
    "an unreadable parameter": (
        "invalid input for query argument $1: 'hunter2' (an integer is required (got type str))",
        "hunter2",
    ),
    "an unreadable literal": ('invalid input syntax for type integer: "hunter2"', "hunter2"),
    "an unterminated literal": ('unterminated quoted string at or near "\'hunter2 x"', "hunter2"),
    "a literal of SQL": ("ran SELECT * FROM users WHERE name = 'hunter2' in 5 ms", "hunter2"),
    "an inserted literal": ("insert into users values (1, $$hunter2$$)", "hunter2"),
    "parameters of SQLAlchemy": ("[SQL: SELECT $1::VARCHAR]\n[parameters: ('hunter2',)]", "hunter2"),
    "SQLAlchemy's echo": ("[generated in 0.00012s] ('hunter2', 5)", "hunter2"),
    "a command of a pipeline": ("Command # 2 (SET user:ann hunter2) of pipeline caused error: x", "hunter2"),
    "arguments of a command": ("unknown command 'X', with args beginning with: 'hunter2' ", "hunter2"),
    "input of pydantic": (
        "Not an integer [type=int_parsing, input_value='hunter2', input_type=str]",
        "hunter2",
    ),
    "input of FastAPI": ("[{'type': 'int', 'loc': ('body', 'pin'), 'input': 'hunter2', 'msg': 'x'}]", "hunter2"),
    "secret that the limit cuts in half": ("x" * 8_180 + " password=hunter2-and-a-half", "hunt"),
}


@pytest.mark.parametrize("name", PLANTED_IN_TEXT)
def test_no_planted_secret_survives_in_text(name: str) -> None:
    message, secret = PLANTED_IN_TEXT[name]
    assert secret in message

    assert secret not in text(message, KEY)
    assert secret not in json.dumps(fields({"note": message, "deep": [{"note": message}]}, KEY))


@pytest.mark.parametrize(
    "message",
    [
        "request finished in 12.5 ms",
        "basic authentication failed",
        "Bearer of good news",
        "token count: 512",
        "max_tokens=4096 prompt_tokens: 12 tokenizer=bpe",
        "primary key: 17, cache key=search",
        "author: Ann, authority=none",
        "compass_width=3 secretary=Tom",
        "see https://example.com:8080/@handle/posts for more",
        "Chrome/120.0.0.0 Safari/537.36",
        "started at 12:34:56, ratio 3:2:1, version 1.2.3",
        "10:20:30 is a time, not an address",
        "key error: 'name'",
        "listening on 127.0.0.1:8000 and [::1]:8000",
        "session opened",
        "mail me @ noon",
        "a::b is C++, std::vector<int>::size",
        "two\nlines\tand a tab",
        "naïve café — 日本語",
        "token count: 5",
        "tokens=512, pass=12 fail=3, bypass: yes",
        "uuid 550e8400-e29b-41d4-a716-446655440000",
        "key: 550e8400-e29b-41d4-a716-446655440000",
        "version 1.2.3.4 of libfoo",
        "/srv/app/v2/users.py:12",
        "commit_hash=5f4dcc3b5aa765d61d8327deb882cf99",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736",
        "2026-01-02T03:04:05.678Z started",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "status_code=200 state=running code=E1234",
        "token expired at 10:05",
        "password reset requested, password must have 8 characters",
        "Unexpected token '<' at position 0",
        "basic auth required, bearer token missing, api key missing",
        "password=None token=null, secret: ''",
        "GET /caf%C3%A9?page=2&sort=name%20asc HTTP/1.1",
        "100% done, 50%25 left",
        "it's 'quoted' and isn't SQL",
        "SELECT count(*) FROM orders took 5 ms",
        'syntax error at or near "SELEC"',
        'relation "users" does not exist',
        "x[1::2] and {a: b}",
        "MAC aa:bb:cc:dd:ee:ff",
        "<Foo object at 0x7f3b2c1d4e5f>",
        "Task finished name='Task-2' coro=<f() done>",
        "tests/test_x.py::test_y[1::2] PASSED",
        "monkey=1, turkey: 2, keyboard=us, author: Ann",
        "User-Agent: curl/8.5.0",
        "postgresql://localhost:5432/shop is up",
        '127.0.0.1:51234 - "GET /v1/code/search/lexical?q=fetch+token HTTP/1.1" 200',
        '127.0.0.1:51234 - "POST /oauth/token HTTP/1.1" 200',
        '127.0.0.1:51234 - "GET /secret HTTP/2" 404',
        '127.0.0.1:51234 - "GET /search?q=basic HTTP/1.1" 200',
        "POST /api/password Mozilla/5.0",
        "GET /auth 12.25ms, GET /token 1250ms",
        "token for user42 expired, password for user42 sent, secret for job-12: none",
        "token v1.2.3 released, secret 2.0.0rc1 is next",
        "the password sha256 of it, password argon2id, secret aes-256-gcm",
        "auth oauth2-proxy ready, auth tls1.3 on, token base64-encoded, secret (base64) kept",
    ],
)
def test_what_is_no_secret_stays_as_it_was(message: str) -> None:
    assert text(message, KEY) == message


def test_the_rest_of_the_line_stays_readable() -> None:
    assert text("cannot reach postgresql://shop:hunter2@db:5432/shop: refused") == (
        "cannot reach postgresql://[redacted]@db:5432/shop: refused"
    )
    assert text("host=db password=hunter2 dbname=shop") == "host=db password=[redacted] dbname=shop"
    assert text('{"password": "hunter2", "user": "ann"}') == '{"password": [redacted], "user": "ann"}'


def test_the_same_address_has_the_same_mark_and_another_key_another() -> None:
    first, second = text("from 203.0.113.77", KEY), text("again 203.0.113.77", KEY)

    assert first.split()[-1] == second.split()[-1]
    assert first.split()[-1] != text("from 203.0.113.77", b"another key").split()[-1]
    assert text("from 203.0.113.77") == "from [ip]"
    assert text("to Jane@Example.com", KEY).split()[-1] == text("to jane@example.com", KEY).split()[-1]


def test_redacting_twice_changes_nothing_more() -> None:
    for message, _ in PLANTED_IN_TEXT.values():
        if len(message) < 8_000:
            once = text(message, KEY)
            assert text(once, KEY) == once


def test_forged_lines_are_spelled_out() -> None:
    forged = "ok\x1b[31m\r\nERROR \x00 \u202e reversed \udcff end"

    shown = text(forged)

    assert shown == "ok\\x1b[31m\\x0d\nERROR \\x00 \\u202e reversed \\udcff end"
    shown.encode()


def test_a_long_message_is_cut_and_says_so() -> None:
    assert text("x" * 9_000) == "x" * 8_192 + "… [808 characters more]"


SECRET_NAMES = """
authorization Proxy-Authorization cookie Set-Cookie X-API-Key api_key apiKey password PASSWORD user_password passwd pwd
secret client_secret clientSecret SECRET_KEY token access_token refreshToken id-token csrf_token X-CSRFToken jwt
private_key aws_secret_access_key session_id sessionid sid credentials otp pin cvv signature connection_string
"""
HARMLESS_NAMES = """
key cache_key user id path max_tokens token_count tokens_used tokenizer author authority compass_width secretary
session_count passenger_name pinned signal design keyboard spin pint auth_method token_type
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_secret_names_are_known_in_any_spelling(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", HARMLESS_NAMES.split())
def test_harmless_names_are_left_alone(name: str) -> None:
    assert not is_secret_name(name)


def test_nested_fields_lose_their_secrets_and_keep_the_rest() -> None:
    kept = fields(
        {
            "user": {"name": "ann", "password": "hunter2", "tokens": ["t1", "t2"]},
            "items": [{"api_key": "k1"}, 2, None, True, 1.5],
            "headers": {"Authorization": "Bearer x", "accept": "*/*"},
            "secret": None,
            "note": "password=hunter2",
        }
    )

    assert kept == {
        "user": {"name": "ann", "password": "[redacted]", "tokens": "[redacted]"},
        "items": [{"api_key": "[redacted]"}, 2, None, True, 1.5],
        "headers": {"Authorization": "[redacted]", "accept": "*/*"},
        "secret": None,
        "note": "password=[redacted]",
    }


def test_pairs_lose_their_secrets_in_whatever_way_they_are_told() -> None:
    class Name(Enum):
        PASSWORD = 1

    kept = fields(
        {
            "headers": [("authorization", "hunter2"), (b"Cookie", b"hunter2"), ("accept", "x")],
            "item": {"name": "api_key", "value": "hunter2"},
            "by bytes": {b"password": "hunter2", b"path": "/x"},
            "by enum": {Name.PASSWORD: "hunter2"},
            "cache_key": "user:ann",
            "key": "5f4dcc3b5aa765d61d8327deb882cf99",
            "tokens": 512,
            "token": False,
        }
    )

    assert "hunter2" not in repr(kept)
    assert kept["headers"][2] == ["accept", "x"]
    assert kept["by bytes"]["path"] == "/x"
    assert (kept["cache_key"], kept["key"]) == ("user:ann", "[redacted]")
    assert (kept["tokens"], kept["token"]) == (512, False)


def test_what_cannot_be_read_does_not_take_other_fields_with_it() -> None:
    class Unreadable(ValueError):
        def __str__(self) -> str:
            raise RuntimeError

    class Text(str):
        def __str__(self) -> str:
            raise RuntimeError

    class Empty(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError

    kept = fields({"a": 1, "b": Unreadable(), "c": Text("c"), "d": Empty(), Text("e"): 2})

    assert (kept["a"], kept["c"], kept["e"]) == (1, "c", 2)
    assert "Unreadable" in kept["b"] and "Empty" in kept["d"]


def test_marks_without_a_key_are_made_with_that_of_the_process() -> None:
    mark_with(KEY)
    try:
        assert text("from 203.0.113.77") == text("from 203.0.113.77", KEY)
        assert fields({"peer": "203.0.113.77"}) == fields({"peer": "203.0.113.77"}, KEY)
        assert text("2001:DB8::1") == text("[2001:db8:0::1]:443")[1:].removesuffix("]:443")
    finally:
        mark_with(None)
    assert text("from 203.0.113.77") == "from [ip]"


def test_attributes_of_spans_keep_shapes_and_lose_what_they_hold() -> None:
    kept = attributes({"db.system.name": "redis", "db.query.text": "SET user:ann hunter2\nGET x"})
    assert kept["db.query.text"] == "SET ? ?\nGET ?"

    kept = attributes(
        {
            "db.system": "postgresql",
            "db.statement": "SELECT 'hunter2'",
            "db.statement.parameters": "('hunter2',)",
            "url.query": "a=1&access%5Ftoken=hunter2",
            "url.full": "https://ann:hunter2@x/?token=hunter2",
            "http.request.header.authorization": ("hunter2",),
            "enduser.id": "ann@example.com",
            "http.response.status_code": 200,
        },
        KEY,
    )
    assert "hunter2" not in repr(kept) and "ann" not in repr(kept)
    assert kept["db.statement"] == "SELECT ?"
    assert kept["url.query"] == "a=1&access_token=[redacted]"
    assert kept["http.response.status_code"] == 200


class Account:
    def __init__(self) -> None:
        self.password = "hunter2"

    def __repr__(self) -> str:
        return f"Account(password={self.password})"

    __str__ = __repr__


def test_fields_are_what_json_and_postgresql_can_hold() -> None:
    cyclic: list[Any] = [1]
    cyclic.append(cyclic)
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    values = {
        "account": Account(),
        "cyclic": cyclic,
        "nan": float("nan"),
        "huge": 10**400,
        "bytes": b"\xffabc",
        "uuid": uuid.UUID(int=5),
        "moment": moment,
        "money": Decimal("1.20"),
        "path": Path("/srv/x"),
        "error": ValueError("password=hunter2"),
        "nul": "a\x00b",
        ("a", 1): "key of another type",
        "many": dict.fromkeys(map(str, range(5_000)), "x"),
        "wide": [[["x"] * 100] * 100] * 100,
    }

    kept = fields(values)

    dumped = json.dumps(kept, allow_nan=False)
    assert "hunter2" not in dumped
    assert "\\u0000" not in dumped
    assert len(dumped) < 20_000
    assert kept["account"] == f"<{__name__}.Account>"
    assert kept["uuid"] == str(uuid.UUID(int=5))
    assert kept["moment"] == str(moment)
    assert kept["money"] == "1.20"
    assert kept["path"] == "/srv/x"
    assert kept["error"] == "ValueError: password=[redacted]"


def test_headers_keep_names_and_lose_secrets() -> None:
    kept = headers(
        [
            (b"Host", b"shop.example"),
            (b"Authorization", b"Bearer abc"),
            (b"cookie", b"a=b"),
            ("X-Api-Key", "k"),
            (b"Accept", b"a"),
            (b"accept", b"b"),
            (b"referer", b"https://x/?token=abc123"),
            (b"x-forwarded-for", b"203.0.113.77"),
            (b"bad\xff", b"\xff"),
        ],
        KEY,
    )

    assert kept["host"] == "shop.example"
    assert kept["authorization"] == kept["cookie"] == kept["x-api-key"] == "[redacted]"
    assert kept["accept"] == "a, b"
    assert kept["referer"] == "https://x/?token=[redacted]"
    assert kept["x-forwarded-for"].startswith("[ip:")


def test_query_strings_keep_what_is_searched_for() -> None:
    assert query_string(b"q=a+b&page=2&token=abc&email=jane%40example.com&flag") == (
        "q=a+b&page=2&token=[redacted]&email=[email]&flag"
    )
    assert query_string("api%5Fkey=abc&q=%ff%00") == "api_key=[redacted]&q=\ufffd\\x00"


PLANTED_IN_SQL = {
    "string": "SELECT * FROM users WHERE password = 'hunter2'",
    "doubled quote": "SELECT 'it''s hunter2'",
    "escape string": r"SELECT E'a\'hunter2' , 1",
    "escape string of backslashes": r"SELECT E'a\\', 'hunter2'",
    "backslash in a plain string": r"SELECT 'C:\', 'hunter2'",
    "dollar quote": "SELECT $$hunter2$$",
    "tagged dollar quote": "SELECT $body$ it's $$ hunter2 $body$, 1",
    "tag of another alphabet": "SELECT $é$hunter2$é$",
    "unterminated string": "SELECT 'hunter2",
    "unterminated dollar quote": "SELECT $x$hunter2",
    "unterminated escape": "SELECT E'hunter2\\",
    "unterminated name": 'SELECT "hunter2',
    "line comment": "SELECT 1 -- hunter2\n, 2",
    "comment": "SELECT /* hunter2 */ 1",
    "nested comment": "SELECT /* a /* b */ hunter2 */ 1",
    "unterminated comment": "SELECT 1 /* hunter2",
    "unicode string": "SELECT U&'hunter2'",
    "bit string": "SELECT x'1F', n'hunter2'",
    "list": "SELECT 1 WHERE a IN ('x', 'hunter2')",
    "rows": "INSERT INTO t VALUES (1, 'a'), (2, 'hunter2'), (3, E'\\'hunter2')",
    "quote in a quoted name": """SELECT "it's" , 'hunter2' """,
    "comment sign in a string": "SELECT '--', 'hunter2'",
    "password of a role": "ALTER ROLE shop PASSWORD 'hunter2'",
    "after a name with dollars": "SELECT a$b, 'hunter2', c$b",
    "json": """SELECT '{"password": "hunter2"}'::jsonb""",
    "far behind": "SELECT 1 WHERE a = 'x" + "y" * 16_370 + "hunter2'",
}


@pytest.mark.parametrize("name", PLANTED_IN_SQL)
def test_no_literal_or_comment_survives_in_a_shape(name: str) -> None:
    assert "hunter2" in PLANTED_IN_SQL[name]
    assert "hunter2" not in sql_shape(PLANTED_IN_SQL[name])


@pytest.mark.parametrize(
    ("query", "shape"),
    [
        ("SELECT * FROM t WHERE a = 'x' AND n > 1.5e-10", "SELECT * FROM t WHERE a = ? AND n > ?"),
        ("  SELECT\n\t1 ;\n", "SELECT ?"),
        ("SELECT t1.c2, $1, $2::text FROM t1", "SELECT t1.c2, $1, $2::text FROM t1"),
        ("SELECT a IN (1, 2,3), b in ( $1 , $2 )", "SELECT a IN (?), b in (?)"),
        ("SELECT a IN ('x'::text, NULL)", "SELECT a IN (?::text, NULL)"),
        ("SELECT a IN (SELECT id FROM t)", "SELECT a IN (SELECT id FROM t)"),
        ("INSERT INTO t (a, b) VALUES ($1, now()), ($2, now())", "INSERT INTO t (a, b) VALUES ($1, now()), ..."),
        ("INSERT INTO t VALUES ($1, $2)", "INSERT INTO t VALUES ($1, $2)"),
        ("SELECT ARRAY[1, 2, 3]", "SELECT ARRAY[?]"),
        ('SELECT "Weird 1" FROM "T--x"', 'SELECT "Weird 1" FROM "T--x"'),
        ("SELECT x->>'k' FROM t LIMIT 10 OFFSET 20", "SELECT x->>? FROM t LIMIT ? OFFSET ?"),
        ("SELECT .5, 0xFF, 1_000", "SELECT ?, ?, ?"),
        ("/* traceparent */ SELECT 1", "SELECT ?"),
        ("", ""),
    ],
)
def test_a_shape_keeps_everything_but_literals(query: str, shape: str) -> None:
    assert sql_shape(query) == shape


def test_texts_that_differ_in_literals_only_are_one_statement() -> None:
    shapes = {sql_shape(f"SELECT * FROM t WHERE id = {n} AND name = 'n{n}' LIMIT {n}") for n in range(100)}
    rows = {sql_shape(f"INSERT INTO t VALUES {', '.join(['($1, $2)'] * n)}") for n in range(2, 50)}

    assert len(shapes) == len(rows) == 1


HOSTILE = {
    "quotes": "'" * 100_001,
    "double quotes": '"' * 100_001,
    "dollars": "$a$" * 33_333,
    "dollar signs": "$" * 100_000,
    "tags": "".join(f"$t{n}$" for n in range(20_000)),
    "comments": "/*" * 50_000,
    "backslashes": "E'" + "\\" * 100_000,
    "numbers": "1e" * 50_000,
    "dots": "." * 100_000,
    "parentheses": "VALUES (" * 12_000,
    "items": "a in (" + "$1, " * 25_000,
    "rows": "VALUES " + "(1), " * 20_000 + "(",
    "casts": "a in (" + "?::" * 30_000,
    "spaces": " " * 100_000,
    "assignments": "key=" * 2_000,
    "escapes": 'key="' + '\\"' * 4_000,
    "schemes": "://a:" * 1_600 + "@",
    "addresses": "a@" * 4_000,
    "domains": "a@" + "b." * 4_000,
    "colons": "a:" * 4_000,
    "tokens": "eyJ" * 2_700 + "-eyJ" * 200,
    "bearers": "bearer " * 1_100,
    "keys": "-----BEGIN PRIVATE KEY-----" * 300,
    "headers": "authorization: " * 500,
    "statements": "select " * 1_200,
    "values": "Key (a)=(" * 900,
    "inputs": "invalid input syntax for type x: " * 250,
    "rows of an error": "Failing row contains (" * 400,
    "encoded": "%41" * 2_700,
    "encoded words": "%41 " * 2_000,
    "said": "password " * 900,
    "said of versions": "token v1.2.3.4- " * 500,
    "said of names": "token a-sha256-a-a-a-a1 " * 300,
    "ends of keys": "a -----END PRIVATE KEY-----" * 300,
    "brackets": "token=(key=(" * 700,
    "quotes of values": "key='" * 1_600,
    "cookies": 'cookie: a="' * 700,
    "flags": " --password" * 700,
    "literals": "select a from b" + "'" * 8_001,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_input_makes_redaction_slow(name: str) -> None:
    hostile = HOSTILE[name]

    start = time.process_time()
    sql_shape(hostile)
    text(hostile)
    query_string(hostile)

    assert time.process_time() - start < 0.25


def test_a_shape_is_bounded() -> None:
    assert len(sql_shape("SELECT " + ", ".join(f"column_{n}" for n in range(10_000)))) == 2_000


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("search_results:5f4dcc3b5aa765d61d8327deb882cf99", "search_results:*"),
        ("user:42:profile", "user:*:*"),
        (b"embeddings:caf\xc3\xa9", "embeddings:*"),
        ("5f4dcc3b5aa7:x", "*:*"),
        ("jane@example.com:cart", "*:*"),
        ("alone", "*"),
        (17, "*"),
        ("a:b:c:d:e:f:g:h", "a:*:*:*:*"),
        ("", "*"),
        (b"\xff\xfe:x", "*:*"),
    ],
)
def test_a_redis_key_shows_its_kind_and_not_whose_it_is(key: Any, shape: str) -> None:
    assert redis_key_shape(key) == shape


@pytest.mark.parametrize(
    "segment", ["42", "5f4dcc3b", "550e8400-e29b-41d4-a716-446655440000", "a b", "u12345", "x" * 50]
)
def test_what_names_one_thing_is_an_id(segment: str) -> None:
    assert looks_like_id(segment)


@pytest.mark.parametrize("segment", ["search_results", "graph-traversal", "v2", "api.v1", "facade", "cache1"])
def test_what_names_a_kind_of_things_is_none(segment: str) -> None:
    assert not looks_like_id(segment)
