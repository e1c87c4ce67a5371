"""The mIoU of a stream by cell and round, its mean, its drift over the rounds, and what was forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapt.scores.confusion import mean_iou


@dataclass(frozen=True)
class StreamSummary:
    """mIoU in [0, 1]; None wherever a cell that it needs holds no labelled pixel.

    Attributes:
        cells: by (round, domain), from the cell's own confusion matrix.
        rounds: by round, the mean over its domains, as in published tables.
        mean: over the rounds.
        drift: last round minus first round; negative where the method forgets. None with one round.
        forgetting: how far the last round lies below the best of the rounds before it, by domain, averaged; negative
            where domains end better than they ever were. None with one round, or where domains differ between rounds.
    """

    cells: dict[tuple[int, str], float | None]
    rounds: dict[int, float | None]
    mean: float | None
    drift: float | None
    forgetting: float | None


def summarise(cells: Mapping[tuple[int, str], NDArray[np.int64]]) -> StreamSummary:
    """Summarise the confusion matrices of a stream's cells.

    Args:
        cells: (round, domain) -> confusion int64 (K, K); not empty.

    Returns:
        The scores.
    """
    miou = {cell: mean_iou(confusion) for cell, confusion in cells.items()}
    rounds = {
        round_: _mean(value for (cell_round, _), value in miou.items() if cell_round == round_)
        for round_ in sorted({round_ for round_, _ in miou})
    }
    first, last = rounds[min(rounds)], rounds[max(rounds)]
    drift = None if len(rounds) == 1 or first is None or last is None else last - first
    return StreamSummary(miou, rounds, _mean(rounds.values()), drift, _measure_forgetting(miou, sorted(rounds)))


def _measure_forgetting(miou: Mapping[tuple[int, str], float | None], rounds: list[int]) -> float | None:
    *earlier, last = rounds
    if not earlier:
        return None
    losses: list[float | None] = []
    for domain in dict.fromkeys(domain for _, domain in miou):
        before = [miou.get((round_, domain)) for round_ in earlier]
        now = miou.get((last, domain))
        known = [value for value in before if value is not None]
        losses.append(None if now is None or len(known) < len(before) else max(known) - now)
    return _mean(losses)


def _mean(values: Iterable[float | None]) -> float | None:
    """Average values; one missing value makes the mean missing, so that no mean hides a gap."""
    found = list(values)
    present = [value for value in found if value is not None]
    return sum(present) / len(present) if found and len(present) == len(found) else None
