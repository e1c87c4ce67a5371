"""The faces that a search shows to Ray Tune: where trials come from, who watches what they report, and who stops them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from adapt.errors import TaskError
from adapt.stopping import is_stop_requested, request_stop
from orchestrator.early_stopping import STEP, EarlyStopping, describe_stop
from orchestrator.population import PAUSED_S
from orchestrator.sampling import SCORE, NoPoint
from orchestrator.stages.search import prune
from orchestrator.stages.trial import Trial
from orchestrator.stages.trial_book import TrialBook

SCALARS = "scalars/"  # Tune flattens what trials report

OnReport = Callable[[Trial, int, float, Mapping[str, float]], None]
OnEnd = Callable[[Trial, str | None], None]
"""Hears that a trial has ended, and how its process died where it did."""


class TrialSource(Searcher):
    """Gives Tune the trials of a book.

    Args:
        book: gives them.
        first: the first one, which was asked for already.

    Attributes:
        trials: Tune's name of a trial -> the trial.
    """

    def __init__(self, book: TrialBook, first: Trial) -> None:
        super().__init__(metric=None, mode=None)
        self.trials: dict[str, Trial] = {}
        self._book = book
        self._first: Trial | None = first

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Take none: the book has its own."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Give the next trial, nothing for now, or the end."""
        if is_stop_requested():
            return Searcher.FINISHED
        trial, self._first = self._first or self._book.next(), None
        if trial is NoPoint.LATER:
            return None
        if isinstance(trial, NoPoint):
            return Searcher.FINISHED
        self.trials[trial_id] = trial
        place = {"folder": _locate(trial), "until": trial.until}
        return {"trial": trial.number, "point": json.dumps(dict(trial.point)), **place}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Leave it to `TrialWatch`, which is told why too."""

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: the book is on the disk."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Need nothing."""


class TrialWatch(FIFOScheduler):
    """Tells the book what trials report, stops those that the search's scheduler stops, and notices their end.

    Args:
        book: is told.
        source: knows which trial is which.
        rule: stops trials early.
        on_report: hears of each report.
        on_end: hears of each end.
    """

    def __init__(
        self, book: TrialBook, source: TrialSource, rule: EarlyStopping, on_report: OnReport, on_end: OnEnd
    ) -> None:
        super().__init__()
        self._book = book
        self._source = source
        self._on_report = on_report
        self._on_end = on_end
        self._rule = rule

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Say whether a trial goes on."""
        made = self._source.trials[trial.trial_id]
        if "error" in result and self._book.error is None:
            self._book.error = TaskError(result["error"])
            self._book.error.add_note(result["traceback"])
        if "stopped" in result:  # the sweep stops, and the trial heard of it before the search did
            request_stop()
        if self._book.error is not None or "stopped" in result:
            return str(TrialScheduler.STOP)
        if PAUSED_S in result:
            self._book.pause(made, float(result[PAUSED_S]))
        if SCORE not in result or self._book.find_outcome(made) is not None:
            return str(TrialScheduler.CONTINUE)
        step, value = int(result[STEP]), float(result[SCORE])
        scalars = {name.removeprefix(SCALARS): value for name, value in result.items() if name.startswith(SCALARS)}
        self._on_report(made, step, value, scalars)
        if not self._book.note(made, step, value) or self._rule.judge(made.number, step, value):
            return str(TrialScheduler.CONTINUE)
        prune(self._book, made, describe_stop(self._book.search, step))
        return str(TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Notice that a trial has ended, or was stopped."""
        self._end(trial, None)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Notice that a trial was stopped before it began."""
        self._end(trial, None)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Notice that the process of a trial died; Tune may start it again."""
        if not trial.should_recover():
            self._end(trial, describe_death(trial))

    def _end(self, trial: Any, crash: str | None) -> None:
        made = self._source.trials[trial.trial_id]
        if self._book.error is None:
            self._on_end(made, crash)
            self._rule.end(made.number)


class StopWatch(Stopper, Callback):
    """Ends a search that was asked to stop: once its trials have stopped, where they were asked too, else at once.

    Args:
        is_sweep_stopping: says whether the trials hear of it as well, and keep what they go on from.
    """

    def __init__(self, is_sweep_stopping: Callable[[], bool]) -> None:
        self._is_sweep_stopping = is_sweep_stopping
        self._do_trials_hear: bool | None = None
        self._running = 0

    def on_step_begin(self, iteration: int, trials: Sequence[Any], **info: Any) -> None:
        """Count the trials that run."""
        self._running = sum(trial.status == trial.RUNNING for trial in trials)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no trial for what it reports."""
        return False

    def stop_all(self) -> bool:
        """Say whether the search is over."""
        if not is_stop_requested():
            return False
        if self._do_trials_hear is None:
            self._do_trials_hear = self._is_sweep_stopping()
        return not (self._do_trials_hear and self._running)


def describe_death(trial: Any) -> str:
    """Say in a few words how the process of a trial of Tune's died."""
    lines = str(trial.get_error() or "for an unknown reason").strip().splitlines()
    return lines[-1].partition(". ")[0]


def _locate(trial: Trial) -> str:
    """Return where a trial's folder lies in the scratch folder of its search."""
    return f"{trial.folder.parent.name}/{trial.folder.name}"
