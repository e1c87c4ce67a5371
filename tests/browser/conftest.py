"""A headless Chromium for the tests of pages; where there is none they are skipped, and say why."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW = "run  make setup-browser"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start the system's Chromium once for a file of tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason=f"Playwright is not installed: {HOW}")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no Chromium on PATH: {HOW}")
    rootless = [] if os.getuid() else ["--no-sandbox"]  # Chromium's sandbox refuses to run as root
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=path, args=rootless)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a file in a page of its own; at the end the page must have asked for nothing else and complained of nothing."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def _open(file: Path, fragment: str = "", **options: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()

        def allow(route: Any) -> None:
            if route.request.url.startswith(f"file://{file}"):
                return route.continue_()
            complaints.append(f"asked for {route.request.url}")
            return route.abort()

        page.route(lambda url: not url.startswith("data:"), allow)
        page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"file://{file}{fragment}")
        return page

    yield _open
    for context in contexts:
        context.close()
    assert complaints == []
