"""The curves of a training that stay with its record."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.stages.curve_file import MOST_POINTS, NAME, keep_curve, read_curve, thin_curves, write_curve
from orchestrator.stages.stage import StageContext


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    folders = [tmp_path / name for name in ("task", "work")]
    for folder in folders:
        folder.mkdir()
    return StageContext(*folders, roots={}, weights={}, inputs={}, threads=1, gpus=0, on_step=lambda step, values: None)


def test_what_is_reported_is_kept_and_handed_on(context: StageContext) -> None:
    heard: list[tuple[int, Mapping[str, float]]] = []
    listen = keep_curve(context, lambda step, values: heard.append((step, values)))
    listen(10, {"loss": 2.0, "lr": 0.1})
    listen(20, {"loss": 1.0, "validation_miou": 0.25})
    write_curve(context)
    assert heard == [(10, {"loss": 2.0, "lr": 0.1}), (20, {"loss": 1.0, "validation_miou": 0.25})]
    assert read_curve(context.folder / NAME) == {
        "loss": [(10, 2.0), (20, 1.0)],
        "lr": [(10, 0.1)],
        "validation_miou": [(20, 0.25)],
    }


def test_an_attempt_that_goes_on_replaces_what_it_makes_again(context: StageContext) -> None:
    """Killed after step 30 with a resume point at 20: step 30 is made twice, and a line may be cut off."""
    for step, loss in ((10, 3.0), (20, 2.0), (30, 9.0)):
        keep_curve(context, context.on_step)(step, {"loss": loss})
    with (context.scratch / "curve.jsonl").open("a") as reports:
        reports.write('[40, {"lo\n')
    for step, loss in ((30, 1.0), (40, 0.5)):
        keep_curve(context, context.on_step)(step, {"loss": loss})
    write_curve(context)
    assert read_curve(context.folder / NAME) == {"loss": [(10, 3.0), (20, 2.0), (30, 1.0), (40, 0.5)]}


def test_a_number_that_is_none_is_left_out(context: StageContext) -> None:
    keep_curve(context, context.on_step)(1, {"loss": float("nan"), "lr": 0.5})
    write_curve(context)
    assert read_curve(context.folder / NAME) == {"lr": [(1, 0.5)]}


def test_a_training_that_reported_nothing_has_no_file(context: StageContext) -> None:
    write_curve(context)
    assert not (context.folder / NAME).exists()


@pytest.mark.parametrize("count", [1, MOST_POINTS - 1, MOST_POINTS, MOST_POINTS + 1, 2 * MOST_POINTS, 12_345])
def test_long_curves_are_thinned_evenly_between_their_ends(count: int) -> None:
    (points,) = thin_curves({"loss": {10 * place: float(place) for place in range(count)}}).values()
    steps = [step for step, _ in points]
    assert len(points) == min(count, MOST_POINTS)
    assert (steps[0], steps[-1]) == (0, 10 * (count - 1))
    assert steps == sorted(set(steps))
    assert all(value == step / 10 for step, value in points)
    if count > 1:
        gaps = [second - first for first, second in itertools.pairwise(steps)]
        assert max(gaps) - min(gaps) <= 10  # even, but for rounding


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 2, "scalars": {"loss": [[1, 2]]}}', '{"schema_version": 1}']
)
def test_what_is_no_such_file_has_no_curves(text: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(text)
    assert read_curve(tmp_path / NAME) == {}
    assert read_curve(tmp_path / "gone") == {}


def test_the_file_stays_small(context: StageContext) -> None:
    listen = keep_curve(context, context.on_step)
    for step in range(2000):
        listen(step, dict.fromkeys(("loss", "lr", "iteration_s"), step / 3))
    write_curve(context)
    assert len(json.loads((context.folder / NAME).read_text())["scalars"]["loss"]) == MOST_POINTS
    assert (context.folder / NAME).stat().st_size < 30_000
