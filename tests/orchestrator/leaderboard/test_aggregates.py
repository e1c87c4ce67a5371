"""Aggregates are derived from cells as the records' own are: worked by hand, run by run."""

from __future__ import annotations

import pytest

from orchestrator.leaderboard.aggregates import derive_aggregates, list_cells
from tests.orchestrator.leaderboard.rows import BENCHMARK, EVALUATION, STREAM, give, make_grid, make_row


def test_a_benchmark_of_one_run_gives_every_aggregate() -> None:
    scores = make_grid(0.8, 0.2, 0.1, 0.6, 0.5, 0.7, 0.3)
    cells = {name: score for name, score in scores.items() if "/" in name or name == "clean"}
    derived = derive_aggregates(make_row("a", cells), BENCHMARK)
    assert {name: score.mean for name, score in derived.items()} == pytest.approx(
        {name: score.mean for name, score in scores.items() if name not in cells}
    )
    assert derived["mPC"].mean == pytest.approx(0.4)
    assert derived["worst"].mean == pytest.approx(0.15)


def test_the_worst_corruption_and_the_ratio_are_taken_run_by_run() -> None:
    # Run 1 is worst under noise, run 2 under fog: the mean of the two minima is no minimum of the means.
    cells = {
        "clean": give(0.5, 1.0),
        **{f"gaussian_noise/{s}": give(0.1, 0.7) for s in (1, 2)},
        **{f"fog/{s}": give(0.5, 0.2) for s in (1, 2)},
        **{f"contrast/{s}": give(0.6, 0.6) for s in (1, 2)},
    }
    derived = derive_aggregates(make_row("a", cells, seeds=2, runs=2), BENCHMARK)
    assert derived["worst"].values == pytest.approx((0.1, 0.2))
    assert derived["rPC"].values == pytest.approx((0.4 / 0.5, 0.5 / 1.0))
    assert derived["mPC"].mean == pytest.approx(0.45)


def test_of_several_runs_that_are_not_told_apart_only_means_are_derived() -> None:
    cells = {name: give(score.mean) for name, score in make_grid(0.8, 0.2, 0.1, 0.6, 0.5, 0.7, 0.3).items()}
    derived = derive_aggregates(make_row("a", cells, seeds=3, runs=3), BENCHMARK)
    assert set(derived) == {"mPC", "mPC fixed pixels", "mPC noise", "mPC weather", "mPC digital"}


def test_nothing_is_derived_from_an_incomplete_grid() -> None:
    cells = make_grid(0.8, 0.2, 0.1, 0.6, 0.5, 0.7, 0.3)
    del cells["fog/2"]
    assert set(derive_aggregates(make_row("a", cells), BENCHMARK)) == {"mPC noise", "mPC digital"}


def test_an_evaluation_is_the_mean_of_the_classes_that_occur_in_a_run() -> None:
    scores = {"IoU/road": give(0.9, 0.8), "IoU/train": give(None, 0.2), "IoU/sky": give(0.5, 0.5)}
    derived = derive_aggregates(make_row("a", scores, seeds=2, runs=2), EVALUATION)
    assert derived["mIoU"].values == pytest.approx((0.7, 0.5))
    assert derived["mIoU13"].values == pytest.approx((0.7, 0.65))  # without train


def test_a_stream_is_the_mean_of_its_rounds_and_drifts_from_the_first_to_the_last() -> None:
    scores = {"round 1": give(0.5), "round 2": give(0.4), "round 3": give(0.3)}
    derived = derive_aggregates(make_row("a", scores), STREAM)
    assert {name: score.mean for name, score in derived.items()} == pytest.approx({"mean mIoU": 0.4, "drift": -0.2})


def test_a_stream_of_one_round_is_the_mean_of_its_domains() -> None:
    protocol = {**STREAM, "stream": {**STREAM["stream"], "rounds": 1}}
    scores = {"fog": give(0.5), "night": give(0.3)}
    assert list_cells(scores, protocol) == ["fog", "night"]
    derived = derive_aggregates(make_row("a", scores), protocol)
    assert {name: score.mean for name, score in derived.items()} == pytest.approx({"mean mIoU": 0.4})


def test_a_domain_under_a_corruption_is_found_by_its_label() -> None:
    domains = [{"dataset": "camvid"}, {"dataset": "camvid", "corruption": "fog", "severity": 3}]
    protocol = {**STREAM, "stream": {"kind": "continual", "rounds": 1, "domains": domains}}
    assert list_cells({}, protocol) == ["camvid", "camvid/fog/3"]
    assert list_cells({}, {**protocol, "stream": {**protocol["stream"], "kind": "gradual"}}) == []
