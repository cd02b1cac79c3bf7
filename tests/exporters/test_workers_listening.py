"""The addresses a process listens on are read from its own sockets, whoever opened them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil

from watchglass.exporters.workers.listening import addresses, supervisor

NOWHERE = Path("/nowhere")


def test_sockets_that_listen_are_found_and_others_are_not(tmp_path: Path) -> None:
    before = set(addresses(NOWHERE))
    with socket.socket() as bound, socket.socket() as listening, socket.socket(socket.AF_UNIX) as unix:
        bound.bind(("127.0.0.1", 0))
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        with socket.create_connection(listening.getsockname()), open(tmp_path / "file", "w"):
            expected = {f"127.0.0.1:{listening.getsockname()[1]}", str(tmp_path / "s")}
            assert set(addresses(NOWHERE)) - before == expected
            assert set(addresses(tmp_path)) - before == expected - {str(tmp_path / "s")}
        bound.listen()
        assert f"127.0.0.1:{bound.getsockname()[1]}" in addresses(NOWHERE)
    assert set(addresses(NOWHERE)) == before


def test_looking_closes_nothing() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        for _ in range(100):
            addresses(NOWHERE)
        with socket.create_connection(listening.getsockname()) as client:
            server, _ = listening.accept()
            with server:
                client.sendall(b"x")
                assert server.recv(1) == b"x"


def test_a_process_started_with_multiprocessing_has_a_supervisor_and_one_from_a_shell_has_none() -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(supervisor).result(30) == f"{os.getpid()} {psutil.Process().create_time():.2f}"
    assert supervisor() == ""
