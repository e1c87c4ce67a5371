"""What a task's process sends to the sweep."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from adapt.stopping import Stopped, request_stop, withdraw_stop
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


def test_work_that_does_not_look_for_requests_to_stop_is_ended_where_it_reports() -> None:
    tracker = SimpleNamespace(report=SimpleNamespace(remote=lambda *report: None))
    request_stop()
    try:
        with pytest.raises(Stopped, match="step 3"):
            Reporter(tracker, "k", "stream")(3, {})
        Reporter(tracker, "k", "training", is_heeded=True)(3, {})  # it is not at its resume point yet
    finally:
        withdraw_stop()
    Reporter(tracker, "k", "stream")(4, {})
