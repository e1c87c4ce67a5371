"""A store with a record for every task of the tiny experiment, made by hand: what a sweep of it leaves, without a sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments.planning import Plan, plan_experiment
from experiments.schema import BenchmarkStage, StreamStage
from experiments.task import Task
from experiments.workspace import load_workspace
from orchestrator import mlflow_server
from orchestrator.mlflow_rebuild import Rebuilt, list_sweeps, rebuild
from orchestrator.plan_note import write_plan
from orchestrator.protocol import describe_protocol
from orchestrator.record import Cell, Failure, Network, Record
from orchestrator.stages.counts_file import save_counts
from orchestrator.stages.frame_pictures import FramePictures
from orchestrator.stages.stage import FRAMES_FILE
from orchestrator.store import Store

CLASSES = ("road", "sky")
FRAMES = ("one", "two", "three")


def rebuild_all(store: Store, uri: str | None = None, experiment: str | None = None) -> list[Rebuilt]:
    """Rebuild the runs of a store, in its own database or elsewhere."""
    uri = uri or mlflow_server.default_uri(store)
    root = mlflow_server.artifact_root(store)
    return [rebuild(store, sweep, uri, root, lambda done, total: None) for sweep in list_sweeps(store, experiment)]


def plan_tiny(tiny: Path, store: Store) -> Plan:
    """Plan the tiny experiment, whose miniature need not exist."""
    return plan_experiment(str(tiny), load_workspace(store=store.root))


def fill_store(plan: Plan, store: Store, failed: str | None = None) -> list[Record]:
    """Commit a record for every task, with counts of every image; tasks of the stage `failed` fail.

    The network of `daformer` is the better one, whatever is scored.
    """
    write_plan(plan, store)
    records = []
    for number, task in enumerate(plan.graph.tasks.values()):
        folder = store.folder(task.key)
        folder.mkdir(parents=True)
        fields = describe_task(task, plan)
        if task.stage == failed:
            failure = Failure(kind="ValueError", message="no luck @ step=3", traceback="...")
            records.append(Record(status="failed", failure=failure, **fields))
            store.write_failure(records[-1])
            continue
        cells, counts = [], {}
        for index, (name, axes) in enumerate(list_cells(task)):
            right = 50 + 10 * (plan.graph.tasks[task.inputs["checkpoint"]].stage == "daformer") - index - number
            images = np.array([[[right + i, 20], [10, right]] for i in range(len(FRAMES))], np.int64)
            counts[name] = images
            confusion = tuple(map(tuple, images.sum(axis=0).tolist()))
            cells.append(Cell(name=name, axes=axes, frames=len(FRAMES), confusion=confusion))
        if counts:
            save_counts(folder, FRAMES, counts)
            _draw_frame(folder)
            if task.kind == "stream":
                _write_frames(folder, cells)
            fields["metrics"] = {"frames_per_second": 10.0 + number, "odd@name=1": 1.0, "nothing": None}
        else:
            (folder / "checkpoint.pth").write_bytes(task.key.encode())
        files = store.list_files(task.key)
        records.append(Record(status="done", cells=tuple(cells), classes=CLASSES, files=files, **fields))
        store.commit(records[-1])
    return records


def _draw_frame(folder: Path) -> None:
    pictures = FramePictures(folder, [(128, 64, 128), (70, 130, 180)])
    label = np.zeros((4, 8), np.uint8)
    pictures.add(FRAMES[0], "clean", np.zeros((4, 8, 3), np.uint8), label, label)
    pictures.close()


def _write_frames(folder: Path, cells: list[Cell]) -> None:
    steps = [{**cell.axes, "dataset": "acdc", "frame": frame} for cell in cells for frame in FRAMES]
    (folder / FRAMES_FILE).write_text("".join(json.dumps(step) + "\n" for step in steps))


def describe_task(task: Task, plan: Plan) -> dict[str, Any]:
    """Return the fields of a record that a stage would have filled in."""
    trained_by = task.inputs.get("checkpoint", task.key)
    return {
        "key": task.key,
        "stage": task.stage,
        "label": task.label,
        "kind": task.kind,
        "code_version": 1,
        "point": dict(task.point),
        "settings": task.settings.model_dump(mode="json"),
        "chosen": {},
        "inputs": dict(task.inputs),
        "started_at": "2026-01-01T00:00:00+00:00",
        "seconds": 1.5,
        "experiment": plan.graph.name,
        "profile": plan.graph.profile,
        "network": Network(
            architecture="Toy", parameters=7, checkpoint_sha256="f" * 64, trained_by=trained_by, weights=None
        ),
        "datasets": {
            name: {"settings": bound.settings.model_dump(mode="json"), "fingerprint": bound.fingerprint}
            for name, bound in task.datasets.items()
        },
        "protocol": describe_protocol(task) if list_cells(task) else None,
        "method": _describe_method(task),
    }


def list_cells(task: Task) -> list[tuple[str, dict[str, str | int]]]:
    """Return name and axes of the cells that a task scores."""
    if task.kind == "evaluate":
        return [("clean", {})]
    if isinstance(task.settings, StreamStage):
        return [(f"0/{d.label}", {"round": 0, "domain": d.label}) for d in task.settings.stream.domains]
    if isinstance(task.settings, BenchmarkStage):
        cells = describe_protocol(task)["cells"]
        return [("clean", {}), *((f"{n}/{s}", {"corruption": n, "severity": s}) for n, s in cells)]
    return []


def _describe_method(task: Task) -> dict[str, Any] | None:
    if not isinstance(task.settings, StreamStage):
        return None
    settings = task.settings.method.model_dump(mode="json")
    return {"name": settings["name"], "title": settings["name"], "settings": settings}
