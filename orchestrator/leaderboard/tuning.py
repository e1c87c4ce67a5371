"""What a row says about settings of its method that a search chose: which, out of what, on what, over how many trials."""

from __future__ import annotations

import json

from experiments.graph import Graph
from experiments.schema import StreamStage, TrainStage, UdaStage
from experiments.search import (
    SearchSettings,
    StreamSearchSettings,
    count_trials,
    describe_domains,
    describe_search,
    parse_method,
)
from experiments.task import Task
from orchestrator.record import FindRecord, Record


def describe_tuning(graph: Graph, tasks: list[Task], find_record: FindRecord) -> str | None:
    """Say in one line what was tuned for the runs of a row.

    Args:
        graph: the graph that they are of.
        tasks: its runs, one for each seed; each may have had a search of its own.
        find_record: key -> record, or None where there is none.

    Returns:
        Such as `lr=1e-4 of {1e-5, 1e-4}, 2 trials on val, 1 without a score`; once for each choice; None where nothing was
        tuned.
    """
    said: dict[str, None] = {}
    for task in tasks:
        trained = graph.tasks.get(task.inputs.get("checkpoint", ""))
        if (
            trained is not None
            and isinstance(trained.settings, TrainStage | UdaStage)
            and trained.settings.search is not None
        ):
            said[_describe_training(trained.settings, find_record(trained.key))] = None
        if isinstance(task.settings, StreamStage) and task.settings.search is not None:
            said[_describe_stream(task.settings.search, find_record(task.inputs["method"]))] = None
    return "; ".join(said) or None


def _describe_stream(search: StreamSearchSettings, record: Record | None) -> str:
    if record is None or record.method is None:
        return _describe_open(search)
    chosen = parse_method(json.dumps(record.method["settings"]))
    return describe_search(search, chosen, _count(search, record), describe_domains(search.stream)) + _describe_lost(
        record
    )


def _describe_training(stage: TrainStage | UdaStage, record: Record | None) -> str:
    """Say of a training whose labels its settings were chosen by: model selection on target labels is told from none."""
    search = stage.search
    if search is None:
        raise ValueError("a training without a search")
    if record is None or record.method is None:
        return _describe_open(search)
    by_miou = search.metric == "miou" and stage.validation is not None
    judged = (
        f"labels of {stage.validation.dataset}" if by_miou and stage.validation is not None else f"its {search.metric}"
    )
    said = describe_search(search, record.method["point"], _count(search, record), judged)
    return said + _describe_lost(record)


def _describe_open(search: SearchSettings) -> str:
    return f"{', '.join(search.space)}: not chosen yet"


def _count(search: SearchSettings, record: Record) -> int:
    """Return how many trials a search made; records that are older than samplers do not all say it."""
    return int(record.metrics.get("trials") or count_trials(search) or 0)


def _describe_lost(record: Record) -> str:
    pruned, failed = record.metrics.get("pruned_trials"), record.metrics.get("failed_trials")
    stopped = f", {pruned:.0f} stopped early" if pruned else ""
    return stopped + (f", {failed:.0f} without a score" if failed else "")
