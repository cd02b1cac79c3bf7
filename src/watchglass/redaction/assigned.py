"""Secrets in a text by what stands before them: a telling name (`password=...`), a header's, a scheme's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from watchglass.redaction.names import REDACTED, TELLING, hides, secrecy
from watchglass.redaction.ordinary import is_ordinary

# All is matched against the lower-case text, because ignoring case makes a pattern ten times slower. No quantifier that
# could give back is unbounded: any text is scanned in linear time. No group is repeated possessively, see sql.py.
_COLOUR = r"(?:\\x1b\[[\d;]{0,12}m){0,3}"
_QUOTE = r"""(?:\\{0,15}["'])?"""
_ASSIGNED = re.compile(
    r"(?P<name>(?:pass|pwd|pw|secret|token|key|auth|cookie|cred|sess|csrf|xsrf|jwt|bearer|otp|cv[vc]|pin|sid|sig|ssn|iban|mfa|2fa"
    r"|salt|hmac|code|nonce|ticket|challenge|verifier|assertion|licen|connection|input)"
    rf"[\w.-]{{0,40}}+)(?:{_QUOTE}[\])]?{_QUOTE}{_COLOUR}\s{{0,8}}"
    r"(?P<sign>=>|->|:=|[=!?]?=|[:>\uff1a])"
    rf"""{_COLOUR}\s{{0,8}}(?:[|>][+-]?\s{{1,20}})?|\\{{0,15}}["']\s{{0,3}},\s{{0,3}}(?=b?\\{{0,15}}["']))"""
)
_HEADER = re.compile(
    r"(?:(?:proxy-)?authori[sz]ation|cookies?)\s{0,3}[:=]\s{0,3}"
    r"""(?P<value>[^\r\n"'{}\[\]\s](?:=["'][^"'\r\n]*+["']?|[^\r\n"'{}\\]|\\(?!r\\?n?|n))*)"""
)
_SCHEME = re.compile(r"\b(?:bearer|basic|negotiate)[\s:,=]{1,3}(?P<value>[\w+/=.~-]{6,}+)")
_SIGNED = re.compile(r"\b(?:digest\s{1,3}(?=username=)|aws4-hmac-sha256\s{1,3})(?P<value>[^\r\n]++)")
_CREDENTIALS = re.compile(r".[^\s]*[0-9A-Z=+_~]|[^\s]{20}")
_SAID = re.compile(
    r"(?:pass(?:word|wd|phrase|code)|secret|token|(?:api|access|secret|private|signing)[ _-]?key|credentials?|auth)"
    r"(?:\s{1,3}for\s{1,3}[^\s:=]{1,40}+(?=\s{0,3}[:=]|\s{1,3}(?:is|was)\s))?"
    r"(?:\s{1,3}(?:is|was|were|of|->))?\s{0,3}[\s:=(\[<]\s{0,3}[\"'(<\[]{0,2}"
    r"(?P<value>(?=[^\W\d]{0,40}+[+/.~!@#$%^&*-]{0,9}+[0-9]|[^\W\d]{0,40}[+/.~!@#$%^&*-][\w+/.~!@#$%^&*-]{0,40}[0-9])"
    r"(?=[0-9+/.~!@#$%^&*_-]{0,60}[a-z])[\w+/.~!@#$%^&*-]{6,}+)(?!=*[\w=:(\[])"
)
_COOKIE = re.compile(r"cookies?\s{1,3}[\w.-]{1,60}=(?P<value>[^\s;>]++)")
_FLAG = re.compile(
    r"(?:^|\s)(?:--?[a-z-]{0,30}(?:password|passwd|token|secret|api-?key)|-u\s{1,3}[\w.@-]{1,40}(?=:))[\s:]{1,3}"
    r"(?P<value>[^\s-][^\s]*+)"
)

_BEFORE = re.compile(r"[\w-]*+")
_OPENS = re.compile(r"b?r?(\\{0,15})([\"'])")
_INSIDE = {
    '"': re.compile(r'(?:[^"\\]|\\[\s\S])*"?'),
    "'": re.compile(r"(?:[^'\\]|\\[\s\S])*'?"),
}
_BRACKETS = re.compile(r"""[\[({]|[\])}]|"(?:[^"\\]|\\[\s\S])*"?|'(?:[^'\\]|\\[\s\S])*'?""")
_BARE = re.compile(
    r"(?:(?:bearer|basic|digest|token|apikey|negotiate)\s{1,3})?"
    r"(?:[^\s,;&\"')}\]]|[,;&\"')}\]](?![\s,;&\"')}\].:]|$|[\w.%-]{1,40}[=:]))*"
)
_LONGEST: Final = 4096
"""Characters of brackets that are looked through for their end; longer ones are redacted to the end of the text."""

_TELLING: Final = 512
"""Characters of a value that are looked at to see whether it looks like a secret."""


def without_assigned(message: str) -> str:
    """`message` with what stands behind a telling name redacted."""
    lowered = message.lower()
    if "authori" in lowered or "cookie" in lowered:
        message = _replace(_HEADER, message, _always)
        message = _replace(_COOKIE, message, _always)
        lowered = message.lower()
    if "=" in lowered or ":" in lowered or "'," in lowered or '",' in lowered or ">" in lowered or "\uff1a" in lowered:
        message, lowered = _assigned(message, lowered)
    if "digest" in lowered or "aws4" in lowered:
        message = _replace(_SIGNED, message, _always)
    return without_said(message)


def without_said(message: str) -> str:
    """`message` with what is said to be a secret redacted: `the token is ...`, `--password ...`."""
    lowered = message.lower()
    if "pass" in lowered or "secret" in lowered or "token" in lowered or "key" in lowered or "auth" in lowered:
        message = _replace(_SAID, message, _unless_ordinary)
        if " -" in lowered:
            message = _replace(_FLAG, message, _always)
    elif " -u " in lowered:
        message = _replace(_FLAG, message, _always)
    if "bearer" in lowered or "basic" in lowered or "negotiate" in lowered:
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
        if is_secret(message, match) and match["value"] != REDACTED:
            parts += (message[end : match.start("value")], REDACTED)
            end = match.end("value")
    return "".join((*parts, message[end:])) if parts else message


def _always(message: str, match: re.Match[str]) -> bool:
    return True


def _unless_ordinary(message: str, match: re.Match[str]) -> bool:
    """`token abc123def` but not `/oauth/token HTTP/1.1`."""
    return not is_ordinary(match["value"])


def _like_credentials(message: str, match: re.Match[str]) -> bool:
    """`Basic dXNlcjpwYXNz` but not `basic authentication`, nor `/basic HTTP/1.1`."""
    looks = _CREDENTIALS.match(message, match.start("value"), match.end("value")) is not None
    return looks and not is_ordinary(match["value"])


def _assigned(message: str, lowered: str) -> tuple[str, str]:
    """Redact the values of telling names, however they are quoted or bracketed."""
    if len(lowered) != len(message):
        message = lowered
    parts: list[str] = []
    end = 0
    match = _ASSIGNED.search(lowered)
    while match is not None:
        start, after = match.end(), match.end()
        name_start, name = _whole_name(message, match)
        degree = secrecy(name)
        if degree and (match["sign"] != ">" or message[name_start - 1 : name_start] == "<"):
            most = start + _TELLING if degree == TELLING else len(message)
            after = _end_of_value(message[:most], lowered[:most], start, match["sign"])
            if hides(degree, message[start:after]):
                parts += (message[end:start], REDACTED)
                end = after
            else:
                after = start
        match = _ASSIGNED.search(lowered, after)
    if not parts:
        return message, lowered
    message = "".join((*parts, message[end:]))
    return message, message.lower()


def _whole_name(message: str, match: re.Match[str]) -> tuple[int, str]:
    """Where the name begins, and the name: what was found may be its end (`search_key`) or begin it (`token_count`)."""
    found, end = match.span("name")
    before = _BEFORE.match(message[max(found - 60, 0) : found][::-1])
    start = found - (before.end() if before else 0)
    return start, message[start:end]


def _end_of_value(message: str, lowered: str, start: int, sign: str | None) -> int:
    if sign == ">":
        end = message.find("<", start)
        return end if end >= 0 else len(message)
    opening = _OPENS.match(lowered, start)
    if opening is not None:
        end = _end_of_quoted(message, opening)
        return _end_of_bare(lowered, end) if message[end : end + 1].isalnum() else end
    if message[start : start + 1] in ("[", "(", "{"):
        return _end_of_brackets(message, start)
    return _end_of_bare(lowered, start)


def _end_of_bare(lowered: str, start: int) -> int:
    bare = _BARE.match(lowered, start)
    return bare.end() if bare else start


def _end_of_quoted(message: str, opening: re.Match[str]) -> int:
    """Behind the quote that ends what this one opens, which has as many backslashes."""
    escapes, quote = opening[1], opening[2]
    if not escapes:
        inside = _INSIDE[quote].match(message, opening.end())
        return inside.end() if inside else opening.end()
    closing, end = escapes + quote, opening.end()
    while (end := message.find(closing, end)) >= 0:
        if message[end - 1] != "\\":
            return end + len(closing)
        end += 1
    return len(message)


def _end_of_brackets(message: str, start: int) -> int:
    depth = 0
    for step in _BRACKETS.finditer(message, start, start + _LONGEST):
        if step[0] in ("[", "(", "{"):
            depth += 1
        elif step[0] in ("]", ")", "}"):
            depth -= 1
            if depth == 0:
                return step.end()
    return len(message)
