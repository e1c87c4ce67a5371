"""MLflow made anew from a store: complete, linked, idempotent, mended where something is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from adapt.errors import PrerequisiteError
from experiments.planning import Plan
from orchestrator import mlflow_sending, mlflow_server
from orchestrator.mlflow_models import KEY_TAG
from orchestrator.mlflow_rebuild import list_sweeps
from orchestrator.record import FILE
from orchestrator.stages.counts_file import NAME as COUNTS
from orchestrator.store import Store
from tests.orchestrator.filled_store import fill_store, plan_tiny, rebuild_all


@pytest.fixture
def store(mlflow_store: Store) -> Store:
    return mlflow_store


@pytest.fixture
def plan(store: Store, tiny: Path) -> Plan:
    return plan_tiny(tiny, store)


@pytest.fixture
def client(store: Store) -> MlflowClient:
    return connect(store)


def connect(store: Store) -> MlflowClient:
    uri = mlflow_server.default_uri(store)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def list_runs(client: MlflowClient) -> dict[str, Run]:
    """Return the runs of tasks by key."""
    experiment = client.get_experiment_by_name("segshift/tiny")
    runs = client.search_runs([experiment.experiment_id])
    return {r.data.tags[KEY_TAG]: client.get_run(r.info.run_id) for r in runs if KEY_TAG in r.data.tags}


def dump(client: MlflowClient) -> Any:
    """Return all that the database tells of runs, models and aliases."""
    experiment = client.get_experiment_by_name("segshift/tiny").experiment_id
    runs = [client.get_run(run.info.run_id) for run in client.search_runs([experiment])]
    histories = {
        (run.info.run_id, name): [
            (m.step, m.timestamp, m.value) for m in client.get_metric_history(run.info.run_id, name)
        ]
        for run in runs
        for name in run.data.metrics
    }
    models = [model.to_dictionary() for model in client.search_logged_models([experiment])]
    registered = [(each.name, each.aliases) for each in client.search_registered_models()]
    return json.loads(json.dumps([[run.to_dictionary() for run in runs], models, registered], default=str)), histories


def test_every_task_has_a_run_with_its_artifacts_and_links(mirrored) -> None:
    store, _, records = mirrored
    client = connect(store)
    runs = list_runs(client)
    assert set(runs) == {record.key for record in records}
    source, daformer = (record for record in records if record.kind in ("train", "uda"))
    experiment = client.get_experiment_by_name("segshift/tiny").experiment_id
    models = {model.tags[KEY_TAG]: model for model in client.search_logged_models([experiment])}
    assert set(models) == {source.key, daformer.key}
    assert models[source.key].tags["segshift.checkpoint_sha256"] == "f" * 64
    assert models[source.key].tags["segshift.checkpoint"] == str(store.folder(source.key) / "checkpoint.pth")
    for record in records:
        run = runs[record.key]
        assert run.info.status == "FINISHED"
        assert {d.dataset.name for d in run.inputs.dataset_inputs} != set()
        names = {a.path for a in client.list_artifacts(run.info.run_id)}
        if record.kind in ("train", "uda"):
            assert [m.model_id for m in run.outputs.model_outputs] == [models[record.key].model_id]
            assert names == {FILE}, "weights are not copied"
        else:
            assert [m.model_id for m in run.inputs.model_inputs] == [models[record.inputs["checkpoint"]].model_id]
            assert {FILE, COUNTS} <= names
            assert run.data.metrics["odd_name_1"] == 1.0
            assert run.data.tags["segshift.missing/nothing"] == "not measured in this run"
            assert not {"segshift.missing/drift", "segshift.missing/forgetting"} & set(run.data.tags), "of one round"
    (corruption,) = (record for record in records if record.kind == "benchmark")
    figures = client.list_artifacts(runs[corruption.key].info.run_id, "figures")
    assert [(f.path, f.file_size > 1000) for f in figures] == [("figures/severity.png", True)]
    of_model = {(m.key, m.dataset_name) for m in models[source.key].metrics}
    assert {("mpc", "cityscapes val"), ("miou", "cityscapes val"), ("mean_miou", None)} <= of_model
    assert ("frames_per_second", "cityscapes val") not in of_model


def test_aliases_point_at_the_best_network_and_the_source(mirrored) -> None:
    store, _, records = mirrored
    client = connect(store)
    found = {
        alias: client.get_model_version_by_alias("segshift.tiny", alias).tags[KEY_TAG] for alias in ("best", "baseline")
    }
    by_stage = {record.stage: record.key for record in records}
    assert found == {"best": by_stage["daformer"], "baseline": by_stage["source_only"]}


def test_a_second_rebuild_changes_nothing(store: Store, plan: Plan, client) -> None:
    fill_store(plan, store, failed="weather")
    assert [(done.records, done.changed, done.problems) for done in rebuild_all(store)] == [(8, 8, ())]
    before = dump(client)
    assert [done.changed for done in rebuild_all(store)] == [0]
    assert dump(client) == before


def test_what_is_missing_is_mended_and_the_rest_left_alone(store: Store, plan: Plan, client) -> None:
    records = fill_store(plan, store)
    rebuild_all(store)
    before = list_runs(client)
    deleted, emptied, *untouched = (
        record.key for record in records if record.kind == "evaluate" or record.kind == "stream"
    )
    client.delete_run(before[deleted].info.run_id)
    artifacts = Path(before[emptied].info.artifact_uri.removeprefix("file://"))
    (artifacts / FILE).unlink()
    assert [done.changed for done in rebuild_all(store)] == [2]
    after = list_runs(client)
    assert after[deleted].info.run_id != before[deleted].info.run_id
    assert after[deleted].data.metrics == before[deleted].data.metrics
    assert after[emptied].info.run_id == before[emptied].info.run_id
    assert (artifacts / FILE).is_file()
    assert all(after[key].to_dictionary() == before[key].to_dictionary() for key in untouched)


def test_runs_that_lack_the_frames_of_a_stream_are_sent_again(
    store: Store, plan: Plan, client, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = fill_store(plan, store)
    with monkeypatch.context() as older:
        older.setattr(mlflow_sending, "FRAMES_FILE", COUNTS)
        rebuild_all(store)
    streams = [record.key for record in records if record.kind == "stream"]
    runs = list_runs(client)
    names = [{a.path for a in client.list_artifacts(runs[key].info.run_id)} for key in streams]
    assert not any("frames.jsonl" in each for each in names)
    assert [done.changed for done in rebuild_all(store)] == [len(streams)]
    for key in streams:
        artifacts = Path(runs[key].info.artifact_uri.removeprefix("file://"))
        assert (artifacts / "frames.jsonl").read_bytes() == (store.folder(key) / "frames.jsonl").read_bytes()


def test_runs_of_an_older_segshift_are_taken_over(store: Store, plan: Plan, client) -> None:
    records = fill_store(plan, store)
    experiment = client.create_experiment("segshift/tiny", mlflow_server.artifact_root(store))
    clean = next(record for record in records if record.kind == "evaluate")
    old = client.create_run(experiment, run_name="clean[seed=0]", tags={KEY_TAG: clean.key, "segshift.status": "done"})
    client.log_param(old.info.run_id, "dataset", "as it was")
    client.set_tag(old.info.run_id, "segshift.missing/drift", "None")
    client.set_terminated(old.info.run_id)
    rebuild_all(store)
    run = list_runs(client)[clean.key]
    assert run.info.run_id == old.info.run_id
    assert run.info.run_name == "source_only · tiny/clean · seed 0"
    assert run.data.params["dataset"] == "as it was", "a parameter that is set cannot change"
    assert "segshift.missing/drift" not in run.data.tags
    assert run.data.metrics["miou"] > 0


def test_a_store_without_plans_is_rebuilt_from_records_alone(store: Store, plan: Plan, client) -> None:
    """As stores of older versions are; inputs that another experiment made are brought along."""
    records = fill_store(plan, store)
    shutil.rmtree(store.root / "plans")
    source = next(record for record in records if record.kind == "train")
    store.remove(source.key)
    store.folder(source.key).mkdir()
    store.commit(source.model_copy(update={"experiment": "another", "files": {}}))
    sweeps = {sweep.experiment: sweep for sweep in list_sweeps(store, None)}
    assert set(sweeps) == {"tiny", "another"}
    keys = sweeps["tiny"].keys
    assert len(keys) == 8
    needed = next(record for record in records if record.kind == "evaluate")
    assert keys.index(needed.inputs["checkpoint"]) < keys.index(needed.key)
    assert source.key in keys
    assert sweeps["another"].keys == (source.key,)
    rebuild_all(store, experiment="tiny")
    assert set(list_runs(client)) == {record.key for record in records}
    assert client.get_experiment_by_name("segshift/another") is None


def test_an_experiment_that_the_store_has_not_is_refused_with_those_that_it_has(
    mirrored,
) -> None:
    store, _, _ = mirrored
    with pytest.raises(PrerequisiteError, match=r"no records of the experiment 'tinny' \(it has those of: tiny\)"):
        list_sweeps(store, "tinny")
