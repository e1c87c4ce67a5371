"""The note of a plan: what a sweep was to run, and what must be known to expand its experiment again without the data.

It is kept in the store and in MLflow, where leaderboards and aliases are made from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from pydantic import ValidationError

from adapt.errors import PrerequisiteError
from adapt.settings import Settings
from experiments.graph import Graph, expand
from experiments.planning import Plan
from experiments.recorded_facts import FactsNote, RecordedFacts
from experiments.reference_row import list_reference_tasks
from experiments.task import Task
from orchestrator.protocol import describe_protocol
from orchestrator.store import Store

FOLDER = "plans"
SCHEMA_VERSION: Literal[1] = 1
SCORED = ("evaluate", "benchmark", "stream")


class PlanNote(Settings):
    """A plan as it was run.

    Attributes:
        schema_version: of this note.
        experiment: its name.
        variant: the profile, with a hash of the overrides where there are any.
        facts: fingerprints and hashes that the keys were made of.
        tasks: keys of all tasks, each after its inputs.
        ranked: keys of the tasks that the first table of the leaderboard is made of.
        baseline: keys of the trainings that the leaderboard compares with: the source of its gap, its reference, or else
            the first training without adaptation.
    """

    schema_version: Literal[1]
    experiment: str
    variant: str
    facts: FactsNote
    tasks: tuple[str, ...]
    ranked: tuple[str, ...]
    baseline: tuple[str, ...]


def write_plan(plan: Plan, store: Store) -> None:
    """Keep the note of a plan in a store."""
    note = PlanNote(
        schema_version=SCHEMA_VERSION,
        experiment=plan.graph.name,
        variant=plan.graph.variant,
        facts=plan.facts.note(),
        tasks=tuple(plan.graph.tasks),
        ranked=_list_ranked(plan.graph),
        baseline=_list_baseline(plan.graph),
    )
    name, text = name_plan(note.experiment, note.variant), note.model_dump_json(indent=1)
    if store.read_note(name) != text:
        store.write_note(name, text)


def name_plan(experiment: str, variant: str) -> str:
    """Return under which name the note of a plan is kept."""
    return f"{FOLDER}/{experiment}-{variant}.json"


def parse_plan(text: str, where: str) -> PlanNote:
    """Return the note that a text holds.

    Raises:
        PrerequisiteError: it holds none, or one of another version.
    """
    try:
        return PlanNote.model_validate_json(text)
    except ValidationError as error:
        raise PrerequisiteError(
            f"{where}: this plan cannot be read ({error.error_count()} problems; another version of segshift may have written "
            "it). Sweep the experiment again, which writes it anew."
        ) from error


def find_plan(store: Store, experiment: str, variant: str) -> PlanNote | None:
    """Return the note of a plan, or None where there is none.

    Raises:
        PrerequisiteError: it cannot be read.
    """
    name = name_plan(experiment, variant)
    text = store.read_note(name)
    return None if text is None else parse_plan(text, name)


def recall_plan(plan: Plan, store: Store) -> Plan | None:
    """Return a plan with the tasks of the last sweep into a store, for reading results where data or weights are not.

    Args:
        plan: as this machine makes it.
        store: that may have swept it.

    Returns:
        The plan itself where all is here; None where something is not, and the store never swept it.

    Raises:
        PrerequisiteError: the note of that sweep cannot be read.
    """
    if not plan.facts.problems:
        return plan
    note = find_plan(store, plan.graph.name, plan.graph.variant)
    return None if note is None else replace(plan, graph=expand(plan.loaded, RecordedFacts(plan.loaded, note.facts)))


def list_plans(store: Store) -> list[PlanNote]:
    """Return the notes of all plans in a store.

    Raises:
        PrerequisiteError: one of them cannot be read.
    """
    return [parse_plan(store.read_note(name) or "", name) for name in sorted(store.list_notes(FOLDER))]


def _list_ranked(graph: Graph) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(name for board in graph.leaderboards.values() for name in board.needs))
    tables: dict[str, dict[str, None]] = {}
    for task in graph.nodes:
        if task.kind in SCORED and (not wanted or task.stage in wanted):
            protocol = json.dumps(describe_protocol(task), sort_keys=True)
            tables.setdefault(protocol, {})[task.key] = None
    return tuple(next(iter(tables.values()), {}))


def _list_baseline(graph: Graph) -> tuple[str, ...]:
    boards = graph.leaderboards.values()
    source = next((board.gap.source for board in boards if board.gap is not None), None)
    if source is not None:
        return _list_keys(task for task in graph.nodes if task.stage == source)
    sought = next((board.reference for board in boards if board.reference is not None), None)
    if sought is not None:
        scored = list_reference_tasks(sought, list(graph.nodes))
        return tuple(dict.fromkeys(task.inputs["checkpoint"] for task in scored if "checkpoint" in task.inputs))
    first = next((task.stage for task in graph.nodes if task.kind == "train"), None)
    return _list_keys(task for task in graph.nodes if task.stage == first)


def _list_keys(tasks: Iterable[Task]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(task.key for task in tasks))
