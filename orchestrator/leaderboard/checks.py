"""What a reader should doubt about the rows of a table: chance-level scores, equal rows, stale aggregates, odd jumps.

Each of these is an error that a published leaderboard has had: a model at 2 % on nearly all corruptions, two models with
equal cells and aggregates that disagree with their cells (SemSegBench), a baseline list keyed by position (a fork of
ImageNet-C). A warning does not take a row's rank: it says what to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from adapt.data.catalog import DATASET_TYPES
from adapt.scores.grid import group_cells
from orchestrator.leaderboard.aggregates import (
    CLASS,
    derive_aggregates,
    is_gradual,
    list_cells,
    list_domains,
    list_grid,
    list_rounds,
)
from orchestrator.leaderboard.row import Row, Score

ROUNDING = 5e-4  # of a share that was published in percent with one decimal
NEARLY_ALL = 0.8  # ours: a network that fails on so many corruptions was probably run wrongly
JUMP = 0.05  # ours: how far above clean a corrupted score has to lie before it is odd
FEWEST_EQUAL = 3  # ours: so many equal cells are no accident
RATIO_SPREAD = 0.1  # ours: how far the mean of the runs' rPC may lie from the ratio of their means

_SLACK = 1e-9  # of floating point, beside the rounding
_LISTED = 5  # names that a warning lists before it counts the rest


def find_warnings(rows: Sequence[Row], protocol: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Look for what is doubtful in the rows of one table.

    Args:
        rows: of one protocol, in any order.
        protocol: theirs, see `orchestrator.protocol`.

    Returns:
        For each row its warnings, each a sentence without a full stop.
    """
    found: list[list[str]] = [[*_find_own(row, protocol)] for row in rows]
    for group in _group(rows, lambda row: _read_cells(row, protocol)):
        _warn_each(found, rows, group, "its cells equal those of {}")
    for group in _group(rows, _read_checkpoints):
        named = [place for place in group if any(rows[place].method != rows[other].method for other in group)]
        _warn_each(found, rows, named, "its checkpoint is that of {}")
    return [tuple(warnings) for warnings in found]


def find_stale(row: Row, protocol: Mapping[str, Any]) -> list[str]:
    """Say of each aggregate that disagrees with what it is made of: both numbers.

    Aggregates are compared with their cells, means and deviations with the values of the runs. What is published rounded is
    given the rounding of percents with one decimal.
    """
    warnings = []
    rounding = _find_rounding(row, protocol)
    derived = derive_aggregates(row, protocol)
    for column, score in derived.items():
        stated = row.scores[column].mean if column in row.scores else None
        if (
            stated is not None
            and score.mean is not None
            and abs(stated - score.mean) > _tolerate(column, row, rounding)
        ):
            warnings.append(f"{column} is {_show(stated)}, but its cells give {_show(score.mean)}")
    for column, score in row.scores.items():
        warnings += [f"{column}: {text}" for text in _find_stale_pool(score)]
    warnings += _find_split_stream(row, protocol, rounding)
    warnings += _find_impossible(row) if "worst" not in derived else ()
    clean = [iou for iou in (row.detail.class_iou.get("clean", ()) if row.detail else ()) if iou is not None]
    stated = row.scores["clean"].mean if "clean" in row.scores else None
    if clean and stated is not None and row.runs == 1 and abs(fmean(clean) - stated) > 2 * ROUNDING + _SLACK:
        warnings.append(f"clean is {_show(stated)}, but its classes give {_show(fmean(clean))}")
    return warnings


def _find_own(row: Row, protocol: Mapping[str, Any]) -> list[str]:
    return [*_find_chance(row, protocol), *find_stale(row, protocol), *_find_jumps(row, protocol)]


def _find_chance(row: Row, protocol: Mapping[str, Any]) -> list[str]:
    """Name what scores no more than one over the number of classes: no constant prediction scores more than that.

    Predicting one class everywhere gives this class its share of the pixels as IoU, and all others 0.
    """
    count = _count_classes(row, protocol)
    if count is None:
        return []
    judged = _read_means(row, protocol)
    means = {name: score for name, score in judged.items() if score < 1 / count}
    clean = [name for name in ("mIoU", "clean") if name in row.scores and _is_below(row.scores[name], 1 / count)]
    bound = f"no better than one class everywhere can be ({_show(1 / count)})"
    warnings = [f"{name} is {_show(row.scores[name].mean or 0.0)}, {bound}" for name in clean]
    if len(judged) > 1 and len(means) >= NEARLY_ALL * len(judged):
        return [*warnings, f"near chance on nearly all: {len(means)} of {len(judged)} score {bound}"]
    if means:
        listed = ", ".join(f"{name} {_show(score)}" for name, score in list(means.items())[:_LISTED])
        rest = f" and {len(means) - _LISTED} more" if len(means) > _LISTED else ""
        warnings.append(f"near chance: {listed}{rest}, {bound}")
    return warnings


def _find_jumps(row: Row, protocol: Mapping[str, Any]) -> list[str]:
    """Name corrupted cells that lie far above the clean score."""
    clean = row.scores["clean"].mean if "clean" in row.scores else None
    if clean is None or protocol["kind"] != "benchmark":
        return []
    cells = {name: row.scores[name].mean for name in list_cells(row.scores, protocol) if name in row.scores}
    odd = [f"{name} {_show(score)}" for name, score in cells.items() if score is not None and score > clean + JUMP]
    rest = f" and {len(odd) - _LISTED} more" if len(odd) > _LISTED else ""
    return [f"far above clean ({_show(clean)}): {', '.join(odd[:_LISTED])}{rest}"] if odd else []


def _find_stale_pool(score: Score) -> list[str]:
    """Compare a mean and a deviation with the values of the runs."""
    values = [value for value in score.values if value is not None]
    if score.mean is None or not values or len(values) < len(score.values):
        return []
    warnings = []
    if abs(fmean(values) - score.mean) > 2 * ROUNDING + _SLACK:
        warnings.append(f"the mean is {_show(score.mean)}, but its runs give {_show(fmean(values))}")
    if len(values) > 1 and score.std is not None and abs(stdev(values) - score.std) > 2 * ROUNDING + _SLACK:
        warnings.append(f"the deviation is {_show(score.std)}, but its runs give {_show(stdev(values))}")
    return warnings


def _find_split_stream(row: Row, protocol: Mapping[str, Any], rounding: float) -> list[str]:
    """Compare the mean over domains with that over rounds: every domain comes once in each round, so that they are equal."""
    domains, rounds = ([] if is_gradual(protocol) else list_domains(protocol)), list_rounds(protocol)
    by_domain, by_round = _average(row, domains), _average(row, rounds)
    if by_domain is None or by_round is None or abs(by_domain - by_round) <= 2 * rounding:
        return []
    return [f"its domains give a mean of {_show(by_domain)}, but its rounds one of {_show(by_round)}"]


def _find_impossible(row: Row) -> list[str]:
    """Bound the scores of several runs that follow from each run's cells, where only the means of these are told."""
    mpc, clean, worst, ratio = (
        row.scores[name].mean if name in row.scores else None for name in ("mPC", "clean", "worst", "rPC")
    )
    warnings = []
    if mpc is not None and worst is not None and worst > mpc + 2 * ROUNDING + _SLACK:
        warnings.append(f"worst is {_show(worst)}, but the mean of all corruptions, mPC, is {_show(mpc)}")
    if mpc is not None and clean and ratio is not None and abs(ratio - mpc / clean) > RATIO_SPREAD:
        warnings.append(
            f"rPC is {_show(ratio)}, but mPC over clean is {_show(mpc / clean)} (if the runs differ so much, give their `values`)"
        )
    return warnings


def _average(row: Row, columns: Sequence[str]) -> float | None:
    means = [row.scores[column].mean if column in row.scores else None for column in columns]
    known = [mean for mean in means if mean is not None]
    return fmean(known) if known and len(known) == len(means) else None


def _find_rounding(row: Row, protocol: Mapping[str, Any]) -> float:
    """Return how far a mean or a minimum of cells may lie from its cells, for rounding alone.

    Its own rounding, and where the cells look rounded to a tenth of a percent theirs, which it passes on.
    """
    cells = [row.scores[name].mean for name in list_cells(row.scores, protocol) if name in row.scores]
    rounded = all(value is None or abs(round(value, 3) - value) < _SLACK for value in cells)
    return (2 if rounded else 1) * ROUNDING + _SLACK


def _tolerate(column: str, row: Row, rounding: float) -> float:
    """Return how far an aggregate may lie from what its cells give."""
    if column == "drift":  # of two rounds
        return 2 * rounding
    clean = row.scores["clean"].mean if "clean" in row.scores else None
    if column == "rPC" and clean:  # of a quotient
        return ROUNDING + rounding * (1 + (row.scores["rPC"].mean or 0.0)) / clean
    return rounding


def _read_means(row: Row, protocol: Mapping[str, Any]) -> dict[str, float]:
    """Return what is judged against chance: of a benchmark the mean of each corruption, of a stream each domain."""
    if protocol["kind"] == "evaluate":
        return {}
    groups = {name: [f"{name}/{severity}" for _, severity in cells] for name, cells in _group_grid(protocol).items()}
    groups = groups or {domain: [domain] for domain in list_domains(protocol)}
    scores = {name: [row.scores[c].mean for c in columns if c in row.scores] for name, columns in groups.items()}
    found = {name: [value for value in values if value is not None] for name, values in scores.items()}
    return {name: fmean(values) for name, values in found.items() if values}


def _group_grid(protocol: Mapping[str, Any]) -> Mapping[str, Sequence[tuple[str, int]]]:
    return group_cells(list_grid(protocol))


def _count_classes(row: Row, protocol: Mapping[str, Any]) -> int | None:
    described = [protocol["dataset"]] if "dataset" in protocol else list(protocol.get("datasets", {}).values())
    types = [DATASET_TYPES[each["type"]] for each in described if each.get("type") in DATASET_TYPES]
    told = row.detail.classes if row.detail is not None else ()
    columns = [column for column in row.scores if column.startswith(CLASS)]
    return types[0].num_classes if types else len(told) or len(columns) or None


def _is_below(score: Score, bound: float) -> bool:
    return score.mean is not None and score.mean < bound


def _read_cells(row: Row, protocol: Mapping[str, Any]) -> tuple[float | None, ...] | None:
    """Return the scores of a row's cells; None where they are too few, or too poor, to say that two rows are one."""
    cells = [row.scores[name].mean for name in list_cells(row.scores, protocol) if name in row.scores]
    return tuple(cells) if len({value for value in cells if value}) >= FEWEST_EQUAL else None


def _read_checkpoints(row: Row) -> tuple[str | None, ...] | None:
    """Return what makes two rows one network: its weights and the method that adapts it; None where they are not told."""
    hashes = row.provenance.checkpoints if row.provenance is not None else ()
    return (row.adaptation, *hashes) if hashes else None


def _group(rows: Sequence[Row], read: Callable[[Row], tuple[Any, ...] | None]) -> list[list[int]]:
    """Return the places of the rows that are alike, of each kind of which there are several."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(rows):
        key = read(row)
        if key is not None:
            groups.setdefault(key, []).append(place)
    return [group for group in groups.values() if len(group) > 1]


def _warn_each(found: list[list[str]], rows: Sequence[Row], group: Sequence[int], text: str) -> None:
    names = [f"'{rows[place].entry}'" for place in group[: _LISTED + 1]]
    for place in group:
        others = [name for other, name in zip(group, names, strict=False) if other != place][:_LISTED]
        rest = f" and {len(group) - 1 - len(others)} more" if len(group) - 1 > len(others) else ""
        found[place].append(text.format(", ".join(others)) + rest)


def _show(share: float) -> str:
    return f"{100 * share:.2f}"
