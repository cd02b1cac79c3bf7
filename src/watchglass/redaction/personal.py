"""Addresses of people and of their machines, replaced by marks that tell them apart."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from functools import lru_cache

_EMAIL = re.compile(
    r"(?:(?<![\w.+%-])[\w.+%-]{1,64}+|\"[^\"\s@]{1,40}(?: [^\"\s@]{1,40}){0,3}\")@"
    r"(?:(?:[\w-]{1,63}+\.)+[^\W\d_][\w-]*+|\[[0-9a-fA-Fv:.IP]{2,45}\])"
)
_IPV4 = re.compile(r"[0-9](?<![^\W_][0-9])(?<!\.[0-9])[0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![^\W_]|\.\w)")
_IPV6 = re.compile(
    r"[0-9a-fA-F:](?<![\w.][0-9a-fA-F:])(?:(?<=:)|[0-9a-fA-F]{0,3}:)(?:[0-9a-fA-F]{0,5}:){1,8}"
    r"(?:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-fA-F]{1,5})?(?!\w|\.\w)"
)
_VERSIONS = ("version", "release", "build", "ver", "v")
_PRODUCT = re.compile(r"(?:\A|[^/\w.-])[A-Za-z][\w-]*/\Z")
_TELLS = re.compile(r"[0-9a-fA-F]{3}|\.")

_key: bytes | None = None


def mark_with(key: bytes | None) -> None:
    """Set the key of this process, for marks that are made without one; None: such marks are the same for all."""
    global _key
    _key = key
    for remembered in (_mark, _of_ipv4, _of_ipv6):
        remembered.cache_clear()


def process_key() -> bytes | None:
    """The key of this process."""
    return _key


def emails(message: str, key: bytes | None) -> str:
    """`message` with a mark in the place of each e-mail address."""
    return _EMAIL.sub(lambda match: mark("email", match[0].lower(), key), message)


def addresses(message: str, key: bytes | None) -> str:
    """`message` with a mark in the place of each IP address; those of this very machine say nothing and stay."""
    if message.count(":") >= 2:
        message = _IPV6.sub(lambda match: _ipv6(match[0], key), message)
    if message.count(".") >= 3:
        message = _IPV4.sub(lambda match: _ipv4(match, key), message)
    return message


def mark(kind: str, value: str, key: bytes | None) -> str:
    """`[ip:9f2c...]`: equal values have equal marks; without the key no mark leads back to its value."""
    return _mark(kind, value, key or _key)


@lru_cache(maxsize=4096)
def _mark(kind: str, value: str, key: bytes | None) -> str:
    if key is None:
        return f"[{kind}]"
    digest = hashlib.blake2b(value.encode("utf-8", "replace"), key=key[:64], digest_size=6)
    return f"[{kind}:{digest.hexdigest()}]"


def _ipv4(match: re.Match[str], key: bytes | None) -> str:
    """The mark of four numbers, unless they are a version: `Chrome/120.0.0.0`, `version 1.2.3.4`."""
    start = match.start()
    if start > 1:
        before = match.string[max(start - 60, 0) : start]
        if before[-1] == "/" and _PRODUCT.search(before):
            return match[0]
        if before[-1] in " =:" and before.rstrip(" =:").lower().endswith(_VERSIONS):
            return match[0]
    return _of_ipv4(match[0], key or _key)


@lru_cache(maxsize=4096)
def _of_ipv4(found: str, key: bytes | None) -> str:
    try:
        address = ipaddress.IPv4Address(".".join(str(int(part)) for part in found.split(".")))
    except ValueError:
        return found
    return found if _is_own(address) else mark("ip", str(address), key)


def _ipv6(found: str, key: bytes | None) -> str:
    if not _TELLS.search(found) or not any(map(str.isdigit, found)):
        return found  # 12:34:56; a::b, a name of C++
    return _of_ipv6(found, key or _key)


@lru_cache(maxsize=4096)
def _of_ipv6(found: str, key: bytes | None) -> str:
    """The mark of an address, also where a port follows it (uvicorn's lines) or a colon."""
    for shown in (found, found.rstrip(":"), found.lstrip(":"), found.rpartition(":")[0]):
        try:
            address = ipaddress.IPv6Address(shown)
        except ValueError:
            continue
        plain = address.ipv4_mapped or address
        return found if _is_own(plain) else found.replace(shown, mark("ip", str(plain), key))
    return found


def _is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_loopback or address.is_unspecified
