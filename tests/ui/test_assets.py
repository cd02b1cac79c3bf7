"""The assets are built from pinned packages, small, and carry the licences of what they contain."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from watchglass.ui import static

SOURCES = Path(static.__file__).parent / "assets"


def test_the_lock_names_no_address_and_the_packages_are_pinned() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    package = json.loads((SOURCES / "package.json").read_text())
    assert "resolved" not in json.dumps(lock)
    for version in (package["dependencies"] | package["devDependencies"]).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    locked = [one for path, one in lock["packages"].items() if path]
    assert locked and all(one["integrity"].startswith("sha512-") for one in locked)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("page.js", 20_000),
        ("page.css", 24_000),
        ("traces.css", 8_000),
        ("postgresql.css", 8_000),
        ("charts.js", 600_000),
    ],
)
def test_the_page_is_small_and_only_charts_load_the_library_for_charts(name: str, most: int) -> None:
    assert (static.FOLDER / static.manifest()[name]).stat().st_size < most


def test_htmx_is_served_as_its_authors_ship_it() -> None:
    shipped = SOURCES / "node_modules" / "htmx.org" / "dist" / "htmx.min.js"
    if not shipped.is_file():
        pytest.skip("the packages are not beside the sources: the assets came built")
    assert (static.FOLDER / static.manifest()["htmx.js"]).read_bytes() == shipped.read_bytes()


def test_the_licences_of_what_is_bundled_are_there() -> None:
    text = (static.FOLDER / static.manifest()["licenses.txt"]).read_text()
    for name in ("echarts", "zrender", "htmx.org", "idiomorph", "@fontsource/ibm-plex-mono"):
        assert re.search(rf"^{re.escape(name)} [\d.]+ \(.+\)$", text, re.M), name
    assert "SIL OPEN FONT LICENSE" in text.upper() and "Apache License" in text
