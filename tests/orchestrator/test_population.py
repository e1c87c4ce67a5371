"""Who takes over from whom in a population, and at which settings: cases worked by hand."""

from __future__ import annotations

import collections
import random
from typing import Any

import pytest

from experiments.population import PbtSettings
from experiments.search import TrainingSearchSettings
from orchestrator.population import Population, Takeover, choose_takeovers, explore

LR, SIZE = "training.optimizer.lr", "method.rare_class.min_pixels"
POINTS = {0: {LR: 0.1}, 1: {LR: 0.2}, 2: {LR: 0.4}, 3: {LR: 0.8}}


def build(space: Any = None, seed: int = 0, **scheduler: Any) -> TrainingSearchSettings:
    return TrainingSearchSettings.model_validate(
        {
            "space": space or {LR: {"uniform": [0.05, 0.9]}},
            "trials": 4,
            "seed": seed,
            "scheduler": {"name": "pbt", "interval": 10, **scheduler},
        }
    )


def test_of_four_the_worst_takes_over_from_the_best() -> None:
    search = build(resample=0.0)
    takeovers = choose_takeovers({0: 0.3, 1: 0.9, 2: 0.1, 3: 0.5}, POINTS, search, 10)
    assert list(takeovers) == [2]
    assert (takeovers[2].donor, takeovers[2].iteration) == (1, 10)
    assert takeovers[2].point[LR] in (0.16, 0.24), "0.2, times 0.8 or 1.2"


def test_the_least_may_be_best() -> None:
    search = build().model_copy(update={"metric": "loss", "mode": "min"})
    (number,) = takeovers = choose_takeovers({0: 0.3, 1: 0.9, 2: 0.1, 3: 0.5}, POINTS, search, 10)
    assert (number, takeovers[number].donor) == (1, 2)


@pytest.mark.parametrize(
    ("members", "quantile", "replaced"),
    [(8, 0.25, 2), (9, 0.25, 3), (4, 0.5, 2), (5, 0.5, 2), (3, 0.25, 1), (2, 0.25, 1), (1, 0.25, 0)],
)
def test_quantiles_are_rounded_up_and_never_overlap(members: int, quantile: float, replaced: int) -> None:
    """Member n has the score n, so the first ones are the worst; what has failed is not among them."""
    scores = {number: float(number) for number in range(members)}
    takeovers = choose_takeovers(scores, dict.fromkeys(scores, POINTS[0]), build(quantile=quantile), 10)
    assert list(takeovers) == list(range(replaced))
    assert {each.donor for each in takeovers.values()} <= set(range(members - replaced, members))


def test_of_equal_scores_the_later_member_is_the_worse_one() -> None:
    (number,) = takeovers = choose_takeovers(dict.fromkeys(range(4), 0.5), POINTS, build(), 10)
    assert (number, takeovers[number].donor) == (3, 0)


def test_seed_and_iteration_fix_the_draws() -> None:
    scores = {number: float(number) for number in range(8)}
    points = {number: {LR: 0.1 + 0.1 * number} for number in scores}

    def choose(seed: int, iteration: int) -> Any:
        return choose_takeovers(scores, points, build(seed=seed), iteration)

    assert choose(0, 10) == choose(0, 10)
    assert len({str([each.point for each in choose(seed, 10).values()]) for seed in range(20)}) > 10
    assert len({str([each.point for each in choose(0, 10 * k).values()]) for k in range(1, 20)}) > 10
    donors = collections.Counter(choose(seed, 10)[0].donor for seed in range(200))
    assert set(donors) == {6, 7}
    assert min(donors.values()) > 60, "either of two, evenly"


def test_settings_move_within_the_bounds_and_lists_to_a_neighbour() -> None:
    space = {LR: {"uniform": [0.5, 1.0]}, "loss.q": [1, 2, 5], SIZE: {"integers": [10, 20]}}
    search = build(space, resample=0.0)
    seen = collections.defaultdict(set)
    for seed in range(50):
        for path, value in explore(
            {LR: 0.9, "loss.q": 1, SIZE: 14}, search, search.scheduler, random.Random(seed)
        ).items():
            seen[path].add(value)
    assert seen[LR] == {0.72, 1.0}, "0.9 * 1.2 is beyond"
    assert seen["loss.q"] == {1, 2}
    assert seen[SIZE] == {11, 17}, "11.2 and 16.8"
    assert all(isinstance(value, int) for value in seen[SIZE])


def test_resampling_draws_from_the_whole_axis() -> None:
    space = {LR: {"uniform": [0.5, 1.0]}, "loss.q": [1, 2, 5]}
    always, half = build(space, resample=1.0), build(space, resample=0.5)
    drawn = [explore({LR: 0.9, "loss.q": 1}, always, always.scheduler, random.Random(seed)) for seed in range(200)]
    assert {point["loss.q"] for point in drawn} == {1, 2, 5}
    assert sum(point[LR] < 0.75 for point in drawn) == pytest.approx(100, abs=30)
    moved = [explore({LR: 0.9, "loss.q": 1}, half, half.scheduler, random.Random(seed))[LR] for seed in range(200)]
    assert sum(value in (0.72, 1.0) for value in moved) == pytest.approx(100, abs=30)


def test_a_population_that_was_written_down_is_the_same() -> None:
    population = Population(PbtSettings(interval=10), 30)
    assert population.until == 10
    population.paused[2], population.seconds[2] = 10, 1.5
    assert population.is_waiting(2)
    assert not population.is_waiting(0)
    population.pass_on({2: Takeover(10, 1, {LR: 0.24})})
    assert population.until == 20
    assert not population.is_waiting(2)
    again = Population(PbtSettings(interval=10), 30)
    again.load(population.dump())
    assert again == population
    again.pass_on({})
    assert again.until is None, "30 is the end, where nobody waits"
