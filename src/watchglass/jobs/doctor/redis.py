"""Redis or Valkey: which one answers, and what it does when its memory is full."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from watchglass.jobs.doctor.findings import Finding
from watchglass.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

SUBJECT = "Redis"
_SECONDS = 3.0


async def findings(settings: Settings) -> list[Finding]:
    """What there is to say of the service's Redis."""
    if settings.redis_dsn is None:
        remedy = "If the service has one, name it."
        return [Finding(SUBJECT, "missing", "No Redis is set.", remedy, "REDIS_URL=redis://host:6379/0")]
    if importlib.util.find_spec("redis") is None:
        return []  # said where the packages are listed
    from redis.exceptions import RedisError

    try:
        return list(_state(await read_info(settings.redis_dsn), address_of(settings.redis_dsn)))
    except (RedisError, OSError, ValueError) as error:
        return [_unusable(settings.redis_dsn, error)]


async def read_info(url: str) -> Mapping[str, Any]:
    """What INFO says, on a connection of its own. Raises `RedisError`, `OSError` or `ValueError`."""
    async with _client(url, _SECONDS) as client:
        info: Mapping[str, Any] = await client.info()
        return info


async def ping(url: str, seconds: float) -> None:
    """Have it answer once, within so long. Raises as `read_info` does."""
    async with _client(url, seconds) as client:
        await client.ping()


def _client(url: str, seconds: float) -> Redis:
    """One that does not try again."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    spelled = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
    once = Retry(NoBackoff(), 0)
    return Redis.from_url(spelled, socket_timeout=seconds, socket_connect_timeout=seconds, retry=once)


def _state(info: Mapping[str, Any], address: str) -> Iterator[Finding]:
    yield Finding(SUBJECT, "ok", f"{engine(info)} at {address}.")
    if not info.get("maxmemory"):
        yield Finding(
            "maxmemory",
            "missing",
            "Redis has no maxmemory: its memory grows until the machine has no more.",
            "Set one, and what to do when it is reached.",
            "CONFIG SET maxmemory 512mb maxmemory-policy allkeys-lru",
        )
    elif info.get("maxmemory_policy") == "noeviction":
        yield Finding(
            "maxmemory-policy",
            "warning",
            f"Redis refuses writes once it holds {info.get('maxmemory_human', info['maxmemory'])}: noeviction.",
            "For a cache, let it evict what is used least.",
            "CONFIG SET maxmemory-policy allkeys-lru",
        )
    else:
        used, most = info.get("used_memory_human"), info.get("maxmemory_human")
        yield Finding("maxmemory", "ok", f"Redis holds {used} of {most}, and evicts by {info['maxmemory_policy']}.")


def engine(info: Mapping[str, Any]) -> str:
    """The true engine and its version: Valkey says redis_version 7.2.4 for the sake of old clients."""
    if info.get("server_name") == "valkey" or "valkey_version" in info:
        return f"Valkey {info.get('valkey_version', '')}".strip()
    return f"Redis {info.get('redis_version', '')}".strip()


def _unusable(url: str, error: RedisError | OSError | ValueError) -> Finding:
    reason, remedy = reason_of(url, error)
    return Finding(SUBJECT, "error", f"Redis at {address_of(url)} cannot be used: {reason}.", remedy)


def reason_of(url: str, error: Exception) -> tuple[str, str]:
    """Why, and what to do. Redis' own words are looked at only: they may repeat what was sent."""
    from redis.exceptions import AuthenticationError, NoPermissionError

    said = f"{error} {error.__context__ or ''}"  # older clients give a number alone
    if isinstance(error, NoPermissionError) or "NOPERM" in said:
        return "its user may not ask for INFO", "Allow it: ACL SETUSER name +info"
    if isinstance(error, AuthenticationError) or "WRONGPASS" in said or "NOAUTH" in said:
        return "the user or password is wrong, or missing", "Correct user and password in REDIS_URL."
    if "Name or service" in said or "nodename" in said or "Temporary failure in name" in said:
        return f"the host name {urlsplit(url).hostname} is unknown", "Correct the host in REDIS_URL."
    if "refused" in said or "111" in said:
        return "nothing listens there", "Start Redis there, or correct host and port in REDIS_URL."
    if "max number of clients" in said:
        return "all its connections are taken", "Look who does not close them (CLIENT LIST), or raise maxclients."
    if "LOADING" in said:
        return "it is loading its data", "Wait until it has."
    if isinstance(error, ValueError):
        return "its URL is not understood", "Set REDIS_URL to redis://user:password@host:port/0."
    return f"no answer ({type(error).__name__})", "Look whether Redis is well there, or correct REDIS_URL."


def address_of(url: str) -> str:
    """host:port, without user and password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path
