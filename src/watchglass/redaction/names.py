"""Names whose values are secrets."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

REDACTED: Final = "[redacted]"

_SECRET = re.compile(r"passw|passphrase|passcode|secret(?!ar)|authori[sz]ation|cookie|credential|csrf|xsrf")
_SECRET_PAIRS = re.compile(
    r"(?:api|private|access|signing|encryption|master|service|session)key|session(?:id|token)|connectionstring|apitoken"
)
_SHORT_WORDS = "token tokens jwt bearer pwd pw auth sid pin otp totp cvv cvc ssn iban sig signature"
_SHORT = frozenset(_SHORT_WORDS.split())
_HARMLESS_WORDS = (
    "budget cost count counts created enabled endpoint expired expires expiry failed kind length limit max method min"
    " mode name per policy prompt provider rate remaining required status total ttl type url usage used valid"
)
_HARMLESS = frozenset(_HARMLESS_WORDS.split())
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether the value of a field, header or parameter of this name is a secret.

    Case, dashes, underscores and camelCase do not matter. `max_tokens` and `token_count` are no secrets.
    """
    words = [word.lower() for word in _WORDS.findall(name[:200])]
    if _SECRET.search(" ".join(words)) or _SECRET_PAIRS.search("".join(words)):
        return True
    return bool(_SHORT.intersection(words)) and not _HARMLESS.intersection(words)
