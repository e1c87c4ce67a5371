"""What is drawn of sweeps: each piece of news stands there, and a long list is counted."""

from __future__ import annotations

import datetime
import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from orchestrator.status_view import LISTED_TASKS, SHOWN_FAILED, describe_task, draw_status, draw_store, summarise
from orchestrator.sweep_note import DriverNote, SweepNote, TaskNote
from orchestrator.sweep_status import FinishedStage, SweepStatus

KEY = "0123456789abcdef0123456789abcdef"


def show(picture: RenderableType) -> str:
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(picture)
    return console.export_text()


def task(status: Any, name: str = "t[seed=0]", stage: str = "t", **fields: Any) -> TaskNote:
    return TaskNote(name=name, stage=stage, kind="evaluate", status=status, **fields)


def sweep(state: Any, tasks: dict[str, TaskNote], **fields: Any) -> SweepStatus:
    now = datetime.datetime.now(datetime.UTC)
    note = SweepNote(
        schema_version=1, experiment="byhand", variant="full", title="A question", tasks=tasks,
        started_at=(now - datetime.timedelta(seconds=125)).isoformat(), updated_at=now.isoformat(),
        driver=DriverNote(host="node7", machine="m", pid=77, process_started=0), **fields,
    )  # fmt: skip
    return SweepStatus(note, state)


def test_a_running_sweep() -> None:
    busy = task("running", seconds=75.0, steps_per_s=2.5, live={"progress": 0.5, "step": 40, "loss": 0.25, "miou": 0.4})
    tasks = {
        KEY: task("done", "first"), "b" * 32: busy, "c" * 32: task("failed", "bad", message="no luck"),
        "d" * 32: task("skipped", "after"), "e" * 32: task("waiting", "last"),
    }  # fmt: skip
    status = sweep("running", tasks, seconds_to_go=30.0, mirror_problem="server away", mlflow_queue=9)
    text = show(draw_status(status))
    assert "byhand · full · A question" in text
    assert "runs on node7 (process 77)" in text
    line = "1/5 done (0 cached) · 1 running · 1 waiting · 1 failed · 1 skipped · elapsed 2 min 05 s · about 30 s to go"
    assert summarise(status) == line
    assert line in text.splitlines(), "on a line of its own"
    assert "MLflow: server away (9 waiting to be sent)" in text
    (row,) = [line for line in text.splitlines() if line.startswith("t[seed=0]")]
    assert row.split() == [
        "t[seed=0]",
        row.split()[1],
        "40",
        "2.5/s",
        "1",
        "min",
        "15",
        "s",
        "loss",
        "0.250",
        "mIoU",
        "40.0",
    ]
    assert "failed  bad: no luck" in text
    assert f"segshift logs {'c' * 12}" in text
    assert f"done     first  {KEY[:12]}" in text
    assert describe_task(busy) == "50% 2.5/s loss 0.250 mIoU 40.0"
    assert describe_task(task("running")) == "0%"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("complete", "complete just now"),
        ("failed", "tasks have no result"),
        ("stopped", "the same command goes on from there"),
        ("lost", "the driver on node7 (process 77) no longer answers since 20"),
    ],
)
def test_a_sweep_that_does_not_run_says_why(state: Any, told: str) -> None:
    text = show(draw_status(sweep(state, {KEY: task("running")})))
    assert told in text
    assert "to go" not in text


def test_many_tasks_are_counted_by_stage_and_many_failures_are_cut() -> None:
    tasks = {f"{n:032x}": task("done", f"a{n}", "a") for n in range(LISTED_TASKS)}
    tasks |= {f"f{n:031x}": task("failed", f"b{n}", "b", message="?") for n in range(SHOWN_FAILED + 2)}
    text = show(draw_status(sweep("failed", tasks)))
    assert "... and 2 more; `segshift status EXPERIMENT --json` lists all" in text
    rows = {
        line.split()[0]: line.split()[1:] for line in text.splitlines() if line[:1] in ("s", "a", "b") and line.split()
    }
    assert rows["stage"] == ["done", "failed"]
    assert rows["a"] == [str(LISTED_TASKS), "·"]
    assert rows["b"] == ["·", str(SHOWN_FAILED + 2)]


def test_a_store() -> None:
    sweeps = [sweep("lost", {KEY: task("done")}), sweep("running", {KEY: task("running")})]
    text = show(draw_store(sweeps, [FinishedStage("tiny", "mini", "clean", 3, 61.0)], "/results"))
    lines = [line.split() for line in text.splitlines()]
    assert lines[2][:3] == ["byhand", "full", "running"]
    assert lines[3][:4] == ["byhand", "full", "no", "answer"]
    assert ["tiny", "mini", "clean", "3", "1", "min", "01", "s"] in lines
    assert "holds no finished task yet" in show(draw_store([], [], "/results"))


def test_a_name_is_no_markup() -> None:
    """`[seed=0]` would be taken for a style."""
    text = show(draw_status(sweep("running", {KEY: task("failed", "[red]x[seed=0]", message="[bold]?")})))
    assert "failed  [red]x[seed=0]: [bold]?" in text
