"""Every task of an experiment as its report shows it: told from the plan, the store's records, failures and leases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.graph import Graph
from orchestrator.costs import Costs, estimate_s
from orchestrator.leaderboard.source import StoreSource
from orchestrator.record import Record
from orchestrator.store import Store

State = Literal["done", "running", "failed", "unusable", "blocked", "open"]

WORDS: dict[State, str] = {
    "done": "done",
    "running": "running",
    "failed": "failed",
    "unusable": "unusable",
    "blocked": "blocked",
    "open": "not run",
}
"""How each state is called on the page, those that matter most last."""


@dataclass(frozen=True)
class TaskView:
    """One task.

    Attributes:
        key: of it.
        name: as shown to people.
        stage: of its experiment.
        kind: of its stage.
        inputs: keys of the tasks whose output it takes.
        state: where it stands.
        expected_s: how long the file expects it to take; None where it does not say.
        estimate_s: how long it is expected to take now, by what this store measured; None where nothing is known.
        record: of its result, or of its failure.
        reason: why its record cannot be used.
        log: where its log lies, or None.
        failure_file: where the record of its failure lies, or None.
    """

    key: str
    name: str
    stage: str
    kind: str
    inputs: tuple[str, ...]
    state: State
    expected_s: float | None = None
    estimate_s: float | None = None
    record: Record | None = None
    reason: str | None = None
    log: str | None = None
    failure_file: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took, or None where it has no result."""
        return self.record.seconds if self.record is not None and self.state == "done" else None


def survey_tasks(graph: Graph, store: Store, source: StoreSource, costs: Costs) -> dict[str, TaskView]:
    """Return every task of a graph as it stands, inputs before what needs them.

    Args:
        graph: the experiment.
        store: with failures, leases and logs.
        source: with the records of the graph's tasks.
        costs: measured seconds by stage.
    """
    done = store.list_done()
    views: dict[str, TaskView] = {}
    for key, task in graph.tasks.items():
        record, reason = source.find_record(key), None
        state: State = "done"
        if record is None:
            record = store.read_failure(key)
            state = _choose_state(key in done, store.is_held(key), record, task.inputs.values(), views)
            reason = source.explain_missing(key) if state == "unusable" else None
        log = store.find_log(key)
        views[key] = TaskView(
            key=key,
            name=task.name,
            stage=task.stage,
            kind=task.kind,
            inputs=tuple(dict.fromkeys(task.inputs.values())),
            state=state,
            expected_s=estimate_s(task, graph, {}),
            estimate_s=estimate_s(task, graph, costs),
            record=record,
            reason=reason,
            log=str(log) if log is not None else None,
            failure_file=store.name_failure(key) if state == "failed" else None,
        )
    return views


def _choose_state(
    is_committed: bool, is_held: bool, failed: Record | None, inputs: Iterable[str], views: Mapping[str, TaskView]
) -> State:
    """Return where a task stands that has no record to use."""
    if is_held:
        return "running"
    if is_committed:
        return "unusable"
    if failed is not None:
        return "failed"
    return "blocked" if any(views[key].state in ("failed", "unusable", "blocked") for key in inputs) else "open"


def count_states(views: Iterable[TaskView]) -> dict[State, int]:
    """Return how many tasks stand where; states that none is in are left out."""
    counts: dict[State, int] = dict.fromkeys(WORDS, 0)
    for view in views:
        counts[view.state] += 1
    return {state: count for state, count in counts.items() if count}


def tell_standing(views: Sequence[TaskView]) -> str:
    """Say in a sentence how an experiment stands, or begin one that the counts of each state end."""
    counts = count_states(views)
    if set(counts) == {"done"}:
        return f"All {len(views)} tasks are done."
    if set(counts) <= {"open"}:
        return f"None of the {len(views)} tasks has run yet."
    return f"{len(views)} tasks:"
