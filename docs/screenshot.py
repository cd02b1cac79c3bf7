"""Make docs/screenshot.png: start the demo, let it play its acts, log in with Chromium, look at the page.

    python docs/screenshot.py [--seconds 660] [--theme dark] [--to docs/screenshot.png]

Needs the development environment (./dev test makes it) and Chromium on PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
LOADED = "body:not(:has([data-body][aria-busy]))"


@contextmanager
def demo(seconds: float) -> Iterator[dict[str, str]]:
    """The addresses of a running demo."""
    command = [sys.executable, "-m", "watchglass", "demo", "--json", "--port", "0", "--duration", str(seconds + 120)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def take(login: str, theme: str, to: Path, wait: float) -> None:
    """Log in, wait, and save the whole page."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=flags)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
        page.goto(login)
        page.wait_for_url("**/ui/monitoring/advanced*")
        time.sleep(wait)
        page.goto(page.url.partition("?")[0] + "?range=15m&compare=none")
        page.wait_for_selector(LOADED)
        page.wait_for_timeout(1000)
        page.screenshot(path=to, full_page=True)
        browser.close()


def main() -> None:
    """Read the arguments and make the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=660, help="how long the demo plays before (default 660)")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--to", type=Path, default=Path(__file__).with_name("screenshot.png"))
    asked = parser.parse_args()
    with demo(asked.seconds) as addresses:
        take(addresses["login"], asked.theme, asked.to, asked.seconds)


if __name__ == "__main__":
    main()
