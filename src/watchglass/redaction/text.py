"""Free text: log messages, exceptions, values. Secrets are found by their shape and by the name before them."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from watchglass.redaction.names import REDACTED, is_secret_name

LIMIT: Final = 8192
"""Characters kept of a log message or an exception."""

_MARGIN: Final = 1024
"""Scanned beyond the limit, so that a secret that the limit would cut in half is still recognised."""

_SHORT: Final = 80
"""Texts up to this length are remembered: most messages and names are said again and again."""

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

# Matched against the lower-case text, because ignoring case makes a pattern ten times slower. No quantifier that
# could give back is unbounded: any text is scanned in linear time. No group is repeated possessively, see sql.py.
_QUOTED: Final = "|".join(
    rf"""b?\\{quote}(?:[^{quote}\\]++|\\[^{quote}])*(?:\\{quote})?|b?{quote}(?:[^{quote}\\]++|\\[\s\S])*{quote}?"""
    for quote in "\"'"
)
_ASSIGNED = re.compile(
    r"(?:passw|passphrase|passcode|pwd|secret|token|key|auth|cookie|credential|session|csrf|xsrf|jwt|otp|cvv)"
    r"[\w.-]{0,40}+"
    r"""(?:\\?["']?\s{0,3}(?:=>|:=|[=:])\s{0,3}|\\?["']\s{0,3},\s{0,3}(?=b?\\?["']))"""
    rf"""(?P<value>{_QUOTED}|\[[^\]]*+\]?|\{{[^}}]*+\}}?|(?:(?:bearer|basic|digest|token)\s{{1,3}})?[^\s,;&"')}}\]]++)"""
)
_HEADER = re.compile(
    r"\b(?:(?:proxy-)?authori[sz]ation|(?:set-)?cookie)\s{0,3}:\s{0,3}(?P<value>[^\r\n\"'{}\s][^\r\n\"'{}]*+)"
)
_SCHEME = re.compile(r"\b(?:bearer|basic|digest|negotiate)\s{1,3}(?P<value>[\w+/=.~-]{6,}+)")
_CREDENTIALS = re.compile(r".[^\s]*[0-9A-Z=+_~]|[^\s]{20}")
_JWT = re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{5,}+(?:\.[\w-]*+){1,4}")
_USERINFO = re.compile(
    r"://(?:[^\s/?#@:'\"<>]{0,200}+:(?!\d{1,5}/)[^\s'\"<>@]{0,300}+(?:@[^\s'\"<>@/?#]{0,100}+(?=@))?"
    r"|[^\s/?#@'\"<>]{1,300}+)@"
)
_ISSUED = re.compile(
    r"\b(?:A[KS]IA[0-9A-Z]{16}|gh[opusr]_\w{20,}+|github_pat_\w{20,}+|glpat-[\w-]{16,}+|xox[abprs]-[\w-]{10,}+"
    r"|AIza[\w-]{30,}+|sk-[\w-]{16,}+|[rs]k_(?:live|test)_\w{10,}+|SG\.[\w-]{16,}+\.[\w-]{16,}+|npm_\w{30,}+)"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]*+(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_ISSUERS = ("sk-", "k_live", "k_test", "gh", "AKIA", "ASIA", "glpat", "xox", "AIza", "SG.", "npm_", "PRIVATE KEY")
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}+@(?:[\w-]{1,63}+\.)+[A-Za-z][\w-]*+")
_IPV4 = re.compile(r"[0-9](?:(?<=//[0-9])|(?<![\w./-][0-9]))[0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?!\w|\.\w)")
_IPV6 = re.compile(
    r"[0-9a-fA-F:](?<![\w:.][0-9a-fA-F:])(?:(?<=:)|[0-9a-fA-F]{0,3}:)(?:[0-9a-fA-F]{0,4}:){1,6}"
    r"(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-fA-F]{1,4})?(?![\w:])"
)


def text(message: str, key: bytes | None = None, limit: int = LIMIT) -> str:
    r"""`message` without secrets, of at most `limit` characters and a note, no control characters but \n and \t.

    Control characters, those that turn the direction of writing, and halves of surrogate pairs are spelled out
    (`\x1b`). Never raises.
    """
    if len(message) <= _SHORT and limit >= _SHORT:
        return _clean_short(message, key)
    if len(message) <= limit:
        return _clean(message, key)
    return f"{_clean(message[: limit + _MARGIN], key)[:limit]}… [{len(message) - limit} characters more]"


def _clean(message: str, key: bytes | None) -> str:
    if not message.isprintable():
        message = _UNSAFE.sub(_spelled, message)
    if "@" in message:
        message = _USERINFO.sub(f"://{REDACTED}@", message)
        message = _EMAIL.sub(lambda match: _mark("email", match[0].lower(), key), message)
    message = _by_name(message)
    if "eyJ" in message:
        message = _JWT.sub(REDACTED, message)
    for issuer in _ISSUERS:
        if issuer in message:
            message = _ISSUED.sub(REDACTED, message)
            break
    if message.count(".") >= 3:
        message = _IPV4.sub(lambda match: _address(match[0], key), message)
    if message.count(":") >= 2:
        message = _IPV6.sub(lambda match: _address(match[0], key), message)
    return message


_clean_short = lru_cache(maxsize=4096)(_clean)


def _by_name(message: str) -> str:
    """Redact what stands behind a telling name (`password=...`, `Authorization: ...`, `Bearer ...`)."""
    lowered = message.lower()
    if "authori" in lowered or "cookie" in lowered:
        message = _replace(_HEADER, message, _always)
    if "=" in lowered or ":" in lowered or "'," in lowered or '",' in lowered:
        message = _replace(_ASSIGNED, message, _under_a_secret_name)
    if "bearer" in lowered or "basic" in lowered or "digest" in lowered or "negotiate" in lowered:
        message = _replace(_SCHEME, message, _like_credentials)
    return message


def _replace(pattern: re.Pattern[str], message: str, is_secret: Callable[[str, re.Match[str]], bool]) -> str:
    """Replace the group `value` of what `pattern` finds in the lower-case message, where `is_secret` agrees."""
    lowered = message.lower()
    if len(lowered) != len(message):  # a few capitals have longer small letters; positions must agree
        message = lowered
    parts: list[str] = []
    end = 0
    for match in pattern.finditer(lowered):
        if is_secret(message, match):
            parts += (message[end : match.start("value")], REDACTED)
            end = match.end("value")
    return "".join((*parts, message[end:])) if parts else message


def _always(message: str, match: re.Match[str]) -> bool:
    return True


def _like_credentials(message: str, match: re.Match[str]) -> bool:
    """`Basic dXNlcjpwYXNz` but not `basic authentication`."""
    return _CREDENTIALS.match(message, match.start("value"), match.end("value")) is not None


def _under_a_secret_name(message: str, match: re.Match[str]) -> bool:
    """Judge by the whole name: what was found may be its end (`search_key`) or its beginning (`token_count`)."""
    start = end = match.start()
    while start > 0 and end - start < 60 and (message[start - 1].isalnum() or message[start - 1] in "_-"):
        start -= 1
    while end < match.start("value") and (message[end].isalnum() or message[end] in "_-."):
        end += 1
    return is_secret_name(message[start:end])


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _address(value: str, key: bytes | None) -> str:
    """The mark of an IP address; addresses of this very machine say nothing about anyone and stay."""
    if not any(character.isdigit() for character in value):
        return value  # a::b, a name of C++
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return value
    return value if address.is_loopback or address.is_unspecified else _mark("ip", address.compressed, key)


def _mark(kind: str, value: str, key: bytes | None) -> str:
    if key is None:
        return f"[{kind}]"
    digest = hashlib.blake2b(value.encode("utf-8", "replace"), key=key[:64], digest_size=6)
    return f"[{kind}:{digest.hexdigest()}]"
