"""What rows lose relative to a reference, worked by hand, and every reason why that cannot be said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from orchestrator.leaderboard.columns import select_scores
from orchestrator.leaderboard.reference import Sought, add_degradations, is_relative, limit_noise
from orchestrator.leaderboard.row import Row, pool_scores
from tests.orchestrator.leaderboard.grids import GRID, build_cells, fill

RELATIVE = ("CD", "rCD", "mCE", "relative mCE")
BASE = fill(8, 4, 5, 0)  # fog loses 0.2 and 0.6, noise 0.5 and 1


@pytest.fixture
def compare(make_task, make_record) -> Callable[..., tuple[dict[str, Any], str | None]]:
    """Compare entries with the ones named: entry -> its runs, each (clean in tenths, grid) or None."""

    def _compare(
        entries: dict[str, list[Any]], named: tuple[str, ...] = ("base",), cells: Sequence[Any] = GRID
    ) -> tuple[dict[str, Any], str | None]:
        rows = []
        for entry, runs in entries.items():
            tasks = [make_task(f"grid_{entry}", "benchmark", point={"seed": seed}) for seed in range(len(runs))]
            scored = []
            for task, run in zip(tasks, runs, strict=True):
                record = None if run is None else make_record(task, build_cells(*run), protocol={"cells": cells})
                scored.append({} if record is None else select_scores(record, {}))
            scores = {name: pool_scores([each.get(name) for each in scored]) for each in scored for name in each}
            rows.append(
                Row(
                    rank=None, method=entry, adaptation=None, axes={}, seeds=len(runs), runs=len(runs), architecture=None,
                    parameters=None, scores=scores | {"mPC": pool_scores([0.5])}, reason=None,
                    keys=tuple(task.key for task in tasks), trained_in=entry,
                )
            )  # fmt: skip
        keys = {key for row in rows if row.entry in named for key in row.keys}
        places = [(str(name), int(severity)) for name, severity in cells]
        made, name = add_degradations(
            rows, Sought("stage 'grid_base'", lambda row: not keys.isdisjoint(row.keys), places)
        )
        added = {row.entry: {name: row.scores[name] for name in row.scores if _is_shown(name)} for row in made}
        return added, name

    return _compare


def _is_shown(column: str) -> bool:
    return column == "mPC" or is_relative(column)


def means(scores: dict[str, Any]) -> dict[str, float | None]:
    return {name: score.mean for name, score in scores.items()}


def test_a_row_is_compared_corruption_by_corruption(compare) -> None:
    """The row loses 0.3 and 0.5 of 1 in fog, 0.4 and 0.6 in noise; of its own clean 0.9: 0.2 and 0.4, 0.3 and 0.5.

    The reference of its clean 0.9: 0.1 and 0.5, 0.4 and 0.9. CD and rCD take noise at severity 1 only.
    """
    scores, name = compare({"row": [(9, fill(7, 5, 6, 4))], "base": [(9, BASE)]})
    assert name == "base"
    fog, noise = (0.3 + 0.5) / (0.2 + 0.6), 0.4 / 0.5
    assert means(scores["row"]) == {
        "mPC": 0.5,
        "CD": pytest.approx((fog + noise) / 2),
        "rCD": pytest.approx(((0.2 + 0.4) / (0.1 + 0.5) + 0.3 / 0.4) / 2),
        "mCE": pytest.approx((fog + (0.4 + 0.6) / (0.5 + 1)) / 2),
        "relative mCE": pytest.approx(((0.2 + 0.4) / (0.1 + 0.5) + (0.3 + 0.5) / (0.4 + 0.9)) / 2),
        "CD/fog": pytest.approx(fog),
        "CD/gaussian_noise": pytest.approx(noise),
    }
    assert {name: score.mean for name, score in scores["base"].items() if name != "mPC"} == dict.fromkeys(
        (*RELATIVE, "CD/fog", "CD/gaussian_noise"), pytest.approx(1.0)
    )


def test_seeds_are_compared_with_the_mean_over_the_seeds_of_the_reference(compare) -> None:
    """The reference loses 0.2 and 0.4 in each cell: 0.3 in the mean. Its own seeds stand at 2/3 and 4/3, others at 1 and 2."""
    entries = {
        "row": [(9, fill(7, 7, 7, 7)), (9, fill(4, 4, 4, 4))],
        "base": [(9, fill(8, 8, 8, 8)), (9, fill(6, 6, 6, 6))],
    }
    scores, _ = compare(entries)
    assert scores["row"]["CD"].values == (pytest.approx(1), pytest.approx(2))
    assert scores["row"]["CD"].mean == pytest.approx(1.5)
    assert scores["base"]["CD"].values == (pytest.approx(2 / 3), pytest.approx(4 / 3))
    for column in RELATIVE:
        assert scores["base"][column].mean == pytest.approx(1.0)
        assert scores["base"][column].std is not None


def test_a_row_without_a_whole_grid_is_not_compared(compare) -> None:
    entries = {
        "gone": [None, (9, BASE)],
        "half": [(9, fill(8, None, 5, 0))],
        "base": [(9, BASE)],
    }
    scores, _ = compare(entries)
    for entry in ("gone", "half"):
        assert all(scores[entry][column].mean is None for column in (*RELATIVE, "CD/fog"))
    assert scores["gone"]["CD"].values == (None, pytest.approx(1.0))
    assert scores["base"]["CD"].mean == pytest.approx(1.0)


@pytest.mark.parametrize("lacking", [None, (9, fill(8, None, 5, 0))])
def test_a_reference_with_a_gap_is_none(lacking: Any, compare) -> None:
    scores, name = compare({"row": [(9, BASE)], "base": [(9, BASE), lacking]})
    assert name == "base"
    reason = "1 of 2 runs of the reference 'base' have no result, or lack a cell: an incomplete grid is no reference"
    for entry in ("row", "base"):
        assert [scores[entry][column].reason for column in RELATIVE] == [reason] * 4
        assert means(scores[entry]) == {"mPC": 0.5} | dict.fromkeys(RELATIVE)


def test_a_reference_without_any_result_is_none(compare) -> None:
    scores, _ = compare({"row": [(9, BASE)], "base": [None]})
    assert "1 of 1 runs of the reference 'base'" in scores["row"]["CD"].reason


def test_a_reference_that_loses_nothing_has_no_relative_degradation(compare) -> None:
    """Under noise it is better than clean: rCD and relative mCE are not defined, CD and mCE are."""
    scores, _ = compare({"row": [(9, BASE)], "base": [(5, fill(4, 4, 6, 6))]})
    reason = "the reference row 'base' does not degrade on gaussian_noise: there is no ratio to it"
    assert [scores["row"][column].reason for column in RELATIVE] == [None, reason, None, reason]
    assert scores["row"]["CD"].mean == pytest.approx(((0.2 + 0.6) / 1.2 + 0.5 / 0.4) / 2)


def test_no_row_and_several_rows_are_no_reference(compare) -> None:
    entries = {"row": [(9, BASE)], "base": [(9, BASE)]}
    scores, name = compare(entries, named=())
    assert name is None
    assert scores["row"]["CD"].reason == "no row of stage 'grid_base' to compare with in this table"
    scores, name = compare(entries, named=("row", "base"))
    assert name is None
    assert scores["row"]["mCE"].reason == "2 rows of stage 'grid_base' to compare with in this table"


def test_noise_above_severity_3_is_left_out() -> None:
    cells = [("fog", 5), ("shot_noise", 3), ("shot_noise", 4), ("speckle_noise", 5), ("pixelate", 4)]
    assert limit_noise(cells) == [("fog", 5), ("shot_noise", 3), ("pixelate", 4)]


def test_a_protocol_of_noise_above_severity_3_alone_has_no_cd(compare) -> None:
    base = {("shot_noise", 4): 5, ("gaussian_noise", 5): 3}
    scores, _ = compare({"row": [(9, dict.fromkeys(base, 2))], "base": [(9, base)]}, cells=[*base])
    rest = "takes noise at severities 1 to 3, and this protocol has none of them"
    assert [scores["row"][column].reason for column in RELATIVE] == [f"CD {rest}", f"rCD {rest}", None, None]
    assert scores["row"]["mCE"].mean == pytest.approx((0.8 / 0.5 + 0.8 / 0.7) / 2)
    assert not any(name.startswith("CD/") for name in scores["row"])


def test_noise_that_is_above_severity_3_alone_is_left_out_of_cd_and_not_of_mce(compare) -> None:
    """Fog loses 0.4 of the reference's 0.8, noise 0.6 of 0.5."""
    base = {("fog", 5): 2, ("gaussian_noise", 4): 6, ("gaussian_noise", 5): 4}
    row = {("fog", 5): 6, ("gaussian_noise", 4): 4, ("gaussian_noise", 5): 4}
    scores, _ = compare({"row": [(9, row)], "base": [(9, base)]}, cells=[*base])
    assert means(scores["row"]) == {
        "mPC": 0.5,
        "CD": pytest.approx(0.4 / 0.8),
        "rCD": pytest.approx(0.3 / 0.7),
        "mCE": pytest.approx((0.4 / 0.8 + 0.6 / 0.5) / 2),
        "relative mCE": pytest.approx((0.3 / 0.7 + 0.5 / 0.4) / 2),
        "CD/fog": pytest.approx(0.5),
    }


def test_columns_that_are_relative() -> None:
    assert all(is_relative(column) for column in (*RELATIVE, "CD/fog"))
    assert not any(is_relative(column) for column in ("mPC", "rPC", "clean", "fog/1"))
