"""What a task's process sends to the sweep."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from orchestrator.reporter import Reporter


def test_scalars_go_with_the_memory_of_the_process() -> None:
    sent: list[Any] = []
    tracker = SimpleNamespace(report=SimpleNamespace(remote=lambda *report: sent.append(report)))
    given = {"loss": 0.5}
    Reporter(tracker, "k", "clean")(7, given)
    ((key, name, step, values),) = sent
    assert (key, name, step, values["loss"]) == ("k", "clean", 7, 0.5)
    assert values["memory_bytes"] > 10e6
    assert given == {"loss": 0.5}
