"""Expand an experiment into its graph of tasks: pure, and the same on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from adapt.data.catalog import describe_dataset
from adapt.data.size import Size
from adapt.errors import SpecError
from corruptions.protocol import protocol
from experiments.conflict import Conflict, find_supervised_method, list_conflicts
from experiments.document import KeyPath
from experiments.explain import unknown, validate
from experiments.flow import find_missing_flow
from experiments.identity import find_stream, identify
from experiments.load import LoadedExperiment
from experiments.matrix import Point, fill_in, list_points, list_used_axes
from experiments.schema import (
    INPUT_OUTPUTS,
    STAGE_OUTPUTS,
    STAGE_VERSIONS,
    STAGES,
    AdaptingStage,
    BenchmarkStage,
    EvaluateStage,
    FisherStage,
    LeaderboardStage,
    MatrixSettings,
    SearchStage,
    StageSettings,
    StreamStage,
    StylesStage,
    TrainStage,
    UdaStage,
)
from experiments.search import SearchSettings, check_space
from experiments.supply import (
    REFERENCE,
    find_bad_input,
    find_foreign_statistics,
    find_missing_supply,
    find_other_batch_norm,
    list_unused,
)
from experiments.task import BoundDataset, BoundModel, Task, compute_key, name_apart


class Facts(Protocol):
    """What the graph needs to know of the world: which bytes stand behind a data set and a model."""

    def bind_dataset(self, name: str, needs_labels: bool) -> BoundDataset:
        """Return a data set of the experiment with its fingerprint; the target of an adaptation needs no labels."""

    def require_crop_fits(self, name: str, crop: Size) -> None:
        """Refuse a crop that is larger than the frames of a data set that was bound, where their size is known."""

    def share_frames(self, one: str, other: str) -> bool:
        """Say whether two data sets, bound before, have an image in common."""

    def bind_model(self, name: str) -> BoundModel:
        """Return a model of the experiment with its hashes."""

    def bind_weights(self, file: str, whose: str) -> str:
        """Return the hash of a file of outside weights; `whose` it is, in words, is said where it is missing."""


@dataclass(frozen=True)
class Graph:
    """The tasks of an experiment in an order in which every task follows its inputs.

    Attributes:
        name: the experiment.
        profile: the profile that it was expanded under.
        title: one line on what it asks.
        tasks: key -> task; tasks with equal keys are one.
        nodes: every (stage, point) of the file as a task, equal keys included: what a leaderboard shows.
        leaderboards: the leaderboard stages by name.
        overrides: what the command line changed; such a run keeps its leaderboard, costs and MLflow run apart.
    """

    name: str
    profile: str
    title: str
    tasks: Mapping[str, Task]
    nodes: tuple[Task, ...]
    leaderboards: Mapping[str, LeaderboardStage]
    overrides: tuple[str, ...] = ()

    @property
    def variant(self) -> str:
        """The profile, with a short hash of the overrides where there are any."""
        if not self.overrides:
            return self.profile
        return f"{self.profile}+{hashlib.sha256(repr(self.overrides).encode()).hexdigest()[:6]}"

    def dependants(self) -> dict[str, list[str]]:
        """Return key -> keys of the tasks that take its output."""
        result: dict[str, list[str]] = {key: [] for key in self.tasks}
        for task in self.tasks.values():
            for needed in set(task.inputs.values()):
                result[needed].append(task.key)
        return result


def expand(loaded: LoadedExperiment, facts: Facts) -> Graph:
    """Expand an experiment into tasks with content keys.

    Args:
        loaded: the validated experiment.
        facts: binds data sets and models to the bytes behind them.

    Raises:
        SpecError: a stage is not understood, refers to what does not exist, or the references form a cycle.
    """
    expansion = _Expansion(loaded, facts)
    leaderboards: dict[str, LeaderboardStage] = {}
    for stage in expansion.order():
        if expansion.raw[stage]["kind"] == "leaderboard":
            leaderboards[stage] = expansion.expand_leaderboard(stage)
        else:
            expansion.expand_stage(stage)
    names = (name for stage in loaded.settings.stages for name in (_name_search(stage), stage))
    named = {stage: name_apart(tasks) for stage, tasks in expansion.nodes.items()}
    nodes = tuple(task for name in names for task in named.get(name, ()))
    unique = {task.key: task for tasks in named.values() for task in tasks}
    title = loaded.settings.title
    return Graph(loaded.name, loaded.profile, title, unique, nodes, leaderboards, loaded.overrides)


class _Expansion:
    """The state of one expansion: stages done so far, by name."""

    def __init__(self, loaded: LoadedExperiment, facts: Facts) -> None:
        self.loaded = loaded
        self.facts = facts
        self.raw = loaded.settings.stages
        self.nodes: dict[str, list[Task]] = {}
        self.searches: dict[str, dict[tuple[str, str], Task]] = {}  # of each stream's stage, by key and name
        self.classes: dict[str, tuple[str, ...]] = {}  # task key -> classes its network predicts
        self._axes: dict[str, set[str]] = {}
        self._index: dict[tuple[str, tuple[str, ...]], dict[str, list[Task]]] = {}
        written = sorted(STAGES.keys() - {"search"})
        for stage, data in self.raw.items():
            if "kind" not in data:
                raise SpecError(
                    f"{self.origin(stage)}: the key `kind` is required and missing. Known: {', '.join(written)}."
                )
            if data["kind"] == "search":
                raise SpecError(
                    f"{self.origin(stage, 'kind')}: a search belongs to the stream that it is for. Write "
                    "`search: {stream: ..., space: ...}` in the stage of `kind: stream`."
                )
            if not isinstance(data["kind"], str) or data["kind"] not in STAGES:
                raise unknown("stage kind", str(data["kind"]), written, self.origin(stage, "kind"))
        self.check_axes()

    def origin(self, stage: str, *path: str | int) -> str:
        return f"{self.loaded.document.origin(('stages', stage, *path))}: stages.{'.'.join(map(str, (stage, *path)))}"

    def check_axes(self) -> None:
        """Refuse an axis of the experiment that no stage uses: it would multiply nothing, so it is a slip."""
        used = list_used_axes(self.raw)
        for axis in self.loaded.settings.matrix.axes:
            if axis not in used:
                raise unknown("axis (no stage uses it)", axis, used, self.loaded.document.origin(("matrix", axis)))

    def order(self) -> list[str]:
        """Return the stages so that each follows those that it refers to (depth first, in file order)."""
        done: list[str] = []
        active: list[str] = []

        def visit(stage: str) -> None:
            if stage in done:
                return
            if stage in active:
                cycle = " -> ".join([*active[active.index(stage) :], stage])
                raise SpecError(f"{self.origin(stage)}: the stages refer to each other in a circle: {cycle}. Break it.")
            active.append(stage)
            for needed in self.needed_by(stage):
                visit(needed)
            active.pop()
            done.append(stage)

        for stage in self.raw:
            visit(stage)
        return done

    def needed_by(self, stage: str) -> list[str]:
        needed = []
        for path, name, output in _list_references(self.raw[stage]):
            if name == "matrix":
                continue
            if name not in self.raw:
                raise unknown(f"stage in ${{{name}.{output}}}", name, self.raw, self.origin(stage, *path))
            offered = STAGE_OUTPUTS.get(self.raw[name]["kind"], ())
            if output not in offered:
                raise unknown(f"output of stage '{name}'", output, offered, self.origin(stage, *path))
            needed.append(name)
        return needed

    def expand_leaderboard(self, stage: str) -> LeaderboardStage:
        settings: LeaderboardStage = validate(
            LeaderboardStage, self.raw[stage], self.loaded.document, ("stages", stage)
        )
        scored = [name for name, data in self.raw.items() if data["kind"] in ("evaluate", "stream", "benchmark")]
        for needed in settings.needs:
            if needed not in scored:
                raise unknown("scored stage", needed, scored, self.origin(stage, "needs"))
        trained = [name for name, data in self.raw.items() if data["kind"] in ("train", "uda")]
        for role, name in settings.gap or ():
            if name not in trained:
                raise unknown("training stage", name, trained, self.origin(stage, "gap", role))
        return settings

    def expand_stage(self, stage: str) -> None:
        raw = self.raw[stage]
        document = self.loaded.document
        own: MatrixSettings = validate(MatrixSettings, raw.get("matrix", {}), document, ("stages", stage, "matrix"))
        body = {"resources": self.loaded.settings.resources.model_dump()} | {
            k: v for k, v in raw.items() if k != "matrix"
        }
        if "resources" in raw and isinstance(raw["resources"], dict):
            body["resources"] = self.loaded.settings.resources.model_dump() | raw["resources"]
        tasks: dict[tuple[str, str], Task] = {}
        used = {name: list_used_axes(value) for name, value in body.items()}
        for shared in list_points(self.loaded.settings.matrix):
            for extra in list_points(own):
                task = self.build(stage, body, shared | extra, used)
                tasks.setdefault((task.key, task.name), task)
        if stage in self.searches:
            self.nodes[_name_search(stage)] = list(self.searches[stage].values())
        self.nodes[stage] = list(tasks.values())
        for axis in own.axes:
            if axis not in self.axes(stage):
                names = set().union(*used.values())
                raise unknown("axis (the stage does not use it)", axis, names, self.origin(stage, "matrix", axis))

    def build(self, stage: str, body: dict[str, Any], point: Point, used: Mapping[str, set[str]]) -> Task:
        """Return the task of a stage at a point; `used` holds the axes that each entry of `body` refers to."""
        where = self.origin(stage)
        filled = {name: fill_in(value, point, where) if used[name] else value for name, value in body.items()}
        kind = body["kind"]
        self.refuse(stage, find_bad_input(kind, filled))
        self.refuse(stage, find_supervised_method(filled) if kind == "uda" else None)
        settings: StageSettings = validate(STAGES[kind], filled, self.loaded.document, ("stages", stage))
        if isinstance(settings, StreamStage):
            self.refuse(stage, find_missing_flow(settings.temporal))
            self.refuse(stage, find_missing_supply(settings))
            unused = list_unused(settings)
            if unused:
                filled = {name: value for name, value in filled.items() if name not in unused}
                settings = validate(StreamStage, filled, self.loaded.document, ("stages", stage))
        inputs = {
            role: self.resolve(stage, filled[role], point) for role in INPUT_OUTPUTS if filled.get(role) is not None
        }
        settings = settings.model_copy(update={role: task.key for role, task in inputs.items()})
        axes = set().union(*(used[name] for name in filled))
        if not isinstance(settings, StreamStage) or settings.search is None:
            return self.make_task(stage, stage, kind, settings, inputs, point, axes)
        search = self.make_search(stage, settings, settings.search, inputs, point, used)
        task = self.make_task(stage, stage, kind, settings, inputs | {"method": search}, point, axes)
        self.check_disjoint(stage, search, task)
        return task

    def make_search(
        self,
        stage: str,
        stream: StreamStage,
        search: SearchSettings,
        inputs: Mapping[str, Task],
        point: Point,
        used: Mapping[str, set[str]],
    ) -> Task:
        """Return the task that chooses the settings of a stream's method, and keep it beside those of the stage."""
        try:
            check_space(stream.method, search)
        except SpecError as error:
            raise SpecError(f"{self.origin(stage, 'search', 'space')}: {error}") from error
        shared = SearchStage.model_fields.keys() - StageSettings.model_fields.keys() - {"kind"}
        values = {name: getattr(stream, name) for name in shared}
        settings = SearchStage(kind="search", resources=stream.resources, **values)
        axes = set().union(*(used[name] for name in shared & used.keys()))
        task = self.make_task(stage, _name_search(stage), "search", settings, inputs, point, axes)
        return self.searches.setdefault(stage, {}).setdefault((task.key, task.name), task)

    def make_task(
        self,
        stage: str,
        name: str,
        kind: str,
        settings: StageSettings,
        inputs: Mapping[str, Task],
        point: Point,
        used: set[str],
    ) -> Task:
        """Bind the data and the model of validated settings, check that they fit, and return the task.

        Args:
            stage: the stage of the file, for messages.
            name: what the task is called.
            kind: what it does.
            settings: filled in.
            inputs: role -> the task whose output it takes.
            point: where it stands.
            used: the axes that its settings refer to.
        """
        unlabelled = _list_unlabelled(settings)
        datasets = {
            each: self.bind_dataset(stage, key, each, each not in unlabelled)
            for each, key in _list_datasets(settings).items()
        }
        model_name = getattr(settings, "model", None)
        model = self.bind_model(stage, model_name) if model_name is not None else None
        if isinstance(settings, BenchmarkStage):
            self.check_protocol(stage, settings.protocol)
        if isinstance(settings, TrainStage | UdaStage) and settings.training.augment.crop is not None:
            self.check_crop(stage, datasets, settings.training.augment.crop)
        extractor = None
        if isinstance(settings, StylesStage) and settings.extractor.weights is not None:
            extractor = self.facts.bind_weights(settings.extractor.weights, f"stage '{stage}'")
        keys = {role: task.key for role, task in inputs.items()}
        identity = identify(settings, datasets, model, extractor, keys.get("method"))
        key = compute_key(kind, STAGE_VERSIONS[kind], identity)
        self.check_classes(stage, key, settings, datasets, model, inputs)
        self.refuse(stage, find_foreign_statistics(inputs, model))
        if isinstance(settings, AdaptingStage) and "fisher" in inputs:
            self.refuse(stage, find_other_batch_norm(settings, inputs["fisher"]))
        if isinstance(settings, TrainStage | UdaStage) and model is not None:
            self.check_conflicts(stage, settings, model, len(self.classes[key]))
        axes = used.union(*(task.point for task in inputs.values()))
        return Task(
            key=key,
            stage=name,
            kind=kind,
            point={axis: value for axis, value in point.items() if axis in axes},
            settings=settings,
            datasets=datasets,
            model=model,
            extractor_sha256=extractor,
            inputs=keys,
            resources=settings.resources,
            label=settings.label or name,
        )

    def resolve(self, stage: str, reference: str, point: Point) -> Task:
        """Return the task that `${STAGE.output}` means at a point: the one that agrees on every axis they share."""
        name = reference[2:-1].partition(".")[0]
        shared = tuple(axis for axis in point if axis in self.axes(name))
        found = self.index(name, shared).get(_hashable(point, shared), [])
        if not found:
            raise SpecError(
                f"{self.origin(stage)}: {reference} has no task at {point}: the matrix of '{name}' does not hold it, or "
                "its `exclude` dropped it. Drop the same point here, or keep it there."
            )
        if len({task.key for task in found}) > 1:
            axes = sorted({axis for task in found for axis in task.point if axis not in point})
            raise SpecError(
                f"{self.origin(stage)}: {reference} means {len(found)} tasks here, which differ in {', '.join(axes)}. "
                f"Give this stage the same axis: matrix.{axes[0]}."
            )
        return found[0]

    def axes(self, stage: str) -> set[str]:
        if stage not in self._axes:
            self._axes[stage] = {axis for task in self.nodes[stage] for axis in task.point}
        return self._axes[stage]

    def index(self, stage: str, axes: tuple[str, ...]) -> dict[str, list[Task]]:
        """Return the tasks of a stage by their values on some axes (made once: graphs hold thousands of tasks)."""
        if (stage, axes) not in self._index:
            table: dict[str, list[Task]] = {}
            for task in self.nodes[stage]:
                table.setdefault(_hashable(task.point, axes), []).append(task)
            self._index[stage, axes] = table
        return self._index[stage, axes]

    def bind_dataset(self, stage: str, key: KeyPath, name: str, needs_labels: bool) -> BoundDataset:
        if name not in self.loaded.settings.datasets:
            raise unknown("data set", name, self.loaded.settings.datasets, self.origin(stage, *key))
        try:
            return self.facts.bind_dataset(name, needs_labels)
        except SpecError as error:
            raise SpecError(f"{self.loaded.document.origin(('datasets', name))}: datasets.{name}: {error}") from error

    def bind_model(self, stage: str, name: str) -> BoundModel:
        if name not in self.loaded.settings.models:
            raise unknown("model", name, self.loaded.settings.models, self.origin(stage, "model"))
        try:
            return self.facts.bind_model(name)
        except SpecError as error:
            raise SpecError(f"{self.loaded.document.origin(('models', name))}: models.{name}: {error}") from error

    def refuse(self, stage: str, conflict: Conflict | None) -> None:
        if conflict is not None:
            raise SpecError(f"{self.origin(stage, *conflict.key)}: {conflict.text}")

    def check_disjoint(self, stage: str, search: Task, stream: Task) -> None:
        """Refuse a search that sees frames of the stream that is reported."""
        for one in search.datasets:
            for other in stream.datasets:
                if self.facts.share_frames(one, other):
                    raise SpecError(
                        f"{self.origin(stage, 'search', 'stream')}: data set '{one}', on which the method is tuned, and "
                        f"'{other}', on which it is reported, have frames in common. Search on another split or subset."
                    )

    def check_crop(self, stage: str, datasets: Mapping[str, BoundDataset], crop: Size) -> None:
        for name in datasets:
            try:
                self.facts.require_crop_fits(name, crop)
            except SpecError as error:
                raise SpecError(f"{self.origin(stage, 'training')}: data set '{name}': {error}") from error

    def check_conflicts(self, stage: str, settings: TrainStage | UdaStage, model: BoundModel, class_count: int) -> None:
        for conflict in list_conflicts(settings, model.settings, class_count):
            self.refuse(stage, conflict)

    def check_protocol(self, stage: str, name: str) -> None:
        try:
            protocol(name)
        except ValueError as error:
            raise SpecError(f"{self.origin(stage, 'protocol')}: {error}") from error

    def check_classes(
        self,
        stage: str,
        key: str,
        settings: StageSettings,
        datasets: Mapping[str, BoundDataset],
        model: BoundModel | None,
        inputs: Mapping[str, Task],
    ) -> None:
        """Refuse data whose classes are not those that the network predicts, before anything runs."""
        known = {name: describe_dataset(bound.settings).classes for name, bound in datasets.items()}
        if isinstance(settings, TrainStage | UdaStage):
            first = next(iter(known))
            expected, whose = known[first], f"data set '{first}'"
        elif "checkpoint" in inputs:
            expected, whose = self.classes[inputs["checkpoint"].key], f"the network of {inputs['checkpoint'].name}"
        else:
            expected, whose = next(iter(known.values())), f"data set '{next(iter(known))}'"
        self.classes[key] = expected
        if "auxiliary" in inputs and self.classes[inputs["auxiliary"].key] != expected:
            other = self.classes[inputs["auxiliary"].key]
            raise SpecError(
                f"{self.origin(stage, 'auxiliary')}: the network of {inputs['auxiliary'].name} predicts {len(other)} classes "
                f"({', '.join(other[:3])}, ...) but {whose} has {len(expected)} ({', '.join(expected[:3])}, ...). Train the "
                "auxiliary network on data with the same classes."
            )
        for name, classes in known.items():
            if classes != expected:
                raise SpecError(
                    f"{self.origin(stage)}: data set '{name}' has {len(classes)} classes ({', '.join(classes[:3])}, ...) "
                    f"but {whose} has {len(expected)} ({', '.join(expected[:3])}, ...). Choose data sets with the same classes."
                )


def _name_search(stage: str) -> str:
    """Name the search of a stream: no stage of a file has a dot in its name."""
    return f"{stage}.search"


def _list_references(data: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str, str]]:
    """Go through `${NAME.OUTPUT}` in nested data: where it stands, the name, and the output."""
    if isinstance(data, str):
        yield from ((path, name, output) for name, output in REFERENCE.findall(data))
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _list_references(value, (*path, key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from _list_references(value, (*path, index))


def _list_datasets(settings: StageSettings) -> dict[str, KeyPath]:
    """List the data sets of a stage in its order, each with the key that names it first."""
    if isinstance(settings, UdaStage):
        return {settings.source: ("source",), settings.target: ("target",)}
    if isinstance(settings, StreamStage | SearchStage):
        at: KeyPath = ("stream",) if isinstance(settings, StreamStage) else ("search", "stream")
        found: dict[str, KeyPath] = {}
        for index, domain in enumerate(find_stream(settings).domains):
            found.setdefault(domain.dataset, (*at, "domains", index, "dataset"))
        return found
    if isinstance(settings, TrainStage | EvaluateStage | BenchmarkStage | StylesStage | FisherStage):
        return {settings.dataset: ("dataset",)}
    return {}


def _list_unlabelled(settings: StageSettings) -> set[str]:
    """Return the data sets whose labels a task never opens.

    They are an adaptation's target, unless its pseudo-labels are scored, and what source statistics are measured on.
    """
    if isinstance(settings, StylesStage | FisherStage):
        return {settings.dataset}
    if not isinstance(settings, UdaStage) or getattr(settings.method, "score_pseudo_labels", False):
        return set()
    return {settings.target} - {settings.source}


def _hashable(point: Mapping[str, Any], axes: tuple[str, ...]) -> str:
    return json.dumps([point.get(axis) for axis in axes], sort_keys=True, default=str)
