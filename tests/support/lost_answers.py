"""A network between a client and PostgreSQL that loses the answer to a COMMIT, which the server has carried out."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class LostAnswers:
    """Listens on a port of its own. The next `losses` commits are carried out and their connection is cut."""

    def __init__(self, dsn: str, losses: int = 0) -> None:
        self.losses = losses
        self._parts = urlsplit(dsn)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return self._parts._replace(netloc=f"{self._parts.netloc.rpartition(':')[0]}:{port}").geturl()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._parts.hostname or "", self._parts.port or 5432))
                cut = threading.Event()
                for work, first, second in ((self._requests, client, server), (self._answers, server, client)):
                    thread = threading.Thread(target=work, args=(first, second, cut), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _requests(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.losses and b"COMMIT" in data:
                    self.losses -= 1
                    cut.set()
                server.sendall(data)
        _shut(server)

    def _answers(self, server: socket.socket, client: socket.socket, cut: threading.Event) -> None:
        with suppress(OSError):
            while (data := server.recv(65536)) and not cut.is_set():
                client.sendall(data)
        _shut(server)
        _shut(client)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
