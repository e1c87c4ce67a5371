"""References between stages, `${STAGE.output}`: which stages come first, and which task one means at a point."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from adapt.errors import SpecError
from experiments.document import KeyPath
from experiments.explain import unknown
from experiments.load import LoadedExperiment
from experiments.matrix import Point
from experiments.schema import STAGE_OUTPUTS
from experiments.supply import REFERENCE
from experiments.task import Task


def order_stages(loaded: LoadedExperiment) -> list[str]:
    """Return the stages so that each follows those that it refers to (depth first, in file order).

    Args:
        loaded: the experiment; every stage has a known `kind`.

    Raises:
        SpecError: if a stage refers to what does not exist, or the references form a circle.
    """
    done: list[str] = []
    active: list[str] = []

    def visit(stage: str) -> None:
        if stage in done:
            return
        if stage in active:
            cycle = " -> ".join([*active[active.index(stage) :], stage])
            raise SpecError(f"{loaded.locate(stage)}: the stages refer to each other in a circle: {cycle}. Break it.")
        active.append(stage)
        for needed in _list_needed(loaded, stage):
            visit(needed)
        active.pop()
        done.append(stage)

    for stage in loaded.settings.stages:
        visit(stage)
    return done


class Nodes:
    """The tasks of the stages that are done so far, and what a reference means among them."""

    def __init__(self, loaded: LoadedExperiment) -> None:
        self._loaded = loaded
        self._of: dict[str, list[Task]] = {}
        self._axes: dict[str, set[str]] = {}
        self._index: dict[tuple[str, tuple[str, ...]], dict[str, list[Task]]] = {}

    def add(self, stage: str, tasks: list[Task]) -> None:
        """Keep the tasks of a stage, all that it has."""
        self._of[stage] = tasks

    def items(self) -> Iterator[tuple[str, list[Task]]]:
        """Go through the stages and their tasks."""
        yield from self._of.items()

    def resolve(self, stage: str, reference: str, point: Point) -> Task:
        """Return the task that `${STAGE.output}` means at a point: the one that agrees on every axis they share.

        Args:
            stage: where the reference stands.
            reference: the reference.
            point: the values of the axes there.

        Raises:
            SpecError: if no task agrees, or several do.
        """
        name = reference[2:-1].partition(".")[0]
        shared = tuple(axis for axis in point if axis in self.list_axes(name))
        found = self._select(name, shared).get(_hashable(point, shared), [])
        if not found:
            raise SpecError(
                f"{self._loaded.locate(stage)}: {reference} has no task at {point}: the matrix of '{name}' does not hold it, or "
                "its `exclude` dropped it. Drop the same point here, or keep it there."
            )
        if len({task.key for task in found}) > 1:
            axes = sorted({axis for task in found for axis in task.point if axis not in point})
            raise SpecError(
                f"{self._loaded.locate(stage)}: {reference} means {len(found)} tasks here, which differ in {', '.join(axes)}. "
                f"Give this stage the same axis: matrix.{axes[0]}."
            )
        return found[0]

    def list_axes(self, stage: str) -> set[str]:
        """Return the axes that the tasks of a stage stand on."""
        if stage not in self._axes:
            self._axes[stage] = {axis for task in self._of[stage] for axis in task.point}
        return self._axes[stage]

    def _select(self, stage: str, axes: tuple[str, ...]) -> dict[str, list[Task]]:
        """Return the tasks of a stage by their values on some axes (made once: graphs hold thousands of tasks)."""
        if (stage, axes) not in self._index:
            table: dict[str, list[Task]] = {}
            for task in self._of[stage]:
                table.setdefault(_hashable(task.point, axes), []).append(task)
            self._index[stage, axes] = table
        return self._index[stage, axes]


def _list_needed(loaded: LoadedExperiment, stage: str) -> Iterator[str]:
    """Go through the stages that a stage refers to."""
    raw = loaded.settings.stages
    for path, name, output in _list_references(raw[stage]):
        if name == "matrix":
            continue
        if name not in raw:
            raise unknown(f"stage in ${{{name}.{output}}}", name, raw, loaded.locate(stage, *path))
        offered = STAGE_OUTPUTS.get(raw[name]["kind"], ())
        if output not in offered:
            raise unknown(f"output of stage '{name}'", output, offered, loaded.locate(stage, *path))
        yield name


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


def _hashable(point: Mapping[str, Any], axes: tuple[str, ...]) -> str:
    return json.dumps([point.get(axis) for axis in axes], sort_keys=True, default=str)
