"""Which trials of a search are stopped early: Ray Tune's ASHA and median rules, which survive the death of the search.

Tune's schedulers live in memory and know trials by names that change with every start. Here they hear of each trial by its
number in the book of the search, and a new one first hears again what all trials reported before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from experiments.search import AshaSettings, MedianSettings, SearchSettings
from orchestrator.sampling import SCORE
from orchestrator.stages.trial_book import TrialBook

STEP = "iterations"  # what trials are compared at


@dataclass(frozen=True)
class KnownTrial:
    """A trial as Tune's schedulers see it."""

    trial_id: str


class EarlyStopping:
    """Judges trials by what they report.

    Args:
        search: the search.
        book: what was reported before.
        length: iterations of a trial that is not stopped.

    Attributes:
        judged: trials that were stopped at their last report before an interruption -> the step of that report; the process
            may have died before it could stop them.
    """

    def __init__(self, search: SearchSettings, book: TrialBook, length: int) -> None:
        self._rule = build_rule(search, length)
        self._known: dict[int, KnownTrial] = {}
        self._last: dict[int, dict[str, float]] = {}
        self.judged: dict[int, int] = {}
        for report in book.reports:
            self.judged.pop(report.trial, None)
            if not self.judge(report.trial, report.step, report.value):
                self.judged[report.trial] = report.step
        for trial in book.trials:
            if book.find_outcome(trial) is not None:
                self.end(trial.number)

    def judge(self, number: int, step: int, value: float) -> bool:
        """Say whether a trial that reports a value goes on."""
        if number not in self._known:
            self._known[number] = KnownTrial(f"{number:05d}")
            self._rule.on_trial_add(None, self._known[number])
        self._last[number] = {STEP: step, SCORE: value}
        decision = self._rule.on_trial_result(None, self._known[number], self._last[number])
        return bool(decision == TrialScheduler.CONTINUE)

    def end(self, number: int) -> None:
        """Take note of a trial's end."""
        if number in self._last:
            self._rule.on_trial_complete(None, self._known[number], self._last.pop(number))


def describe_stop(search: SearchSettings, step: int) -> str:
    """Say why a trial was stopped."""
    return f"{search.scheduler.name} stopped it at iteration {step}"


def build_rule(search: SearchSettings, length: int) -> Any:
    """Return Tune's scheduler for a search whose trials have so many iterations."""
    scheduler, mode = search.scheduler, "max" if search.is_maximised else "min"
    if isinstance(scheduler, AshaSettings):
        return AsyncHyperBandScheduler(
            time_attr=STEP,
            metric=SCORE,
            mode=mode,
            max_t=length,
            grace_period=scheduler.grace,
            reduction_factor=scheduler.reduction,
            brackets=scheduler.brackets,
            stop_last_trials=False,  # one that came to its end has a network to keep
        )
    if isinstance(scheduler, MedianSettings):
        return MedianStoppingRule(
            time_attr=STEP,
            metric=SCORE,
            mode=mode,
            grace_period=scheduler.grace,
            min_samples_required=scheduler.min_trials,
            min_time_slice=math.inf,  # never pause a trial for others: it would lose what it did since its resume point
            hard_stop=False,  # says "pause" for "stop", and does not fail where a trial that it stopped once reports again
        )
    return FIFOScheduler()
