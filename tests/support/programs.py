"""Programs that the tests need and no Python package carries."""

from __future__ import annotations

import os
import shutil

import pytest

SERVERS = "/usr/local/sbin:/usr/sbin"
"""Where Debian puts programs such as pgbouncer, which an ordinary account has not on its PATH."""


def need(*names: str, package: str) -> str:
    """The path of the first of these programs on PATH; skips the test without one, and fails it where CI=true."""
    for name in names:
        if found := shutil.which(name) or shutil.which(name, path=SERVERS):
            return found
    reason = f"{names[0]} is not on this machine: install the package {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
