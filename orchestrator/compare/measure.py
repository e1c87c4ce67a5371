"""What is compared of a side: its scores as they are and under each bootstrap resample of the images, by the formulas of records.

An image that is drawn is drawn in all cells that show it, under all seeds and on all sides: differences are paired. Draws are
those of the leaderboard's intervals, see `orchestrator.image_counts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapt.benchmark.unit import CLEAN
from adapt.errors import PrerequisiteError
from adapt.scores.bootstrap import score_class_resamples, score_resamples
from adapt.scores.confusion import average_defined
from adapt.scores.grid import group_cells
from orchestrator.compare.side import Side
from orchestrator.image_counts import ImageCounts, ImageDraws, MissingCountsError, describe_images
from orchestrator.leaderboard.columns import MAIN
from orchestrator.record import Record
from orchestrator.scoring import list_wanted, read_confusion

Drawn = NDArray[np.float64]
"""(1 + R,) a score of the images as they are, and of each resample; nan where it has none."""

SCORES, CORRUPTIONS, SHIFTS, DOMAINS, ROUNDS = "scores", "corruptions", "shifts", "domains", "rounds"
CLASSES, CLEAN_CLASSES, CORRUPTED_CLASSES = "classes", "classes, clean", "classes, corrupted"


class Measure(NamedTuple):
    """One thing that is compared: its group, such as `corruptions`, and its name in it, such as `fog`."""

    group: str
    name: str


@dataclass
class Measured:
    """The scores of a side, each the mean over its runs.

    Attributes:
        images: cell -> how many images it has.
        digests: cell -> see `describe_images`.
        scores: measure -> its score.
        values: measure -> the score of each run on the images as they are.
        classes: condition (`clean`, a corruption, a shift, a domain) -> (1 + R, K) IoU of each class, over its cells.
        severities: corruption -> severity -> mIoU, of benchmarks; the mean over the corruptions is under an empty name.
        problem: why there are no resamples: R is 0 then.
    """

    images: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    scores: dict[Measure, Drawn] = field(default_factory=dict)
    values: dict[Measure, tuple[float | None, ...]] = field(default_factory=dict)
    classes: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    severities: dict[str, dict[int, Drawn]] = field(default_factory=dict)
    problem: str | None = None


@dataclass
class _Run:
    """Cell -> mIoU (1 + R,) and IoU of each class (1 + R, K), of one run."""

    miou: dict[str, Drawn] = field(default_factory=dict)
    classes: dict[str, NDArray[np.float64]] = field(default_factory=dict)


def measure_side(side: Side, resamples: int) -> Measured:
    """Score a side on its images and on resamples of them.

    Args:
        side: with at least one record.
        resamples: how many; without the counts of every image there are none.

    Raises:
        PrerequisiteError: a cell has no score, the runs counted different images, or counts do not belong to their record.
    """
    measured = Measured()
    try:
        runs = [_score_run(record, ImageCounts(record, side.find_file), resamples, measured) for record in side.records]
    except MissingCountsError as error:
        measured = Measured(problem=f"{side.name}: {error}")
        runs = [_score_pooled(record, measured) for record in side.records]
    record = side.records[0]
    each = [_list_scores(record, run) for run in runs]
    measured.scores = {name: np.mean([scores[name] for scores in each], axis=0) for name in each[0]}
    measured.values = {name: tuple(_plain(scores[name][0]) for scores in each) for name in each[0]}
    measured.classes = _average_runs([_pool_conditions(record, run) for run in runs])
    if record.kind == "benchmark":
        measured.severities = _list_severities(record, runs)
    return measured


def list_measures(record: Record) -> list[Measure]:
    """Return what is compared of a record of this protocol, the score that ranks first."""
    classes = len(record.classes)
    nothing = np.zeros(1)
    run = _Run({cell.name: nothing for cell in record.cells}, {c.name: np.zeros((1, classes)) for c in record.cells})
    return list(_list_scores(record, run))


def _score_run(record: Record, counts: ImageCounts, resamples: int, measured: Measured) -> _Run:
    run = _Run()
    draws = ImageDraws(resamples)
    for cell in record.cells:
        _require_score(record, cell.name)
        names, confusions = counts.frames.get(cell.name, ()), counts.read(cell.name)
        digest = describe_images(names, confusions)
        if measured.digests.setdefault(cell.name, digest) != digest:
            raise PrerequisiteError(
                f"the runs of '{record.label}' counted different images or labels in '{cell.name}' (task {record.key}), so that "
                "their mean has no interval. Were files of the data set changed between them? Sweep again."
            )
        measured.images[cell.name] = len(names)
        weights = draws.draw(names)
        run.miou[cell.name] = score_resamples(confusions, weights)
        run.classes[cell.name] = score_class_resamples(confusions, weights)
    return run


def _score_pooled(record: Record, measured: Measured) -> _Run:
    """Score a run from its record alone, as if a cell were one image that is drawn once."""
    run, once = _Run(), np.ones((1, 1))
    for cell in record.cells:
        pooled = _require_score(record, cell.name)[None]
        measured.images[cell.name] = cell.frames
        run.miou[cell.name] = score_resamples(pooled, once)
        run.classes[cell.name] = score_class_resamples(pooled, once)
    return run


def _require_score(record: Record, name: str) -> NDArray[np.int64]:
    cell = next(cell for cell in record.cells if cell.name == name)
    confusion = read_confusion(cell)
    if confusion is None or not confusion.any():
        raise PrerequisiteError(
            f"task {record.key} ({record.label}) has no score in the cell '{name}' ({cell.reason or 'no pixel is labelled'}), and "
            "an incomplete grid is not compared. Run the missing cells: `segshift sweep` again."
        )
    return confusion


def _list_scores(record: Record, run: _Run) -> dict[Measure, Drawn]:
    """Return every measure of a run, the score that ranks first."""
    main = Measure(SCORES, MAIN[record.kind])
    if record.kind == "evaluate":
        ((name, miou),) = run.miou.items()
        return {main: miou, **_split_classes(record, CLASSES, run.classes[name])}
    return _list_benchmark(record, run, main) if record.kind == "benchmark" else _list_stream(record, run, main)


def _list_benchmark(record: Record, run: _Run, main: Measure) -> dict[Measure, Drawn]:
    wanted = list_wanted(record)
    lacking = [f"{name}/{severity}" for name, severity in wanted if f"{name}/{severity}" not in run.miou]
    if lacking or not wanted:
        raise PrerequisiteError(
            f"task {record.key} ({record.label}) lacks {len(lacking)} cells of its protocol ({', '.join(lacking[:4])} ...), and an "
            "incomplete grid is not compared. Run them: `segshift sweep` again."
        )
    groups = group_cells(wanted)
    means = {name: np.mean([run.miou[f"{c}/{s}"] for c, s in cells], axis=0) for name, cells in groups.items()}
    classes = {name: average_defined([run.classes[f"{c}/{s}"] for c, s in cells]) for name, cells in groups.items()}
    shifts = {str(cell.axes["shift"]): cell.name for cell in record.cells if "shift" in cell.axes}
    return {
        main: np.mean(list(means.values()), axis=0),
        **({Measure(SCORES, CLEAN): run.miou[CLEAN]} if CLEAN in run.miou else {}),
        **{Measure(CORRUPTIONS, name): scores for name, scores in means.items()},
        **{Measure(SHIFTS, name): run.miou[cell] for name, cell in shifts.items()},
        **(_split_classes(record, CLEAN_CLASSES, run.classes[CLEAN]) if CLEAN in run.classes else {}),
        **_split_classes(record, CORRUPTED_CLASSES, average_defined(list(classes.values()))),
    }


def _list_stream(record: Record, run: _Run, main: Measure) -> dict[Measure, Drawn]:
    """Return the measures of a stream; a mean is over domains, then over rounds, as in `adapt.tta.summary`."""
    rounds: dict[int, list[Drawn]] = {}
    domains: dict[str, list[Drawn]] = {}
    for cell in record.cells:
        rounds.setdefault(int(cell.axes["round"]), []).append(run.miou[cell.name])
        domains.setdefault(str(cell.axes["domain"]), []).append(run.miou[cell.name])
    by_round = {number: np.mean(scores, axis=0) for number, scores in sorted(rounds.items())}
    numbers = {f"round {place}": scores for place, scores in enumerate(by_round.values(), 1)}
    return {
        main: np.mean(list(by_round.values()), axis=0),
        **{Measure(DOMAINS, name): np.mean(scores, axis=0) for name, scores in domains.items()},
        **({Measure(ROUNDS, name): scores for name, scores in numbers.items()} if len(numbers) > 1 else {}),
        **_split_classes(record, CLASSES, average_defined(list(run.classes.values()))),
    }


def _split_classes(record: Record, group: str, ious: NDArray[np.float64]) -> dict[Measure, Drawn]:
    return {Measure(group, name): ious[:, place] for place, name in enumerate(record.classes)}


def _pool_conditions(record: Record, run: _Run) -> dict[str, NDArray[np.float64]]:
    """Return condition -> IoU of each class, the mean over its cells."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for cell in record.cells:
        axis = next((axis for axis in ("corruption", "shift", "domain") if axis in cell.axes), None)
        found.setdefault(CLEAN if axis is None else str(cell.axes[axis]), []).append(run.classes[cell.name])
    return {condition: average_defined(ious) for condition, ious in found.items()}


def _average_runs(runs: Sequence[Mapping[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    return {condition: np.mean([run[condition] for run in runs], axis=0) for condition in runs[0]}


def _list_severities(record: Record, runs: Sequence[_Run]) -> dict[str, dict[int, Drawn]]:
    """Return the mIoU of each corruption by severity, and of their mean where all have a severity."""

    def average(names: Iterable[str]) -> Drawn:
        result: Drawn = np.mean([run.miou[name] for name in names for run in runs], axis=0)
        return result

    groups = group_cells(list_wanted(record))
    curves = {
        name: {severity: average([f"{name}/{severity}"]) for _, severity in cells} for name, cells in groups.items()
    }
    shared = [
        severity for severity in next(iter(curves.values())) if all(severity in curve for curve in curves.values())
    ]
    overall = {severity: average([f"{name}/{severity}" for name in curves]) for severity in shared}
    clean = {0: average([CLEAN])} if CLEAN in runs[0].miou else {}
    return {"": {**clean, **overall}, **{name: {**clean, **curve} for name, curve in curves.items()}}


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
