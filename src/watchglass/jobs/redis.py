"""The service's Redis or Valkey, as it says of itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from watchglass import meters
from watchglass.errors import ExtraMissing, RedisUnavailable
from watchglass.jobs.doctor.redis import address_of, engine, read_info, reason_of
from watchglass.jobs.readings import Readings

_GAUGES = {
    meters.REDIS_MEMORY_USED: "used_memory",
    meters.REDIS_MEMORY_MAX: "maxmemory",
    meters.REDIS_CLIENTS_CONNECTED: "connected_clients",
    meters.REDIS_UPTIME: "uptime_in_seconds",
}
_TOTALS = {
    meters.REDIS_KEYS_EVICTED: "evicted_keys",
    meters.REDIS_KEYS_EXPIRED: "expired_keys",
    meters.REDIS_KEYSPACE_HITS: "keyspace_hits",
    meters.REDIS_KEYSPACE_MISSES: "keyspace_misses",
}


class Redis:
    """The service's Redis or Valkey; INFO counts neither as hit nor as miss."""

    def __init__(self, url: str | None, readings: Readings) -> None:
        self._url = url
        self._readings = readings

    async def read(self) -> dict[str, Any]:
        if self._url is None:
            return {"engine": None, "problem": "No Redis is set: REDIS_URL=redis://host:6379/0."}
        if importlib.util.find_spec("redis") is None:
            raise ExtraMissing(feature="What Redis says of itself", package="redis", extra="redis")
        info = await self._info(self._url)
        self._record(info)
        return {"engine": engine(info), "policy": info.get("maxmemory_policy")}

    async def close(self) -> None:
        """Nothing stays open between two snapshots."""

    async def _info(self, url: str) -> Mapping[str, Any]:
        from redis.exceptions import RedisError

        try:
            return await read_info(url)
        except (RedisError, OSError, ValueError) as error:
            raise RedisUnavailable(address=address_of(url), reason=reason_of(url, error)[0]) from error

    def _record(self, info: Mapping[str, Any]) -> None:
        for meter, name in _GAUGES.items():
            if name in info:
                self._readings.gauge(meter, float(info[name]))
        self._readings.counting_since(info.get("run_id"))
        for meter, name in _TOTALS.items():
            if name in info:
                self._readings.total(meter, float(info[name]))
        databases = [value for name, value in info.items() if name.startswith("db") and isinstance(value, dict)]
        self._readings.gauge(meters.REDIS_KEYS, sum(database.get("keys", 0) for database in databases))
