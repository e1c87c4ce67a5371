"""Tasks of an experiment by hand, as a report sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from orchestrator.report.survey import State, TaskView


def build_view(
    name: str, needs: Sequence[str] = (), state: State = "done", stage: str | None = None, **fields: object
) -> TaskView:
    """A task whose key is its name."""
    given = {"kind": "train", "inputs": tuple(needs), "state": state, **fields}
    return TaskView(key=name, name=name, stage=stage or name.partition("[")[0], **given)  # type: ignore[arg-type]


@pytest.fixture
def make_view() -> Callable[..., TaskView]:
    return build_view
