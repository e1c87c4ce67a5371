"""`segshift mlflow rebuild`: what it says, and how it ends."""

from __future__ import annotations

from pathlib import Path

from orchestrator import mlflow_server
from orchestrator.store import Store
from tests.orchestrator.filled_store import fill_store, plan_tiny


def test_a_rebuild_says_what_it_made_and_then_that_all_is_there(segshift, mlflow_store: Store, tiny: Path) -> None:
    fill_store(plan_tiny(tiny, mlflow_store), mlflow_store)
    uri = mlflow_server.default_uri(mlflow_store)
    for said in ("8 runs made or changed", "all there already"):
        outcome = segshift("mlflow", "rebuild", "--store", mlflow_store.root)
        assert outcome.code == 0, outcome.err
        assert f"tiny (full): 8 records, {said}" in outcome.out
        assert f"MLflow at {uri}" in outcome.out


def test_a_rebuild_without_records_or_server_says_what_to_do(segshift, mlflow_store: Store, tiny: Path) -> None:
    outcome = segshift("mlflow", "rebuild", "--store", mlflow_store.root)
    assert outcome.code == 2
    assert "has no records of an experiment" in outcome.err
    fill_store(plan_tiny(tiny, mlflow_store), mlflow_store)
    uri = f"http://127.0.0.1:{mlflow_server.find_free_port(52500)}"
    outcome = segshift("mlflow", "rebuild", "tiny", "--store", mlflow_store.root, "--tracking-uri", uri)
    assert outcome.code == 2
    assert f"the MLflow server at {uri} does not answer ([Errno 111] Connection refused)" in outcome.err
    assert "or give another with --tracking-uri." in outcome.err
    assert "--no-mlflow" not in outcome.err
