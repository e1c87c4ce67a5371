"""Stages to tasks: each stage at each point of its matrix, validated, bound to bytes, and keyed by its content."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapt.errors import PrerequisiteError, SpecError
from experiments.binding import Binding, Facts
from experiments.conflict import Conflict, find_supervised_method, list_conflicts
from experiments.explain import unknown, validate
from experiments.flow import find_missing_flow
from experiments.grid import write_out
from experiments.identity import identify
from experiments.load import LoadedExperiment
from experiments.matrix import Point, fill_in, list_points, list_used_axes
from experiments.reference_row import check_reference
from experiments.references import Nodes
from experiments.schema import (
    INPUT_OUTPUTS,
    STAGE_VERSIONS,
    STAGES,
    AdaptingStage,
    BenchmarkStage,
    LeaderboardStage,
    MatrixSettings,
    SearchStage,
    StageSettings,
    StreamStage,
    TrainStage,
    UdaStage,
)
from experiments.search import StreamSearchSettings, check_sampler, check_space
from experiments.searched_training import find_search, find_unfit_scheduler, list_search_conflicts
from experiments.supply import (
    find_bad_input,
    find_foreign_statistics,
    find_missing_supply,
    find_other_batch_norm,
    list_unused,
)
from experiments.task import Task, compute_key

SEARCH_SUFFIX = ".search"


def name_search(stage: str) -> str:
    """Name the search of a stream: no stage of a file has a dot in its name."""
    return f"{stage}{SEARCH_SUFFIX}"


class Expansion:
    """The state of one expansion: the tasks of the stages done so far.

    Attributes:
        nodes: those tasks.
    """

    def __init__(self, loaded: LoadedExperiment, facts: Facts) -> None:
        self._loaded = loaded
        self._raw = loaded.settings.stages
        self._facts = facts
        self._binding = Binding(loaded, facts)
        self._searches: dict[str, dict[tuple[str, str], Task]] = {}  # of each stream's stage, by key and name
        self.nodes = Nodes(loaded)
        self._check_kinds()
        self._check_axes()

    def _check_kinds(self) -> None:
        written = sorted(STAGES.keys() - {"search"})
        for stage, data in self._raw.items():
            if "kind" not in data:
                raise SpecError(
                    f"{self._loaded.locate(stage)}: the key `kind` is required and missing. Known: {', '.join(written)}."
                )
            if data["kind"] == "search":
                raise SpecError(
                    f"{self._loaded.locate(stage, 'kind')}: a search belongs to the stage that it is for. Write "
                    "`search: {stream: ..., space: ...}` in a stage of `kind: stream`, or `search: {space: ...}` in one of "
                    "`kind: train` or `uda`."
                )
            if not isinstance(data["kind"], str) or data["kind"] not in STAGES:
                raise unknown("stage kind", str(data["kind"]), written, self._loaded.locate(stage, "kind"))

    def _check_axes(self) -> None:
        """Refuse an axis of the experiment that no stage uses: it would multiply nothing, so it is a slip."""
        used = list_used_axes(self._raw)
        for axis in self._loaded.settings.matrix.axes:
            if axis not in used:
                raise unknown("axis (no stage uses it)", axis, used, self._loaded.document.origin(("matrix", axis)))

    def expand_leaderboard(self, stage: str) -> LeaderboardStage:
        """Validate a leaderboard, which is no task; all stages that have tasks are expanded.

        Raises:
            SpecError: if it names what does not exist.
        """
        settings: LeaderboardStage = validate(
            LeaderboardStage, self._raw[stage], self._loaded.document, ("stages", stage)
        )
        scored = [name for name, data in self._raw.items() if data["kind"] in ("evaluate", "stream", "benchmark")]
        for needed in settings.needs:
            if needed not in scored:
                raise unknown("scored stage", needed, scored, self._loaded.locate(stage, "needs"))
        trained = [name for name, data in self._raw.items() if data["kind"] in ("train", "uda")]
        for role, name in settings.gap or ():
            if name not in trained:
                raise unknown("training stage", name, trained, self._loaded.locate(stage, "gap", role))
        compared = [name for name in settings.needs if self._raw[name]["kind"] == "benchmark"]
        if settings.reference is not None:
            if settings.reference.stage not in compared:
                key = ("reference", "stage") if isinstance(self._raw[stage]["reference"], dict) else ("reference",)
                where = self._loaded.locate(stage, *key)
                raise unknown("benchmark stage among `needs`", settings.reference.stage, compared, where)
            check_reference(self._loaded, stage, settings.reference, dict(self.nodes.items()))
        return settings

    def expand_stage(self, stage: str) -> None:
        """Make the tasks of a stage; those that it refers to are there.

        Raises:
            SpecError: if it is not understood, or does not fit.
        """
        raw = self._raw[stage]
        document = self._loaded.document
        own: MatrixSettings = validate(MatrixSettings, raw.get("matrix", {}), document, ("stages", stage, "matrix"))
        body = {"resources": self._loaded.settings.resources.model_dump()} | {
            k: v for k, v in raw.items() if k != "matrix"
        }
        if "resources" in raw and isinstance(raw["resources"], dict):
            body["resources"] = self._loaded.settings.resources.model_dump() | raw["resources"]
        tasks: dict[tuple[str, str], Task] = {}
        used = {name: list_used_axes(value) for name, value in body.items()}
        for shared in list_points(self._loaded.settings.matrix):
            for extra in list_points(own):
                task = self._build(stage, body, shared | extra, used)
                tasks.setdefault((task.key, task.name), task)
        if stage in self._searches:
            self.nodes.add(name_search(stage), list(self._searches[stage].values()))
        self.nodes.add(stage, list(tasks.values()))
        for axis in own.axes:
            if axis not in self.nodes.list_axes(stage):
                names = set().union(*used.values())
                raise unknown(
                    "axis (the stage does not use it)", axis, names, self._loaded.locate(stage, "matrix", axis)
                )

    def _build(self, stage: str, body: dict[str, Any], point: Point, used: Mapping[str, set[str]]) -> Task:
        """Return the task of a stage at a point; `used` holds the axes that each entry of `body` refers to."""
        where = self._loaded.locate(stage)
        filled = {name: fill_in(value, point, where) if used[name] else value for name, value in body.items()}
        kind = body["kind"]
        self._refuse(stage, find_bad_input(kind, filled))
        self._refuse(stage, find_supervised_method(filled) if kind == "uda" else None)
        if kind == "benchmark":
            filled = self._write_out_protocol(stage, filled)
        settings: StageSettings = validate(STAGES[kind], filled, self._loaded.document, ("stages", stage))
        if isinstance(settings, StreamStage):
            self._refuse(stage, find_missing_flow(settings.temporal))
            self._refuse(stage, find_missing_supply(settings))
            unused = list_unused(settings)
            if unused:
                filled = {name: value for name, value in filled.items() if name not in unused}
                settings = validate(StreamStage, filled, self._loaded.document, ("stages", stage))
        inputs = {
            role: self.nodes.resolve(stage, filled[role], point)
            for role in INPUT_OUTPUTS
            if filled.get(role) is not None
        }
        settings = settings.model_copy(update={role: task.key for role, task in inputs.items()})
        axes = set().union(*(used[name] for name in filled))
        if not isinstance(settings, StreamStage) or settings.search is None:
            task = self._make_task(stage, stage, kind, settings, inputs, point, axes)
            self._check_tuned_input(stage, task, inputs)
            return task
        search = self._make_search(stage, settings, settings.search, inputs, point, used)
        task = self._make_task(stage, stage, kind, settings, inputs | {"method": search}, point, axes)
        self._check_tuned_input(stage, task, inputs)
        self._binding.check_disjoint(stage, search.datasets, task, ("search", "stream"))
        return task

    def _write_out_protocol(self, stage: str, filled: Mapping[str, Any]) -> dict[str, Any]:
        """Put the content of a protocol file in its place."""
        try:
            folder = Path(self._loaded.document.origin(())).parent
            return (
                {**filled, "protocol": write_out(filled["protocol"], folder)} if "protocol" in filled else dict(filled)
            )
        except (SpecError, ValueError) as error:
            raise SpecError(f"{self._loaded.locate(stage, 'protocol')}: {error}") from error

    def _make_search(
        self,
        stage: str,
        stream: StreamStage,
        search: StreamSearchSettings,
        inputs: Mapping[str, Task],
        point: Point,
        used: Mapping[str, set[str]],
    ) -> Task:
        """Return the task that chooses the settings of a stream's method, and keep it beside those of the stage."""
        self._refuse(stage, find_unfit_scheduler(search))
        try:
            check_space(stream.method, search)
        except SpecError as error:
            raise SpecError(f"{self._loaded.locate(stage, 'search', 'space')}: {error}") from error
        shared = SearchStage.model_fields.keys() - StageSettings.model_fields.keys() - {"kind"}
        values = {name: getattr(stream, name) for name in shared}
        settings = SearchStage(kind="search", resources=stream.resources, **values)
        axes = set().union(*(used[name] for name in shared & used.keys()))
        task = self._make_task(stage, name_search(stage), "search", settings, inputs, point, axes)
        return self._searches.setdefault(stage, {}).setdefault((task.key, task.name), task)

    def _make_task(
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
        datasets = self._binding.bind_datasets(stage, settings)
        model = self._binding.bind_model(stage, settings)
        if isinstance(settings, BenchmarkStage):
            self._binding.check_protocol(stage, settings)
        extractor = self._binding.bind_extractor(stage, settings)
        keys = {role: task.key for role, task in inputs.items()}
        identity = identify(settings, datasets, model, extractor, keys.get("method"))
        key = compute_key(kind, STAGE_VERSIONS[kind], identity)
        classes = self._binding.check_classes(stage, key, settings, datasets, model, inputs)
        self._refuse(stage, find_foreign_statistics(inputs, model))
        if isinstance(settings, AdaptingStage) and "fisher" in inputs:
            self._refuse(stage, find_other_batch_norm(settings, inputs["fisher"]))
        if isinstance(settings, TrainStage | UdaStage) and model is not None:

            def refuse(at: TrainStage | UdaStage) -> Iterator[Conflict]:
                return list_conflicts(at, model.settings, classes, self._facts)

            for conflict in itertools.chain(refuse(settings), list_search_conflicts(settings, refuse)):
                self._refuse(stage, conflict)
        search = find_search(settings)
        if search is not None:
            try:
                check_sampler(search)
            except PrerequisiteError as error:
                raise PrerequisiteError(f"{self._loaded.locate(stage, 'search', 'sampler')}: {error}") from error
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

    def _check_tuned_input(self, stage: str, task: Task, inputs: Mapping[str, Task]) -> None:
        """Refuse to report a network on frames by which the settings of its training were chosen."""
        trained = inputs["checkpoint"].settings if "checkpoint" in inputs else None
        if isinstance(trained, TrainStage | UdaStage) and trained.search is not None and trained.validation is not None:
            self._binding.check_disjoint(stage, [trained.validation.dataset], task, ("checkpoint",))

    def _refuse(self, stage: str, conflict: Conflict | None) -> None:
        if conflict is not None:
            raise SpecError(f"{self._loaded.locate(stage, *conflict.key)}: {conflict.text}")
