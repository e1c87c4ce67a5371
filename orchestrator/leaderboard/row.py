"""A row of a leaderboard: one entry, its scores over seeds, the name that it is shown under, and what it opens to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["reproduced", "self-reported"]
"""Whether the records behind a row are this store's own, or somebody else's word."""


@dataclass(frozen=True)
class Score:
    """A score over the seeds of a row: mean and sample standard deviation (None below two seeds or where one is missing).

    `reason` says why there is none where the row's own reason does not. `low` and `high` bound the mean's 95 % bootstrap
    interval over the choice of images; None where the counts of every image are not at hand, or were not resampled.
    """

    mean: float | None
    std: float | None
    values: tuple[float | None, ...]
    reason: str | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Resamples:
    """The score that ranks a row under each bootstrap resample of the images.

    Attributes:
        images: digest of the images, their order and their labels: rows of equal digests saw the same resamples, so that
            the difference of two is paired.
        scores: (R,) the mean over the row's runs in [0, 1], resample by resample; None where the images drawn have no
            labelled pixel.
    """

    images: str
    scores: tuple[float | None, ...]


@dataclass(frozen=True)
class Picture:
    """One fixed frame under one condition: what the network made of it.

    Attributes:
        frame: name of the frame.
        condition: `clean`, a cell of a benchmark such as `fog/3`, or a domain of a stream such as `night, round 10`.
        key: the task whose folder holds the files.
        files: panel (`image`, `label`, `prediction`, `error`) -> file name below that folder.
    """

    frame: str
    condition: str
    key: str
    files: dict[str, str]


@dataclass(frozen=True)
class Detail:
    """What a row opens to: means over its runs, as far as they were measured.

    Attributes:
        classes: names, in the order of `class_iou`.
        class_iou: condition -> IoU of each class in [0, 1], None where it does not occur. Conditions are `clean` and each
            corruption (mean over its severities) of a benchmark, `clean` of an evaluation, each domain of a stream.
        rounds: of a stream with several rounds: domain -> mIoU in each round.
        reliability: `clean`, `corrupted` or `stream` -> (3, 15): pixels, summed confidence, correct pixels by bin.
        pictures: fixed frames, of the first run.
    """

    classes: tuple[str, ...] = ()
    class_iou: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    rounds: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    reliability: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Provenance:
    """Where the numbers of a row come from.

    Attributes:
        command: what makes them anew; of a self-reported row what its author says.
        experiment: the experiment's name; None of a row from outside.
        stage: the stage that scored it; None of a row from outside.
        commits: of the code, `+changes` where the checkout was dirty.
        packages: name -> version, of the first run.
        hardware: processor and GPUs, of each kind that ran it.
        checkpoints: sha256 of the networks' weights.
        weights: where outside weights came from.
        datasets: name -> fingerprint of the files.
        settings: of the scored stage and its method, as they really ran, flat.
        started_at: of the first run, ISO 8601.
        seconds: of the scored tasks, summed over runs.
        source: of a self-reported row: paper, page or person.
    """

    command: str
    experiment: str | None = None
    stage: str | None = None
    commits: tuple[str, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)
    hardware: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    datasets: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    started_at: str | None = None
    seconds: float | None = None
    source: str | None = None


@dataclass(frozen=True)
class Row:
    """One entry of a table.

    Attributes:
        rank: its place, or None where it is not ranked. Rows that cannot be told apart share one.
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
        status: whose word it is.
        training_data: the data sets that its network has seen, with or without labels.
        warnings: what a reader should doubt, each a sentence without a full stop.
        resamples: of the score that ranks; None where the counts of every image are not at hand.
        detail: what it opens to; None where there is no record behind it.
        provenance: where it comes from; None where there is no record behind it.
        extra_data: whether its network has seen more than the benchmark's own training set; None where that is not told.
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
    status: Status = "reproduced"
    training_data: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    resamples: Resamples | None = None
    detail: Detail | None = None
    provenance: Provenance | None = None
    extra_data: bool | None = None

    @property
    def entry(self) -> str:
        """The row's name as shown: method, adaptation, axes."""
        name = self.method if self.adaptation is None else f"{self.method} + {self.adaptation}"
        axes = ", ".join(f"{axis}={value}" for axis, value in self.axes.items())
        return f"{name} ({axes})" if axes else name


def pool_scores(values: Sequence[float | None]) -> Score:
    """Pool the values of a score over seeds; where one is missing there is neither mean nor deviation."""
    present = [value for value in values if value is not None]
    if not present or len(present) < len(values):
        return Score(None, None, tuple(values))
    return Score(statistics.fmean(present), statistics.stdev(present) if len(present) > 1 else None, tuple(values))
