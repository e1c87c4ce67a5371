"""How much a network loses under corruptions relative to a named row: CD, rCD, CE, relative CE, and their means.

All take a row of cells and the protocol's cells, see `adapt.scores.grid`. CD and rCD are in mIoU, CE and relative CE in
error; with the error 1 - mIoU, CE is CD and relative CE is rCD, over the same cells.

Papers: CD and rCD of Kamann & Rother, CVPR 2020 (arXiv:1908.05005), who average noise over severities 1 to 3 only; mCE
and relative mCE of Hendrycks & Dietterich, ICLR 2019 (arXiv:1903.12261); mCE of Robo3D, ICCV 2023 (arXiv:2303.17597).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from adapt.scores.grid import Cell, Row, average_severities


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


def corruption_degradation(row: Row, reference: Reference, cells: Sequence[Cell]) -> dict[str, float]:
    """Divide, for each corruption, the summed 1 - mIoU of a row by that of the reference (CD).

    Args:
        row: mIoU of each cell, in [0, 1].
        reference: The row to compare with, in mIoU.
        cells: The protocol's cells.

    Returns:
        CD of each corruption in the order of `cells`; 1 equals the reference, below 1 degrades less.

    Raises:
        ValueError: As `adapt.scores.grid.average_severities` for either row, or if the reference is perfect on a
            corruption.

    Example:
        >>> reference = Reference("baseline", 0.8, {("fog", 1): 0.6, ("fog", 2): 0.4})
        >>> corruption_degradation({("fog", 1): 0.7, ("fog", 2): 0.5}, reference, [("fog", 1), ("fog", 2)])
        {'fog': 0.8}
    """
    degraded = {corruption: 1.0 - miou for corruption, miou in average_severities(row, cells).items()}
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
        ValueError: As `adapt.scores.grid.average_severities` for either row, if a clean score is outside [0, 1], or if
            the reference loses nothing on a corruption.

    Example:
        >>> reference = Reference("baseline", 0.8, {("fog", 1): 0.4})
        >>> round(relative_corruption_degradation({("fog", 1): 0.5}, 0.7, reference, [("fog", 1)])["fog"], 6)
        0.5
    """
    _check_clean(clean, "the row")
    _check_clean(reference.clean, f"the reference row {reference.name!r}")
    lost = {corruption: clean - miou for corruption, miou in average_severities(row, cells).items()}
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


def mean_relative_degradation(row: Row, clean: float, reference: Reference, cells: Sequence[Cell]) -> float:
    """Average rCD over the corruptions (mean rCD).

    Args:
        row: mIoU of each cell, in [0, 1].
        clean: Clean mIoU of the same model, in [0, 1].
        reference: The row to compare with, in mIoU.
        cells: The protocol's cells.

    Returns:
        The mean; 1 for the reference itself.

    Raises:
        ValueError: As `relative_corruption_degradation`.

    Example:
        >>> reference = Reference("baseline", 1.0, {("fog", 1): 0.5, ("snow", 1): 0.5})
        >>> row = {("fog", 1): 0.75, ("snow", 1): 0.25}
        >>> mean_relative_degradation(row, 0.75, reference, [("fog", 1), ("snow", 1)])
        0.5
    """
    return fmean(relative_corruption_degradation(row, clean, reference, cells).values())


def corruption_error(row: Row, reference: Reference, cells: Sequence[Cell]) -> dict[str, float]:
    """Divide, for each corruption, the summed error of a row by that of the reference (CE); its mean is the mCE.

    Args:
        row: Error of each cell, in [0, 1]: in classification 1 - top-1 accuracy.
        reference: The row to compare with, in error (ImageNet-C: AlexNet).
        cells: The protocol's cells.

    Returns:
        CE of each corruption in the order of `cells`.

    Raises:
        ValueError: As `adapt.scores.grid.average_severities` for either row, or if the reference makes no error on a
            corruption.

    Example:
        >>> reference = Reference("AlexNet", 0.43, {("fog", 1): 0.6, ("fog", 2): 0.9})
        >>> corruption_error({("fog", 1): 0.3, ("fog", 2): 0.45}, reference, [("fog", 1), ("fog", 2)])
        {'fog': 0.5}
    """
    return _ratios(average_severities(row, cells), _reference_means(reference, cells), reference.name)


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
        ValueError: As `adapt.scores.grid.average_severities` for either row, if a clean value is outside [0, 1], or if
            the reference gains no error on a corruption.

    Example:
        >>> reference = Reference("AlexNet", 0.5, {("fog", 1): 0.75})
        >>> relative_corruption_error({("fog", 1): 0.5}, 0.25, reference, [("fog", 1)])
        {'fog': 1.0}
    """
    _check_clean(clean, "the row")
    _check_clean(reference.clean, f"the reference row {reference.name!r}")
    gained = {corruption: error - clean for corruption, error in average_severities(row, cells).items()}
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


def _reference_means(reference: Reference, cells: Sequence[Cell]) -> dict[str, float]:
    return average_severities(reference.cells, cells, f"the reference row {reference.name!r}")


def _check_clean(clean: float, name: str) -> None:
    if not 0.0 <= clean <= 1.0:
        raise ValueError(f"{name} has {clean} on clean images, outside [0, 1]: is it in percent?")


def _ratios(errors: Mapping[str, float], references: Mapping[str, float], name: str) -> dict[str, float]:
    """Divide means over severities, corruption by corruption; the published ratios of sums are the same numbers."""
    idle = [corruption for corruption, value in references.items() if value <= 0.0]
    if idle:
        raise ValueError(f"the reference row {name!r} does not degrade on {', '.join(idle)}: there is no ratio to it")
    return {corruption: errors[corruption] / references[corruption] for corruption in references}
