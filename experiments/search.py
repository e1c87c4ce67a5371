"""Which settings of a method a search tries on a validation stream: the space, its points, and the choice in words."""

from __future__ import annotations

import copy
import functools
import itertools
import math
import operator
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveInt,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from adapt.errors import SpecError
from adapt.settings import Settings
from adapt.tta.settings import MethodSettings, list_needs, name_method
from adapt.tta.stream_settings import StreamSettings
from experiments.explain import closest

METHOD_FILE = "method.json"
"""In a search's folder: the chosen settings of the method."""

TRIALS_FILE = "trials.json"
"""In a search's folder: every trial with its point, score, seconds, status, and the reason where it has no score."""

SHOWN_DOMAINS = 3  # of the validation stream in a sentence; the rest is counted
SIGNIFICANT_DIGITS = 6  # ours: a drawn value is the same on every machine, whatever the last bit of its exp()

Point = Mapping[str, Any]
"""A place in the space: dotted path into the method's settings -> value."""

Bounds = tuple[float, float]


class RangeSettings(Settings):
    """An axis whose values are drawn at random between two bounds.

    Attributes:
        uniform: [low, high], evenly.
        log_uniform: [low, high] above 0, evenly in the logarithm: for learning rates.
    """

    uniform: Bounds | None = None
    log_uniform: Bounds | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if (self.uniform is None) == (self.log_uniform is None):
            raise ValueError(
                "a range is either {uniform: [low, high]} or {log_uniform: [low, high]}, and only one of them"
            )
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"the low bound of a range is below its high one, got [{low:g}, {high:g}]")
        if self.log_uniform is not None and low <= 0:
            raise ValueError(f"the bounds of log_uniform are above 0, got [{low:g}, {high:g}]")
        return self

    @property
    def bounds(self) -> Bounds:
        """Low and high, however the values between them are drawn."""
        chosen = self.uniform or self.log_uniform
        if chosen is None:
            raise ValueError("a range without bounds")
        return chosen

    def draw(self, generator: random.Random) -> float:
        """Draw a value, rounded to `SIGNIFICANT_DIGITS`."""
        low, high = self.bounds
        share = generator.random()
        value = low + (high - low) * share if self.log_uniform is None else low * math.exp(math.log(high / low) * share)
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _choose_axis(raw: Any) -> str:
    """Name the form of an axis: an error's location names it too."""
    return RangeSettings.__name__ if isinstance(raw, Mapping | RangeSettings) else "list"


Axis = Annotated[
    Annotated[tuple[Any, ...], Field(min_length=1), Tag("list")]
    | Annotated[RangeSettings, Tag(RangeSettings.__name__)],
    Discriminator(_choose_axis),
]
"""The values of one axis: a list, all of which are tried, or a range to draw from."""


class SearchSettings(Settings):
    """A search for the settings of a method, on a stream that shares no frame with the one that is reported.

    Attributes:
        stream: the validation stream.
        space: dotted path into the method's settings (`lr`, `base.lr`) -> its values.
        trials: how many points are drawn; given exactly when an axis is a range. Then an axis that is a list is drawn from
            too. Without a range every point of the grid is tried.
        seed: of the draws.
        metric: what the best trial has most of: the mean mIoU over the stream's (round, domain) cells.
        concurrent: at most so many trials at once; None takes what the cluster has room for. A practical matter, so it is
            left out when settings are dumped and is no part of a task's identity.
    """

    stream: StreamSettings
    space: Annotated[dict[str, Axis], Field(min_length=1)]
    trials: PositiveInt | None = None
    seed: NonNegativeInt = 0
    metric: Literal["mean_miou"] = "mean_miou"
    concurrent: PositiveInt | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _check_trials(self) -> Self:
        if self.has_ranges and self.trials is None:
            raise ValueError("a space with a range needs `trials`: how many points to draw")
        if not self.has_ranges and self.trials is not None:
            raise ValueError(
                "`trials` belongs to a space with a range; a space of lists is tried as a whole. Remove it"
            )
        return self

    @property
    def has_ranges(self) -> bool:
        """Whether an axis is a range, so that points are drawn."""
        return any(isinstance(axis, RangeSettings) for axis in self.space.values())


def list_grid(space: Mapping[str, tuple[Any, ...]]) -> list[Point]:
    """List every point of a space of lists; the last axis runs fastest."""
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def list_points(search: SearchSettings) -> list[Point]:
    """List the points that a search tries, in order: equal settings give equal points.

    Args:
        search: the search.

    Returns:
        The grid, or `trials` draws from the generator of the seed.
    """
    if search.trials is None:
        return list_grid({path: axis for path, axis in search.space.items() if isinstance(axis, tuple)})
    generator = random.Random(search.seed)
    return [
        {
            path: axis.draw(generator) if isinstance(axis, RangeSettings) else generator.choice(axis)
            for path, axis in search.space.items()
        }
        for _ in range(search.trials)
    ]


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
    raw = method.model_dump()
    known = list(_list_paths(method))
    for path, value in sorted(point.items()):  # `base` before `base.lr`
        if path not in known:
            raise SpecError(
                f"the method '{name_method(method)}' has no setting '{path}' to be searched.{_suggest(path, known)} "
                f"It has: {', '.join(known) or 'none'}."
            )
        *parents, last = path.split(".")
        place = functools.reduce(operator.getitem, parents, raw)
        if isinstance(place, dict):  # what else a point put there is refused below
            place[last] = copy.deepcopy(value)
    return _validate(raw, method, point)


def check_space(method: MethodSettings, search: SearchSettings) -> None:
    """Refuse a search that could fail on its space, before anything runs: every point and every listed value is tried.

    Args:
        method: the settings that the search starts from.
        search: the search.

    Raises:
        SpecError: a path leads to no setting, the method refuses a value or needs a supply for it, or two trials would be
            the same.
    """
    points = list_points(search)
    listed: list[Point] = [
        {**points[0], path: value} for path, axis in search.space.items() if isinstance(axis, tuple) for value in axis
    ]
    for point in listed:
        apply_point(method, point)
    seen: dict[str, Point] = {}
    for point in points:
        made = apply_point(method, point)
        missing = [need for need in list_needs(made) if need not in list_needs(method)]
        if missing:
            raise SpecError(
                f"with {describe_point(point)} the method needs `{missing[0]}`, which '{name_method(method)}' is not given. "
                "Start the search from a method that needs it too, or leave that value out."
            )
        settings = made.model_dump_json()
        if settings in seen:
            raise SpecError(
                f"two trials of the search are the same: {describe_point(seen[settings])} and {describe_point(point)}. "
                "Give each value once" + (", or draw fewer points." if search.trials is not None else ".")
            )
        seen[settings] = point


def describe_point(point: Point) -> str:
    """Print a point: `lr=1e-4, base.margin=0.4`."""
    return ", ".join(f"{path}={_show(value)}" for path, value in point.items())


def describe_search(search: SearchSettings, chosen: MethodSettings, trials: int) -> str:
    """Say in one line what was chosen, from what and on what.

    Args:
        search: the search.
        chosen: the method's settings that it chose.
        trials: how many trials it made.

    Returns:
        Such as `lr=1e-4 of {1e-5, 1e-4, 1e-3}, 3 trials on val/fog/3`.
    """
    axes = [f"{path}={_show(_read(chosen, path))} of {_show_axis(axis)}" for path, axis in search.space.items()]
    domains = [domain.label for domain in search.stream.domains]
    shown = ", ".join(domains[:SHOWN_DOMAINS])
    if len(domains) > SHOWN_DOMAINS:
        shown += f" and {len(domains) - SHOWN_DOMAINS} more"
    return f"{', '.join(axes)}, {trials} trial{'s' if trials > 1 else ''} on {shown}"


def parse_method(text: str) -> MethodSettings:
    """Return a method's settings from their JSON text, as `METHOD_FILE` holds it."""
    return _METHOD.validate_json(text)


_METHOD: TypeAdapter[MethodSettings] = TypeAdapter(MethodSettings)


def _validate(raw: dict[str, Any], method: MethodSettings, point: Point) -> MethodSettings:
    try:
        return _METHOD.validate_python(raw)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        name = detail["loc"][-1] if detail["loc"] else "name"
        message = detail["msg"].removeprefix("Value error, ").removesuffix(".")
        raise SpecError(
            f"the method '{name_method(method)}' refuses {describe_point(point)}: {name}: "
            f"{message[0].lower()}{message[1:]}. Correct the `space` of the search."
        ) from error


def _list_paths(settings: Settings) -> Iterator[str]:
    """Name every setting that may be searched; `name` says which method it is and is none."""
    for name in type(settings).model_fields:
        if name == "name":
            continue
        yield name
        value = getattr(settings, name)
        if isinstance(value, Settings):
            yield from (f"{name}.{path}" for path in _list_paths(value))


def _suggest(path: str, known: list[str]) -> str:
    """Return the question for the path that was meant; a wrapper's `lr` is most often its base's."""
    inner = [name for name in known if name.endswith(f".{path}")]
    return f" Did you mean '{inner[0]}'?" if inner else closest(path, known)


def _read(settings: Settings, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), settings)


def _show_axis(axis: tuple[Any, ...] | RangeSettings) -> str:
    if isinstance(axis, RangeSettings):
        low, high = axis.bounds
        return f"[{_show(low)}, {_show(high)}]{' (log)' if axis.log_uniform is not None else ''}"
    return f"{{{', '.join(_show(value) for value in axis)}}}"


def _show(value: Any) -> str:
    """Print a value briefly: a number as people write it, settings of a method by its name."""
    if isinstance(value, Settings):
        return name_method(value)
    if isinstance(value, Mapping):
        return str(value.get("name", dict(value)))
    if isinstance(value, float):
        if not 0 < abs(value) < 1e-3:
            return f"{value:g}"
        mantissa, exponent = f"{value:.5e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_show(part) for part in value)}]"
    return str(value)
