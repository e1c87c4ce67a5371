"""The share of the gap that a row closes, worked by hand, and every reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from experiments.schema import GapSettings
from orchestrator.leaderboard.gap import GAP, add_gaps
from orchestrator.leaderboard.row import Row, pool_scores

ENDS = GapSettings(source="source_only", oracle="oracle")


@pytest.fixture
def build_row() -> Callable[..., Row]:
    def build(trained_in: str, *values: float | None, adaptation: str | None = None, **axes: str) -> Row:
        return Row(
            rank=None, method=trained_in, adaptation=adaptation, axes=axes, seeds=len(values), runs=len(values),
            architecture=None, parameters=None, scores={"mIoU": pool_scores(list(values)), "IoU/road": pool_scores([0.9])},
            reason=None, keys=(), trained_in=trained_in,
        )  # fmt: skip

    return build


def read(rows: list[Row]) -> dict[str, Any]:
    made = add_gaps(rows, "mIoU", ENDS)
    return {
        row.entry: row.scores[GAP].mean if row.scores[GAP].reason is None else row.scores[GAP].reason for row in made
    }


def test_the_gap_is_measured_on_means_over_seeds(build_row) -> None:
    """Source 0.4 (of 0.3 and 0.5), oracle 0.8: 0.7 closes three quarters, 0.3 loses a quarter."""
    rows = [
        build_row("source_only", 0.3, 0.5),
        build_row("daformer", 0.6, 0.8),
        build_row("oracle", 0.8),
        build_row("worse", 0.3),
    ]
    assert read(rows) == {
        "source_only": pytest.approx(0.0),
        "daformer": pytest.approx(0.75),
        "oracle": pytest.approx(1.0),
        "worse": pytest.approx(-0.25),
    }


def test_the_column_stands_after_the_score_that_ranks(build_row) -> None:
    (row,) = add_gaps([build_row("source_only", 0.5)], "mIoU", ENDS)
    assert list(row.scores) == ["mIoU", GAP, "IoU/road"]
    assert row.scores[GAP].std is None


@pytest.mark.parametrize(
    ("source", "oracle", "own", "reason"),
    [
        (None, (0.8,), (0.6,), "no row of stage 'source_only' to compare with in this table"),
        ((0.4,), None, (0.6,), "no row of stage 'oracle' to compare with in this table"),
        ((0.4, None), (0.8,), (0.6,), "stage 'source_only' has no complete mIoU"),
        ((0.4,), (0.8,), (None,), "no complete mIoU"),
        ((0.8,), (0.8,), (0.9,), "there is no gap: 'oracle' is not better than 'source_only'"),
        ((0.8,), (0.4,), (0.6,), "there is no gap: 'oracle' is not better than 'source_only'"),
    ],
)
def test_a_gap_that_is_not_defined_has_a_reason(source, oracle, own, reason: str, build_row) -> None:
    rows = [build_row("daformer", *own)]
    rows += [] if source is None else [build_row("source_only", *source)]
    rows += [] if oracle is None else [build_row("oracle", *oracle)]
    assert read(rows)["daformer"] == reason


def test_rows_are_compared_at_their_own_adaptation_and_axes(build_row) -> None:
    rows = [
        build_row(stage, value + shift, adaptation=adaptation, size=size)
        for stage, value in (("source_only", 0.0), ("daformer", 0.1), ("oracle", 0.4))
        for adaptation, size, shift in (("source", "small", 0.1), ("tent", "small", 0.2), ("source", "large", 0.3))
    ]
    found = read(rows)
    assert len(found) == 9
    assert [value for name, value in found.items() if name.startswith("daformer")] == pytest.approx([0.25] * 3)


def test_two_rows_to_compare_with_are_one_too_many(build_row) -> None:
    rows = [build_row("source_only", 0.4, lr="1"), build_row("source_only", 0.3, lr="2"), build_row("oracle", 0.8)]
    assert read(rows)["oracle"] == "2 rows of stage 'source_only' to compare with in this table"
    assert read(rows)["source_only (lr=1)"] == pytest.approx(0.0)
