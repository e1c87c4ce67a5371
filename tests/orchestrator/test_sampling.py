"""Who chooses the points: the grid, our draws, Optuna through Ray Tune; each goes on where it stood."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapt.errors import PrerequisiteError, SpecError
from experiments import search as search_module
from experiments.graph import Graph
from experiments.search import TrainingSearchSettings, list_points
from experiments.search_space import Point
from orchestrator.sampling import ListedSampler, NoPoint, Sampler, TuneSampler, check_samplers, open_sampler
from tests.orchestrator.stub_search import build_search

RANGES = {"lr": {"log_uniform": [1e-4, 1.0]}, "width": {"integers": [2, 9]}, "kind": [{"name": "a"}, {"name": "b"}]}


def make_search(space: dict[str, Any], **fields: Any) -> TrainingSearchSettings:
    return TrainingSearchSettings.model_validate({"space": space, **fields})


def judge(point: Point) -> float:
    """The best is at 0.1, the width plays no part."""
    return -abs(float(point["lr"]) - 0.1) - (point["kind"]["name"] == "b")


def walk(sampler: Sampler, first: int, last: int) -> list[Any]:
    """Ask and answer the questions from `first` to `last`."""
    points = []
    for asked in range(first, last):
        point = sampler.suggest(asked)
        points.append(point)
        if not isinstance(point, NoPoint):
            sampler.report(asked, 1, judge(point) - 1)
            sampler.complete(asked, judge(point) if asked % 5 else None)
    return points


def test_a_grid_ends() -> None:
    search = make_search({"lr": [1, 2]})
    sampler = open_sampler(search)
    assert isinstance(sampler, ListedSampler)
    assert [sampler.suggest(asked) for asked in range(3)] == [*list_points(search), NoPoint.NEVER]
    assert open_sampler(search).suggest(1) == {"lr": 2}, "the answer depends on the question alone"


def test_draws_are_those_that_were_listed_beforehand_and_go_on() -> None:
    search = make_search(RANGES, trials=4, sampler="random", seed=3)
    sampler = open_sampler(search)
    assert [sampler.suggest(asked) for asked in range(4)] == list_points(search)
    assert not isinstance(sampler.suggest(4), NoPoint)


def test_a_sampler_can_be_pickled_as_tune_does_on_its_way() -> None:
    for search in (make_search({"lr": [1, 2]}), make_search(RANGES, trials=4, sampler="random")):
        asked = open_sampler(search)
        asked.suggest(0)
        assert pickle.loads(pickle.dumps(asked)).suggest(1) == open_sampler(search).suggest(1)


def test_optuna_draws_within_the_space_and_follows_the_seed() -> None:
    search = make_search(RANGES, trials=20, seed=4)
    sampler = open_sampler(search)
    assert isinstance(sampler, TuneSampler)
    points = walk(sampler, 0, 20)
    for point in points:
        assert 1e-4 <= point["lr"] <= 1
        assert point["lr"] == float(f"{point['lr']:.6g}")
        assert point["width"] in range(2, 10)
        assert isinstance(point["width"], int)
        assert point["kind"] in ({"name": "a"}, {"name": "b"})
    assert points == walk(open_sampler(search), 0, 20)
    assert points != walk(open_sampler(make_search(RANGES, trials=20, seed=5)), 0, 20)


def test_optuna_learns_what_is_best() -> None:
    """The last third of its points lies nearer to the best than its first draws, which are random."""
    points = walk(open_sampler(make_search(RANGES, trials=60, seed=0)), 0, 60)
    scores = [judge(point) for point in points]
    assert sum(scores[40:]) / 20 > sum(scores[:10]) / 10
    assert sum(point["kind"]["name"] == "a" for point in points[40:]) >= 15


def test_a_metric_that_is_to_be_small_is_made_small() -> None:
    def mean_late(mode: str) -> float:
        sampler = open_sampler(make_search({"x": {"uniform": [0, 1]}}, trials=9, metric="loss", mode=mode))
        late = []
        for asked in range(40):
            point: Any = sampler.suggest(asked)
            sampler.complete(asked, point["x"])
            late += [point["x"]] if asked >= 25 else []
        return sum(late) / len(late)

    assert mean_late("min") < 0.3
    assert mean_late("max") > 0.7


def test_optuna_goes_on_as_if_it_had_not_been_interrupted(tmp_path: Path) -> None:
    search = make_search(RANGES, trials=30, seed=1)
    straight = walk(open_sampler(search), 0, 30)
    first, second = open_sampler(search), open_sampler(search)
    before = walk(first, 0, 17)
    first.save(tmp_path / "state")
    second.load(tmp_path / "state")
    assert before + walk(second, 17, 30) == straight


def test_a_setting_that_the_sampler_does_not_have_is_named() -> None:
    search = make_search(RANGES, trials=3, sampler={"name": "optuna", "settings": {"gamma": 3}})
    with pytest.raises(SpecError, match=r"Ray Tune's 'optuna' takes no 'gamma'\. It takes: space, metric, mode"):
        open_sampler(search)


def test_a_sampler_that_does_not_take_its_search_is_refused_before_it_runs() -> None:
    good, bad = build_search("a"), build_search("b", sampler={"name": "optuna", "settings": {"wits": 3}})
    graph = Graph("byhand", "full", "A question", {good.key: good}, (good,), {})
    check_samplers(graph)
    with pytest.raises(SpecError, match=r"stage 'tuned': .*takes no 'wits'"):
        check_samplers(replace(graph, tasks={good.key: good, bad.key: bad}))


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        PrerequisiteError, match=r"Python package hpbandster and ConfigSpace.*pip install hpbandster Conf"
    ):
        open_sampler(make_search(RANGES, trials=3, sampler="bohb"))
