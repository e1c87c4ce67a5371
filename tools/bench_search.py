"""`make bench`: what a search adds to Ray Tune, and what tracking its trials adds to a search; medians of interleaved runs.

python tools/bench_search.py    on a local Ray of two cores; the trials do nothing, or report 20 times
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from experiments.graph import Graph
from experiments.schema import UdaStage
from experiments.task import Task
from orchestrator import driver, mlflow_server, search
from orchestrator.cluster_session import open_cluster
from orchestrator.record import Network
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.stages.trial import OnReport, Trial
from orchestrator.store import Store
from orchestrator.sweep_state import survey
from orchestrator.tracker import MirrorTarget

TRIALS, REPORTS, REPEATS, CPUS = 16, 20, 3, 2
ITERATION_S = 0.02  # of a trial that reports: 50 iterations a second are more than any network does
LARGEST_RATIO, LARGEST_SHARE = 1.5, 0.10  # targets: of bare Tune's time; that tracking adds
TOY = Network(architecture="Toy", parameters=7, checkpoint_sha256=None, trained_by=None, weights=None)


def train(task: Task, context: StageContext, trial: Trial, on_report: OnReport) -> tuple[StageResult, float]:
    """Report as often as there are iterations, and train nothing: not even what trains is imported."""
    settings: Any = trial.settings
    for iteration in range(1, settings.training.iterations):
        time.sleep(ITERATION_S)
        on_report(iteration, 1 / iteration, {"loss": 1 / iteration, "lr": settings.training.optimizer.lr})
    return StageResult(network=TOY), settings.training.optimizer.lr


def build_search(reports: int, number: int) -> Task:
    """Make the task of a grid of `TRIALS` points whose trials report so often; each `number` is another task."""
    settings = UdaStage.model_validate(
        {
            "kind": "uda",
            "model": "m",
            "source": "s",
            "target": "t",
            "training": {"iterations": reports},
            "search": {
                "space": {"training.optimizer.lr": [0.001 * (trial + 1) for trial in range(TRIALS)]},
                "metric": "loss",
                "mode": "min",
            },
        }
    )
    return Task(key=f"{number:032x}", stage="tuned", kind="uda", point={}, settings=settings, label="tuned")


def run_on_worker(assignment: Any, store: Any, tracker: Any) -> tuple[str, float, str | None]:
    """Run the real worker function, with trainings that train nothing."""
    real = search._make

    def make(config: Any, **given: Any) -> None:
        from orchestrator.stages import trial

        trial.run_training_trial = train
        real(config, **given)

    search._make = make
    try:
        return REAL(assignment, store, tracker)
    finally:
        search._make = real


REAL = driver.run_on_worker


def measure_stage(task: Task, store: Store, mirror: MirrorTarget | None) -> float:
    """Return the seconds of a sweep of one search, with all that a sweep does."""
    graph = Graph("bench", "full", "", {task.key: task}, (task,), {})
    facts = SimpleNamespace(find_root=lambda name: None, find_weights=lambda name: None)
    plan: Any = SimpleNamespace(graph=graph, facts=facts, cache=None)
    started = time.perf_counter()
    state = driver.run_sweep(plan, survey(graph, store), store, mirror, lambda state: None)
    seconds = time.perf_counter() - started
    if not state.is_complete or state.mirror_problem:
        raise RuntimeError(f"{state.messages} {state.mirror_problem}")
    return seconds


def measure_bare(folder: Path) -> float:
    """Return the seconds that Tune takes for as many trials that do nothing, with the settings of `orchestrator.search`."""
    from ray import tune

    def nothing(config: dict[str, Any]) -> None:
        tune.report({"score": config["lr"]})

    started = time.perf_counter()
    tune.Tuner(
        tune.with_resources(nothing, {"cpu": 1}),
        param_space={"lr": tune.grid_search([0.001 * (trial + 1) for trial in range(TRIALS)])},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    return time.perf_counter() - started


def interleave(ways: dict[str, Callable[[int], float]]) -> dict[str, float]:
    """Measure each way in turn, `REPEATS` times after one that warms up; return the medians."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(REPEATS + 1):
        for name, measure in ways.items():
            taken = measure(repeat)
            if repeat:
                seconds[name].append(taken)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> int:
    """Print both comparisons and their targets; the exit code says whether they were met."""
    driver.run_on_worker = run_on_worker
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        store.check_writable()
        uri = mlflow_server.default_uri(store)
        mlflow_server.ready_tracking(uri, store)
        mirror = MirrorTarget(uri, "bench", "full", mlflow_server.artifact_root(store))
        with open_cluster(None, dashboard=False, cpus=CPUS):
            trivial = interleave(
                {
                    "bare Tune": lambda repeat: measure_bare(Path(folder) / "tune"),
                    "stage": lambda repeat: measure_stage(build_search(1, repeat), store, None),
                }
            )
            tracked = interleave(
                {
                    "untracked": lambda repeat: measure_stage(build_search(REPORTS, 100 + repeat), store, None),
                    "tracked": lambda repeat: measure_stage(build_search(REPORTS, 200 + repeat), store, mirror),
                }
            )
    ratio = trivial["stage"] / trivial["bare Tune"]
    share = tracked["tracked"] / tracked["untracked"] - 1
    print(f"{TRIALS} trivial trials: bare Tune {trivial['bare Tune']:.2f} s, a search stage {trivial['stage']:.2f} s")
    print(f"  {ratio:.2f} x (target {LARGEST_RATIO} x)")
    print(f"{TRIALS} trials of {REPORTS} reports: {tracked['untracked']:.2f} s, in MLflow {tracked['tracked']:.2f} s")
    print(f"  {100 * share:+.0f}% (target +{100 * LARGEST_SHARE:.0f}%)")
    return int(ratio > LARGEST_RATIO or share > LARGEST_SHARE)


if __name__ == "__main__":
    sys.exit(main())
