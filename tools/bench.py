"""`make bench`: what segshift itself costs, in medians over repeats of one run on this machine.

python tools/bench.py             everything (about 10 minutes on 2 cores)
python tools/bench.py plan tasks  only these parts
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

SEGSHIFT = [sys.executable, "-m", "orchestrator.cli.main"]
NO_OP_TASKS = 1000

EXPERIMENT = """\
title: tasks that do nothing
datasets: {{test: {{type: cityscapes, split: val}}}}
models: {{net: {{config: cgnet_small}}}}
miniature: {{size: [64, 32], source_train: 1, target_train: 1, target_val: 1, acdc_per_condition: 0, clip_frames: 0}}
matrix: {{index: [{indices}]}}
stages:
  nothing: {stage}
  board: {{kind: leaderboard, needs: [nothing]}}
"""
ONE_EACH = '{kind: evaluate, model: net, dataset: test, limit: "${matrix.index}"}'
TEN_EACH = """\
{kind: benchmark, model: net, dataset: test, limit: "${matrix.index}", seed: "${matrix.seed}",
            matrix: {seed: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}"""


def write_experiment(folder: Path, points: int, stage: str = ONE_EACH) -> Path:
    """Write an experiment of independent tasks, one or ten at each of some points; return its file."""
    file = folder / "nothing.yaml"
    file.write_text(EXPERIMENT.format(indices=", ".join(str(index + 1) for index in range(points)), stage=stage))
    return file


def show(name: str, seconds: list[float], unit: str = "s", target: str = "") -> None:
    """Print the median of some measurements with their range."""
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"{name:<58} {middle:9.3f} {unit:<3} [{low:.3f} .. {high:.3f}, n={len(seconds)}]  {target}", flush=True)


def time_it(function: Callable[[], Any]) -> float:
    """Return the wall seconds of a call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def call(arguments: list[str], store: Path) -> str:
    """Run the console command and return what it printed; a failure ends the bench."""
    done = subprocess.run(
        [*SEGSHIFT, *arguments, "--store", str(store)], capture_output=True, text=True, env=bench_environment()
    )
    if done.returncode != 0:
        sys.exit(f"segshift {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def bench_environment() -> dict[str, str]:
    """Return the environment of measured commands: this user's, without data."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SEGSHIFT_")} | {"COLUMNS": "160"}


def bench_start(store: Path) -> None:
    """Measure how soon the command line answers."""
    show("segshift --help", [time_it(lambda: call_help()) for _ in range(5)], target="target 1.5 s")
    show("segshift plan (list)", [time_it(lambda: call(["plan"], store)) for _ in range(5)], target="target 1.5 s")
    plan = [time_it(lambda: call(["plan", "gta2cityscapes", "--profile", "mini"], store)) for _ in range(5)]
    show("segshift plan gta2cityscapes", plan, target="target 1.5 s")


def call_help() -> None:
    """Run `segshift --help`."""
    subprocess.run([*SEGSHIFT, "--help"], capture_output=True, check=True)


def bench_plan(store: Path) -> None:
    """Measure the expansion of a graph of 10,000 tasks."""
    from experiments.planning import plan_experiment
    from experiments.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        file = write_experiment(Path(folder), 1_000, TEN_EACH)
        seconds = [time_it(lambda: plan_experiment(str(file), Workspace(store=store))) for _ in range(3)]
    show("plan 10,000 tasks", seconds, target="target 3 s")


def run_nothing(assignment: Any, store: Any, tracker: Any) -> tuple[str, float, str | None]:
    """Run a task on a worker with a stage function that does nothing."""
    from orchestrator.driver import run_on_worker
    from orchestrator.record import Cell, Network
    from orchestrator.stages import catalog
    from orchestrator.stages.stage import StageResult

    def nothing(task: Any, context: Any) -> StageResult:
        network = Network(architecture="none", parameters=0, checkpoint_sha256=None, trained_by=None, weights=None)
        return StageResult(network, {"kind": "evaluate"}, ("a",), (Cell(name="clean", frames=1, confusion=((1,),)),))

    catalog.STAGE_FUNCTIONS["evaluate"] = nothing
    return run_on_worker(assignment, store, tracker)


def bench_tasks(store: Path) -> None:
    """Measure Ray's share and ours of a task that does nothing, then a sweep that finds everything cached."""
    import ray

    from experiments.planning import plan_experiment
    from experiments.workspace import Workspace
    from orchestrator import driver
    from orchestrator.cluster_session import open_cluster
    from orchestrator.store import Store
    from orchestrator.sweep_state import survey

    with tempfile.TemporaryDirectory() as folder:
        file = write_experiment(Path(folder), NO_OP_TASKS)
        plan = plan_experiment(str(file), Workspace(store=store))
        with open_cluster(None, dashboard=False):
            bare = ray.remote(lambda: None)
            ray.get([bare.remote() for _ in range(100)])  # workers started
            ours_store = Store(store)
            ours_store.check_writable()
            driver.run_on_worker = run_nothing
            warm = plan_experiment(str(file), Workspace(store=store), overrides=["matrix.index=[2000,2001,2002,2003]"])
            driver.run_sweep(warm, survey(warm.graph, ours_store), ours_store, None, lambda _: None)
            ours = time_it(
                lambda: driver.run_sweep(plan, survey(plan.graph, ours_store), ours_store, None, lambda _: None)
            )
            raw = time_it(lambda: ray.get([bare.remote() for _ in range(NO_OP_TASKS)]))
        show(f"one of {NO_OP_TASKS} no-op tasks, bare Ray", [1000 * raw / NO_OP_TASKS], "ms")
        show(f"one of {NO_OP_TASKS} no-op tasks, through the driver", [1000 * ours / NO_OP_TASKS], "ms", "target 10 ms")
        command = ["sweep", str(file), "--no-servers", "--no-mlflow"]
        show(
            f"sweep of {NO_OP_TASKS} cached tasks",
            [time_it(lambda: call(command, store)) for _ in range(3)],
            target="target 5 s",
        )


def bench_sweep(store: Path) -> None:
    """Measure the mini sweep from an empty store, its peak memory, and the same command again."""
    command = ["sweep", "gta2cityscapes", "--profile", "mini"]
    peak = [0]
    stop = threading.Event()
    watcher = threading.Thread(target=watch_memory, args=(stop, peak), daemon=True)
    watcher.start()
    seconds = time_it(lambda: call(command, store))
    stop.set()
    watcher.join()
    show("mini sweep, empty store", [seconds], target="target 300 s")
    show("  peak memory (PSS) of all its processes", [peak[0] / 2**30], "GB", "target 6 GB")
    texts: list[str] = []
    again = [time_it(lambda: texts.append(call(command, store))) for _ in range(3)]
    executed = re.search(r"(\d+) tasks executed", texts[-1])
    show(
        f"the same command again ({executed.group(1) if executed else '?'} tasks executed)", again, target="target 10 s"
    )


def watch_memory(stop: threading.Event, peak: list[int]) -> None:
    """Note the most memory that this process's descendants used together; shared pages are counted once (PSS)."""
    while not stop.wait(1.0):
        total = 0
        for process in psutil.Process().children(recursive=True):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        peak[0] = max(peak[0], total)


def bench_script(name: str, store: Path) -> None:
    """Run a bench that is a file of its own, in a process of its own: threads are set once in each."""
    subprocess.run([sys.executable, str(Path(__file__).with_name(f"bench_{name}.py"))], check=True)


PARTS = {
    "start": bench_start,
    "plan": bench_plan,
    "tasks": bench_tasks,
    "sweep": bench_sweep,
    "schedule": partial(
        bench_script, "schedule"
    ),  # the driver's makespan beside a list schedule and the simulator's forecast
    "scale": partial(bench_script, "scale"),  # what 100,000 tasks would take
    "store": partial(bench_script, "store"),  # commits
    "search": partial(bench_script, "search"),  # trials through a stage beside bare Tune, with and without MLflow
    "uda": partial(bench_script, "uda"),  # a training step of DAFormer beside its parts
    "tta": partial(bench_script, "tta"),  # a frame of every test-time method beside plain inference
    "noise": partial(bench_script, "noise"),  # ADELE's step beside plain ones, a correction beside bare predictions
    "benchmark": partial(bench_script, "benchmark"),  # the benchmark stage beside the bare network
    "corruptions": partial(bench_script, "corruptions"),  # an image of the fast backend beside one of the reference
}


def main() -> None:
    """Run the parts that the command line names, or all."""
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main()
