"""Words that have digits or signs in them as secrets have, and are none: of protocols, versions and methods.

`POST /oauth/token HTTP/1.1` says no token, nor does `password sha256`.
"""

from __future__ import annotations

import re
from typing import Final

_VERSIONED = r"[a-z][a-z_-]{0,20}/[0-9]{1,3}(?:\.[0-9]{1,5}){1,3}|https?/[0-9]"
_VERSION = r"v?[0-9]{1,4}(?:\.[0-9]{1,4}){1,3}(?:-?(?:a|b|rc|dev|alpha|beta|post)\.?[0-9]{0,3})?"
_MEASURE = (
    r"[0-9]{1,6}(?:\.[0-9]{1,6})?"
    r"(?:ns|us|\u00b5s|ms|s|m|h|d|min|secs?|seconds?|minutes?|hours?|days?|[kmg]i?b|bytes?|chars?|characters?|bits?)"
)
_NAMES = (
    r"oauth[12]a?|oidc2?|openid2|saml2|(?:hmac-?)?sha-?(?:1|2|3|224|256|384|512)|[ehpr]s(?:256|384|512)|md5|ed25519|x25519"
    r"|x509|argon2(?:id?|d)?|pbkdf2|aes-?(?:128|192|256)(?:-(?:gcm|cbc|ctr))?|rsa-?(?:2048|4096)|base(?:16|32|58|64|85)"
    r"|utf-?(?:8|16|32)|(?:tls|ssl)v?[0-9](?:\.[0-9])?|ipv[46]|http[123]|rfc-?[0-9]{3,5}|k8s|s3|python[23](?:\.[0-9]{1,2})?"
)
_ORDINARY: Final = re.compile(
    rf"(?:{_VERSIONED}|{_VERSION}|{_MEASURE}|(?:[a-z]{{1,20}}[-/_])?(?:{_NAMES})(?:[-/_][a-z]{{1,20}}){{0,3}})"
)
_LONGEST: Final = 100


def is_ordinary(word: str) -> bool:
    """Whether a word, in small letters, is one of them; what is not known for certain is not."""
    return len(word) <= _LONGEST and _ORDINARY.fullmatch(word.rstrip(".!")) is not None
