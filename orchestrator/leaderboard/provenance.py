"""Where the numbers of a row come from: the command, the code, the hardware, the weights and the data."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from experiments.graph import Graph
from experiments.schema import TrainStage, UdaStage
from experiments.task import Task
from orchestrator.leaderboard.naming import name_dataset
from orchestrator.leaderboard.row import Provenance
from orchestrator.mlflow_run import flatten
from orchestrator.record import Record

_UNTOLD = (
    "resources",
    "expected_seconds",
    "label",
    "kind",
)  # of settings: they change no number, or are shown elsewhere


def build_provenance(graph: Graph, tasks: Sequence[Task], records: Sequence[Record]) -> Provenance:
    """Say where a row comes from.

    Args:
        graph: the experiment that its tasks are of.
        tasks: of the row, one a run.
        records: of those that have a result.
    """
    overrides = [shlex.quote(override) for override in graph.overrides]
    command = " ".join(
        ["segshift", "sweep", shlex.quote(graph.given or graph.name), "--profile", graph.profile, *overrides]
    )
    if not records:
        return Provenance(command, graph.name, tasks[0].stage)
    networks = [record.network for record in records if record.network is not None]
    fingerprints = {name: str(data["fingerprint"]) for record in records for name, data in record.datasets.items()}
    return Provenance(
        command=command,
        experiment=graph.name,
        stage=tasks[0].stage,
        commits=_unique(_name_commit(record.environment.get("git")) for record in records),
        packages=dict(records[0].environment.get("packages") or {}),
        hardware=_unique(_name_hardware(record.environment) for record in records),
        checkpoints=_unique(network.checkpoint_sha256 for network in networks),
        weights=_unique(network.weights for network in networks),
        datasets=fingerprints,
        settings=_describe_settings(records[0]),
        started_at=min(record.started_at for record in records),
        seconds=sum(record.seconds for record in records),
    )


def list_training_data(graph: Graph, task: Task) -> tuple[str, ...]:
    """Return the data sets that the network of a scored task has seen, with labels or without; outside weights by name."""
    seen: dict[str, None] = {}
    for trained in _walk(graph, task):
        settings = trained.settings
        if isinstance(settings, TrainStage):
            seen[name_dataset(trained, settings.dataset)] = None
        elif isinstance(settings, UdaStage):
            seen[name_dataset(trained, settings.source)] = None
            seen[f"{name_dataset(trained, settings.target)} without labels"] = None
    if not seen:
        return tuple(f"weights {file}" for file in task.weights.values())
    return tuple(seen)


def _walk(graph: Graph, task: Task) -> Iterator[Task]:
    yield task
    for key in dict.fromkeys(task.inputs.values()):
        if key in graph.tasks:
            yield from _walk(graph, graph.tasks[key])


def _unique(values: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values if value is not None))


def _name_commit(git: dict[str, Any] | None) -> str | None:
    return None if git is None else f"{git['commit']}{'+changes' if git.get('dirty') else ''}"


def _name_hardware(environment: dict[str, Any]) -> str | None:
    parts = [f"{environment['cpu']} x {environment.get('cpu_count')}"] if environment.get("cpu") else []
    parts += [str(gpu) for gpu in environment.get("gpus") or ()]
    return ", ".join(parts) or None


def _describe_settings(record: Record) -> dict[str, Any]:
    """Return the settings that a run really had: those of the stage, and the method's, which a search may have chosen."""
    settings = {name: value for name, value in record.settings.items() if name not in _UNTOLD and value is not None}
    if record.method is not None and "settings" in record.method:
        settings["method"] = record.method["settings"]
    return flatten(settings)
