"""A client that sends requests one after another, and knows what came of each."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from typing import NamedTuple, Self

import httpx

PATIENCE = 5.0
"""Seconds after which a user would have given up."""


class Key(NamedTuple):
    """What the store tells requests apart by."""

    method: str
    route: str
    status: str


ROUND = [
    Key("GET", "/items/{item}", "200"),
    Key("GET", "/items/{item}", "200"),
    Key("POST", "/orders/{order}", "201"),
    Key("GET", "/items/{item}", "200"),
    Key("GET", "/missing/{item}", "404"),
    Key("GET", "/broken/{item}", "500"),
]


class Answered(NamedTuple):
    """A request and when its answer had come, on the monotonic clock."""

    key: Key
    number: int
    at: float


class Traffic:
    """Sends to the service while the `with` block runs, and with `more`; numbers go on over services."""

    def __init__(self) -> None:
        self.answered: list[Answered] = []
        self.unanswered: list[Key] = []
        """Sent, but the connection broke: whether the service has counted it is not known."""
        self._numbers = itertools.count()
        self._url = ""
        self._ended = threading.Event()
        self._thread: threading.Thread

    def to(self, url: str) -> Self:
        """Send to this service from now on."""
        self._url = url
        return self

    def __enter__(self) -> Self:
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def counts(self) -> Counter[Key]:
        """The answered requests."""
        return Counter(answer.key for answer in self.answered)

    def until(self, moment: float) -> Counter[Key]:
        """The requests that were answered before a moment of the monotonic clock."""
        return Counter(answer.key for answer in self.answered if answer.at < moment)

    def send(self, rounds: int) -> None:
        """Send the round of all kinds so many times."""
        with self._client() as client:
            for key in ROUND * rounds:
                assert self._one(client, key), "the connection broke"

    def _client(self) -> httpx.Client:
        """A connection for each request: uvicorn closes one after an error of the application."""
        return httpx.Client(base_url=self._url, timeout=PATIENCE, limits=httpx.Limits(max_keepalive_connections=0))

    def _run(self) -> None:
        """Until told to end, or until nobody is there any more."""
        with self._client() as client:
            for key in itertools.cycle(ROUND):
                if self._ended.wait(0.004) or not self._one(client, key):
                    return

    def _one(self, client: httpx.Client, key: Key) -> bool:
        number = next(self._numbers)
        path = key.route.partition("{")[0] + str(number)
        try:
            status = str(client.request(key.method, path).status_code)
        except httpx.TransportError:
            self.unanswered.append(key)
            return False
        self.answered.append(Answered(key._replace(status=status), number, time.monotonic()))
        return True
