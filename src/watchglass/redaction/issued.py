"""Secrets that are known by their shape alone: what authenticates, wherever it stands in a text."""

from __future__ import annotations

import re

from watchglass.redaction.names import REDACTED

_JWT = re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{5,}+(?:\.[\w-]*+){1,4}")
_USERINFO = re.compile(
    r"://(?:[^\s/?#@:'\"<>]{0,200}+:(?!\d{1,5}/)(?:[^\s'\"<>@]|['\"](?=\w)){0,300}(?:@[^\s'\"<>@/?#]{0,100}+(?=@))?"
    r"|[^\s/?#@'\"<>]{1,300}+)@"
)
_ISSUED = re.compile(
    r"(?<![A-Za-z0-9])(?:A[KS]IA[0-9A-Z]{16}|gh[opusr]_\w{20,}+|github_pat_\w{20,}+|gl(?:pat|cbt|ptt|rt)-[\w-]{16,}+"
    r"|xox[a-z]-[\w-]{10,}+|xapp-[\w-]{10,}+|AIza[\w-]{30,}+|GOCSPX-[\w-]{16,}+|ya29\.[\w-]{16,}+|sk-[\w-]{16,}+"
    r"|[rsp]k_(?:live|test)_\w{10,}+|whsec_[\w+/=]{10,}+|SG\.[\w-]{16,}+\.[\w-]{16,}+|npm_\w{30,}+|pypi-[\w-]{16,}+"
    r"|hf_\w{20,}+|do[opr]_v1_\w{20,}+|hv[bsr]\.[\w-]{20,}+|shp(?:at|ca|pa|ss)_\w{16,}+|SK[0-9a-f]{32}|dckr_pat_[\w-]{16,}+"
    r"|[0-9]{8,10}:AA[\w-]{32,}+)"
    r"|(?<=hooks\.slack\.com/services/)[\w/]{10,}+|(?<=/api/webhooks/)[0-9]{10,}+/[\w-]{10,}+"
)
_ISSUERS = (
    ("-", ("sk-", "gl", "xox", "xapp", "GOCSPX", "pypi-", "_pat_")),
    ("_", ("k_live", "k_test", "gh", "npm_", "hf_", "_v1_", "shp", "_pat_", "whsec")),
    (".", ("SG.", "ya29", "hvs.", "hvb.", "hvr.")),
    ("/", ("/services/", "/webhooks/")),
    ("A", ("AKIA", "ASIA", "AIza", ":AA")),
    ("S", ("SK",)),
)
"""What a shape begins with, by a character that is in all of them: most texts lack most of these."""
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,60}-----|\Z)"
)
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----")
_BACKWARDS = re.compile(r"[\w+/=\s\\-]*+")
_SHORTEST = 15


def issued(message: str) -> str:
    """`message` without tokens, keys and credentials in URLs that are known by their shape."""
    if "://" in message and "@" in message:
        message = _USERINFO.sub(f"://{REDACTED}@", message)
    if len(message) < _SHORTEST:
        return message
    if "eyJ" in message:
        message = _JWT.sub(REDACTED, message)
    if "PRIVATE KEY" in message:
        message = _without_private_keys(message)
    return _ISSUED.sub(REDACTED, message) if _may_be_issued(message) else message


def _may_be_issued(message: str) -> bool:
    for sign, issuers in _ISSUERS:
        if sign in message:
            for issuer in issuers:
                if issuer in message:
                    return True
    return False


def _without_private_keys(message: str) -> str:
    """Without what stands between BEGIN and END; or before END, where the beginning was cut off."""
    message = _PRIVATE_KEY.sub(REDACTED, message)
    while end := _END.search(message):
        before = message[: end.start()]
        rest = _BACKWARDS.match(before[::-1])
        message = before[: len(before) - (rest.end() if rest else 0)] + REDACTED + message[end.end() :]
    return message
