"""Stage kind -> the function that runs it."""

from __future__ import annotations

from collections.abc import Callable

from experiments.task import Task
from orchestrator.stages import benchmark, evaluate, fisher, search, stream, styles, train, uda
from orchestrator.stages.stage import StageContext, StageResult

STAGE_FUNCTIONS: dict[str, Callable[[Task, StageContext], StageResult]] = {
    "train": train.run,
    "uda": uda.run,
    "evaluate": evaluate.run,
    "styles": styles.run,
    "fisher": fisher.run,
    "search": search.run,
    "stream": stream.run,
    "benchmark": benchmark.run,
}
