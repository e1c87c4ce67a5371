"""ASHA and the median rule against their definitions, and what they remember of an earlier attempt."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experiments.search import TrainingSearchSettings
from orchestrator.early_stopping import EarlyStopping
from orchestrator.stages.trial_book import Report

# (trial, step, value) in the order in which they come: six trials, two reports each.
CURVES = [
    (0, 10, 0.50), (1, 10, 0.40), (2, 10, 0.60), (3, 10, 0.20), (4, 10, 0.61), (5, 10, 0.10),
    (0, 30, 0.70), (2, 30, 0.65), (4, 30, 0.80), (5, 30, 0.90),
]  # fmt: skip


def make_search(scheduler: Any, **fields: Any) -> TrainingSearchSettings:
    return TrainingSearchSettings.model_validate({"space": {"a": [1]}, "scheduler": scheduler, **fields})


def make_book(reports: list[tuple[int, int, float]] = [], ended: tuple[int, ...] = ()) -> Any:  # noqa: B006
    """A stand-in for a book: what was reported, and which trials have ended."""
    trials = [SimpleNamespace(number=number) for number in range(6)]
    return SimpleNamespace(
        reports=[Report(*report) for report in reports],
        trials=trials,
        find_outcome=lambda trial: "ended" if trial.number in ended else None,
    )


def walk(rule: EarlyStopping, reports: list[tuple[int, int, float]]) -> list[bool]:
    return [rule.judge(*report) for report in reports]


def asha_by_hand(reports: list[tuple[int, int, float]], sign: int) -> list[bool]:
    """Asynchronous successive halving with grace 10 and reduction 3: a rung lets the best third of what it has seen go on."""
    rungs: dict[int, list[float]] = {10: [], 30: []}
    goes_on = []
    for _, step, value in reports:
        seen = rungs[step]
        goes_on.append(not seen or sign * value >= np.percentile(seen, 100 * 2 / 3))
        seen.append(sign * value)
    return goes_on


@pytest.mark.parametrize(("fields", "sign"), [({}, 1), ({"metric": "loss", "mode": "min"}, -1)])
def test_asha_lets_the_best_third_go_on(fields: dict[str, Any], sign: int) -> None:
    rule = EarlyStopping(make_search({"name": "asha", "grace": 10}, **fields), make_book(), 90)
    assert walk(rule, CURVES) == asha_by_hand(CURVES, sign)


def test_before_the_grace_nothing_is_stopped_and_beyond_the_last_rung_neither() -> None:
    rule = EarlyStopping(make_search({"name": "asha", "grace": 20}), make_book(), 60)
    early = [(number, 10, 1.0 - number) for number in range(6)]
    late = [(0, 60, 0.0), (0, 70, -9.0)]
    assert all(walk(rule, early + late))


@pytest.mark.parametrize("scheduler", [{"name": "asha", "grace": 10}, {"name": "median", "grace": 10, "min_trials": 2}])
@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_new_attempt_judges_as_the_old_one_would_have(scheduler: dict[str, Any], cut: int) -> None:
    search = make_search(scheduler)
    straight = walk(EarlyStopping(search, make_book(), 90), CURVES)
    resumed = EarlyStopping(search, make_book(CURVES[:cut]), 90)
    assert walk(resumed, CURVES[cut:]) == straight[cut:]


def test_a_new_attempt_knows_whom_the_old_one_had_to_stop() -> None:
    resumed = EarlyStopping(make_search({"name": "asha", "grace": 10}), make_book(CURVES), 90)
    last = {number: (step, goes_on) for (number, step, _), goes_on in zip(CURVES, asha_by_hand(CURVES, 1), strict=True)}
    assert resumed.judged == {number: step for number, (step, goes_on) in last.items() if not goes_on}
    assert resumed.judged[3] == 10


def test_the_median_rule_compares_with_running_means_of_the_others() -> None:
    rule = EarlyStopping(make_search({"name": "median", "grace": 10, "min_trials": 2}), make_book(), 90)
    goes_on = walk(rule, CURVES)
    assert goes_on[:2] == [True, True], "the first ones have too few others to compare with"
    assert goes_on[2], "0.6 is above the median of 0.5 and 0.4"
    assert not goes_on[3], "0.2 is below the median of 0.5, 0.4 and 0.6"
    assert goes_on[6], "0.7 at 30: the others that came as far are too few"


def test_without_a_scheduler_all_go_on() -> None:
    assert all(walk(EarlyStopping(make_search("none"), make_book(CURVES, (0, 1)), 90), CURVES))


def test_a_report_is_plain_data() -> None:
    assert dataclasses.astuple(Report(1, 2, 0.5)) == (1, 2, 0.5)
