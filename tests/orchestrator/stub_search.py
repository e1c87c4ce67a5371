"""A search of trainings that train nothing: each iteration is a line in a file, and the learning rate says the score.

As a script it sweeps one such search on a local Ray of two cores: `python stub_search.py STORE ITERATION_S asha`, or `pbt`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from adapt.errors import TaskError
from adapt.stopping import Stopped, is_stop_requested
from experiments.graph import Graph
from experiments.schema import UdaStage
from experiments.task import Task
from orchestrator.record import Network
from orchestrator.stages.stage import StageContext, StageResult

TOY = Network(architecture="Toy", parameters=7, checkpoint_sha256=None, trained_by=None, weights=None)
ITERATIONS, INTERVAL, SAVED = 60, 10, 5  # of a trial; between two reports; between two resume points
PBT = {"name": "pbt", "interval": 2 * INTERVAL}
MEMBERS_LOG = "members"  # beside the store's tasks: who made which iteration at which rate, in a population
GRACE_S = 200.0  # for a sweep that is stopped
SPACE = {"training.optimizer.lr": {"uniform": [0.1, 0.9]}}


def build_search(name: str = "a", **search: Any) -> Task:
    settings = UdaStage.model_validate(
        {
            "kind": "uda",
            "model": "m",
            "source": "s",
            "target": "t",
            "training": {"iterations": ITERATIONS},
            "validation": {"dataset": "t", "interval": INTERVAL},
            "search": {"space": SPACE, "trials": 8, **search},
        }
    )
    return Task(key=name * 32, stage="tuned", kind="uda", point={}, settings=settings, label="tuned")


def score(lr: float, iteration: int) -> float:
    """Rises with the iterations to a height that is greatest at 0.5."""
    return round((1 - abs(lr - 0.5)) * iteration / ITERATIONS, 6)


def train(task: Task, context: StageContext) -> StageResult:
    """Go on from the resume point, and note every iteration beside the store's tasks."""
    assert isinstance(task.settings, UdaStage)
    assert task.settings.search is None
    lr, seconds = task.settings.training.optimizer.lr, float(os.environ.get("STUB_ITERATION_S", "0"))
    if lr == 0.2:
        raise TaskError("the loss is nan.")
    log = next(parent for parent in context.scratch.parents if parent.name == "tasks").parent / "iterations"
    log.mkdir(exist_ok=True)
    resume = context.scratch / "resume"
    begun = int(resume.read_text()) if resume.is_file() else 0
    for iteration in range(begun + 1, task.settings.training.iterations + 1):
        with (log / f"{lr}").open("a") as file:
            file.write(f"{iteration}\n")
        time.sleep(seconds)
        if iteration % INTERVAL == 0:
            context.on_step(iteration, {"validation_miou": score(lr, iteration)})
        is_stopping = is_stop_requested() and iteration < task.settings.training.iterations
        if iteration % SAVED == 0 or is_stopping:
            draft = context.scratch / "draft"
            draft.write_text(str(iteration))
            draft.replace(resume)
        if is_stopping:
            raise Stopped(f"stopped after iteration {iteration}")
        if iteration % SAVED == 0:
            context.on_step(iteration, {"loss": 1 / iteration, "lr": lr})
    (context.folder / "checkpoint.pth").write_text(f"trained with {lr}")
    return StageResult(network=TOY, classes=("road",), metrics={"miou_last": score(lr, ITERATIONS)})


def build_population(members: int = 4, **search: Any) -> Task:
    return build_search(trials=members, **{"scheduler": PBT, **search})


def step_by(lr: float) -> float:
    """How far an iteration leads; furthest at 0.5."""
    return round((1 - abs(lr - 0.5)) / ITERATIONS, 9)


def train_member(task: Task, context: StageContext) -> StageResult:
    """Go on from the own resume point or the inherited one, as real trainings do; a network is how far it has come."""
    import torch

    from adapt.training.rebase import INHERITED

    lr, seconds = task.settings.training.optimizer.lr, float(os.environ.get("STUB_ITERATION_S", "0"))
    log = next(parent for parent in context.scratch.parents if parent.name == "tasks").parent / MEMBERS_LOG
    resume, inherited = context.scratch / f"resume-{lr}.pth", context.scratch / INHERITED
    begun, level = 0, 0.0
    for file in (inherited, resume):
        if file.exists():
            kept = torch.load(file, weights_only=True)
            begun, level = kept["meta"]["iter"], kept["level"]
    for iteration in range(begun + 1, ITERATIONS + 1):
        with log.open("a") as file:
            file.write(f"{json.dumps([context.scratch.parent.name, lr, iteration])}\n")
        time.sleep(seconds)
        level += step_by(lr)
        if iteration % INTERVAL == 0:
            context.on_step(iteration, {"validation_miou": level})
        if iteration % SAVED == 0:
            draft = context.scratch / "draft"
            torch.save({"meta": {"iter": iteration}, "level": level}, draft)
            draft.replace(resume)
            context.on_step(iteration, {"loss": 1 / iteration, "lr": lr, "iteration_s": seconds})
    (context.folder / "checkpoint.pth").write_text(f"came to {level}")
    return StageResult(network=TOY, classes=("road",), metrics={"miou_last": level})


def list_made(store: Path) -> list[tuple[str, float, int]]:
    """Return (folder of a member, rate, iteration) in the order in which they were made."""
    return [tuple(json.loads(line)) for line in (store / MEMBERS_LOG).read_text().splitlines()]


def list_iterations(store: Path) -> dict[float, list[int]]:
    """Return the iterations that were made with each learning rate, in order, over all attempts."""
    return {
        float(file.name): [int(line) for line in file.read_text().split()] for file in (store / "iterations").glob("0*")
    }


def run_on_stub_worker(assignment: Any, store: Any, tracker: Any, training: Any) -> tuple[str, float, str | None]:
    """Run the real worker function; the stub stands for every training, in the processes that it starts too."""
    from orchestrator import driver, search

    real = search._make

    def make(config: Any, **given: Any) -> None:
        from orchestrator.stages import uda

        uda.run = training
        real(config, **given)

    search._make = make
    (store.root / "search-pid").write_text(str(os.getpid()))
    try:
        return driver.run_on_worker.original(assignment, store, tracker)
    finally:
        search._make = real


def sweep(
    place: Path,
    task: Task,
    mirror: Any = None,
    training: Any = train,
    on_change: Callable[[Any], None] = lambda state: None,
) -> Any:
    """Sweep the graph of one task on the cluster that is open, and return its state."""
    from orchestrator import driver
    from orchestrator.store import Store
    from orchestrator.sweep_state import survey

    original = driver.run_on_worker

    def remote(assignment: Any, store: Any, tracker: Any) -> tuple[str, float, str | None]:
        driver.run_on_worker = original
        driver.run_on_worker.original = original
        return run_on_stub_worker(assignment, store, tracker, training)

    store = Store(place)
    store.check_writable()
    graph = Graph("byhand", "full", "A question", {task.key: task}, (task,), {})
    facts = SimpleNamespace(find_root=lambda name: None, find_weights=lambda name: None)
    plan: Any = SimpleNamespace(graph=graph, facts=facts, cache=None)
    driver.run_on_worker = remote
    try:
        return driver.run_sweep(plan, survey(graph, store), store, mirror, on_change, GRACE_S)
    finally:
        driver.run_on_worker = original


if __name__ == "__main__":
    from orchestrator.cluster_session import open_cluster

    os.environ["STUB_ITERATION_S"] = sys.argv[2]
    with open_cluster(None, dashboard=False, cpus=2):
        if sys.argv[3] == "pbt":
            state = sweep(Path(sys.argv[1]), build_population(), training=train_member)
        else:
            state = sweep(Path(sys.argv[1]), build_search(scheduler={"name": "asha", "grace": 20}))
    print(json.dumps({"complete": state.is_complete, "messages": state.messages}))
