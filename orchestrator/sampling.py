"""Who chooses the points of a search: a grid, our own draws, or a sampler of Ray Tune's that learns from what has finished.

None of this starts Ray: Tune's samplers are plain objects.
"""

from __future__ import annotations

import enum
import inspect
import itertools
import logging
from pathlib import Path
from typing import Any, Protocol

from adapt.errors import SpecError
from experiments.graph import Graph
from experiments.search import LISTED_SAMPLERS, SearchSettings, check_sampler, list_points
from experiments.search_space import Point, RangeSettings, draw_points, round_value
from experiments.searched_training import find_search

SCORE = "score"  # under which Tune's samplers and schedulers hear of a trial
SEED_NAMES = ("seed", "random_state", "random_state_seed")  # how Tune's samplers call theirs


class NoPoint(enum.Enum):
    """Why there is no point to try."""

    LATER = "a running trial has to finish first"
    NEVER = "there is no other"


class Sampler(Protocol):
    """Chooses points; what it chose and heard is kept in files, so that it goes on after its process died."""

    def suggest(self, asked: int) -> Point | NoPoint:
        """Choose the point that answers question number `asked`, counted from 0."""

    def report(self, asked: int, step: int, value: float) -> None:
        """Hear of a trial on its way."""

    def complete(self, asked: int, score: float | None) -> None:
        """Hear of a trial's end; it has no score where it failed."""

    def save(self, file: Path) -> None:
        """Keep what it knows."""

    def load(self, file: Path) -> None:
        """Go on from what it knew."""


class ListedSampler:
    """Points that no result changes: a grid, or draws from the generator of a seed."""

    def __init__(self, search: SearchSettings) -> None:
        self._search = search
        self._grid = list_points(search) if search.chosen_sampler.name == "grid" else None

    def suggest(self, asked: int) -> Point | NoPoint:
        """Return the point at that place of the list. The draws are begun anew: Tune pickles what it asks, and no generator."""
        if self._grid is None:
            return next(itertools.islice(draw_points(self._search.space, self._search.seed), asked, None))
        return self._grid[asked] if asked < len(self._grid) else NoPoint.NEVER

    def report(self, asked: int, step: int, value: float) -> None:
        """Change nothing."""

    def complete(self, asked: int, score: float | None) -> None:
        """Change nothing."""

    def save(self, file: Path) -> None:
        """Keep nothing: the settings say it all."""

    def load(self, file: Path) -> None:
        """Need nothing."""


class TuneSampler:
    """A sampler of Ray Tune's, which sees axes by number and the values of a list by their places in it.

    Raises:
        PrerequisiteError: its package is not installed.
        SpecError: it does not take its settings, or such a space.
    """

    def __init__(self, search: SearchSettings) -> None:
        check_sampler(search)
        from ray.tune.search import SEARCH_ALG_IMPORT, Searcher, create_searcher

        self._space = search.space
        self._finished = Searcher.FINISHED
        name, own = search.chosen_sampler.name, search.chosen_sampler.settings
        taken = [
            parameter
            for parameter in inspect.signature(SEARCH_ALG_IMPORT[name]().__init__).parameters
            if parameter != "self"
        ]
        for setting in own:
            if setting not in taken:
                raise SpecError(
                    f"`search.sampler.settings`: Ray Tune's '{name}' takes no '{setting}'. It takes: {', '.join(taken)}."
                )
        seeds = {parameter: search.seed for parameter in SEED_NAMES if parameter in taken and parameter not in own}
        if name == "optuna":
            logging.getLogger("optuna").setLevel(logging.WARNING)  # a line for each study is news to nobody
        try:
            self._searcher = create_searcher(name, **seeds, **own)
            mode = "max" if search.is_maximised else "min"
            self._searcher.set_search_properties(SCORE, mode, self._describe_space())
        except (TypeError, ValueError, AssertionError) as error:
            raise SpecError(
                f"Ray Tune's sampler '{name}' does not take this search ({error}). Change its `settings` or the `space`, or "
                "write `sampler: optuna`."
            ) from error

    def _describe_space(self) -> dict[str, Any]:
        from ray import tune

        described: dict[str, Any] = {}
        for index, axis in enumerate(self._space.values()):
            if not isinstance(axis, RangeSettings):
                described[f"axis{index}"] = tune.choice(list(range(len(axis))))
            elif axis.integers is not None:
                described[f"axis{index}"] = tune.randint(axis.integers[0], axis.integers[1] + 1)
            else:
                described[f"axis{index}"] = (tune.uniform if axis.log_uniform is None else tune.loguniform)(
                    *axis.bounds
                )
        return described

    def suggest(self, asked: int) -> Point | NoPoint:
        """Ask Tune's sampler."""
        chosen = self._searcher.suggest(str(asked))
        if chosen is None:
            return NoPoint.LATER
        if chosen == self._finished:
            return NoPoint.NEVER
        point: dict[str, Any] = {}
        for index, (path, axis) in enumerate(self._space.items()):
            value = chosen[f"axis{index}"]
            if not isinstance(axis, RangeSettings):
                point[path] = axis[int(value)]
            else:
                point[path] = int(value) if axis.integers is not None else round_value(float(value))
        return point

    def report(self, asked: int, step: int, value: float) -> None:
        """Tell it what a trial has come to."""
        self._searcher.on_trial_result(str(asked), {SCORE: value, "training_iteration": step})

    def complete(self, asked: int, score: float | None) -> None:
        """Tell it what a trial came to."""
        if score is None:
            self._searcher.on_trial_complete(str(asked), error=True)
        else:
            self._searcher.on_trial_complete(str(asked), {SCORE: score})

    def save(self, file: Path) -> None:
        """Keep it in Tune's own form."""
        self._searcher.save(str(file))

    def load(self, file: Path) -> None:
        """Go on from Tune's own form."""
        self._searcher.restore(str(file))


def check_samplers(graph: Graph) -> None:
    """Refuse a search whose sampler does not take it, before anything runs.

    Args:
        graph: the tasks; samplers that need Ray Tune's classes are opened once, and Ray is not started.

    Raises:
        PrerequisiteError: a sampler's package is not installed.
        SpecError: it does not take its settings, or the space.
    """
    for task in graph.tasks.values():
        search = find_search(task.settings)
        if search is None:
            continue
        try:
            open_sampler(search)
        except SpecError as error:
            raise SpecError(f"stage '{task.stage}': {error}") from error


def open_sampler(search: SearchSettings) -> Sampler:
    """Return the sampler of a search, at its start."""
    return ListedSampler(search) if search.chosen_sampler.name in LISTED_SAMPLERS else TuneSampler(search)
