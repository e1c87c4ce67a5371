"""Leaderboards from MLflow: equal to those from the store, without its data; and what is said where something is missing."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from adapt.errors import PrerequisiteError
from orchestrator import mlflow_server
from orchestrator.leaderboard.board import build_board
from orchestrator.leaderboard.detail import build_detail
from orchestrator.leaderboard.source import StoreSource
from orchestrator.mlflow_models import KEY_TAG
from orchestrator.mlflow_source import MlflowSource, expand_from_mlflow
from orchestrator.record import FILE
from orchestrator.stages.counts_file import NAME as COUNTS
from orchestrator.store import Store
from tests.orchestrator.filled_store import fill_store, plan_tiny, rebuild_all

DEADLINE_S = 240  # for a machine that is busy with other work


@pytest.mark.parametrize("failed", [None, "weather"])
def test_a_board_from_mlflow_equals_that_from_the_store(
    failed: str | None, request: pytest.FixtureRequest, tiny: Path, tmp_path: Path
) -> None:
    if failed is None:
        store, plan, _ = request.getfixturevalue("mirrored")
    else:
        store = request.getfixturevalue("mlflow_store")
        plan = plan_tiny(tiny, store)
        fill_store(plan, store, failed)
        rebuild_all(store)
    uri, keys = mlflow_server.default_uri(store), set(plan.graph.tasks)
    expected = build_board(plan.graph, StoreSource(store, keys), miniature=True).to_json()
    planned = expand_from_mlflow(uri, str(tiny), tmp_path / "cache")
    assert planned.is_miniature
    source = MlflowSource(uri, planned.graph.name, set(planned.graph.tasks), tmp_path / "cache")
    board = build_board(planned.graph, source, planned.is_miniature).to_json()
    assert board == expected
    rows = [row for table in board["tables"] for row in table["rows"]]
    ranked = [row for row in rows if row["rank"] is not None]
    streams = [row for row in ranked if row["adaptation"] is not None]
    assert bool(streams) == (failed is None)
    assert all(any(score["low"] is not None for score in row["scores"].values()) for row in ranked), "no interval"
    assert all(len(row["detail"]["pictures"]) == 1 for row in ranked), "no pictures"
    assert sum(row["rank"] is None for row in rows) == (3 if failed else 0)


def test_files_are_brought_once_and_anew_where_the_copy_is_damaged(mirrored, tmp_path: Path) -> None:
    store, _, records = mirrored
    clean = next(record for record in records if record.kind == "evaluate")
    source = MlflowSource(mlflow_server.default_uri(store), "tiny", {clean.key}, tmp_path / "cache")
    file = source.find_file(clean.key, COUNTS)
    assert file is not None
    content = file.read_bytes()
    file.write_bytes(b"damaged")
    again = source.find_file(clean.key, COUNTS)
    assert again is not None
    assert again.read_bytes() == content == (store.folder(clean.key) / COUNTS).read_bytes()
    assert source.find_file(clean.key, "nothing.npz") is None
    assert source.find_file("0" * 32, COUNTS) is None


def test_pictures_come_back_from_their_folder(mirrored, tmp_path: Path) -> None:
    store, _, records = mirrored
    clean = next(record for record in records if record.kind == "evaluate")
    source = MlflowSource(mlflow_server.default_uri(store), "tiny", {clean.key}, tmp_path / "cache")
    names = [name for name in clean.files if name.startswith("frames/")]
    assert len(names) == 5
    for name in names:
        file = source.find_file(clean.key, name)
        assert file is not None, name
        assert file.read_bytes() == (store.folder(clean.key) / name).read_bytes()
    assert "record.json" in {path.name for path in (tmp_path / "cache" / clean.key).iterdir()}
    shown, brought = (build_detail([clean], each) for each in (StoreSource(store, {clean.key}), source))
    assert shown is not None
    assert brought is not None
    assert len(shown.pictures) == 1
    assert brought.pictures == shown.pictures


def test_a_record_that_was_edited_on_the_server_is_named_and_not_used(
    mlflow_store: Store, tiny: Path, tmp_path: Path
) -> None:
    store = mlflow_store
    records = fill_store(plan_tiny(tiny, store), store)
    rebuild_all(store)
    clean, lost = (record for record in records if record.kind == "evaluate")
    client = MlflowClient(tracking_uri=mlflow_server.default_uri(store))
    runs = client.search_runs([client.get_experiment_by_name("segshift/tiny").experiment_id])
    files = {run.data.tags.get(KEY_TAG): Path(run.info.artifact_uri.removeprefix("file://")) / FILE for run in runs}
    files[clean.key].write_text(files[clean.key].read_text().replace('"seconds": 1.5', '"seconds": 0.1'))
    files[lost.key].unlink()
    source = MlflowSource(mlflow_server.default_uri(store), "tiny", {clean.key, lost.key}, tmp_path / "cache")
    assert source.find_record(clean.key) is None
    assert "changed after it was written" in str(source.explain_missing(clean.key))
    assert source.find_record(lost.key) is None
    assert "has no record.json. Mend it by `segshift mlflow rebuild`" in str(source.explain_missing(lost.key))


def test_a_sweep_that_mlflow_has_not_is_refused_with_those_that_it_has(mirrored, tiny: Path, tmp_path: Path) -> None:
    uri = mlflow_server.default_uri(mirrored[0])
    with pytest.raises(PrerequisiteError, match=r"no sweep of tiny .*\(it has: tiny/full\)"):
        expand_from_mlflow(uri, str(tiny), tmp_path, overrides=["matrix.seed=[5]"])
    with pytest.raises(PrerequisiteError, match=r"has no experiment segshift/gta2cityscapes \(it has: segshift/tiny\)"):
        expand_from_mlflow(uri, "gta2cityscapes", tmp_path)


def test_a_sweep_without_a_plan_says_how_to_get_one(mlflow_store: Store, tiny: Path, tmp_path: Path) -> None:
    fill_store(plan_tiny(tiny, mlflow_store), mlflow_store, failed="clean")
    shutil.rmtree(mlflow_store.root / "plans")
    rebuild_all(mlflow_store)
    with pytest.raises(PrerequisiteError, match=r"has no plan\.json: .*Sweep the experiment again"):
        expand_from_mlflow(mlflow_server.default_uri(mlflow_store), str(tiny), tmp_path)


# Servers


def test_a_server_that_does_not_answer_is_told_in_few_words(
    mirrored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://127.0.0.1:{mlflow_server.find_free_port(52400)}"
    silent = rf"{uri} does not answer \(\[Errno 111\] Connection refused\)\. Start it"
    with pytest.raises(PrerequisiteError, match=silent + r".* without --mlflow\.$"):
        MlflowSource(uri, "tiny", set(), tmp_path)
    with pytest.raises(PrerequisiteError, match=silent + r".* give another with --tracking-uri\.$"):
        rebuild_all(mirrored[0], uri)


class _Refusing(BaseHTTPRequestHandler):
    status = 403

    def answer(self) -> None:
        self.send_response(200 if self.path == "/health" else self.status)
        self.end_headers()
        self.wfile.write(b"Permission denied")

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture(params=[401, 403])
def refusing(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The address of a server that lets nobody in, and what it says."""
    handler = type("Handler", (_Refusing,), {"status": request.param})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", request.param
    server.shutdown()
    server.server_close()


def test_a_server_that_lets_nobody_in_is_named_with_status_and_remedy(
    refusing: tuple[str, int], mirrored, tmp_path: Path
) -> None:
    uri, status = refusing
    said = rf"{uri} refuses access \(HTTP {status}\).*MLFLOW_TRACKING_USERNAME.*MLFLOW_TRACKING_TOKEN"
    with pytest.raises(PrerequisiteError, match=said):
        rebuild_all(mirrored[0], uri)
    with pytest.raises(PrerequisiteError, match=said):
        MlflowSource(uri, "tiny", set(), tmp_path)


@pytest.fixture
def serve(mlflow_store: Store) -> Iterator[Callable[[], str]]:
    """Start a real server on the store's database, and return its address."""
    servers = []

    def start() -> str:
        server = mlflow_server.background_server(mlflow_store)
        address = server.__enter__().partition("/#")[0]
        servers.append(server)
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                return address
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline, (mlflow_store.root / "mlflow" / "server.log").read_text()
                time.sleep(0.2)

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_server_is_filled_and_gives_the_same_board(
    serve, mlflow_store: Store, tiny: Path, tmp_path: Path
) -> None:
    store, plan = mlflow_store, plan_tiny(tiny, mlflow_store)
    records = fill_store(plan, store)
    uri = serve()
    (done,) = rebuild_all(store, uri)
    assert (done.changed, done.problems) == (8, ())
    assert [again.changed for again in rebuild_all(store, uri)] == [0]
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    best = next(record.key for record in records if record.stage == "daformer")
    assert client.get_model_version_by_alias("segshift.tiny", "best").tags[KEY_TAG] == best
    planned = expand_from_mlflow(uri, str(tiny), tmp_path / "cache")
    source = MlflowSource(uri, "tiny", set(planned.graph.tasks), tmp_path / "cache")
    expected = build_board(plan.graph, StoreSource(store, set(plan.graph.tasks)), miniature=True)
    assert build_board(planned.graph, source, planned.is_miniature).to_json() == expected.to_json()
