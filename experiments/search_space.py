"""The space of a search: its axes, the points of it that are tried, and settings at a point."""

from __future__ import annotations

import copy
import functools
import itertools
import math
import operator
import random
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from adapt.errors import SpecError
from adapt.settings import Settings
from adapt.tta.settings import name_method
from experiments.explain import closest

SIGNIFICANT_DIGITS = 6  # ours: a drawn value is the same on every machine, whatever the last bit of its exp()
PROBED_SHARE = 0.381966  # ours: of the way through a range, where no round number lies

Point = Mapping[str, Any]
"""A place in the space: dotted path into the settings -> value."""

Bounds = tuple[float, float]

AnySettings = TypeVar("AnySettings", bound=Settings)


class RangeSettings(Settings):
    """An axis whose values are drawn between two bounds.

    Attributes:
        uniform: [low, high], evenly.
        log_uniform: [low, high] above 0, evenly in the logarithm: for learning rates.
        integers: [low, high], whole numbers evenly, both bounds among them.
    """

    uniform: Bounds | None = None
    log_uniform: Bounds | None = None
    integers: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if sum(bounds is not None for bounds in (self.uniform, self.log_uniform, self.integers)) != 1:
            raise ValueError(
                "a range is either {uniform: [low, high]}, {log_uniform: [low, high]} or {integers: [low, high]}, and only "
                "one of them"
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
        chosen = self.uniform or self.log_uniform or self.integers
        if chosen is None:
            raise ValueError("a range without bounds")
        return chosen

    def place(self, share: float) -> float:
        """Return the value that lies a share in [0, 1) of the way through, rounded to `SIGNIFICANT_DIGITS`."""
        low, high = self.bounds
        if self.integers is not None:
            return self.integers[0] + int(share * (self.integers[1] - self.integers[0] + 1))
        value = low + (high - low) * share if self.log_uniform is None else low * math.exp(math.log(high / low) * share)
        return round_value(value)

    def draw(self, generator: random.Random) -> float:
        """Draw a value."""
        return self.place(generator.random())


def _choose_axis(raw: Any) -> str:
    """Name the form of an axis: an error's location names it too."""
    return RangeSettings.__name__ if isinstance(raw, Mapping | RangeSettings) else "list"


Axis = Annotated[
    Annotated[tuple[Any, ...], Field(min_length=1), Tag("list")]
    | Annotated[RangeSettings, Tag(RangeSettings.__name__)],
    Discriminator(_choose_axis),
]
"""The values of one axis: a list, or a range to draw from."""

Space = Mapping[str, tuple[Any, ...] | RangeSettings]


def round_value(value: float) -> float:
    """Round a drawn value to `SIGNIFICANT_DIGITS`."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def list_grid(space: Mapping[str, tuple[Any, ...]]) -> list[Point]:
    """List every point of a space of lists; the last axis runs fastest."""
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def draw_points(space: Space, seed: int) -> Iterator[Point]:
    """Draw points without end; equal seeds give equal points."""
    generator = random.Random(seed)
    while True:
        yield {
            path: axis.draw(generator) if isinstance(axis, RangeSettings) else generator.choice(axis)
            for path, axis in space.items()
        }


def list_probes(space: Space) -> list[Point]:
    """List points that hold every listed value, every bound and a value within every range; the rest is at its first."""
    values = {
        path: (*axis.bounds, axis.place(PROBED_SHARE)) if isinstance(axis, RangeSettings) else axis
        for path, axis in space.items()
    }
    first = {path: listed[0] for path, listed in values.items()}
    return [{**first, path: value} for path, listed in values.items() for value in listed]


def list_paths(settings: Settings, left_out: Collection[str] = ()) -> Iterator[str]:
    """Name every setting that may be searched; `name` says which settings these are and is none.

    Args:
        settings: what is searched; a part of it that is None has no settings.
        left_out: paths that are none either.
    """
    for name in type(settings).model_fields:
        if name == "name" or name in left_out:
            continue
        yield name
        value = getattr(settings, name)
        if isinstance(value, Settings):
            inner = [path.removeprefix(f"{name}.") for path in left_out if path.startswith(f"{name}.")]
            yield from (f"{name}.{path}" for path in list_paths(value, inner))


def place_at(settings: AnySettings, point: Point, known: Collection[str], whose: str) -> AnySettings:
    """Return settings with those of a point.

    Args:
        settings: what to start from.
        point: what to change in them.
        known: the paths that it may change.
        whose: the settings, in words: `the method 'tent'`.

    Returns:
        The settings, validated.

    Raises:
        SpecError: there is no such setting, or it refuses a value.
    """
    raw = settings.model_dump()
    for path, value in sorted(point.items()):  # `base` before `base.lr`
        if path not in known:
            near = [name for name in known if name.partition(".")[0] == path.partition(".")[0]] or list(known)
            raise SpecError(
                f"{whose} has no setting '{path}' to be searched.{_suggest(path, known)} "
                f"It has: {', '.join(near) or 'none'}."
            )
        *parents, last = path.split(".")
        place = functools.reduce(operator.getitem, parents, raw)
        if isinstance(place, dict):  # what else a point put there is refused below
            place[last] = copy.deepcopy(value)
    try:
        return type(settings).model_validate(raw)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        name = detail["loc"][-1] if detail["loc"] else "name"
        message = detail["msg"].removeprefix("Value error, ").removesuffix(".")
        raise SpecError(
            f"{whose} refuses {describe_point(point)}: {name}: {message[0].lower()}{message[1:]}. "
            "Correct the `space` of the search."
        ) from error


def read_at(settings: Settings, path: str) -> Any:
    """Return the value at a dotted path."""
    return functools.reduce(getattr, path.split("."), settings)


def describe_point(point: Point) -> str:
    """Print a point: `lr=1e-4, base.margin=0.4`."""
    return ", ".join(f"{path}={show_value(value)}" for path, value in point.items())


def describe_axis(axis: tuple[Any, ...] | RangeSettings) -> str:
    """Print an axis: `{1e-5, 1e-4}`, `[1e-6, 0.001] (log)`."""
    if isinstance(axis, RangeSettings):
        low, high = axis.bounds
        form = " (log)" if axis.log_uniform is not None else " (whole)" if axis.integers is not None else ""
        return f"[{show_value(low)}, {show_value(high)}]{form}"
    return f"{{{', '.join(show_value(value) for value in axis)}}}"


def show_value(value: Any) -> str:
    """Print a value briefly: a number as people write it, settings of a method by its name."""
    if isinstance(value, Settings):
        return name_method(value) if "name" in type(value).model_fields else show_value(value.model_dump())
    if isinstance(value, Mapping):
        return str(value.get("name", dict(value)))
    if isinstance(value, float):
        if not 0 < abs(value) < 1e-3:
            return f"{value:g}"
        mantissa, exponent = f"{value:.5e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(show_value(part) for part in value)}]"
    return str(value)


def _suggest(path: str, known: Collection[str]) -> str:
    """Return the question for the path that was meant; a wrapper's `lr` is most often its base's."""
    inner = [name for name in known if name.endswith(f".{path}")]
    return f" Did you mean '{inner[0]}'?" if inner else closest(path, known)
