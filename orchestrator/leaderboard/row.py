"""A row of a leaderboard: one entry, its scores over seeds, and the name that it is shown under."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A score over the seeds of a row: mean and sample standard deviation (None below two seeds or where one is missing).

    `reason` says why there is none where the row's own reason does not.
    """

    mean: float | None
    std: float | None
    values: tuple[float | None, ...]
    reason: str | None = None


@dataclass(frozen=True)
class Row:
    """One entry of a table.

    Attributes:
        rank: its place, or None where it is not ranked.
        method: how the network was trained.
        adaptation: the test-time method, or None.
        axes: other axes of the matrix that it stands at, and settings of the test-time method that are not its defaults.
        seeds: how many runs were scored, out of `runs`.
        runs: how many runs the experiment asks for.
        architecture: backbone and head, where known.
        parameters: of the network, where known.
        scores: column -> score.
        reason: why it is not ranked, or None.
        keys: the tasks behind it, in the order of `values`.
        trained_in: the stage that trained its networks.
        tuned: which settings of the test-time method a search chose, out of what and on what; None where none did.
    """

    rank: int | None
    method: str
    adaptation: str | None
    axes: dict[str, str]
    seeds: int
    runs: int
    architecture: str | None
    parameters: int | None
    scores: dict[str, Score]
    reason: str | None
    keys: tuple[str, ...]
    trained_in: str
    tuned: str | None = None

    @property
    def entry(self) -> str:
        """The row's name as shown: method, adaptation, axes."""
        name = self.method if self.adaptation is None else f"{self.method} + {self.adaptation}"
        axes = ", ".join(f"{axis}={value}" for axis, value in self.axes.items())
        return f"{name} ({axes})" if axes else name


def pool_scores(values: list[float | None]) -> Score:
    """Pool the values of a score over seeds; where one is missing there is neither mean nor deviation."""
    present = [value for value in values if value is not None]
    if not present or len(present) < len(values):
        return Score(None, None, tuple(values))
    return Score(statistics.fmean(present), statistics.stdev(present) if len(present) > 1 else None, tuple(values))
