"""Stage kind -> the function that runs it."""

from __future__ import annotations

from collections.abc import Callable

from experiments.task import Task
from orchestrator.stages import benchmark, evaluate, stream, train, uda
from orchestrator.stages.stage import StageContext, StageResult

STAGE_FUNCTIONS: dict[str, Callable[[Task, StageContext], StageResult]] = {
    "train": train.run,
    "uda": uda.run,
    "evaluate": evaluate.run,
    "stream": stream.run,
    "benchmark": benchmark.run,
}
