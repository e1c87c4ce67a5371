"""Whether differences between two models are more than chance, where many are looked at at once.

A bootstrap of a difference gives a two-sided p value (Efron & Tibshirani 1993, section 15.4, with the correction of Davison &
Hinkley 1997, equation 4.11, that keeps it above 0); Holm's step-down procedure (Scandinavian Journal of Statistics 6, 1979)
bounds the chance that any of them is found different by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STEP = 1000  # ours: numbers of resamples are multiples of it


def bootstrap_p_value(differences: NDArray[np.float64]) -> float | None:
    """Give the two-sided p value of a difference being zero.

    Args:
        differences: (1 + R,) the difference of the images as they are, and of each resample; nan where it has none.

    Returns:
        The p value in (0, 1], never below 2 / (R + 1); None where the images as they are have no difference, or no resample has.

    Example:
        >>> bootstrap_p_value(np.array([0.2, 0.1, 0.3, 0.2, -0.1]))
        0.8
    """
    drawn = differences[1:][~np.isnan(differences[1:])]
    if np.isnan(differences[0]) or not drawn.size:
        return None
    rarer = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2.0 * (rarer + 1) / (drawn.size + 1))


def find_surviving(p_values: Sequence[float | None], level: float = 0.05) -> list[bool]:
    """Say which of many differences Holm's procedure finds.

    Args:
        p_values: of each; one that is None is none of the family.
        level: chance that any difference is found where there is none, in (0, 1).

    Returns:
        Whether each is found.

    Raises:
        ValueError: If `level` is out of range.

    Example:
        >>> find_surviving([0.01, 0.04, 0.03, None])
        [True, False, False, False]
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    found = [False] * len(p_values)
    for rank, (p, place) in enumerate(known):
        if p > level / (len(known) - rank):
            break
        found[place] = True
    return found


def count_resamples(comparisons: int, level: float = 0.05) -> int:
    """Return how many resamples let the clearest of so many differences pass Holm's procedure.

    The smallest p value is 2 / (R + 1), and the first hurdle is `level` / `comparisons`; twice as many leave some room.

    Args:
        comparisons: how many differences are looked at.
        level: see `find_surviving`.

    Example:
        >>> count_resamples(1), count_resamples(30)
        (1000, 3000)
    """
    return STEP * max(1, math.ceil(4 * comparisons / level / STEP))
