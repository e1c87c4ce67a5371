"""Scores of a row of (corruption, severity) cells.

A *cell* is a pair such as ("fog", 3); a row maps each cell of a protocol to a score or an error in [0, 1]. Every
function takes the protocol's cells beside the row and refuses a row that lacks one: a mean over what happens to be
there compares with nothing. Cells outside the protocol are left out.

Where severities are averaged, each corruption is averaged first and the corruptions then weigh the same, as published
tables do, also where noise has three severities and the others five.

Papers: mPC and rPC of Michaelis et al. 2019 (arXiv:1907.07484); CD and rCD of Kamann & Rother, CVPR 2020
(arXiv:1908.05005); mCE and relative mCE of Hendrycks & Dietterich, ICLR 2019 (arXiv:1903.12261); mCE and mRR of Robo3D,
ICCV 2023 (arXiv:2303.17597); GAM of SemSegBench (arXiv:2505.18015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

Cell = tuple[str, int]
Row = Mapping[Cell, float | None]

_SHOWN = 4  # missing cells that an error lists before it counts the rest; ours, chosen to stay readable


@dataclass(frozen=True)
class Reference:
    """The named row that degradations are relative to.

    Attributes:
        name: The entry it comes from; a degradation without this name means nothing.
        clean: Its value on clean images, in [0, 1]: mIoU where mIoU is compared, error where error is.
        cells: Its values on corrupted images, in [0, 1].
    """

    name: str
    clean: float
    cells: Row


def mean_corrupted(row: Row, cells: Sequence[Cell]) -> float:
    """Average mIoU over severities, then over corruptions (mPC).

    Args:
        row: mIoU of each cell, in [0, 1].
        cells: The protocol's cells.

    Returns:
        The mean in [0, 1].

    Raises:
        ValueError: If a cell is missing, None, nan or outside [0, 1], or `cells` is empty or repeats one.

    Example:
        >>> row = {("fog", 1): 0.6, ("fog", 2): 0.4, ("snow", 1): 0.1}
        >>> mean_corrupted(row, [("fog", 1), ("fog", 2), ("snow", 1)])
        0.3
    """
    return fmean(_corruption_means(row, cells).values())


def relative_corrupted(row: Row, clean: float, cells: Sequence[Cell]) -> float:
    """Divide the mean corrupted mIoU by the clean one (rPC, also called retention; Robo3D's mRR is the same number).

    Robo3D defines mRR as the mean over corruptions of mean corrupted / clean; the denominator is common to all, so the
    mean of ratios is the ratio of means.

    Args:
        row: mIoU of each cell, in [0, 1].
        clean: Clean mIoU of the same model, in (0, 1].
        cells: The protocol's cells.

    Returns:
        The ratio, 0 or more; above 1 where the corrupted mean exceeds the clean score.

    Raises:
        ValueError: As `mean_corrupted`, or if `clean` is not in (0, 1].

    Example:
        >>> relative_corrupted({("fog", 1): 0.6, ("snow", 1): 0.2}, 0.8, [("fog", 1), ("snow", 1)])
        0.5
    """
    if not 0.0 < clean <= 1.0:
        raise ValueError(f"the clean score must lie in (0, 1], got {clean}")
    return mean_corrupted(row, cells) / clean


def corruption_degradation(row: Row, reference: Reference, cells: Sequence[Cell]) -> dict[str, float]:
    """Divide, for each corruption, the summed 1 - mIoU of a row by that of the reference (CD).

    Args:
        row: mIoU of each cell, in [0, 1].
        reference: The row to compare with, in mIoU.
        cells: The protocol's cells.

    Returns:
        CD of each corruption in the order of `cells`; 1 equals the reference, below 1 degrades less.

    Raises:
        ValueError: As `mean_corrupted` for either row, or if the reference is perfect on a corruption.

    Example:
        >>> reference = Reference("baseline", 0.8, {("fog", 1): 0.6, ("fog", 2): 0.4})
        >>> corruption_degradation({("fog", 1): 0.7, ("fog", 2): 0.5}, reference, [("fog", 1), ("fog", 2)])
        {'fog': 0.8}
    """
    degraded = {corruption: 1.0 - miou for corruption, miou in _corruption_means(row, cells).items()}
    baseline = {corruption: 1.0 - miou for corruption, miou in _reference_means(reference, cells).items()}
    return _ratios(degraded, baseline, reference.name)


def relative_corruption_degradation(
    row: Row, clean: float, reference: Reference, cells: Sequence[Cell]
) -> dict[str, float]:
    """Divide, for each corruption, the mIoU that a row loses against clean by what the reference loses (rCD).

    Args:
        row: mIoU of each cell, in [0, 1].
        clean: Clean mIoU of the same model, in [0, 1].
        reference: The row to compare with, in mIoU.
        cells: The protocol's cells.

    Returns:
        rCD of each corruption in the order of `cells`; 1 loses as much as the reference, below 0 gains where the
        reference loses.

    Raises:
        ValueError: As `mean_corrupted` for either row, if a clean score is outside [0, 1], or if the reference loses
            nothing on a corruption.

    Example:
        >>> reference = Reference("baseline", 0.8, {("fog", 1): 0.4})
        >>> round(relative_corruption_degradation({("fog", 1): 0.5}, 0.7, reference, [("fog", 1)])["fog"], 6)
        0.5
    """
    _check_clean(clean, "the row")
    _check_clean(reference.clean, f"the reference row {reference.name!r}")
    lost = {corruption: clean - miou for corruption, miou in _corruption_means(row, cells).items()}
    baseline = {corruption: reference.clean - miou for corruption, miou in _reference_means(reference, cells).items()}
    return _ratios(lost, baseline, reference.name)


def mean_degradation(row: Row, reference: Reference, cells: Sequence[Cell]) -> float:
    """Average CD over the corruptions (mean CD; Robo3D's mCE).

    Args:
        row: mIoU of each cell, in [0, 1].
        reference: The row to compare with, in mIoU.
        cells: The protocol's cells.

    Returns:
        The mean, 0 or more; 1 for the reference itself.

    Raises:
        ValueError: As `corruption_degradation`.

    Example:
        >>> reference = Reference("baseline", 0.8, {("fog", 1): 0.5, ("snow", 1): 0.5})
        >>> mean_degradation({("fog", 1): 0.75, ("snow", 1): 0.25}, reference, [("fog", 1), ("snow", 1)])
        1.0
    """
    return fmean(corruption_degradation(row, reference, cells).values())


def corruption_error(row: Row, reference: Reference, cells: Sequence[Cell]) -> dict[str, float]:
    """Divide, for each corruption, the summed error of a row by that of the reference (CE); its mean is the mCE.

    Args:
        row: Error of each cell, in [0, 1]: in classification 1 - top-1 accuracy.
        reference: The row to compare with, in error (ImageNet-C: AlexNet).
        cells: The protocol's cells.

    Returns:
        CE of each corruption in the order of `cells`.

    Raises:
        ValueError: As `mean_corrupted` for either row, or if the reference makes no error on a corruption.

    Example:
        >>> reference = Reference("AlexNet", 0.43, {("fog", 1): 0.6, ("fog", 2): 0.9})
        >>> corruption_error({("fog", 1): 0.3, ("fog", 2): 0.45}, reference, [("fog", 1), ("fog", 2)])
        {'fog': 0.5}
    """
    return _ratios(_corruption_means(row, cells), _reference_means(reference, cells), reference.name)


def mean_corruption_error(row: Row, reference: Reference, cells: Sequence[Cell]) -> float:
    """Average CE over the corruptions, as classification does (mCE).

    Args:
        row: Error of each cell, in [0, 1].
        reference: The row to compare with, in error.
        cells: The protocol's cells.

    Returns:
        The mean, 0 or more; 1 for the reference itself.

    Raises:
        ValueError: As `corruption_error`.

    Example:
        >>> reference = Reference("AlexNet", 0.43, {("fog", 1): 0.5, ("snow", 1): 0.5})
        >>> mean_corruption_error({("fog", 1): 0.25, ("snow", 1): 0.5}, reference, [("fog", 1), ("snow", 1)])
        0.75
    """
    return fmean(corruption_error(row, reference, cells).values())


def relative_corruption_error(row: Row, clean: float, reference: Reference, cells: Sequence[Cell]) -> dict[str, float]:
    """Divide, for each corruption, the error that a row gains over clean by what the reference gains (relative CE).

    Args:
        row: Error of each cell, in [0, 1].
        clean: Clean error of the same model, in [0, 1].
        reference: The row to compare with, in error.
        cells: The protocol's cells.

    Returns:
        Relative CE of each corruption in the order of `cells`.

    Raises:
        ValueError: As `mean_corrupted` for either row, if a clean value is outside [0, 1], or if the reference gains no
            error on a corruption.

    Example:
        >>> reference = Reference("AlexNet", 0.5, {("fog", 1): 0.75})
        >>> relative_corruption_error({("fog", 1): 0.5}, 0.25, reference, [("fog", 1)])
        {'fog': 1.0}
    """
    _check_clean(clean, "the row")
    _check_clean(reference.clean, f"the reference row {reference.name!r}")
    gained = {corruption: error - clean for corruption, error in _corruption_means(row, cells).items()}
    baseline = {corruption: error - reference.clean for corruption, error in _reference_means(reference, cells).items()}
    return _ratios(gained, baseline, reference.name)


def relative_mean_corruption_error(row: Row, clean: float, reference: Reference, cells: Sequence[Cell]) -> float:
    """Average relative CE over the corruptions, as classification does (relative mCE).

    Args:
        row: Error of each cell, in [0, 1].
        clean: Clean error of the same model, in [0, 1].
        reference: The row to compare with, in error.
        cells: The protocol's cells.

    Returns:
        The mean; 1 for the reference itself.

    Raises:
        ValueError: As `relative_corruption_error`.

    Example:
        >>> reference = Reference("AlexNet", 0.5, {("fog", 1): 0.75, ("snow", 1): 1.0})
        >>> relative_mean_corruption_error({("fog", 1): 0.5, ("snow", 1): 0.5}, 0.25, reference, list(reference.cells))
        0.75
    """
    return fmean(relative_corruption_error(row, clean, reference, cells).values())


def worst_corruption(row: Row, cells: Sequence[Cell]) -> tuple[str, float]:
    """Find the corruption with the lowest mIoU, averaged over its severities.

    Args:
        row: mIoU of each cell, in [0, 1].
        cells: The protocol's cells.

    Returns:
        Its name and its mean mIoU; of equals the first in the order of `cells`.

    Raises:
        ValueError: As `mean_corrupted`.

    Example:
        >>> worst_corruption({("fog", 1): 0.6, ("snow", 1): 0.2}, [("fog", 1), ("snow", 1)])
        ('snow', 0.2)
    """
    means = _corruption_means(row, cells)
    name = min(means, key=means.__getitem__)
    return name, means[name]


def generalization_ability(row: Row, cells: Sequence[Cell]) -> float:
    """Give the mIoU under the worst corruption (GAM).

    Args:
        row: mIoU of each cell, in [0, 1].
        cells: The protocol's cells.

    Returns:
        The minimum over corruptions, in [0, 1].

    Raises:
        ValueError: As `mean_corrupted`.

    Example:
        >>> generalization_ability({("fog", 1): 0.6, ("snow", 1): 0.2}, [("fog", 1), ("snow", 1)])
        0.2
    """
    return worst_corruption(row, cells)[1]


def corrupted_class_iou(row: Mapping[Cell, NDArray[np.float64]], cells: Sequence[Cell]) -> NDArray[np.float64]:
    """Average each class's IoU over severities, then over corruptions.

    A class that is nowhere labelled can still occur in some cells, wrongly predicted: its mean is over these.

    Args:
        row: (K,) float64 IoU per class of each cell, nan where a class does not occur.
        cells: The protocol's cells.

    Returns:
        (K,) float64 in [0, 1]; nan for a class that occurs in no cell.

    Raises:
        ValueError: If a cell is missing, or `cells` is empty or repeats one.

    Example:
        >>> row = {("fog", 1): np.array([0.5, np.nan]), ("snow", 1): np.array([0.25, np.nan])}
        >>> corrupted_class_iou(row, [("fog", 1), ("snow", 1)])
        array([0.375,   nan])
    """
    _refuse_incomplete([cell for cell in cells if cell not in row], cells, "the row")
    groups = _by_corruption(cells)
    return _mean_defined([_mean_defined([row[cell] for cell in group]) for group in groups.values()])


def worst_class(iou: NDArray[np.float64]) -> tuple[int, float] | None:
    """Find the class with the lowest IoU.

    Args:
        iou: (K,) float64 IoU per class, nan where a class does not occur: clean, or as of `corrupted_class_iou`.

    Returns:
        Its train id and its IoU, or None if no class occurs; of equals the first.

    Example:
        >>> worst_class(np.array([0.5, np.nan, 0.25]))
        (2, 0.25)
    """
    if np.isnan(iou).all():
        return None
    index = int(np.nanargmin(iou))
    return index, float(iou[index])


def _by_corruption(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell[0], []).append(cell)
    return groups


def _corruption_means(row: Row, cells: Sequence[Cell], name: str = "the row") -> dict[str, float]:
    """Average each corruption over its severities, once the row is known to be complete and in [0, 1]."""
    values: dict[Cell, float] = {}
    for cell in cells:
        value = row.get(cell)
        if value is not None and not np.isnan(value):
            values[cell] = value
    _refuse_incomplete([cell for cell in cells if cell not in values], cells, name)
    for cell, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} has {value} at {cell[0]} severity {cell[1]}, outside [0, 1]: is it in percent?")
    return {corruption: fmean(values[cell] for cell in group) for corruption, group in _by_corruption(cells).items()}


def _reference_means(reference: Reference, cells: Sequence[Cell]) -> dict[str, float]:
    return _corruption_means(reference.cells, cells, f"the reference row {reference.name!r}")


def _refuse_incomplete(missing: Sequence[Cell], cells: Sequence[Cell], name: str) -> None:
    if not cells:
        raise ValueError("there are no cells to average over")
    if len(set(cells)) < len(cells):
        raise ValueError("the list of cells repeats one: each would weigh more than the protocol says")
    if missing:
        listed = ", ".join(f"{corruption} severity {severity}" for corruption, severity in missing[:_SHOWN])
        rest = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise ValueError(
            f"{name} has no value for {len(missing)} of {len(cells)} cells ({listed}{rest}), "
            "and a mean over an incomplete grid is refused: run the missing cells"
        )


def _check_clean(clean: float, name: str) -> None:
    if not 0.0 <= clean <= 1.0:
        raise ValueError(f"{name} has {clean} on clean images, outside [0, 1]: is it in percent?")


def _ratios(errors: Mapping[str, float], references: Mapping[str, float], name: str) -> dict[str, float]:
    """Divide means over severities, corruption by corruption; the published ratios of sums are the same numbers."""
    idle = [corruption for corruption, value in references.items() if value <= 0.0]
    if idle:
        raise ValueError(f"the reference row {name!r} does not degrade on {', '.join(idle)}: there is no ratio to it")
    return {corruption: errors[corruption] / references[corruption] for corruption in references}


def _mean_defined(arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    stacked = np.stack(arrays)  # (number of arrays, K)
    defined = (~np.isnan(stacked)).sum(axis=0)
    mean = np.full(stacked.shape[1:], np.nan)
    np.divide(np.nansum(stacked, axis=0), defined, out=mean, where=defined > 0)
    return mean
