"""One process of a target: keeps its sheet, answers its siblings, and adds all up when it is asked."""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from weakref import WeakSet

from watchglass import guard
from watchglass.errors import FolderNotWritable
from watchglass.exporters.workers.accounts import Accounts
from watchglass.exporters.workers.asking import Door, watch
from watchglass.exporters.workers.files import Files, usable
from watchglass.exporters.workers.gathering import gather
from watchglass.exporters.workers.membership import Membership, join, leave
from watchglass.exporters.workers.past import fold
from watchglass.exporters.workers.sheets import Sheet, across, encode
from watchglass.exporters.workers.totals import Exemplars, Key, Totals
from watchglass.records import Collect, State
from watchglass.settings import Settings

_LOOK = 0.05, 1.0
"""Seconds between two looks for the address that the process listens on: at first, and after a while."""


class Worker:
    """Of one process; in a forked child it is a fresh one, not started.

    `identity` gives the process's service.instance.id. Until the process listens on an address, and where it can share
    no folder, it answers for itself.
    """

    def __init__(
        self,
        settings: Settings,
        identity: Callable[[], str],
        collect: Collect,
        exemplars: Callable[[], Mapping[Key, Exemplars]] = dict,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._accounts = Accounts(collect, settings.max_series, exemplars)
        self._fresh()
        _all.add(self)

    def _fresh(self) -> None:
        self._id = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._files: Files | None = None
        self._member: Membership | None = None
        self._door: Door | None = None
        self._may_join = self._complained = False
        self._counted_elsewhere = False
        self._shown = Sheet(id=self._id, life=""), b""
        self._began = 0.0

    def start(self) -> None:
        """Begin to be one of the workers. Does no I/O; more than once is once."""
        if self._thread is not None or not usable():
            return
        if self._counted_elsewhere:
            self._accounts.skip()
        self._counted_elsewhere, self._may_join = False, True
        self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="watchglass-workers", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Write the last sheet and leave: what was counted stays in the sum of the others."""
        thread, wake = self._thread, self._wake
        if thread is None or wake is None:
            return
        wake[1].close()
        thread.join(timeout)
        if not thread.is_alive():
            wake[0].close()
        self._thread = self._wake = None

    def retire(self, states: Sequence[State]) -> None:
        """Keep what counted in series that have left the recorder; for its `before_retire`."""
        self._accounts.retire(states)

    def totals(self) -> tuple[str, Totals]:
        """The name of the target and its totals: all live workers' and what the dead left. Any thread.

        The name is the service.instance.id of the process with which the target came to life: it is the same whoever
        answers, and another when the counters begin anew.
        """
        own, _ = self._written()
        files, member = self._files, self._member
        if files is None or member is None:
            return self._identity(), across([own], [])
        found = gather(files, member.life, own)
        if found.unfolded:
            self._fold()
        return member.life, across(found.alive, found.dead)

    def _written(self) -> tuple[Sheet, bytes]:
        """This process's sheet of now, and as bytes; others can read it before anybody is told of it.

        Those who come while one is made for another wait for it and have one made for them all.
        """
        asked = time.monotonic()
        with self._lock:
            if self._began < asked:
                self._join()
                self._began = time.monotonic()
                self._shown = self._write(self._new_sheet())
            return self._shown

    def _new_sheet(self) -> Sheet:
        member = self._member
        return Sheet(
            id=self._id,
            life=member.life if member else "",
            pid=os.getpid(),
            written=time.time(),
            listening=member.listening if member else (),
            supervisor=member.supervisor if member else "",
            totals=self._accounts.totals(),
        )

    def _write(self, sheet: Sheet) -> tuple[Sheet, bytes]:
        if self._files is None or self._member is None:
            return sheet, b""
        encoded = encode(sheet)
        try:
            self._files.write(self._files.path(sheet.life, self._id, "sheet"), encoded)
        except OSError:  # a full disk: what is shown now may be lost with this process
            guard.caught("workers.write")
        return sheet, encoded

    def _join(self) -> None:
        """Become a member, once it is known of what. With the lock."""
        if self._member is not None or not self._may_join:
            return
        try:
            self._files = self._files or Files(self._settings)
            self._member = join(self._files, self._id, self._identity())
            if self._member is not None and self._wake is not None:
                with suppress(OSError):  # without a door the others read the sheet
                    self._door = Door(self._files.path(self._member.life, self._id, "sock"))
                self._wake[1].send(b".")
        except (OSError, FolderNotWritable) as error:
            guard.errors["workers.folder"] += 1
            if not self._complained:
                self._complained = True
                guard.logger.warning("/metrics of this worker shows this worker alone: %s", error)

    def _begin_again_if_removed(self, files: Files, member: Membership) -> None:
        """Somebody has cleared the folder: be a member of what begins there anew. With the lock."""
        if files.touch(member.life, self._id, member.lock):
            return
        past = files.read(files.path_of_past(member.life))
        if past is not None and self._id in past.folded:
            self._accounts.leave_out(self._shown[0].totals)
        files.let_go(member.lock)
        if self._door is not None:
            self._door.close()
        self._files = self._member = self._door = None
        self._id = secrets.token_hex(4)

    def _fold(self) -> None:
        if self._files is not None and self._member is not None:
            try:
                fold(self._files, self._member.life, self._settings.max_series)
            except OSError:
                guard.caught("workers.fold")

    def _run(self) -> None:
        with guard.as_own_work():
            try:
                self._serve()
            finally:
                with guard.protected("workers.leave"):
                    self._leave()

    def _serve(self) -> None:
        """Answer those who call, and write the sheet anew every flush interval, until told to end."""
        assert self._wake is not None
        wake, began, due = self._wake[0], time.monotonic(), 0.0
        with selectors.PollSelector() as waiting:
            waiting.register(wake, selectors.EVENT_READ)
            while True:
                called = [key.fileobj for key, _ in waiting.select(max(0.0, due - time.monotonic()))]
                if wake in called and not wake.recv(100):
                    return
                with guard.protected("workers"):
                    if self._door is not None and self._door in called:
                        self._door.answer(lambda: self._written()[1])
                    if (now := time.monotonic()) >= due:
                        due = now + _LOOK[now > began + 2.0]
                        self._refresh()
                        due = now + self._settings.flush_interval if self._member else due
                    watch(waiting, wake, self._door)

    def _refresh(self) -> None:
        with self._lock:
            if self._files is not None and self._member is not None:
                self._begin_again_if_removed(self._files, self._member)
            self._join()
        if self._member is None or self._files is None:
            return
        self._written()
        if self._files.processes(self._member.life)[1]:
            self._fold()

    def _leave(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None
        if self._files is None or self._member is None:
            return
        self._written()
        with self._lock:
            self._counted_elsewhere = leave(self._files, self._id, self._member)
            self._member, self._may_join = None, False
            self._id = secrets.token_hex(4)

    def after_fork(self) -> None:
        """In the child: nothing of the parent's is used or closed for it, and nothing counted twice."""
        if self._door is not None:
            self._door.abandon()
        for end in self._wake or ():
            end.close()
        self._accounts.fresh()
        self._fresh()
        self._counted_elsewhere = True


_all: WeakSet[Worker] = WeakSet()


def _after_fork() -> None:
    for worker in list(_all):
        with guard.protected("workers.fork"):
            worker.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
