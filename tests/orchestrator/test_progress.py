"""The live view: what is counted, when a failure is told, and how numbers are shown."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from orchestrator.progress import ProgressView, show_duration, show_scalars
from orchestrator.sweep_state import Status, SweepState


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7830, "2 h 10 min"),
    ],
)
def test_a_duration(seconds: float, shown: str) -> None:
    assert show_duration(seconds) == shown


def test_the_scalars_that_people_watch() -> None:
    assert show_scalars({"miou": 0.1234, "loss": 0.5, "progress": 0.3}) == "loss 0.500 mIoU 12.3"
    assert show_scalars({}) == ""


@pytest.fixture
def state(make_task, make_graph) -> SweepState:
    tasks = [make_task("clean", limit=n) for n in range(1, 6)]
    kinds = (Status.CACHED, Status.DONE, Status.SUBMITTED, Status.SUBMITTED, Status.FAILED)
    status = {task.key: kind for task, kind in zip(tasks, kinds, strict=True)}
    live = {tasks[2].key: {"progress": 0.5, "step": 7, "loss": 0.25}}
    return SweepState(make_graph(*tasks), status, {}, {tasks[4].key: "no luck"}, live)


def test_without_a_terminal_a_line_and_each_failure_once(state: SweepState) -> None:
    out = io.StringIO()
    with ProgressView(Console(file=out, width=300), {"byhand/full/clean": [10.0]}, 1.0) as view:
        view._last_line = float("-inf")
        view.update(state)
        view.update(state)
    text = out.getvalue()
    assert text.count("failed clean: no luck") == 1
    # one task half done and one waiting, at 10 s each
    assert (
        text.count("2/5 done (1 cached) · 1 running · 1 waiting · 1 failed or skipped · elapsed 0 s · about 15 s") == 1
    )
    assert "clean loss 0.250" in text


def test_on_a_terminal_the_running_tasks_are_drawn(state: SweepState) -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    view = ProgressView(console, {}, 1.0)
    plain = Console(record=True, width=200, file=io.StringIO())
    plain.print(view._draw(state))
    shown = plain.export_text()
    assert "loss 0.250" in shown
    assert "time to go not known yet" in shown
