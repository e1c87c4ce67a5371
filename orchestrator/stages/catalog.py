"""Stage kind -> the function that runs it."""

from __future__ import annotations

from collections.abc import Callable

from experiments.searched_training import find_search
from experiments.task import Task
from orchestrator.stages import benchmark, evaluate, fisher, search, stream, styles, train, uda
from orchestrator.stages.stage import StageContext, StageResult

StageFunction = Callable[[Task, StageContext], StageResult]


def _searched(run: StageFunction) -> StageFunction:
    """Return a training that makes its search first where its stage has one; the search's best trial is its result."""

    def run_or_search(task: Task, context: StageContext) -> StageResult:
        return (run if find_search(task.settings) is None else search.run)(task, context)

    return run_or_search


STAGE_FUNCTIONS: dict[str, StageFunction] = {
    "train": _searched(train.run),
    "uda": _searched(uda.run),
    "evaluate": evaluate.run,
    "styles": styles.run,
    "fisher": fisher.run,
    "search": search.run,
    "stream": stream.run,
    "benchmark": benchmark.run,
}
