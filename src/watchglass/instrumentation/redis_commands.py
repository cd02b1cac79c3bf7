"""Commands of Redis: what they are called, whether they name a key, and whether their answer is a hit or a miss."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

OTHER: Final = "OTHER"

_MAX_COMMANDS = 300
_NAME = re.compile(r"[A-Z][A-Z0-9._-]{0,30}")
_CONTAINERS = frozenset(
    """
    ACL CLIENT CLUSTER COMMAND CONFIG DEBUG FUNCTION LATENCY MEMORY MODULE OBJECT PUBSUB SCRIPT SLOWLOG XGROUP XINFO
    """.split()  # noqa: SIM905 - short to read, long as a list
)
_KEYED = frozenset(
    """
    APPEND BITCOUNT BITFIELD BITFIELD_RO BITPOS BLPOP BRPOP BZPOPMAX BZPOPMIN COPY DECR DECRBY DEL DUMP EXISTS EXPIRE
    EXPIREAT EXPIRETIME GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEOSEARCH GET GETBIT GETDEL GETEX
    GETRANGE GETSET HDEL HEXISTS HEXPIRE HGET HGETALL HGETDEL HGETEX HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET
    HRANDFIELD HSCAN HSET HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT JSON.DEL JSON.GET JSON.MGET JSON.SET
    LINDEX LINSERT LLEN LMOVE LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MGET MOVE MSET MSETNX PERSIST PEXPIRE
    PEXPIREAT PEXPIRETIME PFADD PFCOUNT PFMERGE PSETEX PTTL RENAME RENAMENX RESTORE RPOP RPOPLPUSH RPUSH RPUSHX SADD
    SCARD SDIFF SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTER SINTERSTORE SISMEMBER SMEMBERS SMISMEMBER SMOVE SORT
    SORT_RO SPOP SRANDMEMBER SREM SSCAN STRLEN SUBSTR SUNION SUNIONSTORE TOUCH TTL TYPE UNLINK WATCH XACK XADD
    XAUTOCLAIM XCLAIM XDEL XLEN XPENDING XRANGE XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZLEXCOUNT ZMSCORE ZPOPMAX
    ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK
    ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE
    """.split()  # noqa: SIM905 - as above
)

Arguments = Sequence[Any]
Lookups = Iterator[tuple[Any, bool]]
"""Keys that were looked up, each with whether it was found."""


def _one(args: Arguments, answer: Any) -> Lookups:
    yield args[1], answer is not None


def _keys(args: Arguments, answer: Any) -> Lookups:
    if isinstance(answer, list | tuple):
        yield from ((key, value is not None) for key, value in zip(args[1:], answer, strict=False))


def _fields(args: Arguments, answer: Any) -> Lookups:
    if isinstance(answer, list | tuple):
        yield from ((args[1], value is not None) for value in answer)


_LOOKUPS: dict[str, Callable[[Arguments, Any], Lookups]] = {
    "GET": _one,
    "GETEX": _one,
    "GETDEL": _one,
    "HGET": _one,
    "MGET": _keys,
    "HMGET": _fields,
}


class Command(NamedTuple):
    """A command: its name, whether its first argument is a key, and the look-ups that an answer means.

    `lookups` is None for commands that read no cached value. A probe (EXISTS, TTL) is neither hit nor miss.
    """

    name: str
    keyed: bool
    lookups: Callable[[Arguments, Any], Lookups] | None
    single: bool
    """Whether there is one look-up: of the first argument, missed when the answer is None."""


class Commands:
    """The commands seen so far by the word a client sent; bounded, what is too much or not a name is "OTHER"."""

    def __init__(self) -> None:
        self._known: dict[Any, Command] = {}

    def of(self, args: Arguments) -> Command:
        """The command that these arguments are."""
        known = self._known.get(args[0])
        return known if known is not None else self._read(args)

    def holds(self, word: Any) -> bool:
        """Whether a word is remembered."""
        return word in self._known

    def _read(self, args: Arguments) -> Command:
        word = args[0].decode("utf-8", "replace") if isinstance(args[0], bytes) else str(args[0])
        words = word.upper().split(None, 2)[:2]
        if words and words[0] in _CONTAINERS:
            if len(words) == 1:  # its second word is an argument: not remembered by the first
                return _command([*words, *(str(arg).upper() for arg in args[1:2])])
        else:
            words = words[:1]
        command = _command(words)
        if " " not in word and len(self._known) < _MAX_COMMANDS:
            self._known[args[0]] = command
        return command if len(self._known) < _MAX_COMMANDS else Command(OTHER, False, None, False)


def _command(words: Sequence[str]) -> Command:
    if not words or not all(_NAME.fullmatch(word) for word in words):
        return Command(OTHER, False, None, False)
    lookups = _LOOKUPS.get(words[0])
    return Command(" ".join(words), words[0] in _KEYED, lookups, lookups is _one)
