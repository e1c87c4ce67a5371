"""What 100,000 tasks on 1,000 GPUs would take, and what of segshift would break first: replays, and measurements here.

python tools/bench_scale.py                     everything (about 10 minutes)
python tools/bench_scale.py replay PICTURE.png  the replays, with a picture of the GPUs in use
python tools/bench_scale.py limits              plans, store, tracker and MLflow
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from bench import TEN_EACH, bench_environment, time_it, write_experiment

from orchestrator.room import Demand
from orchestrator.simulation.bound import find_bound
from orchestrator.simulation.cluster import ClusterSettings, NodeSettings
from orchestrator.simulation.forecast import average_timeline
from orchestrator.simulation.replay import Replay, replay
from orchestrator.simulation.work import Work

TREES = 2500  # of 40 tasks each
WHOLE, QUARTER = Demand(cpus=4, gpus=1), Demand(cpus=2, gpus=0.25)
CLUSTERS = {
    "never fails": {},
    "on demand (a node fails every 47 days)": {"mean_hours_between_failures": 1130, "restart_minutes": 15},
    "spot (a node is lost every 24 h)": {
        "spot": True, "mean_hours_between_failures": 24, "warning_seconds": 30, "restart_minutes": 30, "price_per_hour": 22,
    },
}  # fmt: skip


def make_trees(count: int, seed: int = 0) -> list[Work]:
    """Make the work of so many trained networks: a DAFormer training each, and what is scored of it.

    A training takes 16 GPU-hours (the measured figure of lhoyer/DAFormer, see experiments/gta2cityscapes.yaml), give or take a
    fifth for other methods and machines, with a resume point every 40th of it; after it 4 clean evaluations of 10 minutes and 20
    benchmark cells of up to half an hour on a quarter of a GPU, and 15 streams of up to half an hour on a whole one. Ours.
    """
    draw = random.Random(seed)
    works: list[Work] = []
    for tree in range(count):
        key, seconds = f"train-{tree}", 57_600 * draw.lognormvariate(0, 0.2)
        works.append(Work(key, "train", seconds, (), WHOLE, resume_every_s=seconds / 40))
        works += [Work(f"clean-{tree}-{i}", "clean", 600, (key,), QUARTER) for i in range(4)]
        works += [Work(f"stream-{tree}-{i}", "stream", draw.uniform(300, 1800), (key,), WHOLE) for i in range(15)]
        works += [Work(f"grid-{tree}-{i}", "grid", draw.uniform(300, 1800), (key,), QUARTER) for i in range(20)]
    return works


def describe_cluster(nodes: int, **fields: Any) -> ClusterSettings:
    """Describe nodes of eight GPUs at 55 an hour, if nothing else is said."""
    node = {
        "count": nodes,
        "cpus": 96,
        "gpus": 8,
        "memory_gb": 1000,
        "price_per_hour": 55,
        "start_minutes": 5,
        **fields,
    }
    return ClusterSettings(nodes={"node": NodeSettings.model_validate(node)})


def bench_replay(picture: Path | None) -> None:
    """Replay the trees on 125 nodes of 8 GPUs, and on fewer and more."""
    works = make_trees(TREES)
    lines: dict[str, Replay] = {}
    print(f"{len(works):,} tasks of {sum(work.seconds * work.demand.gpus for work in works) / 3600:,.0f} GPU-hours")
    for nodes in (32, 64, 125, 250, 500):
        cluster = describe_cluster(nodes)
        show_replay(f"{8 * nodes} GPUs, never fails", works, cluster)
    for name, fields in CLUSTERS.items():
        lines[name] = show_replay(f"1000 GPUs, {name}", works, describe_cluster(125, **fields))
    if picture is not None:
        draw(lines, picture)


def show_replay(name: str, works: list[Work], cluster: ClusterSettings) -> Replay:
    """Replay and print a line."""
    started = time.perf_counter()
    one = replay(works, cluster)
    elapsed = time.perf_counter() - started
    bound = find_bound(works, cluster)
    given_up = sum(count > 2 for count in one.interruptions.values())
    print(
        f"{name:<48} {one.makespan_s / 3600:7.1f} h (bound {bound.seconds / 3600:.1f} h)  GPUs {one.utilisation('GPU') or 0:.1%}  "
        f"cost {one.cost:,.0f}  lost nodes {one.failures}  lost {one.lost_s / 3600:,.0f} h  interrupted > 2x {given_up}  "
        f"replayed in {elapsed:.1f} s",
        flush=True,
    )
    return one


def draw(lines: dict[str, Replay], picture: Path) -> None:
    """Draw how many GPUs are in use over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 1, figsize=(9, 5), sharex=True, constrained_layout=True)
    for name, one in lines.items():
        line = average_timeline(one, 300)
        hours = [seconds / 3600 for seconds in line["seconds"]]
        axes[0].plot(hours, line["gpus"], label=name, linewidth=1.2)
        axes[1].plot(hours, line["ready"], label=name, linewidth=1.2)
    axes[0].set_ylabel("GPUs in use")
    axes[0].set_ylim(0, 1050)
    axes[0].legend(frameon=False, loc="lower left")
    axes[1].set_ylabel("tasks that wait for a place")
    axes[1].set_xlabel("hours")
    for one_axes in axes:
        one_axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("100,000 tasks on 125 nodes of 8 GPUs, simulated")
    figure.savefig(picture, dpi=110)
    print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


def bench_limits() -> None:
    """Measure what grows with the number of tasks."""
    from experiments.planning import plan_experiment
    from experiments.workspace import Workspace
    from orchestrator.priority import longest_remaining
    from orchestrator.store import Store
    from orchestrator.sweep_state import survey
    from orchestrator.tracker import Tracker

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = Store(root / "store")
        store.check_writable()
        for points in (1_000, 10_000):
            file = write_experiment(root, points, TEN_EACH)
            plans: list[Any] = []
            show(
                f"plan of {10 * points:,} tasks: expansion",
                lambda f=str(file), p=plans: p.append(plan_experiment(f, Workspace(store=store.root))),
                1,
            )
            graph = plans[-1].graph
            for key in graph.tasks:
                store.folder(key).mkdir(parents=True, exist_ok=True)
                (store.folder(key) / "record.json").touch()
            show(f"plan of {10 * points:,} tasks: what the store holds", lambda g=graph: survey(g, store), 1)
            command = [sys.executable, "-m", "orchestrator.cli.main", "plan", str(file), "--store", str(store.root)]
            if points == 1_000:
                for _ in range(3):
                    show("segshift plan, 10,000 tasks, all hits (target 8 s)", lambda c=command: run(c), 1)
            seconds = dict.fromkeys(graph.tasks, 1.0)
            needs = {key: list(task.inputs.values()) for key, task in graph.tasks.items()}
            show(f"  order of {10 * points:,} tasks", lambda s=seconds, n=needs: longest_remaining(s, n), 1)
        note = {
            key: {"name": task.name, "stage": task.stage, "status": "waiting", "seconds": None}
            for key, task in graph.tasks.items()
        }
        show(
            f"a note of 100,000 tasks ({len(json.dumps(note)) / 1e6:.0f} MB): written",
            lambda: store.write_note("n.json", json.dumps(note)),
            1,
        )
        tracker = Tracker(None, store)
        keys = list(graph.tasks)[:1000]
        show(
            "a report to the tracker, in its process",
            lambda: [tracker.report(k, k, 1, {"loss": 1.0, "progress": 0.5}) for k in keys],
            len(keys),
        )
        bench_commits(Store(root / "commits"))


def bench_commits(store: Any) -> None:
    """Measure commits of records, and their copies in MLflow's sqlite."""
    from orchestrator.mlflow_mirror import MlflowMirror
    from orchestrator.record import Cell, Network, Record

    network = Network(architecture="none", parameters=0, checkpoint_sha256=None, trained_by=None, weights=None)
    blank = Record.model_validate({
        "key": "0" * 32, "status": "done", "experiment": "scale", "profile": "full", "stage": "clean", "label": "clean",
        "kind": "evaluate", "code_version": 1, "point": {}, "settings": {}, "chosen": {}, "datasets": {}, "inputs": {},
        "network": network, "classes": ("a", "b"), "cells": (Cell(name="clean", frames=1, confusion=((3, 1), (0, 2))),),
        "started_at": "2026-01-01T00:00:00+00:00", "seconds": 1.0,
    })  # fmt: skip
    records = [blank.model_copy(update={"key": f"{index:032x}"}) for index in range(200)]
    for record in records:
        store.folder(record.key).mkdir(parents=True)
    show("a commit to the store (target 20 ms)", lambda: [store.commit(record) for record in records], len(records))
    mirror = MlflowMirror(f"sqlite:///{store.root}/mlflow.db", "scale", "full", str(store.root / "artifacts"))
    mirror.finish(records[0])
    show("a finished task to MLflow (sqlite)", lambda: [mirror.finish(record) for record in records[1:40]], 39)


def run(command: list[str]) -> None:
    """Run a command and leave what it prints."""
    subprocess.run(command, check=True, capture_output=True, env=bench_environment())


def show(name: str, function: Callable[[], Any], count: int) -> None:
    """Print what one of so many things takes."""
    seconds = time_it(function) / count
    text = f"{seconds:9.3f} s" if seconds >= 1 else f"{1000 * seconds:9.3f} ms"
    rate = f"  ({1 / seconds:,.0f} a second)" if count > 1 else ""
    print(f"{name:<64} {text}{rate}", flush=True)


def main() -> None:
    """Run the parts that the command line names, or all."""
    part = sys.argv[1] if len(sys.argv) > 1 else None
    if part in (None, "replay"):
        bench_replay(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    if part in (None, "limits"):
        bench_limits()


if __name__ == "__main__":
    main()
