"""What a row says about settings of its method that a search chose: which, out of what, on what, over how many trials."""

from __future__ import annotations

import json

from experiments.graph import Graph
from experiments.schema import StreamStage
from experiments.search import describe_search, list_points, parse_method
from experiments.task import Task
from orchestrator.record import FindRecord


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
        if not isinstance(task.settings, StreamStage) or task.settings.search is None:
            continue
        search = task.settings.search
        record = find_record(task.inputs["method"])
        if record is None or record.method is None:
            said[f"{', '.join(search.space)}: not chosen yet"] = None
            continue
        chosen = parse_method(json.dumps(record.method["settings"]))
        failed = record.metrics.get("failed_trials")
        lost = f", {failed:.0f} without a score" if failed else ""
        said[describe_search(search, chosen, len(list_points(search))) + lost] = None
    return "; ".join(said) or None
