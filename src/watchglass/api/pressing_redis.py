"""Whether the service's Redis answers now. What it refuses is an answer: only who says nothing is in the way."""

from __future__ import annotations

import importlib.util
from typing import Final

from watchglass.api.answers import Pressing
from watchglass.api.context import Context
from watchglass.guard import as_own_work
from watchglass.jobs.doctor import redis

PATIENCE: Final = 1.0
"""Seconds that it is waited for, to connect and to answer."""


async def of_redis(context: Context) -> list[Pressing]:
    """One while it does not answer; nothing where none is set, or where this process is none of the service's."""
    url = context.settings.redis_dsn
    if url is None or context.aside or importlib.util.find_spec("redis") is None:
        return []
    from redis.exceptions import AuthenticationError, RedisError
    from redis.exceptions import ConnectionError as NoConnection
    from redis.exceptions import TimeoutError as NoAnswer

    try:
        with as_own_work():
            await redis.ping(url, PATIENCE)
    except AuthenticationError:  # of ours, which setup tells of; the service may have another user
        return []
    except (NoConnection, NoAnswer, OSError) as error:
        reason, _ = redis.reason_of(url, error)
        return [Pressing(what="redis", sentence=f"Redis at {redis.address_of(url)} cannot be used: {reason}")]
    except (RedisError, ValueError):
        return []
    return []
