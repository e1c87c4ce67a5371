"""What is wrong with what an entry opens to, and with the resamples behind its rank: impossible values, ragged lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapt.scores.bootstrap import RESAMPLES
from adapt.scores.calibration import BINS
from orchestrator.leaderboard.row import Detail, Resamples

_SLACK = 1.0 + 1e-6  # of sums in floating point


def list_detail_problems(detail: Detail) -> Iterator[str]:
    """Say of each part of a detail that cannot be what is wrong with it, with its key and what to change."""
    if detail.pictures:
        yield "detail.pictures: pictures stay with the store that drew them: leave them out."
    for condition, ious in detail.class_iou.items():
        where = f"detail.class_iou.{condition}"
        if len(ious) != len(detail.classes):
            yield f"{where}: {len(ious)} values for {len(detail.classes)} classes: give one each, null where it does not occur."
        yield from _check_shares(where, ious)
    for domain, scores in detail.rounds.items():
        yield from _check_shares(f"detail.rounds.{domain}", scores)
    for part, bins in detail.reliability.items():
        where = f"detail.reliability.{part}"
        if [len(row) for row in bins] != [BINS] * 3:
            yield f"{where}: 3 lists of {BINS} numbers are wanted here: pixels, summed confidence, correct pixels by bin."
        elif not all(min(sums) >= 0 and max(sums) <= pixels * _SLACK for pixels, *sums in zip(*bins, strict=True)):
            yield f"{where}: a bin has less than no, or more correct pixels or confidence than it has pixels."


def list_resamples_problems(resamples: Resamples) -> Iterator[str]:
    """Say what is wrong with resamples, where something is."""
    if len(resamples.scores) != RESAMPLES:
        yield f"resamples.scores: {len(resamples.scores)} scores, but {RESAMPLES} resamples are drawn: leave `resamples` out."
    yield from _check_shares("resamples.scores", resamples.scores)


def _check_shares(where: str, values: Sequence[float | None]) -> Iterator[str]:
    wrong = [value for value in values if value is not None and not 0.0 <= value <= 1.0]
    if wrong:
        yield f"{where}: {wrong[0]:g} is impossible: shares lie in [0, 1]."
