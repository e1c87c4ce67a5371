"""The errors that published leaderboards have had are found, and sound rows are left in peace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.leaderboard.checks import find_stale, find_warnings
from orchestrator.leaderboard.row import Detail, Provenance, Score
from tests.orchestrator.leaderboard.rows import BENCHMARK, EVALUATION, OWN, STREAM, give, make_grid, make_row

SOUND = (0.8, 0.2, 0.1, 0.6, 0.5, 0.7, 0.3)


def test_sound_rows_have_no_warnings() -> None:
    rows = [make_row("a", make_grid(*SOUND)), make_row("b", make_grid(0.7, 0.3, 0.2, 0.5, 0.4, 0.6, 0.4))]
    assert find_warnings(rows, BENCHMARK) == [(), ()]


def test_two_rows_with_equal_cells_name_each_other() -> None:
    rows = [make_row(name, make_grid(*SOUND)) for name in ("ResNet", "other", "copy")]
    rows[1] = make_row("other", make_grid(0.7, 0.3, 0.2, 0.5, 0.4, 0.6, 0.4))
    first, second, third = find_warnings(rows, BENCHMARK)
    assert first == ("its cells equal those of 'copy'",)
    assert second == ()
    assert third == ("its cells equal those of 'ResNet'",)


def test_a_network_that_fails_on_nearly_all_corruptions_is_named_so() -> None:
    (warnings,) = find_warnings([make_row("a", make_grid(0.7, *(0.02, 0.021) * 3))], BENCHMARK)
    assert warnings == ("near chance on nearly all: 3 of 3 score no better than one class everywhere can be (5.26)",)


def test_one_corruption_near_chance_is_named() -> None:
    (warnings,) = find_warnings([make_row("a", make_grid(0.8, 0.04, 0.02, 0.6, 0.5, 0.7, 0.3))], BENCHMARK)
    assert warnings == ("near chance: gaussian_noise 3.00, no better than one class everywhere can be (5.26)",)


def test_chance_is_one_over_the_number_of_classes() -> None:
    row = make_row("a", {"mIoU": give(0.3), "IoU/a": give(0.6), "IoU/b": give(0.0)})
    (warnings,) = find_warnings([row], OWN)
    assert warnings == ("mIoU is 30.00, no better than one class everywhere can be (50.00)",)
    eleven = replace(row, detail=Detail(classes=tuple("abcdefghijk")))
    assert find_warnings([eleven], OWN) == [()]
    assert find_warnings([row], EVALUATION) == [()]  # of 19 classes, whichever of them are told


@pytest.mark.parametrize("column", ["mPC", "rPC", "worst", "mPC fixed pixels", "mPC weather"])
def test_an_aggregate_that_disagrees_with_its_cells_is_named_with_both_numbers(column: str) -> None:
    scores = make_grid(*SOUND)
    stated = scores[column].mean or 0.0
    row = make_row("a", scores | {column: give(stated + 0.03)})
    assert find_stale(row, BENCHMARK) == [
        f"{column} is {100 * (stated + 0.03):.2f}, but its cells give {100 * stated:.2f}"
    ]


@pytest.mark.parametrize("column", ["mPC", "rPC", "worst", "mPC noise"])
def test_the_rounding_of_percents_is_no_disagreement(column: str) -> None:
    exact = make_grid(0.80412, 0.21234, 0.11987, 0.61555, 0.50049, 0.70951, 0.33333)
    rounded = {name: give(round(score.mean or 0.0, 3)) for name, score in exact.items()}
    assert find_stale(make_row("a", rounded), BENCHMARK) == []
    assert find_stale(make_row("a", exact | {column: rounded[column]}), BENCHMARK) == []


def test_a_disagreement_above_the_rounding_is_found_where_cells_are_exact() -> None:
    exact = make_grid(0.80412, 0.21234, 0.11987, 0.61555, 0.50049, 0.70951, 0.33333)
    mpc = exact["mPC"].mean or 0.0
    assert find_stale(make_row("a", exact | {"mPC": give(mpc + 4e-4)}), BENCHMARK) == []
    assert len(find_stale(make_row("a", exact | {"mPC": give(mpc + 6e-4)}), BENCHMARK)) == 1


def test_means_and_deviations_are_compared_with_their_runs() -> None:
    row = make_row("a", {"mIoU": Score(0.55, 0.3, (0.4, 0.6))}, seeds=2, runs=2)
    assert find_stale(row, EVALUATION) == [
        "mIoU: the mean is 55.00, but its runs give 50.00",
        "mIoU: the deviation is 30.00, but its runs give 14.14",
    ]


def test_the_clean_score_is_compared_with_its_classes() -> None:
    detail = Detail(("a", "b", "c"), {"clean": (0.9, 0.5, None)})
    row = make_row("a", make_grid(*SOUND), detail=detail)
    assert find_stale(row, BENCHMARK) == ["clean is 80.00, but its classes give 70.00"]


def test_a_stale_drift_is_found() -> None:
    rounds = {"round 1": give(0.5), "round 2": give(0.4), "round 3": give(0.3)}
    row = make_row("a", {"mean mIoU": give(0.4), "drift": give(0.2), **rounds})
    assert find_stale(row, STREAM) == ["drift is 20.00, but its cells give -20.00"]


def test_a_corrupted_score_far_above_clean_is_odd() -> None:
    (warnings,) = find_warnings([make_row("a", make_grid(0.5, 0.2, 0.1, 0.6, 0.5, 0.54, 0.3))], BENCHMARK)
    assert warnings == ("far above clean (50.00): fog/1 60.00",)


def test_one_checkpoint_under_two_names_is_found_and_one_with_two_adaptations_is_not() -> None:
    sources = [Provenance("run", checkpoints=("c0ffee",)), Provenance("run", checkpoints=("c0ffee",))]
    scores = [make_grid(*SOUND), make_grid(0.7, 0.3, 0.2, 0.5, 0.4, 0.6, 0.4)]
    rows = [make_row(n, s, provenance=p) for n, s, p in zip(("a", "b"), scores, sources, strict=True)]
    assert find_warnings(rows, BENCHMARK) == [("its checkpoint is that of 'b'",), ("its checkpoint is that of 'a'",)]
    adapted = [rows[0], replace(rows[1], adaptation="tent")]
    assert find_warnings(adapted, BENCHMARK) == [(), ()]
    other_lr = [replace(row, method="a", axes={"lr": str(n)}) for n, row in enumerate(rows)]
    assert find_warnings(other_lr, BENCHMARK) == [(), ()]


def test_scores_that_are_missing_warn_of_nothing() -> None:
    scores = {name: give(None) for name in make_grid(*SOUND)}
    assert find_warnings([make_row("a", scores), make_row("b", scores)], BENCHMARK) == [(), ()]


def test_the_number_of_classes_is_the_data_sets_and_not_what_a_row_says() -> None:
    row = make_row("a", {"mIoU": give(0.3)}, detail=Detail(classes=("a",)))
    assert find_warnings([row], EVALUATION) == [()]  # 30 % is far above 1 of 19, and below 1 of 1


def test_of_several_runs_the_worst_corruption_is_no_better_than_their_mean() -> None:
    means = {name: replace(score, values=()) for name, score in make_grid(*SOUND).items()}
    row = make_row("a", means, seeds=3, runs=3)
    assert find_stale(row, BENCHMARK) == []
    high = replace(row, scores=means | {"worst": Score(0.99, None, ())})
    assert find_stale(high, BENCHMARK) == ["worst is 99.00, but the mean of all corruptions, mPC, is 40.00"]


@pytest.mark.parametrize(("ratio", "found"), [(0.5, 0), (0.58, 0), (0.61, 1), (48.6, 1)])
def test_of_several_runs_the_ratio_to_clean_is_near_that_of_the_means(ratio: float, found: int) -> None:
    means = {name: replace(score, values=()) for name, score in make_grid(*SOUND).items()}  # 0.4 of 0.8
    row = make_row("a", means | {"rPC": Score(ratio, None, ())}, seeds=3, runs=3)
    stale = find_stale(row, BENCHMARK)
    assert len(stale) == found
    assert all(f"rPC is {100 * ratio:.2f}, but mPC over clean is 50.00" in text for text in stale)


def test_the_mean_of_a_stream_is_compared_with_its_domains_where_it_tells_no_rounds() -> None:
    row = make_row("a", {"mean mIoU": give(0.9), "fog": give(0.5), "night": give(0.4)})
    assert find_stale(row, STREAM) == ["mean mIoU is 90.00, but its cells give 45.00"]


def test_domains_and_rounds_of_a_stream_have_one_mean() -> None:
    rounds = {"round 1": give(0.96), "round 2": give(0.95), "round 3": give(0.94)}
    row = make_row("a", {"mean mIoU": give(0.95), "fog": give(0.5), "night": give(0.4), **rounds})
    assert find_stale(row, STREAM) == ["its domains give a mean of 45.00, but its rounds one of 95.00"]
    sound = {"fog": give(1.0), "night": give(0.9)}
    assert find_stale(replace(row, scores=row.scores | sound), STREAM) == []
    gradual = {**STREAM, "stream": {**STREAM["stream"], "kind": "gradual"}}
    assert find_stale(row, gradual) == []  # its columns are severities
