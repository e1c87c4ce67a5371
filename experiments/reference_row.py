"""The row that a leaderboard compares its benchmarks with: found by its stage and by where its tasks stand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from adapt.errors import SpecError
from experiments.explain import unknown
from experiments.lineage import describe_lineage
from experiments.load import LoadedExperiment
from experiments.schema import ReferenceSettings
from experiments.task import Task, describe


def list_reference_tasks(reference: ReferenceSettings, tasks: Iterable[Task]) -> list[Task]:
    """Return the runs of the reference row among tasks."""
    return [
        task
        for task in tasks
        if task.stage == reference.stage and all(_stands_at(task, *place) for place in reference.at.items())
    ]


def check_reference(
    loaded: LoadedExperiment, board: str, reference: ReferenceSettings, stages: Mapping[str, list[Task]]
) -> None:
    """Check that a reference means one row of each table.

    Args:
        loaded: the experiment.
        board: the leaderboard stage that names the reference.
        reference: whose stage is there.
        stages: stage -> its tasks, of all stages.

    Raises:
        SpecError: an axis or a value does not exist, the row's runs are told apart, or several rows are meant.
    """
    tasks = stages[reference.stage]
    axes = {axis for task in tasks for axis in task.point}
    for axis, value in reference.at.items():
        if axis not in axes:
            raise unknown(
                f"axis of stage '{reference.stage}'", axis, axes, loaded.locate(board, "reference", "at", axis)
            )
        if not any(_stands_at(task, axis, value) for task in tasks):
            known = {describe(task.point[axis]) for task in tasks if axis in task.point}
            raise unknown(
                f"value of axis '{axis}'", describe(value), known, loaded.locate(board, "reference", "at", axis)
            )
    found = list_reference_tasks(reference, tasks)
    if not found:
        raise SpecError(
            f"{loaded.locate(board, 'reference', 'at')}: {reference} has no task: the matrix does not hold that point, or its "
            "`exclude` dropped it. Give another."
        )
    by_key = {task.key: task for made in stages.values() for task in made}
    lineages = {task.key: describe_lineage(by_key, task) for task in tasks}
    run_axis = _find_run_axis(reference, tasks, found, lineages)
    if run_axis is not None:
        raise SpecError(
            f"{loaded.locate(board, 'reference', 'at', run_axis)}: '{run_axis}' tells the runs of one row apart, and rows are "
            "compared with all of its runs. Leave it out."
        )
    tables: dict[str, dict[str, Task]] = {}
    for task in found:
        lineage = lineages[task.key]
        tables.setdefault(_freeze(lineage[:3]), {}).setdefault(_freeze(lineage), task)
    for rows in tables.values():
        _refuse_several_rows(loaded.locate(board, "reference"), reference, list(rows.values()))


def _stands_at(task: Task, axis: str, value: Any) -> bool:
    """Tell whether a task has a value on an axis: the value itself, or as names of tasks show it."""
    return axis in task.point and (task.point[axis] == value or describe(task.point[axis]) == value)


def _find_run_axis(
    reference: ReferenceSettings, tasks: list[Task], found: list[Task], lineages: Mapping[str, list[Any]]
) -> str | None:
    """Return a given axis on which runs of the found rows differ, such as that of seeds, or None."""
    rows = {_freeze(lineages[task.key]) for task in found}
    runs = [task for task in tasks if _freeze(lineages[task.key]) in rows]
    return next(
        (axis for axis in reference.at if not all(_stands_at(task, axis, reference.at[axis]) for task in runs)), None
    )


def _refuse_several_rows(where: str, reference: ReferenceSettings, rows: list[Task]) -> None:
    if len(rows) < 2:
        return
    axes = [axis for axis in rows[0].point if len({_freeze(row.point.get(axis)) for row in rows}) > 1]
    values = {axis: describe(rows[0].point[axis]) for axis in axes}
    example = ", ".join(f"{axis}: {value}" for axis, value in {**reference.at, **values}.items())
    raise SpecError(
        f"{where}: {reference} has {len(rows)} rows in a table, which differ in {', '.join(axes)}, and one is wanted. Write "
        f"`{{stage: {reference.stage}, at: {{{example}}}}}`, or other values."
    )


def _freeze(data: Any) -> str:
    return json.dumps(data, sort_keys=True, default=str)
