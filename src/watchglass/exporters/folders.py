"""The private folder of a host's processes: what outlives one of them, and what they share."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from watchglass.errors import FolderNotWritable
from watchglass.settings import Settings


def state_folder(settings: Settings, name: str) -> Path:
    """The folder `name` in the state folder, made where it is missing. Raises `FolderNotWritable`.

    Only the process's own user may look into it, since what is kept there is telemetry; a folder that belongs to
    somebody else, or is open to others, is refused: in a shared temporary folder anybody could have made it.
    """
    base = settings.state_folder
    for folder in (base, base / name):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = folder.lstat()
        except OSError as error:
            raise FolderNotWritable(folder=folder, reason=error.strerror or str(error)) from error
        if not stat.S_ISDIR(found.st_mode):
            raise FolderNotWritable(folder=folder, reason="it is not a folder")
        if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077):
            raise FolderNotWritable(folder=folder, reason="it belongs to another user or is open to others")
    return base / name
