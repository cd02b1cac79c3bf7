"""A server that faults happen to, a database of it for each test, and the service that keeps its telemetry there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.databases import fresh_database
from support.service import Service
from support.traffic import Traffic
from support.unruly import Unruly, unruly_postgresql


@pytest.fixture(scope="session")
def unruly_server() -> Iterator[Unruly]:
    """With few connections, so that they can be taken."""
    with unruly_postgresql(max_connections="24") as server:
        yield server


@pytest.fixture
def server(unruly_server: Unruly) -> Iterator[Unruly]:
    """The server, which is as it should be before and after the test."""
    unruly_server.recover()
    yield unruly_server
    unruly_server.recover()


@pytest.fixture
def url(server: Unruly) -> Iterator[str]:
    """A fresh database in which nothing of Watchglass is."""
    with fresh_database(server) as url:
        try:
            yield url
        finally:
            server.recover()


@pytest.fixture
def service(url: str, tmp_path: Path) -> Iterator[Service]:
    """The service, serving."""
    with Service(url, tmp_path) as service:
        yield service


@pytest.fixture
def traffic(service: Service) -> Traffic:
    return Traffic().to(service.url)
