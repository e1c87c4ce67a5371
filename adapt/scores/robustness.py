"""How well a network holds up under corruptions: mPC, rPC, mRR, the worst corruption and the worst class.

All take a row of cells and the protocol's cells, see `adapt.scores.grid`; what is relative to another row is in
`adapt.scores.degradation`.

Papers: mPC and rPC of Michaelis et al. 2019 (arXiv:1907.07484); mRR of Robo3D, ICCV 2023 (arXiv:2303.17597); GAM of
SemSegBench (arXiv:2505.18015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from adapt.scores.grid import Cell, Row, average_severities, group_cells, refuse_incomplete


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
    return fmean(average_severities(row, cells).values())


def relative_corrupted(row: Row, clean: float, cells: Sequence[Cell]) -> float:
    """Divide the mean corrupted mIoU by the clean one (rPC, also called retention): a ratio of means.

    Robo3D's `mean_resilience_rate` is the same number, by another road.

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
    _check_clean(clean)
    return mean_corrupted(row, cells) / clean


def resilience_rate(row: Row, clean: float, cells: Sequence[Cell]) -> dict[str, float]:
    """Divide, for each corruption, its mean mIoU over severities by the clean one (RR of Robo3D).

    RR_c = sum_s mIoU_(c, s) / (S * mIoU_clean), over S severities.

    Args:
        row: mIoU of each cell, in [0, 1].
        clean: Clean mIoU of the same model, in (0, 1].
        cells: The protocol's cells.

    Returns:
        RR of each corruption in the order of `cells`, 0 or more; 1 loses nothing.

    Raises:
        ValueError: As `relative_corrupted`.

    Example:
        >>> resilience_rate({("fog", 1): 0.6, ("fog", 2): 0.2}, 0.8, [("fog", 1), ("fog", 2)])
        {'fog': 0.5}
    """
    _check_clean(clean)
    return {corruption: miou / clean for corruption, miou in average_severities(row, cells).items()}


def mean_resilience_rate(row: Row, clean: float, cells: Sequence[Cell]) -> float:
    """Average RR over the corruptions (mRR of Robo3D).

    It equals `relative_corrupted`: all rates share one denominator, so the mean of ratios is the ratio of means.

    Args:
        row: mIoU of each cell, in [0, 1].
        clean: Clean mIoU of the same model, in (0, 1].
        cells: The protocol's cells.

    Returns:
        The mean, 0 or more; 1 loses nothing.

    Raises:
        ValueError: As `relative_corrupted`.

    Example:
        >>> mean_resilience_rate({("fog", 1): 0.75, ("snow", 1): 0.25}, 1.0, [("fog", 1), ("snow", 1)])
        0.5
    """
    return fmean(resilience_rate(row, clean, cells).values())


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
    means = average_severities(row, cells)
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
    refuse_incomplete([cell for cell in cells if cell not in row], cells, "the row")
    groups = group_cells(cells)
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


def _check_clean(clean: float) -> None:
    if not 0.0 < clean <= 1.0:
        raise ValueError(f"the clean score must lie in (0, 1], got {clean}")


def _mean_defined(arrays: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    stacked = np.stack(arrays)  # (number of arrays, K)
    defined = (~np.isnan(stacked)).sum(axis=0)
    mean = np.full(stacked.shape[1:], np.nan)
    np.divide(np.nansum(stacked, axis=0), defined, out=mean, where=defined > 0)
    return mean
