"""How well the driver fills a cluster, and whether `segshift simulate` foretells it: sleeps on a local Ray of 8 slots.

python tools/bench_schedule.py                        everything (about 6 minutes)
python tools/bench_schedule.py overhead makespan      only these parts

Tasks go through the real driver, lease, record and commit; only their stage sleeps, so that slots may outnumber cores, and
workers import no mmsegmentation.
"""

from __future__ import annotations

import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from experiments.graph import Graph
from experiments.schema import EvaluateStage, ResourceSettings
from experiments.task import Task
from orchestrator.room import Demand
from orchestrator.simulation.bound import find_bound
from orchestrator.simulation.cluster import NO_OVERHEAD, ClusterSettings, NodeSettings, OverheadSettings
from orchestrator.simulation.replay import replay
from orchestrator.simulation.work import Work

SLOTS = 8
TASKS = 200
LAYERS = 4
CPUS = (1, 1, 1, 1, 2, 2, 4, 0.5)  # of the mixed graph, drawn evenly
REPEATS = 3
WORKERS = 2 * SLOTS  # as many as tasks of half a core can run at once
STEADY = {  # workers are started once and kept: how long a process starts on a busy machine is not what is measured here
    "RAY_num_workers_soft_limit": str(WORKERS + 4),
    "RAY_idle_worker_killing_time_threshold_ms": "3600000",
    "RAY_worker_niceness": "0",
}


def sleep_on_worker(assignment: Any, store: Any, tracker: Any) -> Any:
    """Run the driver's own worker function, with a stage that sleeps as long as its task's point says."""
    from orchestrator.record import Network
    from orchestrator.stages.stage import StageResult

    def sleep(task: Any, context: Any) -> Any:
        time.sleep(task.point["seconds"])
        network = Network(architecture="none", parameters=0, checkpoint_sha256=None, trained_by=None, weights=None)
        return StageResult(network=network)

    catalog: Any = types.ModuleType("orchestrator.stages.catalog")
    catalog.STAGE_FUNCTIONS = {"evaluate": sleep}
    sys.modules["orchestrator.stages.catalog"] = catalog
    from orchestrator import environment
    from orchestrator.worker import run_on_worker

    environment.__dict__["_name_gpus"] = list  # asking torch takes seconds in every worker
    return run_on_worker(assignment, store, tracker)


def make_task(name: str, seconds: float, needs: Sequence[Task] = (), cpus: float = 1) -> Task:
    """Make a task that sleeps."""
    resources = ResourceSettings(cpus=cpus)
    return Task(
        key=hashlib.sha256(name.encode()).hexdigest()[:32],
        stage=name.partition("-")[0],
        kind="evaluate",
        point={"name": name, "seconds": seconds},
        settings=EvaluateStage(kind="evaluate", model="none", dataset="none", resources=resources),
        inputs={f"input{index}": task.key for index, task in enumerate(needs)},
        resources=resources,
    )


def make_graph(tasks: Sequence[Task]) -> Graph:
    """Make a graph of tasks in the order of a file."""
    return Graph("sleeps", "full", "sleeps", {task.key: task for task in tasks}, tuple(tasks), {})


def make_mixed(seed: int) -> Graph:
    """Make a graph of sleeps of 0.1 to 2 s and of 0.5 to 4 cores in layers; each but those of the first needs 1 to 3."""
    draw = random.Random(seed)
    layers: list[list[Task]] = []
    for layer in range(LAYERS):
        made = []
        for index in range(TASKS // LAYERS):
            needs = draw.sample(layers[-1], draw.randint(1, 3)) if layers else []
            made.append(make_task(f"layer{layer}-{seed}-{index}", draw.uniform(0.1, 2), needs, cpus=draw.choice(CPUS)))
        layers.append(made)
    return make_graph([task for made in layers for task in made])


def run(graph: Graph, store: Any) -> tuple[float, dict[str, float]]:
    """Sweep a graph through the driver; return its makespan and the seconds of each task."""
    from orchestrator import driver
    from orchestrator.sweep_state import survey

    facts = SimpleNamespace(find_root=lambda name: None, find_weights=lambda name: None, problems=[])
    plan: Any = SimpleNamespace(graph=graph, facts=facts, cache=None)
    started = time.perf_counter()
    state = driver.run_sweep(plan, survey(graph, store), store, None, lambda _: None)
    elapsed = time.perf_counter() - started
    if not state.is_complete:
        sys.exit(f"a task failed: {next(iter(state.messages.values()))}")
    return elapsed, dict(state.seconds)


def start_workers(folder: Path) -> None:
    """Have Ray start all worker processes that the graphs can use at once, and import what they run."""
    import ray

    @ray.remote(num_cpus=SLOTS / WORKERS)
    def meet(folder: str) -> None:
        import orchestrator.worker  # noqa: F401

        (Path(folder) / str(os.getpid())).touch()
        until = time.monotonic() + 300
        while len(os.listdir(folder)) < WORKERS and time.monotonic() < until:
            time.sleep(0.1)

    folder.mkdir()
    ray.get([meet.remote(str(folder)) for _ in range(WORKERS)])


def list_work(graph: Graph, seconds: dict[str, float]) -> list[Work]:
    """Return the tasks of a graph as they are simulated."""
    return [
        Work(key, task.stage, seconds[key], tuple(task.inputs.values()), Demand(cpus=task.resources.cpus))
        for key, task in graph.tasks.items()
    ]


def describe_slots(overheads: OverheadSettings) -> ClusterSettings:
    """Describe the local cluster."""
    return ClusterSettings(nodes={"local": NodeSettings(count=1, cpus=SLOTS, memory_gb=64)}, overheads=overheads)


def bench_overhead(sweep: Callable[[Graph], tuple[float, dict[str, float]]]) -> OverheadSettings:
    """Measure what a task costs beside its stage: on its slot, between two of a chain, and in the driver."""
    count = 30 * SLOTS
    rates, slots, hops = [], [], []
    for repeat in range(REPEATS):
        elapsed, _ = sweep(make_graph([make_task(f"none-{repeat}-{index}", 0.0) for index in range(500)]))
        rates.append(500 / elapsed)
        elapsed, seconds = sweep(make_graph([make_task(f"flat-{repeat}-{index}", 0.3) for index in range(count)]))
        slots.append((elapsed * SLOTS - sum(seconds.values())) / count)
        chain: list[Task] = []
        for index in range(20):
            chain.append(make_task(f"chain-{repeat}-{index}", 0.2, chain[-1:]))
        elapsed, seconds = sweep(make_graph(chain))
        hops.append((elapsed - sum(seconds.values())) / len(chain))
    show("tasks a second through the driver (no-op)", rates, "/s")
    show("a slot between two tasks", [1000 * value for value in slots], "ms")
    show("from a task's end to the next of a chain", [1000 * value for value in hops], "ms")
    return OverheadSettings(
        task_seconds=max(0.0, statistics.median(slots)), submit_per_second=statistics.median(rates), notice_seconds=0
    )


def bench_makespan(sweep: Callable[[Graph], tuple[float, dict[str, float]]], overheads: OverheadSettings) -> None:
    """Measure makespans of mixed graphs beside their list schedule, their lower bound and what the simulator foretells."""
    lists, bounds, foretold, makespans = [], [], [], []
    for seed in range(REPEATS):
        graph = make_mixed(seed)
        elapsed, seconds = sweep(graph)
        works = list_work(graph, seconds)
        makespans.append(elapsed)
        lists.append(elapsed / replay(works, describe_slots(NO_OVERHEAD)).makespan_s)
        bounds.append(elapsed / find_bound(works, describe_slots(NO_OVERHEAD)).seconds)
        foretold.append(replay(works, describe_slots(overheads)).makespan_s / elapsed)
    show(f"makespan of {TASKS} mixed sleeps", makespans, "s")
    show("  over the list schedule of the same seconds", lists, "x", "target 1.05 x")
    show("  over max(work / slots, critical path)", bounds, "x")
    show("  foretold by the simulator, over the real one", foretold, "x", "target 0.90 to 1.10 x")


def show(name: str, values: Sequence[float], unit: str, target: str = "") -> None:
    """Print the median of some measurements with their range."""
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{name:<58} {middle:9.3f} {unit:<3} [{low:.3f} .. {high:.3f}, n={len(values)}]  {target}", flush=True)


def main() -> None:
    """Run the parts that the command line names, or all."""
    from orchestrator import driver
    from orchestrator.cluster_session import open_cluster
    from orchestrator.store import Store

    parts = sys.argv[1:] or ["overhead", "makespan"]
    setattr(driver, "run_on_worker", sleep_on_worker)  # noqa: B010  (a stand-in, on purpose)
    os.environ.update(STEADY)
    with tempfile.TemporaryDirectory() as folder, open_cluster(None, dashboard=False, cpus=SLOTS):
        store = Store(Path(folder))
        store.check_writable()

        def sweep(graph: Graph) -> tuple[float, dict[str, float]]:
            return run(graph, store)

        start_workers(Path(folder) / "workers")
        sweep(make_graph([make_task(f"warm-{index}", 0.5, cpus=SLOTS / WORKERS) for index in range(WORKERS)]))
        overheads = bench_overhead(sweep) if "overhead" in parts else OverheadSettings()
        if "makespan" in parts:
            bench_makespan(sweep, overheads)


if __name__ == "__main__":
    main()
