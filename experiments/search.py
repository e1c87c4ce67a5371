"""What a search may be told: its space, who draws the points, who stops trials early, its budget; and its choice in words."""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, NonNegativeInt, PositiveInt, TypeAdapter, field_validator, model_validator

from adapt.errors import PrerequisiteError, SpecError
from adapt.settings import Settings
from adapt.tta.settings import MethodSettings, list_needs, name_method
from adapt.tta.stream_settings import StreamSettings
from experiments.population import LEAST_POPULATION, PbtSettings
from experiments.search_space import (
    Axis,
    Point,
    RangeSettings,
    describe_axis,
    describe_point,
    draw_points,
    list_grid,
    list_paths,
    list_probes,
    place_at,
    read_at,
    show_value,
)

METHOD_FILE = "method.json"
"""In the folder of a stream's search: the chosen settings of the method."""

TRIALS_FILE = "trials.json"
"""In a search's folder: every trial with its point, score, seconds, status, and the reason where it has no score."""

SHOWN_DOMAINS = 3  # of the validation stream in a sentence; the rest is counted
LISTED_SAMPLERS = ("grid", "random")  # ours, whose points are known beforehand; the others are Ray Tune's

NEEDED_SETTINGS = {"asha": "grace", "median": "grace", "pbt": "interval"}  # of schedulers

# Sampler of Ray Tune's -> the modules that it needs and how to install them.
SAMPLER_PACKAGES: dict[str, tuple[tuple[str, ...], str]] = {
    "optuna": (("optuna",), "optuna"),
    "hyperopt": (("hyperopt",), "hyperopt"),
    "bayesopt": (("bayes_opt",), "bayesian-optimization"),
    "bohb": (("hpbandster", "ConfigSpace"), "hpbandster ConfigSpace"),
    "hebo": (("hebo",), "HEBO"),
    "ax": (("ax",), "ax-platform"),
    "nevergrad": (("nevergrad",), "nevergrad"),
    "zoopt": (("zoopt",), "zoopt"),
}

SamplerName = Literal["grid", "random", "optuna", "hyperopt", "bayesopt", "bohb", "hebo", "ax", "nevergrad", "zoopt"]


class SamplerSettings(Settings):
    """Who chooses the points that are tried.

    Attributes:
        name: `grid` tries every point of a space of lists; `random` draws; `optuna` and the others are Ray Tune's, and learn
            from the trials that have finished.
        settings: what Tune's class of that name takes besides space, metric, mode and seed.
    """

    name: SamplerName
    settings: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        if self.name in LISTED_SAMPLERS and self.settings:
            raise ValueError(f"the sampler '{self.name}' has no settings; remove them")
        return self


class NoSchedulerSettings(Settings):
    """Every trial runs to its end."""

    name: Literal["none"] = "none"


class AshaSettings(Settings):
    """Asynchronous successive halving (Li et al., MLSys 2020): at each rung the worse trials are stopped.

    Attributes:
        grace: iterations before the first rung; the next ones are at `grace * reduction`, `grace * reduction^2` ...
        reduction: one in so many goes on beyond a rung.
        brackets: several begin their rungs later, for curves that cross late.
    """

    name: Literal["asha"] = "asha"
    grace: int = Field(gt=0)
    reduction: float = Field(3, gt=1)
    brackets: int = Field(1, gt=0)


class MedianSettings(Settings):
    """The median rule (Golovin et al., KDD 2017): a trial below the median of the others' running means is stopped.

    Attributes:
        grace: iterations before a trial may be stopped.
        min_trials: so many others must have come as far.
    """

    name: Literal["median"] = "median"
    grace: int = Field(gt=0)
    min_trials: int = Field(3, gt=0)


SchedulerSettings = Annotated[NoSchedulerSettings | AshaSettings | MedianSettings | PbtSettings, Discriminator("name")]


class SearchSettings(Settings):
    """What every search has.

    Attributes:
        space: dotted path into the settings that are searched (`lr`, `training.optimizer.lr`) -> its values.
        trials: how many trials are made at most. Without it a grid is tried as a whole, and any other sampler needs `hours`.
        hours: wall-clock time of all trials together, over interruptions; what has finished by then counts.
        seed: of the sampler.
        sampler: by default `grid` for a space of lists, `optuna` where an axis is a range.
        scheduler: stops trials that do badly before they have ended.
        concurrent: at most so many trials at once; None takes what the cluster has room for. A practical matter, so it is
            left out when settings are dumped and is no part of a task's identity.
    """

    space: Annotated[dict[str, Axis], Field(min_length=1)]
    trials: PositiveInt | None = None
    hours: float | None = Field(None, gt=0)
    seed: NonNegativeInt = 0
    sampler: SamplerSettings | None = None
    scheduler: SchedulerSettings = NoSchedulerSettings()
    concurrent: PositiveInt | None = Field(default=None, exclude=True)

    @field_validator("sampler", "scheduler", mode="before")
    @classmethod
    def _take_name(cls, raw: Any) -> Any:
        """Take a text for the name alone."""
        if isinstance(raw, str) and raw in NEEDED_SETTINGS:
            raise ValueError(
                f"'{raw}' cannot do without a setting: write `scheduler: {{name: {raw}, {NEEDED_SETTINGS[raw]}: ITERATIONS}}`"
            )
        return {"name": raw} if isinstance(raw, str) else raw

    @model_validator(mode="after")
    def _check_budget(self) -> Self:
        if isinstance(self.scheduler, PbtSettings):  # which streams refuse and trainings check
            return self
        if self.chosen_sampler.name == "grid":
            if self.has_ranges:
                raise ValueError("the sampler 'grid' is for lists, and an axis is a range. Write `sampler: optuna`")
            if self.trials is not None:
                raise ValueError(
                    "`trials` belongs to a space with a range; a space of lists is tried as a whole. Remove it, or write "
                    "`sampler: optuna` to try a part of it"
                )
        elif self.trials is None and self.hours is None:
            what = "a space with a range" if self.has_ranges else f"the sampler '{self.chosen_sampler.name}'"
            raise ValueError(f"{what} needs `trials` or `hours`: how many points to draw, or for how long")
        return self

    @property
    def has_ranges(self) -> bool:
        """Whether an axis is a range, so that points are drawn."""
        return any(isinstance(axis, RangeSettings) for axis in self.space.values())

    @property
    def chosen_sampler(self) -> SamplerSettings:
        """The sampler, with the default filled in: a population begins at draws that no result changes."""
        if isinstance(self.scheduler, PbtSettings):
            return SamplerSettings(name="random")
        return self.sampler or SamplerSettings(name="optuna" if self.has_ranges else "grid")

    @property
    def is_maximised(self) -> bool:
        """Whether the best trial has most of the metric."""
        return True

    def identify(self) -> dict[str, Any]:
        """Return what decides the result of the search; parts that are younger than task keys are left out where unused."""
        identity = self.model_dump(mode="json", exclude={"sampler", "hours", "scheduler"})
        for axis in identity["space"].values():
            if isinstance(axis, dict) and axis.get("integers", 0) is None:
                del axis["integers"]
        is_told_apart = (
            self.chosen_sampler.name == "random" and self.trials is None and not self.has_ranges
        )  # from a grid
        if self.chosen_sampler.name not in LISTED_SAMPLERS or is_told_apart:
            identity["sampler"] = self.chosen_sampler.model_dump(mode="json")
        if self.hours is not None:
            identity["hours"] = self.hours
        if self.scheduler.name != "none":
            identity["scheduler"] = self.scheduler.model_dump(mode="json")
        return identity


class StreamSearchSettings(SearchSettings):
    """A search for the settings of a test-time method, on a stream that shares no frame with the one that is reported.

    Attributes:
        stream: the validation stream.
        metric: what the best trial has most of: the mean mIoU over the stream's (round, domain) cells.
    """

    stream: StreamSettings
    metric: Literal["mean_miou"] = "mean_miou"


class TrainingSearchSettings(SearchSettings):
    """A search for the settings of a training; the network of its best trial is what the stage makes.

    Attributes:
        metric: what trials are judged by, at its last report: `miou` of the stage's `validation`, or a scalar that the
            training reports, such as `loss`.
        mode: whether the best trial has most (`max`) or least (`min`) of it; `max` for `miou`, to be given for the others.
    """

    metric: str = "miou"
    mode: Literal["min", "max"] | None = None

    @model_validator(mode="after")
    def _check_mode(self) -> Self:
        if self.metric == "miou" and self.mode == "min":
            raise ValueError("`mode: min` would choose the worst mIoU; leave `mode` out")
        if self.metric != "miou" and self.mode is None:
            raise ValueError(f"say with `mode: min` or `mode: max` which trial is best by `metric: {self.metric}`")
        return self

    @model_validator(mode="after")
    def _check_population(self) -> Self:
        if not isinstance(self.scheduler, PbtSettings):
            return self
        if self.trials is None or self.trials < LEAST_POPULATION:
            raise ValueError(
                f"the scheduler 'pbt' trains a population side by side: say with `trials` how many, {LEAST_POPULATION} at least"
            )
        for name in ("hours", "sampler"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"`{name}` has no place beside the scheduler 'pbt', whose population begins at random points and ends "
                    "together; remove it"
                )
        return self

    @property
    def is_maximised(self) -> bool:
        """Whether the best trial has most of the metric."""
        return self.mode != "min"

    def identify(self) -> dict[str, Any]:
        """Return what decides the result: a `mode` that says what its metric implies is as good as none."""
        return {**super().identify(), "mode": self.mode if self.metric != "miou" else None}


def list_points(search: SearchSettings) -> list[Point]:
    """List the points that a search tries, in order, where they are known beforehand: equal settings give equal points.

    Args:
        search: with the sampler `grid`, or `random` and a number of trials.

    Returns:
        The grid, or `trials` draws from the generator of the seed.
    """
    if search.chosen_sampler.name == "grid":
        return list_grid({path: axis for path, axis in search.space.items() if isinstance(axis, tuple)})
    if search.chosen_sampler.name != "random" or search.trials is None:
        raise ValueError("the points of this search are drawn while it runs")
    return list(itertools.islice(draw_points(search.space, search.seed), search.trials))


def list_tried(search: SearchSettings) -> list[Point]:
    """List the points by which a space is judged before anything runs: all that are known, every value and every bound."""
    known = search.chosen_sampler.name == "grid" or (
        search.chosen_sampler.name == "random" and search.trials is not None
    )
    return [*list_probes(search.space), *(list_points(search) if known else ())]


def count_trials(search: SearchSettings) -> int | None:
    """Return how many trials a search makes at most; None where its hours alone decide."""
    return count_points(search) if search.chosen_sampler.name == "grid" else search.trials


def count_points(search: SearchSettings) -> int:
    """Return how many points a space of lists has."""
    return math.prod(len(axis) for axis in search.space.values() if isinstance(axis, tuple))


def apply_point(method: MethodSettings, point: Point) -> MethodSettings:
    """Return a method's settings with those of a point.

    Args:
        method: the settings to start from.
        point: what to change in them.

    Returns:
        The settings, validated.

    Raises:
        SpecError: the method has no such setting, or refuses a value.
    """
    return place_at(method, point, list(list_paths(method)), f"the method '{name_method(method)}'")


def check_sampler(search: SearchSettings) -> None:
    """Refuse a sampler whose package is not installed.

    Raises:
        PrerequisiteError: names it.
    """
    modules, package = SAMPLER_PACKAGES.get(search.chosen_sampler.name, ((), ""))
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise PrerequisiteError(
            f"the sampler '{search.chosen_sampler.name}' needs the Python package {' and '.join(missing)}, which is not "
            f"installed. Run `pip install {package}`, or write another `sampler`: grid, random or optuna."
        )


def check_space(method: MethodSettings, search: SearchSettings) -> None:
    """Refuse a search that could fail on its space, before anything runs: known points, listed values and bounds are tried.

    Args:
        method: the settings that the search starts from.
        search: the search.

    Raises:
        SpecError: a path leads to no setting, the method refuses a value or needs a supply for it, or two trials would be
            the same.
    """
    for point in list_tried(search):
        made = apply_point(method, point)
        missing = [need for need in list_needs(made) if need not in list_needs(method)]
        if missing:
            raise SpecError(
                f"with {describe_point(point)} the method needs `{missing[0]}`, which '{name_method(method)}' is not given. "
                "Start the search from a method that needs it too, or leave that value out."
            )
    check_distinct(search, lambda point: apply_point(method, point))


def check_distinct(search: SearchSettings, apply: Any) -> None:
    """Refuse points that are known beforehand and would be the same trial.

    Args:
        search: the search.
        apply: returns the settings at a point.

    Raises:
        SpecError: names the two points.
    """
    if search.chosen_sampler.name not in LISTED_SAMPLERS or count_trials(search) is None:
        return
    seen: dict[str, Point] = {}
    for point in list_points(search):
        settings = apply(point).model_dump_json()
        if settings in seen:
            raise SpecError(
                f"two trials of the search are the same: {describe_point(seen[settings])} and {describe_point(point)}. "
                "Give each value once" + (", or draw fewer points." if search.trials is not None else ".")
            )
        seen[settings] = point


def describe_search(search: SearchSettings, chosen: Settings | Mapping[str, Any], trials: int, judged_on: str) -> str:
    """Say in one line what was chosen, from what and on what.

    Args:
        search: the search.
        chosen: the settings that it chose, or its point.
        trials: how many trials it made.
        judged_on: what the trials were judged on.

    Returns:
        Such as `lr=1e-4 of {1e-5, 1e-4, 1e-3}, 3 trials on val/fog/3`.
    """
    axes = [
        f"{path}={show_value(chosen[path] if isinstance(chosen, Mapping) else read_at(chosen, path))} of {describe_axis(axis)}"
        for path, axis in search.space.items()
    ]
    if isinstance(search.scheduler, PbtSettings):
        return f"{', '.join(axes)} in the end, a population of {trials} on {judged_on}"
    return f"{', '.join(axes)}, {trials} trial{'s' if trials > 1 else ''} on {judged_on}"


def describe_domains(stream: StreamSettings) -> str:
    """Name the domains of a validation stream: `val/fog/3 and 2 more`."""
    domains = [domain.label for domain in stream.domains]
    more = f" and {len(domains) - SHOWN_DOMAINS} more" if len(domains) > SHOWN_DOMAINS else ""
    return ", ".join(domains[:SHOWN_DOMAINS]) + more


def parse_method(text: str) -> MethodSettings:
    """Return a method's settings from their JSON text, as `METHOD_FILE` holds it."""
    return _METHOD.validate_json(text)


_METHOD: TypeAdapter[MethodSettings] = TypeAdapter(MethodSettings)
