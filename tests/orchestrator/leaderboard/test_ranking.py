"""Ranks: best first, one rank for rows that a paired bootstrap cannot tell apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orchestrator.leaderboard.ranking import are_tied, rank_rows
from orchestrator.leaderboard.row import Resamples, Row, Score


def build_row(name: str, mean: float | None, scores: list[float] | None = None, images: str = "same") -> Row:
    return Row(
        rank=None, method=name, adaptation=None, axes={}, seeds=1, runs=1, architecture=None, parameters=None,
        scores={"mIoU": Score(mean, None, (mean,))}, reason=None, keys=(name,), trained_in=name,
        resamples=None if scores is None else Resamples(images, tuple(scores)),
    )  # fmt: skip


def ranks(*rows: Row) -> dict[str, int | None]:
    return {row.method: row.rank for row in rank_rows(rows, "mIoU")}


NOISE = np.random.default_rng(0).normal(scale=0.05, size=1000)  # hard resamples are hard for every row


def test_without_resamples_only_equal_scores_share_a_rank() -> None:
    assert ranks(build_row("c", 0.1), build_row("a", 0.5), build_row("b", 0.5)) == {"a": 1, "b": 1, "c": 3}


def test_rows_whose_difference_may_be_zero_share_a_rank() -> None:
    """Far less apart than each one's own interval is wide, a is better than b in every resample; c in half of them."""
    a = build_row("a", 0.52, list(0.52 + NOISE))
    b = build_row("b", 0.51, list(0.51 + NOISE))
    c = build_row("c", 0.519, list(0.519 + NOISE + np.random.default_rng(1).normal(scale=0.01, size=1000)))
    assert ranks(b, a) == {"a": 1, "b": 2}
    assert ranks(c, a) == {"a": 1, "c": 1}


def test_the_difference_is_judged_by_its_quantiles() -> None:
    """26 of 1000 resamples against it leave 0 inside the 95 % interval; 24 do not."""
    for against, tied in ((26, True), (24, False)):
        scores = np.full(1000, 0.4)
        scores[:against] = 0.6
        assert are_tied(build_row("a", 0.5, [0.5] * 1000), build_row("b", 0.4, list(scores)), "mIoU") is tied


def test_a_chain_of_close_rows_is_not_one_group() -> None:
    """b is like a, c is like b, and c is unlike a, the best of its would-be group."""
    rng = np.random.default_rng(2)
    rows = [build_row(name, 0.5 - 0.03 * i, list(0.5 - 0.03 * i + rng.normal(scale=0.015, size=1000)))
            for i, name in enumerate("abc")]  # fmt: skip
    assert are_tied(rows[0], rows[1], "mIoU")
    assert are_tied(rows[1], rows[2], "mIoU")
    assert not are_tied(rows[0], rows[2], "mIoU")
    assert ranks(*rows) == {"a": 1, "b": 1, "c": 3}


def test_rows_of_other_images_are_not_paired() -> None:
    close = [build_row("a", 0.5, [0.5, 0.4]), build_row("b", 0.49, [0.4, 0.5], images="others")]
    assert ranks(*close) == {"a": 1, "b": 2}


def test_rows_without_a_score_come_last_with_a_reason() -> None:
    made = rank_rows([build_row("none", None), build_row("a", 0.2)], "mIoU")
    assert [(row.method, row.rank) for row in made] == [("a", 1), ("none", None)]
    assert made[1].reason == "1 of 1 runs have no mIoU: a cell that it needs is missing or empty"


def test_a_row_with_a_hole_is_not_ranked_whatever_its_mean_says() -> None:
    holed = replace(build_row("holed", 0.9), runs=3, scores={"mIoU": Score(0.9, None, (0.9, None, 0.9))})
    excused = replace(build_row("excused", 0.95), reason="two cells lost")
    made = {row.method: (row.rank, row.reason) for row in rank_rows([holed, excused, build_row("a", 0.2)], "mIoU")}
    assert made["a"] == (1, None)
    assert made["excused"] == (None, "two cells lost")
    assert made["holed"] == (None, "1 of 3 runs have no mIoU: a cell that it needs is missing or empty")


def test_resamples_without_a_score_are_left_out_of_a_comparison() -> None:
    """With the 40 pairs that lack a score taken for a loss or a win, either end of the interval would move."""
    one = [0.5] * 1000
    other: list[float | None] = [None] * 40 + [0.4] * 960
    first, second = build_row("a", 0.5, one), build_row("b", 0.4, [])
    assert not are_tied(first, replace(second, resamples=Resamples("same", tuple(other))), "mIoU")
    assert not are_tied(first, replace(second, resamples=Resamples("same", (None,) * 1000)), "mIoU")
    even = [None] * 40 + [0.4, 0.6] * 480
    assert are_tied(first, replace(second, resamples=Resamples("same", tuple(even))), "mIoU")
