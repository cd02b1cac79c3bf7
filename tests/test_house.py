"""The house keeps its own rules: folders, sizes, pages, and what is shipped."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import watchglass

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "watchglass"
LINKS = ("api", "exporters", "grafana", "instrumentation", "sql", "ui")
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE = 250
LONGEST_FUNCTION = 40


def name(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("link", LINKS)
def test_the_stations_stand_at_the_top_as_links(link: str) -> None:
    path = ROOT / link
    assert path.is_symlink()
    assert path.readlink() == Path("src/watchglass") / link
    assert path.is_dir()


def test_a_module_fits_in_the_head() -> None:
    sizes = {name(module): len(module.read_text().splitlines()) for module in MODULES}
    assert {module: size for module, size in sizes.items() if size > LONGEST_MODULE} == {}


def test_a_function_does_one_thing() -> None:
    sizes = {
        f"{name(module)}:{function.lineno} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for module in MODULES
        for function in functions(module)
    }
    assert {function: size for function, size in sizes.items() if size > LONGEST_FUNCTION} == {}


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Python before 3.11.5 may search for ever there (python/cpython#106052); a single character is safe."""
    found = [name(module) for module in MODULES if re.search(r"\)(?:[*+?]|\{[\d,]+\})\+", module.read_text())]
    assert found == []


def test_only_the_settings_read_the_environment() -> None:
    readers = [name(module) for module in MODULES if re.search(r"\bos\.(environ|getenv)\b", module.read_text())]
    assert readers == ["settings.py"]


def test_the_page_of_settings_says_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("docs_make", ROOT / "docs" / "make.py")
    assert spec and spec.loader
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert (ROOT / "docs" / "settings.md").read_text() == make.settings_page(), "write it anew with: ./dev docs"
    undescribed = [name for name, field in make.Settings.model_fields.items() if not field.description]
    assert undescribed == []


def imported(module: Path) -> Iterator[str]:
    """The packages, of PyPI's, that a module imports."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_every_package_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + [name for extra in project["optional-dependencies"].values() for name in extra]
    # Starts of names, for OpenTelemetry's packages share one; click comes with uvicorn, whose options it reads.
    known = {re.match(r"[a-z0-9-]+", package)[0].replace("-", "_") for package in declared} | {"click"}  # type: ignore[index]
    found = {name.split(".")[0] for module in MODULES for name in imported(module)} - set(sys.stdlib_module_names)
    assert {name for name in found if not any(package.startswith(name) for package in known)} == set()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of the package as it is."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_nothing_but_the_package_lands_in_site_packages(built: Path) -> None:
    wheel = next(built.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"watchglass", f"watchglass-{watchglass.__version__}.dist-info"}
    shipped = {name.removeprefix("watchglass/") for name in names}
    assert {"py.typed", "ui/static/manifest.json", "sql/schema.sql"} <= shipped
    assert not [name for name in shipped if name.startswith("ui/assets/") or "node_modules" in name]
    sources = {name(module) for module in MODULES}
    assert sources <= shipped


def test_a_release_carries_the_built_assets_and_each_file_once(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = [member.split("/", 1)[1] for member in sdist.getnames()]
    assert "src/watchglass/ui/static/manifest.json" in names
    assert "src/watchglass/ui/assets/build.mjs" in names
    assert not [name for name in names if name.startswith(LINKS) or "node_modules" in name]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_pinned_packages_have_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    packages = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert packages
    assert [package.split()[0] for package in packages if "==" not in package or "--hash=sha256:" not in package] == []


def test_every_direct_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    names = {re.match(r"[a-z0-9-]+", requirement)[0] for requirement in wanted} - {"watchglass"}  # type: ignore[index]
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE))
    assert names - pinned == set()
