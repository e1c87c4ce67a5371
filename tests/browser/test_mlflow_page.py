"""The page of a real MLflow server, in a real browser: runs that the mirror wrote are found by name and compared."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from mlflow import MlflowClient

from orchestrator import mlflow_server
from orchestrator.store import Store
from tests.orchestrator.filled_store import fill_store, plan_tiny, rebuild_all

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

TINY = Path(__file__).parent.parent / "orchestrator" / "tiny.yaml"
CHROMIUM = Path("/usr/bin/chromium")
DEADLINE_S = 240  # for a machine that is busy with other work
NAMES = ("source_only · tiny/clean · seed 0", "daformer · tiny/clean · seed 0")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose runs the mirror made from a store."""
    store = Store(tmp_path_factory.mktemp("page") / "store")
    store.check_writable()
    mlflow_server.ready_tracking(mlflow_server.default_uri(store), store)
    fill_store(plan_tiny(TINY, store), store)
    rebuild_all(store)
    with mlflow_server.background_server(store) as page:
        address = page.partition("/#")[0]
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline, (store.root / "mlflow" / "server.log").read_text()
                time.sleep(0.2)
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (make setup-browser)")
    with api.sync_playwright() as playwright:
        path = str(CHROMIUM) if CHROMIUM.is_file() else None
        try:
            started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        except api.Error as error:
            pytest.skip(f"no Chromium starts here (make setup-browser): {str(error).splitlines()[0]}")
        yield started
        started.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1600, "height": 1400})
    opened.set_default_timeout(1000 * DEADLINE_S)
    yield opened
    opened.close()


@pytest.fixture
def client(address: str) -> MlflowClient:
    return MlflowClient(tracking_uri=address, registry_uri=address)


def find_runs(client: MlflowClient) -> tuple[str, list[str]]:
    """Return the id of the experiment, and those of the runs with `NAMES`."""
    experiment = client.get_experiment_by_name("segshift/tiny").experiment_id
    runs = {run.info.run_name: run.info.run_id for run in client.search_runs([experiment])}
    return experiment, [runs[name] for name in NAMES]


def test_the_runs_of_an_experiment_are_found_by_name_below_their_sweep(address: str, page: Any, client) -> None:
    experiment, _ = find_runs(client)
    page.goto(f"{address}/#/experiments/{experiment}/runs")
    page.get_by_text("tiny (full)").first.wait_for()
    page.locator("[data-testid='expander-button'], .ag-row button, [aria-label*='xpand']").first.click()
    for name in NAMES:
        page.get_by_text(name).first.wait_for()


def test_two_runs_are_compared_side_by_side(address: str, page: Any, client) -> None:
    experiment, runs = find_runs(client)
    page.goto(f"{address}/#/compare-runs?runs={quote(json.dumps(runs))}&experiments={quote(json.dumps([experiment]))}")
    page.get_by_text("Comparing 2 Runs").first.wait_for()
    for name in NAMES:
        page.get_by_text(name).first.wait_for()
    text = page.locator("body").inner_text()
    scores = [client.get_run(run).data.metrics["miou"] for run in runs]
    assert "miou" in text
    assert all(f"{score:.3f}" in text or f"{score:.2f}" in text for score in scores)
    assert all(word in text for word in ("method", "source_only", "daformer"))


def test_the_registered_networks_show_their_aliases(address: str, page: Any) -> None:
    page.goto(f"{address}/#/models/segshift.tiny")
    for alias in ("@ best", "@ baseline"):
        page.get_by_text(alias).first.wait_for()
