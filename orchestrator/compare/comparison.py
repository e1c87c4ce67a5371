"""The differences between a baseline and others under one protocol, each with its paired interval and what chance explains."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapt.errors import SpecError
from adapt.scores.bootstrap import give_interval
from adapt.scores.significance import bootstrap_p_value, count_resamples, find_surviving
from orchestrator.compare.measure import Measure, Measured, list_measures, measure_side
from orchestrator.compare.side import Side
from orchestrator.leaderboard.row import Score

SCHEMA_VERSION = 1
LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """One score of two sides, and the second minus the first.

    Attributes:
        group: what kind of thing is scored: `scores`, `corruptions`, `shifts`, `domains`, `rounds`, `classes` ...
        name: of the score, corruption, domain or class.
        first: of the baseline, over its runs.
        second: of the other.
        difference: `second` minus `first`, of the means over runs, with the bounds of its 95 % interval over images.
        p: two-sided p value of the bootstrap; None without resamples.
        survives: whether Holm's procedure at 5 % over all differences of the comparison finds it.
    """

    group: str
    name: str
    first: Score
    second: Score
    difference: Score
    p: float | None = None
    survives: bool = False

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval holds no 0."""
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and (low > 0 or high < 0)


@dataclass(frozen=True)
class ClassGrid:
    """The difference in IoU of every class under every condition, with the bounds of its interval; None where undefined."""

    classes: tuple[str, ...]
    conditions: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]  # by class, then by condition
    low: tuple[tuple[float | None, ...], ...] | None
    high: tuple[tuple[float | None, ...], ...] | None


@dataclass(frozen=True)
class Pair:
    """What the baseline and one other differ in."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    grid: ClassGrid


@dataclass(frozen=True)
class Curve:
    """The mIoU of a side by severity, 0 for clean images, with the bounds of its interval."""

    side: str
    corruption: str  # empty: the mean over all
    severities: tuple[int, ...]
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Comparison:
    """All differences from a baseline under one protocol.

    Attributes:
        title: of the table that its rows stand in.
        kind: `evaluate`, `benchmark` or `stream`.
        protocol: what all were scored under.
        sides: names, the baseline first.
        keys: side -> the tasks of its runs.
        images: how many there are, cells that repeat them apart.
        resamples: how many were drawn; 0 where counts are missing.
        pairs: of the baseline and each other.
        curves: mIoU over severity, of benchmarks.
        notes: what a reader should know, in sentences without a full stop.
    """

    title: str
    kind: str
    protocol: Mapping[str, Any]
    sides: tuple[str, ...]
    keys: Mapping[str, tuple[str, ...]]
    images: int
    resamples: int
    pairs: tuple[Pair, ...]
    curves: tuple[Curve, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON-able data."""
        return asdict(self)


def compare_sides(sides: Sequence[Side]) -> Comparison:
    """Compare the others with the first.

    Args:
        sides: two or more of one protocol, each with its records.

    Returns:
        The differences; without the counts of every image they have no interval, and a note says so.

    Raises:
        SpecError: two sides are the same tasks, or counted different images.
        PrerequisiteError: a score is missing, or counts do not belong to their record.
    """
    sides = _name_apart(sides)
    names = tuple(side.name for side in sides)
    for side in sides[1:]:
        if [record.key for record in side.records] == [record.key for record in sides[0].records]:
            raise SpecError(
                f"'{side.name}' is the same result as '{names[0]}': equal tasks are one task. Name another row."
            )
        if side.records[0].classes != sides[0].records[0].classes:
            raise SpecError(
                f"'{side.name}' and '{names[0]}' tell other classes apart, so no score of theirs can be compared."
            )
    resamples = count_resamples((len(sides) - 1) * len(list_measures(sides[0].records[0])), LEVEL)
    measured = [measure_side(side, resamples) for side in sides]
    problems = [each.problem for each in measured if each.problem is not None]
    if problems:
        measured = [_drop_resamples(each) for each in measured]
    else:
        _require_same_images(names, measured)
    pairs = [
        _compare(names[0], name, measured[0], other, sides[0])
        for name, other in zip(names[1:], measured[1:], strict=True)
    ]
    pairs = _correct(pairs)
    shown = [difference for pair in pairs for difference in pair.differences]
    runs = {name: len(side.records) for name, side in zip(names, sides, strict=True)}
    return Comparison(
        title=sides[0].title,
        kind=sides[0].records[0].kind,
        protocol=sides[0].protocol,
        sides=names,
        keys={name: tuple(record.key for record in side.records) for name, side in zip(names, sides, strict=True)},
        images=_count_images(measured[0]),
        resamples=0 if problems else resamples,
        pairs=tuple(pairs),
        curves=tuple(curve for name, each in zip(names, measured, strict=True) for curve in _list_curves(name, each)),
        notes=(*_explain_missing(problems), *([] if problems else _explain_chance(shown)), *_explain_seeds(runs)),
    )


def _name_apart(sides: Sequence[Side]) -> list[Side]:
    """Give sides of one name a few digits of their first task."""
    names = [side.name for side in sides]
    return [
        replace(side, name=f"{side.name} {side.records[0].key[:8]}") if names.count(side.name) > 1 else side
        for side in sides
    ]


def _drop_resamples(measured: Measured) -> Measured:
    return replace(
        measured,
        scores={measure: scores[:1] for measure, scores in measured.scores.items()},
        classes={condition: ious[:1] for condition, ious in measured.classes.items()},
        severities={
            name: {severity: scores[:1] for severity, scores in curve.items()}
            for name, curve in measured.severities.items()
        },
    )


def _require_same_images(names: Sequence[str], measured: Sequence[Measured]) -> None:
    for name, each in zip(names[1:], measured[1:], strict=True):
        other = [cell for cell, digest in measured[0].digests.items() if each.digests.get(cell) != digest]
        if other:
            raise SpecError(
                f"'{names[0]}' and '{name}' counted different images, or other labels of them, in {len(other)} of "
                f"{len(measured[0].digests)} cells (the first: '{other[0]}'), so their difference is not paired. Sweep both on "
                "the same files."
            )


def _count_images(measured: Measured) -> int:
    """Return how many images there are, those that several cells show counted once."""
    if not measured.digests:
        return max(measured.images.values())
    return sum({digest: measured.images[cell] for cell, digest in measured.digests.items()}.values())


def _compare(first: str, second: str, one: Measured, other: Measured, side: Side) -> Pair:
    differences = [_subtract(measure, one, other) for measure in one.scores]
    conditions = tuple(one.classes)
    drawn = {condition: other.classes[condition] - one.classes[condition] for condition in conditions}
    bounds = [[_bound(drawn[c][:, place]) for c in conditions] for place in range(len(side.records[0].classes))]
    has_bounds = any(score.low is not None for row in bounds for score in row)

    def take(name: str) -> tuple[tuple[float | None, ...], ...]:
        return tuple(tuple(getattr(score, name) for score in row) for row in bounds)

    low, high = (take("low"), take("high")) if has_bounds else (None, None)
    return Pair(
        first, second, tuple(differences), ClassGrid(side.records[0].classes, conditions, take("mean"), low, high)
    )


def _subtract(measure: Measure, one: Measured, other: Measured) -> Difference:
    drawn = other.scores[measure] - one.scores[measure]
    return Difference(
        *measure,
        first=_pool(one, measure),
        second=_pool(other, measure),
        difference=_bound(drawn),
        p=bootstrap_p_value(drawn),
    )


def _pool(measured: Measured, measure: Measure) -> Score:
    """Return a score over runs with the interval of its mean."""
    values = measured.values[measure]
    known = [value for value in values if value is not None]
    std = statistics.stdev(known) if len(known) == len(values) > 1 else None
    return replace(_bound(measured.scores[measure]), std=std, values=values)


def _bound(drawn: NDArray[np.float64]) -> Score:
    """Return a score with the bounds of its 95 % interval, as far as they are defined."""
    if np.isnan(drawn[0]):
        return Score(None, None, (), "the class occurs neither in a label nor in a prediction")
    if np.isnan(drawn[1:]).all():
        return Score(float(drawn[0]), None, ())
    estimate, low, high = give_interval(drawn, 1 - LEVEL)
    return Score(estimate, None, (), low=low, high=high)


def _correct(pairs: Sequence[Pair]) -> list[Pair]:
    """Mark the differences that Holm's procedure finds among those of all pairs."""
    found = iter(find_surviving([one.p for pair in pairs for one in pair.differences], LEVEL))
    return [
        replace(pair, differences=tuple(replace(one, survives=next(found)) for one in pair.differences))
        for pair in pairs
    ]


def _list_curves(name: str, measured: Measured) -> list[Curve]:
    return [
        Curve(name, corruption, tuple(curve), tuple(_bound(drawn) for drawn in curve.values()))
        for corruption, curve in measured.severities.items()
    ]


def _explain_missing(problems: Sequence[str]) -> list[str]:
    return [f"no intervals: {problem}. Sweep again with this task removed to have them" for problem in problems]


def _explain_chance(shown: Sequence[Difference]) -> list[str]:
    intervals = sum(one.difference.low is not None for one in shown)
    excluding, surviving = sum(one.excludes_zero for one in shown), sum(one.survives for one in shown)
    return [
        f"{excluding} of {intervals} intervals exclude 0 (+); about {LEVEL * intervals:.0f} would by chance if nothing differed. "
        f"{surviving} survive Holm's correction at 5 % (*)"
    ]


def _explain_seeds(runs: Mapping[str, int]) -> list[str]:
    if all(count == 1 for count in runs.values()):
        return ["one run of each: intervals are over the choice of images and say nothing of another seed"]
    counts = ", ".join(f"{name} {count}" for name, count in runs.items())
    return [
        f"means over runs ({counts}); ± is the spread over runs, which the intervals, over the choice of images, leave out"
    ]
