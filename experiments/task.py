"""A task: one stage at one point of the matrix, as data that says all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapt.data.settings import DatasetSettings
from adapt.model import ModelSettings
from experiments.schema import ResourceSettings, StageSettings, StylesStage, TrainStage, UdaStage

KEY_LENGTH = 32  # hex digits of the sha256 that are kept: 128 bits


@dataclass(frozen=True)
class BoundDataset:
    """A data set of a task: what was asked for, and the fingerprint of the files that answered."""

    settings: DatasetSettings
    fingerprint: str


@dataclass(frozen=True)
class BoundModel:
    """A model of a task: its settings, and hashes of its configuration file and weights (None: random start)."""

    settings: ModelSettings
    config_sha256: str
    weights_sha256: str | None


@dataclass(frozen=True)
class Task:
    """A node of the graph.

    Attributes:
        key: content hash of kind, code version, settings, data, model and inputs; equal keys are one task.
        stage: name of the stage in its experiment.
        kind: `train`, `uda`, `evaluate`, `styles`, `fisher`, `search`, `stream` or `benchmark`.
        point: the axis values that this task stands at; presentation only, not part of the key.
        settings: the validated stage settings with every reference filled in.
        datasets: name in the experiment -> bound data set.
        model: the model that the stage starts from, or None where its network is an input.
        extractor_sha256: hash of the weights of a style extractor, where it has any.
        inputs: role -> key of the task whose output it is, e.g. {"checkpoint": "5f..."}.
        resources: what it asks Ray for, for each of its workers; not part of the key.
        label: how the leaderboard calls its stage.
        shown: how its axis values are printed where it would share its name with another task, see `name_apart`.
    """

    key: str
    stage: str
    kind: str
    point: Mapping[str, Any]
    settings: StageSettings
    datasets: Mapping[str, BoundDataset] = field(default_factory=dict)
    model: BoundModel | None = None
    extractor_sha256: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    resources: ResourceSettings = field(default_factory=ResourceSettings)
    label: str = ""
    shown: Mapping[str, str] = field(default_factory=dict)

    @property
    def workers(self) -> int:
        """How many processes work on it together; each asks for `resources`."""
        return self.settings.training.workers if isinstance(self.settings, TrainStage | UdaStage) else 1

    @property
    def weights(self) -> dict[str, str]:
        """Role -> name of each file of outside weights: `model`, which it starts from, and `extractor`, of styles."""
        extractor = self.settings.extractor.weights if isinstance(self.settings, StylesStage) else None
        files = {"model": self.model.settings.weights if self.model is not None else None, "extractor": extractor}
        return {role: file for role, file in files.items() if file is not None}

    @property
    def name(self) -> str:
        """The stage and its point, as shown to people: `daformer[seed=0]`."""
        axes = ", ".join(self.list_axes())
        return f"{self.stage}[{axes}]" if axes else self.stage

    def list_axes(self) -> list[str]:
        """Return where it stands, as shown to people: `["seed=0", ...]`."""
        return [f"{axis}={self.shown.get(axis, describe(value))}" for axis, value in self.point.items()]


def describe(value: Any) -> str:
    """Print an axis value briefly: a reference by its stage, a mapping by its label or its name."""
    if isinstance(value, dict):
        return str(value.get("label") or value.get("name") or json.dumps(value, sort_keys=True))
    text = str(value)
    return text[2:-1].partition(".")[0] if text.startswith("${") and text.endswith("}") else text


def describe_apart(values: Sequence[Any]) -> list[str]:
    """Print axis values briefly, and mappings that would look alike with the settings that differ among them.

    Args:
        values: of one axis.

    Returns:
        The text of each: `tent(lr=0.0001)` and `tent(lr=0.001)`, `reservoir(base=tent)` and `reservoir(base=eta)`.
    """
    texts = [describe(value) for value in values]
    result = list(texts)
    for text in dict.fromkeys(texts):
        alike = [index for index, other in enumerate(texts) if other == text and isinstance(values[index], dict)]
        details: dict[int, list[str]] = {index: [] for index in alike}
        for setting in dict.fromkeys(setting for index in alike for setting in values[index]):
            given = [index for index in alike if setting in values[index]]
            inner = [values[index][setting] for index in given]
            if len(given) < len(alike) or any(value != inner[0] for value in inner):
                for index, shown in zip(given, describe_apart(inner), strict=True):
                    details[index].append(f"{setting}={shown}")
        result = [f"{text}({', '.join(details[i])})" if details.get(i) else text for i, text in enumerate(result)]
    return result


def name_apart(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks of a stage such that those of one name show the settings that differ; the others as they are."""
    result = list(tasks)
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, task in enumerate(tasks):
        groups.setdefault((task.name, *task.point), []).append(index)
    for (_, *axes), alike in groups.items():
        columns = [describe_apart([tasks[index].point[axis] for index in alike]) for axis in axes]
        for place, index in enumerate(alike if len(alike) > 1 else ()):
            shown = {axis: column[place] for axis, column in zip(axes, columns, strict=True)}
            result[index] = replace(tasks[index], shown=shown)
    return result


def compute_key(kind: str, version: int, identity: Mapping[str, Any]) -> str:
    """Return the content hash of a task: equal for equal work, whatever the machine, the order or the names.

    Args:
        kind: stage kind.
        version: the number of the stage's code, raised when its results may change.
        identity: JSON-able settings, with data sets, models and inputs replaced by their hashes.
    """
    text = json.dumps([kind, version, identity], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
