"""Names whose values are secrets, for certain or if they look like one."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

REDACTED: Final = "[redacted]"

OPEN: Final = 0
"""Secrecy of a name whose values may be read."""
TELLING: Final = 1
"""Secrecy of a name whose value is a secret if it looks like one: not `key=search`, but `key=9f86d081884c7d659a2f`."""
COUNTED: Final = 2
"""Secrecy of a name whose value is a secret unless it is a number: `tokens=512`, `pass=3`."""
SECRET: Final = 3
"""Secrecy of a name whose value is a secret."""

_SECRET = re.compile(r"passw|passphrase|passcode|passkey|secret(?!ar)|authori[sz]ation|cookie|credential|csrf|xsrf")
_SECRET_PAIRS = re.compile(
    r"(?:api|private|access|signing|encryption|master|service|session|account|shared|licen[cs]e|fernet|crypto|aes|rsa"
    r"|ssh|deploy|app|auth|hmac|webhook|consumer|subscription|security)key"
    r"|sess(?:ion)?(?:id|token)|connectionstring|apitoken|inputvalue"
)
_SHORT_WORDS = "token tokens jwt bearer pwd pw pass auth sid pin otp totp mfa cvv cvc ssn iban sig signature hmac salt"
_SHORT = frozenset(_SHORT_WORDS.split())
_TELLING_WORDS = "key keys code session sess licence license verifier challenge ticket nonce assertion"
_TELLING = frozenset(_TELLING_WORDS.split())
_COUNTED = frozenset(("tokens", "pass"))
_HARMLESS_WORDS = (
    "budget cost count counts created enabled endpoint expired expires expiry failed kind length limit max method min"
    " mode name per policy prompt provider rate remaining required status total ttl type url usage used valid"
)
_HARMLESS = frozenset(_HARMLESS_WORDS.split())
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_RUN = re.compile(r"[A-Za-z0-9+/]{16,}")
_SAYS_NOTHING = frozenset(("", "none", "null", "nil", "true", "false", "yes", "no", "undefined", "***", "...", "…"))
_QUOTES = "\"'"


@lru_cache(maxsize=4096)
def secrecy(name: str) -> int:
    """How secret the value of a field, header or parameter of this name is, see the constants.

    Case, dashes, underscores and camelCase do not matter. `max_tokens` and `token_count` are no secrets.
    """
    words = [word.lower() for word in _WORDS.findall(name[:200])]
    if _SECRET.search(" ".join(words)) or _SECRET_PAIRS.search("".join(words)) or "2fa" in name.lower():
        return SECRET
    short = _SHORT.intersection(words)
    if short and not _HARMLESS.intersection(words):
        return COUNTED if short <= _COUNTED else SECRET
    return TELLING if words and words[-1] in _TELLING else OPEN


def is_secret_name(name: str) -> bool:
    """Whether the value of a field, header or parameter of this name is a secret, whatever it looks like."""
    return secrecy(name) >= COUNTED


def hides(degree: int, value: str) -> bool:
    """Whether a value, as it stands in a text, is a secret under a name of this secrecy."""
    if degree == TELLING:
        return is_opaque(value)
    if degree == OPEN or value.strip(_QUOTES).lower() in _SAYS_NOTHING:
        return False
    return degree == SECRET or not value.strip(_QUOTES).replace(".", "", 1).isdigit()


def is_opaque(value: str) -> bool:
    """Whether something in a value looks made by a machine: 16 letters and digits on end, and both among them.

    So do keys, hashes and tokens, but no UUID, no version, no time and no word.
    """
    for run in _RUN.findall(value) if len(value) >= 16 else ():
        if not run.isalpha() and not run.isdigit() and any(map(str.isdigit, run)) and any(map(str.isalpha, run)):
            return True
    return False
