"""The book of a search: which trials there are, what they reported and came to, and what its sampler knows of it.

It is kept in the scratch folder, so a search that was killed goes on where it stood: nothing that has ended is made again,
and sampler and scheduler know all that they knew. Only the process of the search writes it; trials write their outcomes.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from adapt.atomic import replace_atomically, write_atomically
from adapt.errors import SpecError
from experiments.population import PbtSettings
from experiments.search import SearchSettings, count_points, count_trials
from experiments.search_space import Point
from experiments.searched_training import find_search
from experiments.task import Task
from orchestrator.population import Population, Takeover, choose_takeovers
from orchestrator.sampling import NoPoint, open_sampler
from orchestrator.stages.stage import StageContext
from orchestrator.stages.trial import MADE, WORK, Outcome, Trial, name_trial, place_trial

log = logging.getLogger(__name__)

OUTCOMES = "trials"  # of the scratch folder: the trials' outcomes and folders
BOOK = "search"  # of the scratch folder: the book itself
BOOK_FILE = "book.json"
REPORTS_FILE = "reports.jsonl"
MOST_REPEATS = 50  # ours: a sampler that suggests so many known points in a row has no other


@dataclass(frozen=True)
class Report:
    """What a trial reported on its way: at which step, and the value of the metric."""

    trial: int
    step: int
    value: float


class TrialBook:
    """The trials of one search, in the order in which they were begun.

    Args:
        task: the search.
        context: whose scratch folder holds the book.

    Attributes:
        search: its settings.
        trials: all that were begun.
        reports: in the order in which they came, over all attempts.
        error: why the search has to fail, where a trial stopped by an error that is none of its point's.
    """

    def __init__(self, task: Task, context: StageContext) -> None:
        search = find_search(task.settings)
        if search is None:
            raise TypeError(f"{task.name} is no search")
        self.search: SearchSettings = search
        self.trials: list[Trial] = []
        self.reports: list[Report] = []
        self.error: Exception | None = None
        self._task = task
        self._folder = context.scratch / BOOK
        self._trials_folder = context.scratch / OUTCOMES
        for folder in (self._folder, self._trials_folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._sampler = open_sampler(search)
        self._asked: list[int] = []  # of each trial: which question to the sampler it answers
        self._told: set[int] = set()  # the answers whose end the sampler knows
        self._questions = 0
        self._echoes: dict[int, list[int]] = {}  # running trial -> later questions that had the same answer
        self._exhausted = False
        self._handed: dict[int, float] = {}  # number of a trial -> when it was given out, in seconds spent
        self._outcomes: dict[int, Outcome] = {}
        self._named: dict[str, int] = {}
        self._steps: dict[int, int] = {}
        self._spent_s = 0.0
        self._began = time.monotonic()
        self._saves = 0
        self._population: Population | None = None
        if isinstance(search.scheduler, PbtSettings):
            self._population = Population(search.scheduler, self._task.settings.training.iterations)  # type: ignore[attr-defined]
        self._load()

    def next(self) -> Trial | NoPoint:
        """Return a trial to be made: one that was interrupted, or a new one; or why there is none."""
        for trial in self.trials:
            if trial.number not in self._handed and self.find_outcome(trial) is None and not self._is_waiting(trial):
                return self._hand_out(trial)
        repeats = 0
        while not self._is_over():
            asked = self._ask()
            if isinstance(asked, NoPoint):
                self._exhausted = self._exhausted or asked is NoPoint.NEVER
                return asked
            question, point = asked
            trial, reason = self._place(len(self.trials), point)
            twin = self._named.get(trial.file.name)
            if twin is not None:  # known settings: the sampler hears what they came to, and is asked again
                outcome = self.find_outcome(self.trials[twin])
                if outcome is None:
                    self._echoes.setdefault(twin, []).append(question)
                else:
                    self._sampler.complete(question, outcome.score)
                repeats += 1
                if repeats == MOST_REPEATS:
                    self._exhausted = not self._echoes
                    return NoPoint.NEVER if self._exhausted else NoPoint.LATER
                continue
            self._add(trial, question)
            if reason is not None:
                trial.keep("failed", 0.0, reason=reason)
            if self.find_outcome(trial) is not None:
                self.close(trial)
                continue
            self._save()
            return self._hand_out(trial)
        is_population_left = self._population is not None and any(
            self.find_outcome(each) is None for each in self.trials
        )
        return NoPoint.LATER if is_population_left and self.error is None else NoPoint.NEVER

    def note(self, trial: Trial, step: int, value: float) -> bool:
        """Keep what a trial reports; False where it reported that step before it was interrupted."""
        if step <= self._steps.get(trial.number, -1):
            return False
        self._steps[trial.number] = step
        self.reports.append(Report(trial.number, step, value))
        line = json.dumps([trial.number, step, value, round(self.spent_s, 3)])
        with (self._folder / REPORTS_FILE).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if self.find_outcome(trial) is None:
            self._sampler.report(self._asked[trial.number], step, value)
        return True

    def pause(self, trial: Trial, seconds: float) -> None:
        """Note that a member of a population waits for the others, after a stretch of so many seconds."""
        if self._population is None or trial.until is None or self.has_paused(trial):
            return
        self._population.paused[trial.number] = trial.until
        before = self._population.seconds.get(trial.number, 0.0)
        self._population.seconds[trial.number] = round(before + seconds, 3)
        del self._handed[trial.number]
        self._save()
        self._compare_population()

    def has_paused(self, trial: Trial) -> bool:
        """Say whether a member has come to the end of the stretch for which it was given out."""
        population = self._population
        return (
            population is not None and trial.until is not None and population.paused.get(trial.number, 0) >= trial.until
        )

    def read_history(self, trial: Trial) -> dict[str, Any]:
        """Return what a record says of a member's past: its changes to other networks; nothing of a trial by itself."""
        if self._population is None:
            return {}
        return {"history": [asdict(change) for change in self._population.history.get(trial.number, ())]}

    def measure_before_s(self, trial: Trial) -> float:
        """Return how long a member's stretches took that are behind it; 0 of a trial by itself."""
        return 0.0 if self._population is None else self._population.seconds.get(trial.number, 0.0)

    def close(self, trial: Trial) -> None:
        """Tell the sampler what became of a trial that has its outcome, and remove what is not needed any more."""
        outcome = self.find_outcome(trial)
        question = self._asked[trial.number]
        if outcome is None or question in self._told:
            return
        self._told.add(question)
        for asked in (question, *self._echoes.pop(trial.number, ())):
            self._sampler.complete(asked, outcome.score)
        self._save()
        best = self.find_best()
        for other in self.trials:
            ended = self.find_outcome(other)
            if ended is not None and (best is None or other.number != best.number):
                shutil.rmtree(other.folder, ignore_errors=True)
            elif ended is not None:
                shutil.rmtree(other.folder / WORK, ignore_errors=True)
        self._compare_population()

    def find_outcome(self, trial: Trial) -> Outcome | None:
        """Return what became of a trial; None while it runs."""
        if trial.number not in self._outcomes:
            outcome = trial.read()
            if outcome is None:
                return None
            self._outcomes[trial.number] = outcome
        return self._outcomes[trial.number]

    def find_best(self) -> Trial | None:
        """Return the best of the trials that ran to their end, the earlier one of equals; None before the first."""
        sign = 1 if self.search.is_maximised else -1
        scored = [
            (sign * outcome.score, -trial.number, trial)
            for trial in self.trials
            if (outcome := self.find_outcome(trial)) is not None
            and outcome.status == "done"
            and outcome.score is not None
        ]
        return max(scored, key=lambda entry: entry[:2])[2] if scored else None

    def read_curve(self, trial: Trial) -> list[tuple[int, float]]:
        """Return (step, value) of what a trial reported."""
        return [(report.step, report.value) for report in self.reports if report.trial == trial.number]

    def measure_s(self, trial: Trial) -> float:
        """Return for how long a trial has been given out in this attempt, waiting for its resources included."""
        return self.spent_s - self._handed.get(trial.number, self.spent_s)

    @property
    def spent_s(self) -> float:
        """Wall-clock time of the search, over its attempts."""
        return self._spent_s + time.monotonic() - self._began

    @property
    def left_s(self) -> float | None:
        """What is left of the hours; None without a limit."""
        return None if self.search.hours is None else max(0.0, 3600 * self.search.hours - self.spent_s)

    def measure_progress(self) -> tuple[int, dict[str, float]]:
        """Return how many trials have ended, and live scalars: how many there are, the share that is done, the best score."""
        ended = sum(self.find_outcome(trial) is not None for trial in self.trials)
        limit = count_trials(self.search)
        shares = [ended / limit] if limit is not None else []
        if self._population is not None and limit is not None:
            shares.append(sum(self._steps.values()) / (limit * self._population.length))
        if self.search.hours is not None:
            shares.append(min(1.0, self.spent_s / (3600 * self.search.hours)))
        live = {"trials": float(limit if limit is not None else len(self.trials)), "progress": max(shares)}
        best = self.find_best()
        if best is not None:
            name = "miou" if getattr(self.search, "metric", "") in ("miou", "mean_miou") else "best_score"
            live[name] = float(self._outcomes[best.number].score or 0.0)
        return ended, live

    def forget_failures(self) -> None:
        """Begin anew at the next attempt, but for what unfinished trials go on from: nothing has come of this one."""
        shutil.rmtree(self._folder)
        for file in self._trials_folder.glob("*.json"):
            file.unlink()

    def _hand_out(self, trial: Trial) -> Trial:
        self._handed[trial.number] = self.spent_s
        return trial if self._population is None else replace(trial, until=self._population.until)

    def _is_waiting(self, trial: Trial) -> bool:
        return self._population is not None and self._population.is_waiting(trial.number)

    def _compare_population(self) -> None:
        """Let the worst members take over from the best, once all that have not failed wait for that.

        What the heirs begin from lies in new folders before the book names these, and nobody trains meanwhile: whoever is
        killed on the way chooses and does the same again.
        """
        population = self._population
        if population is None or population.until is None or not self._is_over():
            return
        members = {trial.number: trial for trial in self.trials if self.find_outcome(trial) is None}
        if not members or not all(population.is_waiting(number) for number in members):
            return
        worst = -math.inf if self.search.is_maximised else math.inf
        scores = {
            number: ([worst] + [value for _, value in self.read_curve(member)])[-1]
            for number, member in members.items()
        }
        points = {number: member.point for number, member in members.items()}
        takeovers = choose_takeovers(scores, points, self.search, population.until)
        left = [self.trials[number].folder for number in takeovers]
        for number, takeover in takeovers.items():
            self.trials[number] = self._begin_from(members[takeover.donor], number, takeover)
        population.pass_on(
            {number: replace(each, point=self.trials[number].point) for number, each in takeovers.items()}
        )
        self._save()
        for folder in left:
            shutil.rmtree(folder, ignore_errors=True)

    def _begin_from(self, donor: Trial, number: int, takeover: Takeover) -> Trial:
        from adapt.training.rebase import inherit_resume_point  # here: imports torch

        folder = self._trials_folder / f"member-{number}-{takeover.iteration}"
        shutil.rmtree(folder, ignore_errors=True)
        inherit_resume_point(donor.folder / WORK, folder / WORK)
        try:
            return Trial(number, takeover.point, place_trial(self._task.settings, takeover.point), folder)
        except SpecError:  # values that are each allowed may not go together
            return replace(donor, number=number, folder=folder)

    def _is_over(self) -> bool:
        limit = count_trials(self.search)
        return (
            self._exhausted
            or self.error is not None
            or (limit is not None and len(self.trials) >= limit)
            or (not self.search.has_ranges and len(self.trials) >= count_points(self.search))
            or (self.left_s is not None and self.left_s <= 0)
        )

    def _ask(self) -> tuple[int, Point] | NoPoint:
        point = self._sampler.suggest(self._questions)
        if isinstance(point, NoPoint):
            return point
        self._questions += 1
        return self._questions - 1, point

    def _place(self, number: int, point: Point) -> tuple[Trial, str | None]:
        """Return a trial, and why it fails where its settings are refused: values that are each allowed may not go together."""
        reason = None
        try:
            settings = place_trial(self._task.settings, point)
        except SpecError as error:
            settings, reason = None, str(error)
        return Trial(number, point, settings, self._trials_folder / name_trial(settings, point)), reason

    def _add(self, trial: Trial, question: int) -> None:
        self.trials.append(trial)
        self._asked.append(question)
        self._named[trial.file.name] = trial.number

    def _load(self) -> None:
        file = self._folder / BOOK_FILE
        if not file.is_file():
            return
        kept: Mapping[str, Any] = json.loads(file.read_text())
        for entry in kept["trials"]:
            trial, _ = self._place(len(self.trials), entry["point"])
            self._add(
                replace(trial, folder=self._trials_folder / entry.get("folder", trial.folder.name)), entry["asked"]
            )
        if self._population is not None:
            self._population.load(kept["population"])
        self._questions, self._spent_s, self._saves = kept["questions"], kept["spent_s"], kept["saves"]
        self._told = set(kept["told"])
        state = self._folder / f"sampler-{self._saves}"
        if state.is_file():
            self._sampler.load(state)
        for line in self._read_report_lines():
            number, step, value, spent_s = line
            if number < len(self.trials):
                self.reports.append(Report(number, step, value))
                self._steps[number] = max(step, self._steps.get(number, -1))
            self._spent_s = max(self._spent_s, spent_s)
        for trial in self.trials:  # ended while nobody was there to tell
            self.close(trial)
        self._compare_population()

    def _read_report_lines(self) -> list[Any]:
        file = self._folder / REPORTS_FILE
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        whole = []
        for line in lines:
            try:
                whole.append(json.loads(line))
            except json.JSONDecodeError:  # it was being written when the process died
                log.warning("%s: a line of it is cut off", file)
        return whole

    def _save(self) -> None:
        """Keep the book and, beside it, what the sampler knows: the book names the state that belongs to it."""
        before = self._folder / f"sampler-{self._saves}"
        self._saves += 1
        with replace_atomically(self._folder / f"sampler-{self._saves}") as draft:
            self._sampler.save(draft)
        kept = {
            "trials": [
                {"asked": asked, "point": dict(trial.point), "folder": trial.folder.name}
                for trial, asked in zip(self.trials, self._asked, strict=True)
            ],
            "questions": self._questions,
            "told": sorted(self._told),
            "spent_s": round(self.spent_s, 3),
            "saves": self._saves,
            "population": None if self._population is None else self._population.dump(),
        }
        write_atomically(self._folder / BOOK_FILE, json.dumps(kept))
        before.unlink(missing_ok=True)


def keep_made(trial: Trial, folder: Path) -> None:
    """Copy what a training left into the search's own folder; whoever is killed on the way does it again.

    Args:
        trial: the best one.
        folder: of the search, in the store.
    """
    made = trial.folder / MADE
    if made.is_dir():
        shutil.copytree(made, folder, dirs_exist_ok=True)
