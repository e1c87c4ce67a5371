"""Population based training: which members of a population go on from which others, at which settings, and since when.

Paper: Population Based Training of Neural Networks, arXiv 1711.09846, by truncation selection (section 4.1.1).
Checked against: Ray Tune's `PopulationBasedTraining` in the size of the quantiles and in the steps through a list.
Deviations: all members are compared at the same iteration, for which they wait (Ray Tune's `synch`), so neither the speed of
the machine nor an interruption changes who takes over from whom; and settings stay inside the bounds of the space.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from experiments.population import PbtSettings
from experiments.search import SearchSettings
from experiments.search_space import Point, RangeSettings, round_value

PAUSED_S = "paused_s"  # under which Tune hears that a member waits, and after how many seconds


@dataclass(frozen=True)
class Takeover:
    """A member's change to another one's network.

    Attributes:
        iteration: at which it happened.
        donor: the number of the other one.
        point: where in the space the member stands from then on.
    """

    iteration: int
    donor: int
    point: Point


@dataclass
class Population:
    """Where a population stands.

    Attributes:
        scheduler: its settings.
        length: iterations of a member.
        until: the iteration at which the members are compared next; None on the last stretch, which ends by itself.
        paused: number of a member -> the last iteration at which it waited for the others.
        history: number of a member -> its changes so far.
        seconds: number of a member -> how long its stretches took that are behind it.
    """

    scheduler: PbtSettings
    length: int
    until: int | None = None
    paused: dict[int, int] = field(default_factory=dict)
    history: dict[int, list[Takeover]] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.until is None:
            self.until = self.scheduler.interval

    def is_waiting(self, number: int) -> bool:
        """Say whether a member has come to where it waits for the others."""
        return self.until is not None and self.paused.get(number, 0) >= self.until

    def pass_on(self, takeovers: Mapping[int, Takeover]) -> None:
        """Note who takes over from whom, and go on to the next comparison.

        Args:
            takeovers: number of a member -> its change.
        """
        if self.until is None:
            raise ValueError("a population is not compared at its end")
        for number, takeover in takeovers.items():
            self.history.setdefault(number, []).append(takeover)
        after = self.until + self.scheduler.interval
        self.until = after if after < self.length else None

    def dump(self) -> dict[str, Any]:
        """Return it as JSON-able data, less what the search says."""
        return {
            "until": self.until,
            "paused": list(self.paused.items()),
            "history": [[number, [asdict(change) for change in changes]] for number, changes in self.history.items()],
            "seconds": list(self.seconds.items()),
        }

    def load(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `dump` returned."""
        self.until = kept["until"]
        self.paused = dict(kept["paused"])
        self.history = {number: [Takeover(**change) for change in changes] for number, changes in kept["history"]}
        self.seconds = dict(kept["seconds"])


def choose_takeovers(
    scores: Mapping[int, float], points: Mapping[int, Point], search: SearchSettings, iteration: int
) -> dict[int, Takeover]:
    """Choose whose networks the worst members go on from, and at which settings.

    Args:
        scores: number of a member -> its latest score.
        points: number of a member -> where in the space it stands.
        search: with the scheduler `pbt`; its seed and the iteration fix all draws.
        iteration: at which all members stand.

    Returns:
        Number of each member of the bottom quantile -> its change. Of equal scores the later member is the worse one.
    """
    scheduler = search.scheduler
    if not isinstance(scheduler, PbtSettings):
        raise TypeError("a search without a population")
    sign = 1 if search.is_maximised else -1
    ranked = sorted(scores, key=lambda number: (sign * scores[number], -number))  # the worst first
    count = min(math.ceil(scheduler.quantile * len(ranked)), len(ranked) // 2)
    bottom, top = ranked[:count], ranked[len(ranked) - count :]
    generator = random.Random(f"{search.seed}/{iteration}")
    takeovers = {}
    for number in sorted(bottom):
        donor = generator.choice(sorted(top))
        takeovers[number] = Takeover(iteration, donor, explore(points[donor], search, scheduler, generator))
    return takeovers


def explore(point: Point, search: SearchSettings, scheduler: PbtSettings, generator: random.Random) -> Point:
    """Return a point near another one: each setting drawn anew, or moved by a factor or to a neighbour in its list.

    Args:
        point: where to start from.
        search: has the space.
        scheduler: says how.
        generator: of all draws; it is advanced.
    """
    return {path: _move(point[path], axis, scheduler, generator) for path, axis in search.space.items()}


def _move(value: Any, axis: tuple[Any, ...] | RangeSettings, scheduler: PbtSettings, generator: random.Random) -> Any:
    is_new = generator.random() < scheduler.resample
    if not isinstance(axis, RangeSettings):
        if is_new:
            return generator.choice(axis)
        place = axis.index(value) + generator.choice((-1, 1))
        return axis[min(max(place, 0), len(axis) - 1)]
    if is_new:
        return axis.draw(generator)
    low, high = axis.bounds
    moved = min(max(value * generator.choice(scheduler.factors), low), high)
    return round(moved) if axis.integers is not None else round_value(moved)
